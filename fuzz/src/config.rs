//! config.json → Spec → Draft → Plan: an error or a Plan with every restriction that was asked for, and
//! the same one each time.

use std::os::fd::AsFd;
use std::path::Path;

use pinfold::commands::bundle;
use pinfold::draft::{self, Draft, Extras, HostFacts, MountSource};
use pinfold::plan::{Grants, Plan, digest};
use pinfold::resolve::{self, Surroundings};

use super::jail::Jail;

pub fn config(text: &[u8]) {
    let Ok((spec, _)) = bundle::parse(text) else { return };
    let jail = Jail::new();
    for facts in hosts() {
        let Ok(draft) = draft::build(&spec, &Extras::oci(), &facts) else { continue };
        assert!(draft.mounts.iter().all(|mount| mount.destination.is_absolute()));
        let Some(plan) = plan(&draft, &facts, &jail) else { continue };
        check(&draft, &plan);
        let again = self::plan(&draft, &facts, &jail).map(|plan| digest(&plan));
        assert_eq!(again, Some(digest(&plan)), "the same configuration on the same objects");
    }
    jail.check();
}

/// Root with everything, and a caller without privilege.
fn hosts() -> [HostFacts; 2] {
    let root = HostFacts {
        last_cap: 40,
        grantable_caps: (1 << 41) - 1,
        landlock_abi: 6,
        may_raise_limits: true,
        may_raise_priority: true,
        cgroup_unified: true,
        ..HostFacts::default()
    };
    let user = HostFacts {
        euid: 1000,
        egid: 1000,
        rootless: true,
        maps_own_ids_only: true,
        setgroups_denied: true,
        grantable_caps: 0,
        may_raise_limits: false,
        may_raise_priority: false,
        ..root.clone()
    };
    [root, user]
}

/// The Plan, where the Draft names nothing that this process should not open.
pub fn plan(draft: &Draft, facts: &HostFacts, jail: &Jail) -> Option<Plan> {
    let is_here =
        |path: &Path| path.is_relative() || path.starts_with("/usr") || path == Path::new("/dev/null");
    let sources = draft.mounts.iter().all(|mount| match &mount.source {
        MountSource::Bind { path, .. } => is_here(path),
        _ => true,
    });
    let root = draft.root.directory.as_deref().is_none_or(is_here);
    if !draft.join.is_empty() || !sources || !root {
        return None;
    }
    let directory = jail.open_inside();
    let pinned = resolve::pin(draft, directory.as_fd(), &Grants::default()).ok()?;
    resolve::finish(draft, pinned, Surroundings::foreground(facts)).ok().map(|finished| finished.plan)
}

fn check(draft: &Draft, plan: &Plan) {
    let names: Vec<_> = plan.steps.iter().map(|planned| planned.step.name()).collect();
    let count = |name: &str| names.iter().filter(|one| **one == name).count();
    let place = |name: &str| names.iter().position(|one| *one == name);
    let process = draft.process.as_ref().expect("a Plan has a program");
    assert!(plan.steps.iter().all(|planned| !planned.step.describe().is_empty()));
    assert_eq!((count("exec"), names.last()), (1, Some(&"exec")));
    assert_eq!(count("no_new_privs") == 1, process.no_new_privs);
    let filters = count("early_seccomp") + count("late_seccomp");
    assert_eq!(filters, usize::from(draft.seccomp.is_some()), "{names:?}");
    assert_eq!(count("mask"), draft.masked_paths.len(), "{names:?}");
    assert_eq!(count("readonly_path"), draft.readonly_paths.len(), "{names:?}");
    for name in ["pivot", "close_fds", "set_groups", "set_gid", "set_uid", "capabilities", "meet_for_check"] {
        assert!(count(name) > 0 || name == "set_groups" && draft.setgroups_denied, "{name}: {names:?}");
    }
    for (before, after) in [
        ("cut_propagation", "attach_root"),
        ("attach_root", "pivot"),
        ("pivot", "mask"),
        ("pivot", "close_fds"),
        ("close_fds", "set_uid"),
        ("drop_bounding", "set_uid"),
        ("set_gid", "set_uid"),
        ("set_uid", "capabilities"),
        ("capabilities", "meet_for_check"),
        ("no_new_privs", "set_uid"),
    ] {
        if let (Some(before), Some(after)) = (place(before), place(after)) {
            assert!(before < after, "{names:?}");
        }
    }
}
