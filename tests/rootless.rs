//! Promise: an ordinary user gets the same sandbox as root, and what no user can have is
//! named, or refused when it was asked for.
//!
//! These tests run as root and drop to a real user id; nothing of pinfold runs as root here.

#![allow(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and attacks by threads of its own"
)]
// The lint's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "rootless/binary.rs"]
mod binary;
#[path = "rootless/cgroups.rs"]
mod cgroups;
#[path = "rootless/ending.rs"]
mod ending;
#[path = "rootless/mounts.rs"]
mod mounts;
#[path = "rootless/named.rs"]
mod named;
#[path = "rootless/nested.rs"]
mod nested;
#[path = "rootless/support.rs"]
mod support;
#[path = "rootless/swap.rs"]
mod swap;

use std::fs;
use std::os::unix::fs::MetadataExt;

use support::{Place, UID, left_in, run};

#[test]
fn the_program_has_one_id_and_no_rights() {
    let place = Place::new("ids");
    let script =
        "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; cat /proc/self/status";
    let ran = run(place.pinfold(["sandbox", "--", "sh", "-c", script])).exits(0);
    let words: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let map = ["1000", "12345", "1"];
    assert_eq!(words[..5], [vec!["1000"], vec!["1000"], map.to_vec(), map.to_vec(), vec!["deny"]]);
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "NSpid:\t",
    ] {
        assert!(ran.out.contains(line), "no {line:?} in\n{}", ran.out);
    }
    assert!(words.contains(&vec!["Groups:"]), "{}", ran.out);
}

/// The check from outside reads /proc/PID of the child, which the kernel shows to a user only
/// while the child is dumpable (proc(5)); afterwards pid 1 must hide itself from the tool.
#[test]
fn the_init_cannot_be_read_by_the_program_of_the_same_user() {
    let place = Place::new("init");
    let tries = "for f in environ mem maps auxv syscall; do head -c1 /proc/1/$f >/dev/null 2>&1 && echo $f; done; \
                 ls /proc/1/fd /proc/1/cwd/ /proc/1/root/ 2>/dev/null; readlink /proc/1/exe; \
                 head -c1 /proc/self/environ | wc -c";
    let ran = run(place.pinfold(["sandbox", "--", "sh", "-c", tries]));
    assert_eq!(ran.out, "1\n", "only the control, its own environment, is readable: {}", ran.err);
}

#[test]
fn the_state_is_in_the_runtime_directory_or_in_one_of_the_user_s_own() {
    let place = Place::new("state");
    let list = ["sandbox", "--rw", ".:/w", "--", "true"];
    run(place.pinfold(list)).exits(0);
    let made = fs::metadata(place.path("run/pinfold")).unwrap();
    assert_eq!((made.uid(), made.mode() & 0o777), (UID, 0o700));
    assert!(left_in(place.path("run/pinfold")).is_empty(), "a launch leaves nothing");

    let fallback = format!("/tmp/pinfold-{UID}");
    let mut without = place.pinfold(list);
    without.env_remove("XDG_RUNTIME_DIR");
    run(without).exits(0);
    let made = fs::metadata(&fallback).unwrap();
    assert_eq!((made.uid(), made.mode() & 0o777), (UID, 0o700));
    assert!(left_in(&fallback).is_empty(), "a launch leaves nothing");
    fs::remove_dir_all(&fallback).unwrap();

    let mut unreachable = place.pinfold(list);
    unreachable.env("XDG_RUNTIME_DIR", "/root");
    run(unreachable).exits(121).says(&["/root/pinfold", "hint: ", "--root"]);
}

#[test]
fn what_no_user_can_have_is_named_and_strict_refuses_it() {
    let place = Place::new("degraded");
    let report = place.report_file();
    let ran = run(place.pinfold(["sandbox", "--report", report.to_str().unwrap(), "--", "true"])).exits(0);
    let report = place.report();
    let degraded: Vec<&str> =
        report["degraded"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(degraded.iter().any(|text| text.starts_with("own host ids: ")), "{degraded:?}");
    for text in &degraded {
        assert!(
            ran.err.contains(&format!("degraded: {text}\n")),
            "{text} is not said on stderr: {}",
            ran.err
        );
    }
    assert_eq!(report["controls"]["uid"], UID);
    let strict = run(place.pinfold(["sandbox", "--strict", "--", "echo", "ran"])).exits(121);
    assert_eq!(strict.out, "");
    strict.says(&["--strict", "own host ids", "hint: ", "pinfold doctor"]);
}

#[test]
fn groups_that_cannot_be_dropped_are_named() {
    let place = Place::new("groups");
    let with = |groups: &str| {
        let script = format!(
            "exec setpriv --reuid {UID} --regid {UID} {groups} -- $PINFOLD sandbox -- sh -c 'grep Groups: /proc/self/status'"
        );
        run(place.root_script(&[], &script)).exits(0)
    };
    let none = with("--clear-groups");
    assert!(!none.err.contains("supplementary groups"), "{}", none.err);
    let some = with("--groups 4,54321");
    assert!(some.err.contains("supplementary groups: the caller's groups 4, 54321 "), "{}", some.err);
    assert!(some.out.contains("65534 65534"), "they are in force: {}", some.out);
}

#[test]
fn options_that_need_privilege_are_refused_by_name() {
    let place = Place::new("refused");
    let rows: &[(&[&str], &str)] = &[
        (&["--user", "0"], "--user 0:0: "),
        (&["--user", "tool:0"], "--user 1000:0: "),
        (&["--user", "12345"], "--user 12345:12345: "),
        (&["--group-add", "27"], "--group-add: "),
        (&["--ulimit", "nofile=1048577:1048577"], "/process/rlimits/0: prlimit: "),
    ];
    for (options, named) in rows {
        let words = ["sandbox"].iter().chain(*options).chain(&["--", "echo", "ran"]);
        let ran = run(place.pinfold(words)).exits(121).says(&[named, "hint: "]);
        assert_eq!(ran.out, "", "{options:?}");
    }
    for options in [["--user", "1000"], ["--user", "tool"], ["--user", "1000:1000"]] {
        let words = ["sandbox"].iter().chain(&options).chain(&["--", "id", "-u"]);
        assert_eq!(run(place.pinfold(words)).exits(0).out, "1000\n", "{options:?}: the control");
    }
}

/// Raising a hard limit needs CAP_SYS_RESOURCE: the default gives way, it is the lower one.
#[test]
fn a_default_limit_is_never_above_the_caller_s_own() {
    let place = Place::new("rlimits");
    for (own, expected) in [("64", "64\n64\n"), ("4096", "1024\n1024\n")] {
        let script = format!(
            "ulimit -n {own}; exec $USER_DO $PINFOLD sandbox -- sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c'"
        );
        let ran = run(place.root_script(&[], &script)).exits(0);
        assert_eq!(ran.out, format!("{expected}0\n"), "own limit {own}");
    }
}

#[test]
fn a_secret_is_the_program_s_alone_and_leaves_with_it() {
    let place = Place::new("secret");
    fs::write(place.path("own/value"), "s3cret").unwrap();
    place.give("own/value");
    let words = [
        "--secret",
        "key=file:value",
        "--",
        "sh",
        "-c",
        "stat -c '%a %u' /run/secrets/key; cat /run/secrets/key",
    ];
    let ran = run(place.pinfold(["sandbox"].iter().chain(&words))).exits(0);
    assert_eq!(ran.out, "400 1000\ns3cret");
    fs::set_permissions(place.path("own/value"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    std::os::unix::fs::chown(place.path("own/value"), Some(0), Some(0)).unwrap();
    run(place.pinfold(["sandbox"].iter().chain(&words))).exits(121).says(&["--secret", "value", "EACCES"]);
}

#[test]
fn a_terminal_belongs_to_the_program() {
    use std::io::Read;
    let place = Place::new("tty");
    let pty = nix::pty::openpty(None, None).unwrap();
    let slave = || std::process::Stdio::from(pty.slave.try_clone().unwrap());
    let script = "tty; stat -c '%u' $(tty); test -w /dev/tty && echo controlling >/dev/tty; test -c /dev/console && echo console";
    let mut command = place.pinfold(["sandbox", "-t", "--", "sh", "-c", script]);
    let mut child =
        command.stdin(slave()).stdout(slave()).stderr(std::process::Stdio::null()).spawn().unwrap();
    drop(command);
    let mut master = fs::File::from(pty.master);
    drop(pty.slave);
    let mut text = vec![];
    let mut buffer = [0; 4096];
    // EIO is the end of a terminal whose other side is closed (pty(7)).
    while let Ok(length) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", String::from_utf8_lossy(&text));
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    assert_eq!(text, "/dev/pts/0\n1000\ncontrolling\nconsole\n");
}
