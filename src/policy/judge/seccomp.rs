//! `[seccomp]`, `[landlock]`.

use std::collections::HashMap;

use super::Bench;
use crate::draft::Draft;
use crate::policy::rules::At;
use crate::seccomp::{Action, Arch, Profile};

const FIELD: &str = "/linux/seccomp";
/// The ways around a rule for a socket or IPC call on 32-bit x86 (linux/net.h, linux/ipc.h).
const MULTIPLEXERS: [&str; 2] = ["socketcall", "ipc"];

pub(super) fn seccomp(bench: &mut Bench<'_>, draft: &Draft) {
    let rules = &bench.layer.rules.seccomp;
    if let Some(at) = rules.landlock.as_ref().filter(|at| at.value) {
        let asked = if draft.landlock { "with Landlock" } else { "without Landlock" };
        let allowed = "confined by Landlock";
        bench.decide(draft.landlock, at.line, "landlock.required", "landlock", asked, allowed);
    }
    if draft.process.is_none() {
        return;
    }
    match &draft.seccomp {
        None => unfiltered(bench),
        Some(profile) => {
            if bench.first && profile.notifies() {
                let asked = "a supervisor that decides about calls";
                bench.refuse(0, "seccomp.listener", FIELD, asked, "a filter that decides itself");
            }
            if let Some(at) = rules.required.as_ref().filter(|at| at.value) {
                bench.decide(true, at.line, "seccomp.required", FIELD, "a filter", "a filter");
            }
            if let Some(known) = &rules.profiles {
                by_digest(bench, known, profile);
            }
            let may_run = those_that_run(profile);
            for name in rules.deny.iter().flat_map(|at| &at.value) {
                let line = rules.deny.as_ref().map_or(0, |at| at.line);
                let runs = may_run(name);
                let asked = format!("{name} {}", if runs { "may run" } else { "is denied" });
                bench.decide(!runs, line, "seccomp.deny", FIELD, asked, "denied, whatever its arguments");
            }
        }
    }
}

fn unfiltered(bench: &mut Bench<'_>) {
    let rules = &bench.layer.rules.seccomp;
    match (&rules.required, &rules.deny) {
        (Some(at), _) if at.value => {
            bench.refuse(at.line, "seccomp.required", FIELD, "no filter", "a filter")
        }
        (_, Some(at)) if !at.value.is_empty() => {
            bench.refuse(
                at.line,
                "seccomp.deny",
                FIELD,
                "no filter: every call may run",
                at.value.join(", "),
            );
        }
        _ => {}
    }
}

/// A filter that cannot be compiled has no digest and is none of those known.
fn by_digest(bench: &mut Bench<'_>, known: &At<Vec<String>>, profile: &Profile) {
    let digest = profile.compile().map(|program| program.digest());
    let text = digest.unwrap_or_else(|error| error.to_string());
    let kept = known.value.contains(&text);
    bench.decide(kept, known.line, "seccomp.profiles", FIELD, text, known.value.join(", "));
}

/// Whether some rule, for some arguments, lets a call run: stricter than what the filter may
/// come to, never milder.
pub fn lets_run(profile: &Profile, name: &str) -> bool {
    those_that_run(profile)(name)
}

/// The same, for many calls: the rules are gone through once.
pub(in crate::policy) fn those_that_run(profile: &Profile) -> impl Fn(&str) -> bool {
    let runs =
        |action: Action| matches!(action, Action::Allow | Action::Log | Action::Trace(_) | Action::Notify);
    // Whether some rule lets it run, and whether one stops it whatever its arguments are.
    let mut said: HashMap<&'static str, (bool, bool)> = HashMap::new();
    for rule in &profile.rules {
        let (allows, stops) = (runs(rule.action), rule.conditions.is_empty() && !runs(rule.action));
        for call in &rule.calls {
            let (allowed, stopped) = said.entry(call.name).or_default();
            (*allowed, *stopped) = (*allowed || allows, *stopped || stops);
        }
    }
    let by_default = runs(profile.default_action);
    let x86 = Arch::NATIVE == Some(Arch::X86) || profile.architectures.contains(&Arch::X86);
    move |name| {
        let named = |name: &str| {
            let (allowed, stopped) = said.get(name).copied().unwrap_or_default();
            allowed || (by_default && !stopped)
        };
        named(name) || (x86 && is_multiplexed(name) && MULTIPLEXERS.into_iter().any(named))
    }
}

/// Calls that socketcall(2) and ipc(2) make too.
fn is_multiplexed(name: &str) -> bool {
    const CALLS: [&str; 32] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
        "semop",
        "semget",
        "semctl",
        "semtimedop",
        "msgsnd",
        "msgrcv",
        "msgget",
        "msgctl",
        "shmat",
        "shmdt",
        "shmget",
        "shmctl",
    ];
    CALLS.contains(&name)
}
