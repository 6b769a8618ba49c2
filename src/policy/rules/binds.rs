//! `[[bind]]` as a whole.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::grants::BindGrant;
use crate::error::{Error, Result};

/// All grants of one layer, in the order of the file. There may be hundreds, and a launch wants to know a few: each is
/// kept as its path and as bytes, which are made a grant when somebody asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindGrants {
    /// Of each grant: the length of its path, the path, the length of the rest, the whole grant as postcard has it.
    packed: Vec<u8>,
}

impl BindGrants {
    /// These.
    ///
    /// # Errors
    /// None in practice.
    pub fn of(grants: &[BindGrant]) -> Result<Self> {
        let mut packed = vec![];
        for grant in grants {
            let whole = postcard::to_stdvec(grant).map_err(|error| Error::internal(error.to_string()))?;
            for part in [grant.path.as_os_str().as_bytes(), &whole] {
                let length = u32::try_from(part.len()).map_err(|error| Error::internal(error.to_string()))?;
                packed.extend_from_slice(&length.to_le_bytes());
                packed.extend_from_slice(part);
            }
        }
        Ok(Self { packed })
    }

    /// The grant with the longest path that covers a source.
    pub fn covering(&self, path: &Path) -> Option<BindGrant> {
        let path: PathBuf = path.components().collect();
        let covering = self.parts().filter(|(place, _)| lies_in(&path, place));
        // The first of equals, as a reader would take it. Each holds the other: the longer one is the deeper.
        let longest = covering.reduce(|one, other| if other.0.len() > one.0.len() { other } else { one });
        unpacked(longest?.1)
    }

    /// Each place that is granted.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.parts().map(|(place, _)| Path::new(OsStr::from_bytes(place)))
    }

    /// All of them.
    pub fn all(&self) -> Vec<BindGrant> {
        self.parts().filter_map(|(_, whole)| unpacked(whole)).collect()
    }

    fn parts(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || Some((part(&mut rest)?, part(&mut rest)?)))
    }

    /// Whether it is a whole number of whole grants.
    fn is_whole(&self) -> bool {
        let length = |part: &[u8]| part.len() + size_of::<u32>();
        let held: usize = self.parts().map(|(place, whole)| length(place) + length(whole)).sum();
        held == self.packed.len()
    }
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (part, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part)
}

/// What is damaged grants nothing.
fn unpacked(whole: &[u8]) -> Option<BindGrant> {
    postcard::from_bytes(whole).ok()
}

/// As [`Path::starts_with`], of two paths that are their components and no more.
fn lies_in(path: &Path, place: &[u8]) -> bool {
    match path.as_os_str().as_bytes().strip_prefix(place) {
        Some(rest) => place == b"/" || matches!(rest.first(), None | Some(b'/')),
        None => false,
    }
}

impl Serialize for BindGrants {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.packed)
    }
}

impl<'de> Deserialize<'de> for BindGrants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let read = deserializer.deserialize_bytes(Packed)?;
        if read.is_whole() { Ok(read) } else { Err(D::Error::custom("the grants are cut")) }
    }
}

struct Packed;

impl Visitor<'_> for Packed {
    type Value = BindGrants;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, packed: &[u8]) -> std::result::Result<BindGrants, E> {
        Ok(BindGrants { packed: packed.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::Access;
    use super::*;

    fn grant(line: u32, path: &str) -> BindGrant {
        BindGrant {
            line,
            path: path.into(),
            access: Access::Ro,
            owner: None,
            destinations: None,
            types: vec![libc::S_IFDIR],
            floor: 3,
            hard_links: false,
            cross_mounts: true,
            idmap: false,
        }
    }

    fn grants() -> (Vec<BindGrant>, BindGrants) {
        let list: Vec<_> = ["/srv", "/srv/a/b", "/srv/a", "/srv/a", "/srv/ab"]
            .iter()
            .zip(1..)
            .map(|(path, line)| grant(line, path))
            .collect();
        let packed = BindGrants::of(&list).unwrap();
        (list, packed)
    }

    #[test]
    fn the_deepest_place_decides_and_the_first_of_equals() {
        let (list, packed) = grants();
        assert_eq!(packed.all(), list);
        assert_eq!(packed.places().count(), list.len());
        for (path, line) in [
            ("/srv", Some(1)),
            ("/srv/x", Some(1)),
            ("/srv/a/", Some(3)),
            ("/srv/a/b/c", Some(2)),
            ("/srv/a/bc", Some(3)),
            ("/srv/abc", Some(1)),
            ("/srvx", None),
            ("/", None),
        ] {
            assert_eq!(packed.covering(Path::new(path)).map(|grant| grant.line), line, "{path}");
        }
        let root = BindGrants::of(&[grant(1, "/")]).unwrap();
        assert!(root.covering(Path::new("/any/place")).is_some());
        assert!(BindGrants::default().covering(Path::new("/")).is_none());
    }

    #[test]
    fn what_is_cut_is_an_error() {
        let (_, packed) = grants();
        let bytes = postcard::to_stdvec(&packed).unwrap();
        assert_eq!(postcard::from_bytes::<BindGrants>(&bytes), Ok(packed.clone()));
        let whole: Vec<usize> = packed
            .parts()
            .scan(0, |at, (place, whole)| {
                *at += place.len() + whole.len() + 8;
                Some(*at)
            })
            .collect();
        for end in 1..packed.packed.len() {
            let cut = BindGrants { packed: packed.packed[..end].to_vec() };
            let read = postcard::from_bytes::<BindGrants>(&postcard::to_stdvec(&cut).unwrap());
            assert_eq!(read.is_ok(), whole.contains(&end), "{end}");
        }
    }
}
