//! Promise: `linux.seccomp` does to a container what it does under runc, before and after
//! no_new_privs, in the first process and in a further one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use serde_json::{Value, json};
use support::{Bundle, Dir, Ran};

fn bundle(dir: &Dir, name: &str, script: &str, no_new_privs: bool, seccomp: Value) -> Bundle {
    let mut bundle = Bundle::script(dir, name, script);
    bundle.edit(|config| {
        config["linux"]["seccomp"] = seccomp;
        config["process"]["noNewPrivileges"] = json!(no_new_privs);
    });
    bundle
}

fn one(names: Value, rule: Value) -> Value {
    let mut rule = rule;
    rule["names"] = names;
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "syscalls": [rule],
    })
}

/// `run`, then `create`, `start` and `exec` of the same; what the first and the last said.
#[track_caller]
fn both_ways(dir: &Dir, name: &str, script: &str, no_new_privs: bool, seccomp: &Value) -> [Ran; 2] {
    let ran = bundle(dir, name, script, no_new_privs, seccomp.clone()).run(dir, &dir.id(name));
    let waiting = bundle(dir, &format!("{name}-waiting"), "sleep 30", no_new_privs, seccomp.clone());
    let id = dir.id(&format!("{name}-waiting"));
    dir.pinfold(&["create", "--bundle", waiting.text(), &id]).ok();
    dir.pinfold(&["start", &id]).ok();
    let executed = dir.pinfold(&["exec", &id, "sh", "-c", script]);
    dir.pinfold(&["delete", "--force", &id]).ok();
    [ran, executed]
}

#[test]
fn every_action_that_needs_nobody_else_is_seen_by_the_program() {
    let dir = Dir::new();
    let mkdir = json!(["mkdir", "mkdirat"]);
    let script = "mkdir /dev/shm/foo 2>&1; echo went $?";
    for (action, number, said) in [
        ("SCMP_ACT_ERRNO", None, "Operation not permitted\nwent 1\n"),
        ("SCMP_ACT_ERRNO", Some(100), "Network is down\nwent 1\n"),
        // Without a tracer (seccomp(2), SECCOMP_RET_TRACE).
        ("SCMP_ACT_TRACE", Some(7), "Function not implemented\nwent 1\n"),
        ("SCMP_ACT_KILL", None, "went 159\n"),
        ("SCMP_ACT_KILL_THREAD", None, "went 159\n"),
        ("SCMP_ACT_KILL_PROCESS", None, "went 159\n"),
        ("SCMP_ACT_TRAP", None, "went 159\n"),
        ("SCMP_ACT_LOG", None, "went 0\n"),
        ("SCMP_ACT_ALLOW", None, "went 0\n"),
    ] {
        let mut rule = json!({"action": action});
        if let Some(number) = number {
            rule["errnoRet"] = json!(number);
        }
        for no_new_privs in [true, false] {
            let name = format!("{action}-{number:?}-{no_new_privs}").replace(['(', ')'], "");
            let ran = bundle(&dir, &name, script, no_new_privs, one(mkdir.clone(), rule.clone()))
                .run(&dir, &dir.id(&name));
            assert!(ran.ok().ends_with(said), "{name}: {ran:?}");
        }
    }
    dir.assert_nothing_left();
}

/// What a filter denies of the newer calls that pinfold itself prefers changes nothing once it is in force.
#[test]
fn pinfold_works_under_a_filter_that_denies_what_it_called_before() {
    let dir = Dir::new();
    let names = json!([
        "close_range",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "openat2",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "clone3",
        "mount",
        "umount2",
        "pivot_root",
        "setns",
        "unshare",
        "keyctl",
        "seccomp",
        "socketpair",
        "memfd_create",
        "pidfd_open",
        "pidfd_getfd",
        "prlimit64",
        "setrlimit",
        "personality",
        "set_mempolicy",
        "sched_setattr",
        "ioprio_set",
    ]);
    let seccomp = one(names, json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
    for no_new_privs in [true, false] {
        for ran in both_ways(&dir, &format!("denied-{no_new_privs}"), "echo ran", no_new_privs, &seccomp) {
            assert_eq!(ran.ok(), "ran\n", "{ran:?}");
        }
    }
    dir.assert_nothing_left();
}

/// What pinfold still has to call is known before anything is made.
#[test]
fn a_filter_under_which_nothing_could_start_is_refused_by_the_call() {
    let dir = Dir::new();
    for (name, action) in
        [("getcwd", "ERRNO"), ("setresuid", "KILL_PROCESS"), ("sendmsg", "ERRNO"), ("capset", "TRAP")]
    {
        let seccomp = one(json!([name]), json!({"action": format!("SCMP_ACT_{action}")}));
        let early = bundle(&dir, &format!("{name}-early"), "echo ran", false, seccomp.clone());
        let ran = early.run(&dir, &dir.id(name));
        assert_eq!((ran.code(), ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(ran.err.contains(&format!("denies {name},")), "{ran:?}");
        // Loaded last, it denies the program alone.
        let late = bundle(&dir, &format!("{name}-late"), "echo ran", true, seccomp);
        assert_eq!(late.run(&dir, &dir.id(name)).ok(), "ran\n", "{name}");
    }
    dir.assert_nothing_left();
}

/// A profile that is older than faccessat2(2) denies it, and where the filter is loaded early that is before pinfold
/// looks for the program.
#[test]
fn a_program_is_found_under_a_filter_that_denies_the_question() {
    let dir = Dir::new();
    for (name, denied) in
        [("newer", json!(["faccessat2"])), ("both", json!(["faccessat2", "faccessat", "access"]))]
    {
        for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"] {
            let seccomp = one(denied.clone(), json!({"action": action}));
            let mut bundle = bundle(&dir, &format!("{name}-{action}"), "echo ran", false, seccomp);
            assert_eq!(bundle.run(&dir, &dir.id(name)).ok(), "ran\n", "{name} {action}");
            bundle.edit(|config| {
                config["process"]["args"] = json!(["sh", "-c", "echo searched"]);
                config["process"]["env"] = json!(["PATH=/nowhere:/bin"]);
            });
            assert_eq!(bundle.run(&dir, &dir.id(name)).ok(), "searched\n", "{name} {action}");
            bundle.edit(|config| config["process"]["args"] = json!(["/no/such/program"]));
            let ran = bundle.run(&dir, &dir.id(name));
            assert!(
                ran.code() != 0 && ran.err.contains("no such file or directory"),
                "{name} {action}: {ran:?}"
            );
        }
    }
    dir.assert_nothing_left();
}

/// All flags, in every combination, without a listener.
#[test]
fn every_flag_is_accepted_with_every_other() {
    let dir = Dir::new();
    let flags = ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"];
    for chosen in 0..1_u32 << flags.len() {
        let names: Vec<String> = (0..flags.len())
            .filter(|bit| chosen & 1 << bit != 0)
            .map(|bit| format!("SECCOMP_FILTER_FLAG_{}", flags[bit]))
            .collect();
        let mut seccomp = one(json!(["mkdir", "mkdirat"]), json!({"action": "SCMP_ACT_ERRNO"}));
        seccomp["flags"] = json!(names);
        let name = format!("flags-{chosen}");
        let ran = bundle(&dir, &name, "mkdir /dev/shm/foo 2>&1 || exit 3", chosen % 2 == 0, seccomp)
            .run(&dir, &dir.id(&name));
        assert_eq!(ran.code(), 3, "{names:?}: {ran:?}");
    }
    dir.assert_nothing_left();
}

#[test]
fn a_profile_that_is_wrong_is_refused_by_its_field() {
    let allow = |names: Value| json!({"names": names, "action": "SCMP_ACT_ALLOW"});
    let rule = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    let argument = |index: u64, op: &str| {
        rule(
            json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": index, "value": 1, "op": op}]}),
        )
    };
    for (seccomp, field) in [
        (json!({}), "/linux/seccomp"),
        (json!({"defaultAction": "SCMP_ACT_NEW"}), "/linux/seccomp/defaultAction"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}), "/linux/seccomp/defaultErrnoRet"),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NEW"]}),
            "/linux/seccomp/architectures/0",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW"]}),
            "/linux/seccomp/flags/0",
        ),
        (rule(allow(json!([]))), "/linux/seccomp/syscalls/0"),
        (
            rule(json!({"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 1})),
            "/linux/seccomp/syscalls/0/errnoRet",
        ),
        (
            rule(json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096})),
            "/linux/seccomp/syscalls/0/errnoRet",
        ),
        (argument(6, "SCMP_CMP_EQ"), "/linux/seccomp/syscalls/0/args/0/index"),
        (argument(0, "SCMP_CMP_NEW"), "/linux/seccomp/syscalls/0/args/0/op"),
    ] {
        let dir = Dir::new();
        let ran = bundle(&dir, "wrong", "echo ran", true, seccomp.clone()).run(&dir, &dir.id("wrong"));
        assert_eq!((ran.code(), ran.out.as_str()), (1, ""), "{seccomp}: {ran:?}");
        assert!(ran.err.contains(field), "{field}: {ran:?}");
        dir.assert_nothing_left();
    }
}
