//! `linux.resources` of the OCI runtime specification (config-linux.md, "Control groups") as [`Limits`].
//!
//! The conversions are runc's (libcontainer's cgroups package), so that a configuration means the
//! same here: 0 is "not set" except for pids, -1 is "no bound", shares and block IO weights are mapped to v2.

use oci_spec::runtime as oci;

use crate::error::{Error, Result};

use super::device::{DeviceAccess, DeviceKind, DeviceRule};
use super::limits::{Amount, IoDeviceWeight, IoMax, Limits, RdmaMax};

const ROOT: &str = "/linux/resources";

impl Limits {
    /// Takes over everything that `resources` asks for. Errors name the field.
    pub fn from_oci(resources: &oci::LinuxResources) -> Result<Self> {
        let mut limits = Self::default();
        if let Some(memory) = resources.memory() {
            take_memory(&mut limits, memory)?;
        }
        if let Some(cpu) = resources.cpu() {
            take_cpu(&mut limits, cpu)?;
        }
        if let Some(pids) = resources.pids() {
            limits.pids_max = Some(amount(pids.limit(), "pids/limit")?);
        }
        if let Some(block_io) = resources.block_io() {
            take_block_io(&mut limits, block_io)?;
        }
        for (index, page) in list(resources.hugepage_limits()).iter().enumerate() {
            limits.hugetlb.push(hugepages(page, index)?);
        }
        if let Some(network) = resources.network() {
            limits.net_class_id = network.class_id().filter(|id| *id != 0);
            let priorities = list(network.priorities()).iter();
            limits.net_priorities = priorities.map(|one| (one.name().clone(), one.priority())).collect();
        }
        take_rdma(&mut limits, resources)?;
        take_unified(&mut limits, resources)?;
        if let Some(rules) = resources.devices() {
            let rules = rules.iter().enumerate().map(|(index, rule)| device(rule, index));
            limits.devices = Some(rules.collect::<Result<_>>()?);
        }
        Ok(limits)
    }
}

fn refused(field: &str, text: impl Into<String>) -> Error {
    Error::usage(text).field(format!("{ROOT}/{field}"))
}

fn list<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

/// -1 is no bound; what is below it means nothing.
fn amount(value: i64, field: &str) -> Result<Amount> {
    match value {
        -1 => Ok(Amount::Max),
        _ => u64::try_from(value).map(Amount::Value).or(Err(refused(field, format!("{value} is below -1")))),
    }
}

/// As [`amount`], where runc reads 0 as "not set".
fn optional(value: Option<i64>, field: &str) -> Result<Option<Amount>> {
    value.filter(|value| *value != 0).map(|value| amount(value, field)).transpose()
}

fn take_memory(limits: &mut Limits, memory: &oci::LinuxMemory) -> Result<()> {
    limits.memory_max = optional(memory.limit(), "memory/limit")?;
    limits.memory_swap_max = swap_alone(limits.memory_max, optional(memory.swap(), "memory/swap")?)?;
    limits.memory_low = optional(memory.reservation(), "memory/reservation")?;
    limits.kernel_memory = optional(memory.kernel(), "memory/kernel")?;
    limits.kernel_tcp = optional(memory.kernel_tcp(), "memory/kernelTCP")?;
    // Docker writes its "unset", -1, as an unsigned number.
    limits.swappiness = memory.swappiness().filter(|value| *value != u64::MAX);
    if limits.swappiness.is_some_and(|value| value > 100) {
        return Err(refused("memory/swappiness", "is above 100"));
    }
    limits.oom_kill_disable = memory.disable_oom_killer().unwrap_or(false);
    if memory.use_hierarchy() == Some(false) {
        return Err(refused(
            "memory/useHierarchy",
            "memory is always counted hierarchically since Linux 5.11",
        ));
    }
    limits.memory_check = memory.check_before_update().unwrap_or(false);
    Ok(())
}

/// OCI bounds memory and swap together, as v1 does; v2 bounds swap alone.
fn swap_alone(memory: Option<Amount>, both: Option<Amount>) -> Result<Option<Amount>> {
    let refused = |text| Err(refused("memory/swap", text));
    match (memory, both) {
        // Memory without bound and nothing said about swap: neither is bounded, as in v1.
        (Some(Amount::Max), None) => Ok(Some(Amount::Max)),
        (_, None | Some(Amount::Max)) => Ok(both),
        (None | Some(Amount::Max), Some(Amount::Value(_))) => {
            refused("memory and swap together cannot be bounded without /linux/resources/memory/limit")
        }
        (Some(Amount::Value(memory)), Some(Amount::Value(both))) => match both.checked_sub(memory) {
            Some(swap) => Ok(Some(Amount::Value(swap))),
            None => refused("is below /linux/resources/memory/limit, which it includes"),
        },
    }
}

fn take_cpu(limits: &mut Limits, cpu: &oci::LinuxCpu) -> Result<()> {
    limits.cpu_shares = cpu.shares().filter(|shares| *shares != 0);
    limits.cpu_weight = limits.cpu_shares.map(weight_of_shares);
    limits.cpu_quota_us = optional(cpu.quota(), "cpu/quota")?;
    limits.cpu_period_us = cpu.period().filter(|period| *period != 0);
    limits.cpu_burst_us = cpu.burst();
    limits.cpu_idle = match cpu.idle() {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(_) => return Err(refused("cpu/idle", "is neither 0 nor 1")),
    };
    limits.cpu_rt_runtime_us = cpu.realtime_runtime().filter(|runtime| *runtime != 0);
    limits.cpu_rt_period_us = cpu.realtime_period().filter(|period| *period != 0);
    limits.cpuset_cpus = cpu_list(cpu.cpus(), "cpu/cpus")?;
    limits.cpuset_mems = cpu_list(cpu.mems(), "cpu/mems")?;
    Ok(())
}

/// The list format of cpuset(7); the kernel judges the numbers.
fn cpu_list(list: &Option<String>, field: &str) -> Result<Option<String>> {
    match list.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(list) if list.bytes().all(|byte| byte.is_ascii_digit() || b",-:/".contains(&byte)) => {
            Ok(Some(list.to_owned()))
        }
        Some(list) => Err(refused(field, format!("{list:?} is not a list such as 0-3,7"))),
    }
}

/// v1 shares (2 to 262144, default 1024) as a v2 weight (1 to 10000, default 100): the curve
/// through minimum, default and maximum that runc and crun agreed on (opencontainers/runc#4785,
/// containers/crun#1721).
pub fn weight_of_shares(shares: u64) -> u64 {
    let Some(shares) = u32::try_from(shares).ok().filter(|shares| *shares < 262_144) else {
        return 10_000;
    };
    if shares <= 2 {
        return 1;
    }
    let log = f64::from(shares).log2();
    let weight = 10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0);
    // The smallest whole weight that is not below the curve.
    u64::from(smallest(1, 10_000, |whole| f64::from(whole) >= weight))
}

/// The inverse, for a v1 hierarchy: the smallest number of shares that means at least `weight`.
pub(super) fn shares_of_weight(weight: u64) -> u64 {
    u64::from(smallest(2, 262_144, |shares| weight_of_shares(u64::from(shares)) >= weight))
}

/// The smallest number from `low` to `high` that is enough; if none is, `high`.
fn smallest(mut low: u32, mut high: u32, enough: impl Fn(u32) -> bool) -> u32 {
    while low < high {
        let middle = low.midpoint(high);
        if enough(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

fn take_block_io(limits: &mut Limits, block_io: &oci::LinuxBlockIo) -> Result<()> {
    let no_leaf = |weight: Option<u16>, field: &str| match weight {
        None | Some(0) => Ok(()),
        Some(_) => Err(refused(field, "leaf weights went with the CFQ scheduler in Linux 5.0")),
    };
    no_leaf(block_io.leaf_weight(), "blockIO/leafWeight")?;
    limits.io_weight = block_io.weight().filter(|weight| *weight != 0);
    check_io_weight(limits.io_weight, "blockIO/weight")?;
    for (index, device) in list(block_io.weight_device()).iter().enumerate() {
        let field = format!("blockIO/weightDevice/{index}");
        no_leaf(device.leaf_weight(), &format!("{field}/leafWeight"))?;
        let weight = device.weight().filter(|weight| *weight != 0);
        check_io_weight(weight, &field)?;
        if let Some(weight) = weight {
            let (major, minor) = device_number(device.major(), device.minor(), &field)?;
            limits.io_device_weight.push(IoDeviceWeight { major, minor, weight });
        }
    }
    take_throttles(limits, block_io)
}

fn check_io_weight(weight: Option<u16>, field: &str) -> Result<()> {
    match weight {
        Some(weight) if !(10..=1000).contains(&weight) => {
            Err(refused(field, format!("{weight} is not from 10 to 1000")))
        }
        _ => Ok(()),
    }
}

fn take_throttles(limits: &mut Limits, block_io: &oci::LinuxBlockIo) -> Result<()> {
    type Slot = fn(&mut IoMax) -> &mut Option<Amount>;
    let lists: [(&str, &[oci::LinuxThrottleDevice], Slot); 4] = [
        ("throttleReadBpsDevice", list(block_io.throttle_read_bps_device()), |io| &mut io.rbps),
        ("throttleWriteBpsDevice", list(block_io.throttle_write_bps_device()), |io| &mut io.wbps),
        ("throttleReadIOPSDevice", list(block_io.throttle_read_iops_device()), |io| &mut io.riops),
        ("throttleWriteIOPSDevice", list(block_io.throttle_write_iops_device()), |io| &mut io.wiops),
    ];
    for (name, devices, slot) in lists {
        for (index, device) in devices.iter().enumerate() {
            let field = format!("blockIO/{name}/{index}");
            let (major, minor) = device_number(device.major(), device.minor(), &field)?;
            // In v1, where the field comes from, 0 takes the bound away.
            let rate = if device.rate() == 0 { Amount::Max } else { Amount::Value(device.rate()) };
            *slot(io_max_of(&mut limits.io_max, major, minor)) = Some(rate);
        }
    }
    Ok(())
}

fn io_max_of(bounds: &mut Vec<IoMax>, major: u32, minor: u32) -> &mut IoMax {
    let known = bounds.iter().position(|io| (io.major, io.minor) == (major, minor));
    let at = known.unwrap_or(bounds.len());
    if known.is_none() {
        bounds.push(IoMax { major, minor, ..IoMax::default() });
    }
    #[expect(clippy::indexing_slicing, reason = "`at` is a position found or pushed just above")]
    &mut bounds[at]
}

fn device_number(major: i64, minor: i64, field: &str) -> Result<(u32, u32)> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok((major, minor)),
        _ => Err(refused(field, format!("{major}:{minor} is not a device number"))),
    }
}

fn hugepages(page: &oci::LinuxHugepageLimit, index: usize) -> Result<(String, u64)> {
    let size = page.page_size();
    let well_formed = size.trim_end_matches("KB").trim_end_matches("MB").trim_end_matches("GB");
    if well_formed.len() + 2 != size.len() || well_formed.parse::<u64>().is_err() {
        let field = format!("hugepageLimits/{index}/pageSize");
        return Err(refused(&field, format!("{size:?} is not a size such as 2MB")));
    }
    let limit = u64::try_from(page.limit());
    limit
        .map(|limit| (size.clone(), limit))
        .or(Err(refused(&format!("hugepageLimits/{index}/limit"), format!("{} is negative", page.limit()))))
}

fn take_rdma(limits: &mut Limits, resources: &oci::LinuxResources) -> Result<()> {
    for (device, bounds) in resources.rdma().iter().flatten() {
        let (hca_handles, hca_objects) = (bounds.hca_handles(), bounds.hca_objects());
        if device.is_empty() || device.contains(char::is_whitespace) {
            return Err(refused("rdma", format!("{device:?} is not a device name")));
        }
        if hca_handles.is_none() && hca_objects.is_none() {
            return Err(refused(&format!("rdma/{device}"), "neither hcaHandles nor hcaObjects is set"));
        }
        limits.rdma.push(RdmaMax { device: device.clone(), hca_handles, hca_objects });
    }
    limits.rdma.sort_by(|a, b| a.device.cmp(&b.device));
    Ok(())
}

/// Files of the core that are bounds. The others move, kill or freeze processes or re-shape the tree.
const CORE_BOUNDS: [&str; 3] = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

fn take_unified(limits: &mut Limits, resources: &oci::LinuxResources) -> Result<()> {
    for (file, value) in resources.unified().iter().flatten() {
        let field = format!("unified/{}", file.replace('~', "~0").replace('/', "~1"));
        if !file.contains('.') || file.contains(['/', '\0', '\n']) || file.starts_with('.') {
            return Err(refused(&field, "is not a file name of the form CONTROLLER.PARAMETER"));
        }
        if file.starts_with("cgroup.") && !CORE_BOUNDS.contains(&file.as_str()) {
            return Err(refused(&field, "is not a limit"));
        }
        limits.unified.push((file.clone(), value.clone()));
    }
    limits.unified.sort();
    Ok(())
}

fn device(rule: &oci::LinuxDeviceCgroup, index: usize) -> Result<DeviceRule> {
    let field = |name: &str| format!("devices/{index}/{name}");
    let kind = match rule.typ().unwrap_or(oci::LinuxDeviceType::A) {
        oci::LinuxDeviceType::A => DeviceKind::All,
        oci::LinuxDeviceType::B => DeviceKind::Block,
        oci::LinuxDeviceType::C | oci::LinuxDeviceType::U => DeviceKind::Char,
        oci::LinuxDeviceType::P => return Err(refused(&field("type"), "a fifo is not a device")),
    };
    let access = match rule.access().as_deref() {
        // Nothing said: the strictest reading.
        None | Some("") if !rule.allow() => DeviceAccess::ALL,
        None | Some("") => return Err(refused(&field("access"), "nothing is allowed")),
        Some(text) => {
            text.parse().map_err(|error: Error| error.field(format!("{ROOT}/{}", field("access"))))?
        }
    };
    let major = rule_number(rule.major(), &field("major"))?;
    let minor = rule_number(rule.minor(), &field("minor"))?;
    Ok(DeviceRule { allow: rule.allow(), kind, major, minor, access })
}

/// Absent and -1 are every number.
fn rule_number(number: Option<i64>, field: &str) -> Result<Option<u64>> {
    match number {
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(u64::from(number))),
            Err(_) => Err(refused(field, format!("{number} is not a device number"))),
        },
    }
}

#[cfg(test)]
mod tests;
