//! The check from outside: what the kernel says of the waiting child, through its
//! /proc/PID directory, against the Plan. The child does not check itself: it may have
//! no /proc, and must not trust the container's. proc(5).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use super::start::proc_directory;
use super::{Assembled, labels};
use crate::error::{Call, Context, Error, Result};
use crate::plan::{Expected, ExpectedMount, Plan, Step};
use crate::sys;

/// What of a child can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Everything.
    All,
    /// What the kernel shows of a process that is not dumpable to one without privilege.
    Status,
}

/// Compares; the first difference is the error.
///
/// # Errors
/// Kind `SetupFailed`, naming the control that is not as planned.
pub(super) fn check(plan: &Plan, child: &Assembled, seen: Seen) -> Result<()> {
    let proc = proc_directory(child)?;
    let expected = &plan.expected;
    check_status(expected, &read(proc.as_fd(), "status")?)?;
    labels::check(&expected.labels, |name| read(proc.as_fd(), name))?;
    if seen == Seen::Status {
        return Ok(());
    }
    check_namespaces(expected, proc.as_fd())?;
    if let Some(mode) = expected.memory_policy {
        check_memory_policy(mode, &read(proc.as_fd(), "numa_maps")?)?;
    }
    let pivots = plan.steps.iter().any(|planned| matches!(planned.step, Step::Pivot));
    // Who joins a container makes no mount, and has nothing to compare.
    if pivots || !expected.mounts.is_empty() {
        let mountinfo = read(proc.as_fd(), "mountinfo")?;
        if pivots {
            check_root_is_alone(&mountinfo)?;
        }
        check_mounts(expected, &mountinfo, |place| mount_at(proc.as_fd(), place))?;
    }
    check_descriptors(&plan.keep_fds, proc.as_fd(), child.pidfd.as_fd())
}

pub(super) fn differs(
    control: &str,
    planned: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Error {
    Error::setup(format!("self-check: {control} is {found}, planned was {planned}")).step("check")
}

/// Reads a whole file of the child's directory; bounded, because a container can have
/// many mounts.
fn read(proc: BorrowedFd<'_>, name: &str) -> Result<String> {
    const LIMIT: usize = 16 << 20;
    let file = nix::fcntl::openat(proc, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .call("openat")
        .on(format!("/proc/PID/{name}"))?;
    let mut text = vec![];
    let mut buffer = [0_u8; 4096];
    loop {
        match sys::file::read(file.as_fd(), &mut buffer).call("read").on(format!("/proc/PID/{name}"))? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            length => text.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
        if text.len() > LIMIT {
            return Err(Error::setup("is larger than 16 MiB").object(format!("/proc/PID/{name}")));
        }
    }
}

fn check_status(expected: &Expected, status: &str) -> Result<()> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
            .ok_or_else(|| Error::setup(format!("self-check: no `{name}` in /proc/PID/status")))
    };
    for (name, id) in [("Uid", expected.uid), ("Gid", expected.gid)] {
        let found = field(name)?;
        if !found.split_whitespace().all(|word| word == id.to_string()) {
            return Err(differs(name, id, found));
        }
    }
    if let Some(groups) = &expected.groups {
        let mut planned: Vec<u32> = groups.clone();
        let mut found: Vec<u32> =
            field("Groups")?.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        planned.sort_unstable();
        found.sort_unstable();
        planned.dedup();
        found.dedup();
        if planned != found {
            return Err(differs("Groups", format!("{planned:?}"), format!("{found:?}")));
        }
    }
    let sets = [
        ("CapInh", expected.caps.inheritable),
        ("CapPrm", expected.caps.permitted),
        ("CapEff", expected.caps.effective),
        ("CapBnd", expected.bounding),
        ("CapAmb", expected.ambient),
    ];
    for (name, mask) in sets {
        let found = u64::from_str_radix(field(name)?, 16).unwrap_or(u64::MAX);
        if found != mask {
            return Err(differs(name, format!("{mask:016x}"), format!("{found:016x}")));
        }
    }
    let flags = [
        ("NoNewPrivs", if expected.no_new_privs { "1" } else { "0" }),
        ("Seccomp", if expected.seccomp_early { "2" } else { "0" }),
    ];
    for (name, planned) in flags {
        let found = field(name)?;
        // pinfold itself may run under no_new_privs or a filter: more is never less.
        if found != planned && planned != "0" {
            return Err(differs(name, planned, found));
        }
    }
    Ok(())
}

fn check_namespaces(expected: &Expected, proc: BorrowedFd<'_>) -> Result<()> {
    let own =
        nix::fcntl::open("/proc/self", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .call("open")
            .on("/proc/self")?;
    let inode = |directory: BorrowedFd<'_>, name: &str| {
        let path = format!("ns/{name}");
        sys::nsfs::linked(directory, &path).call("readlinkat").on(format!("/proc/PID/{path}"))
    };
    for (name, planned) in &expected.joined_namespaces {
        let found = inode(proc, name)?;
        if found != *planned {
            return Err(differs("namespace", format!("{name} {planned}"), found));
        }
    }
    for name in &expected.new_namespaces {
        if inode(proc, name)? == inode(own.as_fd(), name)? {
            return Err(differs("namespace", format!("a new {name}"), "the host's"));
        }
    }
    Ok(())
}

/// A mapping without a policy of its own shows the task's: numa(7), /proc/PID/numa_maps.
fn check_memory_policy(mode: i32, numa_maps: &str) -> Result<()> {
    let names = ["default", "prefer", "bind", "interleave", "local", "prefer (many)", "weighted interleave"];
    let planned = usize::try_from(mode).ok().and_then(|mode| names.get(mode)).copied().unwrap_or_default();
    let found = numa_maps.lines().next().and_then(|line| line.split_once(' ')).map_or("", |(_, rest)| rest);
    let shown = |name: &str| {
        found.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '=', ' ']) || rest.is_empty())
    };
    // A preference for no node is that for the CPU's own (set_mempolicy(2)).
    match shown(planned) || (planned == "prefer" && shown("local")) {
        true => Ok(()),
        false => Err(differs("the NUMA policy", planned, found)),
    }
}

/// What lies on the root is where `/..` leads, and the root of who joins the mount namespace: after the pivot
/// it could only be the host's.
fn check_root_is_alone(mountinfo: &str) -> Result<()> {
    match mountinfo.lines().filter_map(MountLine::parse).filter(|line| line.place == "/").count() {
        1 => Ok(()),
        roots => Err(differs("what is mounted at /", 1, roots)),
    }
}

/// `at` tells the id of the mount that a path of the container leads to.
fn check_mounts(
    expected: &Expected,
    mountinfo: &str,
    at: impl Fn(&str) -> Result<Option<u64>>,
) -> Result<()> {
    let lines: Vec<MountLine> = mountinfo.lines().filter_map(MountLine::parse).collect();
    for (index, planned) in expected.mounts.iter().enumerate() {
        let later = expected.mounts.get(index + 1..).unwrap_or_default();
        if later.iter().any(|later| hides(later, planned)) {
            continue;
        }
        let here: Vec<_> = lines.iter().filter(|line| line.place == planned.destination).collect();
        let found = match here.as_slice() {
            [only] => Some(*only),
            // Several lie on each other (the file is in the order of their making), or a link of
            // the image is on the way (/var/run is one to /run): the path itself tells.
            _ => {
                let id = at(&planned.destination)?;
                lines.iter().find(|line| Some(line.id) == id)
            }
        };
        let found = found.ok_or_else(|| differs("mount", &planned.destination, "absent"))?;
        check_mount(planned, found)?;
    }
    Ok(())
}

/// Whether a later mount covers an earlier one. The root, which comes last, covers nothing.
fn hides(later: &ExpectedMount, earlier: &ExpectedMount) -> bool {
    later.destination != "/" && Path::new(&earlier.destination).starts_with(&later.destination)
}

/// The id of the mount whose root lies at this path of the child's root, links followed in it.
fn mount_at(proc: BorrowedFd<'_>, place: &str) -> Result<Option<u64>> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root =
        nix::fcntl::openat(proc, "root", directory, Mode::empty()).call("openat").on("/proc/PID/root")?;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match sys::openat2::openat2(&root, place, how) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        found => {
            let found = found.call("openat2").on(place)?;
            sys::statmount::statx_mount_root(found.as_fd()).call("statx").on(place)
        }
    }
}

fn check_mount(planned: &ExpectedMount, found: &MountLine) -> Result<()> {
    let wanted = [
        (planned.readonly, "ro"),
        (planned.nosuid, "nosuid"),
        (planned.nodev, "nodev"),
        (planned.noexec, "noexec"),
    ];
    for (wanted, option) in wanted {
        if wanted && !found.options.iter().any(|have| have == option) {
            return Err(differs(&format!("mount {}", planned.destination), option, found.options.join(",")));
        }
    }
    Ok(())
}

/// One line of mountinfo: proc_pid_mountinfo(5).
struct MountLine {
    id: u64,
    place: String,
    options: Vec<String>,
}

impl MountLine {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next()?.parse().ok()?;
        let mut words = words.skip(3);
        let place = unescape(words.next()?);
        let options = words.next()?.split(',').map(str::to_owned).collect();
        Some(Self { id, place, options })
    }
}

/// Space, tab, newline and backslash are written in octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Nothing but the streams and what the Plan names may be open: sockets, a memfd, a ruleset.
/// None of it may be a directory: it would be a way out of the root, also where nothing in
/// it can be opened (CVE-2016-9962, CVE-2024-21626; Landlock stops neither stat nor chmod).
fn check_descriptors(kept: &[u32], proc: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let open = match nix::fcntl::openat(proc, "fd", flags, Mode::empty()) {
        // A user's program with a subordinate id: the directory is its own. The descriptors are not.
        Err(Errno::EACCES) => fetched(proc, pidfd)?,
        directory => listed(proc, directory.call("openat").on("/proc/PID/fd")?)?,
    };
    match open.iter().find(|(number, _)| !kept.contains(number)) {
        Some((number, _)) => Err(differs("open descriptors", format!("{kept:?}"), format!("also {number}"))),
        None => open.into_iter().try_for_each(refuse_directory),
    }
}

/// Each open descriptor with the mode of what it is open on.
type Open = Vec<(u32, u32)>;

fn listed(proc: BorrowedFd<'_>, directory: OwnedFd) -> Result<Open> {
    let mut entries = nix::dir::Dir::from_fd(directory).call("fdopendir")?;
    let mut open = vec![];
    for entry in entries.iter() {
        let entry = entry.call("getdents")?;
        let Some(number) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let link = format!("fd/{number}");
        let stat = nix::sys::stat::fstatat(proc, link.as_str(), AtFlags::empty());
        open.push((number, stat.call("newfstatat").on(format!("/proc/PID/{link}"))?.st_mode));
    }
    Ok(open)
}

/// Who made the child's user namespace may trace what is in it, and so fetch what it has open.
fn fetched(proc: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> Result<Open> {
    let status = read(proc, "status")?;
    let slots = status.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse::<i32>().ok());
    let slots = slots.ok_or_else(|| Error::setup("self-check: no `FDSize` in /proc/PID/status"))?;
    let mut open = vec![];
    for number in 0..slots {
        match sys::pidfd::pidfd_getfd(pidfd, number) {
            Err(Errno::EBADF) => {}
            fetched => {
                let fetched = fetched.call("pidfd_getfd").on(format!("descriptor {number}"))?;
                open.push((number.cast_unsigned(), sys::file::stat(fetched.as_fd()).call("fstat")?.mode));
            }
        }
    }
    Ok(open)
}

fn refuse_directory((number, mode): (u32, u32)) -> Result<()> {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => {
            Err(Error::setup("is an open directory of the host: the program could leave its root through it")
                .object(format!("descriptor {number}"))
                .hint("hand on files, pipes or sockets; redirect a stream that is not needed from /dev/null"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "36 35 98:0 /mnt1 /mnt\\0402 ro,nosuid,noatime master:1 - ext3 /dev/root rw,errors=continue";

    fn planned(readonly: bool, nodev: bool) -> Expected {
        let destination = "/mnt 2".to_owned();
        let mount = ExpectedMount { destination, readonly, nosuid: true, nodev, noexec: false };
        Expected { mounts: vec![mount], ..Expected::default() }
    }

    fn nowhere(_place: &str) -> Result<Option<u64>> {
        Ok(None)
    }

    #[test]
    fn a_mount_with_all_its_flags_passes() {
        assert!(check_mounts(&planned(true, false), LINE, nowhere).is_ok());
    }

    #[test]
    fn a_missing_flag_or_mount_is_a_difference() {
        assert!(check_mounts(&planned(true, true), LINE, nowhere).is_err());
        assert!(check_mounts(&planned(true, false), "", nowhere).is_err());
    }

    #[test]
    fn a_mount_behind_a_link_is_known_by_its_id() {
        let elsewhere = LINE.replace("/mnt\\0402", "/run/mnt");
        assert!(check_mounts(&planned(true, false), &elsewhere, nowhere).is_err());
        for (id, found) in [(36, true), (35, false)] {
            assert_eq!(check_mounts(&planned(true, false), &elsewhere, |_| Ok(Some(id))).is_ok(), found);
        }
    }

    #[test]
    fn nothing_lies_on_the_root() {
        let root = "36 35 98:0 / / ro - tmpfs none rw";
        check_root_is_alone(&format!("{root}\n{LINE}")).unwrap();
        for text in [format!("{root}\n37 36 254:0 / / rw - ext4 /dev/vda rw\n{LINE}"), LINE.to_owned()] {
            assert!(check_root_is_alone(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn of_several_the_one_that_is_seen_counts() {
        let two = format!("{LINE}\n37 36 0:5 / /mnt\\0402 rw,nosuid - tmpfs none rw");
        for (seen, passes) in [(36, true), (37, false)] {
            assert_eq!(check_mounts(&planned(true, false), &two, |_| Ok(Some(seen))).is_ok(), passes);
        }
        assert!(check_mounts(&planned(true, false), &two, nowhere).is_err());
    }

    #[test]
    fn what_a_later_mount_covers_is_not_looked_for() {
        let mount = |destination: &str, readonly| ExpectedMount {
            destination: destination.to_owned(),
            readonly,
            nosuid: false,
            nodev: false,
            noexec: false,
        };
        let of = |mounts: &[(&str, bool)]| {
            let mounts = mounts.iter().map(|(place, readonly)| mount(place, *readonly)).collect();
            Expected { mounts, ..Expected::default() }
        };
        let text = "1 0 0:1 / /a rw - tmpfs none rw\n2 0 0:1 / / rw - tmpfs none rw";
        for (mounts, passes) in [
            (&[("/a", true), ("/a", false), ("/", false)][..], true),
            (&[("/a/b", true), ("/a", false), ("/", false)], true),
            (&[("/a", false), ("/a", true), ("/", false)], false),
            (&[("/ab", true), ("/a", false), ("/", false)], false),
            (&[("/a", true), ("/", false)], false),
        ] {
            assert_eq!(check_mounts(&of(mounts), text, nowhere).is_ok(), passes, "{mounts:?}");
        }
    }

    #[test]
    fn each_line_of_the_status_counts() {
        let good = "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\nCapAmb:\t0\nNoNewPrivs:\t1\nSeccomp:\t0\n";
        let expected = Expected { no_new_privs: true, groups: Some(vec![]), ..Expected::default() };
        assert!(check_status(&expected, good).is_ok());
        let rows = [
            ("Uid:\t0\t0\t0\t0", "Uid:\t0\t0\t0\t1"),
            ("Gid:\t0", "Gid:\t5"),
            ("Groups:\t", "Groups:\t4"),
            ("CapInh:\t0", "CapInh:\t1"),
            ("CapPrm:\t0", "CapPrm:\t1"),
            ("CapEff:\t0", "CapEff:\t200000"),
            ("CapBnd:\t0", "CapBnd:\t1"),
            ("CapAmb:\t0", "CapAmb:\t1"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
        ];
        for (from, to) in rows {
            assert!(check_status(&expected, &good.replace(from, to)).is_err(), "{to}");
        }
    }
}
