//! A launch of the past before another policy: the same judge, on what was recorded. Where that does
//! not say what the policy asks about, the launch cannot be judged; it never counts as unchanged.
//!
//! What is not known can only add to what is refused. So a launch that is refused for what is known
//! is refused, and only one that would pass is left open.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::rebuild::Rebuilt;
use super::{Recorded, RecordedHook};
use crate::error::Result;
use crate::plan::{Grants, Way};
use crate::policy::document::{BySudo, Document, Mode, Policy};
use crate::policy::judge;
use crate::policy::request::absolute;
use crate::policy::select::select;
use crate::policy::violation::{Detail, Violation};
use crate::seccomp::{Arch, Call};

/// What the record says beside [`Recorded`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Log<'a> {
    /// The names of the variables, unless they are kept out of the log.
    pub environment: Option<&'a [String]>,
    /// The digest of the filter, where a plan was made.
    pub filter: Option<&'a str>,
    /// How many policy files judged it.
    pub policies: usize,
    /// Whether the built-in rules of `sandbox` refused it: they hold beside any policy.
    pub builtin_refuses: bool,
}

/// What another policy says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// One word, as in the record, and what is broken.
    Judged(&'static str, Vec<Violation>),
    /// What is not known.
    Unknown(Vec<String>),
}

impl Recorded {
    /// Judges it by a policy. `null` is any descriptor.
    ///
    /// # Errors
    /// A record that pinfold did not write; fcntl(2).
    pub fn judge(&self, document: &Document, log: Log<'_>, null: &OwnedFd) -> Result<Replayed> {
        let mut policy = document.clone().for_launch(self.profile.as_deref());
        if let Some(reason) = self.another_request(&policy, log) {
            return Ok(Replayed::Unknown(vec![reason.to_owned()]));
        }
        if self.caller.is_some() {
            policy.mode = Mode::Enforce;
        }
        let mut rebuilt = self.rebuild(log.environment.unwrap_or_default(), null)?;
        let mut unknown = vec![];
        let grants = select(&rebuilt.draft, &rebuilt.request, &policy);
        self.objects(&mut rebuilt, &grants, &mut unknown);
        self.hooks(&mut rebuilt, &grants, &mut unknown);
        self.rest(&policy, log, &mut unknown);
        let digest = self.by_digest(&mut policy, log, &mut unknown);
        let Rebuilt { draft, facts, request } = &rebuilt;
        let decided = judge::judge(draft, facts, request, &policy, Detail::Violations).verdict();
        let mut violations = decided.violations().to_vec();
        violations.extend(digest);
        Ok(match (violations.is_empty(), policy.mode) {
            _ if log.builtin_refuses => Replayed::Judged("refused", violations),
            (true, _) if !unknown.is_empty() => Replayed::Unknown(unknown),
            (true, _) => Replayed::Judged("allowed", violations),
            (false, Mode::Enforce) => Replayed::Judged("refused", violations),
            (false, Mode::Audit) => Replayed::Judged("told", violations),
        })
    }

    /// Why the launch would have asked for something else under this policy.
    fn another_request(&self, policy: &Policy, log: Log<'_>) -> Option<&'static str> {
        let looked_at = policy.callers.sudo.value != BySudo::Root;
        if log.policies > 1 {
            Some("the caller's own --policy judged it too")
        } else if self.caller.is_some() != looked_at && (self.caller.is_some() || self.sudo_unseen) {
            Some("callers.sudo: for whom pinfold worked would have been decided otherwise")
        } else {
            None
        }
    }

    /// The objects by the ways of this policy. Without a link on the way every way leads to the same one.
    fn objects(&self, rebuilt: &mut Rebuilt, grants: &Grants, unknown: &mut Vec<String>) {
        let Rebuilt { facts, request, .. } = rebuilt;
        let known = |way: &Way, place: Option<&String>, path: &str, found: Option<&str>| match way {
            Way::AsNamed => true,
            Way::Withheld => !grants.audit || found.is_some(),
            Way::Beneath { place: new, .. } => {
                place.is_some_and(|place| new.as_os_str() == place.as_str())
                    || found.is_some_and(|found| absolute(&request.base, path.as_ref()).as_os_str() == found)
            }
        };
        let withheld = |way: &Way| *way == Way::Withheld && !grants.audit;
        if let Some(directory) = &self.root.directory {
            let found = self.root.opened.as_ref().map(|found| found.path.as_str());
            if !known(&grants.root, self.root.place.as_ref(), directory, found) {
                unknown.push(format!("/root/path {directory}: not opened beneath this policy's grant"));
            }
            if withheld(&grants.root) {
                facts.root = None;
            }
        }
        for (index, mount) in self.mounts.iter().enumerate() {
            let (Some(way), Some(source)) = (grants.binds.get(index), &mount.source) else { continue };
            let found = mount.opened.as_ref().map(|found| found.path.as_str());
            if !mount.own && !known(way, mount.place.as_ref(), source, found) {
                unknown
                    .push(format!("{}/source {source}: not opened beneath this policy's grant", mount.field));
            }
            if let Some(slot) = facts.binds.get_mut(index).filter(|_| withheld(way)) {
                *slot = None;
            }
        }
        for (join, way) in self.joins.iter().zip(&grants.joins) {
            // A namespace's own path does not say through what it was reached.
            let same = |new: &std::path::Path| {
                join.place.as_ref().is_some_and(|old| new.as_os_str() == old.as_str())
            };
            let known = match way {
                Way::AsNamed | Way::Withheld => true,
                Way::Beneath { place, .. } => same(place),
            };
            if !known {
                unknown.push(format!("{} {}: not opened beneath this policy's grant", join.field, join.path));
            }
        }
    }

    /// A hook whose file was not read, or whose words are not in the log, is left out of the judgement.
    fn hooks(&self, rebuilt: &mut Rebuilt, grants: &Grants, unknown: &mut Vec<String>) {
        let barred = |hook: &RecordedHook| {
            let field = format!("{}/path", hook.field);
            self.barred.iter().any(|(at, _)| *at == field)
        };
        let mut open = vec![];
        for (index, hook) in self.hooks.iter().enumerate() {
            let granted = grants.hooks.get(index).copied().unwrap_or(false);
            if granted && hook.sha256.is_none() && !barred(hook) {
                unknown.push(format!("{}/path {}: the file was not read", hook.field, hook.path));
                open.push(index);
            } else if granted && hook.args_hidden {
                unknown.push(format!("{}/args {}: not in the log", hook.field, hook.path));
                open.push(index);
            } else if granted && hook.has_env {
                unknown.push(format!("{}/env {}: not in the log", hook.field, hook.path));
            }
        }
        for index in open.into_iter().rev() {
            rebuilt.draft.hooks.remove(index);
            rebuilt.facts.hooks.remove(index);
        }
    }

    /// What the policy asks about and the record does not say.
    fn rest(&self, policy: &Policy, log: Log<'_>, unknown: &mut Vec<String>) {
        let layers = || policy.layers.iter().map(|layer| &layer.rules);
        if let Some(max) = &policy.running.max {
            let roots: Vec<_> = policy.running.state_roots.iter().flat_map(|at| &at.value).collect();
            let same = roots
                .iter()
                .map(|path| path.as_os_str())
                .eq(self.running_in.iter().map(std::ffi::OsStr::new));
            if self.running.is_none() || !same {
                unknown.push(format!("running: how many of at most {} lived was not counted", max.value));
            }
        }
        let asks_for_names = layers().any(|rules| rules.process.environment.is_some());
        if self.process.is_some() && log.environment.is_none() && asks_for_names {
            unknown.push("/process/env: not in the log".to_owned());
        }
        let Some(filter) = self.seccomp.as_ref().filter(|_| self.process.is_some()) else { return };
        let native = Arch::NATIVE.filter(|native| filter.abi == native.oci_name());
        let is_known = |name: &String| {
            native.is_some_and(|native| Call::named(name).is_some_and(|call| call.number(native).is_some()))
        };
        let denied = layers().flat_map(|rules| rules.seccomp.deny.iter().flat_map(|at| &at.value));
        if let Some(name) = denied.into_iter().find(|name| !is_known(name)) {
            unknown.push(format!("/linux/seccomp: nothing is recorded of {name} for this machine"));
        }
    }

    /// The filter itself is not in the record, but its digest is, where a plan was made.
    fn by_digest(&self, policy: &mut Policy, log: Log<'_>, unknown: &mut Vec<String>) -> Vec<Violation> {
        let mut broken = vec![];
        for layer in &mut policy.layers {
            let Some(known) = Arc::make_mut(&mut layer.rules).seccomp.profiles.take() else { continue };
            if self.seccomp.is_none() || self.process.is_none() {
                continue;
            }
            match log.filter {
                None => unknown.push("/linux/seccomp: the digest of the filter is not in the log".to_owned()),
                Some(digest) if known.value.iter().any(|one| one == digest) => {}
                Some(digest) => broken.push(Violation {
                    rule: "seccomp.profiles",
                    field: "/linux/seccomp".to_owned(),
                    asked: digest.to_owned(),
                    allowed: known.value.join(", "),
                    file: layer.file.clone(),
                    line: known.line,
                }),
            }
        }
        broken
    }
}
