//! The end of a container: stopped, everything that create made removed, then its poststop
//! hooks. runtime.md, "Lifecycle", steps 12 and 13.

use std::time::Duration;

use super::host::Host;
use super::{entry, hooks};
use crate::error::{Error, Result};
use crate::state::{ContainerDir, State, StateRoot, Status, id_range};

/// How long the kernel may take to end a killed tree.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a keeper may take to pass on the last output and to write its report: longer than it waits
/// for a reader.
const KEEPER_PATIENCE: Duration = Duration::from_secs(15);

/// When to look whether its parent has reaped it.
const REAPED_AFTER_MS: [u64; 6] = [0, 1, 4, 15, 30, 50];

/// Ends its processes, if it has any.
///
/// # Errors
/// A process that does not end.
pub fn stop(host: &Host, state: &State) -> Result<()> {
    match Status::observe(state)? {
        Status::Stopped => Ok(()),
        _ => end(host, state),
    }
}

/// Removes a stopped one; the hooks run when nothing of it is left, once.
///
/// # Errors
/// A cgroup, an id range or an entry that cannot be removed.
pub fn remove(root: &StateRoot, dir: ContainerDir, host: &Host, state: &State) -> Result<()> {
    await_keeper(state)?;
    entry::remove_cgroup(host, state)?;
    if let Some(slot) = state.id_range {
        id_range::release(&StateRoot::open(None)?, slot)?;
    }
    // A removal that was cut short has taken the configuration already, or its hooks ran.
    let kept = hooks::kept_for_the_end(&dir, state);
    match root.remove(dir)? {
        true => hooks::poststop(&kept, state),
        false => Ok(()),
    }
}

/// Kills the first process, with which the kernel ends its pid namespace, and the cgroup.
fn end(host: &Host, state: &State) -> Result<()> {
    if let Some(init) = state.init {
        match super::kill::send(init, libc::SIGKILL) {
            Err(error) if error.errno().is_some() => return Err(error),
            _ => {}
        }
        // The freezer of v1 holds a killed process until it is thawed.
        if let Some(cgroup) = entry::open_cgroup(host, state)? {
            cgroup.kill()?;
        }
        wait_for_end(init)?;
        await_keeper(state)?;
    }
    entry::remove_cgroup(host, state)
}

/// Waits until a killed process has ended, and been reaped.
///
/// # Errors
/// It does not end within ten seconds.
pub fn wait_for_end(init: crate::state::Process) -> Result<()> {
    use std::os::fd::AsFd;
    let Ok(pidfd) = crate::sys::pidfd::pidfd_open(nix::unistd::Pid::from_raw(init.pid)) else {
        return Ok(());
    };
    if !init.lives()? {
        return Ok(());
    }
    let mut watched = [crate::sys::poll::PollFd::new(pidfd.as_fd(), crate::sys::poll::POLLIN)];
    let patience = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
    match crate::sys::poll::ppoll(&mut watched, Some(patience)) {
        Ok(0) => Err(Error::setup("the container's first process does not end")
            .hint("it may hang in the kernel; see /proc/PID/stack")),
        Ok(_) | Err(nix::errno::Errno::EINTR) => wait_until_reaped(pidfd.as_fd()),
        Err(errno) => Err(Error::call("ppoll", errno)),
    }
}

/// It still reads the cgroup, and writes what the caller may look for when `delete` is done. A first
/// process that nobody reaps, or a reader that stands still, must not keep the container for ever.
fn await_keeper(state: &State) -> Result<()> {
    use std::os::fd::AsFd;
    let Some(keeper) = state.keeper else { return Ok(()) };
    let Ok(pidfd) = crate::sys::pidfd::pidfd_open(nix::unistd::Pid::from_raw(keeper.pid)) else {
        return Ok(());
    };
    if !keeper.lives()? {
        return Ok(());
    }
    let mut watched = [crate::sys::poll::PollFd::new(pidfd.as_fd(), crate::sys::poll::POLLIN)];
    let patience = u64::try_from(KEEPER_PATIENCE.as_millis()).unwrap_or(u64::MAX);
    match crate::sys::poll::ppoll(&mut watched, Some(patience)) {
        Ok(0) => match crate::sys::pidfd::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Error::call("pidfd_send_signal", errno)),
        },
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::call("ppoll", errno)),
    }
}

/// Whoever is its parent reaps it; until then its number is still seen in /proc. A pidfd
/// hangs up when that has happened, but wakes nobody for it, so it is asked a few times.
fn wait_until_reaped(pidfd: std::os::fd::BorrowedFd<'_>) -> Result<()> {
    for wait in REAPED_AFTER_MS {
        let mut watched = [crate::sys::poll::PollFd::new(pidfd, 0)];
        match crate::sys::poll::ppoll(&mut watched, Some(wait)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(Error::call("ppoll", errno)),
        }
    }
    Ok(())
}
