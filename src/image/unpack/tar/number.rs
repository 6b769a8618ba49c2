//! Numbers of headers: octal text, GNU's base-256, and the decimals of pax records.

/// A numeric field: octal between blanks and NULs, or base-256 in two's complement when the
/// first bit is set. An empty field is 0. `None`: it is neither, or more than 63 bits.
pub(super) fn field(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => base_256(bytes),
        _ => octal(bytes),
    }
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let digits = bytes.get(start..)?;
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if !rest.iter().all(blank) {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn base_256(bytes: &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    // Bit 6 is the sign; bit 7 only says that this is no text.
    let negative = first & 0x40 != 0;
    let high = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
    let value = rest.iter().try_fold(high, |value, byte| {
        // Twelve bytes are 95 bits.
        value.checked_mul(256)?.checked_add(i128::from(*byte))
    })?;
    i64::try_from(value).ok()
}

/// Decimal digits and nothing else, in 63 bits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = std::str::from_utf8(text).ok()?.parse::<u64>().ok()?;
    (value <= i64::MAX.unsigned_abs()).then_some(value)
}

/// An id that the kernel can set: 2^32-1 would mean "leave as it is".
pub(super) fn id(value: u64) -> Option<u32> {
    u32::try_from(value).ok().filter(|id| *id != u32::MAX)
}

/// A time of a pax record, `[-]SECONDS[.FRACTION]`, rounded down to nanoseconds.
pub(super) fn time(text: &[u8]) -> Option<(i64, i64)> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut halves = digits.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(halves.next()?)?).ok()?;
    let fraction = halves.next().unwrap_or(b"0");
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| i64::from(fraction.get(place).map_or(0, |digit| digit - b'0'));
    let nanoseconds = (0..9).fold(0, |value, place| value * 10 + digit(place));
    let rest = fraction.iter().skip(9).any(|digit| *digit != b'0');
    match (negative, nanoseconds + i64::from(negative && rest)) {
        (false, _) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        (true, below) => Some((-seconds - 1, 1_000_000_000 - below)),
    }
}
