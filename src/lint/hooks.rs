//! `hooks`: programs of the host, run by the runtime.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Severity::{Critical, Low};
use super::{Bench, Rule, rule};
use crate::draft::{DraftHook, MountSource};
use crate::plan::HookKind;

pub(super) const RULES: &[&Rule] = &[&ANY, &WRITABLE, &OF_CONTAINER];

const ANY: Rule = rule(
    "hook.any",
    Low,
    Low,
    "a program of the host runs with the runtime's rights",
    "leave it out unless the container needs it",
);
const WRITABLE: Rule = rule(
    "hook.writable",
    Critical,
    Critical,
    "others than root can change the hook",
    "keep it root's, with mode 755, in directories that are root's",
);
const OF_CONTAINER: Rule = rule(
    "hook.of_container",
    Critical,
    Critical,
    "the hook lies where the container can write",
    "keep it out of the root and out of every bind",
);

pub(super) fn hooks(bench: &mut Bench<'_>) {
    for hook in &bench.subject.draft.hooks {
        let path = Path::new(std::ffi::OsStr::from_bytes(hook.path.as_bytes()));
        let field = format!("{}/path", hook.field);
        bench.find(&ANY, &field, format!("{} runs at {}", path.display(), hook.kind));
        if let Some(place) = written_inside(bench, hook, path) {
            bench.find(&OF_CONTAINER, &field, format!("{} lies below {place}", path.display()));
        }
        let looked = bench.subject.looked.iter().find(|looked| looked.field == field);
        if let Some(text) = looked.and_then(|looked| looked.writable.clone()) {
            bench.find(&WRITABLE, &field, text);
        }
    }
}

/// The root or the bind in which a hook of the host's lies. startContainer hooks are the container's own.
fn written_inside(bench: &Bench<'_>, hook: &DraftHook, path: &Path) -> Option<String> {
    if hook.kind == HookKind::StartContainer {
        return None;
    }
    let draft = bench.subject.draft;
    let root = draft.root.directory.as_deref().filter(|_| !draft.root.readonly);
    let binds = draft.mounts.iter().filter(|mount| !mount.options.readonly());
    let binds = binds.filter_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some(path.as_path()),
        _ => None,
    });
    root.into_iter()
        .chain(binds)
        .find(|place| path.starts_with(place))
        .map(|place| place.display().to_string())
}
