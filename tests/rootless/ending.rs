//! Everything ends without a cgroup too: pid 1 of the sandbox ends with pinfold, and its pid
//! namespace with it (pid_namespaces(7)).

use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, left_in, processes_with, run, soon};

/// A program that leaves daemons: each sleeps for a time that no other test knows.
fn daemons(seconds: &str) -> String {
    format!(
        "setsid sleep {seconds} & (setsid sh -c 'sleep {seconds} & sleep {seconds}' &) ; trap '' TERM HUP INT; sleep {seconds}"
    )
}

/// A time to sleep for that is this test's own.
fn mark(number: u32) -> String {
    format!("{}.{number}", 100_000 + std::process::id())
}

fn start(mut command: std::process::Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_timeout_ends_every_daemon() {
    let place = Place::new("timeout");
    let mark = mark(1);
    let words = ["sandbox", "--timeout", "500ms", "--grace", "100ms", "--", "sh", "-c"].map(str::to_owned);
    let ran = run(place.pinfold(words.into_iter().chain([daemons(&mark)])));
    assert!(processes_with(&mark).is_empty(), "at once");
    ran.exits(124);
}

#[test]
fn kill_9_of_pinfold_ends_every_daemon() {
    let place = Place::new("killed");
    let mark = mark(2);
    let words = ["sandbox", "--", "sh", "-c"].map(str::to_owned);
    let mut child = start(place.pinfold(words.into_iter().chain([daemons(&mark)])));
    assert!(soon(|| processes_with(&mark).len() == 4), "the control: all of them run");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(soon(|| processes_with(&mark).is_empty()), "{:?}", processes_with(&mark));
}

#[test]
fn kill_9_of_the_caller_ends_every_daemon() {
    let place = Place::new("caller");
    let mark = mark(3);
    let mut shell = place.as_user("sh");
    // The shell waits for pinfold instead of becoming it.
    shell.args(["-c", "\"$PINFOLD\" sandbox -- sh -c \"$0\"; true", &daemons(&mark)]);
    let mut child = start(shell);
    assert!(soon(|| processes_with(&mark).len() == 4), "the control: all of them run");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    assert!(soon(|| processes_with(&mark).is_empty()), "{:?}", processes_with(&mark));
}

#[test]
fn a_launch_that_fails_leaves_nothing() {
    let place = Place::new("failed");
    for (words, code) in [(["--", "/no/such/program"], 127), (["--", "/etc/passwd"], 126)] {
        run(place.pinfold(["sandbox"].iter().chain(&words))).exits(code);
        assert!(left_in(place.path("run/pinfold")).is_empty());
    }
}
