//! The families of limits: one controller each, in v2 and in v1.

use super::limits::Limits;

/// Limits that one controller applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Memory,
    Pids,
    Cpuset,
    Cpu,
    Io,
    Hugetlb,
    Rdma,
    NetClass,
    NetPriority,
    Devices,
}

impl Family {
    /// In the order in which they are applied: devices last, because an update that fails
    /// earlier then leaves access as it was.
    pub const ALL: [Self; 10] = [
        Self::Memory,
        Self::Pids,
        Self::Cpuset,
        Self::Cpu,
        Self::Io,
        Self::Hugetlb,
        Self::Rdma,
        Self::NetClass,
        Self::NetPriority,
        Self::Devices,
    ];

    /// What [`Limits::accounting`] counts.
    pub const COUNTED: [Self; 4] = [Self::Memory, Self::Pids, Self::Cpu, Self::Io];

    /// The v2 controller; `None` where v2 has none (device programs need no controller).
    pub fn unified(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Pids => Some("pids"),
            Self::Cpuset => Some("cpuset"),
            Self::Cpu => Some("cpu"),
            Self::Io => Some("io"),
            Self::Hugetlb => Some("hugetlb"),
            Self::Rdma => Some("rdma"),
            Self::NetClass | Self::NetPriority | Self::Devices => None,
        }
    }

    /// The v1 controller.
    pub fn legacy(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            Self::NetClass => "net_cls",
            Self::NetPriority => "net_prio",
            Self::Devices => "devices",
            Self::Memory | Self::Pids | Self::Cpuset | Self::Cpu | Self::Hugetlb | Self::Rdma => {
                self.unified().unwrap_or_default()
            }
        }
    }

    /// The first field of the OCI configuration that asks this family for something.
    pub fn asked(self, limits: &Limits) -> Option<&'static str> {
        let fields: &[(bool, &'static str)] = match self {
            Self::Memory => &memory_fields(limits),
            Self::Pids => &[(limits.pids_max.is_some(), "/linux/resources/pids/limit")],
            Self::Cpuset => &[
                (limits.cpuset_cpus.is_some(), "/linux/resources/cpu/cpus"),
                (limits.cpuset_mems.is_some(), "/linux/resources/cpu/mems"),
            ],
            Self::Cpu => &cpu_fields(limits),
            Self::Io => &[
                (limits.io_weight.is_some(), "/linux/resources/blockIO/weight"),
                (!limits.io_device_weight.is_empty(), "/linux/resources/blockIO/weightDevice"),
                (!limits.io_max.is_empty(), "/linux/resources/blockIO"),
            ],
            Self::Hugetlb => &[(!limits.hugetlb.is_empty(), "/linux/resources/hugepageLimits")],
            Self::Rdma => &[(!limits.rdma.is_empty(), "/linux/resources/rdma")],
            Self::NetClass => &[(limits.net_class_id.is_some(), "/linux/resources/network/classID")],
            Self::NetPriority => {
                &[(!limits.net_priorities.is_empty(), "/linux/resources/network/priorities")]
            }
            Self::Devices => &[(limits.devices.is_some(), "/linux/resources/devices")],
        };
        fields.iter().find(|(asked, _)| *asked).map(|(_, field)| *field)
    }
}

fn memory_fields(limits: &Limits) -> [(bool, &'static str); 9] {
    [
        (limits.memory_max.is_some(), "/linux/resources/memory/limit"),
        (limits.memory_swap_max.is_some(), "/linux/resources/memory/swap"),
        (limits.memory_low.is_some(), "/linux/resources/memory/reservation"),
        (limits.memory_high.is_some(), "/linux/resources/unified/memory.high"),
        (limits.oom_group, "/linux/resources/unified/memory.oom.group"),
        (limits.oom_kill_disable, "/linux/resources/memory/disableOOMKiller"),
        (limits.swappiness.is_some(), "/linux/resources/memory/swappiness"),
        (limits.kernel_memory.is_some(), "/linux/resources/memory/kernel"),
        (limits.kernel_tcp.is_some(), "/linux/resources/memory/kernelTCP"),
    ]
}

fn cpu_fields(limits: &Limits) -> [(bool, &'static str); 8] {
    [
        (limits.cpu_quota_us.is_some(), "/linux/resources/cpu/quota"),
        (limits.cpu_period_us.is_some(), "/linux/resources/cpu/period"),
        (limits.cpu_burst_us.is_some(), "/linux/resources/cpu/burst"),
        (limits.cpu_weight.is_some(), "/linux/resources/cpu/shares"),
        (limits.cpu_shares.is_some(), "/linux/resources/cpu/shares"),
        (limits.cpu_idle.is_some(), "/linux/resources/cpu/idle"),
        (limits.cpu_rt_runtime_us.is_some(), "/linux/resources/cpu/realtimeRuntime"),
        (limits.cpu_rt_period_us.is_some(), "/linux/resources/cpu/realtimePeriod"),
    ]
}
