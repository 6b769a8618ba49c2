//! Lengths of time: `500ms`, `30s`, `5m`, `1h30m`; a bare number is seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::decimal::{Flaw, scaled, split_unit};
use super::refused;
use crate::error::{Error, Result};

const SECOND: u64 = 1_000_000_000;
const UNITS: &[(&str, u64)] = &[
    ("us", SECOND / 1_000_000),
    ("ms", SECOND / 1000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
    ("d", 24 * 3600 * SECOND),
];
/// A year's limit keeps every sum with a clock far from overflow.
const LONGEST: u64 = 366 * 24 * 3600 * SECOND;

/// A length of time, longer than nothing and up to 366 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// `count` seconds, at least one; for the defaults of options.
    pub const fn seconds(count: u16) -> Self {
        Self(Duration::from_secs(if count == 0 { 1 } else { count as u64 }))
    }

    /// The span as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// The sum of all number-and-unit pairs, in nanoseconds.
fn nanoseconds(text: &str) -> std::result::Result<u64, Flaw> {
    let (number, unit) = split_unit(text);
    if unit.is_empty() {
        return scaled(number, SECOND);
    }
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let (number, tail) = split_unit(rest);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(Flaw::Malformed)?;
        total = total.checked_add(scaled(number, *length)?).ok_or(Flaw::TooLarge)?;
        rest = next;
    }
    Ok(total)
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match nanoseconds(text) {
            Ok(0) => Err(refused(text, "a time must be greater than zero")),
            Ok(nanoseconds @ 1..=LONGEST) => Ok(Self(Duration::from_nanos(nanoseconds))),
            Ok(_) | Err(Flaw::TooLarge) => Err(refused(text, "a time must be at most 366 days")),
            Err(Flaw::Malformed) => Err(refused(
                text,
                "a time is a positive number with us, ms, s, m, h or d behind it (seconds without a unit), \
                 such as 500ms, 30s or 1h30m",
            )),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let whole = UNITS.iter().rev().find(|(_, length)| nanoseconds.is_multiple_of(u128::from(*length)));
        match whole {
            Some((unit, length)) => write!(f, "{}{unit}", nanoseconds / u128::from(*length)),
            None => write!(f, "{}.{:03}us", nanoseconds / 1000, nanoseconds % 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_bare_number_is_seconds_and_units_add_up() {
        let rows = [
            ("1", 1000),
            ("0.5", 500),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1h30m", 5_400_000),
            ("1m0.5s", 60_500),
            ("2000us", 2),
            ("1.5s", 1500),
            ("366d", 366 * 86_400_000),
        ];
        table::accepts::<Span, _>(&rows, |span| span.duration().as_millis());
    }

    #[test]
    fn zero_overflow_and_foreign_units_are_refused() {
        table::refuses::<Span>(&[
            ("0", "greater than zero"),
            ("0ms", "greater than zero"),
            ("0h0m", "greater than zero"),
            ("367d", "366 days"),
            ("366d1s", "366 days"),
            ("99999999999999999999", "366 days"),
            ("18446744073709551615h", "366 days"),
            ("", "a time is"),
            ("s", "a time is"),
            ("-1", "a time is"),
            ("-5s", "a time is"),
            ("+5s", "a time is"),
            ("5 s", "a time is"),
            ("5S", "a time is"),
            ("5sec", "a time is"),
            ("5min", "a time is"),
            ("1h30", "a time is"),
            ("1e3", "a time is"),
            ("inf", "a time is"),
        ]);
    }

    #[test]
    fn a_time_is_printed_with_the_largest_unit_that_is_exact() {
        let rows = [("90", "90s"), ("120", "2m"), ("0.5", "500ms"), ("1h30m", "90m"), ("1us", "1us")];
        table::accepts::<Span, _>(&rows.map(|(a, b)| (a, b.to_owned())), |span| span.to_string());
    }
}
