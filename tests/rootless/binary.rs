//! pinfold's own binary, where the caller owns it: the program inside has the caller's id, and
//! must not be able to change what the caller runs next (CVE-2019-5736).

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use pinfold::seccomp::Profile;
use pinfold::sys::{prctl, seccomp};

use crate::support::{Place, copy_executable, processes_with, soon};

/// A kernel without Landlock, as far as a process can tell.
const NO_LANDLOCK: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["landlock_create_ruleset"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
}"#;

/// Starts it from a thread of its own, to which alone the filter applies.
fn start_without_landlock(mut command: Command) -> Child {
    let thread = std::thread::spawn(move || {
        let program = Profile::from_json(NO_LANDLOCK).unwrap().compile().unwrap();
        prctl::set_no_new_privs().unwrap();
        seccomp::seccomp_set_mode_filter(0, program.instructions()).unwrap();
        command.spawn().unwrap()
    });
    thread.join().unwrap()
}

/// What pinfold and its init are executed from, while the program sleeps.
fn executables(mut child: Child, mark: &str) -> (PathBuf, PathBuf) {
    let is_program =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    assert!(soon(|| processes_with(mark).iter().any(is_program)), "the program never came up");
    let pid = child.id();
    let init = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let exe = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let found = (exe(&pid.to_string()), exe(init.trim()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(soon(|| processes_with(mark).is_empty()), "the next would find this one's");
    found
}

#[test]
fn without_landlock_a_binary_that_the_program_could_write_is_not_what_runs() {
    let place = Place::new("binary");
    // A link would give away the program that was built.
    fs::remove_file(place.program()).unwrap();
    copy_executable(env!("CARGO_BIN_EXE_pinfold").as_ref(), &place.program());
    let mark = format!("{}.9", 100_000 + std::process::id());
    let sandbox = || {
        let mut command = place.pinfold(["sandbox", "--report", "report.json", "--", "sleep", &mark]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let here = (place.program(), place.program());
    assert_eq!(
        executables(start_without_landlock(sandbox()), &mark),
        here,
        "root's: the user cannot write it"
    );
    place.give("pinfold");
    let (outside, init) = executables(start_without_landlock(sandbox()), &mark);
    let sealed = PathBuf::from("/memfd:pinfold (deleted)");
    assert_eq!((outside, init), (sealed.clone(), sealed));
    assert_eq!(executables(sandbox().spawn().unwrap(), &mark), here, "the control: Landlock keeps it safe");
}

#[test]
fn a_missing_landlock_is_named() {
    let place = Place::new("no-landlock");
    let mut command = place.pinfold(["sandbox", "--report", "report.json", "--", "true"]);
    command.stderr(Stdio::null());
    assert_eq!(start_without_landlock(command).wait().unwrap().code(), Some(0));
    let report = place.report();
    assert!(report["controls"]["landlock_abi"].is_null());
    let degraded = report["degraded"].as_array().unwrap();
    assert!(degraded.iter().any(|text| text.as_str().unwrap().starts_with("landlock: ")), "{degraded:?}");
}
