//! The id maps of a user namespace that exists already: user_namespaces(7).

use std::os::fd::{AsFd, OwnedFd};

use nix::sched::CloneFlags;

use crate::error::{Call, Context, Error, Result};
use crate::plan::{IdMaps, IdRange};
use crate::sys::{self, clone, wait};

/// Reads them through a child that joins the namespace and ends at once: its /proc directory
/// stays until it is reaped.
///
/// # Errors
/// setns(2) into the namespace; /proc.
pub(super) fn of_namespace(user: &OwnedFd) -> Result<IdMaps> {
    let args = clone::CloneArgs { exit_signal: libc::SIGCHLD, ..clone::CloneArgs::default() };
    let (pid, pidfd) = match clone::clone3(&args).call("clone3")? {
        clone::Cloned::Child => {
            // A copy of pinfold with all its descriptors: root of the namespace may not trace it.
            let joined = sys::prctl::set_dumpable(false)
                .and_then(|()| nix::sched::setns(user, CloneFlags::CLONE_NEWUSER));
            clone::exit_now(joined.err().map_or(0, |errno| errno as i32))
        }
        clone::Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    let ended = wait::waitid_pidfd(pidfd.as_fd(), wait::WEXITED | wait::WNOWAIT).call("waitid");
    let maps = ended.and_then(|ended| match ended.map(|ended| ended.status) {
        Some(0) => of_process(pid.as_raw()),
        status => Err(Error::call("setns", nix::errno::Errno::from_raw(status.unwrap_or(0)))),
    });
    let reaped = wait::waitid_pidfd(pidfd.as_fd(), wait::WEXITED).call("waitid");
    let maps = maps?;
    reaped?;
    Ok(maps)
}

/// The maps of a process's user namespace, as this process sees them.
///
/// # Errors
/// /proc/PID, or a text that is no map.
pub fn of_process(pid: i32) -> Result<IdMaps> {
    Ok(IdMaps { uids: read(pid, "uid_map")?, gids: read(pid, "gid_map")? })
}

fn read(pid: i32, name: &str) -> Result<Vec<IdRange>> {
    let path = format!("/proc/{pid}/{name}");
    let file = nix::fcntl::open(
        path.as_str(),
        nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    );
    let file = file.call("open").on(path.clone())?;
    // 340 lines of three numbers at most (user_namespaces(7)).
    let mut text = vec![0_u8; 16 << 10];
    let mut length = 0;
    loop {
        let room = text.get_mut(length..).unwrap_or_default();
        match sys::file::read(file.as_fd(), room).call("read").on(path.clone())? {
            0 => break,
            more => length += more,
        }
    }
    parse(&String::from_utf8_lossy(text.get(..length).unwrap_or_default()))
        .ok_or_else(|| Error::setup("is not a map").object(path))
}

/// The lines of a map file; `None` where it is none.
pub fn parse(text: &str) -> Option<Vec<IdRange>> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().map(|word| word.parse().ok());
        let range = IdRange { inside: words.next()??, outside: words.next()??, size: words.next()?? };
        words.next().is_none().then_some(range)
    };
    text.lines().map(line).collect()
}

/// Whether two maps say the same, in whatever order.
pub(super) fn same(one: &IdMaps, other: &IdMaps) -> bool {
    let sorted = |ranges: &[IdRange]| {
        let mut ranges: Vec<_> =
            ranges.iter().map(|range| (range.inside, range.outside, range.size)).collect();
        ranges.sort_unstable();
        ranges
    };
    sorted(&one.uids) == sorted(&other.uids) && sorted(&one.gids) == sorted(&other.gids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_file_is_read_back() {
        let rows = [
            ("         0       1000          1\n         1     100000      65536\n", Some(2)),
            ("0 0 4294967295\n", Some(1)),
            ("", Some(0)),
            ("0 0\n", None),
            ("0 0 1 2\n", None),
            ("a 0 1\n", None),
        ];
        for (text, ranges) in rows {
            assert_eq!(parse(text).map(|ranges| ranges.len()), ranges, "{text:?}");
        }
    }

    #[test]
    fn the_order_of_ranges_does_not_matter() {
        let range = |inside, outside| IdRange { inside, outside, size: 1 };
        let maps = |uids: &[IdRange]| IdMaps { uids: uids.to_vec(), gids: vec![range(0, 0)] };
        let one = maps(&[range(0, 5), range(1, 9)]);
        assert!(same(&one, &maps(&[range(1, 9), range(0, 5)])));
        assert!(!same(&one, &maps(&[range(0, 5)])));
    }
}
