//! The caller's ids, for as long as a file is opened that the caller named: setgroups(2),
//! setresgid(2), setresuid(2), capabilities(7) "Effect of user ID changes on capabilities".
//!
//! The effective ids and not the file system's alone: /proc/sys looks at the effective uid, and the
//! files of other processes in /proc at CAP_SYS_PTRACE, neither of which setfsuid(2) takes away. The
//! real and the saved uid stay root's, so that the caller can neither signal nor trace this process.
//!
//! Raw calls, which change the calling thread alone.

use std::sync::OnceLock;

use super::caps::{CapSets, capget, capset};
use super::ids::setgroups;
use super::{Result, done};

/// Who a privileged pinfold works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

static CALLER: OnceLock<Caller> = OnceLock::new();

/// Says once for whom this process works; without it, it works for itself.
pub fn settle(caller: Caller) {
    CALLER.get_or_init(|| caller);
}

/// For whom this process works, where that is not itself.
pub fn present() -> Option<&'static Caller> {
    CALLER.get()
}

/// As long as it lives, the calling thread has the caller's ids and no capability.
#[must_use = "the ids are this process's own again when it is dropped"]
#[derive(Debug)]
pub struct AsCaller(Option<Own>);

#[derive(Debug)]
struct Own {
    groups: Vec<u32>,
    gid: u32,
    caps: CapSets,
}

/// Takes the caller's ids, where this process works for one and has not taken them already.
///
/// # Errors
/// EPERM: no CAP_SETUID or CAP_SETGID. EINVAL: an id that this user namespace does not map.
pub fn as_caller() -> Result<AsCaller> {
    match present() {
        Some(caller) if nix::unistd::geteuid().is_root() => take(caller),
        _ => Ok(AsCaller(None)),
    }
}

/// What fails half-way is given back by the drop.
fn take(caller: &Caller) -> Result<AsCaller> {
    let groups = nix::unistd::getgroups()?.into_iter().map(nix::unistd::Gid::as_raw).collect();
    let gid = nix::unistd::getegid().as_raw();
    let taken = AsCaller(Some(Own { groups, gid, caps: capget()? }));
    setgroups(&caller.groups)?;
    effective_gid(caller.gid)?;
    effective_uid(caller.uid)?;
    // The kernel clears them, unless securebits say otherwise.
    capset(&CapSets { effective: 0, ..capget()? })?;
    Ok(taken)
}

impl Drop for AsCaller {
    /// A process that is neither the one nor the other does nothing further.
    fn drop(&mut self) {
        if self.0.as_ref().is_some_and(|own| give_back(own).is_err()) {
            super::clone::exit_now(FAILED);
        }
    }
}

fn give_back(own: &Own) -> Result<()> {
    effective_uid(0)?;
    capset(&own.caps)?;
    effective_gid(own.gid)?;
    setgroups(&own.groups)
}

/// Exit code: set-up failed.
const FAILED: i32 = 121;
const UNCHANGED: u32 = u32::MAX;

fn effective_uid(uid: u32) -> Result<()> {
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_setresuid, UNCHANGED, uid, UNCHANGED) })
}

fn effective_gid(gid: u32) -> Result<()> {
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_setresgid, UNCHANGED, gid, UNCHANGED) })
}
