//! Sizes in bytes, as Docker writes them: `512m`, `1.5GiB`, `65536`.

use std::fmt;
use std::str::FromStr;

use super::decimal::{Flaw, scaled, split_unit};
use super::refused;
use crate::error::{Error, Result};

const KIB: u64 = 1024;
const UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("k", KIB),
    ("m", KIB * KIB),
    ("g", KIB * KIB * KIB),
    ("t", KIB * KIB * KIB * KIB),
    ("p", KIB * KIB * KIB * KIB * KIB),
];
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// A size in bytes, from 1 to 2^63-1, which is what the kernel's limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// `count` MiB; for the defaults of options.
    pub const fn mebibytes(count: u16) -> Self {
        // A u16 widens without loss: 65535 MiB is far below the largest size.
        Self(count as u64 * KIB * KIB)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// The multiplier of a unit: `k`, `kb` and `kib` in any case are all 1024, as in Docker.
fn multiplier(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    let short = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    match unit.as_str() {
        "" | "b" => Some(1),
        "ib" => None,
        _ => UNITS.iter().skip(1).find(|(name, _)| *name == short).map(|(_, bytes)| *bytes),
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, unit) = split_unit(text);
        let bytes = match multiplier(unit) {
            Some(multiplier) => scaled(number, multiplier),
            None => Err(Flaw::Malformed),
        };
        match bytes {
            Ok(0) => Err(refused(text, "a size must be greater than zero")),
            Ok(bytes @ 1..=LARGEST) => Ok(Self(bytes)),
            Ok(_) | Err(Flaw::TooLarge) => Err(refused(text, "a size must be less than 8 EiB (2^63 bytes)")),
            Err(Flaw::Malformed) => Err(refused(
                text,
                "a size is a positive number with b, k, m, g, t or KiB, MiB, GiB, TiB behind it \
                 (powers of 1024; bytes without a unit), such as 512m",
            )),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().rev().find(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let (unit, bytes) = whole.copied().unwrap_or(("b", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// A limit of `update`: a size, 0 for "leave to the kernel", or -1 for no limit (runc-update(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeOrUnlimited(i64);

impl SizeOrUnlimited {
    /// The value as runtime-spec writes it: bytes, or -1 for unlimited.
    pub const fn value(self) -> i64 {
        self.0
    }
}

impl FromStr for SizeOrUnlimited {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "-1" => Ok(Self(-1)),
            "0" => Ok(Self(0)),
            _ => {
                let bytes = text.parse::<ByteSize>().map_err(|error| error.hint("-1 means unlimited"))?.0;
                i64::try_from(bytes).map(Self).map_err(|error| refused(text, error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn units_are_powers_of_1024_in_any_case() {
        let rows = [
            ("1", 1),
            ("1b", 1),
            ("1B", 1),
            ("1k", 1 << 10),
            ("1K", 1 << 10),
            ("1kb", 1 << 10),
            ("1KB", 1 << 10),
            ("1KiB", 1 << 10),
            ("1kib", 1 << 10),
            ("512m", 512 << 20),
            ("512MiB", 512 << 20),
            ("3g", 3 << 30),
            ("3GB", 3 << 30),
            ("2T", 2 << 40),
            ("2TiB", 2 << 40),
            ("1p", 1 << 50),
            ("1.5g", 3 << 29),
            ("0.5k", 512),
            ("007", 7),
            ("9223372036854775807", i64::MAX.unsigned_abs()),
        ];
        table::accepts(&rows, ByteSize::bytes);
    }

    #[test]
    fn zero_overflow_and_foreign_units_are_refused() {
        table::refuses::<ByteSize>(&[
            ("0", "greater than zero"),
            ("0g", "greater than zero"),
            ("0.1b", "greater than zero"),
            ("9223372036854775808", "8 EiB"),
            ("99999999999999999999", "8 EiB"),
            ("8192p", "8 EiB"),
            ("20000000t", "8 EiB"),
            ("", "a size is"),
            ("m", "a size is"),
            ("-1", "a size is"),
            ("-1m", "a size is"),
            ("+1m", "a size is"),
            ("1 m", "a size is"),
            (" 1m", "a size is"),
            ("1m ", "a size is"),
            ("1x", "a size is"),
            ("1ib", "a size is"),
            ("1bb", "a size is"),
            ("1kk", "a size is"),
            ("1mibb", "a size is"),
            ("1e6", "a size is"),
            ("0x10", "a size is"),
            ("50%", "a size is"),
            ("unlimited", "a size is"),
        ]);
    }

    #[test]
    fn a_size_is_printed_with_the_largest_unit_that_is_exact() {
        let rows = [("1", "1b"), ("1025", "1025b"), ("1024k", "1m"), ("1.5g", "1536m"), ("2048t", "2p")];
        table::accepts::<ByteSize, _>(&rows.map(|(a, b)| (a, b.to_owned())), |size| size.to_string());
        assert_eq!(ByteSize::mebibytes(512).to_string(), "512m");
    }

    #[test]
    fn update_knows_zero_and_unlimited() {
        table::accepts(&[("-1", -1), ("0", 0), ("1k", 1024)], SizeOrUnlimited::value);
        table::refuses::<SizeOrUnlimited>(&[("-2", "a size is"), ("", "a size is"), ("max", "a size is")]);
    }
}
