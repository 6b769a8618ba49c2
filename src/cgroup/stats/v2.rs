//! Statistics of the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst), in v1's terms
//! where runc uses them.

use crate::error::{Call, Result};

use super::super::dir::Dir;
use super::{BlkioEntry, Hugetlb, MemoryEntry, Psi, PsiData, Stats, device, keys, number, of};

const SIZES: &str = "/sys/kernel/mm/hugepages";

/// CPU time, which is counted without the controller too, and pressure.
pub(super) fn core(group: &Dir, stats: &mut Stats) -> Result<()> {
    let found = keys(group, "cpu.stat")?;
    let nanoseconds = |key: &str| of(&found, key).saturating_mul(1000);
    stats.cpu.usage.total = nanoseconds("usage_usec");
    stats.cpu.usage.user = nanoseconds("user_usec");
    stats.cpu.usage.kernel = nanoseconds("system_usec");
    stats.cpu.throttling.periods = of(&found, "nr_periods");
    stats.cpu.throttling.throttled_periods = of(&found, "nr_throttled");
    stats.cpu.throttling.throttled_time = nanoseconds("throttled_usec");
    stats.cpu.psi = pressure(group, "cpu.pressure")?;
    Ok(())
}

/// `max` is u64::MAX, as for runc.
fn bound(group: &Dir, file: &str) -> Result<u64> {
    let text = group.read_optional(file)?.unwrap_or_default();
    Ok(if text.trim() == "max" { u64::MAX } else { text.trim().parse().unwrap_or(0) })
}

/// memory; swap comes with memory in it, as in v1.
pub(super) fn memory(group: &Dir, stats: &mut Stats) -> Result<()> {
    let entry = |name: &str| -> Result<MemoryEntry> {
        Ok(MemoryEntry {
            limit: bound(group, &format!("{name}.max"))?,
            usage: number(group, &format!("{name}.current"))?.unwrap_or(0),
            max: number(group, &format!("{name}.peak"))?.unwrap_or(0),
            failcnt: 0,
        })
    };
    let memory = &mut stats.memory;
    memory.usage = entry("memory")?;
    let swap = entry("memory.swap")?;
    let limit = match swap.limit {
        u64::MAX => u64::MAX,
        limit => limit.saturating_add(memory.usage.limit),
    };
    let usage = swap.usage.saturating_add(memory.usage.usage);
    memory.swap = MemoryEntry { limit, usage, max: 0, failcnt: 0 };
    memory.raw = keys(group, "memory.stat")?;
    memory.cache = of(&memory.raw, "file");
    memory.psi = pressure(group, "memory.pressure")?;
    Ok(())
}

/// io.stat: one line per device, `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`.
pub(super) fn io(group: &Dir, stats: &mut Stats) -> Result<()> {
    let text = group.read_optional("io.stat")?.unwrap_or_default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (table, op) = match key {
                "rbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            let Ok(value) = value.parse() else { continue };
            table.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    stats.blkio.psi = pressure(group, "io.pressure")?;
    Ok(())
}

/// hugetlb: what is reserved, where that is counted (Linux 5.7).
pub(super) fn hugetlb(group: &Dir, stats: &mut Stats) -> Result<()> {
    for size in page_sizes()? {
        let reserved = format!("hugetlb.{size}.rsvd.current");
        let usage = match number(group, &reserved)? {
            None => number(group, &format!("hugetlb.{size}.current"))?,
            found => found,
        };
        let Some(usage) = usage else { continue };
        let failcnt = of(&keys(group, &format!("hugetlb.{size}.events"))?, "max");
        stats.hugetlb.insert(size, Hugetlb { usage, max: 0, failcnt });
    }
    Ok(())
}

/// The kernel's sizes as it names them in cgroup files: `hugepages-2048kB` is 2MB.
pub(super) fn page_sizes() -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(SIZES) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.call("readdir")?,
    };
    let mut sizes = vec![];
    for entry in entries {
        let name = entry.call("readdir")?.file_name();
        sizes.extend(name.to_str().and_then(page_size));
    }
    sizes.sort();
    Ok(sizes)
}

/// mem_fmt of mm/hugetlb_cgroup.c.
pub(super) fn page_size(name: &str) -> Option<String> {
    let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kib {
        kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
        kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
        kib => format!("{kib}KB"),
    })
}

/// `None` on a kernel that does not account it, or has it switched off (EOPNOTSUPP).
fn pressure(group: &Dir, file: &str) -> Result<Option<Psi>> {
    let Ok(text) = group.try_read(file) else { return Ok(None) };
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let data = match words.next() {
            Some("some") => &mut psi.some,
            Some("full") => &mut psi.full,
            _ => continue,
        };
        *data = pressure_data(words);
    }
    Ok(Some(psi))
}

fn pressure_data<'w>(words: impl Iterator<Item = &'w str>) -> PsiData {
    let mut data = PsiData::default();
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "avg10" => data.avg10 = value.parse().unwrap_or(0.0),
            "avg60" => data.avg60 = value.parse().unwrap_or(0.0),
            "avg300" => data.avg300 = value.parse().unwrap_or(0.0),
            "total" => data.total = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    data
}
