//! Promise: everything ends. After a timeout, a crash, kill -9 of the caller or of pinfold, no
//! process survives; what is left of it is swept by the next launch or by `gc`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod launching;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use launching::{
    DEADLINE, GONE_WITHIN, Place, Random, Running, alive, assert_gone, bundle, cgroups_named, count, inside,
    kill, mark, pid_of, within,
};

/// A tree that does not want to end: own sessions, orphans, ignored signals, a stopped process.
const STUBBORN: &str = "trap '' TERM INT HUP; setsid sleep 60 & (setsid sh -c 'sleep 60 & sleep 60' &) & \
                        sh -c 'kill -STOP $$' & echo up; sleep 60; sleep 60";

fn marked(mark: &str) -> String {
    format!("MARK={mark}")
}

#[test]
fn a_timeout_ends_every_kind_of_tree() {
    let rows = [
        ("one process", "echo up; exec sleep 60"),
        ("own session", "setsid sleep 60 & echo up; wait"),
        (
            "daemon",
            "(setsid sh -c 'sleep 60 & exec sleep 60' </dev/null >/dev/null 2>&1 &); echo up; sleep 60",
        ),
        ("all of it, ignoring signals", STUBBORN),
        ("clean environment and own name", "env -i sh -c 'echo up; exec sleep 60'"),
    ];
    for (name, script) in rows {
        let place = Place::new();
        let mark = mark();
        let options = ["-e", &marked(&mark), "--timeout", "400ms", "--grace", "100ms"];
        let ran = place.script(&options, &format!("{script}; : {mark}"));
        ran.expect(124, "timeout");
        assert_eq!(ran.stdout, "up\n", "{name}: {ran:?}");
        assert!(
            ran.wall >= Duration::from_millis(400) && ran.wall < Duration::from_secs(6),
            "{name}: {ran:?}"
        );
        assert!(alive(&mark).is_empty(), "{name}: {:?}", alive(&mark));
        let cgroup =
            ran.report["controls"]["cgroup"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        assert_eq!(cgroups_named(&[cgroup]), Vec::<std::path::PathBuf>::new(), "{name}");
        assert_eq!(place.entries(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn grace_is_time_for_the_handler_of_sigterm() {
    let script =
        "trap 'sleep 0.2; echo handled; exit 7' TERM; echo up; for i in $(seq 300); do sleep 0.1; done";
    let place = Place::new();
    let ran = place.script(&["--timeout", "300ms", "--grace", "20s"], script);
    ran.expect(124, "timeout");
    assert_eq!(ran.stdout, "up\nhandled\n");
    assert_eq!(ran.report["outcome"]["exit_code"], 7);
    assert!(ran.wall < Duration::from_secs(10), "the grace was waited for in full: {ran:?}");

    let ran = place.script(&["--timeout", "300ms", "--grace", "1ms"], script);
    ran.expect(124, "timeout");
    assert_eq!(ran.stdout, "up\n", "there was no time for it");
}

#[test]
fn without_grace_the_timeout_kills_at_once() {
    let script = "trap 'echo handled; exit 7' TERM; echo up; for i in $(seq 300); do sleep 0.1; done";
    let ran = Place::new().script(&["--timeout", "300ms"], script);
    ran.expect(124, "timeout");
    assert_eq!(ran.stdout, "up\n");
}

#[test]
fn kill_9_of_pinfold_at_any_moment_leaves_no_process_and_gc_sweeps_the_rest() {
    let place = Place::new();
    let mut random = Random::new();
    let mut left_behind: Vec<String> = vec![];
    for round in 0..count(20) {
        let mark = mark();
        let command = place.sandbox(&["-e", &marked(&mark)], &["/bin/sh", "-c", STUBBORN]);
        let mut running = place.start(command);
        if round % 5 == 4 {
            assert!(within(DEADLINE, || inside(&mark).len() > 4), "round {round}: the tree never came up");
        } else {
            std::thread::sleep(Duration::from_micros(random.below(40_000)));
        }
        running.kill_9();
        assert_gone(&mark, &format!("round {round}, pinfold killed"));
        left_behind.extend(place.entries());
    }
    left_behind.sort_unstable();
    left_behind.dedup();
    let entries = place.entries();
    assert!(!entries.is_empty(), "a killed pinfold leaves an entry, or this test shows nothing");
    assert!(!cgroups_named(&left_behind).is_empty(), "and a cgroup");

    let listed = place.finish(place.pinfold(&["list"]));
    assert_eq!(listed.code(), Some(0), "{listed:?}");
    assert_eq!(place.entries().len(), entries.len(), "list only looks");

    assert_eq!(swept(&place), entries.len());
    assert_eq!(cgroups_named(&left_behind), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_next_launch_sweeps_too_and_leaves_the_living_alone() {
    let place = Place::new();
    let (dead, living) = (mark(), mark());
    let mut killed = place.start(place.sandbox(&["-e", &marked(&dead)], &["sleep", "60"]));
    assert!(within(DEADLINE, || !inside(&dead).is_empty()));
    let other = place.start(place.sandbox(&["-e", &marked(&living), "--timeout", "20s"], &["sleep", "60"]));
    assert!(within(DEADLINE, || !inside(&living).is_empty()));
    let mut ids = place.entries();
    assert_eq!(ids.len(), 2);
    killed.kill_9();
    assert_gone(&dead, "pinfold killed");

    place.script(&[], "true").expect_success();
    let kept = place.entries();
    assert_eq!(kept.len(), 1);
    assert!(!inside(&living).is_empty() && !cgroups_named(&kept).is_empty(), "the living one was swept");
    ids.retain(|id| !kept.contains(id));
    assert_eq!(cgroups_named(&ids), Vec::<std::path::PathBuf>::new());
    kill(other.pid(), libc::SIGTERM);
    place.wait(other).expect(143, "killed");
    assert_eq!(place.entries(), Vec::<String>::new());
}

/// A shell that starts pinfold and waits for it.
fn started_by_a_shell(mut pinfold: Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "\"$@\"; true", "sh"]).arg(pinfold.get_program()).args(pinfold.get_args());
    shell.current_dir(pinfold.get_current_dir().unwrap());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    pinfold.stdin(Stdio::null());
    shell
}

#[test]
fn the_callers_death_ends_the_sandbox() {
    let place = Place::new();
    let mark = mark();
    let command = started_by_a_shell(place.sandbox(&["-e", &marked(&mark)], &["/bin/sh", "-c", STUBBORN]));
    let mut caller = place.start(command);
    assert!(within(DEADLINE, || inside(&mark).len() > 4), "the tree never came up");
    caller.kill_9();
    assert_gone(&mark, "the caller was killed");
    assert_eq!(place.entries(), Vec::<String>::new(), "pinfold itself outlives its caller, and cleans up");
    assert_eq!(caller.report()["outcome"]["kind"], "caller_died");
}

#[test]
fn a_signal_to_pinfold_reaches_the_program() {
    let place = Place::new();
    let rows = [
        (
            "trap 'echo got; exit 9' TERM; echo up; for i in $(seq 300); do sleep 0.1; done",
            libc::SIGTERM,
            9,
            "exited",
        ),
        (
            "trap 'echo got; exit 8' USR1; echo up; for i in $(seq 300); do sleep 0.1; done",
            libc::SIGUSR1,
            8,
            "exited",
        ),
        ("echo up; exec sleep 60", libc::SIGTERM, 143, "killed"),
        ("echo up; exec sleep 60", libc::SIGINT, 130, "killed"),
        ("echo up; exec sleep 60", libc::SIGHUP, 129, "killed"),
    ];
    for (script, signal, code, kind) in rows {
        let mark = mark();
        let running = place.start(
            place.sandbox(&["-e", &marked(&mark)], &["/bin/sh", "-c", &format!("touch /tmp/up; {script}")]),
        );
        assert!(within(DEADLINE, || inside(&mark)
            .iter()
            .any(|pid| { std::fs::metadata(format!("/proc/{pid}/root/tmp/up")).is_ok() })));
        // From the file to the trap or the exec is a moment more.
        std::thread::sleep(Duration::from_millis(200));
        kill(running.pid(), signal);
        let ran = place.wait(running);
        ran.expect(code, kind);
        assert_eq!(ran.stdout, if kind == "exited" { "up\ngot\n" } else { "up\n" });
        assert!(alive(&mark).is_empty());
    }
}

#[test]
fn the_programs_own_end_is_told_as_it_was() {
    let place = Place::new();
    let rows = [
        ("exit 0", 0, "exited"),
        ("exit 3", 3, "exited"),
        ("exit 255", 255, "exited"),
        ("exit 137", 137, "exited"),
        ("exit 124", 124, "exited"),
        ("kill -TERM $$", 143, "signaled"),
        ("kill -SEGV $$", 139, "signaled"),
        ("kill -KILL $$", 137, "signaled"),
    ];
    for (script, code, kind) in rows {
        let ran = place.script(&[], script);
        ran.expect(code, kind);
        let (exit_code, signal) = (&ran.report["outcome"]["exit_code"], &ran.report["outcome"]["signal"]);
        match kind {
            "exited" => assert!(*exit_code == code && signal.is_null(), "{script}: {ran:?}"),
            _ => assert!(*signal == code - 128 && exit_code.is_null(), "{script}: {ran:?}"),
        }
    }
    place.finish(place.sandbox(&[], &["no-such-program"])).expect(127, "exec_not_found");
    place.finish(place.sandbox(&[], &["/etc/passwd"])).expect(126, "exec_not_executable");
}

#[test]
fn the_init_reaps_orphans() {
    let place = Place::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.05 & ) ; done; sleep 0.6; \
                  echo zombies: $(grep -l 'State:.Z' /proc/[0-9]*/status | wc -l)";
    let ran = place.script(&[], script);
    ran.expect_success();
    assert_eq!(ran.stdout, "zombies: 0\n");
}

#[test]
fn stdin_and_its_end_reach_the_program() {
    let place = Place::new();
    let mut command = place.sandbox(&[], &["/bin/sh", "-c", "cat; echo end"]);
    command.stdin(Stdio::piped());
    let mut running = place.start(command);
    running.feed("one\ntwo\n");
    let ran = place.wait(running);
    ran.expect_success();
    assert_eq!(ran.stdout, "one\ntwo\nend\n");
}

#[test]
fn a_daemon_that_holds_the_output_open_does_not_hold_pinfold() {
    let place = Place::new();
    for options in [&[][..], &["--stdout-max", "1m", "--stderr-max", "1m"]] {
        let mark = mark();
        let env = marked(&mark);
        let options = [options, &["-e", &env]].concat();
        let ran = place.script(&options, "(setsid sleep 60 &); echo done");
        ran.expect_success();
        assert_eq!(ran.stdout, "done\n");
        assert!(ran.wall < Duration::from_secs(6), "{ran:?}");
        assert!(alive(&mark).is_empty(), "{options:?}");
    }
}

/// An OCI container in the foreground: up, with the mark in its command line.
fn oci_run(place: &Place, script: &str) -> (Command, String) {
    let mark = mark();
    let bundle = bundle(place, &["/bin/sh", "-c", script, &mark]);
    (place.pinfold(&["run", "--bundle", bundle.to_str().unwrap(), &mark]), mark)
}

/// How many entries `gc` removed until none was left. What is ending has no command line any more, by which it would be
/// found, and may live a moment longer: then a sweep leaves its entry to the next one.
#[track_caller]
fn swept(place: &Place) -> usize {
    let mut removed = 0;
    let all = within(GONE_WITHIN, || {
        let ran = place.finish(place.pinfold(&["gc"]));
        let number =
            ran.stdout.trim().strip_prefix("removed ").and_then(|number| number.parse::<usize>().ok());
        removed += number.filter(|_| ran.code() == Some(0)).unwrap_or_else(|| panic!("{ran:?}"));
        place.entries().is_empty()
    });
    assert!(all, "not swept: {:?}", place.entries());
    removed
}

#[test]
fn kill_9_of_pinfold_run_ends_its_container() {
    let place = Place::new();
    let (command, mark) = oci_run(&place, "setsid sleep 60 & sleep 60; exit");
    let mut running = place.start(command);
    assert!(within(DEADLINE, || !inside(&mark).is_empty()), "the container never came up");
    std::thread::sleep(Duration::from_millis(200));
    running.kill_9();
    assert_gone(&mark, "pinfold run killed");
    assert_eq!(swept(&place), 1);
    assert_eq!(cgroups_named(&[mark]), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_callers_death_ends_pinfold_run() {
    let place = Place::new();
    let (command, mark) = oci_run(&place, "sleep 60; exit");
    let mut caller = place.start(started_by_a_shell(command));
    assert!(within(DEADLINE, || !inside(&mark).is_empty()), "the container never came up");
    kill(pid_of(&caller.child), libc::SIGKILL);
    caller.child.wait().unwrap();
    assert_gone(&mark, "the caller was killed");
    assert!(within(GONE_WITHIN, || place.entries().is_empty()));
}

/// Takes back every PDEATHSIG (prctl(2), by number: nothing of libc's is in the way) and
/// leaves processes in sessions of their own.
const FAITHLESS: &str = "$| = 1; syscall(157, 1, 0, 0, 0, 0); my $mark = shift; \
    for (1 .. 3) { next if fork; syscall(112); syscall(157, 1, 0, 0, 0, 0); exec 'sleep', '61' if $_ == 1; sleep 60; exit } \
    print qq(up $mark\n); sleep 60";

/// Its container in the foreground, where the program has no libc of another number.
fn faithless(place: &Place, change: impl FnOnce(&mut serde_json::Value)) -> (Command, String) {
    let mark = mark();
    let bundle = bundle(place, &["/usr/bin/perl", "-e", FAITHLESS, &mark]);
    let config = bundle.join("config.json");
    let mut document = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    change(&mut document);
    std::fs::write(&config, document.to_string()).unwrap();
    let mut command = place.pinfold(&["run", "--bundle", bundle.to_str().unwrap(), &mark]);
    command.process_group(0);
    (command, mark)
}

fn until_up(running: &mut Running, mark: &str) {
    let mut line = String::new();
    BufReader::new(running.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("up {mark}\n"), "the container never came up");
}

/// The host's own pid namespace: nothing but the cgroup tells the container's processes.
fn share_pids(config: &mut serde_json::Value) {
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["type"] != "proc");
    config["linux"]["maskedPaths"] = serde_json::json!([]);
    config["linux"]["readonlyPaths"] = serde_json::json!([]);
}

type Change = fn(&mut serde_json::Value);
type Strike = fn(i32);
type Edit<'a> = &'a dyn Fn(&mut serde_json::Value);

#[test]
fn a_container_cannot_outlive_kill_9_of_pinfold_run_by_clearing_its_death_signal() {
    if cfg!(not(target_arch = "x86_64")) {
        panic!("the script knows the numbers of x86_64 alone");
    }
    let rows: [(&str, Change, Strike); 4] = [
        ("pinfold alone", |_| (), |pid| kill(pid, libc::SIGKILL)),
        ("its process group", |_| (), |pid| kill_group(pid, libc::SIGKILL)),
        ("shared pids", share_pids, |pid| kill(pid, libc::SIGKILL)),
        ("shared pids, its process group", share_pids, |pid| kill_group(pid, libc::SIGKILL)),
    ];
    for (name, change, strike) in rows {
        let place = Place::new();
        let (command, mark) = faithless(&place, change);
        let mut running = place.start(command);
        until_up(&mut running, &mark);
        strike(running.pid());
        running.child.wait().unwrap();
        assert_gone(&mark, name);
        assert!(within(GONE_WITHIN, || processes_of(&mark).is_empty()), "{name}");
        assert_eq!(swept(&place), 1, "{name}");
    }
}

fn kill_group(pid: i32, signal: i32) {
    assert!(pid > 1);
    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// What the container's cgroup holds: `sleep` has lost the mark with its command line.
fn processes_of(id: &str) -> Vec<String> {
    let groups = cgroups_named(&[id.to_owned()]);
    let lists = groups.iter().map(|group| std::fs::read_to_string(group.join("cgroup.procs")));
    lists.flat_map(|list| list.unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn a_frozen_container_ends_with_pinfold_run_too() {
    let place = Place::new();
    let (command, mark) = faithless(&place, |_| ());
    let mut running = place.start(command);
    until_up(&mut running, &mark);
    let paused = place.finish(place.pinfold(&["pause", &mark]));
    assert_eq!(paused.code(), Some(0), "{paused:?}");
    for group in cgroups_named(std::slice::from_ref(&mark)) {
        // Of v1, which other software may have used: only there a killed process stays frozen.
        if group.starts_with("/sys/fs/cgroup/freezer") {
            std::fs::write(group.join("freezer.state"), "FROZEN").unwrap();
        }
    }
    running.kill_9();
    assert_gone(&mark, "frozen");
    assert!(within(GONE_WITHIN, || processes_of(&mark).is_empty()));
}

#[test]
fn kill_9_of_pinfold_run_at_any_moment_leaves_no_process() {
    let mut random = Random::new();
    for round in 0..count(20) {
        let place = Place::new();
        let (command, mark) = faithless(&place, |config| {
            if round % 2 == 1 {
                share_pids(config);
            }
        });
        let mut running = place.start(command);
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        running.kill_9();
        assert_gone(&mark, &format!("round {round}"));
        assert!(within(GONE_WITHIN, || processes_of(&mark).is_empty()), "round {round}");
        swept(&place);
    }
}

#[test]
fn a_signal_to_the_process_group_of_pinfold_run_is_the_programs() {
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130), (libc::SIGHUP, 129)] {
        let place = Place::new();
        let (command, mark) = faithless(&place, |config| {
            let script = format!(
                "kill -0 $$; echo up {}; exec sleep 60",
                config["process"]["args"][3].as_str().unwrap()
            );
            config["process"]["args"] = serde_json::json!([
                "/bin/sh",
                "-c",
                format!("trap 'exit {code}' TERM INT HUP; {script} & wait")
            ]);
        });
        let mut running = place.start(command);
        until_up(&mut running, &mark);
        kill_group(running.pid(), signal);
        let ran = place.wait(running);
        assert_eq!(ran.code(), Some(code), "{ran:?}");
        assert!(alive(&mark).is_empty(), "signal {signal}: {:?}", alive(&mark));
    }
}

#[test]
fn no_process_of_pinfolds_own_outlives_pinfold_run() {
    let script = |config: &mut serde_json::Value, script: &str| {
        config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", script]);
    };
    let rows: [(&str, Edit<'_>, i32); 5] = [
        ("success", &|config| script(config, "exit 0"), 0),
        ("failure", &|config| script(config, "exit 3"), 3),
        (
            "killed",
            &|config| {
                share_pids(config);
                script(config, "kill -9 $$");
            },
            137,
        ),
        ("no program", &|config| config["process"]["args"] = serde_json::json!(["no-such-program"]), 1),
        ("a mount that fails", &|config| config["mounts"][0]["type"] = "no-such-filesystem".into(), 1),
    ];
    for (name, change, code) in rows {
        let place = Place::new();
        let (command, mark) = faithless(&place, change);
        let running = place.start(command);
        let pid = running.pid();
        let ran = place.wait(running);
        assert_eq!(ran.code(), Some(code), "{name}: {ran:?}");
        // It carries pinfold's own command line, and it is of pinfold's process group until it leaves it.
        assert_eq!(alive(&mark), Vec::<i32>::new(), "{name}");
        assert!(nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), None).is_err(), "{name}");
        assert_eq!(place.entries(), Vec::<String>::new(), "{name}");
        assert_eq!(cgroups_named(&[mark]), Vec::<std::path::PathBuf>::new(), "{name}");
    }
}

#[test]
fn a_joined_pid_namespace_holds_nothing_of_pinfolds_own() {
    let (first, second) = (Place::new(), Place::new());
    let (command, owner) = faithless(&first, |_| ());
    let mut owning = first.start(command);
    until_up(&mut owning, &owner);
    let state = first.finish(first.pinfold(&["state", &owner]));
    let state: serde_json::Value = serde_json::from_str(&state.stdout).unwrap();
    let namespace = format!("/proc/{}/ns/pid", state["pid"]);
    let (command, guest) = faithless(&second, |config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        let pid = namespaces.iter_mut().find(|each| each["type"] == "pid").unwrap();
        pid["path"] = namespace.as_str().into();
    });
    let mut running = second.start(command);
    until_up(&mut running, &guest);
    let own = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "pinfold-watcher\n")
    };
    let watchers: Vec<i32> = alive(&guest).into_iter().filter(own).collect();
    assert_eq!(watchers.len(), 1, "{:?}", alive(&guest));
    assert_eq!(inside(&guest).iter().filter(|pid| watchers.contains(pid)).count(), 0, "it was born inside");
    running.kill_9();
    assert_gone(&guest, "the guest");
    assert!(within(GONE_WITHIN, || processes_of(&guest).is_empty()));
    assert!(!inside(&owner).is_empty(), "the owner of the namespace was killed too");
    owning.kill_9();
    assert_gone(&owner, "the owner");
}
