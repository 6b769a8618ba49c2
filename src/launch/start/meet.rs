//! The meetings of the parent with the child while that is assembled (ARCHITECTURE.md, "Parent and child"):
//! one word of the child, what the parent does then, and the word to go on.

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::super::inspect::{self, Seen};
use super::super::keeper::Keeper;
use super::super::watch::Watcher;
use super::super::{agent, failure, net_devices, rlimits, scheduling, terminal};
use super::{Around, Assembled, has_stage};
use crate::error::{Call, Error, Result};
use crate::plan::{Meeting, Plan, Step};
use crate::{sys, timing};

const NEW_LISTENER: u64 = sys::seccomp::SECCOMP_FILTER_FLAG_NEW_LISTENER;

/// The parent's word to go on (as in the child's `meet`).
const GO: &[u8] = b"g";

/// Lets the waiting child go on.
pub(super) fn go(child: &Assembled) -> Result<()> {
    sys::socket::send_fd(child.socket.as_fd(), GO, None).call("sendmsg").map(|_| ())
}

/// One meeting; true when it was the last. Of two checks, the last sees what it can: the
/// child hides itself by then (`resolve::join`).
pub(super) fn meet(
    plan: &mut Plan,
    child: &mut Assembled,
    checks: &mut usize,
    last: Seen,
    around: &mut Around<'_, '_, '_, '_, '_>,
) -> Result<bool> {
    let mut word = [0_u8; agent::LISTENER_WORD];
    child.wait_for(child.socket.as_fd())?;
    timing::ended("waiting for the child");
    let (length, fd) = match sys::socket::recv_fd(child.socket.as_fd(), &mut word) {
        Err(Errno::ECONNRESET) => (0, None),
        other => other.call("recvmsg")?,
    };
    let word = word.get(..length).unwrap_or_default();
    match (length, word) {
        (0, _) => return Err(failure::failed(plan, &child.records)),
        _ => child.follow(plan)?,
    }
    if let Some(number) = agent::listener_number(word) {
        return meet_listener(plan, child, number);
    }
    match (length, word) {
        (_, [word]) if *word == Meeting::Hooks as u8 => {
            // The hooks find the devices in their place, as under runc.
            child.lent = net_devices::move_all(&plan.parent.net_devices, child)?;
            if !plan.parent.runtime_hooks.is_empty() {
                (around.at_hooks)(child, &plan.parent.runtime_hooks)?;
            }
            go(child).map(|()| false)
        }
        (_, [word]) if *word == Meeting::Console as u8 => {
            child.console = fd;
            lend_size(plan, child)?;
            go(child).map(|()| false)
        }
        (_, [word]) if *word == Meeting::Check as u8 && *checks > 1 => {
            *checks -= 1;
            inspect::check(plan, child, Seen::All)?;
            go(child).map(|()| false)
        }
        (_, [word]) if *word == Meeting::Check as u8 => {
            if has_stage(plan) {
                child.watch(plan, around.ending)?;
            }
            inspect::check(plan, child, last)?;
            timing::ended("check from outside");
            child.watcher.as_ref().map_or(Ok(()), Watcher::await_ready)?;
            if let Some(keeping) = around.keeping.take() {
                child.keeper = Some(Keeper::start(plan, child, around.ending, keeping)?);
            }
            scheduling::last(plan, child.pid)?;
            rlimits::set(plan, child)?;
            (around.at_go)()?;
            go(child)?;
            timing::ended("the last word");
            Ok(!meets_for_late_listener(plan))
        }
        _ => Err(Error::internal("the child spoke a word that is not in the protocol")),
    }
}

/// The filter of the child is in force, and it waits until its supervisor has the listener.
fn meet_listener(plan: &mut Plan, child: &Assembled, number: i32) -> Result<bool> {
    let agent =
        plan.agent.as_ref().ok_or_else(|| Error::internal("nobody is there to supervise the filter"))?;
    agent::hand_over(agent, (child.pid, child.pidfd.as_fd()), number, Some(child.interrupts()))?;
    // Until execve closes it.
    plan.keep_fds.push(number.cast_unsigned());
    go(child).map(|()| meets_for_late_listener(plan))
}

/// Whether the last meeting is that for the listener of a late filter. After `create` it is
/// `start` that meets the child there.
fn meets_for_late_listener(plan: &Plan) -> bool {
    let notifies = |step: &Step| matches!(step, Step::LateSeccomp(_, flags) if flags & NEW_LISTENER != 0);
    let waits = |step: &Step| matches!(step, Step::AwaitStart { .. });
    plan.steps.iter().any(|at| notifies(&at.step)) && !plan.steps.iter().any(|at| waits(&at.step))
}

/// Before the program runs: it would otherwise find a terminal without a size.
fn lend_size(plan: &Plan, child: &Assembled) -> Result<()> {
    let lent = plan.steps.iter().any(|at| matches!(at.step, Step::ConsolePty { lent: true, .. }));
    match &child.console {
        Some(master) if lent => terminal::copy_size(master.as_fd()),
        _ => Ok(()),
    }
}
