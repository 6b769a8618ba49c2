//! The places of the hooks in the list: runtime.md, "Lifecycle".

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use super::steps::List;
use super::{HookStates, Pinned, Surroundings, trees};
use crate::draft::{Draft, DraftHook};
use crate::error::Result;
use crate::plan::{Hook, HookKind, Reopened, Step};
use crate::sys::{self, exec::CStringArray};

/// Before the pivot: the mounts are in place and the host's root is still there. The parent
/// runs its hooks while the child waits, then the child runs those of its own namespaces.
pub(super) fn before_pivot(list: &mut List, draft: &Draft, around: &Surroundings<'_>) {
    if run_by_parent(draft).next().is_some() || !draft.net_devices.is_empty() {
        list.add("/hooks", Step::MeetForHooks);
    }
    let HookStates { creating, .. } = &around.hook_states;
    for hook in of(draft, HookKind::CreateContainer) {
        list.add(&hook.field, Step::CreateContainerHook(hook.ready(), creating.clone()));
    }
}

/// After `start`, by the program's own rights, and before the filter that would have to
/// allow what running a hook takes. Given no environment it has the program's, as with runc.
pub(super) fn before_program(list: &mut List, draft: &Draft, around: &Surroundings<'_>) {
    let HookStates { created, environ, .. } = &around.hook_states;
    for hook in of(draft, HookKind::StartContainer) {
        let mut ready = hook.ready();
        if hook.env_absent {
            ready.envp = CStringArray::new(environ.clone());
        }
        list.add(&hook.field, Step::StartContainerHook(ready, created.clone()));
    }
}

/// The hooks that the parent runs at the meeting.
pub(super) fn runtime_hooks(draft: &Draft) -> Vec<Hook> {
    run_by_parent(draft).map(of_the_host).collect()
}

/// A hook that runs outside. Given no environment it has pinfold's own, as with runc; not where a policy grants
/// it, or for who came by sudo: a caller's variable could make another program of it.
pub fn of_the_host(hook: &DraftHook) -> Hook {
    let mut ready = hook.ready();
    if hook.env_absent && hook.judged.is_none() && sys::caller::present().is_none() {
        ready.envp = CStringArray::new(environment());
    }
    ready
}

fn environment() -> Vec<CString> {
    let entry = |(name, value): (OsString, OsString)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    };
    std::env::vars_os().filter_map(entry).collect()
}

/// Where a hook looks at the container before the pivot, it finds the root, with all its
/// mounts, at the path that the state and the configuration tell: on its own directory.
pub(super) fn place_of_root(draft: &Draft, root: Option<&Pinned>) -> Result<Option<Reopened>> {
    match run_by_parent(draft).chain(of(draft, HookKind::CreateContainer)).next() {
        Some(_) => root.map(trees::reopened).transpose(),
        None => Ok(None),
    }
}

fn run_by_parent(draft: &Draft) -> impl Iterator<Item = &DraftHook> {
    of(draft, HookKind::Prestart).chain(of(draft, HookKind::CreateRuntime))
}

fn of(draft: &Draft, kind: HookKind) -> impl Iterator<Item = &DraftHook> {
    draft.hooks.iter().filter(move |hook| hook.kind == kind)
}
