//! Scheduling policy, processors and I/O priority of the child, set from outside: sched(7),
//! sched_setaffinity(2), ioprio_set(2).

use nix::errno::Errno;

use crate::error::{Call, Context, Error, Result};
use crate::plan::{Cpus, Plan, Scheduling};
use crate::sys::sched::{SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_KEEP_POLICY, SCHED_ISO, SchedAttr};
use crate::sys::{ioprio, prctl, sched};

/// Room for 8192 CPUs, the most that a kernel has.
const CPU_WORDS: usize = 128;

const SCHEDULER: &str = "/process/scheduler";
const IO_PRIORITY: &str = "/process/ioPriority";

/// Changes pinfold for the time of the clone, where only what is inherited can be set.
///
/// # Errors
/// The CPUs on which the child is to be born are none of this machine's.
pub(super) fn before_clone(plan: &Plan) -> Result<Option<Vec<u64>>> {
    if plan.parent.scheduling.no_io_flusher {
        match prctl::set_io_flusher(false) {
            // Without CAP_SYS_RESOURCE it can neither be seen nor taken back; with it alone set.
            Ok(()) | Err(Errno::EPERM | Errno::EINVAL) => {}
            Err(errno) => return Err(errno).call("prctl"),
        }
    }
    let Cpus::Named { initial: Some(initial), .. } = &plan.parent.scheduling.cpus else { return Ok(None) };
    let mut own = vec![0; CPU_WORDS];
    sched::sched_getaffinity(0, &mut own).call("sched_getaffinity")?;
    sched::sched_setaffinity(0, initial).call("sched_setaffinity").at("/process/execCPUAffinity/initial")?;
    Ok(Some(own))
}

/// Takes that back in pinfold.
///
/// # Errors
/// sched_setaffinity(2).
pub(super) fn after_clone(own: Option<Vec<u64>>) -> Result<()> {
    own.map_or(Ok(()), |own| sched::sched_setaffinity(0, &own).call("sched_setaffinity"))
}

/// What a child keeps through forks and changes of its ids, set while it still has pinfold's.
///
/// # Errors
/// The kernel refuses a value, or this caller has no right to it.
pub(super) fn first(plan: &Plan, pid: i32) -> Result<()> {
    let scheduling = &plan.parent.scheduling;
    if scheduling.cpus == Cpus::All {
        sched::sched_setaffinity(pid, &[u64::MAX; CPU_WORDS]).call("sched_setaffinity")?;
    }
    if let Some((class, level)) = scheduling.io_priority {
        let set = ioprio::ioprio_set(pid, class, level).call("ioprio_set").at(IO_PRIORITY);
        set.map_err(|error| error.hint("a real-time class needs CAP_SYS_NICE or CAP_SYS_ADMIN on the host"))?;
    }
    match scheduling.attr {
        Some(attr) if scheduling.attr_comes_first() => set_attr(pid, &attr),
        _ => Ok(()),
    }
}

/// The rest, when the child is in its cgroup and will not fork again; then all of it is compared.
///
/// # Errors
/// As [`first`]; the kernel set something else.
pub(super) fn last(plan: &Plan, pid: i32) -> Result<()> {
    let scheduling = &plan.parent.scheduling;
    if let Cpus::Named { last: Some(cpus), .. } = &scheduling.cpus {
        let field = "/process/execCPUAffinity/final";
        sched::sched_setaffinity(pid, cpus).call("sched_setaffinity").at(field).map_err(|error| {
            error.hint("none of these CPUs is one of this machine's that the container's cpuset allows")
        })?;
    }
    if let Some(attr) = scheduling.attr.filter(|_| !scheduling.attr_comes_first()) {
        set_attr(pid, &attr)?;
    }
    compare(scheduling, pid)
}

fn set_attr(pid: i32, attr: &SchedAttr) -> Result<()> {
    sched::sched_setattr(pid, attr).map_err(|errno| {
        let refused = match (errno, attr.policy) {
            // runc's words.
            (Errno::EPERM, sched::SCHED_DEADLINE) if lacks_a_cpu(pid) => Error::setup(format!(
                "process scheduler can't be used together with AllowedCPUs: sched_setattr: {} ({errno:?})",
                errno.desc()
            )),
            _ => Error::call("sched_setattr", errno),
        };
        let error = refused.field(SCHEDULER);
        match (errno, attr.policy) {
            (Errno::EINVAL, SCHED_ISO) => error.hint("no kernel has SCHED_ISO: its number is only reserved"),
            (Errno::EPERM, _) => error.hint("real-time policies, deadlines and negative nice values need CAP_SYS_NICE on the host; a deadline all CPUs; and a real-time policy its group's share of the time, where a v1 hierarchy divides it (resources.cpu.realtimeRuntime)"),
            (Errno::EOPNOTSUPP, _) => error.hint("this kernel has no utilisation clamps (CONFIG_UCLAMP_TASK)"),
            _ => error,
        }
    })
}

/// Whether a CPU of this machine is kept from it; no where that cannot be told, as it is for a message alone.
fn lacks_a_cpu(pid: i32) -> bool {
    use nix::unistd::{SysconfVar, sysconf};
    let mut cpus = vec![0; CPU_WORDS];
    let had = sched::sched_getaffinity(pid, &mut cpus)
        .map(|()| cpus.iter().map(|word| word.count_ones()).sum::<u32>());
    match (had, sysconf(SysconfVar::_NPROCESSORS_ONLN)) {
        (Ok(had), Ok(Some(online))) => i64::from(had) < online,
        _ => false,
    }
}

fn compare(scheduling: &Scheduling, pid: i32) -> Result<()> {
    if let Some(attr) = &scheduling.attr {
        let found = sched::sched_getattr(pid).call("sched_getattr")?;
        if !is_as_planned(attr, &found) {
            let text = format!("self-check: the scheduler is {found:?}, planned was {attr:?}");
            return Err(Error::setup(text).field(SCHEDULER).step("check"));
        }
    }
    match scheduling.io_priority {
        // Without a class the kernel answers what follows from the nice value.
        None | Some((ioprio::IOPRIO_CLASS_NONE, _)) => Ok(()),
        Some(planned) => {
            let found = ioprio::ioprio_get(pid).call("ioprio_get")?;
            if found == planned {
                return Ok(());
            }
            let text = format!("self-check: the I/O priority is {found:?}, planned was {planned:?}");
            Err(Error::setup(text).field(IO_PRIORITY).step("check"))
        }
    }
}

/// What the policy does not use, the kernel does not report; a period of 0 becomes the deadline.
/// With SCHED_FLAG_KEEP_PARAMS the kernel leaves the policy alone too (`__sched_setscheduler`).
fn is_as_planned(planned: &SchedAttr, found: &SchedAttr) -> bool {
    let kept = planned.flags & (SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS) != 0;
    let policy = kept || planned.policy == found.policy;
    let values = planned.flags & SCHED_FLAG_KEEP_PARAMS != 0
        || match found.policy {
            sched::SCHED_OTHER | sched::SCHED_BATCH => planned.nice == found.nice,
            sched::SCHED_DEADLINE => planned.runtime == found.runtime && planned.deadline == found.deadline,
            _ => planned.priority == found.priority,
        };
    let reset = sched::SCHED_FLAG_RESET_ON_FORK;
    policy && values && planned.flags & reset == found.flags & reset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_policy_or_value_is_a_difference() {
        let attr = |policy, nice, priority, flags| SchedAttr {
            policy,
            nice,
            priority,
            flags,
            ..SchedAttr::default()
        };
        for (planned, found, same) in [
            (attr(0, 5, 0, 0), attr(0, 5, 0, 0), true),
            (attr(0, 5, 0, 0), attr(0, 0, 0, 0), false),
            (attr(3, 0, 0, 0), attr(0, 0, 0, 0), false),
            (attr(1, 0, 7, 0), attr(1, 0, 7, 0), true),
            (attr(1, 0, 7, 0), attr(1, 0, 6, 0), false),
            (attr(5, 0, 0, 0), attr(5, 0, 0, 0), true),
            (attr(0, 0, 0, 1), attr(0, 0, 0, 0), false),
            (attr(1, 0, 7, 8), attr(0, 0, 0, 0), true),
            (attr(0, 5, 0, 16), attr(0, 0, 0, 0), true),
        ] {
            assert_eq!(is_as_planned(&planned, &found), same, "{planned:?} {found:?}");
        }
    }
}
