//! Statistics of the v1 hierarchies (Documentation/admin-guide/cgroup-v1/).

use crate::error::Result;

use super::super::dir::Dir;
use super::{BlkioEntry, Hugetlb, MemoryEntry, Stats, device, keys, number, of};

/// Nanoseconds of a tick of USER_HZ, which is 100 on every architecture here (time(7)).
const TICK_NS: u64 = 10_000_000;

/// cpuacct.
pub(super) fn usage(group: &Dir, stats: &mut Stats) -> Result<()> {
    let usage = &mut stats.cpu.usage;
    usage.total = number(group, "cpuacct.usage")?.unwrap_or(usage.total);
    let ticks = keys(group, "cpuacct.stat")?;
    usage.user = of(&ticks, "user").saturating_mul(TICK_NS);
    usage.kernel = of(&ticks, "system").saturating_mul(TICK_NS);
    let all = group.read_optional("cpuacct.usage_all")?.unwrap_or_default();
    for line in all.lines().skip(1) {
        let mut words = line.split(' ').skip(1).map(|word| word.parse().unwrap_or(0));
        let (user, kernel): (u64, u64) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
        usage.percpu.push(user.saturating_add(kernel));
        usage.percpu_user.push(user);
        usage.percpu_kernel.push(kernel);
    }
    Ok(())
}

/// cpu.
pub(super) fn throttling(group: &Dir, stats: &mut Stats) -> Result<()> {
    let found = keys(group, "cpu.stat")?;
    stats.cpu.throttling.periods = of(&found, "nr_periods");
    stats.cpu.throttling.throttled_periods = of(&found, "nr_throttled");
    stats.cpu.throttling.throttled_time = of(&found, "throttled_time");
    Ok(())
}

/// cpuset.
pub(super) fn cpuset(group: &Dir, stats: &mut Stats) -> Result<()> {
    let flag = |name: &str| Ok(number(group, &format!("cpuset.{name}"))?.unwrap_or(0));
    let list = |name: &str| Ok(members(&group.read_optional(&format!("cpuset.{name}"))?.unwrap_or_default()));
    let set = &mut stats.cpuset;
    set.cpus = list("cpus")?;
    set.mems = list("mems")?;
    set.cpu_exclusive = flag("cpu_exclusive")?;
    set.mem_hardwall = flag("mem_hardwall")?;
    set.mem_exclusive = flag("mem_exclusive")?;
    set.memory_migrate = flag("memory_migrate")?;
    set.memory_spread_page = flag("memory_spread_page")?;
    set.memory_spread_slab = flag("memory_spread_slab")?;
    set.memory_pressure = flag("memory_pressure")?;
    set.sched_load_balance = flag("sched_load_balance")?;
    let level = group.read_optional("cpuset.sched_relax_domain_level")?.unwrap_or_default();
    set.sched_relax_domain_level = level.trim().parse().unwrap_or(0);
    Ok(())
}

/// `0-2,5` as numbers.
pub(super) fn members(list: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some(low.parse::<u16>().ok()?..=high.parse::<u16>().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

/// memory.
pub(super) fn memory(group: &Dir, stats: &mut Stats) -> Result<()> {
    let entry = |part: &str| -> Result<MemoryEntry> {
        let file = |name: &str| Ok(number(group, &format!("memory.{part}{name}"))?.unwrap_or(0));
        Ok(MemoryEntry {
            limit: file("limit_in_bytes")?,
            usage: file("usage_in_bytes")?,
            max: file("max_usage_in_bytes")?,
            failcnt: file("failcnt")?,
        })
    };
    let memory = &mut stats.memory;
    memory.usage = entry("")?;
    memory.swap = entry("memsw.")?;
    memory.kernel = entry("kmem.")?;
    memory.kernel_tcp = entry("kmem.tcp.")?;
    memory.raw = keys(group, "memory.stat")?;
    memory.cache = of(&memory.raw, "cache");
    Ok(())
}

/// blkio: of the BFQ scheduler where it counts, else of the throttling layer.
pub(super) fn blkio(group: &Dir, stats: &mut Stats) -> Result<()> {
    let table = |name: &str| -> Result<Vec<BlkioEntry>> {
        for owner in ["bfq", "throttle"] {
            let text = group.read_optional(&format!("blkio.{owner}.{name}_recursive"))?.unwrap_or_default();
            let entries: Vec<_> = text.lines().filter_map(entry).collect();
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok(vec![])
    };
    stats.blkio.io_service_bytes_recursive = table("io_service_bytes")?;
    stats.blkio.io_serviced_recursive = table("io_serviced")?;
    Ok(())
}

/// `8:0 Read 4096`; the line `Total 4096` is no device's.
fn entry(line: &str) -> Option<BlkioEntry> {
    let mut words = line.split_whitespace();
    let (major, minor) = device(words.next()?)?;
    let (op, value) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    Some(BlkioEntry { major, minor, op, value })
}

/// hugetlb.
pub(super) fn hugetlb(group: &Dir, stats: &mut Stats) -> Result<()> {
    for size in super::v2::page_sizes()? {
        let reserved = format!("hugetlb.{size}.rsvd");
        let name = match group.has(&format!("{reserved}.usage_in_bytes"))? {
            true => reserved,
            false => format!("hugetlb.{size}"),
        };
        let Some(usage) = number(group, &format!("{name}.usage_in_bytes"))? else { continue };
        let max = number(group, &format!("{name}.max_usage_in_bytes"))?.unwrap_or(0);
        let failcnt = number(group, &format!("{name}.failcnt"))?.unwrap_or(0);
        stats.hugetlb.insert(size, Hugetlb { usage, max, failcnt });
    }
    Ok(())
}
