//! The Plan of `exec`: the same process part as at create, in the namespaces of a running
//! container.
//!
//! The process that joins could be seen and traced from inside, so it is weak before it
//! enters: the joining stage takes the target's credentials, no_new_privs and filter, is
//! not dumpable, and only its child is born in the container's pid namespace.

use std::os::fd::{AsFd, OwnedFd};

use super::{expected, home, program, steps};
use crate::draft::Draft;
use crate::error::{Error, Result};
use crate::plan::{IdMaps, ParentPlan, Plan};

/// The container that is joined.
#[derive(Debug)]
pub struct Joining {
    /// Its first process.
    pub pidfd: OwnedFd,
    /// CLONE_NEW* of the namespaces that are joined.
    pub nstypes: u64,
    /// The maps of its user namespace, where that one is another's.
    pub maps: Option<IdMaps>,
    /// The program lives on when pinfold has ended.
    pub outlives: bool,
    /// One file per v1 hierarchy by which the child enters the container's group.
    pub cgroup_files: Vec<OwnedFd>,
    /// Landlock's ABI, where the container is confined by it.
    pub landlock_abi: u32,
    /// Its root directory, where it can be opened.
    pub root: Option<OwnedFd>,
    /// How many descriptors from 3 on are handed to the program.
    pub preserved_fds: u16,
}

/// Makes the Plan.
///
/// # Errors
/// No process, or a filter that cannot be compiled.
pub fn join(draft: &Draft, joining: Joining) -> Result<Plan> {
    let process =
        draft.process.as_ref().ok_or_else(|| Error::usage("there is no program to run").field("/process"))?;
    let maps = draft.id_maps.clone().or_else(|| joining.maps.clone());
    let mut expected = expected::within(draft, process, maps.as_ref());
    // What the container has is what it had when it was made: only the process is new.
    expected.new_namespaces.clear();
    expected.mounts.clear();
    let preserved_fds = joining.preserved_fds;
    let root = joining.root.as_ref().map(AsFd::as_fd);
    let program = program::program(process, || home::home(root, process.uid));
    Ok(Plan {
        clone_flags: 0,
        born_in: vec![],
        steps: steps::joining(draft, process, joining)?,
        keep_fds: vec![],
        preserved_fds,
        parent: ParentPlan {
            net_devices: vec![],
            runtime_hooks: vec![],
            rdt_tasks: crate::cgroup::RdtTasks::default(),
            id_maps: None,
            by_own_right: false,
            setgroups_denied: draft.setgroups_denied,
            oom_score_adj: process.oom_score_adj,
            rlimits: process.rlimits.clone(),
            scheduling: process.scheduling.clone(),
        },
        expected,
        program,
        agent: None,
    })
}
