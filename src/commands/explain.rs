//! `explain`: the Plan in words, the same that a launch walks, with its digest.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use serde::Serialize;

use super::group::has_group;
use super::judge::{Judge, Judged, with_files};
use super::wishes::Wishes;
use super::{bundle, host::Host, output, text_file};
use crate::cli::{CgroupManager, ExplainArgs, ExplainWhat, Global};
use crate::draft::{self, Draft, Extras};
use crate::error::{Context, Error, ExitCode, Result};
use crate::plan::{Plan, Planned, digest};
use crate::policy::{Decision, Request, Verb, Verdict};
use crate::resolve::{self, Surroundings};

const CONFIG_LIMIT: usize = 16 << 20;

/// Explains a bundle, or `sandbox` with its options; launches nothing.
///
/// # Errors
/// What a launch would fail of before its clone.
pub fn run(global: &Global, args: &ExplainArgs) -> Result<ExitCode> {
    let form = if args.json { Form::Json } else { Form::Text };
    if let Some(ExplainWhat::Sandbox(sandbox)) = &args.what {
        let mut sandbox = sandbox.as_ref().clone();
        sandbox.life.explain = true;
        sandbox.life.explain_json = args.json;
        return super::sandbox::run(global, &sandbox);
    }
    let path = args.bundle.as_ref().map_or(Path::new("."), |path| path.as_path());
    let seen = Seen::open(path)?;
    let judge = Judge::of_annotations(global, &seen.annotations())?;
    let request = seen.request(global, &judge)?;
    let (dir, host, draft) = (seen.dir, seen.host, seen.draft);
    let (Judged { draft, facts }, decided) = judged(&judge, draft, dir.as_fd(), &request, form)?;
    let finished = resolve::finish(&draft, facts, Surroundings::foreground(&host.facts))?;
    print(&finished.plan, &finished.degraded, &decided, form)?;
    Ok(ExitCode::SUCCESS)
}

/// A bundle that is looked at and not launched.
pub struct Seen {
    /// Its directory.
    pub dir: OwnedFd,
    /// The host.
    pub host: Host,
    /// The configuration's decisions.
    pub draft: Draft,
    spec: oci_spec::runtime::Spec,
}

impl Seen {
    /// Opens it.
    ///
    /// # Errors
    /// As `create` would fail of its configuration.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = bundle::open_directory(path).on(path.display())?;
        let text = text_file::read_in_root(dir.as_fd(), Path::new("config.json"), CONFIG_LIMIT)?;
        let text = text.ok_or_else(|| Error::usage("there is no config.json").object(path.display()))?;
        let (spec, _) = bundle::parse(&text)?;
        let host = Host::read()?;
        let draft = draft::build(&spec, &Extras::oci(), &host.facts)?;
        Ok(Self { dir, host, draft, spec })
    }

    /// Of the configuration.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.spec.annotations().clone().unwrap_or_default().into_iter().collect()
    }

    /// The request that `create` without options would make.
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub fn request(&self, global: &Global, judge: &Judge<'_>) -> Result<Request> {
        let base = bundle::absolute(self.dir.as_fd())?;
        let wishes = Wishes::of(&self.spec)?;
        let report = wishes.report.as_ref().and_then(|path| base.join(path).parent().map(Path::to_owned));
        Ok(wishes.asked(Request {
            annotations: self.annotations(),
            running: judge.running()? + 1,
            has_cgroup: has_group(global, &self.draft, &self.host)?,
            has_unit: global.cgroup_manager() == CgroupManager::Systemd,
            report,
            ..judge.request(Verb::Create, base)?
        }))
    }
}

/// For whom it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// What the policy says of a launch.
#[derive(Debug, Default, Serialize)]
pub struct Decided {
    /// allowed, told (mode audit), refused.
    verdict: &'static str,
    /// Whether a policy stands.
    stands: bool,
    mode: Option<&'static str>,
    profile: Option<String>,
    digests: Vec<String>,
    /// The rule that decided each part.
    decisions: Vec<Decision>,
}

/// Judges a launch as a launch does. One that is refused is told with all decisions, and is an error.
///
/// # Errors
/// As [`Judge::launch`].
pub fn judged(
    judge: &Judge<'_>,
    draft: Draft,
    base: BorrowedFd<'_>,
    request: &Request,
    form: Form,
) -> Result<(Judged, Decided)> {
    let (facts, decisions, verdict) = judge.decisions(&draft, base, request)?;
    let policy = judge.policy();
    let decided = Decided {
        verdict: verdict.name(),
        stands: policy.is_some(),
        mode: policy.map(|policy| policy.mode.name()),
        profile: policy.and_then(|policy| policy.profile.clone()),
        digests: policy.map(|policy| policy.digests.clone()).unwrap_or_default(),
        decisions,
    };
    if let Verdict::Refused(_) = verdict {
        match form {
            Form::Text => output::print(&policy_text(&decided))?,
            Form::Json => output::print(&json(&Printed { plan: None, policy: &decided })?)?,
        }
    }
    judge.enforce(verdict)?;
    Ok((Judged { draft: with_files(draft, &facts), facts }, decided))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    /// null where the policy refuses.
    plan: Option<PrintedPlan<'a>>,
    policy: &'a Decided,
}

#[derive(Serialize)]
struct PrintedPlan<'a> {
    digest: String,
    clone_flags: u64,
    steps: Vec<PrintedStep<'a>>,
    /// What the parent does.
    parent: Vec<String>,
    degraded: &'a [String],
}

#[derive(Serialize)]
struct PrintedStep<'a> {
    step: &'static str,
    /// The configuration field that asks for it, or null.
    field: Option<&'a str>,
    text: String,
}

/// Prints a plan and what the policy says of it.
///
/// # Errors
/// write(2).
pub fn print(plan: &Plan, degraded: &[String], decided: &Decided, form: Form) -> Result<()> {
    match form {
        Form::Text => output::print(&format!("{}{}", render(plan, degraded), policy_text(decided))),
        Form::Json => {
            let plan = Some(printed_plan(plan, degraded));
            output::print(&json(&Printed { plan, policy: decided })?)
        }
    }
}

fn json(printed: &Printed<'_>) -> Result<String> {
    let text = serde_json::to_string_pretty(printed).map_err(|error| Error::internal(error.to_string()))?;
    Ok(format!("{text}\n"))
}

fn printed_plan<'a>(plan: &'a Plan, degraded: &'a [String]) -> PrintedPlan<'a> {
    let step = |planned: &'a Planned| PrintedStep {
        step: planned.step.name(),
        field: (!planned.field.is_empty()).then_some(planned.field.as_str()),
        text: planned.step.describe(),
    };
    PrintedPlan {
        digest: digest(plan),
        clone_flags: plan.clone_flags,
        steps: plan.steps.iter().map(step).collect(),
        parent: of_the_parent(plan).collect(),
        degraded,
    }
}

fn of_the_parent(plan: &Plan) -> impl Iterator<Item = String> {
    let hooks =
        plan.parent.runtime_hooks.iter().map(|hook| format!("{} hook {}", hook.kind, hook.describe()));
    let rlimits = plan.parent.rlimits.iter();
    hooks.chain(rlimits.map(|(resource, soft, hard)| format!("rlimit {resource} soft={soft} hard={hard}")))
}

/// One line per decision; nothing where no policy stands and no rule is broken.
fn policy_text(decided: &Decided) -> String {
    let lines = decided.decisions.iter().map(|decision| format!("policy: {decision}\n"));
    lines.collect()
}

/// One line per step.
fn render(plan: &Plan, degraded: &[String]) -> String {
    let mut text = format!("plan {}\n", digest(plan));
    text.push_str(&format!("clone3 flags={:#x}\n", plan.clone_flags));
    for (index, planned) in plan.steps.iter().enumerate() {
        let field = if planned.field.is_empty() { "-" } else { &planned.field };
        text.push_str(&format!("{index:3} {} [{field}]\n", planned.step.describe()));
    }
    for line in of_the_parent(plan) {
        text.push_str(&format!("    parent: {line}\n"));
    }
    for missing in degraded {
        text.push_str(&format!("degraded: {missing}\n"));
    }
    text
}
