//! Times as RFC 3339 in UTC with nanoseconds, spelt as Go's RFC3339Nano spells
//! them (no trailing zeros), because callers of runc parse that.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;

/// The present moment.
pub fn now() -> String {
    // A clock before 1970 has no better name than its start.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format(since.as_secs(), since.subsec_nanos())
}

/// The moment `seconds` and `nanoseconds` after the start of 1970.
pub fn format(seconds: u64, nanoseconds: u32) -> String {
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let clock = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    let fraction = format!(".{nanoseconds:09}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The proleptic Gregorian date of a day after 1970-01-01.
///
/// Counted in years that begin in March: then the leap day is the last of its year, and the
/// first day of month m (0 = March) is day (153 m + 2) / 5.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (days / 146_097, days % 146_097); // 400 years
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let in_next_year = u64::from(month >= 10);
    (era * 400 + year_of_era + in_next_year, (month + 2) % 12 + 1, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_their_names() {
        let table = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (0, 1, "1970-01-01T00:00:00.000000001Z"),
            (951_782_399, 0, "2000-02-28T23:59:59Z"),
            (951_782_400, 500_000_000, "2000-02-29T00:00:00.5Z"),
            (951_868_800, 0, "2000-03-01T00:00:00Z"),
            (1_000_000_000, 0, "2001-09-09T01:46:40Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
            (4_107_542_399, 999_999_999, "2100-02-28T23:59:59.999999999Z"),
            (1_795_391_999, 120_000, "2026-11-22T23:59:59.00012Z"),
        ];
        for (seconds, nanoseconds, text) in table {
            assert_eq!(format(seconds, nanoseconds), text);
        }
    }

    #[test]
    fn each_day_is_the_one_after_the_day_before() {
        let mut before = date(0);
        for day in 1..200_000 {
            let (year, month, of_month) = date(day);
            let next_day = (year, month, of_month) == (before.0, before.1, before.2 + 1);
            let next_month = (year, month, of_month) == (before.0, before.1 + 1, 1) && before.2 >= 28;
            let next_year =
                (year, month, of_month) == (before.0 + 1, 1, 1) && (before.1, before.2) == (12, 31);
            assert!(next_day || next_month || next_year, "{before:?} {year}-{month}-{of_month}");
            before = (year, month, of_month);
        }
    }
}
