//! The host's whitelist: docs/policy.md.
//!
//! [`trusted`] reads the file that its owner wrote, [`Document`] is what it says, [`select()`]
//! names the ways on which the resolver may go, and [`judge()`] is pure and the only decider:
//! it sees the Draft, the opened objects and the request, and names every violation at once.

mod builtin;
pub mod compiled;
mod document;
mod judge;
mod lint;
pub mod lockdown;
mod read;
mod recorded;
mod request;
mod rules;
mod select;
mod text;
pub mod trusted;
mod violation;

#[cfg(test)]
mod tests;

pub use builtin::is_kernel_filesystem;
pub use document::{BySudo, Callers, Document, Layer, Mode, Policy, Running, is_profile_name};
pub use judge::lets_run;
pub use lint::{Finding, host_place, lint};
pub use recorded::{Around, Log, Recorded, Replayed};
pub use request::Request;
pub use rules::{
    Access, At, AuditRules, BindGrant, BindGrants, Bound, Destination, Redacted, Rules, SignatureGrant,
    SignatureKey, Verb, repository,
};
pub use select::select;
pub use violation::{Decided, Decision, Detail, Verdict, Violation};

use crate::cgroup::Limits;
use crate::draft::{Draft, DraftHook, JudgedHook, Process};
use crate::plan::Grants;
use crate::resolve::{Barred, Facts};

/// Judges a launch: by the built-in rules of its door, and by the policy where there is one.
pub fn judge(draft: &Draft, facts: &Facts, request: &Request, policy: Option<&Policy>) -> Verdict {
    let builtin = builtin::judge(draft, facts);
    match policy {
        Some(policy) => {
            builtin.and(judge::judge(draft, facts, request, policy, Detail::Violations).verdict())
        }
        None => builtin,
    }
}

/// The same, with the rule that decided each part. The built-in rules tell what they refuse.
pub fn explain(
    draft: &Draft,
    facts: &Facts,
    request: &Request,
    policy: Option<&Policy>,
) -> (Vec<Decision>, Verdict) {
    let builtin = builtin::judge(draft, facts);
    let refused =
        |judged: &Violation| Decision { kept: false, layer: judged.file.clone(), judged: judged.clone() };
    let mut decisions: Vec<_> = builtin.violations().iter().map(refused).collect();
    let Some(policy) = policy else { return (decisions, builtin) };
    let decided = judge::judge(draft, facts, request, policy, Detail::Everything);
    let verdict = builtin.and(decided.verdict());
    decisions.extend(decided.decisions);
    (decisions, verdict)
}

/// Judges a further program in a container whose own process is `own`.
pub fn judge_exec(
    draft: &Draft,
    own: Option<&Process>,
    request: &Request,
    policy: Option<&Policy>,
) -> Verdict {
    policy.map_or(Verdict::Allowed, |policy| judge::judge_exec(draft, own, request, policy))
}

/// Judges a change of limits.
pub fn judge_update(limits: &Limits, request: &Request, policy: Option<&Policy>) -> Verdict {
    policy.map_or(Verdict::Allowed, |policy| judge::judge_update(limits, request, policy))
}

/// Which hooks of a container that exists are read, to be judged.
pub fn select_hooks(hooks: &[DraftHook], policy: &Policy) -> Grants {
    let granted = policy.layers.first().map(|host| select::hooks(hooks, host)).unwrap_or_default();
    Grants { judged: true, hooks: granted, ..Grants::default() }
}

/// Judges them.
pub fn judge_hooks(
    hooks: &[DraftHook],
    files: &[Option<JudgedHook>],
    barred: &[Barred],
    request: &Request,
    policy: &Policy,
) -> Verdict {
    judge::judge_hooks(hooks, files, barred, request, policy)
}
