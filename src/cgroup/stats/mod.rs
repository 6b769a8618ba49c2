//! Statistics of a group in the form in which runc's `events` prints them (runc's
//! types/events.go): names, units and what is left out are those that its readers know.

mod v1;
mod v2;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Result;

use super::dir::Dir;
use super::group::Cgroup;

/// One group's statistics.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time and throttling.
    pub cpu: Cpu,
    /// v1's cpuset.
    pub cpuset: CpuSet,
    /// Memory and swap.
    pub memory: Memory,
    /// Tasks.
    pub pids: Pids,
    /// Block devices.
    pub blkio: Blkio,
    /// By page size.
    pub hugetlb: BTreeMap<String, Hugetlb>,
}

/// CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Time used.
    pub usage: CpuUsage,
    /// Time held back by the quota.
    pub throttling: Throttling,
    /// `cpu.pressure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
}

/// Throttling; the time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// cpuset of v1; zeroes on v2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Page cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// All of it.
    pub usage: MemoryEntry,
    /// Memory and swap together, as v1 counts.
    pub swap: MemoryEntry,
    /// Kernel memory, v1.
    pub kernel: MemoryEntry,
    /// TCP buffers, v1.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// `memory.pressure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One counter of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// u64::MAX for none.
    pub limit: u64,
    /// Now.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most ever.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit, v1.
    pub failcnt: u64,
}

/// Tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// Now.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Block devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// `io.pressure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One counter of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hugetlb {
    /// Now.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most ever, v1.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Documentation/accounting/psi.rst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Psi {
    /// Some task waited.
    pub some: PsiData,
    /// All tasks waited.
    pub full: PsiData,
}

/// Shares of time in percent, and microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PsiData {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Cgroup {
    /// Reads all of it; what the kernel does not count stays zero or away.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        if let Some(group) = &self.unified {
            v2::core(group, &mut stats)?;
        }
        let legacy = |name| self.legacy_dir(name);
        let memory = legacy("memory");
        match (memory, &self.unified) {
            (Some(group), _) => v1::memory(group, &mut stats)?,
            (None, Some(group)) => v2::memory(group, &mut stats)?,
            (None, None) => {}
        }
        match (legacy("blkio"), &self.unified) {
            (Some(group), _) => v1::blkio(group, &mut stats)?,
            (None, Some(group)) => v2::io(group, &mut stats)?,
            (None, None) => {}
        }
        match (legacy("hugetlb"), &self.unified) {
            (Some(group), _) => v1::hugetlb(group, &mut stats)?,
            (None, Some(group)) => v2::hugetlb(group, &mut stats)?,
            (None, None) => {}
        }
        if let Some(group) = legacy("pids").or(self.unified.as_ref()) {
            pids(group, &mut stats)?;
        }
        for (name, read) in [
            ("cpuacct", v1::usage as fn(&Dir, &mut Stats) -> Result<()>),
            ("cpu", v1::throttling),
            ("cpuset", v1::cpuset),
        ] {
            if let Some(group) = legacy(name) {
                read(group, &mut stats)?;
            }
        }
        Ok(stats)
    }
}

/// The same files in both versions.
fn pids(group: &Dir, stats: &mut Stats) -> Result<()> {
    stats.pids.current = number(group, "pids.current")?.unwrap_or(0);
    // `max` is no number.
    stats.pids.limit = number(group, "pids.max")?.unwrap_or(0);
    Ok(())
}

/// A file that holds one number; `None` where there is no such file or it holds a word.
fn number(group: &Dir, file: &str) -> Result<Option<u64>> {
    Ok(group.read_optional(file)?.and_then(|text| text.trim().parse().ok()))
}

/// A file of lines `KEY VALUE`.
fn keys(group: &Dir, file: &str) -> Result<BTreeMap<String, u64>> {
    let text = group.read_optional(file)?.unwrap_or_default();
    let line = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn of(keys: &BTreeMap<String, u64>, key: &str) -> u64 {
    keys.get(key).copied().unwrap_or(0)
}

/// `major:minor`.
fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests;
