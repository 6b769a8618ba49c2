//! What the kernel and the host say of themselves. Reads and tries; judges nothing.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, openat2};
use nix::unistd::{Pid, geteuid};

use super::cgroups::{self, Cgroups};
use super::probe;
use crate::state::owner;
use crate::sys::caps::capget;
use crate::sys::close_range::close_range;
use crate::sys::landlock::landlock_abi;
use crate::sys::mount::{MountAttr, fsopen, mount_setattr, open_tree};
use crate::sys::pidfd::pidfd_open;
use crate::sys::seccomp::get_action_avail;
use crate::sys::statmount::{LSMT_ROOT, listmount};

/// capabilities(7).
const CAP_SYS_ADMIN: u32 = 21;

/// Everything that [`super::verdict`] judges.
#[derive(Debug, Clone)]
pub(super) struct Findings {
    /// `uname -r`.
    pub kernel: String,
    /// Whether the caller is root in its user namespace.
    pub root: bool,
    /// Whether the caller has CAP_SYS_ADMIN (capabilities(7)).
    pub mount_privilege: bool,
    /// Whether the user namespace is not the host's: its id map is not the full one.
    pub in_user_namespace: bool,
    /// Each system call that a launch needs: name, version, what a harmless call of it gave.
    pub calls: Vec<(&'static str, &'static str, Result<(), Errno>)>,
    /// The Landlock ABI.
    pub landlock: Result<u32, Errno>,
    /// Whether seccomp filters can kill the process, and notify a supervisor.
    pub seccomp: Result<(bool, bool), Errno>,
    /// /proc/sys/kernel/seccomp/actions_avail.
    pub seccomp_actions: Option<String>,
    /// Whether a seccomp filter is on this process already (`Seccomp: 2`).
    pub filtered: bool,
    /// Whether no_new_privs is set already: newuidmap cannot gain its privileges then.
    pub no_new_privs: bool,
    /// /sys/kernel/security/lsm.
    pub lsms: Option<String>,
    /// `user.max_user_namespaces`.
    pub max_user_namespaces: Option<u64>,
    /// Debian's `kernel.unprivileged_userns_clone`.
    pub unprivileged_userns_clone: Option<u64>,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns`.
    pub apparmor_restrict: Option<u64>,
    /// A new user namespace whose rights were used.
    pub user_namespace: Result<(), Errno>,
    /// All namespaces of a sandbox with a fresh procfs.
    pub nested_proc: Result<(), Errno>,
    /// Where newuidmap and newgidmap were found.
    pub map_programs: Option<PathBuf>,
    /// How many subordinate ids the caller has: of users, of groups.
    pub subordinate: (u64, u64),
    /// The caller's name, for the text of a fix.
    pub user: String,
    /// Cgroups.
    pub cgroups: Cgroups,
    /// What says that this is a container already.
    pub container: Option<&'static str>,
    /// This program, for the text of a fix.
    pub program: PathBuf,
}

/// Asks everything.
pub(super) fn gather() -> Findings {
    let status = read("/proc/self/status").unwrap_or_default();
    let root = geteuid().is_root();
    // Never by getpwuid(3): a static program would load the host's NSS modules.
    let user = owner::name(geteuid().as_raw()).unwrap_or_else(|_| geteuid().to_string());
    Findings {
        kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
        root,
        mount_privilege: capget().is_ok_and(|sets| sets.effective & 1 << CAP_SYS_ADMIN != 0),
        in_user_namespace: read("/proc/self/uid_map").is_some_and(|map| !is_full(&map)),
        calls: calls(),
        landlock: landlock_abi(),
        seccomp: seccomp(),
        seccomp_actions: read("/proc/sys/kernel/seccomp/actions_avail"),
        filtered: status_field(&status, "Seccomp") == Some("2"),
        no_new_privs: status_field(&status, "NoNewPrivs") == Some("1"),
        lsms: read("/sys/kernel/security/lsm"),
        max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
        unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_restrict: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        user_namespace: probe::user_namespace(),
        nested_proc: probe::nested_proc(),
        map_programs: map_programs(),
        subordinate: (subordinate("/etc/subuid", &user), subordinate("/etc/subgid", &user)),
        user,
        cgroups: cgroups::examine(),
        container: container(),
        program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/bin/pinfold")),
    }
}

/// A harmless call of each: it fails, or makes a descriptor that is closed at once.
fn calls() -> Vec<(&'static str, &'static str, Result<(), Errno>)> {
    let unknown_flags = u32::MAX;
    let here = AT_FDCWD;
    vec![
        ("openat2", "5.6", openat2(here, "/", OpenHow::new().flags(OFlag::O_PATH)).map(drop)),
        ("clone3", "5.3", probe::plain_child()),
        ("pidfd_open", "5.3", pidfd_open(Pid::this()).map(drop)),
        ("close_range", "5.9", close_range(u32::MAX, u32::MAX, 0)),
        ("open_tree", "5.2", open_tree(here, c"/", 0).map(drop)),
        ("fsopen", "5.2", fsopen(c"tmpfs", 0).map(drop)),
        ("mount_setattr", "5.12", mount_setattr(here, c"/", unknown_flags, &MountAttr::default(), None)),
        ("statmount", "6.8", listmount(LSMT_ROOT).map(drop)),
    ]
}

fn seccomp() -> Result<(bool, bool), Errno> {
    Ok((get_action_avail(libc::SECCOMP_RET_KILL_PROCESS)?, get_action_avail(libc::SECCOMP_RET_USER_NOTIF)?))
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok().map(|text| text.trim_end().to_owned())
}

fn number(file: &str) -> Option<u64> {
    read(file)?.parse().ok()
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(str::trim)
}

/// The host's user namespace maps every id to itself.
fn is_full(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Both programs of shadow, in one of the usual directories.
fn map_programs() -> Option<PathBuf> {
    let there = |directory: &&str| {
        ["newuidmap", "newgidmap"].iter().all(|name| Path::new(directory).join(name).metadata().is_ok())
    };
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"]
        .iter()
        .find(|directory| there(directory))
        .map(PathBuf::from)
}

/// How many ids subuid(5) grants to `user`.
fn subordinate(file: &str, user: &str) -> u64 {
    let text = read(file).unwrap_or_default();
    let uid = geteuid().to_string();
    text.lines().filter_map(|line| granted(line, user, &uid)).fold(0, u64::saturating_add)
}

fn granted(line: &str, user: &str, uid: &str) -> Option<u64> {
    let mut fields = line.split(':');
    let owner = fields.next().filter(|owner| *owner == user || *owner == uid)?;
    let count = fields.nth(1)?;
    if owner.is_empty() { None } else { count.trim().parse().ok() }
}

/// What container engines leave for those who look.
fn container() -> Option<&'static str> {
    const SIGNS: [(&str, &str); 3] =
        [("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/run/systemd/container", "systemd")];
    let kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").map(|_| "kubernetes");
    let sign = SIGNS.iter().find(|(file, _)| Path::new(file).metadata().is_ok()).map(|(_, name)| *name);
    kubernetes.or(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_kernel_answers_every_question() {
        let findings = gather();
        assert!(findings.kernel.contains('.'));
        assert_eq!(findings.root, geteuid().is_root());
        // What every kernel that runs this test has: the crate needs Linux 5.12.
        for (name, _, result) in findings.calls.iter().filter(|(name, ..)| *name != "statmount") {
            assert_ne!(*result, Err(Errno::ENOSYS), "{name}");
        }
        assert_eq!(findings.calls.len(), 8);
    }

    #[test]
    fn a_field_of_status_is_found_by_its_whole_name() {
        let status = "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t5\n";
        assert_eq!(status_field(status, "Seccomp"), Some("2"));
        assert_eq!(status_field(status, "NoNewPrivs"), Some("1"));
        assert_eq!(status_field(status, "Absent"), None);
    }

    #[test]
    fn the_host_s_id_map_is_the_full_one() {
        assert!(is_full("         0          0 4294967295"));
        assert!(!is_full("         0     100000      65536"));
        assert!(!is_full(""));
    }

    #[test]
    fn subordinate_ids_are_granted_by_name_or_number() {
        let rows = [
            ("joe:100000:65536", Some(65536)),
            ("1000:100000:10", Some(10)),
            ("ann:100000:65536", None),
            ("joe:100000", None),
            ("joe:100000:x", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(granted(line, "joe", "1000"), expected, "{line}");
        }
    }
}
