//! Promise: the host's owner can stop everything at once. After `lockdown` no launch starts its
//! program, through whichever door; `kill --all-sandboxes` leaves nothing alive, and lets nothing
//! start that was on its way.
//!
//! Each call runs in a mount namespace of its own, in which /etc/pinfold, /var/log and /run/pinfold
//! are the test's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(unsafe_code, reason = "inotify(7), which tells when a program is executed")]

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Bundle, Dir, Ran, Running, await_that, copy_executable, processes_naming, run, start};

const UNDER: &str = r#"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
mkdir -p -m 755 /etc/pinfold
mount --bind "$DIR/pinfold" /etc/pinfold
mount --bind "$DIR/log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 700 /run/pinfold
mount --bind "$DIR/run" /run/pinfold
eval "$PREPARE"
exec "$@"
"#;

/// Whatever this machine's controllers are; two profiles.
const POLICY: &str = "version = 1\nmode = \"audit\"\ndegraded = true\ndefault_profile = \"a\"\n[audit]\n\
    required = true\n[profile.a]\n[profile.b]\n";

struct Host {
    dir: Dir,
    prepare: String,
}

impl Host {
    fn new(policy: Option<&str>) -> Self {
        let host = Self { dir: Dir::new(), prepare: String::new() };
        for name in ["etc", "pinfold", "log", "run", "shared"] {
            host.dir.mkdir(name);
        }
        if let Some(policy) = policy {
            host.dir.write("pinfold/policy.toml", policy);
        }
        host
    }

    fn command(&self, args: &[&str]) -> Command {
        support::programs::pinfold_after(UNDER, &self.dir, &self.prepare, args)
    }

    #[track_caller]
    fn pinfold(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    fn start(&self, args: &[&str]) -> Running {
        start(&mut self.command(args))
    }

    fn id(&self, name: &str) -> String {
        self.dir.id(name)
    }

    fn bundle(&self, name: &str, args: &[&str]) -> Bundle {
        Bundle::new(&self.dir, name, args)
    }

    /// A bundle with a hook that says in `shared` that it waits, and waits for a word there.
    fn waiting(&self, name: &str, kind: &str) -> Bundle {
        let mut bundle = self.bundle(name, &["/bin/true"]);
        let (here, go) = (self.dir.text("shared/here"), self.dir.text("shared/go"));
        let inside = kind == "startContainer";
        let (here, go) = if inside { ("/s/here".to_owned(), "/s/go".to_owned()) } else { (here, go) };
        let script =
            format!(": >{here}; n=0; while [ ! -e {go} ] && [ $n -lt 300 ]; do n=$((n+1)); sleep 0.1; done");
        let shared = self.dir.text("shared");
        bundle.edit(|config| {
            config["hooks"] = json!({kind: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})
        });
        bundle
            .mount(json!({"source": shared, "destination": "/s", "type": "bind", "options": ["bind", "rw"]}));
        bundle
    }

    fn await_hook(&self) {
        await_that("the hook runs", || self.dir.join("shared/here").metadata().is_ok());
    }

    fn release_hook(&self) {
        fs::write(self.dir.join("shared/go"), "").unwrap();
    }

    #[track_caller]
    fn refused(&self, args: &[&str]) {
        let ran = self.pinfold(args);
        assert!(ran.status.code() != Some(0), "{args:?}: {ran:?}");
        assert!(ran.err.contains("refused by policy: the host is locked down"), "{args:?}: {ran:?}");
        assert!(ran.err.contains("(rule lockdown, ") && ran.err.contains("an incident"), "{args:?}: {ran:?}");
        assert_eq!(ran.out, "", "{args:?}: something ran");
    }

    /// No process of this test's containers, but for those of the test itself.
    #[track_caller]
    fn nothing_lives(&self) {
        await_that("all has ended", || {
            processes_naming(self.dir.path().file_name().unwrap().to_str().unwrap()).is_empty()
        });
    }
}

#[test]
fn every_door_is_shut_until_it_is_lifted() {
    for policy in [None, Some(POLICY)] {
        let host = Host::new(policy);
        let (id, other) = (host.id("c"), host.id("d"));
        let mut bundle = host.bundle("b", &["/bin/sleep", "100"]);
        bundle.edit(|config| config["linux"]["resources"]["pids"] = json!({"limit": 64}));
        host.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        host.pinfold(&["run", "--detach", "--bundle", bundle.text(), &other]).ok();
        assert_eq!(host.pinfold(&["lockdown", "--status"]).code(), 1);
        host.pinfold(&["lockdown", "--reason", "an incident\n\u{1b}[2J"]).ok();
        let told = host.pinfold(&["lockdown", "--status"]);
        assert!(told.ok().starts_with("locked down since 2") && !told.out.contains('\u{1b}'), "{told:?}");
        host.refused(&["sandbox", "--", "echo", "ran"]);
        host.refused(&["run", "--bundle", bundle.text(), &host.id("e")]);
        host.refused(&["create", "--bundle", bundle.text(), &host.id("e")]);
        host.refused(&["start", &id]);
        host.refused(&["exec", &other, "/bin/echo", "ran"]);
        host.refused(&["update", "--pids-limit", "32", &other]);
        // Who asks first is told the same.
        let check = ["policy", "check", "--explain", "--json", bundle.text()];
        let asked = host.pinfold(&check);
        let said: Value = serde_json::from_str(&asked.out).unwrap();
        assert_eq!((asked.code(), &said["verdict"]), (120, &json!("refused")), "{asked:?}");
        for list in ["violations", "decisions"] {
            let list = said[list].as_array().unwrap();
            let rules: Vec<_> = list.iter().filter(|one| one["rule"] == "lockdown").collect();
            assert!(rules.len() == 1 && rules[0]["asked"].to_string().contains("an incident"), "{said}");
        }
        let words = host.pinfold(&["policy", "check", bundle.text()]);
        assert!(words.out.contains("(rule lockdown, /etc/pinfold/lockdown; "), "{words:?}");
        assert_eq!(host.pinfold(&["sandbox", "--", "true"]).code(), 120);
        assert_eq!(
            host.pinfold(&["lockdown"]).ok(),
            "is locked down already: what was said of it first stays\n"
        );
        // What tells and what ends goes on.
        host.pinfold(&["list"]).ok();
        host.pinfold(&["state", &id]).ok();
        host.pinfold(&["kill", &other, "KILL"]).ok();
        host.pinfold(&["delete", "--force", &other]).ok();
        host.pinfold(&["lockdown", "--lift"]).ok();
        assert!(!host.pinfold(&check).ok().contains("lockdown"));
        host.pinfold(&["start", &id]).ok();
        assert_eq!(host.pinfold(&["sandbox", "--", "echo", "ran"]).ok(), "ran\n");
        host.pinfold(&["delete", "--force", &id]).ok();
        host.dir.assert_nothing_left();
        if policy.is_some() {
            let text = fs::read_to_string(host.dir.join("log/pinfold/audit.jsonl")).unwrap();
            let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let of = |verb: &str| records.iter().filter(|one| one["verb"] == verb).count();
            assert_eq!(of("lockdown"), 6, "an intent and an outcome each");
            assert!(
                records
                    .iter()
                    .any(|one| one["outcome"]["kind"] == "policy_refused" && one["verb"] == "start")
            );
        }
    }
}

#[test]
fn a_marker_that_cannot_be_trusted_or_read_is_one() {
    let mut host = Host::new(None);
    for prepare in [
        "echo >/etc/pinfold/lockdown",
        ": >/etc/pinfold/lockdown",
        "ln -s /nowhere /etc/pinfold/lockdown",
        "mkdir /etc/pinfold/lockdown",
        "echo >/etc/pinfold/lockdown; chown 1 /etc/pinfold/lockdown",
    ] {
        host.prepare = prepare.to_owned();
        let ran = host.pinfold(&["sandbox", "--", "echo", "ran"]);
        assert_eq!((ran.code(), ran.out.as_str()), (120, ""), "{prepare}: {ran:?}");
        assert!(ran.err.contains("rule lockdown"), "{prepare}: {ran:?}");
        host.prepare = String::new();
        let status = host.pinfold(&["lockdown", "--status"]);
        assert!(status.ok().starts_with("locked down"), "{prepare}: {status:?}");
        let path = host.dir.join("pinfold/lockdown");
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    }
    // Whoever may not write beside the policy can neither set it nor lift it.
    host.prepare = "mount -o remount,bind,ro /etc/pinfold".to_owned();
    let ran = host.pinfold(&["lockdown"]);
    assert!(ran.code() == 1 && ran.err.contains("EROFS"), "{ran:?}");
    host.dir.write("pinfold/lockdown", "{}");
    let ran = host.pinfold(&["lockdown", "--lift"]);
    assert!(ran.code() == 1 && ran.err.contains("EROFS"), "{ran:?}");
    host.prepare = String::new();
    assert_eq!(host.pinfold(&["sandbox", "--", "true"]).code(), 120);
}

#[test]
fn a_launch_in_the_middle_is_refused() {
    let host = Host::new(None);
    let bundle = host.waiting("b", "createRuntime");
    let launch = host.start(&["run", "--bundle", bundle.text(), &host.id("c")]);
    host.await_hook();
    host.pinfold(&["lockdown", "--reason", "an incident"]).ok();
    host.release_hook();
    let ran = launch.wait();
    assert!(ran.code() == 1 && ran.err.contains("rule lockdown"), "{ran:?}");
    host.pinfold(&["lockdown", "--lift"]).ok();
    host.dir.assert_nothing_left();
}

/// A hook runs as root on the host, and the one before it may have waited long.
#[test]
fn no_further_hook_runs_after_lockdown() {
    let host = Host::new(None);
    let mut bundle = host.waiting("b", "prestart");
    let further = host.dir.text("shared/further");
    bundle.edit(|config| {
        let hooks = config["hooks"]["prestart"].as_array_mut().unwrap();
        hooks.push(json!({"path": "/bin/sh", "args": ["sh", "-c", format!(": >{further}")]}));
    });
    for locked in [false, true] {
        fs::remove_file(host.dir.join("shared/go")).ok();
        fs::remove_file(host.dir.join("shared/here")).ok();
        fs::remove_file(&further).ok();
        let launch = host.start(&["run", "--bundle", bundle.text(), &host.id("c")]);
        host.await_hook();
        if locked {
            host.pinfold(&["lockdown"]).ok();
        }
        host.release_hook();
        assert_eq!(launch.wait().code() == 0, !locked);
        assert_eq!(Path::new(&further).symlink_metadata().is_ok(), !locked);
    }
    host.pinfold(&["lockdown", "--lift"]).ok();
    host.dir.assert_nothing_left();
}

/// Between the last look and execve: `lockdown` does not return before it has started, or says
/// that one may still.
#[test]
fn lockdown_waits_for_who_has_looked_already() {
    let host = Host::new(None);
    let bundle = host.waiting("b", "startContainer");
    let launch = host.start(&["run", "--bundle", bundle.text(), &host.id("c")]);
    host.await_hook();
    let lockdown = host.start(&["lockdown"]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(host.dir.join("pinfold/lockdown").is_file(), "it is in force at once");
    let ran = lockdown.wait();
    assert!(ran.code() == 1 && ran.err.contains("held by pid "), "the launch has not started: {ran:?}");
    let again = host.start(&["lockdown"]);
    std::thread::sleep(Duration::from_millis(300));
    host.release_hook();
    assert_eq!(launch.wait().code(), 0);
    assert_eq!(again.wait().ok(), "is locked down already: what was said of it first stays\n");
    host.pinfold(&["lockdown", "--lift"]).ok();
}

/// Tells each execve of a program: the kernel opens it (inotify(7), IN_OPEN).
struct Executions(File);

impl Executions {
    fn of(program: &Path) -> Self {
        let path = std::ffi::CString::new(program.to_str().unwrap()).unwrap();
        // SAFETY: takes no memory, and a string that lives; the descriptor is ours alone.
        unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
            assert!(fd >= 0 && libc::inotify_add_watch(fd, path.as_ptr(), libc::IN_OPEN) >= 0);
            Self(File::from_raw_fd(fd))
        }
    }

    /// How many since the last look.
    fn since_last(&mut self) -> usize {
        let mut count = 0;
        let mut buffer = [0_u8; 4096];
        while let Ok(length) = self.0.read(&mut buffer) {
            // struct inotify_event is 16 bytes, and a file has no name in it.
            count += length / 16;
        }
        count
    }
}

/// How many programs start after `lock` has returned, while launches go on without end.
fn late(host: &Host, programs: &mut Executions, bundle: &Bundle, lock: &dyn Fn()) -> usize {
    let script = "n=0; while [ ! -e \"$DIR/stop\" ]; do n=$((n+1)); \
        \"$1\" --root \"$3\" run --bundle \"$4\" \"$5-$n\" >/dev/null 2>&1 || true; done";
    let launching = |name: usize| {
        let mut command = host.command(&[]);
        let id = host.id(&format!("r{name}"));
        start(command.env("PREPARE", format!("set -- \"$@\" '{}' {id}; {script}", bundle.text())))
    };
    fs::remove_file(host.dir.join("stop")).ok();
    let loops: Vec<_> = (0..6).map(launching).collect();
    programs.since_last();
    let mut seen = 0;
    await_that("programs start", || {
        seen += programs.since_last();
        seen > 10
    });
    lock();
    programs.since_last();
    std::thread::sleep(Duration::from_millis(400));
    let late = programs.since_last();
    fs::write(host.dir.join("stop"), "").unwrap();
    for one in loops {
        one.wait();
    }
    fs::remove_file(host.dir.join("pinfold/lockdown")).unwrap();
    late
}

#[test]
fn after_lockdown_no_launch_starts_its_program() {
    let host = Host::new(None);
    let mut bundle = host.bundle("b", &["/own/true"]);
    let own = bundle.rootfs().join("own");
    fs::create_dir(&own).unwrap();
    copy_executable(bundle.rootfs().join("bin/busybox"), own.join("true"));
    // Each launch is for a moment between its last look and its start.
    bundle.edit(|config| {
        let hook = json!({"path": "/bin/busybox", "args": ["sleep", "0.03"]});
        config["hooks"] = json!({"startContainer": [hook]});
    });
    let mut programs = Executions::of(&own.join("true"));
    // The attack wins where nobody waits: the marker alone.
    let by_hand = || drop(host.dir.write("pinfold/lockdown", "{}"));
    let won = (0..30).any(|_| late(&host, &mut programs, &bundle, &by_hand) > 0);
    assert!(won, "no launch was between its last look and its start");
    for round in 0..8 {
        let locked = || assert_eq!(host.pinfold(&["lockdown"]).ok(), "locked down\n");
        assert_eq!(late(&host, &mut programs, &bundle, &locked), 0, "round {round}");
    }
    host.dir.assert_nothing_left();
}

#[test]
fn nothing_survives_the_end_of_all() {
    let host = Host::new(Some(POLICY));
    let tree = "trap '' TERM INT HUP; setsid sleep 1000 & (sleep 1000 & sleep 1000) & sleep 1000";
    let script = tree.replace("setsid ", "");
    let mut shared = host.bundle("shared-pid", &["/bin/sh", "-c", &script]);
    shared.edit(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "pid");
    });
    let own = host.bundle("own", &["/bin/sh", "-c", &script]);
    let ids: Vec<String> = ["det", "paused", "created", "named"].iter().map(|name| host.id(name)).collect();
    host.pinfold(&["run", "--detach", "--bundle", shared.text(), &ids[0]]).ok();
    host.pinfold(&["run", "--detach", "--bundle", own.text(), &ids[1]]).ok();
    host.pinfold(&["pause", &ids[1]]).ok();
    host.pinfold(&["create", "--bundle", own.text(), &ids[2]]).ok();
    host.pinfold(&["sandbox", "--detach", "--name", &ids[3], "--", "sh", "-c", tree]).ok();
    let entries = || fs::read_dir(host.dir.state_root()).unwrap().count();
    let unnamed = host.start(&["sandbox", "--", "sh", "-c", tree]);
    let stopped = host.start(&["run", "--bundle", own.text(), &host.id("stopped")]);
    await_that("all run", || entries() == 6 && host.pinfold(&["list"]).ok().matches("running").count() >= 3);
    await_that("the last one runs", || host.pinfold(&["state", &host.id("stopped")]).out.contains("running"));
    let launcher = nix::unistd::Pid::from_raw(i32::try_from(stopped.id()).unwrap());
    nix::sys::signal::kill(launcher, nix::sys::signal::Signal::SIGSTOP).unwrap();

    let ran = host.pinfold(&["kill", "--all-sandboxes"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.out.ends_with("ended 6\n"), "{ran:?}");
    assert!(ids.iter().all(|id| ran.out.contains(id.as_str())), "{ran:?}");
    unnamed.end();
    stopped.end();
    for id in &ids {
        assert!(host.pinfold(&["state", id]).out.contains("stopped"), "{id}");
        host.pinfold(&["delete", id]).ok();
    }
    host.pinfold(&["gc"]).ok();
    host.nothing_lives();
    host.dir.assert_nothing_left();
    assert!(host.pinfold(&["kill", "--all-sandboxes"]).ok().ends_with("ended 0\n"));
    let text = fs::read_to_string(host.dir.join("log/pinfold/audit.jsonl")).unwrap();
    assert_eq!(text.matches("\"all_sandboxes\":true").count(), 6, "each is in the log");
}

#[test]
fn the_end_of_all_can_be_that_of_one_profile() {
    let host = Host::new(Some(POLICY));
    let (a, b) = (host.id("a"), host.id("b"));
    host.pinfold(&["sandbox", "--detach", "--name", &a, "--", "sleep", "1000"]).ok();
    host.pinfold(&["sandbox", "--detach", "--name", &b, "--profile", "b", "--", "sleep", "1000"]).ok();
    let ran = host.pinfold(&["kill", "--all-sandboxes", "--profile", "b"]);
    assert_eq!(ran.ok(), format!("{b}\nended 1\n"));
    assert!(host.pinfold(&["state", &a]).out.contains("running"));
    assert_eq!(host.pinfold(&["kill", "--all-sandboxes", "--profile", "a"]).ok(), format!("{a}\nended 1\n"));
    host.pinfold(&["delete", &a]).ok();
    host.pinfold(&["delete", &b]).ok();
}

#[test]
fn a_profile_that_is_none_is_an_error() {
    let host = Host::new(Some(POLICY));
    for (name, told) in [("c", "no profile of the policy has this name"), ("*", "no name of a profile")] {
        let ran = host.pinfold(&["kill", "--all-sandboxes", "--profile", name]);
        assert!(ran.code() == 1 && ran.err.contains(told), "{name}: {ran:?}");
    }
}

/// A full filesystem below the gate, a stdout that takes nothing, a directory of a stranger's.
#[test]
fn no_error_keeps_the_others_alive() {
    let mut host = Host::new(None);
    let strange = host.dir.mkdir("strange");
    nix::unistd::chown(&strange, Some(1000.into()), None).unwrap();
    let listed = format!("{POLICY}[running]\nstate_roots = [{strange:?}]\n");
    host.dir.write("pinfold/policy.toml", &listed);
    let ids = ["a", "b"].map(|name| host.id(name));
    for id in &ids {
        host.pinfold(&["sandbox", "--detach", "--name", id, "--", "sleep", "1000"]).ok();
    }
    host.prepare = "mount -t tmpfs -o size=4k,mode=700 full /run/pinfold; \
        head -c 4096 /dev/zero >/run/pinfold/fill; exec >/dev/full"
        .to_owned();
    let ran = host.pinfold(&["kill", "--all-sandboxes"]);
    assert_ne!(ran.code(), 0, "{ran:?}");
    for told in ["strange", "stdout"] {
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
    assert!(!ran.err.contains("gate"), "a mark needs no room: {ran:?}");
    host.nothing_lives();
    host.prepare = String::new();
    for id in &ids {
        host.pinfold(&["delete", id]).ok();
    }
}

#[test]
fn what_is_on_its_way_when_all_ends_never_starts() {
    let host = Host::new(None);
    let bundle = host.waiting("b", "createRuntime");
    let launch = host.start(&["run", "--bundle", bundle.text(), &host.id("c")]);
    host.await_hook();
    let ran = host.pinfold(&["kill", "--all-sandboxes"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    host.release_hook();
    let ran = launch.wait();
    assert!(!ran.status.success(), "{ran:?}");
    host.pinfold(&["gc"]).ok();
    host.dir.assert_nothing_left();
    // And one that comes later does.
    assert_eq!(host.pinfold(&["run", "--bundle", bundle.text(), &host.id("d")]).code(), 0);
}

/// A launch that has nothing yet by which it could be found: it waits for its place in the state directory.
#[test]
fn what_cannot_be_found_when_all_ends_never_starts() {
    let host = Host::new(None);
    let bundle = host.bundle("b", &["/bin/busybox", "echo", "ran"]);
    host.pinfold(&["list"]).ok();
    let root = File::open(host.dir.state_root()).unwrap();
    let inode = format!(":{} ", root.metadata().unwrap().ino());
    root.lock().unwrap();
    let launch = host.start(&["run", "--bundle", bundle.text(), &host.id("c")]);
    await_that("the launch waits", || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
    });
    assert_eq!(host.pinfold(&["kill", "--all-sandboxes"]).ok(), "ended 0\n");
    root.unlock().unwrap();
    let ran = launch.wait();
    assert!(ran.code() == 1 && ran.out.is_empty(), "{ran:?}");
    assert!(ran.err.contains("ended by `kill --all-sandboxes` before its program ran"), "{ran:?}");
    host.dir.assert_nothing_left();
}
