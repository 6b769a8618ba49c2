//! The attacks: what each prepares, and the weakened configuration in which its probe must fire.

use serde_json::json;

use super::case::{Case, bind};
use super::lab::Lab;
use crate::error::Result;

/// How an attack is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One `run`.
    Run,
    /// `run` with each of these working directories.
    Cwd,
    /// Some launches, while two names of the image are exchanged.
    Race,
    /// `create`, then the source of a bind is exchanged, then `start`.
    Swap,
    /// A container, and `exec` of the image's script `#!/proc/self/exe` in it.
    Exec,
}

type Change = fn(&Lab, &mut Case) -> Result<()>;

/// One attack.
pub(super) struct Attack {
    pub id: &'static str,
    /// The published weakness of this class.
    pub cve: &'static str,
    pub what: &'static str,
    /// The probe and its arguments; OUTSIDE, WORD and DISK are the lab's.
    pub program: &'static [&'static str],
    pub way: Way,
    pub arm: Change,
    pub weaken: Change,
}

fn nothing(_: &Lab, _: &mut Case) -> Result<()> {
    Ok(())
}

fn open(_: &Lab, case: &mut Case) -> Result<()> {
    case.without_filter();
    Ok(())
}

macro_rules! with_capability {
    ($name:literal) => {
        |_, case| {
            case.without_filter();
            case.capability($name);
            Ok(())
        }
    };
}
macro_rules! without_namespace {
    ($kind:literal) => {
        |_, case| {
            case.without_namespace($kind);
            Ok(())
        }
    };
}
macro_rules! setting {
    ($pointer:literal, $value:expr) => {
        |_, case| {
            case.set($pointer, $value);
            Ok(())
        }
    };
}

/// The container is given the canary in place of what was armed, so that what it does there is seen.
fn given_outside(lab: &Lab, case: &mut Case) -> Result<()> {
    case.disarm()?;
    case.give(&lab.outside());
    case.set("/process/args", json!(["/probe", "selftest", "probe", "touch", "/given/made"]));
    Ok(())
}

/// Destinations of mounts behind a link of the image that leads outside.
fn link_outside(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("out", &format!("../../../../../../../..{}", lab.outside().display()))?;
    for number in 0..3 {
        case.mount(json!({ "destination": format!("/out/m{number}/deep"), "type": "tmpfs", "source": "t" }));
    }
    case.mount(bind(&lab.place("vol/file"), "/out/file", &["bind", "ro"]));
    Ok(())
}

/// Sixteen mounts below a directory that the attacker exchanges with a link that leads outside.
fn many_mounts(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("vol/link", &format!("../../../../../../../../..{}", lab.outside().display()))?;
    for number in 0..16 {
        case.mount(json!({ "destination": format!("/vol/a/m{number}"), "type": "tmpfs", "source": "t" }));
    }
    Ok(())
}

/// A procfs of the image's making, through which settings and labels would be written.
fn fake_proc(lab: &Lab, case: &mut Case) -> Result<()> {
    let fake = lab.place("fake");
    case.without_mount("/proc");
    case.mount(bind(&fake, "/proc", &["rbind", "rw"]));
    case.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    case.set("/linux/maskedPaths", json!([]));
    case.set("/linux/readonlyPaths", json!([]));
    Ok(())
}

/// The attacker's procfs is given to the container, which writes to its setting.
fn given_fake(lab: &Lab, case: &mut Case) -> Result<()> {
    case.disarm()?;
    case.give(&lab.place("fake"));
    let setting = "/given/sys/net/ipv4/ip_forward";
    case.set("/process/args", json!(["/probe", "selftest", "probe", "touch", setting]));
    Ok(())
}

/// /proc of the image is a link to a place outside.
fn linked_proc(lab: &Lab, case: &mut Case) -> Result<()> {
    case.link("proc", &format!("../../../../../../../..{}/proc", lab.outside().display()))?;
    case.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    Ok(())
}

/// /dev is a directory of the attacker's, whose null is a link to a file of the kernel's.
fn false_null(lab: &Lab, case: &mut Case) -> Result<()> {
    case.without_mount("/dev");
    case.mount(bind(&lab.place("dev"), "/dev", &["rbind", "rw"]));
    Ok(())
}

fn unmasked(_: &Lab, case: &mut Case) -> Result<()> {
    case.set("/linux/maskedPaths", json!([]));
    Ok(())
}

fn given_runtime(lab: &Lab, case: &mut Case) -> Result<()> {
    case.mount(bind(&lab.runtime(), "/runtime", &["bind", "rw"]));
    Ok(())
}

fn source(lab: &Lab, case: &mut Case) -> Result<()> {
    case.mount(bind(&lab.place("swap/source"), "/given", &["rbind", "ro"]));
    case.set("/process/cwd", json!("/given"));
    Ok(())
}

fn wrong_source(lab: &Lab, case: &mut Case) -> Result<()> {
    case.without_mount("/given");
    case.mount(bind(&lab.outside(), "/given", &["rbind", "ro"]));
    Ok(())
}

fn user(_: &Lab, case: &mut Case) -> Result<()> {
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    Ok(())
}

macro_rules! attack {
    ($id:literal, $cve:literal, $what:literal, [$($word:literal),+], $way:ident, $arm:expr, $weaken:expr) => {
        Attack { id: $id, cve: $cve, what: $what, program: &[$($word),+], way: Way::$way, arm: $arm, weaken: $weaken }
    };
}

#[rustfmt::skip]
pub(super) const ATTACKS: &[Attack] = &[
    attack!("exe-overwrite", "CVE-2019-5736", "the runtime's program is written to through /proc/PID/exe while it executes in the container", ["overwrite"], Exec, nothing, given_runtime),
    attack!("fd-leak", "CVE-2016-9962 CVE-2024-21626", "a descriptor of the host's is left open in the container", ["fds"], Run, nothing, |_, case| { case.options = vec!["--preserve-fds".to_owned(), "1".to_owned()]; Ok(()) }),
    attack!("cwd-fd", "CVE-2024-21626", "the working directory is /proc/self/fd/N", ["climbs", "OUTSIDE"], Cwd, nothing, |lab, case| { case.give(&lab.outside()); case.set("/process/cwd", json!("/given")); Ok(()) }),
    attack!("mkdir-outside", "CVE-2024-45310", "the destination of a mount is behind a link that leads outside", ["touch", "/tmp/made"], Run, link_outside, given_outside),
    attack!("mount-race", "CVE-2021-30465 CVE-2019-19921 CVE-2023-27561", "16 mounts below a directory that is exchanged with a link", ["touch", "/tmp/made"], Race, many_mounts, given_outside),
    attack!("bind-swap", "", "the source of a bind is exchanged between create and start", ["climbs", "OUTSIDE"], Swap, source, wrong_source),
    attack!("fake-proc", "CVE-2019-16884 CVE-2023-28642 CVE-2025-52881", "a bind of the attacker's stands in the place of procfs", ["touch", "/tmp/made"], Run, fake_proc, given_fake),
    attack!("linked-proc", "CVE-2025-54867", "/proc of the image is a link that leads outside", ["touch", "/tmp/made"], Run, linked_proc, given_outside),
    attack!("false-null", "CVE-2025-31133", "/dev/null, with which paths are masked, is the attacker's", ["masked", "/proc/keys", "/proc/timer_list", "/proc/kcore"], Run, false_null, unmasked),
    attack!("masked-paths", "CVE-2025-31133", "files of the kernel are read behind the masks", ["read", "/proc/keys", "/proc/timer_list", "/proc/kcore", "/sys/firmware"], Run, nothing, unmasked),
    attack!("core-pattern", "", "core_pattern, modprobe and others of the host are opened for writing", ["write", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory"], Run, nothing, setting!("/linux/readonlyPaths", json!([]))),
    attack!("sysrq", "", "sysrq-trigger is opened for writing", ["write", "/proc/sysrq-trigger"], Run, nothing, setting!("/linux/readonlyPaths", json!([]))),
    attack!("sysfs", "", "files of sysfs are opened for writing", ["write", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state", "/sys/kernel/uevent_helper", "/sys/module/printk/parameters/time"], Run, nothing, |_, case| { case.option("/sys", "rw", "ro"); Ok(()) }),
    attack!("release-agent", "CVE-2022-0492", "release_agent, or limits of the container's own cgroup, are opened for writing", ["write", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cpu/release_agent", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"], Run, nothing, |_, case| { case.option("/sys/fs/cgroup", "rw", "ro"); Ok(()) }),
    attack!("disk", "", "a node of the host's disk is made and opened", ["block", "DISK"], Run, |_, case| { case.option("/tmp", "dev", "nodev"); Ok(()) }, setting!("/linux/resources/devices", json!([{ "allow": true, "access": "rwm" }]))),
    attack!("setuid", "", "a setuid file of the image gives root", ["setuid"], Run, user, setting!("/process/noNewPrivileges", json!(false))),
    attack!("uid-overflow", "CVE-2024-40635", "a uid of 2^32 becomes 0", ["euid"], Run, setting!("/process/user", json!({ "uid": 4_294_967_296_u64, "gid": 0 })), setting!("/process/user", json!({ "uid": 0, "gid": 0 }))),
    attack!("inheritable", "CVE-2022-29162", "the program has inheritable capabilities that nobody asked for", ["inheritable"], Run, nothing, setting!("/process/capabilities/inheritable", json!(["CAP_CHOWN"]))),
    attack!("processes", "", "processes of the host are seen, signalled and traced", ["sees", "WORD"], Run, nothing, without_namespace!("pid")),
    attack!("abstract-socket", "CVE-2020-15257", "an abstract socket of the host is connected to", ["connects", "WORD"], Run, nothing, without_namespace!("network")),
    attack!("sysv-ipc", "", "a shared memory segment of the host is attached to", ["calls", "SEGMENT"], Run, nothing, without_namespace!("ipc")),
    attack!("keyring", "", "keys of the caller's session are read", ["keys", "WORD"], Run, open, |_, case| { case.options = vec!["--no-new-keyring".to_owned()]; Ok(()) }),
    attack!("user-namespace", "", "a user namespace is made inside", ["calls", "unshare"], Run, nothing, open),
    attack!("setns", "", "setns(2) is reached", ["calls", "setns"], Run, nothing, open),
    attack!("mount-api", "", "fsopen(2) is reached", ["calls", "fsopen"], Run, nothing, with_capability!("CAP_SYS_ADMIN")),
    attack!("bpf", "", "bpf(2) is reached", ["calls", "bpf"], Run, nothing, with_capability!("CAP_SYS_ADMIN")),
    attack!("perf", "", "perf_event_open(2) is reached", ["calls", "perf_event_open"], Run, nothing, open),
    attack!("io-uring", "", "io_uring_setup(2) is reached", ["calls", "io_uring"], Run, nothing, open),
    attack!("userfaultfd", "", "userfaultfd(2) is reached", ["calls", "userfaultfd"], Run, nothing, open),
    attack!("add-key", "", "add_key(2) is reached", ["calls", "add_key"], Run, nothing, open),
    attack!("handles", "", "open_by_handle_at(2) is reached", ["calls", "open_by_handle_at"], Run, nothing, with_capability!("CAP_DAC_READ_SEARCH")),
    attack!("modules", "", "init_module(2) is reached", ["calls", "init_module"], Run, nothing, with_capability!("CAP_SYS_MODULE")),
    attack!("swap-device", "", "swapon(2) is reached", ["calls", "swapon"], Run, nothing, with_capability!("CAP_SYS_ADMIN")),
    attack!("kernel-log", "", "syslog(2) is reached", ["calls", "syslog"], Run, nothing, with_capability!("CAP_SYSLOG")),
    attack!("af-alg", "", "a socket of AF_ALG", ["calls", "alg"], Run, nothing, open),
    attack!("vsock", "", "a socket of AF_VSOCK", ["calls", "vsock"], Run, nothing, open),
    attack!("af-packet", "CVE-2020-14386", "a socket of AF_PACKET", ["calls", "packet"], Run, nothing, with_capability!("CAP_NET_RAW")),
    attack!("fork-bomb", "", "more processes than pids.limit", ["forks"], Run, setting!("/linux/resources/pids", json!({ "limit": 32 })), setting!("/linux/resources/pids", json!({ "limit": 1000 }))),
    attack!("memory", "", "more memory than the limit", ["eats"], Run, setting!("/linux/resources/memory", json!({ "limit": 64 << 20 })), setting!("/linux/resources/memory", json!({ "limit": 512 << 20 }))),
    attack!("tmpfs", "", "more in a tmpfs than its size", ["fills", "/tmp"], Run, nothing, |_, case| { case.option("/tmp", "size=32m", "size=1m"); Ok(()) }),
];
