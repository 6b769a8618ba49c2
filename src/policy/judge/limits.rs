//! `[limits]`.

use super::Bench;
use crate::cgroup::{Amount, IoMax, Limits};
use crate::policy::rules::{Bound, Key, Verb};

/// Microseconds, where no period is given (sched-bwc.rst).
const PERIOD: u64 = 100_000;

/// What is asked of one limit.
#[derive(Clone, Copy)]
struct Asked {
    rule: &'static str,
    field: &'static str,
    /// Absent or without bound: none.
    value: Option<u64>,
}

const MEMORY: (&str, &str) = ("limits.memory", "/linux/resources/memory/limit");
const SWAP: (&str, &str) = ("limits.swap", "/linux/resources/memory/swap");
const PIDS: (&str, &str) = ("limits.pids", "/linux/resources/pids/limit");
const CPU: (&str, &str) = ("limits.cpu", "/linux/resources/cpu/quota");

/// The limits of a launch.
pub(super) fn limits(bench: &mut Bench<'_>, limits: &Limits) {
    let rules = &bench.layer.rules.limits;
    bound(bench, &rules.memory, asked(MEMORY, finite(limits.memory_max)));
    bound(bench, &rules.swap, asked(SWAP, finite(limits.memory_swap_max)));
    bound(bench, &rules.pids, asked(PIDS, finite(limits.pids_max)));
    bound(bench, &rules.cpu, asked(CPU, cpus(limits)));
    if let Some(io) = rules.io.as_ref().filter(|io| io.value != Bound::Unlimited) {
        let kept = limits.io_max.iter().any(throttles);
        let asked = if kept { "a throttle" } else { "no throttle" };
        bench.decide(kept, io.line, "limits.io", "/linux/resources/blockIO", asked, "at least one");
    }
    weakening(bench, limits);
}

/// The limits that `update` sets.
pub(super) fn changed(bench: &mut Bench<'_>, limits: &Limits) {
    let rules = &bench.layer.rules.limits;
    if limits.memory_max.is_some() {
        bound(bench, &rules.memory, asked(MEMORY, finite(limits.memory_max)));
    }
    if limits.memory_swap_max.is_some() {
        bound(bench, &rules.swap, asked(SWAP, finite(limits.memory_swap_max)));
    }
    if limits.pids_max.is_some() {
        bound(bench, &rules.pids, asked(PIDS, finite(limits.pids_max)));
    }
    // A period alone changes the quotient too, by a quota that is not known here.
    if limits.cpu_quota_us.is_some() || limits.cpu_period_us.is_some() {
        bound(bench, &rules.cpu, asked(CPU, cpus(limits)));
    }
    if let Some(io) =
        rules.io.as_ref().filter(|io| io.value != Bound::Unlimited && limits.io_max.iter().any(lifts))
    {
        bench.refuse(io.line, "limits.io", "/linux/resources/blockIO", "a throttle taken away", "throttles");
    }
    weakening(bench, limits);
}

fn rates(io: &IoMax) -> [Option<Amount>; 4] {
    [io.rbps, io.wbps, io.riops, io.wiops]
}

/// A rate without bound is no throttle.
pub(in crate::policy) fn throttles(io: &IoMax) -> bool {
    rates(io).into_iter().any(|rate| finite(rate).is_some())
}

fn lifts(io: &IoMax) -> bool {
    rates(io).contains(&Some(Amount::Max))
}

/// What undoes limits, or the kernel's answer to them.
fn weakening(bench: &mut Bench<'_>, limits: &Limits) {
    let rules = &bench.layer.rules.limits;
    if let Some(names) = &rules.unified {
        for (file, _) in &limits.unified {
            let field = format!("/linux/resources/unified/{file}");
            bench.decide(names.value.hold(file), names.line, "limits.unified", field, file, &names.value);
        }
    }
    let realtime = limits.cpu_rt_runtime_us.is_some_and(|runtime| runtime != 0);
    if let Some(at) = rules.realtime.as_ref().filter(|_| realtime) {
        let field = "/linux/resources/cpu/realtimeRuntime";
        let allowed = if at.value { "any" } else { "none" };
        bench.decide(at.value, at.line, "limits.realtime", field, "realtime", allowed);
    }
    if let Some(at) = rules.oom_kill_disable.as_ref().filter(|_| limits.oom_kill_disable) {
        let field = "/linux/resources/memory/disableOOMKiller";
        bench.decide(at.value, at.line, "limits.oom_kill_disable", field, "true", at.value);
    }
}

/// Shares of the cache and of memory bandwidth, which others then have not.
pub(super) fn rdt(bench: &mut Bench<'_>, asked: bool) {
    if let Some(at) = bench.layer.rules.limits.rdt.as_ref().filter(|_| asked) {
        let allowed = if at.value { "any" } else { "none" };
        bench.decide(at.value, at.line, "limits.rdt", "/linux/intelRdt", "a share of its own", allowed);
    }
}

/// What options of the launch limit.
pub(super) fn of_the_launch(bench: &mut Bench<'_>) {
    let (rules, request) = (&bench.layer.rules.limits, bench.request);
    let time = request.timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let fields = match request.verb {
        Verb::Sandbox => ["--timeout", "--stdout-max", "--stderr-max"],
        _ => [
            "/annotations/io.pinfold.timeout",
            "/annotations/io.pinfold.stdout-max",
            "/annotations/io.pinfold.stderr-max",
        ],
    };
    let [of_time, of_stdout, of_stderr] = fields;
    bound(bench, &rules.time, asked(("limits.time", of_time), time));
    bound(bench, &rules.stdout, asked(("limits.stdout", of_stdout), request.stdout_max));
    bound(bench, &rules.stderr, asked(("limits.stderr", of_stderr), request.stderr_max));
}

fn asked((rule, field): (&'static str, &'static str), value: Option<u64>) -> Asked {
    Asked { rule, field, value }
}

pub(in crate::policy) fn finite(amount: Option<Amount>) -> Option<u64> {
    match amount {
        Some(Amount::Value(value)) => Some(value),
        Some(Amount::Max) | None => None,
    }
}

/// Thousandths of a CPU, rounded up.
fn cpus(limits: &Limits) -> Option<u64> {
    let quota = finite(limits.cpu_quota_us)?;
    let period = limits.cpu_period_us.filter(|period| *period != 0).unwrap_or(PERIOD);
    Some(quota.saturating_mul(1000).div_ceil(period))
}

fn bound(bench: &mut Bench<'_>, rule: &Key<Bound>, asked: Asked) {
    let Some(at) = rule else { return };
    let Asked { rule, field, value } = asked;
    let kept = match (at.value, value) {
        (Bound::Unlimited, _) | (Bound::Set, Some(_)) => true,
        (Bound::Max(most), Some(value)) => value <= most,
        (Bound::Set | Bound::Max(_), None) => false,
    };
    let text = value.map_or_else(|| "no limit".to_owned(), |value| value.to_string());
    bench.decide(kept, at.line, rule, field, text, at.value);
}
