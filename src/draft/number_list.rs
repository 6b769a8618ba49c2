//! Numbers in the kernel's list format (cpuset(7), "List format"): `0-3,7`.

/// Bit n of the words is number n, up to `last`; absent where the text is no such list.
pub(super) fn mask(text: &str, last: u32) -> Option<Vec<u64>> {
    let mut words = vec![0_u64; usize::try_from(last / 64).ok()? + 1];
    for part in text.split(',').map(str::trim) {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (number(low)?, number(high)?);
        if low > high || high > last {
            return None;
        }
        for number in low..=high {
            *words.get_mut(usize::try_from(number / 64).ok()?)? |= 1 << (number % 64);
        }
    }
    Some(words)
}

/// Digits alone: the standard library would also take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_bits() {
        for (text, bits) in
            [("0", 1_u64), ("0-3,7", 0b1000_1111), ("3,1", 0b1010), ("1, 2", 0b110), ("63", 1 << 63)]
        {
            assert_eq!(mask(text, 63), Some(vec![bits]), "{text}");
        }
        assert_eq!(mask("64", 127), Some(vec![0, 1]));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", ",", "0,", "a", "+1", "-1", "3-1", "1-", "1-2-3", "64", "0x1", "4294967296"] {
            assert_eq!(mask(text, 63), None, "{text}");
        }
    }
}
