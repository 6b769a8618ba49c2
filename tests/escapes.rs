//! Promise: pinfold holds against every attack of the lab, and the probe of each fires where the
//! configuration is weakened: `pinfold selftest escapes`, docs/escapes.md.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{Dir, PINFOLD, need_root, run};

/// What a kernel may be built without, or a host not have: then there is nothing to reach.
const MAY_BE_ABSENT: [&str; 7] = ["modules", "af-alg", "keyring", "device", "disk", "swap-device", "sysrq"];

fn report() -> Value {
    need_root();
    let output = Command::new(PINFOLD).args(["selftest", "escapes", "--json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn pinfold_holds_and_each_probe_is_alive() {
    let report = report();
    let mut faults = vec![];
    for row in report["attacks"].as_array().unwrap() {
        let (id, outcome) = (row["id"].as_str().unwrap(), row["outcome"].as_str().unwrap());
        let fired = row["control"]["outcome"] == "escaped";
        let absent = outcome == "not_applicable" && MAY_BE_ABSENT.contains(&id);
        if !(absent || outcome == "held" && fired) {
            faults.push(format!("{row:#}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/escapes.md")).unwrap();
    let ids = |text: &str| text.split('`').nth(1).map(str::to_owned);
    let rows = document.split("\n## Attacks\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let told: BTreeSet<_> = rows.lines().filter(|line| line.starts_with("| `")).filter_map(ids).collect();
    let tried = report["attacks"].as_array().unwrap().iter();
    let tried: BTreeSet<_> = tried.map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, tried);
}

#[test]
fn what_attacks_does_nothing_outside_of_the_lab() {
    let probe = |words: &[&str]| {
        let output = Command::new(PINFOLD).args(["selftest", "probe"]).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for words in [
        &["forks"][..],
        &["calls", "unshare"],
        &["signals"],
        &["overwrite"],
        &["exchange", "/a", "/b", "/tmp"],
        &["exchange", "/a", "/b"],
        &["hook", "/tmp/made", "/tmp"],
        &["terminal", "/tmp", "/bin/true"],
        &["terminal"],
        &["witness", "/tmp"],
    ] {
        assert!(probe(words).starts_with("refused: "), "{words:?}");
    }
    let inside = Command::new(PINFOLD).args(["selftest", "escapes", "--inside", "/tmp"]).output().unwrap();
    assert!(!inside.status.success() && inside.stdout.is_empty(), "{inside:?}");
}

#[test]
fn an_attack_that_is_none_is_an_error() {
    need_root();
    let ran = Command::new(PINFOLD).args(["selftest", "escapes", "--only", "nothing"]).output().unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success() && told.contains("\"nothing\" is no attack"), "{told}");
}

const UNDER: &str = r#"
mkdir "$DIR/etc"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
mkdir -p -m 755 /etc/pinfold
cat >/etc/pinfold/policy.toml <<'END'
version = 1
doors = ["create"]
END
"$1" sandbox -- true 2>&1 || echo refused
exec "$@"
"#;

/// What is tried is the runtime, not the policy that would refuse what the lab launches.
#[test]
fn a_policy_of_the_host_does_not_silence_the_lab() {
    need_root();
    let dir = Dir::new();
    let words = ["selftest", "escapes", "--json", "--only", "fork-bomb"];
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", UNDER, "sh", PINFOLD]);
    let ran = run(command.args(words).env("DIR", dir.path()));
    let out = ran.ok();
    let (refused, report) = out.split_once("refused\n").unwrap();
    assert!(refused.contains("refused by policy"), "{refused}");
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(
        (&report["attacks"][0]["outcome"], &report["attacks"][0]["control"]["outcome"]),
        (&"held".into(), &"escaped".into())
    );
}
