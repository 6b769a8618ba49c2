//! Which mounts lie below a place: a recursive bind brings them along, so they are judged
//! too. proc_pid_mountinfo(5).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Call, Context, Result};

/// A mount below a pinned object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submount {
    /// Where it is mounted.
    pub place: PathBuf,
    /// The type of its filesystem, as /proc/filesystems has it.
    pub fs_type: String,
}

/// The mounts of this process's mount namespace.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

#[derive(Debug)]
struct Mount {
    id: u64,
    parent: u64,
    what: Submount,
}

impl Mounts {
    /// Reads them.
    pub(super) fn read() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        crate::sys::file::whole(path).call("read").on(path).map(|text| Self::parse(&text))
    }

    fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// Where the mount `id` is mounted.
    pub(super) fn point(&self, id: u64) -> Option<PathBuf> {
        self.0.iter().find(|mount| mount.id == id).map(|mount| mount.what.place.clone())
    }

    /// Those below `place`, an object on the mount `id`. What a later mount covers is none of them.
    pub(super) fn below(&self, id: u64, place: &Path) -> Vec<Submount> {
        let (mut known, mut found) = (BTreeSet::from([id]), vec![]);
        loop {
            let before = known.len();
            for mount in &self.0 {
                let below = mount.what.place != place && mount.what.place.starts_with(place);
                if below && known.contains(&mount.parent) && known.insert(mount.id) {
                    found.push(mount.what.clone());
                }
            }
            if known.len() == before {
                return found;
            }
        }
    }
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ');
        let (id, parent) = (number(words.next()?)?, number(words.next()?)?);
        let place = PathBuf::from(OsString::from_vec(unescape(words.nth(2)?)));
        // The optional fields end with a word of one hyphen.
        let fs_type = words.skip_while(|word| *word != b"-").nth(1)?;
        let fs_type = String::from_utf8_lossy(fs_type).into_owned();
        Some(Self { id, parent, what: Submount { place, fs_type } })
    }
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Space, tab, line break and backslash stand as three octal digits behind a backslash.
fn unescape(word: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (vec![], word);
    while let [first, tail @ ..] = rest {
        rest = tail;
        let octal = match (first, tail) {
            (b'\\', [a, b, c, after @ ..]) => octal([*a, *b, *c]).map(|byte| (byte, after)),
            _ => None,
        };
        match octal {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => bytes.push(*first),
        }
    }
    bytes
}

fn octal(digits: [u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
20 1 0:1 / / rw - ext4 /dev/a rw
21 20 0:2 / /proc rw shared:3 master:1 - proc proc rw
22 20 0:3 / /srv rw - ext4 /dev/b rw
23 22 0:4 / /srv/a\\040b rw - tmpfs tmpfs rw
25 24 0:6 / /srv/covered/x rw - sysfs sysfs rw
24 22 0:5 / /srv/covered rw - ext4 /dev/c rw
26 22 0:7 / /srv/covered rw - ext4 /dev/d rw
27 20 0:8 / /srvother rw - proc proc rw
garbage
";

    fn below(id: u64, place: &str) -> Vec<String> {
        let mounts = Mounts::parse(TEXT.as_bytes());
        let found = mounts.below(id, Path::new(place));
        found.iter().map(|mount| format!("{} {}", mount.fs_type, mount.place.display())).collect()
    }

    #[test]
    fn what_is_mounted_below_is_found_in_any_order() {
        let covered = ["ext4 /srv/covered", "ext4 /srv/covered", "sysfs /srv/covered/x"];
        assert_eq!(below(22, "/srv")[..3], ["tmpfs /srv/a b", "ext4 /srv/covered", "ext4 /srv/covered"]);
        assert_eq!(below(22, "/srv").len(), 4, "with what lies below a covered one: {covered:?}");
        assert_eq!(below(20, "/").len(), 7);
    }

    #[test]
    fn neither_beside_nor_beneath_the_cover() {
        assert!(below(26, "/srv/covered").is_empty(), "the upper of two");
        assert_eq!(below(24, "/srv/covered"), ["sysfs /srv/covered/x"]);
        assert!(below(22, "/srv/covere").is_empty());
        assert!(below(20, "/pro").is_empty());
    }
}
