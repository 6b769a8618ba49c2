//! `lockdown`: nothing is launched any more until it is lifted.

use super::trail::{Need, Trail};
use super::{caller, gate, output};
use crate::audit::Caller;
use crate::cli::LockdownArgs;
use crate::error::{Error, ExitCode, Result};
use crate::policy::lockdown::{self, Lockdown};
use crate::state::rfc3339;

/// Longer than any reason.
const LONGEST: usize = 1024;

/// Sets it, lifts it, or tells whether it is in force.
///
/// # Errors
/// The caller may not; a launch that looked before has not started within its patience.
pub fn run(args: &LockdownArgs) -> Result<ExitCode> {
    if args.status {
        return status();
    }
    caller::roots_alone("a lockdown is")?;
    let reason = args.reason.clone().unwrap_or_default();
    if reason.len() > LONGEST {
        return Err(Error::usage(format!("longer than {LONGEST} bytes")).field("--reason"));
    }
    let mut trail = Trail::of_host("lockdown", "");
    trail.asks("changes", serde_json::json!({"lockdown": !args.lift, "reason": reason}));
    trail.intent(None, Need::Never)?;
    let did = if args.lift { lift() } else { set(reason) };
    let text = trail.end(did)?;
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn set(reason: String) -> Result<&'static str> {
    let caller = Caller::read()?;
    let lockdown = Lockdown { since: rfc3339::now(), reason, uid: caller.uid, login_uid: caller.login_uid };
    let is_new = lockdown::set(&lockdown)?;
    gate::await_passing().map_err(|error| {
        error.hint("the lockdown is in force, but a launch that began before it may still start its program: end it, or all by `pinfold kill --all-sandboxes`")
    })?;
    Ok(if is_new { "locked down" } else { "is locked down already: what was said of it first stays" })
}

fn lift() -> Result<&'static str> {
    Ok(if lockdown::lift()? { "lifted" } else { "was not locked down" })
}

/// Exit code 0 where one is in force, else 1, as for systemctl is-active. One that cannot be read is in force.
fn status() -> Result<ExitCode> {
    let (text, code) = match lockdown::read() {
        Ok(Some(lockdown)) => (format!("locked down {}\n", lockdown.words()), ExitCode::SUCCESS),
        Err(error) => (format!("locked down: nothing is launched while {error}\n"), ExitCode::SUCCESS),
        Ok(None) => ("not locked down\n".to_owned(), ExitCode(1)),
    };
    output::print(&text)?;
    Ok(code)
}
