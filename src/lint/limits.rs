//! `linux.resources` and rlimits: what a program may take from everyone else.

use super::Severity::{High, Low, Medium, Note};
use super::{Bench, Rule, rule};
use crate::cgroup::Amount;

pub(super) const RULES: &[&Rule] =
    &[&MEMORY, &SWAP, &PIDS, &CPU, &OOM_KILL, &REALTIME, &UNIFIED, &RDT, &RLIMIT, &RLIMIT_NONE];

#[rustfmt::skip]
mod table {
    use super::*;

    pub(super) const MEMORY: Rule = rule("limits.memory", Medium, Medium, "no limit of memory", "set linux.resources.memory.limit");
    pub(super) const SWAP: Rule = rule("limits.swap", Low, Low, "no limit of swap", "set linux.resources.memory.swap to the same number as limit");
    pub(super) const PIDS: Rule = rule("limits.pids", Medium, Medium, "no limit of processes", "set linux.resources.pids.limit");
    pub(super) const CPU: Rule = rule("limits.cpu", Low, Low, "no limit of CPU time", "set linux.resources.cpu.quota and period");
    pub(super) const OOM_KILL: Rule = rule("limits.oom_kill", High, High, "no OOM killer", "leave out linux.resources.memory.disableOOMKiller: its tasks hang, and with them who waits for them");
    pub(super) const REALTIME: Rule = rule("limits.realtime", Medium, Medium, "real-time CPU", "leave out realtimeRuntime and realtimePeriod");
    pub(super) const UNIFIED: Rule = rule("limits.unified", Low, Low, "files of the cgroup are written directly", "use the fields of linux.resources: what stands in `unified` is written last and may undo them");
    pub(super) const RDT: Rule = rule("limits.rdt", Note, Note, "cache and memory bandwidth", "leave out linux.intelRdt, or give the container a closID of its own");
    pub(super) const RLIMIT: Rule = rule("limits.rlimit", Low, Low, "an rlimit without bound", "set a hard limit that the program needs");
    pub(super) const RLIMIT_NONE: Rule = rule("limits.nofile", Note, Note, "the runtime's own limit of open files", "list RLIMIT_NOFILE in process.rlimits");
}
use table::*;

/// Number and name of those whose absence of bound costs the host (asm-generic/resource.h).
const COSTLY: &[(u32, &str)] = &[
    (6, "RLIMIT_NPROC"),
    (7, "RLIMIT_NOFILE"),
    (8, "RLIMIT_MEMLOCK"),
    (11, "RLIMIT_SIGPENDING"),
    (12, "RLIMIT_MSGQUEUE"),
];
const NOFILE: u32 = 7;
/// A million descriptors are as good as no bound.
const MANY_FILES: u64 = 1 << 20;

pub(super) fn limits(bench: &mut Bench<'_>) {
    let limits = &bench.subject.draft.limits;
    let open = |amount: Option<Amount>| matches!(amount, None | Some(Amount::Max));
    let at = |name: &str| format!("/linux/resources/{name}");
    if open(limits.memory_max) {
        bench.find(&MEMORY, at("memory/limit"), "it may take all memory of the host");
    } else if open(limits.memory_swap_max) {
        bench.find(&SWAP, at("memory/swap"), "beyond its memory it fills the host's swap");
    }
    if open(limits.pids_max) {
        bench.find(&PIDS, at("pids/limit"), "a fork bomb takes all pids of the host");
    }
    if open(limits.cpu_quota_us) {
        bench.find(&CPU, at("cpu/quota"), "it may use every CPU all the time");
    }
    if limits.oom_kill_disable {
        bench.find(&OOM_KILL, at("memory/disableOOMKiller"), "at its limit it stops and stays");
    }
    if limits.cpu_rt_runtime_us.is_some() {
        bench.find(&REALTIME, at("cpu/realtimeRuntime"), "it goes before every other program");
    }
    if !limits.unified.is_empty() {
        let names: Vec<_> = limits.unified.iter().map(|(name, _)| name.as_str()).collect();
        bench.find(&UNIFIED, at("unified"), format!("written as they are: {}", names.join(", ")));
    }
    if bench.subject.draft.rdt.is_some() {
        bench.find(&RDT, "/linux/intelRdt", "a group with a closID of others changes theirs");
    }
    rlimits(bench);
}

fn rlimits(bench: &mut Bench<'_>) {
    let Some(process) = &bench.subject.draft.process else { return };
    for (index, (resource, _, hard)) in process.rlimits.iter().enumerate() {
        let Some((_, name)) = COSTLY.iter().find(|(number, _)| number == resource) else { continue };
        if *hard == u64::MAX || (*resource == NOFILE && *hard >= MANY_FILES) {
            bench.find(&RLIMIT, format!("/process/rlimits/{index}"), format!("{name} is without bound"));
        }
    }
    if !process.rlimits.iter().any(|(resource, ..)| *resource == NOFILE) {
        bench.find(&RLIMIT_NONE, "/process/rlimits", "RLIMIT_NOFILE is what the caller has");
    }
}
