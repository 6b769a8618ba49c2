//! `root`, the paths that hide the kernel, and what pinfold refuses as a whole.

use std::path::Path;

use super::Severity::{Critical, High, Low, Medium};
use super::{Bench, Rule, mounts, namespaces, rule};
use crate::draft::{Draft, MountSource};
use crate::policy::host_place;

pub(super) const RULES: &[&Rule] = &[&WRITABLE, &HOST, &PROPAGATION, &MASKED, &READONLY, &REFUSED];

const WRITABLE: Rule = rule(
    "root.writable",
    Medium,
    Low,
    "the root can be written",
    "set root.readonly to true, and mount a tmpfs or a bind where the program writes",
);
const HOST: Rule = rule(
    "root.host",
    Critical,
    High,
    "the root is a directory of the host's own",
    "name a directory that holds nothing but the container's files",
);
const PROPAGATION: Rule = rule(
    "root.propagation",
    High,
    Medium,
    "mounts get out of the container, or into it",
    "leave out linux.rootfsPropagation, or set it to private",
);
const MASKED: Rule = rule(
    "root.masked_paths",
    Medium,
    Low,
    "files of the kernel can be read",
    "list in linux.maskedPaths what `pinfold spec` lists",
);
const READONLY: Rule = rule(
    "root.readonly_paths",
    High,
    Low,
    "files of the kernel can be written",
    "list in linux.readonlyPaths what `pinfold spec` lists",
);
const REFUSED: Rule = rule(
    "config.refused",
    High,
    High,
    "pinfold refuses it",
    "change what the message names; the rest was looked through without it",
);

/// What shows the kernel's memory, keys, timers or hardware; the rest of the usual list is gone from current kernels.
const HIDDEN: &[&str] =
    &["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"];
/// What changes the host when it is written.
const CLOSED: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn root(bench: &mut Bench<'_>) {
    let draft = bench.subject.draft;
    if !draft.root.readonly {
        let text = "what one program leaves there the next one finds, if the directory is used again";
        bench.find(&WRITABLE, "/root/readonly", text);
    }
    let directory = draft.root.directory.as_deref().filter(|path| path.is_absolute());
    if let Some(what) = directory.and_then(host_place) {
        let path = directory.map(Path::display).into_iter().map(|path| path.to_string()).collect::<String>();
        bench.find(&HOST, "/root/path", format!("{path}: {what}"));
    }
    if draft.root.propagation & (libc::MS_SHARED | libc::MS_SLAVE) != 0 {
        let text = "shared lets mounts out to the host, slave lets the host's in";
        bench.find(&PROPAGATION, "/linux/rootfsPropagation", text);
    }
    kernel_files(bench, draft);
}

fn kernel_files(bench: &mut Bench<'_>, draft: &Draft) {
    let shown = |place: &str| {
        draft.mounts.iter().any(|mount| {
            mount.destination == Path::new(place) && !matches!(mount.source, MountSource::Present)
        })
    };
    let open = |wanted: &[&'static str], listed: &[std::ffi::CString]| -> Vec<&'static str> {
        let hides =
            |path: &str| listed.iter().any(|one| Path::new(path).starts_with(&*one.to_string_lossy()));
        let there = |path: &&&str| shown(if path.starts_with("/sys") { "/sys" } else { "/proc" });
        wanted.iter().filter(there).filter(|path| !hides(path)).copied().collect()
    };
    // What is hidden cannot be written either.
    let hidden = open(HIDDEN, &draft.masked_paths);
    let both = [draft.masked_paths.clone(), draft.readonly_paths.clone()].concat();
    let closed = open(CLOSED, &both);
    if !hidden.is_empty() {
        bench.find(&MASKED, "/linux/maskedPaths", format!("not masked: {}", hidden.join(", ")));
    }
    if !closed.is_empty() {
        bench.find(&READONLY, "/linux/readonlyPaths", format!("not read-only: {}", closed.join(", ")));
    }
}

/// What keeps pinfold from launching it.
pub(super) fn refused(bench: &mut Bench<'_>) {
    for (field, reason) in bench.subject.refused {
        let rule = namespaces::of_refused(field).or_else(|| mounts::of_refused(field, reason));
        bench.find(rule.unwrap_or(&REFUSED), field, reason);
    }
}
