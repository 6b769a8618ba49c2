//! `[process]`, `[capabilities]`, `[rlimits]`, `[sysctls]`.

use std::path::Path;

use super::Bench;
use crate::draft::{Draft, Process};
use crate::policy::read::RLIMITS;
use crate::policy::request::odd;
use crate::policy::rules::{Caps, Key, Keyring};
use crate::sys::{ioprio, sched};

/// A working directory there would be a descriptor's, or a process's (CVE-2024-21626).
const NO_CWD: [&str; 3] = ["/proc", "/sys", "/dev"];

pub(super) fn process(bench: &mut Bench<'_>, draft: &Draft) {
    let rules = &bench.layer.rules.process;
    if let Some(most) = &rules.preserve_fds {
        let asked = bench.request.preserved_fds;
        let (kept, allowed) = (u64::from(asked) <= most.value, format!("at most {}", most.value));
        bench.decide(kept, most.line, "process.preserve_fds", "--preserve-fds", asked, allowed);
    }
    if let Some(at) = rules.keyring.as_ref().filter(|at| at.value == Keyring::Own) {
        let own = bench.request.own_keyring;
        let asked = if own { "one of its own" } else { "the caller's keyring" };
        bench.decide(own, at.line, "process.keyring", "--no-new-keyring", asked, "one of its own");
    }
    if let Some(at) = rules.personality.as_ref().filter(|_| draft.personality.unwrap_or(0) != 0) {
        let allowed = if at.value { "any" } else { "LINUX" };
        let field = "/linux/personality";
        bench.decide(at.value, at.line, "process.personality", field, "another domain", allowed);
    }
    let Some(process) = &draft.process else { return };
    if let Some(at) = &rules.no_new_privs {
        let (asked, kept) = (process.no_new_privs, process.no_new_privs || !at.value);
        bench.decide(kept, at.line, "process.no_new_privs", "/process/noNewPrivileges", asked, at.value);
    }
    let adj = process.oom_score_adj.map(i64::from);
    if let (Some(least), Some(adj)) = (&rules.oom_score_adj, adj) {
        let (kept, allowed) = (adj >= least.value, format!("at least {}", least.value));
        bench.decide(kept, least.line, "process.oom_score_adj", "/process/oomScoreAdj", adj, allowed);
    }
    labels(bench, process);
    priority(bench, process);
    environment(bench, process);
    cwd(bench, process);
    capabilities(bench, process);
    rlimits(bench, process);
}

/// A label may be a wider one than the caller's: only those that are listed may be asked for.
fn labels(bench: &mut Bench<'_>, process: &Process) {
    let rules = &bench.layer.rules.process;
    let asked = [
        ("/process/apparmorProfile", &process.labels.apparmor),
        ("/process/selinuxLabel", &process.labels.selinux),
    ];
    if let Some(names) = &rules.labels {
        for (field, label) in asked {
            if let Some(label) = label {
                let kept = names.value.hold(label);
                bench.decide(kept, names.line, "process.labels", field, label, &names.value);
            }
        }
    }
    if let Some(at) = rules.label_required.as_ref().filter(|at| at.value) {
        // By that name AppArmor confines nothing.
        let apparmor = process.labels.apparmor.as_deref().filter(|name| *name != "unconfined");
        let kept = apparmor.is_some() || process.labels.selinux.is_some();
        let (rule, field) = ("process.label_required", "/process/apparmorProfile");
        let told = if kept { "a label" } else { "no label" };
        bench.decide(kept, at.line, rule, field, told, "an AppArmor profile or SELinux label");
    }
}

fn priority(bench: &mut Bench<'_>, process: &Process) {
    let Some(at) = bench.layer.rules.process.priority.as_ref().filter(|at| !at.value) else { return };
    let urgent = |attr: &sched::SchedAttr| {
        !matches!(attr.policy, sched::SCHED_OTHER | sched::SCHED_BATCH | sched::SCHED_IDLE) || attr.nice < 0
    };
    if process.scheduling.attr.as_ref().is_some_and(urgent) {
        let asked = "a real-time policy or a nice value below 0";
        bench.refuse(at.line, "process.priority", "/process/scheduler", asked, "no priority over others");
    }
    if process.scheduling.io_priority.is_some_and(|(class, _)| class == ioprio::IOPRIO_CLASS_RT) {
        let field = "/process/ioPriority";
        bench.refuse(at.line, "process.priority", field, "the real-time class", "no priority over others");
    }
}

fn environment(bench: &mut Bench<'_>, process: &Process) {
    let Some(names) = &bench.layer.rules.process.environment else { return };
    for (index, entry) in process.env.iter().enumerate() {
        let text = entry.to_string_lossy();
        // The value may be a secret.
        let name = text.split('=').next().unwrap_or_default();
        let field = format!("/process/env/{index}");
        let kept = names.value.hold(name);
        bench.decide(kept, names.line, "process.environment", field, name, &names.value);
    }
}

fn cwd(bench: &mut Bench<'_>, process: &Process) {
    let Some(places) = &bench.layer.rules.process.cwd else { return };
    let cwd: &Path = &process.cwd;
    let kernel = NO_CWD.iter().any(|kept| cwd.starts_with(kept));
    let kept = !kernel && odd(cwd).is_none() && places.value.cover(cwd).is_some();
    let allowed = format!("{}; never /proc, /sys, /dev or a path with `..`", places.value);
    bench.decide(kept, places.line, "process.cwd", "/process/cwd", cwd.display(), allowed);
}

fn capabilities(bench: &mut Bench<'_>, process: &Process) {
    let rules = &bench.layer.rules.capabilities;
    set(
        bench,
        &rules.bounding,
        process.bounding,
        ("capabilities.bounding", "/process/capabilities/bounding"),
    );
    let caps = &process.caps;
    set(
        bench,
        &rules.effective,
        caps.effective,
        ("capabilities.effective", "/process/capabilities/effective"),
    );
    set(
        bench,
        &rules.permitted,
        caps.permitted,
        ("capabilities.permitted", "/process/capabilities/permitted"),
    );
    let names = ("capabilities.inheritable", "/process/capabilities/inheritable");
    set(bench, &rules.inheritable, caps.inheritable, names);
    set(bench, &rules.ambient, process.ambient, ("capabilities.ambient", "/process/capabilities/ambient"));
}

fn set(bench: &mut Bench<'_>, allowed: &Key<Caps>, asked: u64, (rule, field): (&'static str, &str)) {
    if let Some(allowed) = allowed {
        let beyond = asked & !allowed.value.0;
        let told = if beyond == 0 { asked } else { beyond };
        bench.decide(beyond == 0, allowed.line, rule, field, Caps(told), allowed.value);
    }
}

fn rlimits(bench: &mut Bench<'_>, process: &Process) {
    let rules = &bench.layer.rules.rlimits;
    let name =
        |resource: u32| RLIMITS.iter().find(|(_, number)| *number == resource).map_or("?", |(name, _)| *name);
    if let Some(max) = &rules.max {
        for (index, (resource, _, hard)) in process.rlimits.iter().enumerate() {
            let field = format!("/process/rlimits/{index}");
            let asked = format!("{} {hard}", name(*resource));
            let most = max.value.iter().find(|(known, _)| known == resource).and_then(|(_, most)| *most);
            if let Some(most) = most {
                bench.decide(*hard <= most, max.line, "rlimits.max", field, asked, format!("at most {most}"));
            }
        }
    }
    if let Some(required) = &rules.required {
        let is_set = |resource: &u32| process.rlimits.iter().any(|(set, ..)| set == resource);
        for resource in &required.value {
            let kept = is_set(resource);
            let asked = format!("{} {}", if kept { "with" } else { "without" }, name(*resource));
            bench.decide(kept, required.line, "rlimits.required", "/process/rlimits", asked, "set");
        }
    }
}

pub(super) fn sysctls(bench: &mut Bench<'_>, draft: &Draft) {
    let Some(allow) = &bench.layer.rules.sysctls else { return };
    for sysctl in &draft.sysctls {
        // What is written, not what it is called: both spellings come to one path.
        let path = sysctl.path.to_string_lossy();
        let name = path.strip_prefix("sys/").unwrap_or(&path).replace('/', ".");
        let kept = allow.value.hold(&name);
        bench.decide(kept, allow.line, "sysctls.allow", &sysctl.field, name, &allow.value);
    }
}
