//! Which cgroup hierarchies there are, and what of them this process may use. Mostly pure.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

const ROOT: &str = "/sys/fs/cgroup";

/// How the hierarchies are mounted (cgroups(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Version 2 alone, at /sys/fs/cgroup.
    Unified,
    /// Version 1 with a version 2 hierarchy beside it.
    Hybrid,
    /// Version 1 alone.
    Legacy,
    /// None.
    Absent,
}

/// What is known of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroups {
    /// How they are mounted.
    pub mode: Mode,
    /// The controllers that can limit what this process starts.
    pub controllers: Vec<String>,
    /// Whether this process may make cgroups where it is.
    pub writable: bool,
}

/// Looks at the mounts and at the own cgroup.
pub(super) fn examine(mountinfo: &str, own: &str, is_root: bool) -> Cgroups {
    let found = mounts(mountinfo);
    let group = match (found.mode, is_root) {
        (Mode::Unified, false) => format!("{ROOT}{}", own_path(own)),
        (Mode::Unified, true) => ROOT.to_owned(),
        // The tmpfs around the hierarchies of version 1 may well be read-only: one of them counts.
        _ => found.place,
    };
    let controllers = match found.mode {
        Mode::Unified => read_words(&format!("{group}/cgroup.controllers")),
        _ => found.legacy,
    };
    let writable = access(Path::new(&group), AccessFlags::W_OK).is_ok();
    Cgroups { mode: found.mode, controllers, writable }
}

/// What mountinfo says of cgroups.
#[derive(Debug, PartialEq, Eq)]
struct Mounts {
    mode: Mode,
    /// The controllers of version 1.
    legacy: Vec<String>,
    /// Where a hierarchy of version 1 with controllers is mounted.
    place: String,
}

fn read_words(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Reads /proc/self/mountinfo (proc(5)).
fn mounts(mountinfo: &str) -> Mounts {
    let (mut unified, mut beside) = (false, false);
    let (mut legacy, mut place) = (vec![], String::new());
    for line in mountinfo.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let point = mount.split(' ').nth(4).unwrap_or_default();
        match kind.split(' ').next() {
            Some("cgroup2") if point == ROOT => unified = true,
            Some("cgroup2") => beside = true,
            Some("cgroup") => {
                let before = legacy.len();
                legacy.extend(controllers(kind));
                if legacy.len() > before {
                    point.clone_into(&mut place);
                }
            }
            _ => {}
        }
    }
    let mode = match (unified, beside, legacy.is_empty()) {
        (true, _, _) => Mode::Unified,
        (false, true, _) => Mode::Hybrid,
        (false, false, false) => Mode::Legacy,
        (false, false, true) => Mode::Absent,
    };
    Mounts { mode, legacy, place }
}

/// The controllers among the superblock's options of a version 1 hierarchy.
fn controllers(kind: &str) -> impl Iterator<Item = String> {
    let options = kind.rsplit(' ').next().unwrap_or_default().split(',');
    let is_controller =
        |word: &&str| !matches!(*word, "rw" | "ro" | "xattr" | "clone_children") && !word.contains('=');
    options.filter(is_controller).map(str::to_owned)
}

/// The path in the version 2 hierarchy, from /proc/self/cgroup.
fn own_path(own: &str) -> &str {
    own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_read_from_mountinfo() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let beside = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let memory = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";
        let cpu = "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let named = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
        let other = "22 1 0:21 / /proc rw - proc proc rw\n";
        let rows = [
            (vec![other, unified], Mode::Unified, vec![], ""),
            (
                vec![memory, cpu, named, beside],
                Mode::Hybrid,
                vec!["memory", "cpu", "cpuacct"],
                "/sys/fs/cgroup/cpu,cpuacct",
            ),
            (vec![memory, other], Mode::Legacy, vec!["memory"], "/sys/fs/cgroup/memory"),
            (vec![other, "nonsense"], Mode::Absent, vec![], ""),
        ];
        for (lines, mode, legacy, place) in rows {
            let text = lines.concat();
            let legacy = legacy.into_iter().map(str::to_owned).collect();
            assert_eq!(mounts(&text), Mounts { mode, legacy, place: place.to_owned() }, "{text}");
        }
    }

    #[test]
    fn the_own_group_is_the_line_of_hierarchy_0() {
        assert_eq!(own_path("12:memory:/a\n0::/user.slice/x\n"), "/user.slice/x");
        assert_eq!(own_path("12:memory:/a\n"), "/");
    }
}
