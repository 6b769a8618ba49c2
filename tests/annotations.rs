//! Promise: a container of the OCI verbs whose annotations ask for an end in time, for bounded output
//! or for a report has them, whether pinfold waits for it or not. Nothing in it can put that off, and
//! no annotation names a file that nobody gave.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Bundle, Dir, Ran, await_that, processes_naming, run};

/// A bundle with annotations under `io.pinfold.`.
fn asking(dir: &Dir, name: &str, script: &str, annotations: &[(&str, &str)]) -> Bundle {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut bundle = Bundle::script(dir, &name, script);
    bundle.edit(|config| {
        for (key, value) in annotations {
            config["annotations"][format!("io.pinfold.{key}")] = json!(value);
        }
    });
    bundle
}

fn status(dir: &Dir, id: &str) -> String {
    let state: Value = serde_json::from_str(dir.pinfold(&["state", id]).ok()).unwrap();
    state["status"].as_str().unwrap().to_owned()
}

fn report(bundle: &Bundle) -> Value {
    let text = fs::read_to_string(bundle.path.join("report.json")).unwrap();
    assert_eq!(text.lines().count(), 1, "one report: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Creates and starts it, with its streams in the files `out` and `err`.
#[track_caller]
fn create_and_start(dir: &Dir, bundle: &Bundle, id: &str) {
    create(dir, bundle, id);
    dir.pinfold(&["start", id]).ok();
}

#[track_caller]
fn create(dir: &Dir, bundle: &Bundle, id: &str) {
    let mut command = dir.command(&["create", "--bundle", bundle.text(), id]);
    let file = |name: &str| fs::File::create(dir.join(name)).unwrap();
    let status = command.stdout(file("out")).stderr(file("err")).stdin(std::process::Stdio::null()).status();
    assert!(status.unwrap().success(), "{}", fs::read_to_string(dir.join("err")).unwrap());
}

#[track_caller]
fn await_end(dir: &Dir, id: &str, at_most: Duration) -> Duration {
    let from = Instant::now();
    await_that("the container ends", || status(dir, id) == "stopped");
    assert!(from.elapsed() < at_most, "{:?}", from.elapsed());
    from.elapsed()
}

/// A program that takes every signal it can, kills all it can see, and forks.
const STUBBORN: &str = "trap '' TERM INT HUP QUIT; (trap '' TERM; sleep 100) & kill -9 -1; \
     while :; do sleep 1; done";

#[test]
fn a_container_that_lives_on_without_pinfold_ends_at_its_time() {
    let dir = Dir::new();
    let bundle = asking(&dir, "b", STUBBORN, &[("timeout", "700ms"), ("report", "report.json")]);
    let id = dir.id("t");
    create(&dir, &bundle, &id);
    // The time is that of the program, not of a container that waits.
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(status(&dir, &id), "created");
    dir.pinfold(&["start", &id]).ok();
    assert_eq!(status(&dir, &id), "running");
    await_end(&dir, &id, Duration::from_secs(8));
    dir.pinfold(&["delete", &id]).ok();
    let report = report(&bundle);
    assert_eq!(report["outcome"], json!({"kind": "timeout", "exit_code": null, "signal": 9}));
    assert_eq!(report["exit_code"], 137);
    let wall = report["peaks"]["wall_us"].as_u64().unwrap();
    assert!((690_000..8_000_000).contains(&wall), "{wall}");
    dir.assert_nothing_left();
}

#[test]
fn a_paused_container_and_what_was_executed_in_it_end_too() {
    let dir = Dir::new();
    let bundle = asking(&dir, "b", "sleep 100", &[("timeout", "1500ms"), ("report", "report.json")]);
    let id = dir.id("t");
    create_and_start(&dir, &bundle, &id);
    dir.pinfold(&["exec", "--detach", &id, "/bin/sh", "-c", "trap '' TERM; sleep 100"]).ok();
    dir.pinfold(&["pause", &id]).ok();
    assert_eq!(status(&dir, &id), "paused");
    await_end(&dir, &id, Duration::from_secs(10));
    dir.pinfold(&["delete", &id]).ok();
    assert_eq!(report(&bundle)["outcome"]["kind"], "timeout");
    dir.assert_nothing_left();
}

#[test]
fn what_shares_another_pid_namespace_ends_with_its_first_process() {
    let dir = Dir::new();
    let marker = dir.id("marker");
    let script = format!("sh -c 'sleep 100; : {marker}' & sleep 0.3");
    let mut bundle = asking(&dir, "b", &script, &[("timeout", "60s"), ("report", "report.json")]);
    bundle.edit(|config| {
        let all = config["linux"]["namespaces"].as_array_mut().unwrap();
        all.retain(|namespace| namespace["type"] != "pid");
    });
    let id = dir.id("t");
    create_and_start(&dir, &bundle, &id);
    await_end(&dir, &id, Duration::from_secs(8));
    // Before `delete`: without its keeper it would live until then.
    await_that("nothing of it lives", || processes_naming(&marker).is_empty());
    dir.pinfold(&["delete", &id]).ok();
    assert_eq!(report(&bundle)["outcome"], json!({"kind": "exited", "exit_code": 0, "signal": null}));
    // Without a cgroup nothing could be ended that left its parent.
    let ran = dir.pinfold(&["--cgroup-manager", "disabled", "run", "--bundle", bundle.text(), &id]);
    assert!(ran.code() == 1 && ran.err.contains("needs a cgroup or a new pid namespace"), "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn output_ends_at_its_limit() {
    let dir = Dir::new();
    let asked = [("stdout-max", "100k"), ("stderr-max", "1k"), ("report", "report.json")];
    let within = "head -c 102400 /dev/zero; head -c 1024 /dev/zero >&2; exit 5";
    for (script, kind, lengths) in [
        (within, "exited", [102_400, 1024]),
        ("while :; do head -c 70000 /dev/zero; done", "output_limit", [102_400, 0]),
        ("while :; do echo oops >&2; done", "output_limit", [0, 1024]),
        // More than the pipe holds, at the very end.
        ("head -c 150000 /dev/zero", "output_limit", [102_400, 0]),
    ] {
        let bundle = asking(&dir, "b", script, &asked);
        let id = dir.id("t");
        for door in ["create", "run", "run -d"] {
            fs::remove_file(bundle.path.join("report.json")).ok();
            match door {
                "create" => create_and_start(&dir, &bundle, &id),
                _ => {
                    let mut args: Vec<&str> = door.split(' ').collect();
                    args.extend(["--bundle", bundle.text(), &id]);
                    let file = |name: &str| fs::File::create(dir.join(name)).unwrap();
                    dir.command(&args).stdout(file("out")).stderr(file("err")).status().unwrap();
                }
            }
            if door != "run" {
                await_end(&dir, &id, Duration::from_secs(10));
                dir.pinfold(&["delete", &id]).ok();
            }
            let came = ["out", "err"].map(|name| fs::metadata(dir.join(name)).unwrap().len());
            assert_eq!(came, lengths, "{door}: {script}");
            let report = report(&bundle);
            assert_eq!(report["outcome"]["kind"], kind, "{door}: {script}");
            assert!(report["peaks"]["stdout_bytes"].as_u64().unwrap() >= came[0], "{report}");
            assert_eq!(report["outcome"]["exit_code"] == 5, kind == "exited", "{door}: {report}");
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn the_report_tells_every_end() {
    let dir = Dir::new();
    let asked = [("report", "report.json")];
    let rows = [
        ("exit 0", json!({"kind": "exited", "exit_code": 0, "signal": null})),
        ("exit 7", json!({"kind": "exited", "exit_code": 7, "signal": null})),
        // As the first process it is not hit by its own signals; a child tells of its by a code.
        ("sh -c 'kill -9 $$'; exit $?", json!({"kind": "exited", "exit_code": 137, "signal": null})),
    ];
    for (script, outcome) in rows {
        let bundle = asking(&dir, "b", script, &asked);
        let id = dir.id("t");
        for door in ["create", "run"] {
            fs::remove_file(bundle.path.join("report.json")).ok();
            match door {
                "create" => {
                    create_and_start(&dir, &bundle, &id);
                    await_end(&dir, &id, Duration::from_secs(8));
                    dir.pinfold(&["delete", &id]).ok();
                }
                _ => drop(bundle.run(&dir, &id)),
            }
            let report = report(&bundle);
            assert_eq!(report["outcome"], outcome, "{door}: {script}");
            assert_eq!(report["controls"]["no_new_privs"], true);
            assert_eq!(report.get("error"), None);
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn the_report_tells_of_a_program_that_never_ran() {
    let dir = Dir::new();
    let id = dir.id("t");
    let bundle = asking(&dir, "killed", "sleep 100", &[("report", "report.json")]);
    create_and_start(&dir, &bundle, &id);
    // `delete` returns when the report is written.
    dir.pinfold(&["delete", "--force", &id]).ok();
    assert_eq!(report(&bundle)["outcome"], json!({"kind": "signaled", "exit_code": null, "signal": 9}));

    let bundle = asking(&dir, "waiting", "true", &[("report", "report.json")]);
    create(&dir, &bundle, &id);
    dir.pinfold(&["delete", "--force", &id]).ok();
    let told = report(&bundle);
    assert_eq!(told["outcome"]["kind"], "setup_failed");
    assert!(told["error"]["message"].as_str().unwrap().contains("ended during"), "{told}");

    for (door, kind) in
        [("create", "exec_not_found"), ("run", "exec_not_found"), ("run -d", "exec_not_found")]
    {
        let mut bundle = asking(&dir, &door.replace(' ', ""), "", &[("report", "report.json")]);
        bundle.edit(|config| config["process"]["args"] = json!(["/no/such"]));
        let mut args: Vec<&str> = door.split(' ').collect();
        args.extend(["--bundle", bundle.text(), &id]);
        assert_eq!(dir.pinfold(&args).code(), 1);
        assert_eq!(report(&bundle)["outcome"]["kind"], kind, "{door}");
    }
    // A file that is there and cannot be executed is met by execve alone, after `create`.
    for door in ["start", "run", "run -d"] {
        let mut bundle =
            asking(&dir, &format!("x{}", door.replace(' ', "")), "", &[("report", "report.json")]);
        bundle.edit(|config| config["process"]["args"] = json!(["/bin/odd"]));
        fs::write(bundle.rootfs().join("bin/odd"), "\u{7f}ELF").unwrap();
        run(Command::new("chmod").arg("755").arg(bundle.rootfs().join("bin/odd")));
        match door {
            "start" => {
                create(&dir, &bundle, &id);
                assert_eq!(dir.pinfold(&["start", &id]).code(), 1);
                dir.pinfold(&["delete", "--force", &id]).ok();
            }
            _ => {
                let mut args: Vec<&str> = door.split(' ').collect();
                args.extend(["--bundle", bundle.text(), &id]);
                assert_eq!(dir.pinfold(&args).code(), if door == "run" { 255 } else { 1 });
            }
        }
        assert_eq!(report(&bundle)["outcome"]["kind"], "exec_not_executable", "{door}");
    }
    dir.assert_nothing_left();
}

#[track_caller]
fn refused(ran: &Ran, words: &str) {
    assert!(ran.code() == 1 && ran.err.contains(words), "{words}: {ran:?}");
}

#[test]
fn a_report_goes_only_where_somebody_gave_a_place() {
    let dir = Dir::new();
    let (given, other) = (dir.mkdir("given"), dir.mkdir("other"));
    dir.mkdir("given/below");
    symlink(&other, given.join("link")).unwrap();
    symlink(other.join("target"), given.join("planted.json")).unwrap();
    fs::write(given.join("there.json"), "kept").unwrap();
    let id = dir.id("t");
    let attempt = |place: &str| {
        let bundle = asking(&dir, "b", "true", &[("report", place)]);
        dir.pinfold(&["--report-dir", given.to_str().unwrap(), "run", "--bundle", bundle.text(), &id])
    };
    let at = |name: &str| format!("{}/{name}", given.display());
    attempt(&at("r.json")).ok();
    attempt(&at("below/r.json")).ok();
    assert!(given.join("r.json").is_file() && given.join("below/r.json").is_file());
    for (place, words) in [
        (at("there.json"), "EEXIST"),
        (at("planted.json"), "EEXIST"),
        (at("link/r.json"), "ELOOP"),
        (at("../other/r.json"), "EXDEV"),
        (at("none/r.json"), "ENOENT"),
        (format!("{}/r.json", other.display()), "lies below no directory for reports"),
        (format!("{}er/r.json", given.display()), "lies below no directory for reports"),
        ("/proc/self/fd/1".to_owned(), "lies below no directory for reports"),
        ("a/b".to_owned(), "neither a name in the bundle nor an absolute path"),
        ("../r.json".to_owned(), "neither a name in the bundle nor an absolute path"),
        ("config.json".to_owned(), "EEXIST"),
        (String::new(), "names no file"),
        ("..".to_owned(), "names no file"),
    ] {
        let ran = attempt(&place);
        refused(&ran, words);
        refused(&ran, "/annotations/io.pinfold.report");
    }
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0, "nothing was made elsewhere");
    assert_eq!(fs::read_to_string(given.join("there.json")).unwrap(), "kept");
    // Without a directory given there is the bundle alone.
    let bundle = asking(&dir, "b", "true", &[("report", &at("new.json"))]);
    refused(&bundle.run(&dir, &id), "lies below no directory for reports");
    dir.assert_nothing_left();
}

#[test]
fn what_cannot_be_understood_is_an_error_and_what_is_not_asked_costs_no_process() {
    let dir = Dir::new();
    let id = dir.id("t");
    for (key, value) in [
        ("timeout", "0"),
        ("timeout", "soon"),
        ("stdout-max", "-1"),
        ("stderr-max", ""),
        ("time", "1s"),
        ("landlock", "yes"),
    ] {
        let bundle = asking(&dir, "b", "true", &[(key, value)]);
        for verb in ["create", "run"] {
            let ran = dir.pinfold(&[verb, "--bundle", bundle.text(), &id]);
            refused(&ran, &format!("/annotations/io.pinfold.{key}"));
        }
    }
    let keepers = |id: &str| {
        let all = processes_naming(id);
        all.iter().filter(|line| line.contains("create")).count()
    };
    for (asked, expected) in [(vec![], 0), (vec![("timeout", "60s")], 1)] {
        let bundle = asking(&dir, "b", "sleep 100", &asked);
        create_and_start(&dir, &bundle, &id);
        assert_eq!(keepers(&id), expected, "{:?}", processes_naming(&id));
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

/// The keeper is no process of the container's: neither its cgroup, nor its pid namespace, nor a
/// descriptor of its caller's that nobody counts.
#[test]
fn the_keeper_holds_nothing_that_is_not_its_own() {
    let dir = Dir::new();
    let id = dir.id("t");
    let bundle = asking(&dir, "b", "sleep 100", &[("timeout", "60s")]);
    create_and_start(&dir, &bundle, &id);
    let state = fs::read(dir.state_root().join(&id).join("state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    let keeper = state["keeper"]["pid"].as_i64().unwrap();
    let proc = std::path::PathBuf::from(format!("/proc/{keeper}"));
    assert_eq!(fs::read_to_string(proc.join("comm")).unwrap(), "pinfold-keeper\n");
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap().to_str(), Some("/"));
    let inside = dir.pinfold(&["exec", &id, "/bin/ps", "-o", "comm"]);
    assert!(!inside.ok().contains("keeper"), "{inside:?}");
    for fd in fs::read_dir(proc.join("fd")).unwrap() {
        let target = fs::read_link(fd.unwrap().path()).unwrap();
        let name = target.to_str().unwrap();
        let own = name.starts_with("anon_inode:[pidfd]")
            || name.starts_with("pipe:")
            || name.starts_with("/sys/fs/cgroup")
            || name.starts_with("/proc/")
            || name.starts_with("pidfd:");
        assert!(own, "{name}");
    }
    let group = fs::read_to_string(proc.join("cgroup")).unwrap();
    assert!(!group.contains(&id), "{group}");
    let status = fs::read_to_string(proc.join("status")).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
    assert_eq!(blocked, "fffffffffffbfeff", "all but SIGKILL and SIGSTOP");
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// kill -9 of the keeper takes the limits away; the next launch, or `gc`, takes the container.
#[test]
fn a_container_whose_keeper_was_killed_is_ended() {
    let dir = Dir::new();
    let (kept, unkept, plain) = (dir.id("kept"), dir.id("unkept"), dir.id("plain"));
    for (id, asked) in
        [(&kept, vec![("timeout", "60s")]), (&unkept, vec![("timeout", "60s")]), (&plain, vec![])]
    {
        create_and_start(&dir, &asking(&dir, "b", STUBBORN, &asked), id);
    }
    let state = fs::read(dir.state_root().join(&unkept).join("state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    let keeper = i32::try_from(state["keeper"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), nix::sys::signal::Signal::SIGKILL).unwrap();
    await_that("the keeper is gone", || fs::metadata(format!("/proc/{keeper}/exe")).is_err());
    assert_eq!(status(&dir, &unkept), "running");
    dir.pinfold(&["gc"]).ok();
    await_that("the container ends", || status(&dir, &unkept) == "stopped");
    for id in [&kept, &plain] {
        assert_eq!(status(&dir, id), "running");
    }
    for id in [&kept, &unkept, &plain] {
        dir.pinfold(&["delete", "--force", id]).ok();
    }
    dir.assert_nothing_left();
}
