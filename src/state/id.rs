//! Which container ids may become a directory name: those that runc accepts.

use crate::error::{Error, Result};

/// NAME_MAX of Linux: an id is one file name.
const LONGEST: usize = 255;

/// Letters, digits and `_+-.`, except `.` and `..`; runc's words when it is anything else.
pub(super) fn check(id: &str) -> Result<()> {
    let letters = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte));
    if letters && !matches!(id, "" | "." | "..") && id.len() <= LONGEST {
        return Ok(());
    }
    Err(Error::usage("invalid container ID format").object(format!("{id:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_plain_file_name() {
        let longest = "a".repeat(LONGEST);
        let longer = "a".repeat(LONGEST + 1);
        let table = [
            ("a", true),
            ("web-1.2_x+y", true),
            (".hidden", true),
            ("...", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("/", false),
            ("@id-ranges", false),
            ("a b", false),
            ("a,b", false),
            ("a\0", false),
            ("ä", false),
        ];
        for (id, good) in table {
            assert_eq!(check(id).is_ok(), good, "{id:?}");
        }
    }
}
