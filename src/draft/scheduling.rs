//! `process.scheduler`, `process.ioPriority`, `process.execCPUAffinity` (config.md "Linux
//! Process"), with runc's rules about which value goes with which policy.

use oci_spec::runtime::{
    ExecCPUAffinity, IOPriorityClass, LinuxIOPriority, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process,
    Scheduler,
};

use super::{Door, HostFacts, number_list};
use crate::error::{Error, Result};
use crate::plan::{Cpus, Scheduling};
use crate::sys::ioprio;
use crate::sys::sched::{self, SchedAttr};

/// The kernel's NR_CPUS is at most 8192.
const LAST_CPU: u32 = 8191;

/// What is set of the process. A sandbox has the kernel's defaults and nothing of its caller's.
pub(super) fn scheduling(process: &Process, door: Door, facts: &HostFacts) -> Result<Scheduling> {
    let cpus = process.exec_cpu_affinity().as_ref().map(exec_cpus).transpose()?.unwrap_or_default();
    let given = Scheduling {
        attr: process.scheduler().as_ref().map(scheduler).transpose()?,
        io_priority: process.io_priority().as_ref().map(io_priority).transpose()?,
        cpus,
        no_io_flusher: false,
    };
    Ok(match door {
        Door::Oci => given,
        Door::Sandbox => Scheduling {
            attr: given.attr.or_else(|| default_attr(facts)),
            io_priority: given.io_priority.or(Some((ioprio::IOPRIO_CLASS_NONE, 0))),
            no_io_flusher: true,
            ..given
        },
    })
}

/// SCHED_OTHER with nice value 0. Without privilege nobody comes back from SCHED_IDLE or from a
/// higher nice value (sched(7)): the caller's then stays, which gives less and never more.
fn default_attr(facts: &HostFacts) -> Option<SchedAttr> {
    let own = facts.scheduled;
    if facts.may_raise_priority {
        return Some(SchedAttr::default());
    }
    let nice = own.nice.max(0);
    (own.policy != sched::SCHED_IDLE).then(|| SchedAttr { nice, ..SchedAttr::default() })
}

fn wrong(field: &str, text: &str, value: impl std::fmt::Display) -> Error {
    Error::usage(text).field(format!("/process/{field}")).object(value)
}

fn scheduler(given: &Scheduler) -> Result<SchedAttr> {
    let policy = policy(*given.policy());
    let (nice, priority) = (given.nice().unwrap_or(0), given.priority().unwrap_or(0));
    if matches!(policy, sched::SCHED_OTHER | sched::SCHED_BATCH) && !(-20..=19).contains(&nice) {
        return Err(wrong("scheduler/nice", "a nice value is -20 to 19", nice));
    }
    let real_time = matches!(policy, sched::SCHED_FIFO | sched::SCHED_RR);
    if priority != 0 && !real_time {
        return Err(wrong("scheduler/priority", "only SCHED_FIFO and SCHED_RR have a priority", priority));
    }
    if real_time && !(1..=99).contains(&priority) {
        return Err(wrong("scheduler/priority", "a real-time priority is 1 to 99", priority));
    }
    let deadline = [("runtime", given.runtime()), ("deadline", given.deadline()), ("period", given.period())];
    let used = deadline
        .iter()
        .find_map(|(name, value)| value.filter(|value| *value != 0).map(|value| (name, value)));
    if let (Some((name, value)), true) = (used, policy != sched::SCHED_DEADLINE) {
        return Err(wrong(&format!("scheduler/{name}"), "only SCHED_DEADLINE has it", value));
    }
    let flags = given.flags().iter().flatten().fold(0, |all, one| all | flag(*one));
    Ok(SchedAttr {
        policy,
        flags,
        nice,
        priority: u32::try_from(priority).unwrap_or(0),
        runtime: given.runtime().unwrap_or(0),
        deadline: given.deadline().unwrap_or(0),
        period: given.period().unwrap_or(0),
        ..SchedAttr::default()
    })
}

fn policy(policy: LinuxSchedulerPolicy) -> u32 {
    match policy {
        LinuxSchedulerPolicy::SchedOther => sched::SCHED_OTHER,
        LinuxSchedulerPolicy::SchedFifo => sched::SCHED_FIFO,
        LinuxSchedulerPolicy::SchedRr => sched::SCHED_RR,
        LinuxSchedulerPolicy::SchedBatch => sched::SCHED_BATCH,
        LinuxSchedulerPolicy::SchedIso => sched::SCHED_ISO,
        LinuxSchedulerPolicy::SchedIdle => sched::SCHED_IDLE,
        LinuxSchedulerPolicy::SchedDeadline => sched::SCHED_DEADLINE,
    }
}

/// `SCHED_FLAG_*` (linux/sched.h).
fn flag(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => sched::SCHED_FLAG_RESET_ON_FORK,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => sched::SCHED_FLAG_KEEP_POLICY,
        LinuxSchedulerFlag::SchedFlagKeepParams => sched::SCHED_FLAG_KEEP_PARAMS,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

fn io_priority(given: &LinuxIOPriority) -> Result<(u16, u16)> {
    let class = match given.class() {
        IOPriorityClass::IoprioClassRt => ioprio::IOPRIO_CLASS_RT,
        IOPriorityClass::IoprioClassBe => ioprio::IOPRIO_CLASS_BE,
        IOPriorityClass::IoprioClassIdle => ioprio::IOPRIO_CLASS_IDLE,
    };
    let level = u16::try_from(given.priority()).ok().filter(|level| *level <= 7);
    let level =
        level.ok_or_else(|| wrong("ioPriority/priority", "a priority is 0 to 7", given.priority()))?;
    Ok((class, level))
}

fn exec_cpus(given: &ExecCPUAffinity) -> Result<Cpus> {
    let read = |name: &str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => number_list::mask(text, LAST_CPU).map(Some).ok_or_else(|| {
            wrong(&format!("execCPUAffinity/{name}"), "no list of CPUs such as 0-3,7", format!("`{text}`"))
        }),
    };
    let (initial, last) = (read("initial", given.initial())?, read("final", given.cpu_affinity_final())?);
    Ok(match (&initial, &last) {
        (None, None) => Cpus::All,
        _ => Cpus::Named { initial, last },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(fields: Value, door: Door, facts: &HostFacts) -> Result<Scheduling> {
        let mut process = json!({"args": ["a"], "cwd": "/", "user": {"uid": 0, "gid": 0}});
        process.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        scheduling(&serde_json::from_value(process).unwrap(), door, facts)
    }

    fn oci(fields: Value) -> Result<Scheduling> {
        read(fields, Door::Oci, &HostFacts::default())
    }

    #[test]
    fn every_policy_and_flag_has_the_kernel_s_number() {
        let policies = ["OTHER", "FIFO", "RR", "BATCH", "ISO", "IDLE", "DEADLINE"];
        for (number, policy) in policies.iter().enumerate() {
            let priority = i32::from(["FIFO", "RR"].contains(policy));
            let given = json!({"scheduler": {"policy": format!("SCHED_{policy}"), "priority": priority}});
            assert_eq!(oci(given).unwrap().attr.unwrap().policy, u32::try_from(number).unwrap(), "{policy}");
        }
        let flags = [
            ("SCHED_RESET_ON_FORK", 1),
            ("SCHED_FLAG_RECLAIM", 2),
            ("SCHED_FLAG_D_L_OVERRUN", 4),
            ("SCHED_FLAG_KEEP_POLICY", 8),
            ("SCHED_FLAG_KEEP_PARAMS", 16),
            ("SCHED_FLAG_UTIL_CLAMP_MIN", 32),
            ("SCHED_FLAG_UTIL_CLAMP_MAX", 64),
        ];
        for (name, bit) in flags {
            let given = json!({"scheduler": {"policy": "SCHED_OTHER", "flags": [name]}});
            assert_eq!(oci(given).unwrap().attr.unwrap().flags, bit, "{name}");
        }
    }

    #[test]
    fn a_value_of_another_policy_is_refused_by_its_field() {
        for (scheduler, field) in [
            (json!({"policy": "SCHED_OTHER", "nice": 20}), "/process/scheduler/nice"),
            (json!({"policy": "SCHED_BATCH", "nice": -21}), "/process/scheduler/nice"),
            (json!({"policy": "SCHED_OTHER", "priority": 1}), "/process/scheduler/priority"),
            (json!({"policy": "SCHED_FIFO"}), "/process/scheduler/priority"),
            (json!({"policy": "SCHED_RR", "priority": 100}), "/process/scheduler/priority"),
            (json!({"policy": "SCHED_RR", "priority": -1}), "/process/scheduler/priority"),
            (json!({"policy": "SCHED_IDLE", "runtime": 1}), "/process/scheduler/runtime"),
            (json!({"policy": "SCHED_OTHER", "deadline": 1}), "/process/scheduler/deadline"),
            (json!({"policy": "SCHED_FIFO", "priority": 1, "period": 1}), "/process/scheduler/period"),
        ] {
            let error = oci(json!({ "scheduler": scheduler })).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn io_priorities_are_a_class_and_a_level() {
        for (class, number) in [("RT", 1), ("BE", 2), ("IDLE", 3)] {
            let given = json!({"ioPriority": {"class": format!("IOPRIO_CLASS_{class}"), "priority": 7}});
            assert_eq!(oci(given).unwrap().io_priority, Some((number, 7)));
        }
        for level in [-1, 8] {
            let given = json!({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": level}});
            assert!(oci(given).unwrap_err().to_string().starts_with("/process/ioPriority/priority"));
        }
    }

    #[test]
    fn a_list_of_cpus_that_the_kernel_would_not_read_is_refused() {
        for (name, text) in [("initial", "3-1"), ("final", "8192"), ("final", "99999999999")] {
            let error = oci(json!({"execCPUAffinity": {name: text}})).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/process/execCPUAffinity/{name}")), "{error}");
        }
        let both = oci(json!({"execCPUAffinity": {"initial": "1", "final": "0-1"}})).unwrap().cpus;
        let Cpus::Named { initial: Some(initial), last: Some(last) } = both else { panic!("{both:?}") };
        assert_eq!((initial[0], last[0]), (0b10, 0b11));
    }

    #[test]
    fn nothing_asked_is_nothing_set_but_for_a_sandbox() {
        assert_eq!(oci(json!({})).unwrap(), Scheduling::default());
        let own = |policy, nice, may_raise_priority| {
            let scheduled = SchedAttr { policy, nice, ..SchedAttr::default() };
            let facts = HostFacts { scheduled, may_raise_priority, ..HostFacts::default() };
            read(json!({}), Door::Sandbox, &facts).unwrap().attr.map(|attr| (attr.policy, attr.nice))
        };
        assert_eq!(own(sched::SCHED_FIFO, -5, true), Some((0, 0)));
        assert_eq!(own(sched::SCHED_IDLE, 10, true), Some((0, 0)));
        assert_eq!(own(sched::SCHED_RR, -5, false), Some((0, 0)), "down is open to all");
        assert_eq!(own(sched::SCHED_OTHER, 10, false), Some((0, 10)), "up is not");
        assert_eq!(own(sched::SCHED_IDLE, 0, false), None);
    }
}
