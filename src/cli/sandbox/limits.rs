//! How much of the host a sandbox may use.

use clap::Args;

use crate::types::{ByteSize, CpuCount, CpuSet, PidsLimit, Span, Ulimit};

/// Memory of a sandbox that asks for none.
pub const DEFAULT_MEMORY: ByteSize = ByteSize::mebibytes(512);
/// Processors of a sandbox that asks for none.
pub const DEFAULT_CPUS: CpuCount = CpuCount::ONE;
/// Processes of a sandbox that asks for none.
pub const DEFAULT_PIDS: PidsLimit = PidsLimit::of(256);
/// /dev/shm of a sandbox that asks for none.
pub const DEFAULT_SHM: ByteSize = ByteSize::mebibytes(64);

/// Options about limits. Sizes: b k m g t, powers of 1024. Times: 500ms 30s 5m 1h.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits (sizes: 64k 512m 2GiB; times: 500ms 30s 5m 1h)")]
pub struct LimitArgs {
    /// Memory (default: 512m); needs the cgroup controller memory
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory: Option<ByteSize>,
    /// Memory and swap together (default: no swap)
    ///
    /// Weaker: what the program keeps in memory may reach the host's disk.
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory_swap: Option<ByteSize>,
    /// Processors, also in parts (default: 1); needs the cgroup controller cpu
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub cpus: Option<CpuCount>,
    /// Which processors, such as 0-3,5 (default: all); needs the cgroup controller cpuset
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub cpuset_cpus: Option<CpuSet>,
    /// Processes and threads (default: 256); needs the cgroup controller pids
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids_limit: Option<PidsLimit>,
    /// Resource limit of each process (default: nofile=1024), see getrlimit(2)
    #[arg(long, value_name = "TYPE=SOFT[:HARD]", allow_hyphen_values = true)]
    pub ulimit: Vec<Ulimit>,
    /// Size of /dev/shm (default: 64m)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub shm_size: Option<ByteSize>,
    /// End the sandbox after this time with exit code 124 (default: never)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub timeout: Option<Span>,
    /// Time between SIGTERM and SIGKILL at the timeout (default: SIGKILL at once)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "timeout")]
    pub grace: Option<Span>,
    /// End the sandbox when stdout gets longer, with exit code 123 (default: no limit)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub stdout_max: Option<ByteSize>,
    /// End the sandbox when stderr gets longer, with exit code 123 (default: no limit)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub stderr_max: Option<ByteSize>,
}
