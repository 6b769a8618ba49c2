//! A part of a pure cgroup v2 tree that is delegated to the user (cgroup-v2.rst, "Delegation"),
//! in a mount namespace where nothing else is mounted at /sys/fs/cgroup.

use std::fs;

use serde_json::Value;

use crate::mounts::PRIVATE;
use crate::support::{Place, UID, processes_with, run, soon};

/// Makes `$GROUP`, the user's, with the script in a leaf of it, and takes all of it away again.
const DELEGATED: &str = "
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
GROUP=/sys/fs/cgroup/pinfold-test-$$
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
leave() {
    echo $$ >/sys/fs/cgroup$own/cgroup.procs
    find $GROUP -depth -type d -exec rmdir {} +
}
trap leave EXIT
mkdir -p $GROUP/leaf
for group in $GROUP $GROUP/leaf; do
    chown USER $group $group/cgroup.procs $group/cgroup.subtree_control $group/cgroup.threads
done
echo $$ >$GROUP/leaf/cgroup.procs
";

fn in_delegated(place: &Place, script: &str) -> std::process::Command {
    let text = DELEGATED.replace("USER", &format!("{UID}:{UID}")) + script;
    place.root_script(PRIVATE, &text)
}

#[test]
fn a_sandbox_has_a_group_of_its_own_in_the_delegated_part() {
    let place = Place::new("delegated");
    let mark = format!("{}.7", 100_000 + std::process::id());
    // Seen from outside while it runs: every process is in the sandbox's own group.
    let script = format!(
        "$USER_DO $PINFOLD sandbox --report report.json --timeout 20 -- sh -c 'setsid sleep {mark} & sleep {mark}' & \
         while [ $(pgrep -cf '^sleep {mark}$') != 2 ]; do sleep 0.05; done; \
         for pid in $(pgrep -f '^sleep {mark}$'); do sed -n 's/^0:://p' /proc/$pid/cgroup; done; \
         echo 1 >$(echo $GROUP/pinfold-sandbox-*)/cgroup.kill; wait $! || echo \"code $?\"; find $GROUP -mindepth 1 -type d"
    );
    let ran = run(in_delegated(&place, &script)).exits(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}\n{}", ran.out, ran.err);
    assert!(lines[0].contains("/pinfold-sandbox-") && lines[0] == lines[1], "{}", ran.out);
    assert_eq!(lines[2], "code 137");
    assert!(lines[3].ends_with("/leaf"), "only the leaf that the test made is left: {}", ran.out);
    assert_eq!(place.report()["controls"]["cgroup"], lines[0]);
}

#[test]
fn a_timeout_and_kill_9_end_everything_in_the_group() {
    let place = Place::new("delegated-kill");
    let mark = format!("{}.8", 100_000 + std::process::id());
    let program = format!("trap '' TERM; setsid sleep {mark} & sleep {mark}");
    let script = format!(
        "$USER_DO $PINFOLD sandbox --timeout 300ms --grace 100ms -- sh -c \"{program}\" || echo \"code $?\"; \
         pgrep -f '^sleep {mark}$'; find $GROUP -mindepth 1 -type d | wc -l; \
         $USER_DO $PINFOLD sandbox -- sh -c \"{program}\" & \
         while [ $(pgrep -cf '^sleep {mark}$') != 2 ]; do sleep 0.05; done; kill -9 $!; \
         for try in 1 2 3 4 5 6 7 8 9 10; do pgrep -f '^sleep {mark}$' || break; sleep 0.2; done"
    )
    .replace("; pgrep -f", "; ! pgrep -f");
    let ran = run(in_delegated(&place, &script)).exits(0);
    assert_eq!(ran.out.lines().take(2).collect::<Vec<_>>(), ["code 124", "1"], "{}", ran.err);
    assert!(soon(|| processes_with(&mark).is_empty()), "{}\n{}", ran.out, ran.err);
}

/// Limits that the caller's part of the tree cannot give are named, and refused when asked for;
/// `doctor` says the same.
#[test]
fn the_doctor_and_a_launch_agree_about_limits() {
    let place = Place::new("agree");
    let script = "$USER_DO $PINFOLD doctor --json >doctor.json; $USER_DO $PINFOLD sandbox --report report.json -- true";
    for delegated in [false, true] {
        let command = match delegated {
            true => in_delegated(&place, script),
            false => place.root_script(&[], script),
        };
        run(command).exits(0);
        let doctor: Value =
            serde_json::from_slice(&fs::read(place.path("own/doctor.json")).unwrap()).unwrap();
        assert_eq!(doctor["ready"], true);
        let missing = |name: &str| {
            let checks = doctor["checks"].as_array().unwrap();
            checks.iter().find(|check| check["name"] == name).unwrap()["ok"] == false
        };
        let report = place.report();
        let degraded = report["degraded"].as_array().unwrap();
        let pairs = [
            ("controller memory", "memory limit: "),
            ("controller pids", "pids limit: "),
            ("controller cpu", "cpu limit: "),
            ("own host ids", "own host ids: "),
            ("Landlock", "landlock: "),
        ];
        for (check, text) in pairs {
            let named = degraded.iter().any(|named| named.as_str().unwrap().starts_with(text));
            assert_eq!(missing(check), named, "delegated {delegated}: {check}: {degraded:?}");
        }
        assert_eq!(missing("cgroups"), report["controls"]["cgroup"].is_null(), "delegated {delegated}");
    }
}

#[test]
fn a_limit_that_was_asked_for_and_cannot_be_had_is_an_error() {
    let place = Place::new("limits");
    for option in [["--memory", "64m"], ["--pids-limit", "7"], ["--cpus", "1"], ["--cpuset-cpus", "0"]] {
        let words = ["sandbox"].iter().chain(&option).chain(&["--", "echo", "ran"]);
        let ran = run(place.pinfold(words)).exits(121).says(&["hint: "]);
        assert_eq!(ran.out, "", "{option:?}");
    }
}
