//! `[mounts]`.

use std::path::{Path, PathBuf};

use super::Bench;
use crate::draft::{Draft, DraftMount, MountSource};
use crate::policy::read::PROPAGATION;
use crate::policy::request::odd;
use crate::policy::rules::At;
use crate::policy::select::is_device;

/// Where nothing of the host may be shown.
const KEPT: [&str; 3] = ["/proc", "/sys", "/dev"];

pub(super) fn mounts(bench: &mut Bench<'_>, draft: &Draft) {
    for (index, mount) in draft.mounts.iter().enumerate().filter(|(_, mount)| !mount.own) {
        filesystem(bench, mount);
        for asked in &mount.options.propagation {
            propagation(bench, *asked, &format!("{}/options", mount.field));
        }
        if bench.first {
            let earlier = draft.mounts.get(..index).unwrap_or_default();
            destination(bench, mount, earlier);
            remount(bench, mount);
            copies(bench, mount, earlier);
        }
    }
    propagation(bench, draft.root.propagation, "/linux/rootfsPropagation");
    let rules = &bench.layer.rules.mounts;
    let held = |paths: &[std::ffi::CString], path: &Path| {
        paths.iter().any(|one| one.as_bytes() == path.as_os_str().as_encoded_bytes())
    };
    for (line, path) in wanted(&rules.masked) {
        let kept = held(&draft.masked_paths, path);
        listed(bench, kept, line, ("mounts.masked", "/linux/maskedPaths"), path, "masked");
    }
    for (line, path) in wanted(&rules.readonly) {
        let kept = held(&draft.readonly_paths, path);
        listed(bench, kept, line, ("mounts.readonly", "/linux/readonlyPaths"), path, "read-only");
    }
}

fn wanted(wanted: &Option<At<Vec<PathBuf>>>) -> impl Iterator<Item = (u32, &PathBuf)> {
    wanted.iter().flat_map(|at| at.value.iter().map(|path| (at.line, path)))
}

fn listed(
    bench: &mut Bench<'_>,
    kept: bool,
    line: u32,
    (rule, field): (&'static str, &str),
    path: &Path,
    allowed: &str,
) {
    let word = if kept { "with" } else { "without" };
    bench.decide(kept, line, rule, field, format!("{word} {}", path.display()), allowed);
}

fn filesystem(bench: &mut Bench<'_>, mount: &DraftMount) {
    let rules = &bench.layer.rules.mounts;
    let typ = match &mount.source {
        MountSource::Bind { .. } | MountSource::Present => return,
        MountSource::Fresh(typ) => typ.as_str(),
        MountSource::Cgroup => "cgroup",
    };
    if let Some(known) = &rules.filesystems {
        // The host decides which of the two a cgroup mount is.
        let alike = |one: &String| one == typ || (typ == "cgroup" && one == "cgroup2");
        let field = format!("{}/type", mount.field);
        let kept = known.value.iter().any(alike);
        bench.decide(kept, known.line, "mounts.filesystems", field, typ, known.value.join(", "));
    }
    if let Some(names) = &rules.data {
        for (key, _) in &mount.options.data {
            let (kept, field) = (names.value.hold(key), format!("{}/options", mount.field));
            bench.decide(kept, names.line, "mounts.data", field, key, &names.value);
        }
    }
}

fn propagation(bench: &mut Bench<'_>, asked: u64, field: &str) {
    let Some(known) = &bench.layer.rules.mounts.propagation else { return };
    let kind = match asked & !libc::MS_REC {
        libc::MS_PRIVATE => 0,
        other => other,
    };
    if kind == 0 {
        return;
    }
    let word =
        |kind: u64| PROPAGATION.iter().find(|(_, bit)| *bit == kind).map_or("unknown", |(word, _)| *word);
    let allowed: Vec<_> = known.value.iter().map(|kind| word(*kind)).collect();
    let kept = known.value.contains(&kind);
    bench.decide(kept, known.line, "mounts.propagation", field, word(kind), allowed.join(", "));
}

/// The options of a mount are those that were judged with it: nothing changes them later.
fn remount(bench: &mut Bench<'_>, mount: &DraftMount) {
    if matches!(mount.source, MountSource::Present) {
        let field = format!("{}/options", mount.field);
        bench.refuse(
            0,
            "mounts.remount",
            field,
            "remount",
            "the mount's final options with the mount itself",
        );
    }
}

/// What `tmpcopyup` copies out of a bind has none of the bind's floor: setuid files and devices would work.
fn copies(bench: &mut Bench<'_>, mount: &DraftMount, earlier: &[DraftMount]) {
    let is_bind = |other: &&DraftMount| matches!(other.source, MountSource::Bind { .. });
    let mut binds = earlier.iter().filter(is_bind);
    let below = binds.find(|other| mount.destination.starts_with(&other.destination));
    if let Some(bind) = below.filter(|_| mount.options.tmpcopyup) {
        let field = format!("{}/options", mount.field);
        let asked = format!("a copy of what is bound on {}", bind.destination.display());
        bench.refuse(0, "mounts.tmpcopyup", field, asked, "copies of the root's own");
    }
}

/// What holds for every destination.
fn destination(bench: &mut Bench<'_>, mount: &DraftMount, earlier: &[DraftMount]) {
    let field = format!("{}/destination", mount.field);
    let place = mount.destination.as_path();
    let is_bind = matches!(mount.source, MountSource::Bind { .. }) && !is_device(mount);
    let asked = if odd(place).is_some() {
        "a control character".to_owned()
    } else if is_bind && (place == Path::new("/") || KEPT.iter().any(|kept| place.starts_with(kept))) {
        format!("a bind on {}", place.display())
    } else if earlier.iter().any(|other| !other.own && other.destination == place) {
        format!("a second mount on {}", place.display())
    } else if let Some(filesystem) = elsewhere(mount) {
        format!("a {filesystem} on {}", place.display())
    } else {
        return;
    };
    let allowed =
        "one mount per place, no bind on /, /proc, /sys or /dev, proc and sysfs on /proc and /sys alone";
    bench.refuse(0, "mounts.destination", field, asked, allowed);
}

/// A kernel filesystem at another place than the one where its paths are masked and read-only.
fn elsewhere(mount: &DraftMount) -> Option<&str> {
    match &mount.source {
        MountSource::Fresh(filesystem) => [("proc", "/proc"), ("sysfs", "/sys")]
            .iter()
            .any(|(name, place)| filesystem == name && mount.destination.as_path() != Path::new(place))
            .then_some(filesystem.as_str()),
        _ => None,
    }
}
