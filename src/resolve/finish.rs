//! Draft and Facts → Plan: detached trees, descriptors, programs, the list of steps.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use serde::Serialize;

use super::{Facts, Identity, entering, expected, home, hooks, program, steps};
use crate::cgroup::RdtTasks;
use crate::draft::{Draft, HostFacts};
use crate::error::{Error, Result};
use crate::plan::{Cpus, HookState, ParentPlan, Plan, Scheduling};

/// What hooks in the container's namespaces are told.
#[derive(Debug, Default)]
pub struct HookStates {
    /// Of a container that is being created.
    pub creating: HookState,
    /// Of one that is about to be started.
    pub created: HookState,
    /// environ of the program, for those before it that are given none.
    pub environ: Vec<CString>,
}

/// What the launch is embedded in.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// What the host can do.
    pub facts: &'a HostFacts,
    /// The child is born in its cgroup (CLONE_INTO_CGROUP); otherwise it is attached by pid.
    pub born_in_cgroup: bool,
    /// One file per v1 hierarchy by which the child enters its group.
    pub cgroup_files: Vec<OwnedFd>,
    /// The group's directory in each v1 hierarchy, by the names of its controllers; on pure v2 the
    /// hierarchy's root, by no name.
    pub cgroup_dirs: Vec<(String, OwnedFd)>,
    /// The child waits for `start` on this socket; absent for `run` and `sandbox`.
    pub listener: Option<OwnedFd>,
    /// The program lives on when pinfold has ended (`create`, `run --detach`).
    pub outlives: bool,
    /// When an init that outlives pinfold ends everything, in milliseconds from its start.
    pub deadline_ms: Option<u64>,
    /// The old root goes away; otherwise it stays below the new one (`--no-pivot`).
    pub pivot: bool,
    /// A session keyring of its own.
    pub keyring: bool,
    /// How many descriptors from 3 on are handed to the program.
    pub preserved_fds: u16,
    /// stdin, stdout, stderr that replace the inherited ones.
    pub streams: [Option<OwnedFd>; 3],
    /// `tasks` files of resctrl groups.
    pub rdt_tasks: RdtTasks,
    /// For the hooks.
    pub hook_states: HookStates,
}

/// A bind with the identity of what was judged, for the report and the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Where, inside.
    pub destination: String,
    /// What it is.
    pub source: Identity,
    /// Whether it is read-only inside.
    pub readonly: bool,
}

/// A Plan and what there is to say about it.
#[derive(Debug)]
pub struct Finished {
    /// Ready to be carried out.
    pub plan: Plan,
    /// The binds in force.
    pub bound: Vec<Bound>,
    /// Defaults that this host cannot give.
    pub degraded: Vec<String>,
}

/// Finishes the Plan.
///
/// # Errors
/// A tree, a ruleset or a filter that cannot be made, with its field.
pub fn finish(draft: &Draft, facts: Facts, mut around: Surroundings<'_>) -> Result<Finished> {
    let process =
        draft.process.as_ref().ok_or_else(|| Error::usage("there is no program to run").field("/process"))?;
    if facts.joins.len() != draft.join.len() {
        return Err(Error::internal("a namespace to join was not opened"));
    }
    let bound = bound(draft, &facts);
    let mut degraded = vec![];
    if draft.landlock && around.facts.landlock_abi == 0 {
        degraded.push("landlock: this kernel has none".to_owned());
    }
    let expected = expected::expected(draft, process, &facts)?;
    let mut facts = facts;
    let mut entering = entering::entering(draft, std::mem::take(&mut facts.joins), around.born_in_cgroup)?;
    let root = facts.root.as_ref().map(|root| root.fd.as_fd());
    let program = program::program(process, || home::home(root, process.uid));
    if draft.hooks.iter().any(|hook| hook.env_absent) {
        around.hook_states.environ = program.envp.strings().to_vec();
    }
    let listed = steps::steps(draft, process, facts, &mut entering, &mut around)?;
    let plan = Plan {
        clone_flags: entering.flags,
        born_in: entering.born_in,
        steps: listed,
        keep_fds: vec![],
        preserved_fds: around.preserved_fds,
        parent: ParentPlan {
            id_maps: draft.id_maps.clone(),
            by_own_right: around.facts.maps_own_ids_only,
            setgroups_denied: draft.setgroups_denied,
            oom_score_adj: process.oom_score_adj,
            net_devices: draft.net_devices.clone(),
            runtime_hooks: hooks::runtime_hooks(draft),
            rdt_tasks: std::mem::take(&mut around.rdt_tasks),
            rlimits: process.rlimits.clone(),
            // The CPUs of `execCPUAffinity` are those of an `exec` alone.
            scheduling: Scheduling { cpus: Cpus::All, ..process.scheduling.clone() },
        },
        expected,
        program,
        agent: None,
    };
    Ok(Finished { plan, bound, degraded })
}

impl<'a> Surroundings<'a> {
    /// A foreground launch with the caller's own streams.
    pub fn foreground(facts: &'a HostFacts) -> Self {
        Self {
            facts,
            born_in_cgroup: false,
            cgroup_files: vec![],
            cgroup_dirs: vec![],
            listener: None,
            outlives: false,
            deadline_ms: None,
            pivot: true,
            keyring: true,
            preserved_fds: 0,
            streams: [None, None, None],
            rdt_tasks: RdtTasks::default(),
            hook_states: HookStates::default(),
        }
    }
}

fn bound(draft: &Draft, facts: &Facts) -> Vec<Bound> {
    let pairs = draft.mounts.iter().zip(&facts.binds);
    let known = pairs.filter_map(|(mount, pinned)| pinned.as_ref().map(|pinned| (mount, pinned)));
    known
        .map(|(mount, pinned)| Bound {
            destination: mount.destination.to_string_lossy().into_owned(),
            source: pinned.identity.clone(),
            readonly: mount.options.readonly(),
        })
        .collect()
}
