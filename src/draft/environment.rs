//! `process.env`: config.md, "environ semantics".

use std::ffi::CString;

use crate::error::{Error, Result};

/// The entries as they are. One without a name or without `=` is refused, as runc does: no
/// program could read it, and some take it for another's value.
pub(super) fn environment(list: Option<&[String]>) -> Result<Vec<CString>> {
    let one = |(index, entry): (usize, &String)| {
        let field = format!("/process/env/{index}");
        if entry.find('=').is_none_or(|at| at == 0) {
            return Err(Error::usage("an entry is NAME=VALUE").field(field).object(format!("{entry:?}")));
        }
        CString::new(entry.as_bytes()).map_err(|error| Error::usage(error.to_string()).field(field))
    };
    list.unwrap_or_default().iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[test]
    fn an_entry_has_a_name_and_a_value() {
        let rows = [("A=b", true), ("A=", true), ("A=b=c", true), ("A", false), ("=b", false), ("", false)];
        for (entry, good) in rows {
            assert_eq!(environment(Some(&[entry.to_owned()])).is_ok(), good, "{entry}");
        }
    }
}
