//! Which host ids belong to somebody: read once per launch, judged as data.

use std::ops::RangeInclusive;

use nix::errno::Errno;

use crate::error::{Call, Context, Result};
use crate::sys;

/// Ranges of user and group ids that the host has given away.
#[derive(Debug, Default)]
pub(super) struct Reserved(Vec<RangeInclusive<u64>>);

impl Reserved {
    /// Reads the host's own files: the ranges of useradd(8), and every user and group.
    ///
    /// Ids that only a name service knows are not seen; subuid(5) and the files are what
    /// newuidmap(1) itself believes.
    pub(super) fn read() -> Result<Self> {
        let mut reserved = Self::default();
        for (path, columns) in [
            ("/etc/subuid", Columns::Range),
            ("/etc/subgid", Columns::Range),
            ("/etc/passwd", Columns::UserAndGroup),
            ("/etc/group", Columns::Group),
        ] {
            match sys::file::whole(path) {
                Err(Errno::ENOENT) => {}
                read => reserved.add(&read.call("read").on(path)?, columns),
            }
        }
        Ok(reserved)
    }

    /// Whether an id in `wanted` belongs to somebody.
    pub(super) fn touches(&self, wanted: &RangeInclusive<u64>) -> bool {
        self.0.iter().any(|taken| taken.start() <= wanted.end() && wanted.start() <= taken.end())
    }

    fn add(&mut self, text: &[u8], columns: Columns) {
        let lines = text.split(|byte| *byte == b'\n');
        self.0.extend(
            lines.filter_map(|line| std::str::from_utf8(line).ok()).flat_map(|line| columns.of(line)),
        );
    }
}

/// What the columns of a file mean.
#[derive(Debug, Clone, Copy)]
enum Columns {
    /// subuid(5): name:first:count
    Range,
    /// passwd(5): name:password:uid:gid
    UserAndGroup,
    /// group(5): name:password:gid
    Group,
}

impl Columns {
    /// The ranges of one line; one that cannot be read grants nothing to anybody.
    fn of(self, line: &str) -> Vec<RangeInclusive<u64>> {
        let mut numbers = line.split(':').skip(1).map(|field| field.trim().parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let single = |id: Option<u64>| id.map(|id| id..=id);
        match self {
            Self::Range => {
                let range = next().zip(next().filter(|count| *count > 0));
                range.map(|(first, count)| first..=first.saturating_add(count - 1)).into_iter().collect()
            }
            Self::Group => {
                next();
                single(next()).into_iter().collect()
            }
            Self::UserAndGroup => {
                next();
                [single(next()), single(next())].into_iter().flatten().collect()
            }
        }
    }
}

#[cfg(test)]
impl Reserved {
    pub(super) fn of_subuid(text: &str) -> Self {
        let mut reserved = Self::default();
        reserved.add(text.as_bytes(), Columns::Range);
        reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_names_its_ids() {
        let table = [
            (Columns::Range, "alice:100000:65536", vec![100_000..=165_535]),
            (Columns::Range, "1000:1:1", vec![1..=1]),
            (Columns::Range, "alice:100000:0", vec![]),
            (Columns::Range, "alice:18446744073709551615:9", vec![u64::MAX..=u64::MAX]),
            (Columns::Range, "alice:100000", vec![]),
            (Columns::Range, "# comment", vec![]),
            (Columns::Range, "", vec![]),
            (Columns::UserAndGroup, "u:x:7:8:U:/:/bin/sh", vec![7..=7, 8..=8]),
            (Columns::UserAndGroup, "u:x:7:", vec![7..=7]),
            (Columns::UserAndGroup, "+::::", vec![]),
            (Columns::Group, "g:x:9:u,v", vec![9..=9]),
            (Columns::Group, "g:x", vec![]),
        ];
        for (columns, line, ranges) in table {
            assert_eq!(columns.of(line), ranges, "{line:?}");
        }
    }

    #[test]
    fn ranges_touch_at_their_ends_too() {
        let reserved = Reserved::of_subuid("a:100:10\nb:200:1");
        let table =
            [(0..=99, false), (0..=100, true), (109..=150, true), (110..=199, false), (150..=300, true)];
        for (wanted, touches) in table {
            assert_eq!(reserved.touches(&wanted), touches, "{wanted:?}");
        }
    }

    #[test]
    fn the_hosts_own_users_are_seen() {
        assert!(Reserved::read().unwrap().touches(&(0..=0)), "root is in /etc/passwd");
    }
}
