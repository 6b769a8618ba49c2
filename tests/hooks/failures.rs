//! Hooks that fail, hang, or are interrupted.

use serde_json::{Value, json};

use crate::place::{AT_CREATE, KINDS, Place, hook};
use crate::support::{self, Bundle, await_that, run};

/// A failure of each kind, in each way: the words, what still runs, and that nothing is left.
#[test]
fn a_failure_ends_the_launch_and_the_poststop_hooks_run() {
    let long = json!({"path": "/bin/sh", "args": ["sh", "-c", "sleep 300"], "timeout": 1});
    let ways = [
        (
            json!({"path": "/bin/sh", "args": ["sh", "-c", "echo to out; echo to err >&2; exit 3"]}),
            "exit status 3, stdout: to out, stderr: to err",
        ),
        (json!({"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $$"]}), "signal: killed"),
        (json!({"path": "/no/such/hook"}), "No such file or directory"),
        (long, "hook ran past specified timeout"),
    ];
    for kind in KINDS.into_iter().filter(|kind| *kind != "poststop") {
        for (failing, words) in &ways {
            for verb in ["create", "run"] {
                one_failure(kind, failing, words, verb);
            }
        }
    }
}

#[track_caller]
fn one_failure(kind: &str, failing: &Value, words: &str, verb: &str) {
    let mut place = Place::new("echo program >>/tmp/log; sleep 100");
    let mut hooks = json!({
        "prestart": [hook(&place.say("prestart", "prestart"))],
        "poststop": [hook(&place.say("poststop", "poststop"))],
    });
    let first = hook(&place.say(kind, "before"));
    let after = hook(&place.say(kind, "after"));
    hooks[kind] = json!([first, failing, after]);
    place.set(hooks);
    let at_create = AT_CREATE.contains(&kind);
    let ran = match (verb, at_create) {
        ("run", _) => place.bundle.run(&place.dir, &place.id),
        (_, true) => place.create(),
        (_, false) => {
            place.create().ok();
            place.start()
        }
    };
    let case = format!("{kind} {words} {verb}");
    assert_eq!(ran.code(), 1, "{case}: {ran:?}");
    let name = format!("error running {kind} hook #1: ");
    assert!(ran.err.contains(&name) && ran.err.contains(words), "{case}: {ran:?}");
    assert!(!place.exists(), "{case}");
    let said = place.said();
    assert!(said.contains(&"before".to_owned()) && said.contains(&"poststop".to_owned()), "{case}: {said:?}");
    assert!(!said.contains(&"after".to_owned()), "{case}: {said:?}");
    assert!(kind == "poststart" || !said.contains(&"program".to_owned()), "{case}: {said:?}");
    place.dir.assert_nothing_left();
}

#[test]
fn a_poststop_hook_that_fails_is_a_warning() {
    let mut place = Place::new("exit 5");
    place.set(json!({"poststop": [hook("echo bad >&2; exit 1"), hook(&place.say("poststop", "second"))]}));
    let ran = place.bundle.run(&place.dir, &place.id);
    assert_eq!(ran.code(), 5, "{ran:?}");
    assert!(
        ran.err.contains("warning") && ran.err.contains("error running poststop hook #0: exit status 1"),
        "{ran:?}"
    );
    assert!(ran.err.contains("bad"), "{ran:?}");
    assert_eq!(place.said(), ["second"]);
    place.dir.assert_nothing_left();
}

/// What undoes the other hooks' work runs also when something else of the launch failed.
#[test]
fn a_launch_that_fails_later_runs_its_poststop_hooks() {
    let mut place = Place::new("true");
    let hooks = json!({"createRuntime": [hook(&place.say("", "made"))], "poststop": [hook(&place.say("", "unmade"))]});
    place.set(hooks);
    place.bundle.edit(|config| config["process"]["args"] = json!(["/no/such/program"]));
    assert_eq!(place.create().code(), 1);
    assert_eq!(place.said(), ["made", "unmade"]);
    // What is refused was never begun.
    place.bundle.edit(|config| config["linux"]["namespaces"] = json!([]));
    assert_eq!(place.create().code(), 1);
    assert_eq!(place.said(), ["made", "unmade"]);
    place.dir.assert_nothing_left();
}

#[test]
fn what_a_hook_may_not_say_is_refused_before_anything() {
    for (bad, words) in [
        (json!({"path": "bin/true"}), "/hooks/poststop/0/path"),
        (json!({"path": "/bin/true", "timeout": 0}), "/hooks/poststop/0/timeout"),
        (json!({"path": "/bin/true", "timeout": -3}), "/hooks/poststop/0/timeout"),
    ] {
        let mut place = Place::new("true");
        let first = hook(&place.say("", "never"));
        place.set(json!({"poststop": [bad], "createRuntime": [first]}));
        let ran = place.create();
        assert!(ran.code() == 1 && ran.err.contains(words), "{ran:?}");
        assert!(place.said().is_empty() && !place.exists());
        place.dir.assert_nothing_left();
    }
}

/// kill -9 of pinfold while a hook runs: the hook ends with it, and gc runs the poststop hooks.
#[test]
fn a_killed_create_leaves_no_hook_and_gc_finishes_it() {
    for kind in ["createRuntime", "createContainer"] {
        let mut place = Place::new("sleep 100");
        let mark = place.dir.id("mark");
        let hanging = hook(&format!("exec sh -c 'sleep 100; : {mark}'"));
        place.set(json!({kind: [hanging], "poststop": [hook(&place.say("", "gone"))]}));
        let create =
            support::start(&mut place.dir.command(&["create", "--bundle", place.bundle.text(), &place.id]));
        await_that("the hook runs", || !support::processes_naming(&mark).is_empty());
        let pid = nix::unistd::Pid::from_raw(i32::try_from(create.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        assert!(create.wait().status.code().is_none());
        await_that("the hook ends", || support::processes_naming(&mark).is_empty());
        // Another launch leaves its hooks alone; gc runs them.
        let other = Bundle::new(&place.dir, "other", &["/bin/true"]);
        other.run(&place.dir, &place.dir.id("other")).ok();
        assert!(place.said().is_empty(), "{kind}");
        let gc = run(&mut place.dir.command(&["gc"]));
        assert_eq!(gc.ok(), "removed 1\n", "{kind}");
        assert_eq!(place.said(), ["gone"], "{kind}");
        place.dir.assert_nothing_left();
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_hook() {
    for kind in AT_CREATE {
        let mut place = Place::new("sleep 100");
        let mark = place.dir.id("mark");
        let hanging = hook(&format!("trap '' TERM; sh -c 'sleep 100; : {mark}'; sleep 100"));
        place.set(json!({kind: [hanging], "poststop": [hook(&place.say("", "gone"))]}));
        let running =
            support::start(&mut place.dir.command(&["run", "--bundle", place.bundle.text(), &place.id]));
        await_that("the hook runs", || !support::processes_naming(&mark).is_empty());
        let pid = nix::unistd::Pid::from_raw(i32::try_from(running.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let ran = running.wait();
        assert_eq!(ran.code(), 1, "{kind}: {ran:?}");
        assert_eq!(place.said(), ["gone"], "{kind}");
        place.dir.assert_nothing_left();
    }
}
