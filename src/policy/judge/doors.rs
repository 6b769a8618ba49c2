//! `doors`, `degraded`, `running`, `annotations`, and the choice of a profile.

use std::path::PathBuf;

use super::Bench;
use crate::draft::REPORT;
use crate::policy::document::Policy;
use crate::policy::request::Request;
use crate::systemd::PROPERTY_ANNOTATION;

/// What the file as a whole says.
pub(super) fn once(bench: &mut Bench<'_>, policy: &Policy) {
    if let Some(name) = &policy.unknown_profile {
        let allowed = "a profile of the policy file";
        bench.refuse(0, "profile", "io.pinfold.profile", format!("the profile {name:?}"), allowed);
    }
    if !super::launches(bench.request.verb) {
        return;
    }
    let (running, root) = (bench.request.running, state_root(bench.request));
    if let Some(max) = &policy.running.max {
        let asked = format!("a launch beside {} others", running.saturating_sub(1));
        let allowed = format!("{} at once", max.value);
        bench.decide(running <= max.value, max.line, "running.max", "running", asked, allowed);
    }
    if let Some(roots) = &policy.running.state_roots {
        let allowed: Vec<_> = roots.value.iter().map(|path| path.display().to_string()).collect();
        let kept = roots.value.contains(&root);
        bench.decide(kept, roots.line, "running.state_roots", "--root", root.display(), allowed.join(", "));
    }
}

/// The directory of who came by sudo lies two below the one that the policy names.
fn state_root(request: &Request) -> PathBuf {
    let root = request.state_root.as_path();
    let above = request.caller.as_ref().and_then(|_| root.parent()?.parent());
    above.unwrap_or(root).to_owned()
}

/// What each layer says of the door.
pub(super) fn doors(bench: &mut Bench<'_>) {
    let request = bench.request;
    let rules = &bench.layer.rules;
    if let Some(doors) = &rules.doors {
        let names: Vec<_> = doors.value.iter().map(|verb| verb.name()).collect();
        let name = request.verb.name();
        let kept = doors.value.contains(&request.verb);
        bench.decide(kept, doors.line, "doors", name, format!("the verb {name}"), names.join(", "));
    }
    if let Some(degraded) = rules.degraded.as_ref().filter(|degraded| !degraded.value) {
        for missing in &request.degraded {
            bench.refuse(
                degraded.line,
                "degraded",
                "degraded",
                missing,
                "nothing that this host cannot give",
            );
        }
    }
    if let Some((at, directory)) = rules.annotations.reports.as_ref().zip(request.report.as_ref()) {
        let (kept, field) = (at.value.cover(directory).is_some(), format!("/annotations/{REPORT}"));
        bench.decide(kept, at.line, "annotations.reports", field, directory.display(), &at.value);
    }
    if let Some(allow) = &rules.annotations.allow {
        let allowed = |name: &str| match request.has_unit && name.starts_with(PROPERTY_ANNOTATION) {
            // systemd obeys it, limits and all: a pattern for any annotation does not mean it. Where the
            // files of cgroupfs are written nobody does, and engines give some to every container.
            true => allow.value.hold_within(name, PROPERTY_ANNOTATION),
            false => allow.value.hold(name),
        };
        for name in request.annotations.keys() {
            let field = format!("/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
            let kept = allowed(name);
            bench.decide(kept, allow.line, "annotations.allow", field, name, &allow.value);
        }
    }
}
