//! `process.env`: config.md, "environ semantics".

use std::ffi::CString;

use crate::error::{Error, Result};

/// One without a name or without `=` is refused, as runc does: no program could read it, and some
/// take it for another's value. Of two with one name the last stays, as with runc: getenv(3) would
/// find the first, and flags such as `exec --env` come last.
pub(super) fn environment(list: Option<&[String]>) -> Result<Vec<CString>> {
    let mut all: Vec<CString> = vec![];
    for (index, entry) in list.unwrap_or_default().iter().enumerate() {
        let field = format!("/process/env/{index}");
        let Some((name, _)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::usage("an entry is NAME=VALUE").field(field).object(format!("{entry:?}")));
        };
        let prefix = format!("{name}=");
        all.retain(|other| !other.to_bytes().starts_with(prefix.as_bytes()));
        all.push(
            CString::new(entry.as_bytes()).map_err(|error| Error::usage(error.to_string()).field(field))?,
        );
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[test]
    fn the_last_of_a_name_stays() {
        let list = ["A=1", "AB=2", "A=3"].map(str::to_owned);
        assert_eq!(environment(Some(&list)).unwrap(), [c"AB=2".to_owned(), c"A=3".to_owned()]);
    }

    #[test]
    fn an_entry_has_a_name_and_a_value() {
        let rows = [("A=b", true), ("A=", true), ("A=b=c", true), ("A", false), ("=b", false), ("", false)];
        for (entry, good) in rows {
            assert_eq!(environment(Some(&[entry.to_owned()])).is_ok(), good, "{entry}");
        }
    }
}
