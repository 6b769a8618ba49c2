//! Ids that the host gives a user beside its own: subuid(5), subgid(5). newuidmap(1) and newgidmap(1)
//! map them, and look again whether they are the user's.

use std::io::ErrorKind;

use nix::unistd::{getegid, geteuid};
use sha2::{Digest as _, Sha256};

use super::unpack::{IdMap, Owners};
use crate::error::{Call, Context, Result};
use crate::state::owner;
use crate::types::Digest;

/// What a user may map: itself as root, and its subordinate ids behind that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subordinate {
    /// Users.
    pub uids: Vec<IdMap>,
    /// Groups.
    pub gids: Vec<IdMap>,
}

impl Subordinate {
    /// Of this caller; `None` for root, which needs none, and for who has none of users or of groups.
    ///
    /// # Errors
    /// read(2).
    pub fn of_caller() -> Result<Option<Self>> {
        let (uid, gid) = (geteuid(), getegid());
        if uid.is_root() {
            return Ok(None);
        }
        // subgid(5) has users in front, too.
        let name = owner::name(uid.as_raw())?;
        let names = [name, uid.to_string()];
        let of = |path: &str, own: u32| -> Result<Vec<IdMap>> {
            match std::fs::read(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
                text => Ok(maps(own, ranges(&text.call("read").on(path)?, &names))),
            }
        };
        let both = Self { uids: of("/etc/subuid", uid.as_raw())?, gids: of("/etc/subgid", gid.as_raw())? };
        Ok((both.uids.len() > 1 && both.gids.len() > 1).then_some(both))
    }

    /// For the unpacker.
    pub fn owners(&self) -> Owners {
        Owners::Map { uids: self.uids.clone(), gids: self.gids.clone() }
    }

    /// Whether there is such a user and such groups inside.
    pub fn has(&self, uid: u32, mut gids: impl Iterator<Item = u32>) -> bool {
        let in_one = |maps: &[IdMap], id: u32| {
            maps.iter().any(|map| id.checked_sub(map.inside).is_some_and(|from| from < map.count))
        };
        in_one(&self.uids, uid) && gids.all(|gid| in_one(&self.gids, gid))
    }

    /// What tells these maps from others in the name of a tree: its files have their ids.
    pub fn word(&self) -> String {
        let text = format!("{:?} {:?}", self.uids, self.gids);
        Digest::from_bytes(Sha256::digest(text).into()).hex().chars().take(32).collect()
    }
}

/// First id and count of each range of these names, in the order of the file; no id twice.
fn ranges(text: &[u8], names: &[String]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = vec![];
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    for (first, count) in lines.filter_map(|line| range(line, names)) {
        let overlaps = |(other, size): &(u32, u32)| first < other + size && *other < first + count;
        if !ranges.iter().any(overlaps) {
            ranges.push((first, count));
        }
    }
    ranges
}

fn range(line: &str, names: &[String]) -> Option<(u32, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let mut number = || fields.next()?.trim().parse::<u32>().ok();
    let (first, count) = (number()?, number()?);
    let fits = count > 0 && first > 0 && first.checked_add(count).is_some();
    (names.iter().any(|own| own == name) && fits).then_some((first, count))
}

/// The kernel takes 340 ranges (user_namespaces(7)), and an image has no use for more than 2^17 ids.
fn maps(own: u32, ranges: Vec<(u32, u32)>) -> Vec<IdMap> {
    const MOST_RANGES: usize = 340;
    const MOST: u32 = 1 << 17;
    let mut maps = vec![IdMap { inside: 0, outside: own, count: 1 }];
    let mut inside = 1;
    for (outside, count) in ranges.into_iter().take(MOST_RANGES - 1) {
        let count = count.min(MOST - inside);
        if count > 0 {
            maps.push(IdMap { inside, outside, count });
        }
        inside += count;
    }
    maps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_for_its_user_alone() {
        let names = ["me".to_owned(), "1000".to_owned()];
        let table: [(&str, &[(u32, u32)]); 9] = [
            ("me:100000:65536", &[(100_000, 65536)]),
            ("you:1:1\n1000:200000:10\nme:100000:5", &[(200_000, 10), (100_000, 5)]),
            ("mee:1:1\nm:1:1\n:1:1\n10001:1:1", &[]),
            ("me:100:10\nme:109:1\nme:110:1", &[(100, 10), (110, 1)]),
            ("me:100:0\nme:x:1\nme:1\nme:-1:5", &[]),
            ("me:0:5", &[]),
            ("me:4294967295:1", &[]),
            ("\u{ff}\nme:7:1", &[(7, 1)]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(ranges(text.as_bytes(), &names), expected, "{text:?}");
        }
    }

    #[test]
    fn root_inside_is_the_user_and_the_others_follow() {
        let map = |inside, outside, count| IdMap { inside, outside, count };
        assert_eq!(maps(7, vec![(100, 10), (500, 2)]), [map(0, 7, 1), map(1, 100, 10), map(11, 500, 2)]);
        assert_eq!(maps(7, vec![(100, 1 << 20), (1, 9)]), [map(0, 7, 1), map(1, 100, (1 << 17) - 1)]);
        let both = Subordinate { uids: maps(7, vec![(100, 10)]), gids: maps(8, vec![(300, 20)]) };
        assert!(both.has(10, [0, 20].into_iter()) && !both.has(11, [0].into_iter()));
        assert!(!both.has(0, [0, 21].into_iter()));
        let other = Subordinate { gids: maps(8, vec![(301, 20)]), ..both.clone() };
        assert_ne!(both.word(), other.word());
    }
}
