//! Limits in a v1 hierarchy (Documentation/admin-guide/cgroup-v1/), through crate `cgroups-rs`.
//!
//! The crate's `apply` drops errors (memory, cpuset, blkio) or compares what it reads back with
//! unrounded numbers (cpu), so only its single setters are used and each result is checked.
//! It works by path: the path is that of our own descriptor, so that it stays in the group
//! that was opened. Files that it does not know, or whose errors it swallows
//! (`memory.kmem.limit_in_bytes`, `blkio.bfq.weight`, `cpu.idle`, bursts), are written here.

use std::error::Error as _;
use std::path::PathBuf;

use cgroups_rs::fs::blkio::BlkIoController;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::fs::hugetlb::HugeTlbController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::net_cls::NetClsController;
use cgroups_rs::fs::net_prio::NetPrioController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{MaxValue, error};
use nix::errno::Errno;

use crate::error::{Context, Error, Result};

use super::device::{DeviceAccess, DeviceKind, DeviceRule, LegacyDevices};
use super::dir::Dir;
use super::family::Family;
use super::limits::{Amount, Limits};
use super::{oci, rules};

const MEMORY: &str = "/linux/resources/memory";
const CPU: &str = "/linux/resources/cpu";

/// Writes what `family` is asked for into the group's files.
pub(super) fn apply(family: Family, group: &Dir, limits: &Limits) -> Result<()> {
    match family {
        Family::Memory => memory(group, limits),
        Family::Pids => pids(group, limits),
        Family::Cpuset => rules::cpuset(group, limits, ["cpuset.effective_cpus", "cpuset.effective_mems"]),
        Family::Cpu => cpu(group, limits),
        Family::Io => block_io(group, limits),
        Family::Hugetlb => hugetlb(group, limits),
        Family::Rdma => rules::rdma(group, limits),
        Family::NetClass => net_class(group, limits),
        Family::NetPriority => net_priorities(group, limits),
        Family::Devices => devices(group, limits.devices.as_deref().unwrap_or_default()),
    }
}

/// Turns the crate's answer into ours: `file` and the errno of what failed.
pub(super) fn answer<T>(result: std::result::Result<T, error::Error>, group: &Dir, file: &str) -> Result<T> {
    result.map_err(|error| {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        match (cause.and_then(std::io::Error::raw_os_error).map(Errno::from_raw), error.kind()) {
            // The crate opens with O_CREAT, which kernfs answers with EACCES where there is no such file.
            (Some(Errno::EACCES), _) if !group.has(file).unwrap_or(true) => {
                Error::call("open", Errno::ENOENT)
            }
            (Some(errno), error::ErrorKind::ReadFailed(_)) => Error::call("read", errno),
            (Some(errno), _) => Error::call("write", errno),
            (None, _) => Error::setup(error.to_string()),
        }
        .object(group.file(file))
    })
}

/// The path of the group for the crate, and an empty one for its unused notion of a base.
pub(super) fn place(group: &Dir) -> (PathBuf, PathBuf) {
    (group.descriptor_path(), PathBuf::new())
}

fn signed(amount: Amount, field: &str) -> Result<i64> {
    match amount {
        Amount::Max => Ok(-1),
        Amount::Value(value) => {
            i64::try_from(value).or(Err(Error::usage(format!("{value} is too large")).field(field)))
        }
    }
}

fn memory(group: &Dir, limits: &Limits) -> Result<()> {
    if limits.memory_high.is_some() {
        return Err(rules::only_v2("/linux/resources/unified/memory.high"));
    }
    if limits.oom_group {
        return Err(rules::only_v2("/linux/resources/unified/memory.oom.group"));
    }
    if limits.memory_check {
        rules::check_usage(group, "memory.usage_in_bytes", limits.memory_max)?;
    }
    let (path, base) = place(group);
    let memory = MemController::new(path, base, false);
    memory_and_swap(group, &memory, limits)?;
    if let Some(low) = limits.memory_low {
        let field = format!("{MEMORY}/reservation");
        let result = memory.set_soft_limit(signed(low, &field)?);
        answer(result, group, "memory.soft_limit_in_bytes").at(field)?;
    }
    if let Some(kernel) = limits.kernel_memory {
        let field = format!("{MEMORY}/kernel");
        kernel_memory(group, kernel).at(field)?;
    }
    if let Some(tcp) = limits.kernel_tcp {
        let field = format!("{MEMORY}/kernelTCP");
        let result = memory.set_tcp_limit(signed(tcp, &field)?);
        answer(result, group, "memory.kmem.tcp.limit_in_bytes").at(field)?;
    }
    if let Some(swappiness) = limits.swappiness {
        let result = memory.set_swappiness(swappiness);
        answer(result, group, "memory.swappiness").at(format!("{MEMORY}/swappiness"))?;
    }
    if limits.oom_kill_disable {
        let result = memory.disable_oom_killer();
        answer(result, group, "memory.oom_control").at(format!("{MEMORY}/disableOOMKiller"))?;
    }
    Ok(())
}

/// Kernels from 5.16 refuse the file (EOPNOTSUPP), later ones take every value and do nothing, so it is read back.
fn kernel_memory(group: &Dir, max: Amount) -> Result<()> {
    const FILE: &str = "memory.kmem.limit_in_bytes";
    group.write(FILE, &signed(max, FILE)?.to_string())?;
    match max {
        Amount::Value(max) if rules::number(group, FILE)? > max => {
            let error =
                Error::setup("the kernel took the value and does not apply it").object(group.file(FILE));
            Err(error
                .hint("bounds on kernel memory alone are gone since Linux 5.16; memory/limit includes it"))
        }
        _ => Ok(()),
    }
}

/// The kernel keeps memory.limit_in_bytes ≤ memory.memsw.limit_in_bytes at every moment, so
/// the order depends on which way the bounds move.
fn memory_and_swap(group: &Dir, memory: &MemController, limits: &Limits) -> Result<()> {
    let both = memory_with_swap(group, limits)?;
    let set_memory = || match limits.memory_max {
        Some(max) => {
            let field = format!("{MEMORY}/limit");
            let result = memory.set_limit(signed(max, &field)?);
            answer(result, group, "memory.limit_in_bytes").at(field).map_err(hint_busy)
        }
        None => Ok(()),
    };
    let Some(both) = both else { return set_memory() };
    let field = format!("{MEMORY}/swap");
    let set_both = || {
        let result = memory.set_memswap_limit(signed(both, &field)?);
        answer(result, group, "memory.memsw.limit_in_bytes").at(field.as_str()).map_err(hint_busy)
    };
    let current = rules::number(group, "memory.limit_in_bytes")?;
    let grows = match both {
        Amount::Max => true,
        Amount::Value(both) => current < both,
    };
    if grows { set_both().and_then(|()| set_memory()) } else { set_memory().and_then(|()| set_both()) }
}

fn hint_busy(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EBUSY) => error.hint("the group uses more than that and cannot be shrunk to it"),
        Some(Errno::EINVAL) => error.hint("memory may not be bounded above memory and swap together"),
        _ => error,
    }
}

/// What memory.memsw.limit_in_bytes has to be, or `None` where nothing is asked or has to be done.
fn memory_with_swap(group: &Dir, limits: &Limits) -> Result<Option<Amount>> {
    let Some(swap) = limits.memory_swap_max else { return Ok(None) };
    let refused = |text: &str| Error::setup(text).field(format!("{MEMORY}/swap")).object(group);
    if !group.has("memory.memsw.limit_in_bytes")? {
        return match swap {
            Amount::Max => Ok(None),
            Amount::Value(_) => Err(refused("this kernel does not count swap")
                .hint("boot it with swapaccount=1, or ask for no bound on swap")),
        };
    }
    let unbounded = || refused("cgroup v1 bounds swap only together with memory, which has no bound");
    let memory = match limits.memory_max {
        Some(Amount::Value(memory)) => memory,
        Some(Amount::Max) if swap == Amount::Max => 0,
        Some(Amount::Max) => return Err(unbounded()),
        None => rules::number(group, "memory.limit_in_bytes")?,
    };
    match swap {
        Amount::Max => Ok(Some(Amount::Max)),
        // A group without bound shows the largest number of whole pages.
        Amount::Value(_) if memory >= i64::MAX.unsigned_abs() - 0xffff => Err(unbounded()),
        Amount::Value(swap) => Ok(Some(Amount::Value(memory.saturating_add(swap)))),
    }
}

fn pids(group: &Dir, limits: &Limits) -> Result<()> {
    let Some(max) = limits.pids_max else { return Ok(()) };
    let field = "/linux/resources/pids/limit";
    let value = match rules::pids_value(max) {
        Amount::Max => MaxValue::Max,
        bounded => MaxValue::Value(signed(bounded, field)?),
    };
    let (path, base) = place(group);
    answer(PidController::new(path, base, false).set_pid_max(value), group, "pids.max").at(field)
}

fn cpu(group: &Dir, limits: &Limits) -> Result<()> {
    let (path, base) = place(group);
    let cpu = CpuController::new(path, base, false);
    let shares = limits.cpu_shares.or(limits.cpu_weight.map(oci::shares_of_weight));
    if let Some(shares) = shares.filter(|shares| !(2..=262_144).contains(shares)) {
        // The kernel would clamp it and say nothing.
        let text = format!("{shares} is not from 2 to 262144");
        return Err(Error::usage(text).field(format!("{CPU}/shares")));
    }
    rules::idle_and_weight(group, limits.cpu_idle, "cpu.shares", shares)?;
    if let Some(period) = limits.cpu_rt_period_us {
        let result = cpu.set_rt_period_us(period);
        answer(result, group, "cpu.rt_period_us").at(format!("{CPU}/realtimePeriod"))?;
    }
    if let Some(runtime) = limits.cpu_rt_runtime_us {
        let result = cpu.set_rt_runtime(runtime);
        answer(result, group, "cpu.rt_runtime_us").at(format!("{CPU}/realtimeRuntime"))?;
    }
    cpu_bandwidth(group, &cpu, limits)
}

/// Period, quota and burst bound each other (EINVAL), so what is refused at first is tried
/// again after the others.
fn cpu_bandwidth(group: &Dir, cpu: &CpuController, limits: &Limits) -> Result<()> {
    let period = || match limits.cpu_period_us {
        Some(period) => {
            answer(cpu.set_cfs_period(period), group, "cpu.cfs_period_us").at(format!("{CPU}/period"))
        }
        None => Ok(()),
    };
    let quota = || match limits.cpu_quota_us {
        Some(quota) => {
            let field = format!("{CPU}/quota");
            answer(cpu.set_cfs_quota(signed(quota, &field)?), group, "cpu.cfs_quota_us").at(field)
        }
        None => Ok(()),
    };
    let burst = || match limits.cpu_burst_us {
        Some(burst) => group.write("cpu.cfs_burst_us", &burst.to_string()).at(format!("{CPU}/burst")),
        None => Ok(()),
    };
    let mut steps: [&dyn Fn() -> Result<()>; 3] = [&period, &quota, &burst];
    let mut refusal = None;
    for _ in 0..steps.len() {
        refusal = None;
        for step in &steps {
            match step() {
                Err(error) if error.errno() == Some(Errno::EINVAL) => refusal = refusal.or(Some(error)),
                result => result?,
            }
        }
        if refusal.is_none() {
            return Ok(());
        }
        steps.rotate_left(1);
    }
    refusal.map_or(Ok(()), Err)
}

fn block_io(group: &Dir, limits: &Limits) -> Result<()> {
    const FIELD: &str = "/linux/resources/blockIO";
    if let Some(weight) = limits.io_weight {
        first_of(group, ["blkio.weight", "blkio.bfq.weight"], &weight.to_string())
            .at(format!("{FIELD}/weight"))?;
    }
    for (index, device) in limits.io_device_weight.iter().enumerate() {
        let line = format!("{}:{} {}", device.major, device.minor, device.weight);
        first_of(group, ["blkio.weight_device", "blkio.bfq.weight_device"], &line)
            .at(format!("{FIELD}/weightDevice/{index}"))?;
    }
    let (path, base) = place(group);
    let blkio = BlkIoController::new(path, base, false);
    for io in &limits.io_max {
        let (major, minor) = (u64::from(io.major), u64::from(io.minor));
        type Setter = fn(&BlkIoController, u64, u64, u64) -> error::Result<()>;
        let bounds: [(&str, Option<Amount>, Setter); 4] = [
            ("read_bps", io.rbps, BlkIoController::throttle_read_bps_for_device),
            ("write_bps", io.wbps, BlkIoController::throttle_write_bps_for_device),
            ("read_iops", io.riops, BlkIoController::throttle_read_iops_for_device),
            ("write_iops", io.wiops, BlkIoController::throttle_write_iops_for_device),
        ];
        for (name, bound, setter) in bounds {
            // Zero takes the bound away.
            let rate = match bound {
                None => continue,
                Some(Amount::Max) => 0,
                Some(Amount::Value(rate)) => rate,
            };
            answer(setter(&blkio, major, minor, rate), group, &format!("blkio.throttle.{name}_device"))
                .at(FIELD)?;
        }
    }
    Ok(())
}

/// The BFQ scheduler has files of its own since CFQ went (Linux 5.0).
fn first_of(group: &Dir, files: [&str; 2], value: &str) -> Result<()> {
    let [cfq, bfq] = files;
    match group.try_write(cfq, value) {
        Err((_, Errno::ENOENT)) => group.write(bfq, value),
        Err((call, errno)) => Err(Error::call(call, errno).object(group.file(cfq))),
        Ok(()) => Ok(()),
    }
}

fn hugetlb(group: &Dir, limits: &Limits) -> Result<()> {
    if limits.hugetlb.is_empty() {
        return Ok(());
    }
    let (path, base) = place(group);
    let hugetlb = HugeTlbController::new(path, base, false);
    for (index, (size, bytes)) in limits.hugetlb.iter().enumerate() {
        let field = format!("/linux/resources/hugepageLimits/{index}");
        let result = hugetlb.set_limit_in_bytes(size, *bytes);
        answer(result, group, &format!("hugetlb.{size}.limit_in_bytes")).at(field.as_str())?;
        let reserved = format!("hugetlb.{size}.rsvd.limit_in_bytes");
        if group.has(&reserved)? {
            group.write(&reserved, &bytes.to_string()).at(field)?;
        }
    }
    Ok(())
}

fn net_class(group: &Dir, limits: &Limits) -> Result<()> {
    let Some(class) = limits.net_class_id else { return Ok(()) };
    let (path, base) = place(group);
    let result = NetClsController::new(path, base).set_class(u64::from(class));
    answer(result, group, "net_cls.classid").at("/linux/resources/network/classID")
}

fn net_priorities(group: &Dir, limits: &Limits) -> Result<()> {
    let (path, base) = place(group);
    let net_prio = NetPrioController::new(path, base);
    limits.net_priorities.iter().try_for_each(|(interface, priority)| {
        let result = net_prio.set_if_prio(interface, u64::from(*priority));
        answer(result, group, "net_prio.ifpriomap").at("/linux/resources/network/priorities")
    })
}

fn devices(group: &Dir, rules: &[DeviceRule]) -> Result<()> {
    let state = LegacyDevices::from_rules(rules)?;
    let (path, base) = place(group);
    let devices = DevicesController::new(path, base);
    let everything = DeviceRule {
        allow: state.allow_by_default,
        kind: DeviceKind::All,
        major: None,
        minor: None,
        access: DeviceAccess::ALL,
    };
    std::iter::once(&everything).chain(&state.exceptions).try_for_each(|rule| device(group, &devices, rule))
}

fn device(group: &Dir, devices: &DevicesController, rule: &DeviceRule) -> Result<()> {
    let field = "/linux/resources/devices";
    let kind = match rule.kind {
        DeviceKind::All => DeviceType::All,
        DeviceKind::Block => DeviceType::Block,
        DeviceKind::Char => DeviceType::Char,
    };
    let number = |number: Option<u64>| number.map_or(Ok(-1), |number| signed(Amount::Value(number), field));
    let (major, minor) = (number(rule.major)?, number(rule.minor)?);
    let access: Vec<_> = rule.access.to_string().chars().filter_map(DevicePermissions::from_char).collect();
    let (result, file) = if rule.allow {
        (devices.allow_device(kind, major, minor, &access), "devices.allow")
    } else {
        (devices.deny_device(kind, major, minor, &access), "devices.deny")
    };
    answer(result, group, file).at(field)
}
