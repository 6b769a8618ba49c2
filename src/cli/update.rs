//! `update`: new limits for a container.

use clap::Args;

use super::os;
use crate::types::{ContainerId, InputFile, SizeOrUnlimited};

/// Change the resource limits of a container
///
/// What is not given stays as it is. Each limit needs its cgroup controller.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct UpdateArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
    /// File with runtime-spec's `linux.resources` as JSON, `-` for stdin
    ///
    /// All other options are then ignored, as in runc.
    #[arg(short, long, value_name = "FILE", value_parser = os::<InputFile>(), allow_hyphen_values = true)]
    pub resources: Option<InputFile>,
    /// Memory in bytes or with k, m, g, t; -1 for no limit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory: Option<SizeOrUnlimited>,
    /// Memory that reclaim leaves alone
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory_reservation: Option<SizeOrUnlimited>,
    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory_swap: Option<SizeOrUnlimited>,
    /// Number of processes; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    /// CPU time per period in microseconds; -1 for no limit
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    pub cpu_quota: Option<i64>,
    /// The period of --cpu-quota in microseconds; 0 for the kernel's default
    #[arg(long, value_name = "USEC")]
    pub cpu_period: Option<u64>,
    /// CPU time that may be saved up, in microseconds (kernel 5.14)
    #[arg(long, value_name = "USEC")]
    pub cpu_burst: Option<u64>,
    /// Weight against other containers, 2 to 262144
    #[arg(long, value_name = "N")]
    pub cpu_share: Option<u64>,
    /// 1 for SCHED_IDLE, 0 for the default (kernel 5.15)
    #[arg(long, value_name = "0|1", allow_hyphen_values = true)]
    pub cpu_idle: Option<i64>,
    /// Realtime period in microseconds (cgroup v1)
    #[arg(long, value_name = "USEC")]
    pub cpu_rt_period: Option<u64>,
    /// Realtime per period in microseconds (cgroup v1)
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// CPUs to run on, such as 0-3,5
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// Block I/O weight, 10 to 1000
    #[arg(long, value_name = "N")]
    pub blkio_weight: Option<u16>,
    /// Intel RDT: L3 cache schema
    #[arg(long, value_name = "SCHEMA")]
    pub l3_cache_schema: Option<String>,
    /// Intel RDT: memory bandwidth schema
    #[arg(long, value_name = "SCHEMA")]
    pub mem_bw_schema: Option<String>,
    /// Accepted for runc's callers; kernels since 5.11 have no such limit
    #[arg(long, value_name = "SIZE", hide = true, allow_hyphen_values = true)]
    pub kernel_memory: Option<String>,
    /// Accepted for runc's callers; kernels since 5.11 have no such limit
    #[arg(long, value_name = "SIZE", hide = true, allow_hyphen_values = true)]
    pub kernel_memory_tcp: Option<String>,
}
