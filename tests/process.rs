//! Promise: what `process` and `linux` say of the program's scheduling, memory policy, limits and
//! rights is so, seen from inside; what cannot be is an error that names the field.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use support::{Bundle, Dir, await_that};

/// Scheduling policy, real-time priority and nice value of the shell itself, without a fork
/// (proc_pid_stat(5), fields 41, 40 and 19); its I/O priority, its CPUs.
const SCHEDULING: &str = r#"
read line < /proc/$$/stat; set -- ${line##*) }; echo "policy=${39} priority=${38} nice=${17}"
"#;

#[track_caller]
fn with(dir: &Dir, script: &str, change: impl FnOnce(&mut Value)) -> support::Ran {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("bundle-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut bundle = Bundle::script(dir, &name, script);
    bundle.edit(change).run(dir, &dir.id("process"))
}

/// An error that names the field, and nothing left behind.
#[track_caller]
fn refused(change: impl FnOnce(&mut Value), words: &str) {
    let dir = Dir::new();
    let ran = with(&dir, "exit 0", change);
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.err.contains("error") && ran.err.contains(words), "{words}: {ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn every_policy_that_the_kernel_has_is_in_force() {
    let dir = Dir::new();
    for (scheduler, seen) in [
        (json!({"policy": "SCHED_OTHER", "nice": 7}), "policy=0 priority=0 nice=7\n"),
        (json!({"policy": "SCHED_OTHER", "nice": -7}), "policy=0 priority=0 nice=-7\n"),
        (json!({"policy": "SCHED_BATCH", "nice": 19}), "policy=3 priority=0 nice=19\n"),
        (json!({"policy": "SCHED_IDLE"}), "policy=5 priority=0 nice=0\n"),
        (json!({"policy": "SCHED_FIFO", "priority": 3}), "policy=1 priority=3 nice=0\n"),
        (json!({"policy": "SCHED_RR", "priority": 99}), "policy=2 priority=99 nice=0\n"),
        (
            json!({"policy": "SCHED_FIFO", "priority": 4, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
            "policy=1 priority=4 nice=0\n",
        ),
        (
            json!({"policy": "SCHED_BATCH", "nice": 4, "flags": ["SCHED_FLAG_KEEP_POLICY"]}),
            "policy=0 priority=0 nice=4\n",
        ),
        (
            json!({"policy": "SCHED_BATCH", "nice": 4, "flags": ["SCHED_FLAG_KEEP_PARAMS"]}),
            "policy=0 priority=0 nice=0\n",
        ),
        (
            json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 5_000_000, "period": 10_000_000,
                "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]}),
            "policy=6 priority=0 nice=0\n",
        ),
    ] {
        let ran = with(&dir, SCHEDULING, |config| {
            config["process"]["scheduler"] = scheduler.clone();
            // Where real time is divided among the v1 groups, a group begins with none.
            if fs::exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").unwrap() {
                config["linux"]["resources"]["cpu"] =
                    json!({"realtimePeriod": 1_000_000, "realtimeRuntime": 5000});
            }
        });
        assert_eq!(ran.ok(), seen, "{scheduler}");
    }
    dir.assert_nothing_left();
}

#[test]
fn a_scheduler_that_no_kernel_has_is_refused_by_name() {
    for (scheduler, words) in [
        (json!({"policy": "SCHED_ISO"}), "/process/scheduler"),
        (json!({"policy": "SCHED_DEADLINE"}), "/process/scheduler"),
        (json!({"policy": "SCHED_NEW"}), "/process/scheduler/policy"),
        (json!({"policy": "SCHED_OTHER", "nice": 20}), "/process/scheduler/nice"),
        (json!({"policy": "SCHED_OTHER", "flags": ["SCHED_RESET_ON_FORK"]}), "/process/scheduler/flags/0"),
        (json!({}), "/process/scheduler"),
    ] {
        refused(|config| config["process"]["scheduler"] = scheduler, words);
    }
}

#[test]
fn the_io_priority_is_in_force() {
    let dir = Dir::new();
    for (class, level, seen) in
        [("IDLE", 0, "idle\n"), ("BE", 6, "best-effort: prio 6\n"), ("RT", 2, "realtime: prio 2\n")]
    {
        let priority = json!({"class": format!("IOPRIO_CLASS_{class}"), "priority": level});
        let ran = with(&dir, "busybox ionice -p 1", |config| config["process"]["ioPriority"] = priority);
        assert_eq!(ran.ok(), seen);
    }
    for (priority, words) in [
        (json!({"class": "IOPRIO_CLASS_BE", "priority": 8}), "/process/ioPriority/priority"),
        (json!({"class": "IOPRIO_CLASS_NEW", "priority": 1}), "/process/ioPriority/class"),
    ] {
        refused(|config| config["process"]["ioPriority"] = priority, words);
    }
}

#[test]
fn the_memory_policy_is_in_force() {
    let dir = Dir::new();
    let policies = "while read -r place policy rest; do echo $policy; break; done < /proc/1/numa_maps";
    for (policy, seen) in [
        (json!({"mode": "MPOL_DEFAULT"}), "default\n"),
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0\n"),
        (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}), "bind=static:0\n"),
        (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}), "bind=relative:0\n"),
        (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}), "interleave:0\n"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0\n"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": ""}), "local\n"),
        (json!({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}), "prefer\n"),
        (json!({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}), "weighted\n"),
        (json!({"mode": "MPOL_LOCAL"}), "local\n"),
    ] {
        let ran = with(&dir, policies, |config| config["linux"]["memoryPolicy"] = policy.clone());
        assert_eq!(ran.ok(), seen, "{policy}");
    }
    for (policy, words) in [
        (json!({"mode": "MPOL_BIND", "nodes": "0-"}), "/linux/memoryPolicy/nodes"),
        (json!({"mode": "MPOL_BIND", "nodes": "900"}), "/linux/memoryPolicy"),
        (json!({"mode": "MPOL_DEFAULT", "nodes": "0"}), "/linux/memoryPolicy"),
        (json!({"mode": "MPOL_NEW"}), "/linux/memoryPolicy/mode"),
        (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NEW"]}), "/linux/memoryPolicy/flags/0"),
    ] {
        refused(|config| config["linux"]["memoryPolicy"] = policy, words);
    }
}

#[test]
fn exec_runs_on_the_cpus_that_are_named() {
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["sleep", "30"]);
    let id = dir.id("cpus");
    let seen = |args: &[&str]| {
        let ran = dir
            .pinfold(&[&["exec"], args, &[&id, "grep", "Cpus_allowed_list", "/proc/self/status"]].concat());
        ran.ok().trim().rsplit('\t').next().unwrap().to_owned()
    };
    bundle.edit(|config| config["process"]["execCPUAffinity"] = json!({"final": "0"}));
    dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), &id]).ok();
    let own = fs::read_to_string(format!("/proc/{}/status", pid_of(&dir, &id))).unwrap();
    assert!(
        own.contains(&format!("Cpus_allowed_list:\t{}", all_cpus())),
        "the first process is not concerned"
    );
    assert_eq!(seen(&[]), "0", "what the configuration says holds for exec");
    for (affinity, cpus) in [
        (json!({"initial": "0"}), "0".to_owned()),
        (json!({"initial": "0", "final": ""}), "0".to_owned()),
        (json!({"initial": "0", "final": "1"}), "1".to_owned()),
        (json!({"final": "0-1"}), "0-1".to_owned()),
        (json!({"initial": "", "final": ""}), all_cpus()),
    ] {
        let mut process = bundle.config["process"].clone();
        process["args"] = json!(["grep", "Cpus_allowed_list", "/proc/self/status"]);
        process["execCPUAffinity"] = affinity.clone();
        let file = dir.write("process.json", &process.to_string());
        let ran = dir.pinfold(&["exec", "--process", file.to_str().unwrap(), &id]);
        assert_eq!(ran.ok().trim().rsplit('\t').next().unwrap(), cpus, "{affinity}");
    }
    let mut process = bundle.config["process"].clone();
    process["execCPUAffinity"] = json!({"final": "8000"});
    let file = dir.write("process.json", &process.to_string());
    let ran = dir.pinfold(&["exec", "--process", file.to_str().unwrap(), &id]);
    assert_eq!(ran.code(), 255);
    assert!(ran.err.contains("/process/execCPUAffinity/final"), "{ran:?}");
    dir.pinfold(&["delete", "--force", &id]).ok();
    for text in ["x", "1-0", "0-", "8192"] {
        refused(
            |config| config["process"]["execCPUAffinity"] = json!({"initial": text}),
            "/process/execCPUAffinity/initial",
        );
    }
    dir.assert_nothing_left();
}

fn pid_of(dir: &Dir, id: &str) -> String {
    let state: Value = serde_json::from_str(dir.pinfold(&["state", id]).ok()).unwrap();
    state["pid"].to_string()
}

fn all_cpus() -> String {
    fs::read_to_string("/sys/devices/system/cpu/online").unwrap().trim().to_owned()
}

#[test]
fn a_container_is_not_bound_to_its_caller_s_cpus() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "grep Cpus_allowed_list /proc/self/status");
    let bound = "exec taskset 1 \"$PINFOLD\" --root \"$ROOT\" run --bundle bundle \"$0\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", bound, &dir.id("bound")]).current_dir(dir.path());
    let ran = support::run(command.env("PINFOLD", support::PINFOLD).env("ROOT", dir.state_root()));
    assert_eq!(ran.ok(), format!("Cpus_allowed_list:\t{}\n", all_cpus()));
    drop(bundle);
}

/// Limits as another user than pinfold's: below what pinfold has, and hard limits too.
#[test]
fn a_process_of_another_user_has_its_limits() {
    let dir = Dir::new();
    let limits = json!([
        {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 1024}, {"type": "RLIMIT_FSIZE", "soft": 4096, "hard": 8192},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_NPROC", "soft": 50, "hard": 60},
        {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 8 << 20},
    ]);
    let shown = "id -u; ulimit -Sn; ulimit -Hn; ulimit -f; ulimit -Su; ulimit -Hu; ulimit -Ss; ulimit -Hs";
    let expected = "1000\n64\n1024\n8\n50\n60\n1024\n8192\n";
    let change = |no_new_privs: bool| {
        let limits = limits.clone();
        move |config: &mut Value| {
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            config["process"]["noNewPrivileges"] = json!(no_new_privs);
            config["process"]["rlimits"] = limits;
        }
    };
    for no_new_privs in [true, false] {
        assert_eq!(with(&dir, shown, change(no_new_privs)).ok(), expected);
    }
    // `create` and `start`, and a further program: `accept` and the records still work.
    let mut bundle = Bundle::script(&dir, "waiting", &format!("{{ {shown}; }} > /tmp/seen; sleep 30"));
    fs::set_permissions(bundle.rootfs().join("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o1777))
        .unwrap();
    bundle.edit(change(true));
    bundle.edit(|config| config["root"]["readonly"] = json!(false));
    let id = dir.id("waiting");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["start", &id]).ok();
    let seen = bundle.rootfs().join("tmp/seen");
    await_that("the limits are written", || fs::read_to_string(&seen).is_ok_and(|text| text == expected));
    assert_eq!(dir.pinfold(&["exec", &id, "sh", "-c", shown]).ok(), expected);
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

#[test]
fn a_limit_that_cannot_be_had_is_refused_by_its_field() {
    let limit = |typ: &str, soft: u64, hard: u64| json!({"type": typ, "soft": soft, "hard": hard});
    for (limits, words) in [
        (json!([limit("RLIMIT_NEW", 1, 1)]), "/process/rlimits/0/type"),
        (json!([limit("RLIMIT_CPU", 9, 9), limit("RLIMIT_CPU", 9, 9)]), "/process/rlimits/1/type"),
        (json!([limit("RLIMIT_CPU", 9, 8)]), "/process/rlimits/0/soft"),
        // Above fs.nr_open, which nobody may have.
        (json!([limit("RLIMIT_NOFILE", 9, 1 << 62)]), "/process/rlimits/0"),
    ] {
        for uid in [0, 1000] {
            let limits = limits.clone();
            refused(
                move |config| {
                    config["process"]["user"] = json!({"uid": uid, "gid": uid});
                    config["process"]["rlimits"] = limits;
                },
                words,
            );
        }
    }
}

#[test]
fn what_cannot_be_granted_is_a_warning_and_is_not_there() {
    let dir = Dir::new();
    let caps = json!(["CAP_KILL", "CAP_SYS_RESOURCE", "CAP_NEW"]);
    let shown = "while read -r name value; do case $name in CapEff:|CapBnd:) echo $value;; esac; done < /proc/self/status";
    let mut bundle = Bundle::script(&dir, "bundle", shown);
    bundle.edit(|config| {
        config["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    });
    let has = pinfold::sys::caps::capget().unwrap().permitted & 1 << 24 != 0;
    let seen = if has { "0000000001000020\n" } else { "0000000000000020\n" }.repeat(2);
    let ran = bundle.run(&dir, &dir.id("caps"));
    assert_eq!(ran.ok(), seen);
    assert!(ran.err.contains("warning") && ran.err.contains("CAP_NEW"), "{ran:?}");
    assert_eq!(ran.err.contains("CAP_SYS_RESOURCE"), !has, "{ran:?}");
    // With a log, the program's stderr stays its own.
    let log = dir.text("log");
    let ran = dir.pinfold(&[
        "--log",
        &log,
        "--log-format",
        "json",
        "run",
        "--bundle",
        bundle.text(),
        &dir.id("log"),
    ]);
    assert_eq!((ran.ok(), ran.err.as_str()), (seen.as_str(), ""));
    let line: Value =
        serde_json::from_str(fs::read_to_string(&log).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "warning");
    assert!(line["msg"].as_str().unwrap().contains("CAP_NEW"), "{line}");
}

#[test]
fn the_score_is_set_or_left_alone() {
    let dir = Dir::new();
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let show = "cat /proc/self/oom_score_adj";
    assert_eq!(with(&dir, show, |_| ()).ok(), own, "absent: untouched");
    assert_eq!(with(&dir, show, |config| config["process"]["oomScoreAdj"] = json!(321)).ok(), "321\n");
    for score in [1001, -1001] {
        refused(|config| config["process"]["oomScoreAdj"] = json!(score), "/process/oomScoreAdj");
    }
}

#[test]
fn umask_and_personality_are_in_force() {
    let dir = Dir::new();
    for (umask, seen) in [(json!(0o027), "0027\n"), (json!(0), "0000\n"), (Value::Null, "0022\n")] {
        let ran = with(&dir, "umask", |config| config["process"]["user"]["umask"] = umask);
        assert_eq!(ran.ok(), seen);
    }
    let show = "cat /proc/self/personality";
    for (domain, seen) in [("LINUX", "00000000\n"), ("LINUX32", "00000008\n")] {
        let ran = with(&dir, show, |config| config["linux"]["personality"] = json!({"domain": domain}));
        assert_eq!(ran.ok(), seen);
    }
    let flags = json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]});
    refused(|config| config["linux"]["personality"] = flags, "/linux/personality/flags");
    refused(|config| config["linux"]["personality"] = json!({"domain": "BSD"}), "/linux/personality/domain");
}

/// A shell's `<(...)` is a pipe of the caller's. What pinfold itself has open is not to be had by its number.
#[test]
fn a_process_comes_from_a_descriptor_of_the_callers() {
    let dir = Dir::new();
    let bundle = Bundle::script(&dir, "bundle", "sleep 100");
    let id = dir.id("described");
    dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), &id]).ok();
    let mut process = bundle.config["process"].clone();
    process["args"] = json!(["/bin/sh", "-c", "echo read"]);
    let file = dir.write("process.json", &process.to_string());
    let exec = |name: &str| {
        let mut command = Command::new("sh");
        let script = "cat \"$1\" | { exec 7<&0 3<&- 4<&- 5<&- 6<&- 8<&- 9<&-; \"$2\" --root \"$3\" exec --process $4 $5; }";
        command.args(["-c", script, "sh"]).arg(&file).arg(support::PINFOLD).arg(dir.state_root());
        support::run(command.args([name, &id]))
    };
    for name in ["/dev/stdin", "/dev/fd/0", "/dev/fd/7", "/proc/self/fd/7"] {
        assert_eq!(exec(name).ok(), "read\n", "{name}");
    }
    let ran = dir.pinfold(&["--log", "/dev/stdout", "--log-format", "json", "start", "none"]);
    assert!(ran.out.contains("\"level\":\"error\"") && ran.out.ends_with("}\n"), "{ran:?}");
    for number in (3..7).chain(8..10) {
        let ran = exec(&format!("/dev/fd/{number}"));
        assert!(
            ran.code() == 255 && ran.err.contains("EBADF") && ran.err.contains("hint: "),
            "{number}: {ran:?}"
        );
    }
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}
