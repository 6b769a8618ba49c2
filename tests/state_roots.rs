//! Promise: while a policy stands no verb believes a record in a state directory that the policy does not
//! list: who can plant files of root's there could have any process killed, joined or traced.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod policed;
mod support;

use policed::{ALLOWING, Policed, bind};

/// Every verb that reads a record. What ends the victim is the last.
const VERBS: &[&str] = &[
    "state $ID",
    "list | grep $ID",
    "ps $ID",
    "events --stats $ID",
    "exec $ID /bin/true",
    "pause $ID",
    "resume $ID",
    "update --pids-limit 9 $ID",
    "kill $ID USR2",
    "gc",
    "delete --force $ID",
];

#[test]
fn a_forged_record_is_believed_by_no_verb() {
    let host = Policed::new(ALLOWING);
    host.bundle("b", "sleep 60");
    // The record of a container that lives, in another place: what somebody with a directory of root's can write.
    let forge = "cp -a state forged; P=\"$PINFOLD --root $DIR/forged\"";
    host.shell("$P run --detach -b bundles/b $ID").ok();
    for verb in VERBS {
        let ran = host.shell(&format!("{forge}; $P {verb}; code=$?; rm -rf forged; exit $code"));
        assert!(ran.code() != 0, "{verb}: {ran:?}");
        assert!(ran.err.contains("(rule running.state_roots, ") && ran.out.is_empty(), "{verb}: {ran:?}");
        host.shell("$P state $ID | grep -q running").ok();
    }
    let start = host.shell("$P delete -f $ID; $P create -b bundles/b $ID; cp -a state forged; $PINFOLD --root $DIR/forged start $ID; code=$?; $P state $ID | grep -q created || exit 9; $P delete -f $ID; rm -rf forged; exit $code");
    assert!(start.code() == 1 && start.err.contains("(rule running.state_roots, "), "{start:?}");
    host.dir.assert_nothing_left();
}

/// Without the policy each verb acts on the forged record: the test above could fail.
#[test]
fn without_a_policy_each_verb_believes_it() {
    let host = Policed::new(ALLOWING);
    host.bundle("b", "sleep 60");
    host.shell("$P run --detach -b bundles/b $ID").ok();
    for verb in VERBS {
        host.unpoliced(&format!("rm -rf forged; cp -a state forged; $PINFOLD --root $DIR/forged {verb}"))
            .ok();
    }
    let killed = host.shell("$P state $ID | grep stopped; $P delete -f $ID; rm -rf forged");
    assert!(killed.out.contains("stopped"), "{killed:?}");
}

#[test]
fn a_listed_directory_must_be_root_s_alone() {
    let host = Policed::new(&ALLOWING.replace(
        "state_roots = [\"DIR/state\"]",
        "state_roots = [\"DIR/state\", \"DIR/work/state\", \"DIR/link/state\", \"DIR/open/state\"]",
    ));
    host.shell("mkdir -m 777 open; mkdir -m 700 open/state; ln -s open link; chown 1000 work; mkdir -m 700 work/state").ok();
    host.shell("$P list && $PINFOLD --root $DIR/state/. list").ok();
    for (root, told) in [
        ("$DIR/work/state", "is not root's alone"),
        ("$DIR/open/state", "is not root's alone"),
        ("$DIR/link/state", "openat2"),
        ("$DIR/state/../state", "running.state_roots"),
        ("state", "running.state_roots"),
        ("/run/pinfold", "running.state_roots"),
    ] {
        let ran = host.shell(&format!("$PINFOLD --root {root} list"));
        assert!(ran.code() == 1 && ran.err.contains(told), "{root}: {ran:?}");
    }
    host.policy(&ALLOWING.replace("[running]\nstate_roots = [\"DIR/state\"]\n", ""));
    let ran = host.shell("$P list");
    assert!(
        ran.code() == 1 && ran.err.contains("allowed: /run/pinfold)"),
        "by default root's own alone: {ran:?}"
    );
    // What was made before a policy that cannot be read must still be ended; nothing else is believed.
    host.policy("version = 2");
    let ran = host.shell("$P list");
    assert!(ran.code() == 1 && ran.err.contains("version 2"), "{ran:?}");
    host.shell("$PINFOLD list").ok();
}

/// What holds the records is never shown to a container, nor what holds that.
#[test]
fn the_records_are_never_mounted() {
    let granted = ALLOWING.replace("path = \"DIR/readable\"", "path = \"DIR\"\ncross_mounts = true");
    let host = Policed::new(&granted);
    let mut bundle = host.bundle("b", "echo ran");
    host.shell("$P list").ok();
    for (source, refused) in
        [("", true), ("state", true), ("state/x", true), ("readable", false), ("state2", false)]
    {
        host.dir.mkdir(&format!("{source}/"));
        bundle.edit(|config| {
            config["mounts"].as_array_mut().unwrap().pop();
            let source = host.dir.join(source).components().collect::<std::path::PathBuf>();
            let mount = bind(
                source.to_str().unwrap(),
                "/tmp",
                &["rbind", "ro", "rro", "nosuid", "nodev", "rnosuid", "rnodev"],
            );
            config["mounts"].as_array_mut().unwrap().push(mount);
        });
        let ran = host.shell("$P run -b bundles/b $ID");
        assert_eq!(ran.err.contains("(rule bind.state, "), refused, "{source}: {ran:?}");
        assert_eq!(ran.code() == 0, !refused, "{source}: {ran:?}");
    }
}
