//! Promise: what a process inherits through fork and execve, a sandbox does not get from its caller.

#![allow(clippy::unwrap_used)]

mod launching;

use std::process::Command;

use launching::{Place, before_exec};
use pinfold::sys::sched::SchedAttr;
use serde_json::Value;

#[test]
fn limits_scores_and_personality_of_the_caller_stay_outside() {
    let place = Place::new();
    let shown =
        "ulimit -f; ulimit -s; ulimit -t; ulimit -v; cat /proc/self/oom_score_adj /proc/self/personality";
    let mut command = place.sandbox(&[], &["/bin/sh", "-c", shown]);
    before_exec(&mut command, || {
        use nix::sys::resource::{Resource, setrlimit};
        setrlimit(Resource::RLIMIT_FSIZE, 100 << 20, 200 << 20)?;
        setrlimit(Resource::RLIMIT_STACK, 1 << 20, 4 << 20)?;
        setrlimit(Resource::RLIMIT_CPU, 500, 600)?;
        // ADDR_NO_RANDOMIZE (linux/personality.h)
        pinfold::sys::personality::personality(0x0004_0000)?;
        std::fs::write("/proc/self/oom_score_adj", "700")
    });
    let ran = place.finish(command);
    // Not every root may raise a hard limit: then the caller's bounds hold.
    let expected = match pinfold::sys::caps::capget().unwrap().effective & 1 << 24 {
        0 => "409600\n4096\n600\nunlimited\n0\n00000000\n",
        _ => "unlimited\n8192\nunlimited\nunlimited\n0\n00000000\n",
    };
    assert_eq!(ran.stdout, expected, "{ran:?}");
}

/// What a process can hand on by prctl(2), sched(7), ioprio_set(2) and set_mempolicy(2), and what
/// of it a program finds. Timer slack, huge pages, MCE policy and KSM by their PR_GET numbers.
const ATTRIBUTES: &str = r#"
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
mode = ctypes.c_int(-1)
libc.syscall(239, ctypes.byref(mode), None, 0, None, 0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "policy": os.sched_getscheduler(0), "nice": os.nice(0), "cpus": sorted(os.sched_getaffinity(0)),
    "io": libc.syscall(252, 1, 0) >> 13, "slack": libc.prctl(30, 0, 0, 0, 0), "thp": libc.prctl(42, 0, 0, 0, 0),
    "mce": libc.prctl(34, 0, 0, 0, 0), "merge": libc.prctl(68, 0, 0, 0, 0), "numa": mode.value,
    "flusher": int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[6]) & 0x180000,
    "securebits": libc.prctl(27, 0, 0, 0, 0),
}))
"#;

/// Spoils every one of them; raising what only privilege brings back, too.
fn spoil_attributes() -> std::io::Result<()> {
    use pinfold::sys::{ioprio, mempolicy, prctl, sched};
    sched::sched_setaffinity(0, &[1])?;
    sched::sched_setattr(0, &SchedAttr { policy: 1, priority: 7, ..Default::default() })?;
    ioprio::ioprio_set(0, ioprio::IOPRIO_CLASS_RT, 3)?;
    prctl::set_timerslack(7_000_000)?;
    prctl::set_thp_disable(true)?;
    // Both only where this kernel and this root have them.
    prctl::set_memory_merge(true).ok();
    prctl::set_io_flusher(true).ok();
    // SAFETY: PR_MCE_KILL takes numbers; PR_MCE_KILL_SET, PR_MCE_KILL_EARLY.
    #[expect(unsafe_code, reason = "prctl(2) is the caller's state under test")]
    let set = unsafe { libc::prctl(libc::PR_MCE_KILL, 1, 1, 0, 0) };
    assert_eq!(set, 0);
    prctl::set_securebits(1 << 1 | 1 << 2)?;
    Ok(mempolicy::set_mempolicy(mempolicy::MPOL_BIND, &[1], 65)?)
}

#[test]
fn no_inherited_attribute_of_the_caller_gets_in() {
    let place = Place::new();
    let python = ["/usr/bin/python3", "-I", "-S", "-c", ATTRIBUTES];
    let shown = |mut command: Command, spoil: fn() -> std::io::Result<()>| -> Value {
        before_exec(&mut command, spoil);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        serde_json::from_slice(&ran.stdout).unwrap()
    };
    // The built-in filter lets nobody ask for the NUMA policy.
    let sandbox = || place.sandbox(&["--security-opt", "seccomp=unconfined"], &python);
    let all: Vec<usize> = (0..std::thread::available_parallelism().unwrap().get()).collect();
    let mut clean = serde_json::json!({
        "policy": 0, "nice": 0, "cpus": all, "io": 0, "slack": 50_000, "thp": 0, "mce": 2, "merge": 0,
        "numa": 0, "flusher": 0, "securebits": 0,
    });
    let spoilt = shown(sandbox(), spoil_attributes);
    // A kernel without KSM knows no such question.
    if spoilt["merge"] == -1 {
        clean["merge"] = (-1).into();
    }
    assert_eq!(spoilt, clean);
    let nice = || {
        Ok(pinfold::sys::sched::sched_setattr(0, &SchedAttr { policy: 3, nice: 12, ..Default::default() })?)
    };
    assert_eq!(shown(sandbox(), nice), clean);

    // The control: without a sandbox every one of them is handed on.
    let mut bare = Command::new(python[0]);
    bare.args(&python[1..]);
    let handed_on = shown(bare, spoil_attributes);
    for (name, clean) in clean.as_object().unwrap() {
        let may_be_absent = ["merge", "flusher", "nice"].contains(&name.as_str());
        assert!(may_be_absent || handed_on[name] != *clean, "{name}: {handed_on}");
    }
}
