//! `--network none|host`.

use std::fmt;
use std::str::FromStr;

use super::refused;
use crate::error::{Error, Result};

/// What network the sandbox sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// Its own, with a loopback interface and nothing else.
    #[default]
    None,
    /// The host's: every address and every abstract socket of the host can be reached.
    Host,
}

impl FromStr for NetworkMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            _ => Err(refused(text, "the network is none or host")),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Host => "host",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn there_are_two_networks() {
        table::accepts::<NetworkMode, _>(
            &[("none", NetworkMode::None), ("host", NetworkMode::Host)],
            |mode| mode,
        );
        let bad = ["", "None", "bridge", "container:a", "host "];
        table::refuses::<NetworkMode>(&bad.map(|text| (text, "none or host")));
        assert_eq!(NetworkMode::default().to_string(), "none");
    }
}
