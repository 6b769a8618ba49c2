//! Promise: calls that a filter asks about are decided by the supervisor at `listenerPath`, who has
//! the listener before the program runs; without that supervisor nothing runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(
    clippy::disallowed_methods,
    reason = "the supervisor is another thread of the test, which clones nothing"
)]

mod support;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use support::{Bundle, Dir, await_that};

/// `struct seccomp_notif` and `struct seccomp_notif_resp` (linux/seccomp.h).
#[repr(C)]
#[derive(Default)]
struct Asked {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    pointer: u64,
    args: [u64; 6],
}

#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const RECV: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const CONTINUE: u32 = 1;

/// A supervisor that answers EXDEV to mkdir and lets all else go on, and what it was told.
fn supervise(dir: &Dir, name: &str) -> Receiver<Value> {
    let listener = UnixListener::bind(dir.join(name)).unwrap();
    let (told, hears) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut text = vec![0; 1 << 16];
            let (length, fd) = pinfold::sys::socket::recv_fd(stream.as_fd(), &mut text).unwrap();
            let state: Value = serde_json::from_slice(&text[..length]).unwrap();
            let fd = fd.expect("a descriptor comes with the first byte");
            std::thread::spawn(move || decide(&fd));
            if told.send(state).is_err() {
                return;
            }
        }
    });
    hears
}

fn decide(listener: &OwnedFd) {
    loop {
        let mut asked = Asked::default();
        // SAFETY: the kernel reads and writes one zeroed `struct seccomp_notif`.
        #[expect(unsafe_code, reason = "the supervisor's side is under test")]
        let got = unsafe { libc::ioctl(listener.as_raw_fd(), RECV as _, &raw mut asked) };
        if got != 0 {
            match nix::errno::Errno::last() {
                nix::errno::Errno::EINTR => continue,
                // Nobody is left under the filter, or the asker is gone.
                nix::errno::Errno::ENOENT => {
                    let mut watched =
                        [pinfold::sys::poll::PollFd::new(listener.as_fd(), pinfold::sys::poll::POLLIN)];
                    pinfold::sys::poll::ppoll(&mut watched, Some(1000)).ok();
                    if !watched[0].readable() {
                        return;
                    }
                    continue;
                }
                _ => return,
            }
        }
        let mkdir = [libc::SYS_mkdirat, 83].contains(&i64::from(asked.number));
        let error = if mkdir { -libc::EXDEV } else { 0 };
        let flags = if mkdir { 0 } else { CONTINUE };
        let answer = Answer { id: asked.id, value: 0, error, flags };
        // SAFETY: the kernel reads one `struct seccomp_notif_resp`.
        #[expect(unsafe_code, reason = "the supervisor's side is under test")]
        unsafe {
            libc::ioctl(listener.as_raw_fd(), SEND as _, &raw const answer)
        };
    }
}

fn profile(dir: &Dir, names: &Value) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": dir.text("agent"), "listenerMetadata": "for you",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}],
    })
}

fn asks(dir: &Dir, name: &str, script: &str, names: &Value, no_new_privs: bool) -> Bundle {
    let mut bundle = Bundle::script(dir, name, script);
    let profile = profile(dir, names);
    bundle.edit(|config| {
        config["linux"]["seccomp"] = profile;
        config["process"]["noNewPrivileges"] = json!(no_new_privs);
        config["annotations"] = json!({"to": "the supervisor"});
    });
    bundle
}

const MKDIR: &str = "mkdir /tmp/x 2>&1; exit 0";
const ANSWERED: &str = "mkdir: can't create directory '/tmp/x': Invalid cross-device link\n";

#[track_caller]
fn check_told(state: &Value, id: &str, status: &str) {
    let told = &state["state"];
    assert_eq!((&state["fds"], &state["metadata"]), (&json!(["seccompFd"]), &json!("for you")));
    assert_eq!((&told["id"], &told["status"]), (&json!(id), &json!(status)));
    assert_eq!(told["annotations"], json!({"to": "the supervisor"}));
    assert!(state["ociVersion"].is_string() && told["bundle"].is_string(), "{state}");
    assert!(state["pid"].as_i64().unwrap() > 1 && told["pid"].as_i64().unwrap() > 1, "{state}");
}

#[test]
fn the_supervisor_decides_in_the_foreground() {
    let dir = Dir::new();
    let told = supervise(&dir, "agent");
    for (no_new_privs, name) in [(true, "late"), (false, "early")] {
        let bundle = asks(&dir, name, MKDIR, &json!(["mkdir", "mkdirat"]), no_new_privs);
        assert_eq!(bundle.run(&dir, &dir.id(name)).ok(), ANSWERED, "{name}");
        let state = told.recv().unwrap();
        check_told(&state, &dir.id(name), "creating");
        assert_eq!(state["pid"], state["state"]["pid"]);
    }
    dir.assert_nothing_left();
}

#[test]
fn the_supervisor_decides_after_create_and_in_exec() {
    let dir = Dir::new();
    let told = supervise(&dir, "agent");
    for (no_new_privs, name, status) in [(true, "late", "created"), (false, "early", "creating")] {
        let id = dir.id(name);
        let script = "mkdir /tmp/x 2>/tmp/said; sleep 30";
        let mut bundle = asks(&dir, name, script, &json!(["mkdir", "mkdirat"]), no_new_privs);
        bundle.edit(|config| config["root"]["readonly"] = json!(false));
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        dir.pinfold(&["start", &id]).ok();
        let state = told.recv().unwrap();
        check_told(&state, &id, status);
        let said = bundle.rootfs().join("tmp/said");
        await_that("the program was answered", || {
            std::fs::read_to_string(&said).is_ok_and(|text| text == ANSWERED)
        });
        // A further process has a filter and a listener of its own.
        assert_eq!(dir.pinfold(&["exec", &id, "sh", "-c", MKDIR]).ok(), ANSWERED, "{name}");
        let further = told.recv().unwrap();
        check_told(&further, &id, "running");
        assert_eq!(further["state"]["pid"], state["pid"]);
        assert_ne!(further["pid"], state["pid"]);
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

/// The calls of a container whose supervisor is gone fail; they do not wait for ever.
#[test]
fn without_its_supervisor_a_call_fails() {
    let dir = Dir::new();
    let listener = UnixListener::bind(dir.join("agent")).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // The descriptor is closed at once.
        pinfold::sys::socket::recv_fd(stream.as_fd(), &mut [0; 1 << 16]).unwrap();
    });
    let script = "sleep 0.2; mkdir /tmp/x 2>&1; exit 0";
    let ran = asks(&dir, "bundle", script, &json!(["mkdir", "mkdirat"]), true).run(&dir, &dir.id("gone"));
    assert!(ran.ok().ends_with("Function not implemented\n"), "{ran:?}");
    dir.assert_nothing_left();
}

/// What pinfold calls itself may be asked about too, but for the two by which the listener travels.
#[test]
fn pinfold_s_own_calls_may_be_asked_about() {
    let dir = Dir::new();
    let told = supervise(&dir, "agent");
    let names = json!([
        "mkdir",
        "mkdirat",
        "sendmsg",
        "recvmsg",
        "close",
        "read",
        "exit_group",
        "prctl",
        "rt_sigaction",
        "execve",
        "rt_sigprocmask",
        "capset",
        "setresuid",
        "setresgid",
        "setgroups",
        "fchown",
        "chdir",
        "getcwd",
        "faccessat2",
    ]);
    for (no_new_privs, name) in [(true, "late"), (false, "early")] {
        let bundle = asks(&dir, name, MKDIR, &names, no_new_privs);
        assert_eq!(bundle.run(&dir, &dir.id(name)).ok(), ANSWERED, "{name}");
        told.recv().unwrap();
        let id = dir.id(&format!("{name}-two"));
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        dir.pinfold(&["start", &id]).ok();
        told.recv().unwrap();
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

#[track_caller]
fn refused(change: impl FnOnce(&Dir, &mut Value), words: &str) {
    let dir = Dir::new();
    let mut bundle = asks(&dir, "bundle", "echo ran", &json!(["mkdir"]), true);
    bundle.edit(|config| change(&dir, &mut config["linux"]["seccomp"]));
    for verb in ["run", "create"] {
        let ran = dir.pinfold(&[verb, "--bundle", bundle.text(), &dir.id(verb)]);
        assert_eq!((ran.code(), ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(ran.err.contains(words), "{words}: {ran:?}");
        dir.assert_nothing_left();
    }
}

#[test]
fn without_a_supervisor_nothing_runs() {
    let field = "/linux/seccomp/listenerPath";
    refused(
        |_, seccomp| drop(seccomp.as_object_mut().unwrap().remove("listenerPath")),
        "/linux/seccomp/listener",
    );
    refused(|_, _| (), field);
    refused(|dir, seccomp| seccomp["listenerPath"] = json!(dir.write("file", "").to_str().unwrap()), field);
    refused(
        |dir, seccomp| {
            UnixListener::bind(dir.join("real")).unwrap();
            std::os::unix::fs::symlink("real", dir.join("link")).unwrap();
            seccomp["listenerPath"] = json!(dir.text("link"));
        },
        field,
    );
    let only_metadata = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"});
    refused(|_, seccomp| *seccomp = only_metadata, "/linux/seccomp/listenerMetadata");
    for (key, value, words) in [
        ("defaultAction", json!("SCMP_ACT_NOTIFY"), "/linux/seccomp/defaultAction"),
        (
            "syscalls",
            json!([{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]),
            "/linux/seccomp/syscalls/0/names",
        ),
    ] {
        refused(|_, seccomp| seccomp[key] = value, words);
    }
}

/// Bound, and nobody listens any more: seen when the listener is to be sent, and the process ends.
#[test]
fn a_listener_that_cannot_be_sent_ends_the_launch() {
    let dir = Dir::new();
    drop(UnixListener::bind(dir.join("agent")).unwrap());
    let bundle = asks(&dir, "bundle", "echo ran", &json!(["mkdir", "exit_group"]), true);
    let ran = bundle.run(&dir, &dir.id("run"));
    assert_eq!((ran.code(), ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("/linux/seccomp/listenerPath") && ran.err.contains("ECONNREFUSED"), "{ran:?}");
    assert!(ran.err.contains("failed to connect with seccomp agent"), "{ran:?}");
    let id = dir.id("create");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    let ran = dir.pinfold(&["start", &id]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("/linux/seccomp/listenerPath"), "{ran:?}");
    await_that("the container is stopped", || dir.pinfold(&["state", &id]).ok().contains("\"stopped\""));
    dir.pinfold(&["delete", &id]).ok();
    dir.assert_nothing_left();
}
