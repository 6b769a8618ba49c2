//! Limits in the interface files of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst).
//!
//! What v2 has no file for is refused by the name of the field that asks for it.

use nix::errno::Errno;

use crate::error::{Context, Error, Result};

use super::dir::Dir;
use super::family::Family;
use super::limits::{Amount, Limits};
use super::rules;

const MEMORY: &str = "/linux/resources/memory";
const CPU: &str = "/linux/resources/cpu";
const UNIFIED: &str = "/linux/resources/unified";

/// Writes what `family` is asked for into the group's files.
pub(super) fn apply(family: Family, group: &Dir, limits: &Limits) -> Result<()> {
    match family {
        Family::Memory => memory(group, limits),
        Family::Pids => pids(group, limits),
        Family::Cpuset => rules::cpuset(group, limits, ["cpuset.cpus.effective", "cpuset.mems.effective"]),
        Family::Cpu => cpu(group, limits),
        Family::Io => io(group, limits),
        Family::Hugetlb => hugetlb(group, limits),
        Family::Rdma => rules::rdma(group, limits),
        Family::Devices => {
            super::device_attach::replace(group, limits.devices.as_deref().unwrap_or_default())
        }
        Family::NetClass | Family::NetPriority => {
            Err(rules::only_v1(family.asked(limits).unwrap_or_default()))
        }
    }
}

fn set(group: &Dir, file: &str, value: impl ToString, field: impl Into<String>) -> Result<()> {
    group.write(file, &value.to_string()).at(field)
}

fn memory(group: &Dir, limits: &Limits) -> Result<()> {
    refuse_legacy_memory(limits)?;
    if limits.memory_check {
        rules::check_usage(group, "memory.current", limits.memory_max)?;
    }
    if let Some(swap) = limits.memory_swap_max {
        swap_max(group, swap)?;
    }
    let amounts = [
        ("memory.max", limits.memory_max, format!("{MEMORY}/limit")),
        ("memory.low", limits.memory_low, format!("{MEMORY}/reservation")),
        ("memory.high", limits.memory_high, format!("{UNIFIED}/memory.high")),
    ];
    for (file, amount, field) in amounts {
        if let Some(amount) = amount {
            set(group, file, amount, field)?;
        }
    }
    if limits.oom_group {
        set(group, "memory.oom.group", 1, format!("{UNIFIED}/memory.oom.group"))?;
    }
    Ok(())
}

fn refuse_legacy_memory(limits: &Limits) -> Result<()> {
    let bounded = |amount: Option<Amount>| matches!(amount, Some(Amount::Value(_)));
    let asked = [
        (limits.oom_kill_disable, "disableOOMKiller"),
        (limits.swappiness.is_some(), "swappiness"),
        (bounded(limits.kernel_memory), "kernel"),
        (bounded(limits.kernel_tcp), "kernelTCP"),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, name)) => Err(rules::only_v1(&format!("{MEMORY}/{name}"))),
        None => Ok(()),
    }
}

/// Without the file nothing is bounded: fine if no bound is asked for, or if the kernel cannot swap at all.
fn swap_max(group: &Dir, swap: Amount) -> Result<()> {
    let absent = || -> Result<bool> { Ok(!group.has("memory.swap.max")?) };
    let no_swap_at_all = || std::fs::metadata("/proc/swaps").is_err();
    let needless = swap == Amount::Max || (swap == Amount::Value(0) && no_swap_at_all());
    if needless && absent()? {
        return Ok(());
    }
    set(group, "memory.swap.max", swap, format!("{MEMORY}/swap")).map_err(|error| match error.errno() {
        Some(Errno::ENOENT) => error.hint("this kernel does not count swap: boot it without swapaccount=0"),
        _ => error,
    })
}

fn pids(group: &Dir, limits: &Limits) -> Result<()> {
    match limits.pids_max {
        Some(max) => set(group, "pids.max", rules::pids_value(max), "/linux/resources/pids/limit"),
        None => Ok(()),
    }
}

fn cpu(group: &Dir, limits: &Limits) -> Result<()> {
    let real_time = [
        (limits.cpu_rt_runtime_us.is_some(), "realtimeRuntime"),
        (limits.cpu_rt_period_us.is_some(), "realtimePeriod"),
    ];
    if let Some((_, name)) = real_time.iter().find(|(asked, _)| *asked) {
        return Err(rules::only_v1(&format!("{CPU}/{name}")));
    }
    let weight = limits.cpu_weight.or(limits.cpu_shares.map(super::oci::weight_of_shares));
    rules::idle_and_weight(group, idle(limits), "cpu.weight", weight)?;
    let bandwidth = cpu_max(group, limits)?;
    let write_max = || match &bandwidth {
        Some(value) => set(group, "cpu.max", value, format!("{CPU}/quota")),
        None => Ok(()),
    };
    let Some(burst) = limits.cpu_burst_us else { return write_max() };
    let write_burst = || set(group, "cpu.max.burst", burst, format!("{CPU}/burst"));
    // A burst above the quota is EINVAL, whichever of them is written first.
    match write_max() {
        Err(error) if error.errno() == Some(Errno::EINVAL) => write_burst().and_then(|()| write_max()),
        result => result.and_then(|()| write_burst()),
    }
}

/// Also by the file's own name, which is written last, or again.
fn idle(limits: &Limits) -> Option<bool> {
    let named = limits.unified.iter().find(|(file, _)| file == "cpu.idle");
    match named.map(|(_, value)| value.trim()) {
        Some("0") => Some(false),
        Some("1") => Some(true),
        _ => limits.cpu_idle,
    }
}

/// `QUOTA PERIOD`. A quota alone keeps the period; a period alone needs the quota that is in force.
fn cpu_max(group: &Dir, limits: &Limits) -> Result<Option<String>> {
    match (limits.cpu_quota_us, limits.cpu_period_us) {
        (None, None) => Ok(None),
        (Some(quota), None) => Ok(Some(quota.to_string())),
        (Some(quota), Some(period)) => Ok(Some(format!("{quota} {period}"))),
        (None, Some(period)) => {
            let current = group.read("cpu.max").at(format!("{CPU}/period"))?;
            let quota = current.split_whitespace().next().unwrap_or("max");
            Ok(Some(format!("{quota} {period}")))
        }
    }
}

fn io(group: &Dir, limits: &Limits) -> Result<()> {
    const FIELD: &str = "/linux/resources/blockIO";
    if let Some(weight) = limits.io_weight {
        io_weight(group, "", weight, format!("{FIELD}/weight"))?;
    }
    for (index, device) in limits.io_device_weight.iter().enumerate() {
        let number = format!("{}:{} ", device.major, device.minor);
        io_weight(group, &number, device.weight, format!("{FIELD}/weightDevice/{index}"))?;
    }
    for io in &limits.io_max {
        let mut line = format!("{}:{}", io.major, io.minor);
        for (key, bound) in [("rbps", io.rbps), ("wbps", io.wbps), ("riops", io.riops), ("wiops", io.wiops)] {
            if let Some(bound) = bound {
                line.push_str(&format!(" {key}={bound}"));
            }
        }
        set(group, "io.max", line, FIELD)?;
    }
    Ok(())
}

/// The BFQ scheduler has a file of its own, in the units of v1; io.weight is the one of the cost model.
fn io_weight(group: &Dir, device: &str, weight: u16, field: String) -> Result<()> {
    match group.try_write("io.bfq.weight", &format!("{device}{weight}")) {
        Ok(()) => Ok(()),
        Err((_, Errno::ENOENT)) => {
            set(group, "io.weight", format!("{device}{}", io_weight_of_blkio(weight)), field)
        }
        Err((call, errno)) => Err(Error::call(call, errno).object(group.file("io.bfq.weight")).field(field)),
    }
}

/// runc's straight line from 10..1000 to 1..10000.
pub fn io_weight_of_blkio(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9999 / 990
}

/// The bound on reservations is what keeps mmap(2) from promising pages that the other bound
/// would answer with SIGBUS (hugetlb, Linux 5.7).
fn hugetlb(group: &Dir, limits: &Limits) -> Result<()> {
    for (index, (size, bytes)) in limits.hugetlb.iter().enumerate() {
        let field = format!("/linux/resources/hugepageLimits/{index}");
        set(group, &format!("hugetlb.{size}.max"), bytes, field.as_str())?;
        let reserved = format!("hugetlb.{size}.rsvd.max");
        if group.has(&reserved)? {
            set(group, &reserved, bytes, field)?;
        }
    }
    Ok(())
}

/// Writes the files that are asked for by name, after all others so that they have the last word.
/// A value of several lines is written line by line, as kernfs wants it.
pub(super) fn unified(group: &Dir, limits: &Limits) -> Result<()> {
    for (file, value) in &limits.unified {
        let lines = if value.is_empty() { vec![""] } else { value.lines().collect() };
        for line in lines {
            set(group, file, line, format!("{UNIFIED}/{file}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_io_weights_keep_their_ends() {
        for (blkio, weight) in [(10, 1), (11, 11), (500, 4950), (1000, 10_000)] {
            assert_eq!(io_weight_of_blkio(blkio), weight, "{blkio}");
        }
    }

    #[test]
    fn what_only_v1_has_is_refused_by_field() {
        let limits = Limits::default;
        for (limits, field) in [
            (Limits { swappiness: Some(0), ..limits() }, "memory/swappiness"),
            (Limits { oom_kill_disable: true, ..limits() }, "memory/disableOOMKiller"),
            (Limits { kernel_memory: Some(Amount::Value(1)), ..limits() }, "memory/kernel"),
            (Limits { kernel_tcp: Some(Amount::Value(1)), ..limits() }, "memory/kernelTCP"),
        ] {
            let error = refuse_legacy_memory(&limits).unwrap_err();
            assert_eq!(error.field_name(), Some(format!("/linux/resources/{field}").as_str()));
        }
        let unbounded =
            Limits { kernel_memory: Some(Amount::Max), kernel_tcp: Some(Amount::Max), ..limits() };
        assert!(refuse_legacy_memory(&unbounded).is_ok());
    }
}
