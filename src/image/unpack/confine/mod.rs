//! The unpacker as a process of its own, so that a fault in a parser stays where it is.
//!
//! pinfold executes itself again: fresh memory, no environment. That process has three
//! descriptors: a pipe with the blob, a pipe for its report, and the staging directory, which
//! becomes its root. It has namespaces of its own for users, processes, network, IPC, host name
//! and mounts, the few capabilities that making files takes, no_new_privs, a Landlock domain, a
//! system call filter (seccomp-profiles/unpack.json), limits, and a time after which it is killed.
//!
//! The parent reads the blob, hashes it, and believes nothing of the report but its form.

mod feed;
mod inside;
mod maps;
mod report;
mod start;

use std::os::fd::BorrowedFd;

pub use feed::Fed;
pub use inside::{entered, taken_over};
pub use report::Report;

use serde::{Deserialize, Serialize};

use super::{Compression, Devices, Limits, Options, Owners};
use crate::error::Result;

/// What the confined process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    task: Task,
    /// Whether it has a user namespace of its own.
    user_namespace: bool,
    limits: Limits,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Task {
    /// Unpack a layer.
    Layer { compression: Compression, options: Options },
    /// Remove all that is in the staging directory.
    Empty,
    /// Say what directories have ([`super::implied`]).
    Look,
    /// Give them what they are to have.
    Describe,
}

impl Job {
    /// Unpacking. To make a device takes CAP_MKNOD in the host's user namespace.
    pub(super) fn layer(compression: Compression, options: &Options) -> Self {
        Self {
            task: Task::Layer { compression, options: options.clone() },
            user_namespace: options.devices != Devices::Make,
            limits: options.limits,
        }
    }

    /// Emptying.
    pub(super) fn empty() -> Self {
        Self::plain(Task::Empty)
    }

    /// Looking at directories.
    pub(super) fn look() -> Self {
        Self::plain(Task::Look)
    }

    /// Describing directories.
    pub(super) fn describe() -> Self {
        Self::plain(Task::Describe)
    }

    fn plain(task: Task) -> Self {
        Self { task, user_namespace: true, limits: Limits::default() }
    }
}

/// Runs a job to its end.
///
/// # Errors
/// The process cannot be started or confined; it failed, was killed, or its report is none.
pub(super) fn run(
    job: &Job,
    mut blob: impl std::io::Read,
    staging: BorrowedFd<'_>,
    owners: &Owners,
) -> Result<(Report, Fed)> {
    let started = start::start(job, staging, owners)?;
    feed::feed(started, &mut blob, job.limits)
}
