//! The host's policy on a further program: that of today, and the profile that the container
//! was made with.

use super::extras;
use crate::cli::{ExecArgs, Global};
use crate::commands::gate::Gate;
use crate::commands::host::Host;
use crate::commands::judge::{self, Judge};
use crate::commands::trail::Trail;
use crate::commands::{bundle, preserved};
use crate::draft::{self, Draft};
use crate::error::Result;
use crate::policy::{Request, Verb};
use crate::state::{ContainerDir, State};

/// Judges the program that is asked for beside the container's own; what it is to leave in the
/// audit log comes back.
///
/// # Errors
/// Kind `PolicyRefused` with every violation; kind `IdentityChanged`: another root directory.
pub(super) fn judged(
    global: &Global,
    args: &ExecArgs,
    (dir, state): (&ContainerDir, &State),
    host: &Host,
    draft: &Draft,
) -> Result<(Trail, Gate)> {
    let judge = Judge::of_container(global, state)?;
    let mut trail = judge.trail(Verb::Exec, Some(dir.id()))?;
    let gate = Gate::enter(judge.policy()).and_then(|gate| match judge.stands() {
        true => allowed(args, (dir, state), host, draft, (&judge, &mut trail)).map(|()| gate),
        false => Ok(gate),
    });
    match gate {
        Ok(gate) => Ok((trail, gate)),
        Err(error) => {
            trail.failed(&error);
            Err(error)
        }
    }
}

fn allowed(
    args: &ExecArgs,
    (dir, state): (&ContainerDir, &State),
    host: &Host,
    draft: &Draft,
    (judge, trail): (&Judge<'_>, &mut Trail),
) -> Result<()> {
    judge::same_root(state)?;
    let (spec, _) = bundle::parse(&dir.load_config()?)?;
    let own = draft::build(&spec, &extras(state, &spec)?, &host.facts)?;
    let request = Request {
        preserved_fds: preserved::count(args.preserve_fds)?,
        ..judge.request(Verb::Exec, state.bundle.clone().into())?
    };
    judge.exec(draft, own.process.as_ref(), &request, trail)
}
