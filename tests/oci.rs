//! Promise: the OCI verbs do what callers of runc expect of them, and what a container sees
//! of the host is what its configuration gives it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::{Value, json};
use support::{Bundle, Dir, PINFOLD, await_that, run, start};

#[track_caller]
fn status(dir: &Dir, id: &str) -> String {
    let state: Value = serde_json::from_str(dir.pinfold(&["state", id]).ok()).unwrap();
    assert_eq!(state["id"], id);
    state["status"].as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(dir: &Dir, args: &[&str], code: i32, words: &str) {
    let ran = dir.pinfold(args);
    assert_eq!(ran.code(), code, "{args:?}: {ran:?}");
    assert!(ran.err.contains("error") && ran.err.contains(words), "{args:?}: {ran:?}");
}

#[test]
fn spec_and_run() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "echo hello; echo oops >&2; exit 7");
    let ran = bundle.run(&dir, &dir.id("run"));
    assert_eq!((ran.code(), ran.out.as_str(), ran.err.as_str()), (7, "hello\n", "oops\n"));
    // A program that dies of a signal is not one that ended well, not even as pid 1.
    let bundle = Bundle::script(&dir, "signal", "(sleep 1); kill -TERM 1; exit 3");
    assert_eq!(bundle.run(&dir, &dir.id("three")).code(), 3, "pid 1 is not hit by its own SIGTERM");
    dir.assert_nothing_left();
}

#[test]
fn a_life_with_every_verb_in_every_state() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "trap 'exit 9' TERM; while :; do sleep 0.02; done");
    let (id, pid_file) = (dir.id("life"), dir.text("pid"));
    let create = ["create", "--bundle", bundle.text(), "--pid-file", &pid_file, &id];
    dir.pinfold(&create).ok();

    let state: Value = serde_json::from_str(dir.pinfold(&["state", &id]).ok()).unwrap();
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], bundle.text());
    assert_eq!(state["rootfs"], bundle.rootfs().to_str().unwrap());
    assert_eq!(state["pid"].to_string(), fs::read_to_string(&pid_file).unwrap());
    let pid = state["pid"].to_string();
    assert!(Path::new("/proc").join(&pid).is_dir(), "no such process");
    refused(&dir, &create, 1, "container with given ID already exists");
    refused(&dir, &["resume", &id], 1, "container not paused");

    dir.pinfold(&["start", &id]).ok();
    assert_eq!(status(&dir, &id), "running");
    refused(&dir, &["start", &id], 1, "cannot start an already running container");
    refused(&dir, &["delete", &id], 1, "that is not stopped: running");
    refused(&dir, &["resume", &id], 1, "container not paused");

    dir.pinfold(&["pause", &id]).ok();
    assert_eq!(status(&dir, &id), "paused");
    refused(&dir, &["pause", &id], 1, "container not running");
    refused(&dir, &["exec", &id, "true"], 255, "--ignore-paused");
    refused(&dir, &["start", &id], 1, "cannot start");
    refused(&dir, &["delete", &id], 1, "that is not stopped");
    dir.pinfold(&["resume", &id]).ok();
    assert_eq!(status(&dir, &id), "running");

    assert_eq!(dir.pinfold(&["list", "--quiet"]).ok(), format!("{id}\n"));
    let list = dir.pinfold(&["list", "--format", "json"]);
    assert_eq!(list.ok().lines().count(), 1, "callers read one line");
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["status"]), (&json!(id), &json!("running")));
    let table = dir.pinfold(&["list"]);
    let mut lines = table.ok().lines();
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let row: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(row[..4], [&id, &pid, "running", bundle.text()]);
    assert!(dir.pinfold(&["ps", "--format", "json", &id]).ok().contains(&pid));

    dir.pinfold(&["kill", &id, "TERM"]).ok();
    await_that("the container stops", || status(&dir, &id) == "stopped");
    refused(&dir, &["start", &id], 1, "cannot start a container that has stopped");
    refused(&dir, &["kill", &id], 1, "container not running");
    refused(&dir, &["pause", &id], 1, "container not running");
    refused(&dir, &["exec", &id, "true"], 255, "cannot exec in a stopped container");
    dir.pinfold(&["delete", &id]).ok();
    refused(&dir, &["state", &id], 1, "container does not exist");
    dir.assert_nothing_left();
}

#[test]
fn delete_force_ends_all_of_it() {
    let dir = Dir::new();
    // The marker stands in the arguments, so that the search for processes finds all three.
    let marker = dir.id("marker");
    let script = format!("sh -c 'sleep 100; : {marker}' & sh -c 'sleep 100; : {marker}' & wait; : {marker}");
    let bundle = Bundle::script(&dir, "bundle", &script);
    let id = dir.id("force");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["start", &id]).ok();
    await_that("three processes", || support::processes_naming(&marker).len() == 3);
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
    // A created one, too.
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// What /proc/self/status says, besides names and numbers that differ anyway.
const LOOK: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status";

#[test]
fn exec_is_no_stronger_than_the_container() {
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", &format!("{LOOK} >/tmp/own; sleep 100"));
    bundle.edit(|config| {
        config["root"]["readonly"] = json!(false);
        config["process"]["env"] = json!(["PATH=/bin", "FROM=container"]);
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
        });
    });
    let id = dir.id("exec");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["start", &id]).ok();
    let own = bundle.rootfs().join("tmp/own");
    await_that("the container looked", || fs::read_to_string(&own).is_ok_and(|own| own.contains("Seccomp:")));
    let exec = |options: &[&str], script: &str| {
        let mut args = vec!["exec"];
        args.extend_from_slice(options);
        args.extend([id.as_str(), "/bin/sh", "-c", script]);
        dir.pinfold(&args)
    };
    assert_eq!(exec(&[], "exit 42").code(), 42);
    assert_eq!(exec(&[], LOOK).ok(), fs::read_to_string(&own).unwrap());
    assert!(exec(&[], "mkdir /tmp/new").err.contains("Function not implemented"));
    assert_eq!(
        exec(&["--cwd", "/etc", "--env", "MORE=x"], "echo $FROM $MORE; pwd").ok(),
        "container x\n/etc\n"
    );
    let as_user = exec(&["--user", "1000:1001", "--additional-gids", "7"], "id -u; id -g; id -G");
    assert_eq!(as_user.ok(), "1000\n1001\n1001 7\n");
    assert!(exec(&["--user", "1000"], LOOK).ok().contains("CapEff:\t0000000000000000"));
    let fds = "for fd in /proc/self/fd/*; do [ -e $fd ] && echo ${fd##*/}; done; true";
    assert_eq!(exec(&[], fds).ok(), "0\n1\n2\n");
    refused(&dir, &["exec", &id, "/no/such"], 255, "/no/such");
    refused(&dir, &["exec", "--preserve-fds", "200", &id, "/bin/true"], 255, "--preserve-fds");
    let pid_file = dir.text("exec.pid");
    exec(&["--pid-file", &pid_file], "true").ok();
    assert!(fs::read_to_string(&pid_file).unwrap().parse::<u32>().is_ok());
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

#[test]
fn of_many_creates_of_one_id_exactly_one_wins() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("one");
    for _ in 0..3 * support::count() {
        let all: Vec<_> =
            (0..6).map(|_| start(&mut dir.command(&["create", "-b", bundle.text(), &id]))).collect();
        let all: Vec<_> = all.into_iter().map(support::Running::wait).collect();
        assert_eq!(all.iter().filter(|ran| ran.code() == 0).count(), 1, "{all:?}");
        for lost in all.iter().filter(|ran| ran.code() != 0) {
            assert!(lost.err.contains("container with given ID already exists"), "{lost:?}");
        }
        assert_eq!(status(&dir, &id), "created");
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

const VIEW: &str = r#"
echo "fds $(for fd in /proc/self/fd/*; do [ -e $fd ] && echo ${fd##*/}; done | tr '\n' ' ')"
echo "hostname $(hostname)"
echo "nofile $(ulimit -n) $(ulimit -Hn)"
echo "cwd $(pwd)"
grep -E '^(CapEff|CapBnd|CapPrm|CapInh|CapAmb|NoNewPrivs|Groups):' /proc/self/status
for link in fd stdin stdout stderr ptmx; do echo "link $link $(readlink /dev/$link)"; done
for node in null zero full random urandom tty; do
    [ -c /dev/$node ] && echo "device $node $(stat -c '%t:%T %a' /dev/$node)"
done
echo "kcore $(cat /proc/kcore | wc -c)"
(echo x >/new) 2>&1
(echo x >/proc/sys/kernel/hostname) 2>&1
env
echo MOUNTS
cat /proc/self/mountinfo"#;

#[test]
fn the_view_from_inside_is_the_configurations() {
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", VIEW);
    symlink("busybox", bundle.rootfs().join("bin/tr")).unwrap();
    bundle.edit(|config| {
        config["hostname"] = json!("inner");
        config["process"]["env"] = json!(["PATH=/bin"]);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    });
    let id = dir.id("view");
    let mut command = Command::new("sh");
    // Descriptors of the host that nobody marked as close-on-exec: a directory, a file.
    let line =
        r#"exec 3</ 4</etc/passwd 9</; LISTEN_FDS=0 SECRET=x exec "$0" --root "$1" run --bundle "$2" "$3""#;
    command.args(["-c", line, PINFOLD]).arg(dir.state_root()).args([bundle.text(), &id]);
    let ran = run(command.current_dir("/"));
    let (seen, mounts) = ran.ok().split_once("MOUNTS\n").unwrap();
    for line in [
        "fds 0 1 2 ",
        "hostname inner",
        "nofile 100 200",
        "cwd /",
        "CapEff:\t0000000020000420",
        "CapBnd:\t0000000020000420",
        "CapPrm:\t0000000020000420",
        "CapInh:\t0000000000000000",
        "NoNewPrivs:\t1",
        "link fd /proc/self/fd",
        "link stdin /proc/self/fd/0",
        "link stdout /proc/self/fd/1",
        "link stderr /proc/self/fd/2",
        "link ptmx pts/ptmx",
        "device null 1:3 666",
        "device zero 1:5 666",
        "device full 1:7 666",
        "device random 1:8 666",
        "device urandom 1:9 666",
        "device tty 5:0 666",
        "kcore 0",
        "PATH=/bin",
    ] {
        assert!(seen.lines().any(|found| found == line), "`{line}` is not in:\n{seen}");
    }
    assert!(!seen.contains("SECRET") && !seen.contains("LISTEN_FDS"), "the caller's environment:\n{seen}");
    assert_eq!(seen.matches("Read-only file system").count(), 2, "{seen}");
    let mounts: Vec<Vec<_>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    let of = |point: &str| mounts.iter().filter(|mount| mount[4] == point).collect::<Vec<_>>();
    for point in ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"] {
        assert_eq!(of(point).len(), 1, "{point}: {mounts:#?}");
    }
    assert!(of("/")[0][5].starts_with("ro"), "{mounts:#?}");
    assert!(of("/sys")[0][5].starts_with("ro"), "{mounts:#?}");
    assert!(mounts.iter().all(|mount| !mount[6].contains("shared:")), "{mounts:#?}");
    dir.assert_nothing_left();
}

/// What the caller hands on gets in; a directory of the host among what it did not does not.
#[test]
fn only_the_descriptors_that_are_handed_on_get_in() {
    let dir = Dir::new();
    let bundle = Bundle::script(
        &dir,
        "bundle",
        "cat <&3; for fd in /proc/self/fd/*; do [ -e $fd ] && echo ${fd##*/}; done; true",
    );
    let run_with = |line: &str, suffix: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", line, PINFOLD]).arg(dir.state_root()).args([bundle.text(), &dir.id(suffix)]);
        run(command.current_dir(dir.path()))
    };
    dir.write("three", "handed on\n");
    let given = r#"exec 3<three 5</; exec "$0" --root "$1" run --preserve-fds 1 --bundle "$2" "$3""#;
    assert_eq!(run_with(given, "given").ok(), "handed on\n0\n1\n2\n3\n");
    // Numbers that the caller left open for pinfold's own descriptors.
    let missing = r#"exec 3<three; exec "$0" --root "$1" run --preserve-fds 60 --bundle "$2" "$3""#;
    let ran = run_with(missing, "missing");
    assert!(ran.code() == 1 && ran.err.contains("--preserve-fds"), "{ran:?}");
    dir.assert_nothing_left();
}

/// The old root stays below, but neither its procfs nor its sysfs, and `..` does not lead to it.
#[test]
fn without_a_pivot_the_root_is_still_the_root() {
    let dir = Dir::new();
    let look = "cd /; cd ../../..; ls; wc -l </proc/self/mountinfo; readlink /proc/1/root; sleep 100";
    let bundle = Bundle::script(&dir, "bundle", look);
    let (id, out) = (dir.id("chroot"), dir.text("out"));
    let mut command = dir.command(&["run", "--no-pivot", "--bundle", bundle.text(), &id]);
    let mut child = command.stdout(fs::File::create(&out).unwrap()).spawn().unwrap();
    let seen = || fs::read_to_string(&out).unwrap();
    await_that("the look around", || seen().ends_with("/\n"));
    let lines: Vec<_> = seen().lines().map(str::to_owned).collect();
    assert_eq!(lines[..6].join(" "), "bin dev etc proc sys tmp");
    let pivoted = Bundle::script(&dir, "pivoted", "wc -l </proc/self/mountinfo");
    assert_eq!(pivoted.run(&dir, &dir.id("pivoted")).ok().trim(), lines[6].trim(), "mounts of the host");
    assert_eq!(dir.pinfold(&["exec", &id, "/bin/ls", "/"]).ok(), "bin\ndev\netc\nproc\nsys\ntmp\n");
    dir.pinfold(&["kill", &id, "KILL"]).ok();
    assert_eq!(child.wait().unwrap().code(), Some(137));
    dir.assert_nothing_left();
}

/// sd_listen_fds(3): the sockets come first, and the program is told of them.
#[test]
fn sockets_of_the_activation_are_handed_on() {
    let dir = Dir::new();
    let look = "echo $LISTEN_FDS $LISTEN_PID; for fd in /proc/self/fd/*; do [ -e $fd ] && echo ${fd##*/}; done; cat <&4";
    let bundle = Bundle::script(&dir, "bundle", look);
    dir.write("four", "the fourth\n");
    let run_with = |pid: &str, suffix: &str| {
        let line = format!(
            r#"exec 3</dev/null 4<four 5</; export LISTEN_FDS=1 LISTEN_PID={pid}; exec "$0" --root "$1" run --preserve-fds 1 --bundle "$2" "$3""#
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line, PINFOLD]).arg(dir.state_root()).args([bundle.text(), &dir.id(suffix)]);
        run(command.current_dir(dir.path()))
    };
    assert_eq!(run_with("$$", "mine").ok(), "1 1\n0\n1\n2\n3\n4\nthe fourth\n");
    // Those of another process are not ours: only descriptor 3 is handed on.
    assert!(run_with("1", "theirs").out.starts_with("\n0\n1\n2\n3\n"));
    dir.assert_nothing_left();
}

#[test]
fn hostile_links_at_mount_points_never_lead_out() {
    let dir = Dir::new();
    let precious = dir.mkdir("precious");
    fs::write(precious.join("file"), "mine\n").unwrap();
    let up = format!("{}{}", "../".repeat(20), precious.strip_prefix("/").unwrap().display());
    let targets = [precious.to_str().unwrap(), &up, "/", "../../..", "/proc/1/root", "/proc/self/cwd"];
    for (number, target) in targets.iter().enumerate() {
        for place in ["proc", "dev", "etc", "sys", "workspace", "bin/cat"] {
            let mut bundle = Bundle::new(&dir, &format!("b{number}"), &["/bin/busybox", "true"]);
            dir.mkdir("source");
            let destination = format!("/{place}/below");
            bundle.mount(json!({"destination": destination, "type": "bind", "source": dir.text("source"),
                                "options": ["rbind", "rw"]}));
            let link = bundle.rootfs().join(place);
            fs::remove_file(&link).or_else(|_| fs::remove_dir(&link)).ok();
            symlink(target, &link).unwrap();
            let ran = bundle.run(&dir, &dir.id("links"));
            // Either it is refused, or it was made inside: the host is as it was.
            assert!([0, 1].contains(&ran.code()), "{place} -> {target}: {ran:?}");
            let left: Vec<_> =
                fs::read_dir(&precious).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["file"], "{place} -> {target}");
            assert!(fs::symlink_metadata("/below").is_err(), "{place} -> {target}");
            fs::remove_dir_all(&bundle.path).unwrap();
        }
    }
    assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "mine\n");
    dir.assert_nothing_left();
}

/// /proc, /sys and /dev are mounted on directories of the root itself: behind a link of the
/// image they would be somewhere else, with all that is masked in them (CVE-2019-19921).
#[test]
fn kernel_filesystems_are_mounted_behind_no_link() {
    let dir = Dir::new();
    for place in ["proc", "sys", "dev"] {
        let bundle = Bundle::new(&dir, place, &["/bin/busybox", "true"]);
        fs::rename(bundle.rootfs().join(place), bundle.rootfs().join("fake")).unwrap();
        for target in ["fake", "/fake", "../../fake"] {
            symlink(target, bundle.rootfs().join(place)).unwrap();
            let ran = bundle.run(&dir, &dir.id("fake"));
            assert_eq!(ran.code(), 1, "{place} -> {target}: {ran:?}");
            assert!(
                ran.err.contains(&format!("/{place}")) && ran.err.contains("(ELOOP)"),
                "{place}: {ran:?}"
            );
            let root = bundle.rootfs();
            let sandbox = ["sandbox", "--rootfs", root.to_str().unwrap(), "--", "/bin/busybox", "true"];
            let ran = dir.pinfold(&sandbox);
            // A sandbox has no /sys of its own.
            let refused = ran.code() == 121 && ran.err.contains("(ELOOP)");
            assert_eq!(refused, place != "sys", "{place} -> {target}: {ran:?}");
            fs::remove_file(bundle.rootfs().join(place)).unwrap();
        }
        // The control: with a directory in its place the same bundle runs.
        fs::create_dir(bundle.rootfs().join(place)).unwrap();
        bundle.run(&dir, &dir.id("fake")).ok();
    }
    dir.assert_nothing_left();
}

#[test]
fn the_callers_signals_and_session_stay_outside() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask");
    let mut command = dir.command(&["run", "--bundle", bundle.text(), &dir.id("signals")]);
    // SIGPIPE is ignored by Rust's own start, SIGINT by the shell of a background job.
    command.arg0("pinfold");
    let mut shell = Command::new("sh");
    let line = r#"trap '' INT HUP USR1; umask 077; exec "$0" --root "$1" run --bundle "$2" "$3""#;
    shell.args(["-c", line, PINFOLD]).arg(dir.state_root()).args([bundle.text(), &dir.id("ignored")]);
    let expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\n";
    assert_eq!(run(&mut shell).ok(), expected);
    assert_eq!(run(&mut command).ok(), expected);
    dir.assert_nothing_left();
}

/// crun's option: what fails for one does not keep the others from it.
#[test]
fn an_expression_names_many_containers() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let ids: Vec<_> = ["a-one", "a-two", "b-one"].map(|name| dir.id(name)).into();
    for id in &ids {
        dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), id]).ok();
    }
    let running = |id: &String| status(&dir, id) == "running";
    refused(&dir, &["kill", "--regex", "(", "KILL"], 1, "--regex");
    dir.pinfold(&["kill", "--regex", "no such thing", "KILL"]).ok();
    assert!(ids.iter().all(running));
    dir.pinfold(&["kill", "--regex", "a-(one|two)$", "KILL"]).ok();
    await_that("two have stopped", || ids.iter().filter(|id| running(id)).count() == 1);
    assert!(running(&ids[2]));
    let ran = dir.pinfold(&["delete", "--regex", "(one|two)$"]);
    assert!(ran.code() == 0 && ran.err.contains("warning") && ran.err.contains("not stopped"), "{ran:?}");
    assert_eq!(dir.pinfold(&["list", "-q"]).ok(), format!("{}\n", ids[2]));
    dir.pinfold(&["delete", "--force", "--regex", ".*"]).ok();
    dir.assert_nothing_left();
}

/// A frozen process would never answer `start`.
#[test]
fn a_paused_container_is_not_started() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("paused");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["pause", &id]).ok();
    refused(&dir, &["start", &id], 1, "cannot start a container in the paused state");
    refused(&dir, &["delete", &id], 1, "that is not stopped: paused");
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// The image may have put anything in the place of its passwd: nothing is opened that is no file, and
/// nothing outside is read.
#[test]
fn home_comes_from_the_containers_own_accounts() {
    let dir = Dir::new();
    let line = "seven:x:7:7::/home/seven:/bin/sh\n";
    let outside = dir.write("outside", line);
    let mut bundle = Bundle::script(&dir, "bundle", "echo $HOME");
    bundle.edit(|config| {
        config["process"]["user"] = json!({"uid": 7, "gid": 7});
        config["process"]["rlimits"] = json!([]);
    });
    let passwd = bundle.rootfs().join("etc/passwd");
    let home = |expected: &str| {
        let ran = bundle.run(&dir, &dir.id("home"));
        assert_eq!(ran.ok(), format!("{expected}\n"), "{:?}", fs::symlink_metadata(&passwd));
        fs::remove_file(&passwd).ok();
    };
    home("/");
    fs::write(&passwd, line).unwrap();
    home("/home/seven");
    symlink(&outside, &passwd).unwrap();
    home("/");
    fs::write(bundle.rootfs().join("tmp/inside"), line).unwrap();
    symlink("/tmp/inside", &passwd).unwrap();
    home("/home/seven");
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).unwrap();
    home("/");
    let device = nix::sys::stat::makedev(1, 5);
    nix::sys::stat::mknod(&passwd, nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::S_IRWXU, device)
        .unwrap();
    home("/");
    // An empty one says nothing.
    fs::write(&passwd, line).unwrap();
    bundle.edit(|config| config["process"]["env"].as_array_mut().unwrap().push(json!("HOME=")));
    let ran = bundle.run(&dir, &dir.id("home"));
    assert_eq!(ran.ok(), "/home/seven\n");
    dir.assert_nothing_left();
}

/// config.md, "process": required at `start`, not at `create`.
#[test]
fn a_container_without_a_process_is_created_and_cannot_be_started() {
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", "true");
    bundle.edit(|config| drop(config.as_object_mut().unwrap().remove("process")));
    let id = dir.id("none");
    refused(&dir, &["run", "--bundle", bundle.text(), &id], 1, "/process");
    for namespaces in [&["mount", "pid"][..], &["mount", "pid", "user"]] {
        bundle.edit(|config| {
            let list: Vec<_> = namespaces.iter().map(|kind| json!({"type": kind})).collect();
            config["linux"]["namespaces"] = json!(list);
            // No id 0 inside.
            let map = json!([{"containerID": 5, "hostID": 100_000, "size": 10}]);
            let maps = if namespaces.contains(&"user") { map } else { json!(null) };
            (config["linux"]["uidMappings"], config["linux"]["gidMappings"]) = (maps.clone(), maps);
            config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
            config["hostname"] = json!(null);
        });
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        assert_eq!(status(&dir, &id), "created");
        let look = fs::read_to_string(format!("/proc/{}/status", dir.pid_of(&id))).unwrap();
        for line in ["CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
            assert!(look.contains(line), "{line}: {look}");
        }
        refused(&dir, &["start", &id], 1, "/process");
        assert_eq!(status(&dir, &id), "created");
        refused(&dir, &["exec", &id, "true"], 255, "");
        dir.pinfold(&["kill", &id, "KILL"]).ok();
        await_that("the container stops", || status(&dir, &id) == "stopped");
        dir.pinfold(&["delete", &id]).ok();
        dir.assert_nothing_left();
    }
}

/// The most that `create` itself needs (getrusage(2), `ru_maxrss`), in KiB.
fn peak_of_create(dir: &Dir, bundle: &Bundle, without_userfaultfd: bool) -> u64 {
    let id = dir.id("peak");
    // busybox forks: the size of this test would count as that of a process that it executes itself.
    let line = r#"exec busybox time -f %M -o "$4" "$0" --root "$1" create --bundle "$2" "$3""#;
    let peak = dir.text("peak");
    let mut command = Command::new("busybox");
    command.args(["sh", "-c", line, support::PINFOLD]).arg(dir.state_root());
    if without_userfaultfd {
        let refusal = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let calls = [(libc::SYS_userfaultfd, Vec::new())].into();
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, refusal, arch).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        // SAFETY: two system calls; nothing is allocated where they succeed.
        #[expect(unsafe_code, reason = "a filter for one program is set between fork and exec")]
        unsafe {
            command.pre_exec(move || seccompiler::apply_filter(&program).map_err(std::io::Error::other));
        }
    }
    run(command.args([bundle.text(), &id, &peak])).ok();
    dir.pinfold(&["delete", "--force", &id]).ok();
    // It takes what wait4(2) says in KiB for pages.
    fs::read_to_string(&peak).unwrap().trim().parse::<u64>().unwrap() / 4
}

/// `create` needs what it touches of its own file, not what lies around that in the page cache: with userfaultfd(2)
/// (`sys::pages`) less than three quarters of what it needs without. How much it is in all depends on the profile, and on
/// how the page cache keeps the file: `make bench` compares what is installed with crun.
#[test]
fn create_needs_of_its_own_file_what_it_touches() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "true");
    let (spared, control) = (peak_of_create(&dir, &bundle, false), peak_of_create(&dir, &bundle, true));
    assert!(spared > 1024 && spared * 4 < control * 3, "{spared} KiB, without userfaultfd {control} KiB");
    dir.assert_nothing_left();
}

/// A container may wait for long: of pinfold's own code hardly anything stays in memory (smaps, proc_pid_smaps(5)),
/// with a filter in front of the waiting too.
#[test]
fn what_waits_for_start_needs_little_memory() {
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", "true");
    let id = dir.id("waits");
    for filtered in [false, true] {
        bundle.edit(|config| {
            config["process"]["noNewPrivileges"] = json!(!filtered);
            if filtered {
                config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]});
            }
        });
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        let pid = dir.pid_of(&id);
        let code = || -> u64 {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss_File:")).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        await_that("its code is given back", || code() < 1024);
        dir.pinfold(&["start", &id]).ok();
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

/// config-linux.md, "Masked Paths". All masked directories are covered by one empty file system, which can do nothing.
#[test]
fn masked_directories_are_empty_and_share_what_covers_them() {
    let dir = Dir::new();
    let script = "for place in /tmp/one /tmp/two /tmp/two/below /proc/fs; do
        echo $(stat -c %d $place) $(ls -A $place 2>/dev/null); (echo x >$place/x) 2>/dev/null && echo written
    done; cat /tmp/file; (echo x >/tmp/beside) && echo beside; ls /proc/self/fd | wc -l";
    let mut bundle = Bundle::script(&dir, "bundle", script);
    bundle.edit(|config| {
        config["linux"]["maskedPaths"] =
            json!(["/tmp/one", "/tmp/file", "/tmp/two", "/tmp/two/below", "/proc/fs", "/tmp/none"]);
        config["root"]["readonly"] = json!(false);
    });
    let tmp = bundle.rootfs().join("tmp");
    for name in ["one", "two/below"] {
        fs::create_dir_all(tmp.join(name)).unwrap();
        fs::write(tmp.join(name).join("content"), "content").unwrap();
    }
    fs::write(tmp.join("file"), "content").unwrap();
    bundle.edit(|config| {
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/tmp");
    });
    let ran = bundle.run(&dir, &dir.id("masked"));
    let lines: Vec<_> = ran.ok().lines().collect();
    // Below what is covered there is nothing any more.
    assert_eq!((lines[0], lines[0]), (lines[1], lines[3]), "one file system, and nothing in it: {lines:?}");
    assert!(lines[0].parse::<u64>().is_ok() && lines[2].is_empty(), "{lines:?}");
    assert_eq!(lines[4..], ["beside", "4"], "{lines:?}");
    dir.assert_nothing_left();
}
