//! Where the hierarchies are mounted, from /proc/self/mountinfo (proc_pid_mountinfo(5)). Pure.

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    /// The mount point, octal escapes undone.
    pub path: String,
    /// `major:minor` of the filesystem, as a dev_t.
    pub device: u64,
    /// The v1 controllers, or empty for cgroup2.
    pub controllers: Vec<String>,
    /// Whether it is the unified hierarchy.
    pub unified: bool,
}

/// What is joined of v1: the controllers of the kernel, and systemd's named hierarchy as runc does.
/// Other named hierarchies belong to other software.
const LEGACY: [&str; 15] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
    "name=systemd",
];

/// The hierarchies in `mountinfo`: each once, the mount below /sys/fs/cgroup preferred, of
/// several on one mount point the last, which covers the others.
pub(super) fn hierarchies(mountinfo: &str) -> Vec<Mounted> {
    let mut found: Vec<Mounted> = vec![];
    for mounted in mountinfo.lines().filter_map(parse) {
        let at = found.iter().position(|known| known.device == mounted.device);
        match at.and_then(|at| found.get_mut(at)) {
            None => found.push(mounted),
            Some(known) if !usual(known) && usual(&mounted) => *known = mounted,
            Some(_) => {}
        }
    }
    let covered: Vec<bool> = found
        .iter()
        .enumerate()
        .map(|(at, one)| found.iter().skip(at + 1).any(|later| later.path == one.path))
        .collect();
    found.into_iter().zip(covered).filter(|(_, covered)| !covered).map(|(one, _)| one).collect()
}

/// The mount points of a filesystem type, the last of several on one place first.
pub(super) fn of_type(mountinfo: &str, wanted: &str) -> Vec<String> {
    let path = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        (filesystem.split(' ').next() == Some(wanted)).then(|| unescape(mount.split(' ').nth(4)?)).flatten()
    };
    mountinfo.lines().rev().filter_map(path).collect()
}

fn usual(mounted: &Mounted) -> bool {
    mounted.path.starts_with("/sys/fs/cgroup")
}

fn parse(line: &str) -> Option<Mounted> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ');
    let device = device(mount.nth(2)?)?;
    let path = unescape(mount.nth(1)?)?;
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?;
    let options = filesystem.nth(1)?;
    let controllers: Vec<String> =
        options.split(',').filter(|option| LEGACY.contains(option)).map(str::to_owned).collect();
    match kind {
        "cgroup2" => Some(Mounted { path, device, controllers: vec![], unified: true }),
        "cgroup" if !controllers.is_empty() => Some(Mounted { path, device, controllers, unified: false }),
        _ => None,
    }
}

fn device(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    Some(nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// Space, tab, line break and backslash stand as three octal digits behind a backslash.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [a, b, c, after @ ..]) => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&[*a, *b, *c]).ok()?, 8).ok()?);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(mountinfo: &str) -> Vec<(String, Vec<String>, bool)> {
        hierarchies(mountinfo).into_iter().map(|one| (one.path, one.controllers, one.unified)).collect()
    }

    #[test]
    fn a_hybrid_machine() {
        let text = "\
24 1 0:22 / / rw shared:1 - ext4 /dev/vda rw
30 24 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw,nsdelegate
31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 24 0:29 / /sys/fs/cgroup/elogind rw - cgroup cgroup rw,name=elogind
34 24 0:30 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
";
        assert_eq!(
            paths(text),
            [
                ("/sys/fs/cgroup/unified".into(), vec![], true),
                ("/sys/fs/cgroup/cpu,cpuacct".into(), vec!["cpu".into(), "cpuacct".into()], false),
                ("/sys/fs/cgroup/systemd".into(), vec!["name=systemd".into()], false),
            ]
        );
    }

    #[test]
    fn each_hierarchy_once_and_the_uncovered_one() {
        let text = "\
40 24 0:27 /x /srv/root/sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
41 24 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
42 24 0:27 / /mnt/pids rw - cgroup cgroup rw,pids
43 24 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
44 24 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,freezer
";
        assert_eq!(
            paths(text),
            [
                ("/sys/fs/cgroup/pids".into(), vec!["pids".into()], false),
                ("/sys/fs/cgroup/memory".into(), vec!["freezer".into()], false),
            ]
        );
    }

    #[test]
    fn odd_lines() {
        let text = "\
40 24 0:27 / /mnt/a\\040b\\134 rw - cgroup2 none rw
41 24 0:x / /mnt rw - cgroup2 none rw
42 24 0:28 / /mnt/\\999 rw - cgroup2 none rw
garbage
";
        assert_eq!(paths(text), [("/mnt/a b\\".into(), vec![], true)]);
    }
}
