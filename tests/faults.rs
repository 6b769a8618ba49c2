//! Promise: whichever system call of a launch fails, the launch ends in success with every control in force,
//! or in an error; never in a weaker container, and it leaves nothing.
//!
//! `tests/faults/inject.c` lets the N-th call of one process of a launch answer an errno instead of being
//! made, the child's calls included. What the program sees of its confinement is compared with a launch
//! without a fault. Some calls by default; PINFOLD_TEST_COUNT=10 takes each call with several errnos
//! (`make faults`), and the tables go to faults-VERB.tsv in cargo's directory for tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "faults/calls.rs"]
mod calls;
#[path = "faults/judge.rs"]
mod judge;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use calls::{Call, calls, injector, names};
use judge::{Outcome, normalised};
use serde_json::json;
use support::{Bundle, Dir, PINFOLD, Ran, count, run, start};

/// Name and number of each errno that a call may answer.
const ERRNOS: [(&str, i32); 6] = [
    ("ENOSYS", libc::ENOSYS),
    ("EPERM", libc::EPERM),
    ("ENOMEM", libc::ENOMEM),
    ("EINTR", libc::EINTR),
    ("ENOSPC", libc::ENOSPC),
    ("EMFILE", libc::EMFILE),
];
/// What no kernel answers an errno (getuid(2), getpid(2), gettid(2), umask(2): "always successful").
const CANNOT_FAIL: [libc::c_long; 8] = [
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_umask,
];
/// Faults per verb where nothing more is asked for.
const FEW: usize = 30;

/// What is tried: how a container comes to where the verb begins, and the verb.
struct Verb {
    name: &'static str,
    prepare: &'static [&'static [&'static str]],
    line: &'static [&'static str],
    /// The configuration has a user namespace.
    user_namespace: bool,
}

const RUN: Verb =
    Verb { name: "run", prepare: &[], line: &["run", "--bundle", "BUNDLE", "ID"], user_namespace: false };
const RUN_USER: Verb = Verb { name: "run-user", user_namespace: true, ..RUN };
const CREATE: Verb = Verb { name: "create", line: &["create", "--bundle", "BUNDLE", "ID"], ..RUN };
const START: Verb = Verb { name: "start", prepare: &[CREATE.line], line: &["start", "ID"], ..RUN };
const EXEC: Verb = Verb {
    name: "exec",
    prepare: &[&["create", "--bundle", "SLEEPING", "ID"], &["start", "ID"]],
    line: &["exec", "ID", "/bin/sh", "/probe"],
    ..RUN
};
const DELETE: Verb = Verb {
    name: "delete",
    prepare: &[&["create", "--bundle", "SLEEPING", "ID"], &["start", "ID"]],
    line: &["delete", "--force", "ID"],
    ..RUN
};
const SANDBOX: Verb = Verb {
    name: "sandbox",
    line: &["sandbox", "--strict", "--ro", "PROBE:/probe", "--", "sh", "/probe"],
    ..RUN
};

/// A directory with the bundles that every fault of a verb uses.
struct Place {
    dir: Dir,
    verb: &'static Verb,
    next: usize,
}

impl Place {
    fn new(verb: &'static Verb) -> Self {
        let dir = Dir::new();
        fs::write(dir.join("probe"), judge::PROBE).unwrap();
        for (name, args) in
            [("bundle", &["/bin/sh", "/probe"][..]), ("sleeping", &["/bin/sh", "-c", "sleep 1000"][..])]
        {
            let mut bundle = Bundle::new(&dir, name, args);
            fs::write(bundle.rootfs().join("probe"), judge::PROBE).unwrap();
            bundle.edit(|config| judge::confine(config, verb.user_namespace));
        }
        Self { dir, verb, next: 0 }
    }

    fn id(&self) -> String {
        self.dir.id(&self.next.to_string())
    }

    fn words(&self, line: &[&str]) -> Vec<String> {
        let word = |word: &&str| match *word {
            "BUNDLE" => self.dir.text("bundle"),
            "SLEEPING" => self.dir.text("sleeping"),
            "ID" => self.id(),
            word => word.replace("PROBE", &self.dir.text("probe")),
        };
        line.iter().map(word).collect()
    }

    fn pinfold(&self, line: &[&str]) -> Ran {
        let words = self.words(line);
        self.dir.pinfold(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The verb once, with what is injected; then its outcome, and that nothing is left.
    fn once(&mut self, what: &str, baseline: Option<&str>) -> (Outcome, String, Ran) {
        self.next += 1;
        for line in self.verb.prepare {
            self.pinfold(line).ok();
        }
        let log = self.dir.text("log");
        let mut command = Command::new(injector());
        command.args([what, &log, "--", support::PINFOLD, "--root"]).arg(self.dir.state_root());
        command.args(self.words(self.verb.line)).current_dir(self.dir.path());
        let ran = start(&mut command).wait_or_kill();
        let log = fs::read_to_string(&log).unwrap_or_default();
        let Some(mut ran) = ran else {
            self.end();
            return (Outcome::Hangs, log, judge::nothing());
        };
        // What the program of `create` and `start` prints comes to the file that create was given: its stdout.
        ran.out = normalised(&ran.out, &self.id());
        let outcome = Outcome::of(&ran, self.verb.name, baseline);
        let left = self.end();
        (left.map_or(outcome, Outcome::Leak), log, ran)
    }

    /// Ends what the verb left on purpose; what is left then is a leak.
    fn end(&self) -> Option<String> {
        let alive = ["create", "start", "exec", "delete"].contains(&self.verb.name);
        if !alive && let Some(processes) = self.dir.processes_left() {
            return Some(processes);
        }
        self.dir.pinfold(&["delete", "--force", &self.id()]);
        self.dir.pinfold(&["gc"]);
        self.dir.what_is_left()
    }
}

/// Every call with one errno, then with another; a few of them, evenly, without PINFOLD_TEST_COUNT.
fn faults(calls: &[Call]) -> Vec<(Call, (&'static str, i32))> {
    let all = calls.len() * ERRNOS.len();
    let wanted = (FEW * count() * count()).min(all);
    let step = (calls.len() / wanted).max(1);
    (0..wanted)
        .map(|turn| {
            let place = turn * step;
            let call = calls[place % calls.len()];
            (call, ERRNOS[(place / calls.len() + turn) % ERRNOS.len()])
        })
        .collect()
}

fn table(verb: &Verb, rows: &BTreeMap<(String, &str, &str), usize>) {
    let mut text = String::from("verb\tcall\terrno\toutcome\ttimes\n");
    for ((call, errno, outcome), times) in rows {
        writeln!(text, "{}\t{call}\t{errno}\t{outcome}\t{times}", verb.name).unwrap();
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}.tsv", verb.name));
    fs::write(path, text).unwrap();
}

fn each_call_fails(verb: &'static Verb) {
    let names = names();
    let mut place = Place::new(verb);
    let (outcome, log, ran) = place.once("list", None);
    assert_eq!(outcome, Outcome::Held, "without a fault: {ran:?}");
    let calls = calls(&log);
    assert!(calls.len() > 50, "only {} calls were seen", calls.len());
    let baseline = ran.out;
    let (mut rows, mut bad) = (BTreeMap::new(), vec![]);
    for (call, (errno, number)) in faults(&calls) {
        let what = format!("{}:{}:{number}", call.process, call.index);
        let (outcome, log, ran) = place.once(&what, Some(&baseline));
        // Not every launch makes the same calls: what counts is which one failed, if any.
        let Some(failed) = calls::calls(&log).pop() else { continue };
        if CANNOT_FAIL.contains(&libc::c_long::try_from(failed.number).unwrap()) {
            continue;
        }
        let name = names.get(&failed.number).cloned().unwrap_or_else(|| failed.number.to_string());
        *rows.entry((name.clone(), errno, outcome.name())).or_insert(0) += 1;
        if outcome.is_bad() {
            bad.push(format!("{what} {name} {errno}: {outcome:?}\n{}", ran.err));
        }
    }
    table(verb, &rows);
    let tried: usize = rows.values().sum();
    assert!(2 * tried > FEW, "only {tried} faults came to pass");
    assert!(bad.is_empty(), "{} of {}:\n{}", verb.name, rows.values().sum::<usize>(), bad.join("\n---\n"));
}

#[test]
fn a_run_is_confined_or_an_error_whichever_call_fails() {
    each_call_fails(&RUN);
}

#[test]
fn a_run_in_a_user_namespace_too() {
    each_call_fails(&RUN_USER);
}

#[test]
fn a_create_is_complete_or_an_error() {
    each_call_fails(&CREATE);
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    each_call_fails(&START);
}

#[test]
fn an_exec_is_as_confined_as_its_container_or_an_error() {
    each_call_fails(&EXEC);
}

#[test]
fn a_delete_that_failed_can_be_done_again() {
    each_call_fails(&DELETE);
}

#[test]
fn a_strict_sandbox_is_complete_or_an_error() {
    each_call_fails(&SANDBOX);
}

/// As on a kernel without it: an error, or a launch in which nothing is missing.
#[test]
fn a_kernel_that_lacks_a_call_is_an_error_not_a_weaker_container() {
    let calls = "openat2 open_tree move_mount fsopen fsmount mount_setattr clone3 close_range pidfd_open \
        pidfd_send_signal landlock_create_ruleset landlock_restrict_self seccomp statx execveat bpf keyctl";
    let names: BTreeMap<String, usize> = names().into_iter().map(|(number, name)| (name, number)).collect();
    let mut bad = vec![];
    for verb in [&RUN, &EXEC, &SANDBOX] {
        let mut place = Place::new(verb);
        let (_, _, baseline) = place.once("list", None);
        for call in calls.split_whitespace() {
            let what = format!("every:{}:{}", names[call], libc::ENOSYS);
            let (outcome, _, ran) = place.once(&what, Some(&baseline.out));
            if outcome.is_bad() {
                bad.push(format!("{} without {call}: {outcome:?}: {}", verb.name, ran.err));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// The judge notices what it is there for: a launch with less, and one that leaves a process.
#[test]
fn a_weaker_launch_and_a_leak_are_noticed() {
    let mut place = Place::new(&RUN);
    let (_, _, baseline) = place.once("list", None);
    for change in [
        ("/annotations", json!({})),
        ("/process/noNewPrivileges", json!(false)),
        ("/process/capabilities/bounding", json!(["CAP_SYS_ADMIN"])),
        ("/linux/resources/pids/limit", json!(1000)),
        ("/linux/seccomp", json!(null)),
        ("/root/readonly", json!(false)),
        ("/linux/maskedPaths", json!([])),
        ("/process/rlimits", json!([])),
        ("/hostname", json!("other")),
    ] {
        fs::remove_dir_all(place.dir.join("bundle")).unwrap();
        let mut weaker = Bundle::new(&place.dir, "bundle", &["/bin/sh", "/probe"]);
        fs::write(weaker.rootfs().join("probe"), judge::PROBE).unwrap();
        weaker.edit(|config| {
            judge::confine(config, false);
            // Landlock without no_new_privs is an error of its own.
            config["annotations"] = json!({});
            *config.pointer_mut(change.0).unwrap() = change.1.clone();
        });
        let (outcome, _, _) = place.once("list", Some(&baseline.out));
        assert!(matches!(outcome, Outcome::Weaker(_)), "{}: {outcome:?}", change.0);
    }
    let mut leak =
        Command::new("tail").args(["-f", &place.dir.text("probe")]).stdout(Stdio::null()).spawn().unwrap();
    let probe = place.dir.text("probe");
    support::await_that("it runs", || !support::processes_naming(&probe).is_empty());
    let noticed = place.dir.what_is_left();
    leak.kill().unwrap();
    leak.wait().unwrap();
    assert!(noticed.is_some_and(|left| left.contains("tail")));
}

/// Whoever enters a container has not paid for the start of libc before it is executed again: src/sys/entry.rs.
#[test]
fn the_own_binary_is_cloned_before_libc_starts() {
    const ENTRY: [&str; 6] = ["geteuid", "openat", "fstatfs", "open_tree", "mount_setattr", "execveat"];
    let dir = Dir::new();
    let names = names();
    let first = |line: &[&str]| {
        let log = dir.text("log");
        run(Command::new(injector()).args(["list", &log, "--", PINFOLD]).args(line));
        let calls = calls(&fs::read_to_string(log).unwrap());
        calls.iter().map(|call| names[&call.number].clone()).take(ENTRY.len()).collect::<Vec<_>>()
    };
    for line in [&["run", "x"][..], &["--root", "/nowhere", "create", "x"], &["exec", "x", "true"]] {
        assert_eq!(first(line), ENTRY, "{line:?}");
    }
    for line in [&["--version"][..], &["state", "x"], &["--root", "runs", "list"], &["sandbox", "--", "run"]]
    {
        assert!(!first(line).contains(&"open_tree".to_owned()), "{line:?}");
    }
}
