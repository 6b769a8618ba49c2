//! Processors: how many may be used (`1.5`), and which (`0-3,5`).

use std::fmt;
use std::str::FromStr;

use super::decimal::{Flaw, scaled};
use super::refused;
use crate::error::{Error, Result};

/// The CFS period in microseconds over which a quota counts: the kernel's own default.
const PERIOD: u64 = 100_000;
/// The kernel takes no quota below 1 ms (`min_bw_quota_period_us`, kernel/sched/core.c).
const SMALLEST_QUOTA: u64 = 1000;
/// The kernel's NR_CPUS is at most 8192; a larger count is a mistake.
const LARGEST_QUOTA: u64 = 8192 * PERIOD;
const LAST_CPU: u32 = 8191;

/// A share of processors, kept as a CFS quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuCount {
    quota: u64,
}

impl CpuCount {
    /// One whole processor.
    pub const ONE: Self = Self { quota: PERIOD };

    /// Microseconds of processor time in every [`period`](Self::period).
    pub const fn quota(self) -> u64 {
        self.quota
    }

    /// The period in microseconds.
    pub const fn period(self) -> u64 {
        PERIOD
    }
}

impl FromStr for CpuCount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match scaled(text, PERIOD) {
            Ok(quota @ SMALLEST_QUOTA..=LARGEST_QUOTA) => Ok(Self { quota }),
            Ok(0..SMALLEST_QUOTA) => Err(refused(text, "the number of CPUs must be at least 0.01")),
            Ok(_) | Err(Flaw::TooLarge) => Err(refused(text, "the number of CPUs must be at most 8192")),
            Err(Flaw::Malformed) => {
                Err(refused(text, "the number of CPUs is a positive number, such as 2 or 0.5"))
            }
        }
    }
}

impl fmt::Display for CpuCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}.{:05}", self.quota / PERIOD, self.quota % PERIOD);
        f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A list of processors in the kernel's list format (cpuset(7)), such as `0-3,5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSet(String);

impl CpuSet {
    /// The list as the kernel reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CpuSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.split(',').all(is_range) {
            return Ok(Self(text.to_owned()));
        }
        Err(refused(text, "a list of CPUs is numbers and rising ranges between commas, such as 0-3,5"))
    }
}

fn is_range(part: &str) -> bool {
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u32>().ok().filter(|cpu| *cpu <= LAST_CPU),
        false => None,
    };
    match part.split_once('-') {
        Some((first, last)) => {
            matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
        }
        None => number(part).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_count_becomes_a_quota_per_100_ms() {
        let rows = [
            ("1", 100_000),
            ("1.0", 100_000),
            ("0.5", 50_000),
            (".5", 50_000),
            ("0.01", 1000),
            ("1.25", 125_000),
            ("0.333333333", 33_333),
            ("8192", 819_200_000),
        ];
        table::accepts(&rows, CpuCount::quota);
    }

    #[test]
    fn a_count_outside_the_kernel_s_range_is_refused() {
        table::refuses::<CpuCount>(&[
            ("0", "at least 0.01"),
            ("0.0", "at least 0.01"),
            ("0.009999", "at least 0.01"),
            ("8192.1", "at most 8192"),
            ("99999999999999999999", "at most 8192"),
            ("", "such as 2"),
            ("-1", "such as 2"),
            ("1,5", "such as 2"),
            ("1e1", "such as 2"),
            ("inf", "such as 2"),
            ("NaN", "such as 2"),
            ("50%", "such as 2"),
        ]);
    }

    #[test]
    fn a_count_is_printed_as_typed() {
        let rows = [("1", "1"), ("1.50", "1.5"), ("0.01", "0.01"), ("10", "10")];
        table::accepts::<CpuCount, _>(&rows.map(|(a, b)| (a, b.to_owned())), |count| count.to_string());
        assert_eq!(CpuCount::ONE.quota(), CpuCount::ONE.period());
    }

    #[test]
    fn a_cpu_list_is_numbers_and_rising_ranges() {
        for text in ["0", "0-3", "0,2,4", "0-3,5", "8191", "3-3"] {
            assert_eq!(text.parse::<CpuSet>().unwrap().as_str(), text);
        }
        let words = "a list of CPUs";
        let bad =
            ["", ",", "0,", "-1", "0-", "3-1", "a", "0 1", "0-3/2", "8192", "0-99999999999", "0\n1", "+1"];
        table::refuses::<CpuSet>(&bad.map(|text| (text, words)));
    }
}
