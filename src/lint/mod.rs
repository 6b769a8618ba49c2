//! What is dangerous in an OCI configuration, for people without a policy: docs/lint.md.
//!
//! Pure: the Draft says what a launch would do, the configuration's text where that stands, and
//! [`Looked`] what the host has at the paths that it names. Nothing is refused here; the policy refuses.

mod binds;
mod capabilities;
mod devices;
mod hooks;
mod limits;
mod mounts;
mod namespaces;
mod place;
mod process;
mod root;
mod seccomp;
mod severity;
mod sources;
mod user;

use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::draft::Draft;
use crate::sys::clone::CLONE_NEWUSER;

pub use place::{Places, Region};
pub use severity::Severity;
pub use sources::Looked;

/// One thing that can be wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// `area.what`: it stays the same for ever.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// How bad it is behind a user namespace whose ids mean nothing on the host.
    pub walled: Severity,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What mends it.
    pub fix: &'static str,
}

const fn rule(
    id: &'static str,
    severity: Severity,
    walled: Severity,
    title: &'static str,
    fix: &'static str,
) -> Rule {
    Rule { id, severity, walled, title, fix }
}

/// A rule that a configuration breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static Rule,
    /// How bad it is here.
    pub severity: Severity,
    /// The configuration field, as the Draft names it.
    pub field: String,
    /// What is there, and what it gives away.
    pub reason: String,
}

/// A configuration to look through.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What a launch would do.
    pub draft: &'a Draft,
    /// The configuration.
    pub spec: &'a Spec,
    /// The same as JSON: in which place of a list a word stands.
    pub json: &'a Value,
    /// What pinfold refuses in it, by field and reason; the Draft is without.
    pub refused: &'a [(String, String)],
    /// What the host has at the paths.
    pub looked: &'a [Looked],
}

/// All rules, in the order of their ids.
pub fn rules() -> Vec<&'static Rule> {
    let areas = [
        binds::RULES,
        capabilities::RULES,
        devices::RULES,
        hooks::RULES,
        limits::RULES,
        mounts::RULES,
        namespaces::RULES,
        process::RULES,
        root::RULES,
        seccomp::RULES,
        sources::RULES,
        user::RULES,
    ];
    let mut all: Vec<_> = areas.into_iter().flatten().copied().collect();
    all.sort_by_key(|rule| rule.id);
    all
}

/// Looks through a configuration: the worst first.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let mut bench = Bench { subject, walled: is_walled(subject.draft), found: vec![] };
    user::user(&mut bench);
    capabilities::capabilities(&mut bench);
    process::process(&mut bench);
    seccomp::seccomp(&mut bench);
    namespaces::namespaces(&mut bench);
    root::root(&mut bench);
    binds::binds(&mut bench);
    mounts::mounts(&mut bench);
    devices::devices(&mut bench);
    limits::limits(&mut bench);
    hooks::hooks(&mut bench);
    sources::sources(&mut bench);
    root::refused(&mut bench);
    bench.found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    bench.found
}

/// Behind a new user namespace whose root is nobody's root outside.
fn is_walled(draft: &Draft) -> bool {
    draft.new_namespaces & CLONE_NEWUSER != 0 && !user::maps_host_root(draft)
}

/// The rules at work.
struct Bench<'a> {
    subject: &'a Subject<'a>,
    walled: bool,
    found: Vec<Finding>,
}

impl Bench<'_> {
    fn find(&mut self, rule: &'static Rule, field: impl Into<String>, reason: impl Into<String>) {
        let severity = if self.walled { rule.walled } else { rule.severity };
        self.push(rule, severity, field.into(), reason.into());
    }

    /// What can be read and not written is one step less bad.
    fn find_bind(&mut self, rule: &'static Rule, readonly: bool, field: String, reason: String) {
        let severity = if self.walled { rule.walled } else { rule.severity };
        self.push(rule, if readonly { severity.lower() } else { severity }, field, reason);
    }

    fn push(&mut self, rule: &'static Rule, severity: Severity, field: String, reason: String) {
        self.found.push(Finding { rule, severity, field, reason });
    }

    /// Where a word stands in a list of the configuration; the list itself where it does not.
    fn entry(&self, list: &str, word: &str) -> String {
        let words = self.subject.json.pointer(list).and_then(Value::as_array);
        let at = words.and_then(|words| words.iter().position(|one| one.as_str() == Some(word)));
        at.map_or_else(|| list.to_owned(), |at| format!("{list}/{at}"))
    }
}
