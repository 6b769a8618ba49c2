//! Limits as properties of a unit (org.freedesktop.systemd1(5), "Scope Unit Objects").
//!
//! systemd writes its own idea of these files whenever it looks at the unit again, at a
//! daemon-reload for one. So whatever it has a property for it is told; the rest are files that it never
//! touches, and `cgroup` writes them all, these too: what is in force is exact and read back.
//!
//! The device list is not told: systemd would attach a program of its own that means less (no
//! order of rules), beside ours, which it leaves alone.

use super::wire::Value;
use crate::cgroup::{Amount, Limits, io_weight_of_blkio, pids_value, weight_of_shares};
use crate::error::{Error, Result};

const UNLIMITED: u64 = u64::MAX;
/// A percent of a CPU, in microseconds per second: systemd keeps no smaller part of a quota.
const PERCENT: u64 = 10_000;
/// Where nothing is said about the period (sched-bwc.rst).
const PERIOD_US: u64 = 100_000;
/// More CPUs or nodes than any kernel is built for.
const LAST_CPU: u32 = 8191;

/// A property's name and its value.
pub type Property = (String, Value);

/// What systemd has properties for.
///
/// # Errors
/// A value that the property cannot take, by its field.
pub fn properties(limits: &Limits) -> Result<Vec<Property>> {
    let mut all = Properties::default();
    for (name, amount) in [
        ("MemoryMax", limits.memory_max),
        ("MemoryLow", limits.memory_low),
        ("MemoryHigh", limits.memory_high),
        ("MemorySwapMax", limits.memory_swap_max),
        ("TasksMax", limits.pids_max.map(pids_value)),
    ] {
        all.amount(name, amount);
    }
    if limits.oom_group {
        all.text("OOMPolicy", "kill");
    }
    all.quota(limits.cpu_quota_us, limits.cpu_period_us);
    match (limits.cpu_idle, limits.cpu_weight.or(limits.cpu_shares.map(weight_of_shares))) {
        // CGROUP_WEIGHT_IDLE
        (Some(true), _) => all.number("CPUWeight", 0),
        (_, Some(weight)) => all.number("CPUWeight", weight),
        (Some(false), None) => all.number("CPUWeight", UNLIMITED),
        (None, None) => {}
    }
    all.set("AllowedCPUs", limits.cpuset_cpus.as_deref(), "/linux/resources/cpu/cpus")?;
    all.set("AllowedMemoryNodes", limits.cpuset_mems.as_deref(), "/linux/resources/cpu/mems")?;
    if let Some(asked) = limits.io_weight {
        all.number("IOWeight", io_weight_of_blkio(asked));
    }
    for (file, value) in &limits.unified {
        all.unified(file, value).map_err(|error| error.field(format!("/linux/resources/unified/{file}")))?;
    }
    Ok(all.0)
}

#[derive(Default)]
struct Properties(Vec<Property>);

impl Properties {
    /// The last word wins, as with the files.
    fn put(&mut self, name: &str, value: Value) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
    }

    fn number(&mut self, name: &str, value: u64) {
        self.put(name, Value::Uint64(value));
    }

    fn text(&mut self, name: &str, value: &str) {
        self.put(name, Value::Text(value.to_owned()));
    }

    fn amount(&mut self, name: &str, amount: Option<Amount>) {
        match amount {
            None => {}
            Some(Amount::Max) => self.number(name, UNLIMITED),
            Some(Amount::Value(value)) => self.number(name, value),
        }
    }

    /// Rounded down to what systemd keeps, so that no reload makes more of it; below one percent up,
    /// for zero would be no quota at all.
    fn quota(&mut self, quota: Option<Amount>, period: Option<u64>) {
        if let Some(period) = period {
            self.number("CPUQuotaPeriodUSec", period);
        }
        match quota {
            None => {}
            Some(Amount::Max) => self.number("CPUQuotaPerSecUSec", UNLIMITED),
            Some(Amount::Value(quota)) => {
                let per_second = quota.saturating_mul(1_000_000) / period.unwrap_or(PERIOD_US).max(1);
                self.number("CPUQuotaPerSecUSec", (per_second / PERCENT * PERCENT).max(PERCENT));
            }
        }
    }

    fn set(&mut self, name: &str, list: Option<&str>, field: &str) -> Result<()> {
        if let Some(list) = list {
            let bits = bits(list).map_err(|error| error.field(field))?;
            self.put(name, Value::Bytes(bits));
        }
        Ok(())
    }

    fn unified(&mut self, file: &str, value: &str) -> Result<()> {
        let value = value.trim();
        match file {
            "memory.min" => self.amount("MemoryMin", Some(amount(value)?)),
            "memory.low" => self.amount("MemoryLow", Some(amount(value)?)),
            "memory.high" => self.amount("MemoryHigh", Some(amount(value)?)),
            "memory.max" => self.amount("MemoryMax", Some(amount(value)?)),
            "memory.swap.max" => self.amount("MemorySwapMax", Some(amount(value)?)),
            "memory.zswap.max" => self.amount("MemoryZSwapMax", Some(amount(value)?)),
            "memory.oom.group" => self.text("OOMPolicy", if value == "1" { "kill" } else { "continue" }),
            "pids.max" => self.amount("TasksMax", Some(amount(value)?)),
            "cpu.weight" => self.amount("CPUWeight", Some(amount(value)?)),
            "cpu.idle" => self.number("CPUWeight", if value == "1" { 0 } else { UNLIMITED }),
            "io.weight" => match value.strip_prefix("default").unwrap_or(value).trim() {
                // Of one device: a file that systemd does not write.
                device if device.contains(':') => {}
                value => self.amount("IOWeight", Some(amount(value)?)),
            },
            "cpu.max" => {
                let mut words = value.split_whitespace();
                let quota = words.next().map(amount).transpose()?;
                let period = words.next().map(amount).transpose()?;
                match period {
                    Some(Amount::Max) => return Err(not_a_number(value)),
                    Some(Amount::Value(period)) => self.quota(quota, Some(period)),
                    None => self.quota(quota, None),
                }
            }
            "cpuset.cpus" => self.put("AllowedCPUs", Value::Bytes(bits(value)?)),
            "cpuset.mems" => self.put("AllowedMemoryNodes", Value::Bytes(bits(value)?)),
            _ => {}
        }
        Ok(())
    }
}

fn amount(text: &str) -> Result<Amount> {
    match text {
        "max" => Ok(Amount::Max),
        _ => text.parse().map(Amount::Value).or(Err(not_a_number(text))),
    }
}

fn not_a_number(text: &str) -> Error {
    Error::usage(format!("{text:?}: for systemd it has to be a plain number or `max`"))
}

/// A list such as `0-3,7` as the bits that AllowedCPUs takes: byte by byte, the lowest first.
fn bits(list: &str) -> Result<Vec<u8>> {
    let refused = || Error::usage(format!("{list:?} is not a list such as 0-3,7"));
    let mut bytes = vec![];
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().or(Err(refused()));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last > LAST_CPU {
            return Err(refused());
        }
        for bit in first..=last {
            let at = usize::try_from(bit / 8).or(Err(refused()))?;
            if bytes.len() <= at {
                bytes.resize(at + 1, 0_u8);
            }
            if let Some(byte) = bytes.get_mut(at) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(limits: &Limits) -> Vec<(String, Value)> {
        properties(limits).unwrap()
    }

    #[test]
    fn each_limit_has_its_property() {
        let limits = Limits::default;
        let number = |name: &str, value| vec![(name.to_owned(), Value::Uint64(value))];
        for (limits, expected) in [
            (limits(), vec![]),
            (Limits { memory_max: Some(Amount::Value(5)), ..limits() }, number("MemoryMax", 5)),
            (Limits { memory_max: Some(Amount::Max), ..limits() }, number("MemoryMax", u64::MAX)),
            (Limits { memory_low: Some(Amount::Value(6)), ..limits() }, number("MemoryLow", 6)),
            (Limits { memory_swap_max: Some(Amount::Value(0)), ..limits() }, number("MemorySwapMax", 0)),
            (Limits { pids_max: Some(Amount::Value(0)), ..limits() }, number("TasksMax", 1)),
            (Limits { pids_max: Some(Amount::Max), ..limits() }, number("TasksMax", u64::MAX)),
            (Limits { cpu_weight: Some(7), ..limits() }, number("CPUWeight", 7)),
            (Limits { cpu_shares: Some(1024), ..limits() }, number("CPUWeight", 100)),
            (Limits { cpu_idle: Some(true), cpu_weight: Some(7), ..limits() }, number("CPUWeight", 0)),
            (Limits { io_weight: Some(1000), ..limits() }, number("IOWeight", 10_000)),
            (Limits { cpu_burst_us: Some(1), devices: Some(vec![]), ..limits() }, vec![]),
        ] {
            assert_eq!(told(&limits), expected, "{limits:?}");
        }
    }

    #[test]
    fn a_quota_never_grows_by_rounding() {
        for (quota, period, per_second) in [
            (50_000, None, 500_000),
            (50_000, Some(100_000), 500_000),
            (33_333, Some(100_000), 330_000),
            (150_500, Some(100_000), 1_500_000),
            (1_000, Some(1_000_000), 10_000),
            (u64::MAX, None, u64::MAX / 100_000 / PERCENT * PERCENT),
        ] {
            let limits = Limits {
                cpu_quota_us: Some(Amount::Value(quota)),
                cpu_period_us: period,
                ..Limits::default()
            };
            let all = told(&limits);
            let found = all.iter().find(|(name, _)| name == "CPUQuotaPerSecUSec").unwrap();
            assert_eq!(found.1, Value::Uint64(per_second), "{quota}/{period:?}");
            assert_eq!(all.iter().any(|(name, _)| name == "CPUQuotaPeriodUSec"), period.is_some());
        }
    }

    #[test]
    fn a_file_asked_for_by_name_has_the_last_word() {
        let unified = |file: &str, value: &str| Limits {
            memory_max: Some(Amount::Value(1)),
            unified: vec![(file.to_owned(), value.to_owned())],
            ..Limits::default()
        };
        let of = |file: &str, value: &str| told(&unified(file, value));
        assert_eq!(of("memory.max", "9"), [("MemoryMax".to_owned(), Value::Uint64(9))]);
        assert_eq!(of("memory.high", "max").len(), 2);
        assert_eq!(of("cpu.max", "20000 50000").len(), 3);
        assert_eq!(of("hugetlb.2MB.max", "0").len(), 1);
        assert_eq!(of("io.weight", "8:0 5").len(), 1);
        assert_eq!(of("memory.oom.group", "1").last().unwrap().1, Value::Text("kill".to_owned()));
        for (file, value) in
            [("memory.high", "1G"), ("pids.max", ""), ("cpu.max", "1 max"), ("cpuset.cpus", "0:1")]
        {
            let error = properties(&unified(file, value)).unwrap_err();
            assert_eq!(
                error.field_name(),
                Some(format!("/linux/resources/unified/{file}").as_str()),
                "{value}"
            );
        }
    }

    #[test]
    fn a_list_is_bits() {
        for (list, bytes) in [("0", vec![1]), ("0-1,3", vec![0b1011]), ("8", vec![0, 1]), ("", vec![])] {
            assert_eq!(bits(list).unwrap(), bytes, "{list}");
        }
        for list in ["a", "3-1", "0-4294967295", "-1", "0-9999"] {
            assert!(bits(list).is_err(), "{list}");
        }
    }
}
