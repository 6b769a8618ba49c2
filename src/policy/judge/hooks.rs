//! `[[hook]]`: a program that runs on the host as root, with arguments and an environment that the caller
//! chose. Judged is the content that is run, and all that the caller says to it.

use std::ffi::CString;

use super::Bench;
use crate::draft::{DraftHook, JudgedHook};
use crate::plan::HookKind;
use crate::policy::rules::HookGrant;
use crate::resolve::Barred;

/// Judges each; `files` are what was read, in the order of the hooks.
pub(super) fn hooks(
    bench: &mut Bench<'_>,
    hooks: &[DraftHook],
    files: &[Option<JudgedHook>],
    barred: &[Barred],
) {
    let Some(grants) = &bench.layer.rules.hook else { return };
    for (index, hook) in hooks.iter().enumerate() {
        let (field, path) = (format!("{}/path", hook.field), hook.program());
        if let Some(barred) = barred.iter().find(|barred| barred.field == field) {
            let asked = format!("{}: {}", path.display(), barred.errno.desc());
            bench.refuse(grants.line, "hook.link", field, asked, "a path through no link");
            continue;
        }
        let here: Vec<_> = grants.value.iter().filter(|grant| grant.path == path).collect();
        if here.is_empty() || hook.kind == HookKind::StartContainer {
            let allowed = "none but those listed, and no file of the container";
            bench.refuse(grants.line, "hook.path", field, path.display(), allowed);
            continue;
        }
        let sha256 = files.get(index).and_then(Option::as_ref).map(|file| file.sha256.as_str());
        content(bench, hook, &here, sha256);
    }
}

/// Of several grants of a path, one must have the content, and allow what is said to it.
fn content(bench: &mut Bench<'_>, hook: &DraftHook, here: &[&HookGrant], sha256: Option<&str>) {
    let line = here.first().map_or(0, |grant| grant.line);
    let of_it: Vec<_> = here.iter().filter(|grant| Some(grant.sha256.as_str()) == sha256).collect();
    if of_it.is_empty() {
        let (field, asked) = (format!("{}/path", hook.field), sha256.unwrap_or("a file that was not read"));
        let known: Vec<_> = here.iter().map(|grant| grant.sha256.as_str()).collect();
        bench.refuse(line, "hook.sha256", field, asked, known.join(", "));
        return;
    }
    let mut said = of_it.iter().filter(|grant| are(&grant.args, arguments(hook)));
    let Some(first) = said.next() else {
        let field = format!("{}/args", hook.field);
        let allowed =
            format!("its path or name, then {:?}", of_it.first().map_or(&[][..], |grant| &grant.args));
        bench.refuse(line, "hook.args", field, format!("{:?}", hook.args), allowed);
        return;
    };
    let allowed = |grant: &&HookGrant| hook.env.iter().all(|entry| is_one_of(&grant.env, entry));
    if !allowed(first) && !said.any(|grant| allowed(grant)) {
        // The values are nobody's business.
        let names: Vec<_> = hook.env.iter().filter(|entry| !is_one_of(&first.env, entry)).map(name).collect();
        let field = format!("{}/env", hook.field);
        bench.refuse(line, "hook.env", field, names.join(", "), "the entries listed, with their values");
    }
}

/// Those after `argv[0]`, which must be the program's own path or name: some programs are many.
fn arguments(hook: &DraftHook) -> Option<&[CString]> {
    let (first, rest) = hook.args.split_first()?;
    let name = hook.program().file_name().map(std::ffi::OsStr::as_encoded_bytes);
    (first == &hook.path || Some(first.as_bytes()) == name).then_some(rest)
}

fn are(granted: &[String], asked: Option<&[CString]>) -> bool {
    asked.is_some_and(|asked| {
        granted.len() == asked.len()
            && granted.iter().zip(asked).all(|(one, other)| one.as_bytes() == other.as_bytes())
    })
}

fn is_one_of(granted: &[String], entry: &CString) -> bool {
    granted.iter().any(|one| one.as_bytes() == entry.as_bytes())
}

fn name(entry: &CString) -> String {
    entry.to_string_lossy().split('=').next().unwrap_or_default().to_owned()
}
