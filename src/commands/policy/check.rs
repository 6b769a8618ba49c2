//! `policy check`: the verdict on a bundle, from the judge that decides a launch.

use std::os::fd::AsFd;
use std::path::Path;

use serde::Serialize;

use crate::cli::Global;
use crate::commands::explain::Seen;
use crate::commands::judge::Judge;
use crate::commands::output;
use crate::error::{Error, ExitCode, Result};
use crate::policy::{Decision, Verdict, Violation, lockdown};
use crate::types::HostPath;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    /// allowed, told (mode audit), refused.
    verdict: &'static str,
    /// Whether a policy stands.
    policy: bool,
    mode: Option<&'static str>,
    profile: Option<&'a str>,
    digests: &'a [String],
    violations: &'a [Violation],
    /// With `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    decisions: Option<&'a [Decision]>,
}

pub(super) fn run(global: &Global, bundle: Option<&HostPath>, explain: bool, json: bool) -> Result<ExitCode> {
    let seen = Seen::open(bundle.map_or(Path::new("."), HostPath::as_path))?;
    let judge = Judge::of_annotations(global, &seen.annotations())?;
    let request = seen.request(global, &judge)?;
    let (_, mut decisions, mut verdict) = judge.decisions(&seen.draft, seen.dir.as_fd(), &request)?;
    // In every mode, and without a policy.
    if let Some(judged) = lockdown::violation() {
        verdict = verdict.and(Verdict::Refused(vec![judged.clone()]));
        decisions.push(Decision { kept: false, layer: "host".to_owned(), judged });
    }
    let printed = printed(&judge, &verdict, explain.then_some(&decisions));
    match json {
        true => {
            let text = serde_json::to_string(&printed).map_err(|error| Error::internal(error.to_string()))?;
            output::print(&format!("{text}\n"))?;
        }
        false => output::print(&human(&printed))?,
    }
    match verdict {
        Verdict::Refused(_) => Ok(ExitCode::REFUSED),
        Verdict::Allowed | Verdict::Told(_) => Ok(ExitCode::SUCCESS),
    }
}

fn printed<'a>(
    judge: &'a Judge<'_>,
    verdict: &'a Verdict,
    decisions: Option<&'a Vec<Decision>>,
) -> Printed<'a> {
    let policy = judge.policy();
    Printed {
        verdict: verdict.name(),
        policy: policy.is_some(),
        mode: policy.map(|policy| policy.mode.name()),
        profile: policy.and_then(|policy| policy.profile.as_deref()),
        digests: policy.map(|policy| policy.digests.as_slice()).unwrap_or_default(),
        violations: verdict.violations(),
        decisions: decisions.map(Vec::as_slice),
    }
}

fn human(printed: &Printed<'_>) -> String {
    let by = match (printed.policy, printed.profile) {
        (false, _) => "no policy stands".to_owned(),
        (true, None) => "by the host's rules".to_owned(),
        (true, Some(profile)) => format!("by the host's rules and the profile {profile}"),
    };
    let verdict = match printed.verdict {
        "told" => "allowed, because the mode is audit; it would be refused",
        other => other,
    };
    let lines: String = printed.violations.iter().map(|violation| format!("  {violation}\n")).collect();
    let decided = printed.decisions.unwrap_or_default();
    let decided: String = decided.iter().map(|decision| format!("  {decision}\n")).collect();
    format!("{verdict}: {by}\n{lines}{decided}")
}
