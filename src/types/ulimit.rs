//! Resource limits: `type=soft[:hard]` with Docker's names (getrlimit(2)).

use std::str::FromStr;

use super::refused;
use crate::error::{Error, Result};

/// Docker's name and runtime-spec's `process.rlimits[].type`.
const RESOURCES: &[(&str, &str)] = &[
    ("as", "RLIMIT_AS"),
    ("core", "RLIMIT_CORE"),
    ("cpu", "RLIMIT_CPU"),
    ("data", "RLIMIT_DATA"),
    ("fsize", "RLIMIT_FSIZE"),
    ("locks", "RLIMIT_LOCKS"),
    ("memlock", "RLIMIT_MEMLOCK"),
    ("msgqueue", "RLIMIT_MSGQUEUE"),
    ("nice", "RLIMIT_NICE"),
    ("nofile", "RLIMIT_NOFILE"),
    ("nproc", "RLIMIT_NPROC"),
    ("rss", "RLIMIT_RSS"),
    ("rtprio", "RLIMIT_RTPRIO"),
    ("rttime", "RLIMIT_RTTIME"),
    ("sigpending", "RLIMIT_SIGPENDING"),
    ("stack", "RLIMIT_STACK"),
];

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// Which one, as runtime-spec names it: `RLIMIT_NOFILE`.
    pub resource: &'static str,
    /// The limit in force; [`Ulimit::UNLIMITED`] for none.
    pub soft: u64,
    /// How far the program may raise it; never below `soft`.
    pub hard: u64,
}

impl Ulimit {
    /// RLIM_INFINITY on 64 bits.
    pub const UNLIMITED: u64 = u64::MAX;
}

impl FromStr for Ulimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = || {
            refused(text, "a limit is TYPE=SOFT[:HARD], each a number or \"unlimited\", such as nofile=1024")
        };
        let (name, values) = text.split_once('=').ok_or_else(form)?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let resource = RESOURCES.iter().find(|(known, _)| *known == name).map(|(_, resource)| *resource);
        let resource = resource.ok_or_else(|| {
            let names = RESOURCES.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
            refused(text, format!("unknown limit {name:?}: accepted are {names}"))
        })?;
        let (soft, hard) = (limit(soft).ok_or_else(form)?, limit(hard).ok_or_else(form)?);
        if soft > hard {
            return Err(refused(text, "the soft limit must not be above the hard limit"));
        }
        Ok(Self { resource, soft, hard })
    }
}

fn limit(text: &str) -> Option<u64> {
    match text {
        "unlimited" | "-1" => Some(Ulimit::UNLIMITED),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_limit_has_a_soft_and_a_hard_value() {
        let rows = [
            ("nofile=1024", ("RLIMIT_NOFILE", 1024, 1024)),
            ("nproc=10:20", ("RLIMIT_NPROC", 10, 20)),
            ("core=0", ("RLIMIT_CORE", 0, 0)),
            ("memlock=-1", ("RLIMIT_MEMLOCK", u64::MAX, u64::MAX)),
            ("stack=8:unlimited", ("RLIMIT_STACK", 8, u64::MAX)),
        ];
        table::accepts::<Ulimit, _>(&rows, |limit| (limit.resource, limit.soft, limit.hard));
        for (name, resource) in RESOURCES {
            assert_eq!(format!("{name}=1").parse::<Ulimit>().unwrap().resource, *resource);
        }
    }

    #[test]
    fn an_unknown_or_inverted_limit_is_refused() {
        table::refuses::<Ulimit>(&[
            ("", "a limit is"),
            ("nofile", "a limit is"),
            ("nofile=", "a limit is"),
            ("nofile=1:", "a limit is"),
            ("nofile=:1", "a limit is"),
            ("nofile=1:2:3", "a limit is"),
            ("nofile=-2", "a limit is"),
            ("nofile=1k", "a limit is"),
            ("nofile=+1", "a limit is"),
            ("nofile=18446744073709551616", "a limit is"),
            ("files=1", "unknown limit"),
            ("NOFILE=1", "unknown limit"),
            ("=1", "unknown limit"),
            ("nofile=2:1", "not be above"),
            ("nofile=unlimited:1", "not be above"),
        ]);
    }
}
