//! Which remedy belongs to which failed call: a pure table, one row per cause.

use nix::errno::Errno;

const HINTS: &[(&str, Errno, &str)] = &[
    (
        "clone3",
        Errno::EPERM,
        "user namespaces may be forbidden here; `pinfold doctor` names the exact setting",
    ),
    (
        "clone3",
        Errno::ENOSPC,
        "a limit in /proc/sys/user/max_*_namespaces is reached; `pinfold doctor` shows them",
    ),
    (
        "clone3",
        Errno::ENOSYS,
        "clone3 needs Linux 5.3 and a seccomp filter around pinfold that lets it through",
    ),
    (
        "openat2",
        Errno::ENOSYS,
        "openat2 needs Linux 5.6 and a seccomp filter around pinfold that lets it through",
    ),
    ("openat2", Errno::EXDEV, "the path leads out of the directory it must stay in: an escape attempt"),
    ("openat2", Errno::ELOOP, "a symbolic link or a magic link stands where none is followed"),
    (
        "open_tree",
        Errno::ENOSYS,
        "the new mount interface needs Linux 5.12; `pinfold doctor` shows what this kernel has",
    ),
    (
        "mount_setattr",
        Errno::EINVAL,
        "this filesystem may not support id-mapped mounts; `pinfold doctor` shows the kernel's version",
    ),
    ("mount_setattr", Errno::EPERM, "a flag of the source mount is locked by the namespace that owns it"),
    ("uid_map", Errno::EPERM, "the id range is not granted to this user; see /etc/subuid and newuidmap(1)"),
];

/// The remedy for `call` failing with `errno`, where one is known.
pub(super) fn find(call: &str, errno: Errno) -> Option<&'static str> {
    HINTS.iter().find(|(name, code, _)| *name == call && *code == errno).map(|(_, _, text)| *text)
}
