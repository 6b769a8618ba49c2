//! Who the process is, its capabilities, and the keyrings that it has.

use std::fs;

use super::Section;
use crate::error::{Call, Context, Error, Result};
use crate::sys;

const STATUS: &str = "/proc/self/status";

/// Ids, the filter's mode, no_new_privs.
pub(super) fn process() -> Result<Section> {
    let status = status()?;
    let seccomp = match field(&status, "Seccomp")? {
        "0" => "none",
        "1" => "strict",
        _ => "filter",
    };
    let mut found = Section::new();
    let mut put = |name: &str, word: &str| found.insert(name.to_owned(), word.to_owned());
    put("uid", first(field(&status, "Uid")?));
    put("gid", first(field(&status, "Gid")?));
    put("groups", field(&status, "Groups")?.trim());
    put("no_new_privs", if field(&status, "NoNewPrivs")? == "1" { "yes" } else { "no" });
    put("seccomp", seccomp);
    Ok(found)
}

/// Each capability that stands in a set, with the sets.
pub(super) fn capabilities() -> Result<Section> {
    let status = status()?;
    let mut found = Section::new();
    for (key, set) in [
        ("CapEff", "effective"),
        ("CapPrm", "permitted"),
        ("CapInh", "inheritable"),
        ("CapBnd", "bounding"),
        ("CapAmb", "ambient"),
    ] {
        let digits = field(&status, key)?;
        let bits = u64::from_str_radix(digits, 16)
            .map_err(|error| Error::setup(error.to_string()).object(format!("{STATUS} {key}")))?;
        for number in (0..64_u8).filter(|number| bits & 1 << number != 0) {
            let name = caps::all().into_iter().find(|cap| cap.index() == number);
            let name = name.map_or_else(|| format!("CAP_{number}"), |cap| cap.to_string());
            let sets: &mut String = found.entry(name).or_default();
            sets.push_str(if sets.is_empty() { "" } else { " " });
            sets.push_str(set);
        }
    }
    Ok(found)
}

/// The session keyring's type, owner and rights, and how many keys can be seen. What the kernel or a
/// filter refuses is not there.
pub(super) fn keyrings() -> Section {
    let mut found = Section::new();
    let mut buffer = [0_u8; 512];
    if let Ok(length) = sys::keyctl::describe_session_keyring(&mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        found.insert("session".to_owned(), super::diff::printable(text.trim_end_matches('\0')));
    }
    let seen = fs::read_to_string("/proc/keys").unwrap_or_default().lines().count();
    if seen > 0 {
        found.insert("seen".to_owned(), format!("{seen} keys"));
    }
    found
}

fn status() -> Result<String> {
    fs::read_to_string(STATUS).call("read").on(STATUS)
}

fn field<'s>(status: &'s str, key: &str) -> Result<&'s str> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.map(str::trim).ok_or_else(|| Error::setup(format!("has no {key}")).object(STATUS))
}

fn first(words: &str) -> &str {
    words.split_whitespace().next().unwrap_or_default()
}
