//! Promises of `exec`: what it started ends with it or with its caller unless it ended
//! properly or was let go, and it is never less confined than the container itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod launching;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use launching::{
    DEADLINE, GONE_WITHIN, Place, Ran, Random, alive, assert_gone, bundle, cgroups_named, count, kill, mark,
    pid_of, within,
};
use serde_json::{Value, json};

/// A container that sleeps.
struct Container {
    place: Place,
    id: String,
}

impl Container {
    fn new() -> Self {
        Self::with(|_| ())
    }

    #[track_caller]
    fn with(change: impl FnOnce(&mut Value)) -> Self {
        let (place, id) = (Place::new(), mark());
        let bundle = bundle(&place, &["/bin/sleep", "100"]);
        let config = bundle.join("config.json");
        let mut document = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        change(&mut document);
        fs::write(&config, document.to_string()).unwrap();
        let mut command = place.pinfold(&["run", "--detach", "--bundle", bundle.to_str().unwrap(), &id]);
        command.stdout(Stdio::null()).stderr(fs::File::create(place.path.join("stderr")).unwrap());
        let made = place.finish(command);
        assert_eq!(made.code(), Some(0), "{}", fs::read_to_string(place.path.join("stderr")).unwrap());
        Self { place, id }
    }

    fn exec(&self, options: &[&str], program: &[&str]) -> Command {
        self.place.pinfold(&[&["exec"], options, &[&self.id], program].concat())
    }

    #[track_caller]
    fn output(&self, options: &[&str], program: &[&str]) -> String {
        let ran = self.place.finish(self.exec(options, program));
        assert_eq!(ran.code(), Some(0), "{ran:?}");
        ran.stdout
    }

    fn finish(&self, options: &[&str], program: &[&str]) -> Ran {
        self.place.finish(self.exec(options, program))
    }

    fn groups(&self) -> Vec<std::path::PathBuf> {
        let own = cgroups_named(std::slice::from_ref(&self.id));
        own.iter()
            .flat_map(fs::read_dir)
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let deleted = self.place.finish(self.place.pinfold(&["delete", "--force", &self.id]));
        if !std::thread::panicking() {
            assert_eq!(deleted.code(), Some(0), "{deleted:?}");
            assert_eq!(cgroups_named(std::slice::from_ref(&self.id)), Vec::<std::path::PathBuf>::new());
        }
    }
}

/// Sessions of their own, orphans, one without PDEATHSIG: all with the mark.
const TREE: &str = "$| = 1; syscall(157, 1, 0, 0, 0, 0); my $mark = shift; \
    for (1 .. 3) { next if fork; syscall(112); syscall(157, 1, 0, 0, 0, 0); fork and exit if $_ == 1; sleep 60; exit } \
    select undef, undef, undef, 0.1; print qq(up\n); sleep 60";

fn tree(mark: &str) -> [&str; 4] {
    ["/usr/bin/perl", "-e", TREE, mark]
}

fn wait_for_tree(mark: &str) {
    assert!(within(DEADLINE, || alive(mark).len() > 4), "the tree never came up");
    std::thread::sleep(Duration::from_millis(150));
}

#[test]
fn kill_9_of_pinfold_exec_ends_all_of_it_and_nothing_else() {
    let container = Container::new();
    let mark = mark();
    let mut running = container.place.start(container.exec(&[], &tree(&mark)));
    wait_for_tree(&mark);
    assert_eq!(container.groups().len(), 1, "{:?}", container.groups());
    running.kill_9();
    assert_gone(&mark, "pinfold exec killed");
    assert!(!alive(&container.id).is_empty() || container.finish(&[], &["/bin/true"]).code() == Some(0));
    assert_eq!(container.output(&[], &["/bin/echo", "alive"]), "alive\n");
    assert_eq!(container.groups(), Vec::<std::path::PathBuf>::new(), "the next exec sweeps");
}

#[test]
fn the_callers_death_ends_all_of_exec() {
    let container = Container::new();
    let mark = mark();
    let exec = container.exec(&[], &tree(&mark));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "\"$@\"; true", "sh"]).arg(exec.get_program()).args(exec.get_args());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut caller = container.place.start(shell);
    wait_for_tree(&mark);
    kill(pid_of(&caller.child), libc::SIGKILL);
    caller.child.wait().unwrap();
    assert_gone(&mark, "the caller of exec was killed");
    assert!(within(GONE_WITHIN, || container.groups().is_empty()), "{:?}", container.groups());
    assert_eq!(container.output(&[], &["/bin/echo", "alive"]), "alive\n");
}

#[test]
fn kill_9_of_pinfold_exec_at_any_moment_leaves_no_process() {
    let container = Container::new();
    let mut random = Random::new();
    for round in 0..count(15) {
        let mark = mark();
        let mut running = container.place.start(container.exec(&[], &tree(&mark)));
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        running.kill_9();
        assert_gone(&mark, &format!("round {round}"));
    }
    assert_eq!(container.output(&[], &["/bin/echo", "alive"]), "alive\n");
    assert_eq!(container.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_exec_leaves_on_a_proper_end_lives_with_the_container() {
    let container = Container::new();
    let mark = mark();
    let script = format!("setsid sleep 60 </dev/null >/dev/null 2>&1 & : {mark}; exit 3");
    let ran = container.finish(&["--env", &format!("M={mark}")], &["/bin/sh", "-c", &script]);
    assert_eq!(ran.code(), Some(3), "{ran:?}");
    assert_eq!(alive(&mark).len(), 1);
    assert_eq!(container.groups().len(), 1);
    container.output(&[], &["/bin/true"]);
    assert_eq!((alive(&mark).len(), container.groups().len()), (1, 1), "an exec took another's away");
    kill(alive(&mark)[0], libc::SIGKILL);
    assert_gone(&mark, "killed");
    container.output(&[], &["/bin/true"]);
    assert_eq!(container.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_detached_exec_lives_on_until_the_container_ends() {
    let container = Container::new();
    let mark = mark();
    let pid_file = container.place.path.join("pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().unwrap(), "--env", &format!("M={mark}")];
    let mut command = container.exec(&options, &["/bin/sleep", "60"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(container.place.finish(command).code(), Some(0));
    std::thread::sleep(Duration::from_millis(100));
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(alive(&mark), [pid.parse::<i32>().unwrap()]);
    assert_eq!(container.groups(), Vec::<std::path::PathBuf>::new(), "nobody would sweep it");
    drop(container);
    assert_gone(&mark, "the container was deleted");
}

#[test]
fn a_failed_exec_leaves_nothing() {
    let container = Container::new();
    let mark = mark();
    let missing = container.finish(&[], &["no-such-program"]);
    assert_eq!(missing.code(), Some(255), "{missing:?}");
    let options = ["--pid-file", "/no/such/directory/pid", "--env", &format!("M={mark}")];
    let unwritable = container.finish(&options, &["/bin/sleep", "62"]);
    assert_eq!(unwritable.code(), Some(255), "{unwritable:?}");
    assert_eq!((alive(&mark), container.groups()), (vec![], vec![]));
}

/// Where the test itself made groups below the container's, in the hierarchies that it names.
fn below(container: &Container, wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut made = vec![];
    for group in cgroups_named(std::slice::from_ref(&container.id)) {
        let hierarchy = group.strip_prefix("/sys/fs/cgroup").unwrap().components().next().unwrap();
        let hierarchy = hierarchy.as_os_str().to_str().unwrap().to_owned();
        if wanted(&hierarchy) {
            fs::create_dir(group.join("below")).unwrap();
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(text) = fs::read_to_string(group.join(file)) {
                    fs::write(group.join("below").join(file), text).unwrap();
                }
            }
            made.push(hierarchy);
        }
    }
    made
}

/// Without a cgroup namespace, so that the program sees the host's names.
fn without_cgroup_namespace(config: &mut Value) {
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "cgroup");
}

#[test]
fn exec_runs_in_the_sub_cgroup_that_is_asked_for() {
    let container = Container::with(without_cgroup_namespace);
    let made = below(&container, &|_| true);
    assert!(made.contains(&"pids".to_owned()), "this test needs v1 hierarchies: {made:?}");
    let inside = container.output(&["--cgroup", "below"], &["/bin/cat", "/proc/self/cgroup"]);
    let all = inside.lines().filter(|line| line.ends_with(&format!("/{}/below", container.id))).count();
    assert_eq!(all, inside.lines().count(), "{inside}");

    let inside = container
        .output(&["--cgroup", "pids:/below", "--cgroup", "memory:."], &["/bin/cat", "/proc/self/cgroup"]);
    for line in inside.lines() {
        let ends = if line.contains(":pids:") { "/below" } else { container.id.as_str() };
        assert!(line.ends_with(ends), "{inside}");
    }
    let top = container.output(&["--cgroup", "/"], &["/bin/cat", "/proc/self/cgroup"]);
    assert_eq!(
        top.lines().filter(|line| line.ends_with(&container.id)).count(),
        top.lines().count(),
        "{top}"
    );

    for (asked, said) in [
        ("../other", "not a sub cgroup path"),
        ("below/../..", "not a sub cgroup path"),
        ("missing", "the sub-cgroup must exist"),
        ("no-such-controller:/below", "no-such-controller"),
    ] {
        let ran = container.finish(&["--cgroup", asked], &["/bin/true"]);
        assert_eq!(ran.code(), Some(255), "{asked}: {ran:?}");
        assert!(ran.stderr.contains(said), "{asked}: {ran:?}");
    }
}

#[test]
fn exec_counts_against_the_limits_of_the_container() {
    let container = Container::with(|config| config["linux"]["resources"] = json!({"pids": {"limit": 20}}));
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do sleep 3 & done; wait";
    let ran = container.finish(&[], &["/bin/sh", "-c", script]);
    assert!(ran.stderr.contains("fork") && ran.code() != Some(0), "{ran:?}");
}

/// All of a process that confines it, as the process itself sees it.
const SEEN: &str = "grep -E '^(Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap...|Umask|Cpus_allowed):' /proc/self/status; cat /proc/self/limits \
    /proc/self/oom_score_adj /proc/self/personality; umask; pwd; echo $OWN; uname -m; chmod 700 . 2>&1; ulimit -a; \
    for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n | tr -d 0-9; done";

/// A container that is weaker than the default in nothing and stronger in everything that can be said.
fn confined(config: &mut Value) {
    let process = &mut config["process"];
    process["noNewPrivileges"] = json!(true);
    process["user"] = json!({"uid": 1234, "gid": 2345, "additionalGids": [77, 78], "umask": 0o027});
    let caps = json!(["CAP_KILL", "CAP_NET_RAW"]);
    process["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps, "inheritable": caps, "ambient": ["CAP_KILL"]});
    process["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 333, "hard": 444}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 555, "hard": 556},
    ]);
    process["oomScoreAdj"] = json!(321);
    process["cwd"] = json!("/tmp");
    process["env"].as_array_mut().unwrap().push(json!("OWN=the container's"));
    config["linux"]["personality"] = json!({"domain": "LINUX32"});
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    });
}

/// The configuration's own process, with another program.
fn own_process(container: &Container, seen: &str) -> String {
    let bundle = container.place.path.join("bundle");
    let config = bundle.join("config.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    document["process"]["args"] = json!(["/bin/sh", "-c", seen]);
    fs::write(&config, document.to_string()).unwrap();
    let ran = container.place.finish(container.place.pinfold(&[
        "run",
        "--bundle",
        bundle.to_str().unwrap(),
        &mark(),
    ]));
    assert_eq!(ran.code(), Some(0), "{ran:?}");
    ran.stdout
}

#[test]
fn exec_is_as_confined_as_the_container_in_every_field() {
    let container = Container::with(confined);
    let own = own_process(&container, SEEN);
    for needed in [
        "1234",
        "77 78",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "333",
        "444",
        "321",
        "0027",
        "/tmp",
        "the container's",
        "i686",
    ] {
        assert!(own.contains(needed), "{needed}: {own}");
    }
    assert!(own.contains("Operation not supported"), "the filter: {own}");
    assert_eq!(container.output(&[], &["/bin/sh", "-c", SEEN]), own, "by flags");

    let file = container.place.path.join("process.json");
    let env: Value = json!(["PATH=/usr/bin:/bin", "OWN=the container's"]);
    fs::write(&file, json!({"args": ["/bin/sh", "-c", SEEN], "cwd": "/tmp", "env": env}).to_string())
        .unwrap();
    assert_eq!(container.output(&["--process", file.to_str().unwrap()], &[]), own, "by --process");
}

#[test]
fn exec_changes_what_is_asked_for_and_nothing_else() {
    let container = Container::with(|config| {
        confined(config);
        config["process"]["noNewPrivileges"] = json!(false);
        config["linux"]["seccomp"] = Value::Null;
    });
    let own = container.output(&[], &["/bin/sh", "-c", SEEN]);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let rows: [(&[&str], &[&str]); 7] = [
        (&["--no-new-privs"], &["NoNewPrivs:\t1"]),
        (&["--user", "4321"], &["Uid:\t4321\t4321\t4321\t4321"]),
        (&["--user", "4321:5432"], &["Uid:\t4321\t4321\t4321\t4321", "Gid:\t5432\t5432\t5432\t5432"]),
        (&["--additional-gids", "79", "-g", "80"], &["Groups:\t77 78 79 80 "]),
        (&["--cwd", "/usr"], &["/usr"]),
        (&["--env", "OWN=another"], &["another"]),
        (&["--cap", "CAP_SYS_TIME"], &["CapBnd:\t0000000002002020"]),
    ];
    for (options, wanted) in rows {
        let seen = container.output(options, &["/bin/sh", "-c", SEEN]);
        let changed: Vec<String> =
            lines(&seen).into_iter().filter(|line| !lines(&own).contains(line)).collect();
        for line in wanted {
            assert!(changed.iter().any(|other| other == line), "{options:?}: {line}: {changed:#?}");
        }
        let allowed = |line: &String| {
            wanted.contains(&line.as_str()) || (options[0] == "--cap" && line.starts_with("Cap"))
        };
        assert!(changed.iter().all(allowed), "{options:?}: {changed:#?}");
    }
    for (options, said) in [
        (&["--user", "nobody"][..], "a number is needed"),
        (&["--user", "4294967295"], "an id is a decimal number"),
        (&["--apparmor", "some-profile"], "apparmorProfile"),
        (&["--process-label", "some:label"], "selinuxLabel"),
        (&["--preserve-fds", "5"], "is not open"),
    ] {
        let ran = container.finish(options, &["/bin/true"]);
        assert!(ran.code() == Some(255) && ran.stderr.contains(said), "{options:?}: {ran:?}");
    }
}

#[test]
fn exec_waits_in_a_paused_container_only_if_told_to() {
    let container = Container::new();
    let verb = |verb: &str| {
        let ran = container.place.finish(container.place.pinfold(&[verb, &container.id]));
        assert_eq!(ran.code(), Some(0), "{ran:?}");
    };
    verb("pause");
    let refused = container.finish(&[], &["/bin/true"]);
    assert!(refused.code() == Some(255) && refused.stderr.contains("paused"), "{refused:?}");
    let mut waiting = container.place.start(container.exec(&["--ignore-paused"], &["/bin/echo", "ran"]));
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.child.try_wait().unwrap().is_none(), "it did not wait");
    verb("resume");
    let ran = container.place.wait(waiting);
    assert_eq!((ran.code(), ran.stdout.as_str()), (Some(0), "ran\n"), "{ran:?}");
}

#[test]
fn nothing_inside_sees_the_options_of_exec() {
    let container = Container::new();
    // Looks for as long as it runs, and ends by itself.
    let look =
        "for i in $(seq 400); do cat /proc/[0-9]*/cmdline 2>/dev/null; done | tr '\\0' '\\n' | sort -u";
    let looking = container.place.start(container.exec(&[], &["/bin/sh", "-c", look]));
    for _ in 0..20 {
        container.output(&["--env", "OPTION=unseen-value", "--cwd", "/usr"], &["/bin/true"]);
    }
    let seen = container.place.wait(looking).stdout;
    assert!(seen.contains("sleep"), "{seen}");
    assert!(!seen.contains("unseen-value"), "{seen}");
}

#[test]
fn exec_signals_and_lists_what_runs_in_a_sandbox_and_cannot_look_into_it() {
    let place = Place::new();
    let name = mark();
    let mut command = place.pinfold(&[
        "sandbox",
        "--name",
        &name,
        "--detach",
        "--timeout",
        "30s",
        "--",
        "sh",
        "-c",
        "trap 'exit 7' USR1; sleep 25 & wait",
    ]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(place.finish(command).code(), Some(0));
    let exec = |script: &str| place.finish(place.pinfold(&["exec", &name, "sh", "-c", script]));
    let listed = exec("ps -e -o pid,args");
    assert!(listed.stdout.contains("sleep 25"), "{listed:?}");
    // Landlock's rule for ptrace: no domain looks into one beside it.
    let looked = exec("cat /proc/2/environ");
    assert!(looked.code() != Some(0) && looked.stdout.is_empty(), "{looked:?}");
    let killed = exec("kill -USR1 2 && sleep 0.3; kill -0 2");
    assert!(killed.code() != Some(0), "{killed:?}");
    let deleted = place.finish(place.pinfold(&["delete", "--force", &name]));
    assert_eq!(deleted.code(), Some(0), "{deleted:?}");
}
