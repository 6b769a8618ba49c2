//! What a group may use, as data: no reference to a hierarchy, nothing is opened here.
//!
//! Every field says which interface file it becomes in cgroup v2 (Documentation/admin-guide/cgroup-v2.rst)
//! and in v1 (Documentation/admin-guide/cgroup-v1/). A field that is set and cannot be
//! applied is an error that names the field of the OCI configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::device::DeviceRule;

/// A bound: a number, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", untagged)]
pub enum Amount {
    /// That many bytes, tasks or microseconds.
    Value(u64),
    /// `max`: no bound.
    #[serde(with = "max_word")]
    Max,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Value(value) => value.fmt(f),
        }
    }
}

mod max_word {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("max")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "max" => Ok(()),
            _ => Err(D::Error::custom("a number or \"max\" is expected")),
        }
    }
}

/// Bounds on one block device, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IoMax {
    /// The device's major number.
    pub major: u32,
    /// The device's minor number.
    pub minor: u32,
    /// Bytes read.
    pub rbps: Option<Amount>,
    /// Bytes written.
    pub wbps: Option<Amount>,
    /// Reads.
    pub riops: Option<Amount>,
    /// Writes.
    pub wiops: Option<Amount>,
}

/// The weight of one block device, in the units of [`Limits::io_weight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoDeviceWeight {
    /// The device's major number.
    pub major: u32,
    /// The device's minor number.
    pub minor: u32,
    /// 10 to 1000.
    pub weight: u16,
}

/// Bounds on one RDMA device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdmaMax {
    /// The device's name, such as `mlx5_1`.
    pub device: String,
    /// Handles to host channel adapters.
    pub hca_handles: Option<u32>,
    /// Objects of host channel adapters.
    pub hca_objects: Option<u32>,
}

/// Everything that can be asked of a group. What is `None` or empty is left as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of memory: `memory.max`, v1 `memory.limit_in_bytes`.
    pub memory_max: Option<Amount>,
    /// Bytes of swap alone: `memory.swap.max`; in v1 memory and swap together are bounded,
    /// `memory.memsw.limit_in_bytes`, so [`Limits::memory_max`] must be a number beside it.
    pub memory_swap_max: Option<Amount>,
    /// Bytes kept from reclaim: `memory.low`, v1 `memory.soft_limit_in_bytes`.
    pub memory_low: Option<Amount>,
    /// Bytes above which the group is throttled and reclaimed: `memory.high`. v2 only.
    pub memory_high: Option<Amount>,
    /// Refuse a [`Limits::memory_max`] below what the group uses already (`checkBeforeUpdate`).
    pub memory_check: bool,
    /// `memory.oom.group`: the whole group dies when one of its processes is chosen. v2 only.
    pub oom_group: bool,
    /// `memory.oom_control`: no OOM killer, processes wait instead. v1 only.
    pub oom_kill_disable: bool,
    /// 0 to 100, `memory.swappiness`. v1 only.
    pub swappiness: Option<u64>,
    /// Bytes of kernel memory. v1 only, and refused by kernels since 5.16.
    pub kernel_memory: Option<Amount>,
    /// Bytes of TCP buffers, `memory.kmem.tcp.limit_in_bytes`. v1 only.
    pub kernel_tcp: Option<Amount>,
    /// Tasks: `pids.max`. Zero forbids every further task, as one does for a group that holds
    /// its first process; one is what is written, so that this process can be cloned into the group.
    pub pids_max: Option<Amount>,
    /// Microseconds of CPU time in each period: `cpu.max`, v1 `cpu.cfs_quota_us`.
    pub cpu_quota_us: Option<Amount>,
    /// Length of the period in microseconds, 100000 where nothing is said.
    pub cpu_period_us: Option<u64>,
    /// Microseconds that may be saved up for later periods: `cpu.max.burst` (Linux 5.14).
    pub cpu_burst_us: Option<u64>,
    /// 1 to 10000, `cpu.weight`. In v1 it is turned into shares unless [`Limits::cpu_shares`] is set.
    pub cpu_weight: Option<u64>,
    /// 2 to 262144, v1 `cpu.shares`: what the OCI configuration said. v2 takes [`Limits::cpu_weight`].
    pub cpu_shares: Option<u64>,
    /// `cpu.idle` (Linux 5.15): SCHED_IDLE for the whole group.
    pub cpu_idle: Option<bool>,
    /// `cpu.rt_runtime_us`. v1 only.
    pub cpu_rt_runtime_us: Option<i64>,
    /// `cpu.rt_period_us`. v1 only.
    pub cpu_rt_period_us: Option<u64>,
    /// List of CPUs, such as `0-3,7`: `cpuset.cpus`.
    pub cpuset_cpus: Option<String>,
    /// List of memory nodes: `cpuset.mems`.
    pub cpuset_mems: Option<String>,
    /// 10 to 1000 (the OCI unit): `io.bfq.weight` or, converted, `io.weight`; v1 `blkio.weight` or `blkio.bfq.weight`.
    pub io_weight: Option<u16>,
    /// The same for single devices.
    pub io_device_weight: Vec<IoDeviceWeight>,
    /// `io.max`, v1 `blkio.throttle.*`.
    pub io_max: Vec<IoMax>,
    /// Page size (`2MB`) and bytes: `hugetlb.SIZE.max` and, where it exists, `hugetlb.SIZE.rsvd.max`.
    pub hugetlb: Vec<(String, u64)>,
    /// `rdma.max`.
    pub rdma: Vec<RdmaMax>,
    /// `net_cls.classid`. v1 only.
    pub net_class_id: Option<u32>,
    /// Interface and priority: `net_prio.ifpriomap`. v1 only.
    pub net_priorities: Vec<(String, u32)>,
    /// Device access, in order, the last rule that matches deciding; what no rule matches is denied.
    /// `None` leaves access as it is.
    pub devices: Option<Vec<DeviceRule>>,
    /// File and value, written last. v2 only.
    pub unified: Vec<(String, String)>,
    /// Count memory, tasks, CPU and IO where the kernel can, even if none is bounded: v2 counts
    /// only what an ancestor has enabled. For `events` and the statistics of container engines.
    pub accounting: bool,
    /// Hand down every controller that can be, for a container that makes groups of its own below. v2 only.
    pub all_controllers: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_or_max() {
        for (json, amount) in [("5", Amount::Value(5)), ("\"max\"", Amount::Max), ("0", Amount::Value(0))] {
            assert_eq!(serde_json::from_str::<Amount>(json).unwrap(), amount);
            assert_eq!(serde_json::to_string(&amount).unwrap(), json);
        }
        for json in ["-1", "\"5\"", "null", "\"Max\""] {
            assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn limits_survive_the_state_file_and_an_unknown_limit_is_refused() {
        let limits = Limits {
            memory_max: Some(Amount::Value(1 << 30)),
            pids_max: Some(Amount::Max),
            io_max: vec![IoMax { major: 8, rbps: Some(Amount::Max), ..IoMax::default() }],
            hugetlb: vec![("2MB".into(), 0)],
            devices: Some(DeviceRule::defaults()),
            ..Limits::default()
        };
        let json = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
        assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), Limits::default());
        assert!(serde_json::from_str::<Limits>("{\"memory_maximum\":1}").is_err());
    }
}
