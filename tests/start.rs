//! Promise: a program that cannot be executed is told in the same words by `start` as by `run`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use serde_json::{Value, json};
use support::{Bundle, Dir, executable, need_root};

fn denies_execve(config: &mut Value) {
    config["process"]["noNewPrivileges"] = json!(true);
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    });
}

type Change = fn(&mut Value);

#[test]
fn start_tells_the_program_the_reason_and_the_hint_as_run_does() {
    need_root();
    let rows: [(&str, &str, Change, &[&str]); 3] = [
        (
            "no interpreter",
            "#!/no/such/interpreter\n",
            |_| (),
            &["exec: \"/bin/program\": no such file or directory", "its interpreter", "/process/args/0"],
        ),
        (
            "no format",
            "nothing that a kernel knows",
            |_| (),
            &["exec: \"/bin/program\": exec format error", "not a program of this architecture"],
        ),
        (
            "a filter",
            "#!/bin/sh\n",
            denies_execve,
            &["/process/args/0 /bin/program: execve: Operation not permitted"],
        ),
    ];
    for (name, text, change, said) in rows {
        let dir = Dir::new();
        let mut bundle = Bundle::new(&dir, "bundle", &["/bin/program"]);
        bundle.edit(change);
        let program = bundle.rootfs().join("bin/program");
        executable(&program, text);
        let run = bundle.run(&dir, &dir.id("run"));
        let id = dir.id("start");
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        let start = dir.pinfold(&["start", &id]);
        assert!(run.code() != 0 && start.code() != 0, "{name}: {run:?} {start:?}");
        for word in said {
            assert!(run.err.contains(word), "{name}: run does not say {word}: {run:?}");
            assert!(start.err.contains(word), "{name}: start does not say {word}: {start:?}");
        }
        dir.pinfold(&["delete", "--force", &id]).ok();
        dir.assert_nothing_left();
    }
}

/// A `start` whose hook hangs holds the container's lock; whoever forces the end does not wait for it.
#[test]
fn a_start_that_hangs_keeps_nobody_from_the_end() {
    need_root();
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    bundle.edit(|config| {
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "touch /tmp/begun; sleep 60"]});
        config["hooks"] = json!({"startContainer": [hook]});
        config["root"]["readonly"] = json!(false);
    });
    let id = dir.id("c");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    let start = support::start(&mut dir.command(&["start", &id]));
    support::await_that("the hook begins", || bundle.rootfs().join("tmp/begun").metadata().is_ok());
    let began = std::time::Instant::now();
    dir.pinfold(&["delete", "--force", &id]).ok();
    assert!(began.elapsed().as_secs() < 15, "it waited for the hook: {:?}", began.elapsed());
    let start = start.wait();
    assert!(start.code() != 0, "{start:?}");
    dir.assert_nothing_left();
}
