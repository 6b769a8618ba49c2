//! The attacks: what each prepares, and the weakened configuration in which its probe must fire.

use serde_json::json;

use super::arms::{
    console_inside, console_outside, covered_later, covered_setting, fake_proc, false_null, fickle_null,
    fickle_terminals, forged_name, given_fake, given_file, given_log, given_outside, given_program, hooks,
    link_outside, linked_proc, many_mounts, mapped, null_file, overcommit, own_hooks, source, unmasked,
    unprivileged, user, wrong_console, wrong_source,
};
use super::case::Case;
use super::lab::Lab;
use crate::error::Result;

/// How an attack is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One `run`.
    Run,
    /// `run` with each of these working directories.
    Cwd,
    /// Some launches, while these two names of the image are exchanged.
    Race(&'static str, &'static str),
    /// `create`, then the source of a bind is exchanged, then `start`.
    Swap,
    /// A container, and `exec` of the image's script `#!/proc/self/exe` in it.
    Overwrite,
    /// A container, and `exec --cwd` with each of the low descriptors.
    ExecCwd,
    /// A container that looks into what `exec` sends in.
    Borrow,
    /// `kill` and `delete` when another process has the container's pid.
    Reuse,
    /// `run` in the process group of another process.
    Signals,
    /// `create` with a terminal.
    Console,
    /// The same, as a race.
    ConsoleRace(&'static str, &'static str),
    /// `run` on the caller's terminal.
    Terminal,
    /// `run` with a log.
    Log,
    /// `run` without privilege.
    Rootless,
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

macro_rules! attack {
    ($id:literal, $cve:literal, $what:literal, [$($word:literal),+], $way:expr, $arm:expr, $weaken:expr) => {
        Attack { id: $id, cve: $cve, what: $what, program: &[$($word),+], way: $way, arm: $arm, weaken: $weaken }
    };
}

use Way::{
    Borrow, Console, ConsoleRace, Cwd, ExecCwd, Log, Overwrite, Race, Reuse, Rootless, Run, Signals, Swap,
    Terminal,
};

#[rustfmt::skip]
pub(super) const ATTACKS: &[Attack] = &[
    attack!("exe-overwrite", "CVE-2019-5736", "the runtime's program is written to through /proc/PID/exe while it executes in the container", ["overwrite"], Overwrite, nothing, given_program),
    attack!("fd-leak", "CVE-2016-9962 CVE-2024-21626", "a descriptor of the host's is left open in the container", ["fds"], Run, nothing, |_, case| { case.options = vec!["--preserve-fds".to_owned(), "1".to_owned()]; Ok(()) }),
    attack!("cwd-fd", "CVE-2024-21626", "the working directory is /proc/self/fd/N", ["climbs", "OUTSIDE"], Cwd, nothing, |lab, case| { case.give(&lab.outside()); case.set("/process/cwd", json!("/given")); Ok(()) }),
    attack!("exec-cwd-fd", "CVE-2024-21626", "the working directory of exec is /proc/self/fd/N", ["sleep", "60"], ExecCwd, nothing, |lab, case| { case.give(&lab.outside()); Ok(()) }),
    attack!("exec-borrow", "CVE-2016-9962", "descriptors and places of a process that comes in are used", ["borrow", "OUTSIDE"], Borrow, nothing, nothing),
    attack!("mkdir-outside", "CVE-2024-45310", "the destination of a mount is behind a link that leads outside", ["touch", "/tmp/made"], Run, link_outside, given_outside),
    attack!("mount-race", "CVE-2021-30465 CVE-2019-19921 CVE-2023-27561 CVE-2024-45310", "16 mounts below a directory that is exchanged with a link", ["touch", "/tmp/made"], Race("vol/a", "vol/link"), many_mounts, given_outside),
    attack!("bind-swap", "", "the source of a bind is exchanged between create and start", ["climbs", "OUTSIDE"], Swap, source, wrong_source),
    attack!("fake-proc", "CVE-2019-16884 CVE-2023-28642", "a bind of the attacker's stands in the place of procfs", ["touch", "/tmp/made"], Run, fake_proc, given_fake),
    attack!("covered-proc", "CVE-2025-52881 CVE-2025-62596", "a file of the attacker's is mounted over a setting that the runtime then writes", ["touch", "/tmp/made"], Run, covered_setting, given_fake),
    attack!("covered-race", "CVE-2025-52881 CVE-2025-62596", "the same, by a directory that is exchanged with a link into procfs", ["touch", "/tmp/made"], Race("vol/a", "vol/link"), covered_later, given_fake),
    attack!("linked-proc", "CVE-2025-54867", "/proc of the image is a link that leads outside", ["touch", "/tmp/made"], Run, linked_proc, given_outside),
    attack!("false-null", "CVE-2025-31133", "/dev/null, with which paths are masked, is the attacker's", ["masked", "/proc/keys", "/proc/timer_list", "/proc/kcore"], Run, false_null, unmasked),
    attack!("null-race", "CVE-2025-31133 CVE-2025-62161", "the device /dev/null is exchanged with a link while paths are masked", ["masked", "/proc/keys", "/proc/timer_list", "/proc/kcore"], Race("dev/null", "dev/link"), fickle_null, unmasked),
    attack!("null-stdin", "CVE-2026-88265", "/dev/null, which stdin is opened at again, leads to a file of the host's", ["stdin"], Run, null_file, given_file),
    attack!("console-outside", "CVE-2025-52565 CVE-2026-88264", "/dev/console is a link that leads outside", ["console"], Console, console_outside, wrong_console),
    attack!("console-inside", "CVE-2025-52565 CVE-2026-88264", "/dev/console is a link to a file of the kernel's", ["console"], Console, console_inside, wrong_console),
    attack!("console-race", "CVE-2025-52565", "/dev/pts is exchanged with a directory of links while the terminal is bound", ["console"], ConsoleRace("dev/pts", "dev/links"), fickle_terminals, wrong_console),
    attack!("tiocsti", "CVE-2017-5226", "characters are typed on the caller's terminal", ["pushes"], Terminal, nothing, with_capability!("CAP_SYS_ADMIN")),
    attack!("masked-paths", "CVE-2025-31133", "files of the kernel are read behind the masks", ["read", "/proc/keys", "/proc/timer_list", "/proc/kcore", "/sys/firmware"], Run, nothing, unmasked),
    attack!("core-pattern", "", "core_pattern, modprobe and others of the host are opened for writing", ["write", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory"], Run, nothing, setting!("/linux/readonlyPaths", json!([]))),
    attack!("sysctl", "", "a setting of the whole host is accepted", ["launched"], Run, setting!("/linux/sysctl", json!({ "vm.overcommit_memory": overcommit() })), setting!("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }))),
    attack!("sysrq", "", "sysrq-trigger is opened for writing", ["write", "/proc/sysrq-trigger"], Run, nothing, setting!("/linux/readonlyPaths", json!([]))),
    attack!("sysfs", "", "files of sysfs are opened for writing", ["write", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state", "/sys/kernel/uevent_helper", "/sys/module/printk/parameters/time"], Run, nothing, |_, case| { case.option("/sys", "rw", "ro"); Ok(()) }),
    attack!("release-agent", "CVE-2022-0492", "release_agent, or limits of the container's own cgroup, are opened for writing", ["write", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cpu/release_agent", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"], Run, nothing, |_, case| { case.option("/sys/fs/cgroup", "rw", "ro"); Ok(()) }),
    attack!("cgroup-mapped", "CVE-2023-25809", "cgroups are mounted rw in a user namespace", ["rw", "/sys/fs/cgroup"], Run, mapped, |_, case| { case.option("/sys/fs/cgroup", "rw", "ro"); Ok(()) }),
    attack!("cgroup-rootless", "CVE-2023-25809", "cgroups are mounted rw by a runtime without privilege", ["rw", "/sys/fs/cgroup"], Rootless, unprivileged, |_, case| { case.option("/sys/fs/cgroup", "rw", "ro"); Ok(()) }),
    attack!("device", "", "a node of a device of the host's is made and opened", ["node", "device", "DEVICE"], Run, |_, case| { case.option("/tmp", "dev", "nodev"); Ok(()) }, setting!("/linux/resources/devices", json!([{ "allow": true, "access": "rwm" }]))),
    attack!("disk", "", "a node of the host's disk is made and opened", ["node", "disk", "DISK"], Run, |_, case| { case.option("/tmp", "dev", "nodev"); Ok(()) }, setting!("/linux/resources/devices", json!([{ "allow": true, "access": "rwm" }]))),
    attack!("setuid", "", "a setuid file of the image gives root", ["setuid"], Run, user, setting!("/process/noNewPrivileges", json!(false))),
    attack!("uid-overflow", "CVE-2024-40635", "a uid of 2^32 becomes 0", ["euid"], Run, setting!("/process/user", json!({ "uid": 4_294_967_296_u64, "gid": 0 })), setting!("/process/user", json!({ "uid": 0, "gid": 0 }))),
    attack!("inheritable", "CVE-2022-29162", "the program has inheritable capabilities that nobody asked for", ["inheritable"], Run, nothing, setting!("/process/capabilities/inheritable", json!(["CAP_CHOWN"]))),
    attack!("processes", "", "processes of the host are seen, signalled and traced", ["sees", "WORD"], Run, nothing, without_namespace!("pid")),
    attack!("signals", "", "signals to everybody and to the process group reach the host", ["signals"], Signals, nothing, without_namespace!("pid")),
    attack!("pid-reuse", "", "kill and delete end a process that has the pid of a container that ended", ["sleep", "0"], Reuse, nothing, |_, case| { case.set("/process/args", json!(["/probe", "selftest", "probe", "sleep", "60"])); Ok(()) }),
    attack!("hooks", "", "hooks and annotations of the image's making", ["touch", "/tmp/made"], Run, hooks, own_hooks),
    attack!("log-forgery", "", "a name puts lines and codes into the runtime's log", ["touch", "/tmp/made"], Log, forged_name, given_log),
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
    attack!("clock", "", "clock_settime(2) is reached", ["calls", "clock_settime"], Run, nothing, with_capability!("CAP_SYS_TIME")),
    attack!("kernel-log", "", "syslog(2) is reached", ["calls", "syslog"], Run, nothing, with_capability!("CAP_SYSLOG")),
    attack!("af-alg", "", "a socket of AF_ALG", ["calls", "alg"], Run, nothing, open),
    attack!("vsock", "", "a socket of AF_VSOCK", ["calls", "vsock"], Run, nothing, open),
    attack!("af-packet", "CVE-2020-14386", "a socket of AF_PACKET", ["calls", "packet"], Run, nothing, with_capability!("CAP_NET_RAW")),
    attack!("fork-bomb", "", "more processes than pids.limit", ["forks"], Run, setting!("/linux/resources/pids", json!({ "limit": 32 })), setting!("/linux/resources/pids", json!({ "limit": 1000 }))),
    attack!("memory", "", "more memory than the limit", ["eats"], Run, setting!("/linux/resources/memory", json!({ "limit": 64 << 20 })), setting!("/linux/resources/memory", json!({ "limit": 512 << 20 }))),
    attack!("tmpfs", "", "more in a tmpfs than its size", ["fills", "/tmp"], Run, nothing, |_, case| { case.option("/tmp", "size=32m", "size=1m"); Ok(()) }),
    attack!("inodes", "", "more files in a tmpfs than it may have", ["inodes", "/tmp"], Run, |_, case| { case.option("/tmp", "nr_inodes=64", ""); Ok(()) }, |_, case| { case.option("/tmp", "nr_inodes=4096", "nr_inodes=64"); Ok(()) }),
];
