//! What a launch has to know of the host, read once.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::cgroup::{Control, Hierarchies, Mode as CgroupMode};
use crate::draft::HostFacts;
use crate::error::{Call, Context, Result};
use crate::sys;

/// capabilities(7), as masks.
const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_SYS_NICE: u64 = 1 << 23;
const CAP_SYS_RESOURCE: u64 = 1 << 24;

/// The host as this caller sees it.
#[derive(Debug)]
pub struct Host {
    /// What the Draft's decisions need.
    pub facts: HostFacts,
    /// The cgroup hierarchies.
    pub hierarchies: Hierarchies,
}

impl Host {
    /// Reads it.
    ///
    /// # Errors
    /// /proc or a cgroup hierarchy that cannot be read.
    pub fn read() -> Result<Self> {
        let hierarchies = Hierarchies::open()?;
        let euid = nix::unistd::geteuid().as_raw();
        // Root of a container has seldom all of them.
        let own = sys::caps::capget().call("capget")?;
        let may = |mask: u64| own.effective & mask == mask;
        // A user namespace has rights over itself alone; limits and priorities are the host's.
        let may_on_host = |mask: u64, all_ids: bool| all_ids && may(mask);
        let all_ids = maps_all_ids()?;
        let setgroups_denied_below = !may_set_groups()?;
        let facts = HostFacts {
            euid,
            egid: nix::unistd::getegid().as_raw(),
            caller: sys::caller::present().map(|caller| (caller.uid, caller.gid)),
            rootless: euid != 0 || !all_ids || !may(CAP_SYS_ADMIN),
            maps_own_ids_only: !may(CAP_SETUID | CAP_SETGID),
            setgroups_denied: !may(CAP_SETGID) || setgroups_denied_below,
            setgroups_denied_below,
            last_cap: last_cap()?,
            grantable_caps: own.permitted & bounding()?,
            may_raise_limits: may_on_host(CAP_SYS_RESOURCE, all_ids),
            may_raise_priority: may_on_host(CAP_SYS_NICE, all_ids),
            scheduled: sys::sched::sched_getattr(0).call("sched_getattr")?,
            landlock_abi: sys::landlock::landlock_abi().unwrap_or(0),
            apparmor: apparmor(),
            selinux: selinux(),
            cgroup_unified: hierarchies.mode() == CgroupMode::Unified,
            cgroup_v1: v1_hierarchies(&hierarchies)?,
        };
        Ok(Self { facts, hierarchies })
    }

    /// Whether a limit can be applied by this caller.
    pub fn can_limit(&self, control: Control) -> bool {
        self.hierarchies.writable() && self.hierarchies.supports(control)
    }
}

/// The v1 hierarchies as /proc/self/cgroup names them: `cpu,cpuacct`, `name=systemd`
/// (cgroups(7)).
fn v1_hierarchies(hierarchies: &Hierarchies) -> Result<Vec<String>> {
    if !matches!(hierarchies.mode(), CgroupMode::Hybrid | CgroupMode::Legacy) {
        return Ok(vec![]);
    }
    let path = "/proc/self/cgroup";
    let text = sys::file::whole_text(path).call("read").on(path)?;
    let names = text.lines().filter_map(|line| line.split(':').nth(1)).filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// As libapparmor decides: the module is there and enabled.
fn apparmor() -> bool {
    sys::file::whole_text("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// As libselinux decides: selinuxfs is mounted in its place, and a policy is loaded, without which
/// every process is `kernel`.
fn selinux() -> bool {
    let mounted = nix::sys::statfs::statfs("/sys/fs/selinux")
        .is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::SELINUX_MAGIC);
    let own = sys::file::whole_text("/proc/self/attr/current");
    mounted && own.is_ok_and(|own| own.trim_end_matches(['\0', '\n']) != "kernel")
}

/// The bounding set (capabilities(7)).
fn bounding() -> Result<u64> {
    let path = "/proc/self/status";
    let text = sys::file::whole_text(path).call("read").on(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    u64::from_str_radix(line.unwrap_or_default().trim(), 16)
        .map_err(|error| crate::error::Error::setup(error.to_string()).object(path))
}

fn last_cap() -> Result<u8> {
    let path = "/proc/sys/kernel/cap_last_cap";
    let text = sys::file::whole_text(path).call("read").on(path)?;
    text.trim()
        .parse()
        .map_err(|error: std::num::ParseIntError| crate::error::Error::setup(error.to_string()).object(path))
}

/// The initial user namespace maps all: user_namespaces(7).
///
/// # Errors
/// /proc cannot be read.
pub(super) fn maps_all_ids() -> Result<bool> {
    let path = "/proc/self/uid_map";
    let text = sys::file::whole_text(path).call("read").on(path)?;
    Ok(text.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"])
}

/// Whoever denied it to a user namespace denied it to all below (user_namespaces(7)).
fn may_set_groups() -> Result<bool> {
    let path = "/proc/self/setgroups";
    match sys::file::whole_text(path) {
        // Before Linux 3.19 nothing is denied.
        Err(Errno::ENOENT) => Ok(true),
        text => Ok(text.call("read").on(path)?.trim_end() == "allow"),
    }
}

/// The caller's working directory, where relative sources begin.
///
/// # Errors
/// open(2).
pub fn open_cwd() -> Result<OwnedFd> {
    nix::fcntl::open(".", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .call("open")
        .on(".")
}
