//! The system calls that pinfold's own process still makes when its filter is in force: a fixed
//! table, so that a profile that can start nothing is known at `create`, by the name of the call.
//!
//! Not in it: execve(2), whose denial is the program's to see at `start`; and what a library calls
//! in another way where one is denied.

use crate::error::{Error, Result};
use crate::plan::{Planned, Step};
use crate::seccomp::{Action, CallSite, Program};
use crate::sys::seccomp::SECCOMP_FILTER_FLAG_NEW_LISTENER;

/// Refuses a list in which a filter stands before a step that it denies.
///
/// # Errors
/// As [`check`].
pub(super) fn check_list(steps: &[Planned]) -> Result<()> {
    for (index, planned) in steps.iter().enumerate() {
        if let Step::EarlySeccomp(filter, flags) | Step::LateSeccomp(filter, flags) = &planned.step {
            check(&Program::native(filter)?, *flags, steps.get(index + 1..).unwrap_or_default())?;
        }
    }
    Ok(())
}

/// Refuses a filter under which a step cannot succeed whatever its arguments are.
///
/// # Errors
/// The first call that is denied, with the step that makes it.
fn check(filter: &Program, flags: u64, after: &[Planned]) -> Result<()> {
    if flags & SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
        for site in [CallSite::any("write"), CallSite::any("read")] {
            refuse(filter, &site, "handing over the listener")?;
        }
    }
    for planned in after {
        for site in calls(&planned.step) {
            refuse(filter, &site, planned.step.name())?;
        }
    }
    Ok(())
}

/// A call that a supervisor or a tracer decides about may succeed.
fn refuse(filter: &Program, site: &CallSite, step: &str) -> Result<()> {
    let action = filter.mildest(site)?;
    if action.lets_run() || matches!(action, Action::Notify | Action::Trace(_)) {
        return Ok(());
    }
    let name = site.name;
    Err(Error::usage(format!(
        "the filter denies {name}, which pinfold itself calls when it is in force ({step})"
    ))
    .field("/linux/seccomp")
    .hint("with process.noNewPrivileges the filter is loaded last, and few calls are left"))
}

/// `PR_*` (linux/prctl.h).
fn prctl(option: i32) -> CallSite {
    CallSite::first("prctl", u64::from(option.unsigned_abs()))
}

#[rustfmt::skip]
fn calls(step: &Step) -> Vec<CallSite> {
    let any = CallSite::any;
    match step {
        Step::Umask(_) => vec![any("umask")],
        Step::DropBounding { keep } if *keep != u64::MAX => vec![prctl(libc::PR_CAPBSET_DROP)],
        Step::KeepCaps => vec![prctl(libc::PR_SET_KEEPCAPS)],
        Step::SetGroups(_) => vec![any("setgroups")],
        Step::SetGid(_) => vec![any("setresgid")],
        Step::SetUid(_) => vec![any("setresuid")],
        Step::Capabilities(_) => vec![any("capset"), prctl(libc::PR_SET_KEEPCAPS)],
        Step::Ambient { .. } => vec![prctl(libc::PR_CAP_AMBIENT)],
        Step::DieWithParent => vec![prctl(libc::PR_SET_PDEATHSIG), any("ppoll")],
        Step::Chdir(_) => vec![any("chdir")],
        Step::ProveCwd => vec![any("getcwd")],
        Step::Dumpable(_) => vec![prctl(libc::PR_SET_DUMPABLE)],
        Step::MeetForCheck => vec![any("sendmsg"), any("recvmsg")],
        Step::EndBySignals => vec![any("rt_sigaction"), any("rt_sigprocmask")],
        Step::AwaitStart { .. } => vec![any("accept4"), any("sendmsg"), any("recvmsg")],
        Step::NewSession => vec![any("setsid")],
        Step::ControllingTerminal => vec![any("ioctl")],
        Step::ResetSignals => vec![any("rt_sigaction"), any("rt_sigprocmask")],
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::Profile;

    fn checked(rule: &str, flags: u64, steps: Vec<Step>) -> Result<()> {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/s","syscalls":[{{"names":["uname"],"action":"SCMP_ACT_LOG"}},{rule}]}}"#
        );
        let filter = Profile::from_json(&text).unwrap().compile().unwrap();
        let planned: Vec<_> = steps.into_iter().map(|step| Planned { field: String::new(), step }).collect();
        check(&filter, flags, &planned)
    }

    #[test]
    fn a_call_that_is_needed_and_denied_is_named() {
        let deny =
            |name: &str, action: &str| format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_{action}"}}"#);
        let steps = || vec![Step::SetUid(5), Step::ProveCwd];
        for (name, action, refused) in [
            ("getcwd", "ERRNO", true),
            ("getcwd", "KILL_PROCESS", true),
            ("setresuid", "TRAP", true),
            ("getcwd", "NOTIFY", false),
            ("getcwd", "TRACE", false),
            ("getcwd", "LOG", false),
            ("chdir", "ERRNO", false),
        ] {
            let answer = checked(&deny(name, action), 0, steps());
            assert_eq!(answer.is_err(), refused, "{name} {action}");
            assert!(!refused || answer.unwrap_err().to_string().contains(name), "{name}");
        }
        let listener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
        assert!(
            checked(&deny("write", "ERRNO"), listener, vec![]).unwrap_err().to_string().contains("write")
        );
        assert!(checked(&deny("write", "ERRNO"), 0, vec![]).is_ok());
    }

    #[test]
    fn an_argument_that_is_known_decides() {
        let of = |option: i32| {
            format!(
                r#"{{"names":["prctl"],"action":"SCMP_ACT_ERRNO","args":[{{"index":0,"value":{option},"op":"SCMP_CMP_EQ"}}]}}"#
            )
        };
        assert!(checked(&of(libc::PR_SET_DUMPABLE), 0, vec![Step::KeepCaps]).is_ok());
        assert!(checked(&of(libc::PR_SET_KEEPCAPS), 0, vec![Step::KeepCaps]).is_err());
    }
}
