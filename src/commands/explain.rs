//! `explain`: the Plan in words, the same that a launch walks, with its digest.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::judge::{Judge, Judged};
use super::trail::Trail;
use super::wishes::Wishes;
use super::{bundle, host::Host, output, text_file};
use crate::cli::{ExplainArgs, ExplainWhat, Global};
use crate::draft::{self, Draft, Extras};
use crate::error::{Context, Error, ExitCode, Result};
use crate::plan::{Plan, digest};
use crate::policy::{Request, Verb};
use crate::resolve::{self, Surroundings};

const CONFIG_LIMIT: usize = 16 << 20;

/// Explains a bundle, or `sandbox` with its options; launches nothing.
///
/// # Errors
/// What a launch would fail of before its clone.
pub fn run(global: &Global, args: &ExplainArgs) -> Result<ExitCode> {
    if args.json {
        return Err(Error::usage("not supported by this version of pinfold").field("--json"));
    }
    if let Some(ExplainWhat::Sandbox(sandbox)) = &args.what {
        let mut sandbox = sandbox.as_ref().clone();
        sandbox.life.explain = true;
        return super::sandbox::run(global, &sandbox);
    }
    let path = args.bundle.as_ref().map_or(Path::new("."), |path| path.as_path());
    let seen = Seen::open(path)?;
    let judge = Judge::of_annotations(global, &seen.annotations())?;
    let request = seen.request(&judge)?;
    let (dir, host, draft) = (seen.dir, seen.host, seen.draft);
    let Judged { draft, facts } =
        judge.launch(draft, dir.as_fd(), &request, &mut Trail::nothing(global, "explain", None))?;
    let finished = resolve::finish(&draft, facts, Surroundings::foreground(&host.facts))?;
    output::print(&render(&finished.plan, &finished.degraded))?;
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
    pub fn request(&self, judge: &Judge<'_>) -> Result<Request> {
        let base = bundle::absolute(self.dir.as_fd())?;
        let wishes = Wishes::of(&self.spec)?;
        let report = wishes.report.as_ref().and_then(|path| base.join(path).parent().map(Path::to_owned));
        Ok(wishes.asked(Request {
            annotations: self.annotations(),
            running: judge.running()? + 1,
            report,
            ..judge.request(Verb::Create, base)?
        }))
    }
}

/// One line per step.
pub fn render(plan: &Plan, degraded: &[String]) -> String {
    let mut text = format!("plan {}\n", digest(plan));
    text.push_str(&format!("clone3 flags={:#x}\n", plan.clone_flags));
    for (index, planned) in plan.steps.iter().enumerate() {
        let field = if planned.field.is_empty() { "-" } else { &planned.field };
        text.push_str(&format!("{index:3} {} [{field}]\n", planned.step.describe()));
    }
    for hook in &plan.parent.runtime_hooks {
        text.push_str(&format!("    parent: {} hook {}\n", hook.kind, hook.describe()));
    }
    for (resource, soft, hard) in &plan.parent.rlimits {
        text.push_str(&format!("    parent: rlimit {resource} soft={soft} hard={hard}\n"));
    }
    for missing in degraded {
        text.push_str(&format!("degraded: {missing}\n"));
    }
    text
}
