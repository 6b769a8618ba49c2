//! Decimal numbers without floating point: what was typed times a unit, exactly.

/// Why a number could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is not `123`, `1.5` or `.5`.
    Malformed,
    /// Its value does not fit.
    TooLarge,
}

/// More digits than any unit here can use.
const DIGITS: usize = 18;

/// `text` times `unit`, rounded down. Only ASCII digits and one point: no sign, no exponent.
pub(super) fn scaled(text: &str, unit: u64) -> Result<u64, Flaw> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(Flaw::Malformed),
        None if text.is_empty() => return Err(Flaw::Malformed),
        None => (text, ""),
    };
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(Flaw::Malformed);
    }
    let whole = times(digits(whole).ok_or(Flaw::TooLarge)?, unit).ok_or(Flaw::TooLarge)?;
    let part = fraction_of(fraction, unit).ok_or(Flaw::Malformed)?;
    whole.checked_add(part).ok_or(Flaw::TooLarge)
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

fn times(number: u64, unit: u64) -> Option<u64> {
    number.checked_mul(unit)
}

/// `0.fraction` of `unit`; nothing for more digits than 64 bits can hold.
fn fraction_of(fraction: &str, unit: u64) -> Option<u64> {
    if fraction.len() > DIGITS {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    u64::try_from(u128::from(digits(fraction)?) * u128::from(unit) / scale).ok()
}

/// Splits a number from the letters that follow it.
pub(super) fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_scaled_exactly() {
        let rows = [
            ("0", 1024, Ok(0)),
            ("1.5", 1024, Ok(1536)),
            (".5", 1000, Ok(500)),
            ("0.1", 1_000_000_000, Ok(100_000_000)),
            ("0.0009", 1000, Ok(0)),
            ("18446744073709551615", 1, Ok(u64::MAX)),
            ("18446744073709551616", 1, Err(Flaw::TooLarge)),
            ("18446744073709551615", 2, Err(Flaw::TooLarge)),
            ("18446744073709551615.9", 2, Err(Flaw::TooLarge)),
            ("", 1, Err(Flaw::Malformed)),
            (".", 1, Err(Flaw::Malformed)),
            ("1.", 1, Err(Flaw::Malformed)),
            ("1.2.3", 1, Err(Flaw::Malformed)),
            ("-1", 1, Err(Flaw::Malformed)),
            ("+1", 1, Err(Flaw::Malformed)),
            ("1e3", 1, Err(Flaw::Malformed)),
            ("٣", 1, Err(Flaw::Malformed)),
            ("0.0000000000000000001", 1, Err(Flaw::Malformed)),
        ];
        for (text, unit, expected) in rows {
            assert_eq!(scaled(text, unit), expected, "{text:?} x {unit}");
        }
    }
}
