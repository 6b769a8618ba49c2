//! `process` beside ids and capabilities, and what it brings from the caller.

use super::Severity::{Low, Medium, Note};
use super::{Bench, Rule, rule};
use crate::draft::Process;
use crate::sys::ioprio::IOPRIO_CLASS_RT;

pub(super) const RULES: &[&Rule] =
    &[&NO_NEW_PRIVS, &SECRET, &LOADER, &LSM_ABSENT, &LSM_OFF, &OOM_SCORE, &PRIORITY, &PERSONALITY, &CWD];

const NO_NEW_PRIVS: Rule = rule(
    "process.no_new_privs",
    Medium,
    Low,
    "setuid files give privileges",
    "set process.noNewPrivileges to true",
);
const SECRET: Rule = rule(
    "process.secret",
    Medium,
    Medium,
    "a secret in the environment",
    "hand it over as a file: the environment is in config.json, in /proc/PID/environ, and in every child",
);
const LOADER: Rule = rule(
    "process.loader",
    Low,
    Low,
    "the loader is told what to load",
    "leave LD_PRELOAD, LD_LIBRARY_PATH and LD_AUDIT out of process.env",
);
const LSM_ABSENT: Rule = rule(
    "process.lsm",
    Note,
    Note,
    "neither an AppArmor profile nor an SELinux label",
    "set process.apparmorProfile or process.selinuxLabel where the host and the runtime have one",
);
const LSM_OFF: Rule = rule(
    "process.lsm_off",
    Medium,
    Low,
    "the mandatory access control is off",
    "name a profile that confines the program, not `unconfined` or spc_t",
);
const OOM_SCORE: Rule = rule(
    "process.oom_score",
    Medium,
    Medium,
    "the host's processes are killed before the program",
    "leave out process.oomScoreAdj, or set it to 0 or above",
);
const PRIORITY: Rule = rule(
    "process.priority",
    Medium,
    Medium,
    "the program goes before the host's",
    "leave out process.scheduler and process.ioPriority of a real-time class",
);
const PERSONALITY: Rule = rule(
    "process.personality",
    Note,
    Note,
    "another execution domain",
    "leave out linux.personality unless the program is for 32 bits",
);
const CWD: Rule = rule(
    "process.cwd",
    Medium,
    Low,
    "the working directory is a descriptor or a process",
    "name a directory of the root: /proc/self/fd/N was the host's (CVE-2024-21626)",
);

/// Parts of a name that stands for a secret, whole words of it.
const SECRET_WORDS: &[&str] =
    &["TOKEN", "PASSWORD", "PASSWD", "SECRET", "APIKEY", "CREDENTIAL", "CREDENTIALS", "PASSPHRASE", "PAT"];
/// And pairs of words.
const SECRET_PAIRS: &[(&str, &str)] =
    &[("API", "KEY"), ("ACCESS", "KEY"), ("PRIVATE", "KEY"), ("AUTH", "KEY"), ("ENCRYPTION", "KEY")];
const LOADER_NAMES: &[&str] = &["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"];

pub(super) fn process(bench: &mut Bench<'_>) {
    if let Some(domain) = bench.subject.draft.personality.filter(|domain| *domain != 0) {
        let text = format!("execution domain {domain} (personality(2))");
        bench.find(&PERSONALITY, "/linux/personality", text);
    }
    let Some(process) = &bench.subject.draft.process else { return };
    if !process.no_new_privs {
        let text = "a setuid file, or one with capabilities, gives the program more than it has";
        bench.find(&NO_NEW_PRIVS, "/process/noNewPrivileges", text);
    }
    if process.cwd.starts_with("/proc") {
        let text = format!("{} is looked up through procfs", process.cwd.display());
        bench.find(&CWD, "/process/cwd", text);
    }
    environment(bench, process);
    mandatory(bench);
    before_the_host(bench, process);
}

fn environment(bench: &mut Bench<'_>, process: &Process) {
    for (index, entry) in process.env.iter().enumerate() {
        let entry = entry.to_string_lossy();
        let Some((name, value)) = entry.split_once('=') else { continue };
        let field = format!("/process/env/{index}");
        if is_secret(name) && !value.is_empty() {
            // The value stays untold.
            bench.find(&SECRET, field, format!("{name} has a value"));
        } else if LOADER_NAMES.contains(&name) {
            bench.find(&LOADER, field, format!("{name} is set for every program"));
        }
    }
}

fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let words: Vec<_> = upper.split(['_', '-', '.']).collect();
    // A file that holds the secret is where it belongs.
    let points = matches!(words.last(), Some(&("FILE" | "PATH" | "DIR" | "URL")));
    let pair = |pair: &[&str]| matches!(pair, [one, other] if SECRET_PAIRS.contains(&(*one, *other)));
    !points && (words.iter().any(|word| SECRET_WORDS.contains(word)) || words.windows(2).any(pair))
}

fn mandatory(bench: &mut Bench<'_>) {
    let Some(process) = bench.subject.spec.process() else { return };
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (profile, label) = (named(process.apparmor_profile()), named(process.selinux_label()));
    if profile.is_none() && label.is_none() {
        bench.find(&LSM_ABSENT, "/process", "one wall less beside namespaces and the filter");
    }
    if profile.as_deref() == Some("unconfined") {
        bench.find(&LSM_OFF, "/process/apparmorProfile", "AppArmor's profile is `unconfined`");
    }
    if label.is_some_and(|label| ["spc_t", "unconfined_t"].iter().any(|kind| label.contains(kind))) {
        bench.find(&LSM_OFF, "/process/selinuxLabel", "SELinux's type confines nothing");
    }
}

fn before_the_host(bench: &mut Bench<'_>, process: &Process) {
    if let Some(score) = process.oom_score_adj.filter(|score| *score < 0) {
        let text = format!("{score}: the kernel chooses another victim");
        bench.find(&OOM_SCORE, "/process/oomScoreAdj", text);
    }
    let policy = process.scheduling.attr.as_ref().map(|attr| attr.policy);
    // sched(7): FIFO, RR, DEADLINE.
    if policy.is_some_and(|policy| matches!(policy, 1 | 2 | 6)) {
        let text = "a real-time program takes a CPU from everyone";
        bench.find(&PRIORITY, "/process/scheduler", text);
    }
    if process.scheduling.io_priority.is_some_and(|(class, _)| class == IOPRIO_CLASS_RT) {
        bench.find(&PRIORITY, "/process/ioPriority", "its disk access goes before everyone's");
    }
}
