//! Promise: no way leads around the policy. From a launch that is allowed, one step over each rule of
//! docs/policy.md is refused by that rule, and so is every known trick, with nothing run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "bypass/steps.rs"]
mod steps;
#[path = "bypass/tricks.rs"]
mod tricks;
mod policed;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use policed::{ALLOWING, Policed};
use serde_json::Value;
use steps::{ELSEWHERE, STEPS};
use tricks::TRICKS;

/// Objects that the rows name, made in the script's own mount namespace.
const OBJECTS: &str = r#"
chmod 777 work; mkdir -p readable/mounted readable/proc netns state
mount -t tmpfs tmpfs readable/mounted; mkdir readable/mounted/x; mount -t proc proc readable/proc
touch netns/host; mount --bind /proc/self/ns/net netns/host; ln -sfn host netns/link
mkdir -p /run/pinfold; mount -t tmpfs tmpfs /run/pinfold; chmod 700 /run/pinfold
"#;

fn host() -> Policed {
    let host = Policed::new(ALLOWING);
    let dir = &host.dir;
    host.bundle("b", "echo ran");
    dir.write("secret/file", "secret");
    for name in ["workshop", "WORK", "linked-to"] {
        dir.mkdir(name);
    }
    fs::hard_link(dir.join("secret/file"), dir.join("readable/hard")).unwrap();
    for (link, target) in [
        ("work/link", "../secret"),
        ("work/up", ".."),
        ("work/inside", "below"),
        ("work/magic", "/proc/self/root"),
        ("linked", "work"),
        ("bundles/link", "b"),
    ] {
        std::os::unix::fs::symlink(target, dir.join(link)).unwrap();
    }
    nix::unistd::mkfifo(&dir.join("readable/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    support::executable(dir.join("hooks/h"), "#!/bin/sh\n");
    std::os::unix::fs::symlink("h", dir.join("hooks/link")).unwrap();
    host
}

fn configuration(host: &Policed) -> Value {
    serde_json::from_slice(&fs::read(host.dir.join("bundles/b/config.json")).unwrap()).unwrap()
}

fn write(host: &Policed, config: &Value) {
    fs::write(host.dir.join("bundles/b/config.json"), config.to_string()).unwrap();
}

#[test]
fn one_step_over_each_rule_is_refused_by_that_rule() {
    let host = host();
    let plain = configuration(&host);
    let allowed = host.shell(&format!("{OBJECTS} $P policy check bundles/b && $P run -b bundles/b $ID"));
    assert!(allowed.ok().starts_with("allowed") && allowed.out.ends_with("ran\n"), "{allowed:?}");
    for step in STEPS {
        let mut policy = ALLOWING.to_owned();
        for (from, to) in step.policy {
            assert!(from.is_empty() || policy.contains(from), "{}: {from}", step.rule);
            policy = if from.is_empty() { format!("{policy}\n{to}\n") } else { policy.replacen(from, to, 1) };
        }
        host.policy(&policy);
        let mut config = plain.clone();
        (step.edit)(&mut config, host.dir.path().to_str().unwrap());
        write(&host, &config);
        let ran = host.shell(&format!("{OBJECTS} {}", step.script));
        let told = format!("{}{}", ran.out, ran.err);
        assert!(told.contains(&format!("(rule {}, ", step.rule)), "{}: {ran:?}", step.rule);
        assert!(!told.contains("ran\n"), "{}: something ran: {ran:?}", step.rule);
    }
    host.dir.assert_nothing_left();
}

/// The rules as the judge spells them, in the documents, and in the table above.
#[test]
fn every_rule_is_documented_and_stepped_over() {
    let rules = rules();
    assert!(rules.len() > 80, "the sources are read: {rules:?}");
    let documents =
        ["docs/policy.md", "docs/callers.md"].map(|name| fs::read_to_string(place(name)).unwrap()).concat();
    let undocumented: Vec<_> =
        rules.iter().filter(|rule| !documents.contains(&format!("`{rule}`"))).collect();
    assert!(undocumented.is_empty(), "rules that no document names: {undocumented:?}");
    let mut stepped: BTreeSet<_> = STEPS.iter().map(|step| step.rule.to_owned()).collect();
    for (rule, case) in ELSEWHERE {
        assert!(fs::read_to_string(place(case)).unwrap().contains(rule), "{rule}: {case}");
        stepped.insert((*rule).to_owned());
    }
    let untried: Vec<_> = rules.difference(&stepped).collect();
    assert!(untried.is_empty(), "rules without a step over them: {untried:?}");
    let unknown: Vec<_> = stepped.difference(&rules).collect();
    assert!(unknown.is_empty(), "steps over rules that are not there: {unknown:?}");
}

fn place(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Every text in the judge's sources that has a rule's form.
fn rules() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in fs::read_dir(place("src/policy/judge")).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        let texts = text.split('"').skip(1).step_by(2);
        let is_rule = |text: &&str| {
            let plain = |part: &str| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            };
            let form = text.split_once('.').is_some_and(|(section, key)| plain(section) && plain(key));
            form || matches!(*text, "doors" | "degraded" | "profile")
        };
        found.extend(texts.filter(is_rule).map(str::to_owned));
    }
    found
}

#[test]
fn no_trick_leads_around_a_rule() {
    let host = host();
    let plain = configuration(&host);
    let dir = host.dir.path().to_str().unwrap().to_owned();
    let mut all: Vec<(String, &str, Value)> = vec![];
    for (what, rule, edit) in TRICKS {
        let mut config = plain.clone();
        edit(&mut config, &dir);
        all.push(((*what).to_owned(), rule, config));
    }
    // A link in the place of each component of a granted source.
    let source = host.dir.join("work/below");
    let parts: Vec<_> = source.components().collect();
    for cut in 1..=parts.len() {
        let (above, below) = parts.split_at(cut);
        let (above, below): (std::path::PathBuf, std::path::PathBuf) =
            (above.iter().collect(), below.iter().collect());
        let link = host.dir.join(&format!("work/to{cut}"));
        std::os::unix::fs::symlink(&above, &link).unwrap();
        let mut config = plain.clone();
        let path = if below.as_os_str().is_empty() { link } else { link.join(below) };
        config["mounts"].as_array_mut().unwrap().last_mut().unwrap()["source"] =
            path.to_str().unwrap().into();
        all.push((format!("a link to {}", above.display()), "bind.link", config));
    }
    for (what, rule, config) in all {
        write(&host, &config);
        let ran = host.shell(&format!("{OBJECTS} $P run -b bundles/b $ID"));
        let told = rule.is_empty() || ran.err.contains(&format!("(rule {rule}, "));
        assert!(told && ran.code() != 0 && ran.out.is_empty(), "{what}: {rule}: {ran:?}");
    }
    host.dir.assert_nothing_left();
}

/// What comes after the launch: the flags of `exec`, `update`, and other verbs' options.
#[test]
fn no_later_verb_leads_around_a_rule() {
    let host = host();
    let mut config = configuration(&host);
    config["process"]["args"] = serde_json::json!(["/bin/sleep", "60"]);
    config["process"]["rlimits"] = serde_json::json!([]);
    write(&host, &config);
    host.dir.write("unified.json", r#"{"unified": {"pids.max": "max"}}"#);
    let mut process = config["process"].clone();
    process["args"] = serde_json::json!(["/bin/sh", "-c", "echo ran"]);
    process["noNewPrivileges"] = false.into();
    host.dir.write("process.json", &process.to_string());
    host.shell("$P run --detach -b bundles/b $ID").ok();
    for (line, rule) in [
        ("exec --cap CAP_SYS_ADMIN $ID /bin/sh -c 'echo ran'", "exec.capabilities"),
        ("exec --user 7 $ID /bin/sh -c 'echo ran'", "exec.users"),
        ("exec --user 1000:7 $ID /bin/sh -c 'echo ran'", "user.gids"),
        ("exec --additional-gids 7 $ID /bin/sh -c 'echo ran'", "user.gids"),
        ("exec --cwd /proc/self/fd/3 $ID /bin/sh -c 'echo ran'", "process.cwd"),
        ("exec --cwd /proc/1/root $ID /bin/sh -c 'echo ran'", "process.cwd"),
        ("exec --env LD_PRELOAD=/x $ID /bin/sh -c 'echo ran'", "process.environment"),
        ("exec --env path=/x $ID /bin/sh -c 'echo ran'", "process.environment"),
        ("exec --process process.json $ID", "exec.no_new_privs"),
        ("update --pids-limit -1 $ID", "limits.pids"),
        ("update --pids-limit 65 $ID", "limits.pids"),
        ("update -r unified.json $ID", "limits.unified"),
        ("update --cpu-rt-runtime 1000 $ID", "limits.realtime"),
    ] {
        let ran = host.shell(&format!("$P {line}"));
        let told = ran.err.contains(&format!("(rule {rule}, "));
        assert!(told && ran.code() != 0 && !ran.out.contains("ran"), "{line}: {rule}: {ran:?}");
    }
    let out = host.shell("$P exec --cgroup ../.. $ID /bin/sh -c 'echo ran'");
    assert!(out.code() != 0 && out.out.is_empty(), "a group above the container's: {out:?}");
    host.shell("$P delete -f $ID").ok();
}

/// A throttle must be there, and `update` may not take it away: a rate of 0 is none.
#[test]
fn a_throttle_is_not_lifted_later() {
    let host = host();
    host.policy(&ALLOWING.replace("pids = 64", "pids = 64\nio = \"set\""));
    let throttle =
        |rate: u64| serde_json::json!({"throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": rate}]});
    let mut config = configuration(&host);
    config["process"]["args"] = serde_json::json!(["/bin/sleep", "60"]);
    config["linux"]["resources"]["blockIO"] = throttle(1 << 20);
    write(&host, &config);
    for (name, rate) in [("lifted.json", 0), ("other.json", 1 << 21)] {
        host.dir.write(name, &serde_json::json!({"blockIO": throttle(rate)}).to_string());
    }
    host.shell("$P run --detach -b bundles/b $ID").ok();
    let lifted = host.shell("$P update -r lifted.json $ID");
    assert!(lifted.code() != 0 && lifted.err.contains("(rule limits.io, "), "{lifted:?}");
    host.shell("$P update -r other.json $ID && $P delete -f $ID").ok();
}

/// The root that was judged at `create` is compared at `start` and at `exec`; a restart is a new `create`.
#[test]
fn another_root_in_its_place_is_told() {
    let host = host();
    let mut config = configuration(&host);
    config["process"]["args"] = serde_json::json!(["/bin/sleep", "60"]);
    write(&host, &config);
    let swap = "mv bundles/b/rootfs away; cp -a away bundles/b/rootfs";
    let back = "rm -rf bundles/b/rootfs; mv away bundles/b/rootfs";
    for (make, then) in [
        ("$P run --detach -b bundles/b $ID", "$P exec $ID /bin/sh -c 'echo ran'"),
        ("$P create -b bundles/b $ID", "$P start $ID"),
    ] {
        host.shell(make).ok();
        let ran = host.shell(&format!("{swap}; {then}; code=$?; {back}; exit $code"));
        assert!(ran.code() != 0 && ran.out.is_empty(), "{then}: {ran:?}");
        assert!(ran.err.contains("/root/path") && ran.err.contains("was directory of"), "{then}: {ran:?}");
        let same = host.shell(then);
        assert_eq!(same.code(), 0, "put back, it is the very object again: {same:?}");
        host.shell("$P delete -f $ID").ok();
    }
}
