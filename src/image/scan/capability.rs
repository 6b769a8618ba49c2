//! The value of `security.capability`: struct vfs_cap_data, linux/capability.h.

/// VFS_CAP_FLAGS_EFFECTIVE.
const EFFECTIVE: u32 = 1;

/// The permitted capabilities, and whether the program has them at once.
pub(super) fn shown(value: &[u8]) -> String {
    let word = |at: usize| {
        let bytes = value.get(at * 4..at * 4 + 4)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    };
    let (Some(magic), Some(low)) = (word(0), word(1)) else { return "of an unknown form".to_owned() };
    // Version 1 has 32 capabilities only.
    let high = if magic >> 24 > 1 { word(3).unwrap_or(0) } else { 0 };
    let permitted = u64::from(low) | u64::from(high) << 32;
    let names: Vec<_> = (0..64).filter(|bit| permitted >> bit & 1 == 1).map(name).collect();
    let when = if magic & EFFECTIVE == EFFECTIVE { "effective" } else { "permitted" };
    match names.is_empty() {
        true => format!("none {when}"),
        false => format!("{} {when}", names.join(" ")),
    }
}

fn name(bit: u32) -> String {
    let known = caps::all().into_iter().find(|known| u32::from(known.index()) == bit);
    known.map_or_else(|| format!("capability {bit}"), |known| known.to_string())
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn sets_are_named() {
        let version_2 = |low: u32, high: u32| {
            let words = [0x0200_0001, low, 0, high, 0];
            words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect::<Vec<_>>()
        };
        assert_eq!(shown(&version_2(1 << 13, 0)), "CAP_NET_RAW effective");
        assert_eq!(shown(&version_2(1, 1 << 31)), "CAP_CHOWN capability 63 effective");
        assert_eq!(shown(&[0, 0, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0]), "CAP_NET_BIND_SERVICE permitted");
        assert_eq!(
            (shown(&version_2(0, 0)).as_str(), shown(b"odd").as_str()),
            ("none effective", "of an unknown form")
        );
    }
}
