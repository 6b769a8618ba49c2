//! Names as an archive says them, and as messages show them.

/// The name below the root: without leading, doubled and trailing slashes and without `.`.
/// Empty is the root. `None`: a component is `..`.
pub(super) fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let mut clean = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return None,
            _ => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(component);
            }
        }
    }
    Some(clean)
}

/// For a message: control characters, quotes and what is no UTF-8 are escaped, and a long
/// name is cut.
pub fn escaped(name: &[u8]) -> String {
    const SHOWN: usize = 200;
    let mut text = String::new();
    for chunk in name.get(..SHOWN).unwrap_or(name).utf8_chunks() {
        chunk.valid().escape_debug().for_each(|letter| text.push(letter));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    if name.len() > SHOWN { format!("{text}...") } else { text }
}
