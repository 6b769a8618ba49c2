//! What a group has used, and which of its limits were hit.

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::dir::Dir;
use super::group::Cgroup;
use super::tree;

/// Counters of a group and all groups below it; `None` where the kernel does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Bytes in use.
    pub memory_current: Option<u64>,
    /// The most bytes ever in use (v2: Linux 5.19).
    pub memory_peak: Option<u64>,
    /// How often the memory limit was about to be exceeded. In v1 a lower bound: some kernels do not
    /// count at the bound on memory and swap together (6.18 does not), which is met first where both are equal.
    pub memory_max_events: Option<u64>,
    /// How often memory ran out at the limit. v2 only.
    pub oom_events: Option<u64>,
    /// Processes killed because memory ran out.
    pub oom_kill: Option<u64>,
    /// Tasks now.
    pub pids_current: Option<u64>,
    /// The most tasks ever (Linux 6.1).
    pub pids_peak: Option<u64>,
    /// Forks refused by the limit.
    pub pids_max_events: Option<u64>,
    /// CPU time in microseconds.
    pub cpu_usage_us: Option<u64>,
    /// The part of it in user mode.
    pub cpu_user_us: Option<u64>,
    /// The part of it in the kernel.
    pub cpu_system_us: Option<u64>,
    /// Microseconds for which the quota kept tasks from running.
    pub cpu_throttled_us: Option<u64>,
}

impl Cgroup {
    /// Reads all counters. A group that is gone has none.
    pub fn counters(&self) -> Result<Counters> {
        let mut counters = Counters::default();
        match (self.legacy_dir("memory"), &self.unified) {
            (Some(group), _) => legacy_memory(group, &mut counters)?,
            (None, Some(group)) => memory(group, &mut counters)?,
            (None, None) => {}
        }
        if let Some(group) = self.legacy_dir("pids").or(self.unified.as_ref()) {
            // The same files in both versions.
            counters.pids_current = number(group, "pids.current")?;
            counters.pids_peak = number(group, "pids.peak")?;
            counters.pids_max_events = Keys::read(group, "pids.events")?.key("max");
        }
        match (&self.unified, self.legacy_dir("cpuacct")) {
            // cpu.stat counts usage even without the controller (cgroup-v2.rst).
            (Some(group), _) => cpu(group, &mut counters)?,
            (None, Some(group)) => legacy_usage(group, &mut counters)?,
            (None, None) => {}
        }
        if let Some(group) = self.legacy_dir("cpu") {
            let throttled = Keys::read(group, "cpu.stat")?.key("throttled_time");
            counters.cpu_throttled_us = throttled.map(microseconds);
        }
        Ok(counters)
    }
}

fn memory(group: &Dir, counters: &mut Counters) -> Result<()> {
    counters.memory_current = number(group, "memory.current")?;
    counters.memory_peak = number(group, "memory.peak")?;
    let events = Keys::read(group, "memory.events")?;
    counters.memory_max_events = events.key("max");
    counters.oom_events = events.key("oom");
    counters.oom_kill = events.key("oom_kill");
    Ok(())
}

fn legacy_memory(group: &Dir, counters: &mut Counters) -> Result<()> {
    counters.memory_current = number(group, "memory.usage_in_bytes")?;
    counters.memory_peak = number(group, "memory.max_usage_in_bytes")?;
    // A charge that fails is counted at the one bound that it met first, which is the one on
    // memory and swap together where both are the same.
    let failures = [number(group, "memory.failcnt")?, number(group, "memory.memsw.failcnt")?];
    counters.memory_max_events = failures.into_iter().flatten().reduce(u64::saturating_add);
    // v1 counts a kill only where the victim was (memcg_memory_event, include/linux/memcontrol.h).
    counters.oom_kill =
        tree::sum(group, |group| Ok(Keys::read(group, "memory.oom_control")?.key("oom_kill")))?;
    Ok(())
}

fn cpu(group: &Dir, counters: &mut Counters) -> Result<()> {
    let stat = Keys::read(group, "cpu.stat")?;
    counters.cpu_usage_us = stat.key("usage_usec");
    counters.cpu_user_us = stat.key("user_usec");
    counters.cpu_system_us = stat.key("system_usec");
    counters.cpu_throttled_us = stat.key("throttled_usec");
    Ok(())
}

fn legacy_usage(group: &Dir, counters: &mut Counters) -> Result<()> {
    counters.cpu_usage_us = number(group, "cpuacct.usage")?.map(microseconds);
    counters.cpu_user_us = number(group, "cpuacct.usage_user")?.map(microseconds);
    counters.cpu_system_us = number(group, "cpuacct.usage_sys")?.map(microseconds);
    Ok(())
}

fn microseconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1000
}

fn number(group: &Dir, file: &str) -> Result<Option<u64>> {
    Ok(group.read_optional(file)?.and_then(|text| text.trim().parse().ok()))
}

/// A file of lines `KEY VALUE` (cgroup-v2.rst, "Format").
struct Keys(String);

impl Keys {
    fn read(group: &Dir, file: &str) -> Result<Self> {
        Ok(Self(group.read_optional(file)?.unwrap_or_default()))
    }

    fn key(&self, key: &str) -> Option<u64> {
        let values = self.0.lines().filter_map(|line| line.split_once(' '));
        values.into_iter().find(|(name, _)| *name == key)?.1.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_matched_whole() {
        let keys = Keys("oom 1\noom_kill 2\nmax 3\nbad x\n".into());
        for (key, value) in
            [("oom", Some(1)), ("oom_kill", Some(2)), ("max", Some(3)), ("bad", None), ("o", None)]
        {
            assert_eq!(keys.key(key), value, "{key}");
        }
    }
}
