//! The host's policy on a further program: that of today, and the profile that the container
//! was made with.

use super::extras;
use crate::cli::{ExecArgs, Global};
use crate::commands::host::Host;
use crate::commands::judge::{self, Judge};
use crate::commands::{bundle, preserved};
use crate::draft::{self, Draft};
use crate::error::Result;
use crate::policy::{Request, Verb};
use crate::state::{ContainerDir, State};

/// Judges the program that is asked for beside the container's own.
///
/// # Errors
/// Kind `PolicyRefused` with every violation; kind `IdentityChanged`: another root directory.
pub(super) fn judged(
    global: &Global,
    args: &ExecArgs,
    (dir, state): (&ContainerDir, &State),
    host: &Host,
    draft: &Draft,
) -> Result<()> {
    let judge = Judge::of_container(global, state)?;
    if !judge.stands() {
        return Ok(());
    }
    judge::same_root(state)?;
    let (spec, _) = bundle::parse(&dir.load_config()?)?;
    let own = draft::build(&spec, &extras(state, &spec)?, &host.facts)?;
    let request = Request {
        preserved_fds: preserved::count(args.preserve_fds)?,
        ..judge.request(Verb::Exec, state.bundle.clone().into())?
    };
    judge.exec(draft, own.process.as_ref(), &request)
}
