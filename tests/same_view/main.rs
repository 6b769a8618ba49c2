//! Promise: the same bundle shows a program the same under runc, crun and pinfold. Where runc and crun
//! differ, pinfold does as one of them does; where it does as neither, docs/differences.md says why, and
//! `differences.rs` says where. A difference that is listed and not seen fails too.
//!
//! It runs in the tree of the clients (tests/clients/enter.sh), with Debian sid's runc and crun.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bundles;
mod differences;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bundles::{BUNDLES, Bundle};
use differences::{DIFFERENCES, Difference};
use serde_json::{Value, json};
use view::Seen;

const PINFOLD: &str = env!("CARGO_BIN_EXE_pinfold");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/same_view");
const ENTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/enter.sh");

/// Removed in the end, whatever it ends in.
struct Results(PathBuf);

impl Drop for Results {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn command(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files that every bundle has, and the configuration that each one changes.
fn prepare(results: &Path) -> Value {
    let base = results.join("base");
    let rootfs = base.join("rootfs");
    for directory in ["proc", "sys", "dev", "tmp", "etc", "target", "home/user", "masked-dir", "readonly"] {
        fs::create_dir_all(rootfs.join(directory)).unwrap();
    }
    fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
    for (name, content) in [
        ("etc/passwd", passwd),
        ("etc/group", "root:x:0:\nuser:x:1000:\n"),
        ("etc/shadow", "secret"),
        ("masked", "secret"),
        ("masked-dir/file", "secret"),
        ("readonly/file", "text"),
    ] {
        fs::write(rootfs.join(name), content).unwrap();
    }
    symlink("target", rootfs.join("link")).unwrap();
    let probe = rootfs.join("probe");
    let source = format!("{HERE}/probe.c");
    command(
        "cc",
        &["-static", "-O1", "-Wall", "-Werror", "-Wno-error=cpp", "-o", probe.to_str().unwrap(), &source],
    );
    command(PINFOLD, &["spec", "--bundle", base.to_str().unwrap()]);
    let text = fs::read(base.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/probe"]);
    // The template leaves it out on a machine with v1 hierarchies.
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "cgroup");
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
    config
}

fn write(results: &Path, bundle: &Bundle, config: &Value) {
    let directory = results.join("bundles").join(bundle.name);
    fs::create_dir_all(&directory).unwrap();
    let mut config = config.clone();
    (bundle.edit)(&mut config);
    let terminal = if config["process"]["terminal"] == json!(true) { "yes" } else { "" };
    for (name, content) in [
        ("config.json", config.to_string()),
        ("setup", bundle.setup.to_owned()),
        ("cleanup", bundle.cleanup.to_owned()),
        ("how", format!("TERMINAL={terminal}\nOPTIONS='{}'\n", bundle.options)),
    ] {
        fs::write(directory.join(name), content).unwrap();
    }
}

fn run(results: &Path) {
    let text = results.to_str().unwrap();
    let output = Command::new("timeout")
        .args(["400", ENTER, PINFOLD, "v2", text, "bash", "/tests/same_view/run.sh"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What pinfold shows and neither peer does: key, and the three values.
///
/// Where only one of them runs a bundle, the other's habits are not in sight: what either shows of the same
/// thing in the first bundle, which both run, is no difference.
fn strange(runc: &Seen, crun: &Seen, pinfold: &Seen, usual: &[Seen]) -> BTreeMap<String, [String; 3]> {
    let mut strange = BTreeMap::new();
    let outcome = pinfold.outcome();
    let peers: Vec<_> = [runc, crun].into_iter().filter(|peer| peer.outcome() == outcome).collect();
    if peers.is_empty() {
        strange.insert("outcome".to_owned(), [runc.outcome(), crun.outcome(), outcome]);
        return strange;
    }
    let keys: BTreeSet<_> = [runc, crun, pinfold].iter().flat_map(|seen| seen.view.keys()).collect();
    for key in keys {
        let own = pinfold.view.get(key);
        let habit = peers.len() == 1 && usual.iter().any(|peer| peer.view.get(key) == own);
        if !habit && peers.iter().all(|peer| peer.view.get(key) != own) {
            let text = |seen: &Seen| seen.view.get(key).cloned().unwrap_or_else(|| "(nothing)".to_owned());
            strange.insert(key.clone(), [text(runc), text(crun), text(pinfold)]);
        }
    }
    strange
}

fn allowed<'d>(bundle: &str, key: &str) -> Option<(usize, &'d Difference)> {
    DIFFERENCES.iter().enumerate().find(|(_, difference)| difference.covers(bundle, key))
}

#[test]
fn the_same_bundle_shows_the_same() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let results = Results(std::env::temp_dir().join(format!("pinfold-same-view-{}", std::process::id())));
    let config = prepare(&results.0);
    let names: BTreeSet<_> = BUNDLES.iter().map(|bundle| bundle.name).collect();
    assert_eq!(names.len(), BUNDLES.len(), "each bundle has its own name");
    for bundle in BUNDLES {
        write(&results.0, bundle, &config);
    }
    run(&results.0);
    let usual = ["runc", "crun"].map(|runtime| Seen::read(&results.0, BUNDLES[0].name, runtime));
    let (mut wrong, mut hit) = (String::new(), BTreeSet::new());
    for bundle in BUNDLES {
        let [runc, crun, pinfold] =
            ["runc", "crun", "pinfold"].map(|runtime| Seen::read(&results.0, bundle.name, runtime));
        let setup_failed = [&runc, &crun, &pinfold].iter().any(|seen| seen.err.contains("the setup failed"));
        if setup_failed || !pinfold.left.is_empty() {
            writeln!(wrong, "{}: {}left: {}", bundle.name, pinfold.err, pinfold.left).unwrap();
        }
        for (key, values) in strange(&runc, &crun, &pinfold, &usual) {
            match allowed(bundle.name, &key) {
                Some((index, _)) => {
                    hit.insert(index);
                }
                None => {
                    let [runc_says, crun_says, pinfold_says] = values;
                    writeln!(wrong, "{}: {key}\n    runc:    {runc_says}\n    crun:    {crun_says}\n    pinfold: {pinfold_says}", bundle.name)
                        .unwrap();
                    if key == "outcome" {
                        for (name, seen) in [("runc", &runc), ("crun", &crun), ("pinfold", &pinfold)] {
                            writeln!(wrong, "    {name}: {}", seen.err.trim()).unwrap();
                        }
                    }
                }
            }
        }
    }
    for (index, difference) in DIFFERENCES.iter().enumerate().filter(|(index, _)| !hit.contains(index)) {
        writeln!(
            wrong,
            "never seen: row {index}, {} {:?} {:?}",
            difference.why, difference.bundles, difference.keys
        )
        .unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_difference_is_documented() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/differences.md")).unwrap();
    for difference in DIFFERENCES {
        assert!(
            text.contains(&format!("### {}\n", difference.why)),
            "docs/differences.md lacks: {}",
            difference.why
        );
    }
    let listed: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let known: BTreeSet<_> = DIFFERENCES.iter().map(|difference| difference.why).collect();
    assert_eq!(
        listed.difference(&known).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "documented, and tested nowhere"
    );
    assert!(BUNDLES.len() >= 60);
}
