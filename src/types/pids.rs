//! How many processes there may be.

use std::fmt;
use std::str::FromStr;

use super::refused;
use super::user::strict;
use crate::error::{Error, Result};

/// How many processes and threads a sandbox may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PidsLimit(u32);

impl PidsLimit {
    /// PID_MAX_LIMIT on 64 bits (include/linux/threads.h): the cgroup takes no more.
    const LARGEST: u32 = 4_194_304;

    /// The limit for the default of an option.
    pub const fn of(count: u16) -> Self {
        Self(if count == 0 { 1 } else { count as u32 })
    }

    /// The limit.
    pub const fn count(self) -> u32 {
        self.0
    }
}

impl FromStr for PidsLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let count = strict(text).filter(|count| (1..=Self::LARGEST).contains(count));
        count.map(Self).ok_or_else(|| refused(text, "the number of processes is from 1 to 4194304"))
    }
}

impl fmt::Display for PidsLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_pids_limit_is_what_the_cgroup_takes() {
        table::accepts(&[("1", 1), ("256", 256), ("4194304", 4_194_304)], PidsLimit::count);
        let bad = ["0", "-1", "", "4194305", "max", "1.5", "08"];
        table::refuses::<PidsLimit>(&bad.map(|text| (text, "from 1 to 4194304")));
    }
}
