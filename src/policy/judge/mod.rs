//! The judge: pure, and the only decider. Every layer of a policy looks at the Draft, the
//! opened objects and the request, and names every rule that is broken.

mod binds;
mod caller;
mod cgroups;
mod devices;
mod doors;
mod exec;
mod hooks;
mod ledger;
mod limits;
mod mounts;
mod namespaces;
mod process;
mod root;
mod seccomp;
mod user;

use std::fmt::Display;
use std::path::PathBuf;

pub(super) use limits::{finite, throttles};
pub use seccomp::lets_run;
pub(super) use seccomp::those_that_run;

use super::document::{Layer, Policy};
use super::request::Request;
use super::rules::Verb;
use super::violation::{Decided, Decision, Detail, Verdict, Violation};
use crate::cgroup::Limits;
use crate::draft::{Draft, DraftHook, JudgedHook, Process};
use crate::resolve::{Barred, Facts};

/// One layer at work.
struct Bench<'a> {
    layer: &'a Layer,
    request: &'a Request,
    /// The state directories that the policy lists.
    roots: Vec<PathBuf>,
    /// Whether it is the host's own: rules that always hold are told once.
    first: bool,
    /// Whether what is kept is told too.
    detail: Detail,
    decisions: Vec<Decision>,
}

impl Bench<'_> {
    fn refuse(
        &mut self,
        line: u32,
        rule: &'static str,
        field: impl Into<String>,
        asked: impl Display,
        allowed: impl Display,
    ) {
        self.decide(false, line, rule, field, asked, allowed);
    }

    /// One part of the launch is judged by one rule: it keeps it, or not.
    fn decide(
        &mut self,
        kept: bool,
        line: u32,
        rule: &'static str,
        field: impl Into<String>,
        asked: impl Display,
        allowed: impl Display,
    ) {
        if !self.tells(kept) {
            return;
        }
        let judged = Violation {
            rule,
            field: field.into(),
            asked: asked.to_string(),
            allowed: allowed.to_string(),
            file: self.layer.file.clone(),
            line,
        };
        self.decisions.push(Decision { kept, layer: self.layer.origin.clone(), judged });
    }

    /// Whether a decision of this kind is wanted: a launch wants what is broken alone.
    fn tells(&self, kept: bool) -> bool {
        !kept || self.detail == Detail::Everything
    }
}

/// Judges a launch.
pub fn judge(draft: &Draft, facts: &Facts, request: &Request, policy: &Policy, detail: Detail) -> Decided {
    let each = |bench: &mut Bench<'_>| {
        doors::doors(bench);
        root::root(bench, draft, facts);
        binds::binds(bench, draft, facts);
        mounts::mounts(bench, draft);
        namespaces::namespaces(bench, draft, facts);
        user::maps(bench, draft, facts);
        devices::devices(bench, draft, facts);
        let limits = if request.has_cgroup { &draft.limits } else { &Limits::default() };
        limits::limits(bench, limits);
        limits::of_the_launch(bench);
        limits::rdt(bench, draft.rdt.is_some());
        cgroups::place(bench, draft);
        process::sysctls(bench, draft);
        hooks::hooks(bench, &draft.hooks, &facts.hooks, &facts.barred);
        the_program(bench, draft);
        if bench.first {
            caller::launch(bench, draft);
        }
    };
    in_each_layer(request, policy, detail, each)
}

/// Judges a further program in a container whose own process is `own`.
pub fn judge_exec(draft: &Draft, own: Option<&Process>, request: &Request, policy: &Policy) -> Verdict {
    let each = |bench: &mut Bench<'_>| {
        doors::doors(bench);
        the_program(bench, draft);
        if let (Some(own), Some(asked)) = (own, &draft.process) {
            exec::beyond(bench, own, asked);
        }
    };
    in_each_layer(request, policy, Detail::Violations, each).verdict()
}

/// Judges the hooks of a container that exists, before they run.
pub fn judge_hooks(
    hooks: &[DraftHook],
    files: &[Option<JudgedHook>],
    barred: &[Barred],
    request: &Request,
    policy: &Policy,
) -> Verdict {
    let mut decisions = vec![];
    for (index, layer) in policy.layers.iter().enumerate() {
        let (first, detail) = (index == 0, Detail::Violations);
        let mut bench = Bench { layer, request, roots: vec![], first, detail, decisions: vec![] };
        hooks::hooks(&mut bench, hooks, files, barred);
        decisions.append(&mut bench.decisions);
    }
    Decided { decisions, mode: policy.mode }.verdict()
}

/// Judges a change of limits: what it leaves alone is not judged again.
pub fn judge_update(limits: &Limits, request: &Request, policy: &Policy) -> Verdict {
    let each = |bench: &mut Bench<'_>| {
        doors::doors(bench);
        limits::changed(bench, limits);
        limits::rdt(bench, request.rdt);
        devices::rules(bench, limits);
    };
    in_each_layer(request, policy, Detail::Violations, each).verdict()
}

fn the_program(bench: &mut Bench<'_>, draft: &Draft) {
    process::process(bench, draft);
    user::user(bench, draft);
    seccomp::seccomp(bench, draft);
}

fn in_each_layer(
    request: &Request,
    policy: &Policy,
    detail: Detail,
    each: impl Fn(&mut Bench<'_>),
) -> Decided {
    let mut decisions = vec![];
    for (index, layer) in policy.layers.iter().enumerate() {
        let roots = policy.running.state_roots.as_ref().map(|roots| roots.value.clone()).unwrap_or_default();
        let mut bench = Bench { layer, request, roots, first: index == 0, detail, decisions: vec![] };
        if bench.first {
            doors::once(&mut bench, policy);
            caller::known(&mut bench, policy);
        }
        each(&mut bench);
        decisions.append(&mut bench.decisions);
    }
    Decided { decisions, mode: policy.mode }
}

/// Whether a verb makes something that lives.
fn launches(verb: Verb) -> bool {
    matches!(verb, Verb::Create | Verb::Run | Verb::Sandbox)
}
