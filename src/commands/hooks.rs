//! The hooks that run in the runtime's namespaces, and what all hooks are told: the state.
//!
//! Later edits of config.json do not matter (runtime.md, "Lifecycle"): after create the
//! hooks are those of the configuration in the state directory.

use std::os::fd::BorrowedFd;

use super::bundle;
use super::entry::Entry;
use super::judge::Judge;
use crate::cli::Global;
use crate::draft::{self, Draft, DraftHook};
use crate::error::{Kind, Result};
use crate::launch::{self, HookPlace};
use crate::plan::{Hook, HookKind, HookState};
use crate::policy::lockdown;
use crate::resolve::{self, HookStates};
use crate::state::oci::{hook_input, hook_input_around_pid};
use crate::state::{ContainerDir, ContainerKind, State, Status};

/// What the hooks of the container's namespaces are told; nothing where there are none.
///
/// # Errors
/// A state that cannot be rendered.
pub fn states(draft: &Draft, entry: &Entry) -> Result<HookStates> {
    if draft.hooks.is_empty() {
        return Ok(HookStates::default());
    }
    let state = &entry.state()?;
    let of = |status| -> Result<HookState> {
        let (head, tail) = hook_input_around_pid(state, status)?;
        Ok(HookState { head: head.into_bytes(), tail: tail.into_bytes() })
    };
    Ok(HookStates { creating: of(Status::Creating)?, created: of(Status::Created)?, ..HookStates::default() })
}

/// prestart and createRuntime, while the child waits before the pivot.
///
/// # Errors
/// The first that fails: no further one runs.
pub fn at_create(
    hooks: &[Hook],
    state: &State,
    bundle: BorrowedFd<'_>,
    interrupts: BorrowedFd<'_>,
) -> Result<()> {
    let place = HookPlace { cwd: Some(bundle), interrupts: Some(interrupts) };
    let input = hook_input(state, Status::Creating)?;
    hooks.iter().try_for_each(|hook| run_unlocked(hook, &input, &place))
}

/// A hook takes as long as it likes, and the host may be locked down meanwhile.
fn run_unlocked(hook: &Hook, input: &str, place: &HookPlace<'_>) -> Result<()> {
    lockdown::check()?;
    launch::run_runtime_hook(hook, input, place)
}

/// poststart: after the program was executed, before `start` returns.
///
/// # Errors
/// The first that fails; the caller destroys the container (runtime.md, step 10).
pub fn poststart(hooks: &[DraftHook], state: &State, place: &HookPlace<'_>) -> Result<()> {
    let input = hook_input(state, Status::Running)?;
    let list = hooks.iter().filter(|hook| hook.kind == HookKind::Poststart);
    list.map(resolve::of_the_host).try_for_each(|hook| run_unlocked(&hook, &input, place))
}

/// poststop: after the container was destroyed. One that fails is a warning, and the others
/// run all the same (runtime.md, step 13).
///
/// # Errors
/// A state that cannot be rendered.
pub fn poststop(hooks: &[DraftHook], state: &State) -> Result<()> {
    let list: Vec<_> = hooks.iter().filter(|hook| hook.kind == HookKind::Poststop).collect();
    if list.is_empty() {
        return Ok(());
    }
    let input = hook_input(&State { init: None, ..state.clone() }, Status::Stopped)?;
    for hook in list {
        if let Err(error) =
            launch::run_runtime_hook(&resolve::of_the_host(hook), &input, &HookPlace::default())
        {
            crate::error::warn(format_args!("{error}"));
        }
    }
    Ok(())
}

/// The hooks of one kind of a container that exists. What was made before the policy, or changed since, was
/// never judged by it: while one stands each is judged again, and what was judged is what runs.
///
/// # Errors
/// A configuration that cannot be read; kind `PolicyRefused`.
pub fn kept(dir: &ContainerDir, state: &State, kind: HookKind) -> Result<Vec<DraftHook>> {
    let mut hooks = match state.kind {
        ContainerKind::Oci => draft::hooks(&bundle::parse(&dir.load_config()?)?.0)?,
        ContainerKind::Sandbox => vec![],
    };
    hooks.retain(|hook| hook.kind == kind);
    match hooks.is_empty() {
        true => Ok(hooks),
        false => Judge::of_container(&Global::default(), state)?.hooks(hooks),
    }
}

/// The hooks that run when it is gone. What the policy does not allow, or cannot be read any more, is
/// left out: the end of a container is never refused.
pub fn kept_for_the_end(dir: &ContainerDir, state: &State) -> Vec<DraftHook> {
    match kept(dir, state, HookKind::Poststop) {
        Ok(hooks) => hooks,
        Err(error) => {
            if error.class() == Kind::PolicyRefused {
                crate::error::warn(format_args!("the hooks of {} are left out: {error}", state.id));
            }
            vec![]
        }
    }
}
