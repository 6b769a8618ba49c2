//! Promise: hooks of all six kinds run when, where and with what the specification says, in their
//! order; a failure or a timeout ends the launch and leaves nothing (config.md, "POSIX-platform
//! Hooks"; runtime.md, "Lifecycle").

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod failures;
mod place;

use std::fs;
use std::path::PathBuf;

use place::{AT_CREATE, KINDS, Place, hook};
use serde_json::{Value, json};
use support::await_that;

/// Everything a hook can tell of itself, into a file named after its kind.
fn look(place: &Place, kind: &str) -> Value {
    let into = match kind {
        "startContainer" => "/tmp/startContainer".to_owned(),
        _ => place.dir.text(kind),
    };
    let script = "{ cat; echo; for ns in mnt net uts ipc pid cgroup; do readlink /proc/self/ns/$ns; done; \
         echo argv $0 $1; pwd; umask; cat /proc/self/cgroup; echo ENV; env; echo FDS; ls /proc/self/fd; } >$INTO";
    json!({"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "one"],
           "env": [format!("INTO={into}"), format!("KIND={kind}")], "timeout": 20})
}

struct Told {
    state: Value,
    namespaces: Vec<String>,
    lines: Vec<String>,
    cgroup: String,
    env: String,
    fds: String,
}

fn told(place: &Place, kind: &str) -> Told {
    let path = match kind {
        "startContainer" => place.bundle.rootfs().join("tmp/startContainer"),
        _ => place.dir.join(kind),
    };
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{kind}: {error}"));
    let (text, fds) = text.split_once("FDS\n").unwrap();
    let (text, env) = text.split_once("ENV\n").unwrap();
    let mut lines = text.lines().map(str::to_owned);
    let state = serde_json::from_str(&lines.next().unwrap()).unwrap();
    let namespaces = lines.by_ref().take(6).collect();
    let rest: Vec<_> = lines.by_ref().take(3).collect();
    let cgroup = lines.collect::<Vec<_>>().join("\n");
    Told { state, namespaces, lines: rest, cgroup, env: env.to_owned(), fds: fds.to_owned() }
}

fn namespaces_of(pid: &str) -> Vec<String> {
    let one = |ns: &str| fs::read_link(format!("/proc/{pid}/ns/{ns}")).unwrap().display().to_string();
    ["mnt", "net", "uts", "ipc", "pid", "cgroup"].map(one).to_vec()
}

#[test]
fn each_kind_runs_where_it_should_with_what_it_should() {
    let mut place = Place::new("while :; do sleep 0.05; done");
    symlink_applets(&place);
    let hooks: Value = KINDS.iter().map(|kind| ((*kind).to_owned(), json!([look(&place, kind)]))).collect();
    place.set(hooks);
    place.bundle.edit(|config| {
        config["annotations"] = json!({"a": "\"pid\":2147483647,"});
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
    });
    let own = namespaces_of("self");

    place.create().ok();
    let state: Value = serde_json::from_str(place.dir.pinfold(&["state", &place.id]).ok()).unwrap();
    let pid = state["pid"].to_string();
    let inside = namespaces_of(&pid);
    assert!(own.iter().zip(&inside).all(|(own, inside)| own != inside), "{own:?} {inside:?}");
    let ran = |path: PathBuf| fs::metadata(path).is_ok();
    assert!(!ran(place.dir.join("poststart")) && !ran(place.bundle.rootfs().join("tmp/startContainer")));
    // Later edits of the configuration do not matter.
    place.bundle.edit(|config| config["hooks"] = json!({"poststop": [{"path": "/no/such"}]}));
    place.start().ok();
    assert!(!ran(place.dir.join("poststop")));
    place.dir.pinfold(&["delete", "--force", &place.id]).ok();

    for (kind, status, in_container, sees) in [
        ("prestart", "creating", false, pid.as_str()),
        ("createRuntime", "creating", false, &pid),
        ("createContainer", "creating", true, "1"),
        ("startContainer", "created", true, "1"),
        ("poststart", "running", false, &pid),
        ("poststop", "stopped", false, "null"),
    ] {
        let told = told(&place, kind);
        assert_eq!(told.state["status"], status, "{kind}");
        assert_eq!(told.state["pid"].to_string(), sees, "{kind}: {}", told.state);
        assert_eq!(told.state["id"], place.id, "{kind}");
        assert_eq!(told.state["bundle"], place.bundle.text(), "{kind}");
        assert_eq!(told.state["ociVersion"], place.bundle.config["ociVersion"], "{kind}");
        assert_eq!(told.state["annotations"]["a"], "\"pid\":2147483647,", "{kind}");
        assert_eq!(&told.namespaces, if in_container { &inside } else { &own }, "{kind}");
        assert_eq!(told.lines[0], "argv zero one", "{kind}");
        let mut env: Vec<_> = told.env.lines().filter(|line| !is_the_shells_own(line)).collect();
        env.sort_unstable();
        assert_eq!(env.len(), 2, "{kind}: {env:?}");
        assert!(env[0].starts_with("INTO=") && env[1] == format!("KIND={kind}"), "{kind}: {env:?}");
        // 0, 1, 2, and the directory that ls itself opened.
        assert_eq!(told.fds.lines().count(), 4, "{kind}: {}", told.fds);
        match kind {
            "prestart" | "createRuntime" => assert_eq!(told.lines[1], place.bundle.text(), "{kind}"),
            "startContainer" => assert_eq!(told.lines[1], "/", "{kind}"),
            _ => {}
        }
        if kind == "createContainer" {
            assert_eq!(told.lines[2], "0022");
        }
        // In the container's cgroups, which are the roots of its cgroup namespace.
        let at_the_root = told.cgroup.lines().all(|line| line.ends_with(":/"));
        assert!(
            !told.cgroup.contains(&place.id) && (at_the_root || !in_container),
            "{kind}: {}",
            told.cgroup
        );
    }
    place.dir.assert_nothing_left();
}

/// A hook inside that is given no environment has the program's; one of the host's pinfold's own, where no policy
/// stands (tests/judged_hooks.rs).
#[test]
fn a_hook_without_an_environment() {
    let mut place = Place::new("true");
    let [outside, nothing, after] = ["outside", "nothing", "after"].map(|name| place.dir.text(name));
    let tells = |into: &str| format!("env >{into}");
    place.bundle.edit(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "ONE=two"]);
        config["hooks"] = json!({
            "createRuntime": [
                {"path": "/bin/sh", "args": ["sh", "-c", tells(&outside)]},
                {"path": "/bin/sh", "args": ["sh", "-c", tells(&nothing)], "env": []},
            ],
            "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", tells(&after)]}],
            "startContainer": [
                {"path": "/bin/sh", "args": ["sh", "-c", tells("/tmp/inside")]},
                {"path": "/bin/sh", "args": ["sh", "-c", tells("/tmp/empty")], "env": []},
            ],
        });
    });
    let mut command = place.dir.command(&["run", "--bundle", place.bundle.text(), &place.id]);
    support::run(command.env_clear().env("CALLERS", "own")).ok();
    let said = |path: &std::path::Path| {
        let text = fs::read_to_string(path).unwrap();
        let mut lines: Vec<_> =
            text.lines().filter(|line| !is_the_shells_own(line)).map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let inside = place.bundle.rootfs().join("tmp");
    assert_eq!(said(&inside.join("inside")), ["HOME=/", "ONE=two", "PATH=/bin"]);
    assert!(said(&inside.join("empty")).is_empty() && said(nothing.as_ref()).is_empty());
    assert_eq!(
        (said(outside.as_ref()), said(after.as_ref())),
        (vec!["CALLERS=own".into()], vec!["CALLERS=own".into()])
    );
    place.dir.assert_nothing_left();
}

fn symlink_applets(place: &Place) {
    std::os::unix::fs::symlink("busybox", place.bundle.rootfs().join("bin/umask")).unwrap();
}

/// What shells put into the environment of their children by themselves.
fn is_the_shells_own(line: &str) -> bool {
    ["PWD=", "OLDPWD=", "SHLVL=", "_=", "PATH=/sbin:/usr/sbin:/bin"].iter().any(|name| line.starts_with(name))
}

#[test]
fn the_order_is_kept_through_run_and_through_the_verbs() {
    for foreground in [true, false] {
        let mut place = Place::new("echo program >>/tmp/log");
        let log = |kind: &str| {
            json!([
                hook(&place.say(kind, &format!("{kind} 0"))),
                hook(&place.say(kind, &format!("{kind} 1")))
            ])
        };
        let hooks: Value = KINDS.iter().map(|kind| ((*kind).to_owned(), log(kind))).collect();
        place.set(hooks);
        if foreground {
            place.bundle.run(&place.dir, &place.id).ok();
        } else {
            place.create().ok();
            place.start().ok();
            let status = || place.dir.pinfold(&["state", &place.id]).out.contains("stopped");
            await_that("it stops", status);
            place.dir.pinfold(&["delete", &place.id]).ok();
        }
        let wanted = [
            "prestart 0",
            "prestart 1",
            "createRuntime 0",
            "createRuntime 1",
            "createContainer 0",
            "createContainer 1",
            "poststart 0",
            "poststart 1",
            "poststop 0",
            "poststop 1",
            "startContainer 0",
            "startContainer 1",
            "program",
        ];
        assert_eq!(place.said(), wanted, "foreground {foreground}");
        place.dir.assert_nothing_left();
    }
}

/// A state larger than a pipe, and hooks that do not read it or close it at once.
#[test]
fn a_hook_that_does_not_read_its_state_is_no_error() {
    let mut place = Place::new("true");
    let ignoring = |kind: &str| json!([hook("exec <&-; sleep 0.05"), hook(&place.say(kind, "fine"))]);
    let hooks: Value = KINDS.iter().map(|kind| ((*kind).to_owned(), ignoring(kind))).collect();
    place.set(hooks);
    place.bundle.edit(|config| config["annotations"] = json!({"large": "x".repeat(200_000)}));
    place.bundle.run(&place.dir, &place.id).ok();
    assert_eq!(place.said(), ["fine"; 6]);
    place.dir.assert_nothing_left();
}

/// A state larger than a pipe is read whole.
#[test]
fn a_large_state_arrives() {
    let mut place = Place::new("true");
    let count = |kind: &str| match kind {
        "startContainer" => json!([hook("wc -c >>/tmp/log")]),
        _ => json!([hook(&format!("wc -c >>{}", place.log().display()))]),
    };
    let hooks: Value = KINDS.iter().map(|kind| ((*kind).to_owned(), count(kind))).collect();
    place.set(hooks);
    place.bundle.edit(|config| config["annotations"] = json!({"large": "x".repeat(200_000)}));
    place.bundle.run(&place.dir, &place.id).ok();
    let said = place.said();
    assert!(said.len() == 6 && said.iter().all(|bytes| bytes.parse::<u32>().unwrap() > 200_000), "{said:?}");
    place.dir.assert_nothing_left();
}

/// More output than is kept, or than a pipe holds, stops nobody.
#[test]
fn a_talkative_hook_runs_to_its_end() {
    let mut place = Place::new("true");
    let talk =
        "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done";
    let hooks: Value = KINDS
        .iter()
        .map(|kind| {
            (
                (*kind).to_owned(),
                json!([hook(&format!("({talk}); ({talk}) >&2; {}", place.say(kind, "done")))]),
            )
        })
        .collect();
    place.set(hooks);
    let ran = place.bundle.run(&place.dir, &place.id);
    assert_eq!((ran.code(), ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    assert_eq!(place.said(), ["done"; 6]);
    place.dir.assert_nothing_left();
}

/// A hook that leaves a process behind does not hold the launch up, although that process has its
/// streams; at a timeout it goes too, also when it left the hook's session.
#[test]
fn what_a_hook_leaves_behind() {
    for kind in KINDS {
        let mut place = Place::new("true");
        let mark = place.dir.id("left");
        place.set(json!({kind: [hook(&format!("sh -c 'sleep 3; : {mark}' & exit 0"))]}));
        let begun = std::time::Instant::now();
        place.bundle.run(&place.dir, &place.id).ok();
        assert!(begun.elapsed().as_millis() < 2500, "{kind}: waited for what the hook left behind");
    }
    for kind in AT_CREATE {
        let mut place = Place::new("true");
        let mark = place.dir.id("left");
        let left = format!(
            "setsid sh -c 'sleep 100; : {mark}' & sh -c 'sleep 100; : {mark}' & sleep 0.3; sleep 100"
        );
        place.set(json!({kind: [{"path": "/bin/sh", "args": ["sh", "-c", left], "timeout": 1}]}));
        let ran = place.create();
        assert!(ran.code() == 1 && ran.err.contains("timeout"), "{kind}: {ran:?}");
        place.dir.assert_nothing_left();
    }
}

#[test]
fn a_start_container_hook_has_the_programs_rights_and_filter() {
    let look =
        "grep -E '^(Uid|Gid|Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ulimit -n; mkdir /tmp/no 2>&1";
    let mut place = Place::new(&format!("{{ {look}; }} >/tmp/program; true"));
    fs::set_permissions(
        place.bundle.rootfs().join("tmp"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    place.set(json!({"startContainer": [hook(&format!("{{ {look}; }} >/tmp/hook; true"))]}));
    place.bundle.edit(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1001});
        // Limits of another user's process need CAP_SYS_RESOURCE, which not every root has.
        config["process"]["rlimits"] = json!([]);
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
        });
    });
    place.bundle.run(&place.dir, &place.id).ok();
    let read = |name: &str| fs::read_to_string(place.bundle.rootfs().join("tmp").join(name)).unwrap();
    assert_eq!(read("hook"), read("program"));
    assert!(
        read("hook").contains("1000\t1000") && read("hook").contains("Function not implemented"),
        "{}",
        read("hook")
    );
    assert!(read("hook").contains("Seccomp:\t2"), "{}", read("hook"));
    place.dir.assert_nothing_left();
}

/// Hooks that work on the mounts of the container look for them below the bundle's root.
#[test]
fn before_the_pivot_the_containers_mounts_are_below_the_bundles_root() {
    let mut place = Place::new("cat /data/file /late/file");
    place.dir.mkdir("data");
    place.dir.write("data/file", "bound\n");
    place.dir.mkdir("late");
    place.dir.write("late/file", "by the hook\n");
    fs::create_dir(place.bundle.rootfs().join("late")).unwrap();
    place.bundle.mount(json!({"destination": "/data", "type": "bind", "source": place.dir.text("data"), "options": ["rbind"]}));
    let root = place.bundle.rootfs().display().to_string();
    let pid = r#"pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/')"#;
    let hooks = json!({
        "createRuntime": [hook(&format!("{pid}; nsenter --mount=/proc/$pid/ns/mnt cat {root}/data/file >>{}", place.log().display()))],
        "createContainer": [hook(&format!("pwd >>{log}; cat data/file >>{log}; mount --bind {} {root}/late", place.dir.text("late"), log = place.log().display()))],
    });
    place.set(hooks);
    for options in [&[][..], &["--no-pivot"]] {
        fs::remove_file(place.log()).ok();
        let args = [&["run", "--bundle", place.bundle.text()], options, &[&place.id]].concat();
        let ran = place.dir.pinfold(&args);
        assert_eq!(ran.ok(), "bound\nby the hook\n", "{options:?}");
    }
    assert_eq!(
        place.said(),
        ["bound", "/", "bound"].map(|line| if line == "/" { root.clone() } else { line.to_owned() })
    );
    place.dir.assert_nothing_left();
}

#[test]
fn hooks_with_a_user_namespace() {
    let mut place = Place::new("true");
    fs::set_permissions(
        place.bundle.rootfs().join("tmp"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    fs::set_permissions(&place.bundle.path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    place.dir.write("log", "");
    fs::set_permissions(place.log(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let map = "$(cat /proc/self/uid_map)";
    let hooks: Value = KINDS
        .iter()
        .map(|kind| ((*kind).to_owned(), json!([hook(&place.say(kind, &format!("{kind} $(id -u) {map}")))])))
        .collect();
    place.set(hooks);
    place.bundle.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        // A hierarchy of v1 cannot be mounted from a user namespace.
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "cgroup");
        let map = json!([{"containerID": 0, "hostID": 700_000, "size": 1000}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    place.bundle.run(&place.dir, &place.id).ok();
    let host = fs::read_to_string("/proc/self/uid_map").unwrap();
    let host = host.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = |kind: &str, map: &str| format!("{kind} 0 {map}");
    let inside = "0 700000 1000";
    let wanted = [
        line("prestart", &host),
        line("createRuntime", &host),
        line("createContainer", inside),
        line("poststart", &host),
        line("poststop", &host),
        line("startContainer", inside),
    ];
    assert_eq!(place.said(), wanted);
    place.dir.assert_nothing_left();
}

/// While a hook runs the container is known, in the state that the hook is told, and not locked.
#[test]
fn a_hook_may_ask_pinfold() {
    let mut place = Place::new("sleep 100");
    let ask = format!(
        "{} --root {} state {} | sed -n 's/.*\"status\": \"\\(.*\\)\",/\\1/p' >>{}",
        support::PINFOLD,
        place.dir.state_root().display(),
        place.id,
        place.log().display()
    );
    let pids = format!(
        "{} --root {} update --pids-limit 50 {}",
        support::PINFOLD,
        place.dir.state_root().display(),
        place.id
    );
    place.set(json!({"createRuntime": [hook(&ask)], "poststart": [hook(&ask), hook(&pids)], "poststop": [hook(&ask)]}),
    );
    place.create().ok();
    place.start().ok();
    place.dir.pinfold(&["delete", "--force", &place.id]).ok();
    assert_eq!(place.said(), ["creating", "running"], "it is gone when poststop runs");
    place.dir.assert_nothing_left();
}

/// Descriptors that the caller left open, a directory of the host among them, reach no hook.
#[test]
fn no_descriptor_of_the_caller_reaches_a_hook() {
    let mut place = Place::new("true");
    let count = |kind: &str| match kind {
        "startContainer" => json!([hook("ls /proc/self/fd | wc -l >>/tmp/log")]),
        _ => json!([hook(&format!("ls /proc/self/fd | wc -l >>{}", place.log().display()))]),
    };
    let hooks: Value = KINDS.iter().map(|kind| ((*kind).to_owned(), count(kind))).collect();
    place.set(hooks);
    let mut command = std::process::Command::new("sh");
    let line = r#"exec 3</ 9</etc/passwd; exec "$0" --root "$1" run --preserve-fds 1 --bundle "$2" "$3""#;
    command.args(["-c", line, support::PINFOLD]).arg(place.dir.state_root());
    let ran = support::run(command.args([place.bundle.text(), &place.id]));
    // The program would have got descriptor 3, and a directory is refused for it: after the hooks
    // that run at create.
    assert!(ran.code() == 1 && ran.err.contains("directory"), "{ran:?}");
    let said = place.said();
    assert!(said.len() == 4 && said.iter().all(|count| count.trim() == "4"), "{said:?}");
    let line = r#"exec 3</etc/passwd 9</; exec "$0" --root "$1" run --preserve-fds 1 --bundle "$2" "$3""#;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", line, support::PINFOLD]).arg(place.dir.state_root());
    std::fs::remove_file(place.log()).unwrap();
    support::run(command.args([place.bundle.text(), &place.id])).ok();
    let said = place.said();
    assert!(said.len() == 6 && said.iter().all(|count| count.trim() == "4"), "{said:?}");
    place.dir.assert_nothing_left();
}
