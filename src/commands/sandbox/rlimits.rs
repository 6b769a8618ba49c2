//! The resource limits of each process (getrlimit(2)): every one of them is set, so that
//! none of the caller's own gets in.

use nix::sys::resource::Resource;
use serde_json::{Value, json};

use super::super::host::Host;
use super::rootless;
use crate::cli::SandboxArgs;
use crate::error::Result;

const UNLIMITED: u64 = u64::MAX;

/// Name, number, soft, hard: what the kernel gives its first process, but for the number of
/// open files (Docker's words give 1024) and core files (none: they go to the host).
/// RLIMIT_SIGPENDING depends on the size of the machine, and RLIMIT_NPROC counts per user
/// namespace; the pids limit is the one that holds.
#[rustfmt::skip]
const DEFAULTS: &[(&str, Resource, u64, u64)] = &[
    ("RLIMIT_AS", Resource::RLIMIT_AS, UNLIMITED, UNLIMITED),
    ("RLIMIT_CORE", Resource::RLIMIT_CORE, 0, 0),
    ("RLIMIT_CPU", Resource::RLIMIT_CPU, UNLIMITED, UNLIMITED),
    ("RLIMIT_DATA", Resource::RLIMIT_DATA, UNLIMITED, UNLIMITED),
    ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE, UNLIMITED, UNLIMITED),
    ("RLIMIT_LOCKS", Resource::RLIMIT_LOCKS, UNLIMITED, UNLIMITED),
    ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, 8 << 20, 8 << 20),
    ("RLIMIT_MSGQUEUE", Resource::RLIMIT_MSGQUEUE, 819_200, 819_200),
    ("RLIMIT_NICE", Resource::RLIMIT_NICE, 0, 0),
    ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, 1024, 1024),
    ("RLIMIT_NPROC", Resource::RLIMIT_NPROC, UNLIMITED, UNLIMITED),
    ("RLIMIT_RSS", Resource::RLIMIT_RSS, UNLIMITED, UNLIMITED),
    ("RLIMIT_RTPRIO", Resource::RLIMIT_RTPRIO, 0, 0),
    ("RLIMIT_RTTIME", Resource::RLIMIT_RTTIME, UNLIMITED, UNLIMITED),
    ("RLIMIT_STACK", Resource::RLIMIT_STACK, 8 << 20, UNLIMITED),
];

/// What `--ulimit` says, and the default for every other.
pub(super) fn rlimits(args: &SandboxArgs, host: &Host) -> Result<Vec<Value>> {
    let one = |resource: &str, soft: u64, hard: u64| json!({"type": resource, "soft": soft, "hard": hard});
    let asked = &args.limits.ulimit;
    let mut list: Vec<Value> =
        asked.iter().map(|limit| one(limit.resource, limit.soft, limit.hard)).collect();
    for (name, resource, soft, hard) in DEFAULTS {
        if !asked.iter().any(|limit| limit.resource == *name) {
            let hard = rootless::within_hard_limit(host, *resource, *hard)?;
            list.push(one(name, hard.min(*soft), hard));
        }
    }
    Ok(list)
}
