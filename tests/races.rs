//! Promise: verbs that meet on one container leave it in one of its states, and nothing beside it.
//! One of them wins; the others say why they did not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Bundle, Dir, Ran, Running, await_that, count, run, start};

/// Starts all lines at once and waits for them.
fn at_once(dir: &Dir, lines: &[Vec<&str>]) -> Vec<Ran> {
    let running: Vec<_> = lines.iter().map(|line| start(&mut dir.command(line))).collect();
    running.into_iter().map(Running::wait).collect()
}

/// Ended by itself, with a code of its own and, if it failed, one line about it.
#[track_caller]
fn sound(ran: &Ran) {
    assert!([0, 1, 255].contains(&ran.code()), "{ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    assert_eq!(ran.code() == 0, !ran.err.contains("error"), "{ran:?}");
}

fn state(dir: &Dir, id: &str) -> Value {
    serde_json::from_str(dir.pinfold(&["state", id]).ok()).unwrap()
}

#[test]
fn of_many_starts_exactly_one_wins() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "echo once >>/tmp/started; sleep 100");
    let id = dir.id("starts");
    for _ in 0..3 * count() {
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        let all = at_once(&dir, &vec![vec!["start", id.as_str()]; 6]);
        all.iter().for_each(sound);
        assert_eq!(all.iter().filter(|ran| ran.code() == 0).count(), 1, "{all:?}");
        for lost in all.iter().filter(|ran| ran.code() != 0) {
            assert!(lost.err.contains("cannot start an already running container"), "{lost:?}");
        }
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

#[test]
fn a_delete_during_start_leaves_nothing() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("delete");
    for round in 0..6 * count() {
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        let mut lines = vec![vec!["start", &id], vec!["delete", "--force", &id], vec!["state", &id]];
        lines.rotate_left(round % 3);
        at_once(&dir, &lines).iter().for_each(sound);
        dir.pinfold(&["delete", "--force", &id]).ok();
        assert_eq!(dir.pinfold(&["list", "-q"]).ok(), "");
    }
    dir.assert_nothing_left();
}

#[test]
fn a_kill_or_delete_during_create_is_answered() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("kill");
    for round in 0..8 * count() {
        let creating = start(&mut dir.command(&["create", "--bundle", bundle.text(), &id]));
        std::thread::sleep(Duration::from_millis(u64::try_from(round % 8).unwrap() * 3));
        let lines = [
            vec!["kill", &id, "KILL"],
            vec!["state", &id],
            vec!["exec", &id, "true"],
            vec!["delete", "-f", &id],
        ];
        let others = at_once(&dir, &lines[..3 + round % 2]);
        others.iter().for_each(sound);
        sound(&creating.wait());
        dir.pinfold(&["delete", "--force", &id]).ok();
        assert_eq!(dir.pinfold(&["list", "-q"]).ok(), "");
    }
    dir.assert_nothing_left();
}

#[test]
fn pauses_and_resumes_end_in_one_state() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("pauses");
    dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), &id]).ok();
    for _ in 0..4 * count() {
        at_once(&dir, &[vec!["pause", &id], vec!["resume", &id], vec!["pause", &id], vec!["state", &id]])
            .iter()
            .for_each(sound);
        if state(&dir, &id)["status"] == "paused" {
            dir.pinfold(&["resume", &id]).ok();
        }
        assert_eq!(state(&dir, &id)["status"], "running");
        dir.pinfold(&["exec", &id, "true"]).ok();
    }
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// Whoever killed the first process, the container is then stopped, and so it is told.
#[test]
fn a_first_process_that_died_by_itself_is_a_stopped_container() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("died");
    for started in [false, true] {
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        if started {
            dir.pinfold(&["start", &id]).ok();
        }
        let pid = i32::try_from(state(&dir, &id)["pid"].as_i64().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        await_that("it is stopped", || state(&dir, &id)["status"] == "stopped");
        assert_eq!(state(&dir, &id)["pid"], 0);
        for (verb, words) in [
            ("start", "cannot start a container that has stopped"),
            ("kill", "container not running"),
            ("pause", "container not running"),
        ] {
            let ran = dir.pinfold(&[verb, &id]);
            assert!(ran.code() == 1 && ran.err.contains(words), "{ran:?}");
        }
        dir.pinfold(&["delete", &id]).ok();
    }
    dir.assert_nothing_left();
}

/// It waits in the program's place and handles no signal, as a program may: whoever asks it to end, by `kill` or by a
/// pidfd, and however soon after `create`, finds it stopped.
#[test]
fn what_waits_for_start_ends_as_its_program_would() {
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("waits");
    for own_pids in [true, false] {
        if !own_pids {
            bundle.edit(share_pids);
        }
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
            match signal {
                Signal::SIGTERM => drop(dir.pinfold(&["kill", &id, "TERM"]).ok()),
                _ => kill(Pid::from_raw(dir.pid_of(&id)), signal).unwrap(),
            }
            await_that("it is stopped", || state(&dir, &id)["status"] == "stopped");
            let ran = dir.pinfold(&["start", &id]);
            assert!(ran.code() == 1 && ran.err.contains("has stopped"), "{ran:?}");
            dir.pinfold(&["delete", &id]).ok();
        }
    }
    dir.assert_nothing_left();
}

/// The program has the kernel's defaults again: as a first process it gets none of the four without a handler.
#[test]
fn a_started_program_has_no_handlers_of_what_waited() {
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/grep", "^Sig[PBIC]", "/proc/self/status"]);
    let id = dir.id("handlers");
    let mut create = dir.command(&["create", "--bundle", bundle.text(), &id]);
    let creating = start(&mut create);
    await_that("it is created", || dir.pinfold(&["state", &id]).out.contains("\"status\": \"created\""));
    dir.pinfold(&["start", &id]).ok();
    await_that("it is stopped", || state(&dir, &id)["status"] == "stopped");
    let said = creating.wait();
    let sets: Vec<_> = said.ok().lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(sets, ["0000000000000000"; 4], "{said:?}");
    dir.pinfold(&["delete", &id]).ok();
    dir.assert_nothing_left();
}

fn share_pids(config: &mut serde_json::Value) {
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
}

/// SIGKILL is for all of a container: what does not end with its first process, whose pid namespace is another's,
/// is killed by its cgroup, also when that process is gone. Another signal is the first process's alone.
#[test]
fn kill_ends_all_of_a_container_without_a_pid_namespace_of_its_own() {
    let dir = Dir::new();
    let (id, marker) = (dir.id("kills"), dir.id("marker"));
    let owner = Bundle::script(&dir, "owner", "sleep 100");
    let owner_id = dir.id("owner");
    dir.pinfold(&["run", "--detach", "--bundle", owner.text(), &owner_id]).ok();
    let pids = format!("/proc/{}/ns/pid", dir.pid_of(&owner_id));
    for (round, (is_joined, init_is_gone)) in
        [(false, false), (false, true), (true, false), (true, true)].into_iter().enumerate()
    {
        let mut bundle = Bundle::script(&dir, &format!("bundle-{round}"), "trap '' TERM; sleep 100");
        bundle.edit(share_pids);
        if is_joined {
            let joined = serde_json::json!({"type": "pid", "path": pids});
            bundle.edit(|config| config["linux"]["namespaces"].as_array_mut().unwrap().push(joined));
        }
        dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), &id]).ok();
        for _ in 0..3 {
            let script = format!("sleep 100; : {marker}");
            dir.pinfold(&["exec", "--detach", &id, "/bin/sh", "-c", &script]).ok();
        }
        // What a shell has forked has the shell's name until it executes.
        let all_three = || support::processes_naming(&marker).len() == 3;
        await_that("all three sleep", all_three);
        dir.pinfold(&["kill", &id, "TERM"]).ok();
        await_that("TERM is for the first process", all_three);
        if init_is_gone {
            kill(Pid::from_raw(dir.pid_of(&id)), Signal::SIGKILL).unwrap();
            await_that("it is stopped", || state(&dir, &id)["status"] == "stopped");
            let ran = dir.pinfold(&["kill", &id, "TERM"]);
            assert!(ran.code() == 1 && ran.err.contains("container not running"), "{ran:?}");
        }
        dir.pinfold(&["kill", &id, "KILL"]).ok();
        await_that("nothing of it lives", || support::processes_naming(&marker).is_empty());
        await_that("it is stopped", || state(&dir, &id)["status"] == "stopped");
        // As with runc nobody is left to be killed, and that is no failure.
        dir.pinfold(&["kill", &id, "KILL"]).ok();
        dir.pinfold(&["delete", &id]).ok();
        assert_eq!(state(&dir, &owner_id)["status"], "running", "whose namespace it is");
    }
    dir.pinfold(&["delete", "--force", &owner_id]).ok();
    dir.assert_nothing_left();
}

/// On one processor, so that the program goes on before pinfold does: now and then it has ended when it is recorded.
#[test]
fn a_named_or_detached_sandbox_may_end_at_once() {
    let dir = Dir::new();
    for round in 0..60 * count() {
        let name = dir.id(&format!("short-{round}"));
        let mut command = Command::new("taskset");
        command.args(["-c", "0", "nice", "-n", "19", env!("CARGO_BIN_EXE_pinfold"), "--root"]);
        command.arg(dir.state_root()).args(["sandbox", "--name", &name, "--", "sh", "-c", "exit 7"]);
        assert_eq!(run(&mut command).code(), 7);
        let mut command = Command::new("taskset");
        command.args(["-c", "0", "nice", "-n", "19", env!("CARGO_BIN_EXE_pinfold"), "--root"]);
        command.arg(dir.state_root()).args(["sandbox", "--detach", "--name", &name, "--", "true"]);
        assert_eq!(run(&mut command).ok(), format!("{name}\n"));
        dir.pinfold(&["delete", "--force", &name]).ok();
    }
    dir.assert_nothing_left();
}

/// A runtime that crashes while it creates: what it left is found under its name, and goes.
#[test]
fn a_create_that_is_killed_can_be_deleted_and_made_again() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("crash");
    for round in 0..20 * count() {
        let creating = start(&mut dir.command(&["create", "--bundle", bundle.text(), &id]));
        std::thread::sleep(Duration::from_millis(u64::try_from(round % 20).unwrap() * 2));
        let pid = Pid::from_raw(i32::try_from(creating.id()).unwrap());
        // It may have ended just now.
        kill(pid, Signal::SIGKILL).ok();
        creating.end();
        let listed = dir.pinfold(&["list", "-q"]);
        assert!(["", &format!("{id}\n")].contains(&listed.ok()), "{listed:?}");
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["delete", "--force", &id]).ok();
    // Without a delete the next launch sweeps it, or refuses the id.
    let creating = start(&mut dir.command(&["create", "--bundle", bundle.text(), &id]));
    std::thread::sleep(Duration::from_millis(8));
    kill(Pid::from_raw(i32::try_from(creating.id()).unwrap()), Signal::SIGKILL).ok();
    creating.end();
    sound(&dir.pinfold(&["create", "--bundle", bundle.text(), &id]));
    dir.pinfold(&["delete", "--force", &id]).ok();
    fs::metadata(dir.state_root()).unwrap();
    dir.assert_nothing_left();
}

/// What lives is ended whatever became of the files beside its record.
#[test]
fn kill_needs_no_configuration() {
    let dir = Dir::new();
    for (name, shared) in [("own", false), ("shared", true)] {
        let id = dir.id(name);
        let mut bundle = Bundle::script(&dir, name, "sleep 100");
        if shared {
            bundle.edit(share_pids);
        }
        dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), &id]).ok();
        let kept = dir.state_root().join(&id).join("config.json");
        let text = std::fs::read(&kept).unwrap();
        std::fs::write(&kept, "{").unwrap();
        dir.pinfold(&["kill", &id, "KILL"]).ok();
        await_that("it is stopped", || state(&dir, &id)["status"] == "stopped");
        let ran = dir.pinfold(&["kill", &id, "KILL"]);
        assert!(ran.code() == 1 && ran.err.contains("container not running"), "{name}: {ran:?}");
        std::fs::write(&kept, text).unwrap();
        dir.pinfold(&["delete", &id]).ok();
    }
    dir.assert_nothing_left();
}
