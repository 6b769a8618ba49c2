//! Capabilities by name (capabilities(7)).

use std::fmt;
use std::str::FromStr;

use caps::Capability;

use super::refused;
use crate::error::{Error, Result};

/// One capability, by its kernel name with or without `CAP_`, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CapName(Capability);

impl CapName {
    /// The kernel's number of it: the bit in a capability set.
    pub fn bit(self) -> u8 {
        self.0.index()
    }

    /// The name as the `caps` crate has it.
    pub fn capability(self) -> Capability {
        self.0
    }

    /// Every capability known here, in the kernel's order.
    pub fn all() -> Vec<Self> {
        let mut all = caps::all().into_iter().map(Self).collect::<Vec<_>>();
        all.sort_by_key(|name| name.bit());
        all
    }
}

impl FromStr for CapName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let upper = text.to_ascii_uppercase();
        let name = format!("CAP_{}", upper.strip_prefix("CAP_").unwrap_or(&upper));
        name.parse().ok().map(Self).ok_or_else(|| {
            refused(text, "unknown capability: a name of capabilities(7) such as CAP_NET_RAW or net_raw")
        })
    }
}

impl fmt::Display for CapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What `--cap-add` and `--cap-drop` take: one capability, or `ALL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CapArg {
    /// Every capability that there is.
    All,
    /// This one.
    One(CapName),
}

impl FromStr for CapArg {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.eq_ignore_ascii_case("all") {
            true => Ok(Self::All),
            false => text.parse().map(Self::One),
        }
    }
}

impl fmt::Display for CapArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::One(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_capability_has_one_name_in_many_spellings() {
        let rows = [
            ("CAP_CHOWN", (0, "CAP_CHOWN")),
            ("chown", (0, "CAP_CHOWN")),
            ("cap_net_raw", (13, "CAP_NET_RAW")),
            ("Net_Raw", (13, "CAP_NET_RAW")),
            ("SYS_ADMIN", (21, "CAP_SYS_ADMIN")),
            ("CHECKPOINT_RESTORE", (40, "CAP_CHECKPOINT_RESTORE")),
        ];
        let rows = rows.map(|(text, (bit, name))| (text, (bit, name.to_owned())));
        table::accepts::<CapName, _>(&rows, |cap| (cap.bit(), cap.to_string()));
    }

    #[test]
    fn an_unknown_capability_is_refused() {
        let bad = ["", "CAP_", "CAP_CAP_CHOWN", "NET_RAW ", "CAP_NOPE", "13", "all"];
        table::refuses::<CapName>(&bad.map(|text| (text, "unknown capability")));
        table::refuses::<CapArg>(&[("alll", "unknown capability"), ("CAP_ALL", "unknown capability")]);
    }

    #[test]
    fn all_is_a_word_of_the_options_only() {
        table::accepts::<CapArg, _>(&[("ALL", CapArg::All), ("all", CapArg::All)], |arg| arg);
        assert!(matches!("kill".parse(), Ok(CapArg::One(name)) if name.bit() == 5));
    }

    #[test]
    fn the_list_is_complete_and_in_kernel_order() {
        let bits = CapName::all().into_iter().map(CapName::bit).collect::<Vec<_>>();
        assert_eq!(bits, (0..=40).collect::<Vec<_>>());
    }
}
