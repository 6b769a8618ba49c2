//! Promise: `pinfold lint` names what is dangerous in a configuration: each rule of docs/lint.md
//! has a row here with a configuration that breaks it and one that is close and does not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod rows;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};

use pinfold::lint::rules;
use rows::{Patch, ROWS, quiet};
use serde_json::{Value, json};
use support::{Dir, PINFOLD};

fn lint(config: &str, options: &[&str]) -> Output {
    Command::new(PINFOLD).arg("lint").arg(config).args(options).stdin(Stdio::null()).output().unwrap()
}

/// The findings of a configuration: id, severity, field.
fn findings(dir: &Dir, config: &Value) -> Vec<(String, String, String)> {
    dir.write("config.json", &serde_json::to_string_pretty(config).unwrap());
    let output = lint(dir.path().join("config.json").to_str().unwrap(), &["--json", "--fail-on", "never"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let each = |one: &Value| (text(one, "id"), text(one, "severity"), text(one, "field"));
    printed["findings"].as_array().unwrap().iter().map(each).collect()
}

fn patched(patches: &[Patch]) -> Value {
    let mut config = quiet();
    for (pointer, value) in patches {
        let (around, name) = pointer.rsplit_once('/').unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        match config.pointer_mut(around).unwrap() {
            Value::Object(object) if value.is_null() => drop(object.remove(name)),
            Value::Object(object) => drop(object.insert(name.to_owned(), value)),
            Value::Array(list) if name == "-" => list.push(value),
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
            other => panic!("{pointer}: {other}"),
        }
    }
    config
}

#[test]
fn a_configuration_without_a_fault_has_no_finding() {
    let dir = Dir::new();
    assert_eq!(findings(&dir, &quiet()), []);
}

#[test]
fn each_rule_fires_by_its_field_and_is_silent_beside_it() {
    let dir = Dir::new();
    for (id, fires, field, near) in ROWS {
        let found = findings(&dir, &patched(fires));
        let hit = found.iter().any(|(found, _, at)| found == id && at == field);
        assert!(hit, "{id} does not fire at {field}: {found:?}");
        let found = findings(&dir, &patched(near));
        assert!(found.iter().all(|(found, ..)| found != id), "{id} fires beside it: {found:?}");
    }
}

#[test]
fn every_rule_has_a_row_and_every_row_a_rule() {
    // Those that look at files of the host have tests of their own below.
    let of_host = ["hook.writable", "source.link", "source.world_writable"];
    let tested: BTreeSet<_> = ROWS.iter().map(|row| row.0).chain(of_host).collect();
    let known: BTreeSet<_> = rules().iter().map(|rule| rule.id).collect();
    assert_eq!(tested, known);
}

#[test]
fn the_document_lists_each_rule_as_the_code_has_it() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lint.md")).unwrap();
    let table = document.split("\n## Rules\n").nth(1).unwrap();
    let told: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted: Vec<_> = rules()
        .iter()
        .map(|rule| {
            let (severity, walled) = (rule.severity, rule.walled);
            format!("| `{}` | {severity} | {walled} | {} | {} |", rule.id, rule.title, rule.fix)
        })
        .collect();
    for (told, wanted) in told.iter().zip(&wanted) {
        assert_eq!(told, wanted);
    }
    assert_eq!(told.len(), wanted.len(), "docs/lint.md lacks rules");
}

#[test]
fn paths_that_others_can_change_are_looked_up_on_the_host() {
    let dir = Dir::new();
    for name in ["open", "kept", "kept/real"] {
        dir.mkdir(name);
    }
    let set = |name: &str, mode: u32| {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode) in [("open/hook", 0o755), ("kept/hook", 0o755), ("kept/loose", 0o775)] {
        dir.write(name, "#!/bin/sh\n");
        set(name, mode);
    }
    set("open", 0o777);
    symlink("real", dir.path().join("kept/link")).unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let config = |source: &str, hook: &str| {
        let mut config = quiet();
        let options = json!(["rbind", "ro", "nosuid", "nodev"]);
        let bind = json!({"destination": "/m", "source": at(source), "options": options});
        config["mounts"].as_array_mut().unwrap().push(bind);
        config["hooks"] = json!({"createRuntime": [{"path": at(hook)}]});
        config
    };
    let field = quiet()["mounts"].as_array().unwrap().len();
    let (mount, hook) = (format!("/mounts/{field}/source"), "/hooks/createRuntime/0/path".to_owned());
    let ids = |source: &str, hook: &str| -> BTreeSet<(String, String)> {
        let found = findings(&dir, &config(source, hook)).into_iter();
        // The place of the tests themselves is everyone's: what it gives is not looked at here.
        let found = found.filter(|(id, ..)| id.starts_with("source.") || id == "hook.writable");
        found.map(|(id, _, field)| (id, field)).collect()
    };
    let has = |found: &BTreeSet<(String, String)>, id: &str, field: &str| {
        found.contains(&(id.to_owned(), field.to_owned()))
    };
    let sound = ids("kept/real", "kept/hook");
    assert!(!sound.iter().any(|(_, field)| *field == mount || *field == hook), "{sound:?}");
    assert!(has(&ids("kept/link", "kept/hook"), "source.link", &mount));
    assert!(has(&ids("open/hook", "kept/hook"), "source.world_writable", &mount));
    assert!(has(&ids("kept/real", "kept/loose"), "hook.writable", &hook));
    assert!(has(&ids("kept/real", "open/hook"), "hook.writable", &hook));
}

#[test]
fn a_socket_is_told_whatever_its_name() {
    let dir = Dir::new();
    let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("innocent")).unwrap();
    let mut config = quiet();
    let options = json!(["bind", "ro", "nosuid", "nodev"]);
    let bind = json!({"destination": "/s", "source": dir.path().join("innocent").to_str().unwrap(), "options": options});
    config["mounts"].as_array_mut().unwrap().push(bind);
    let found = findings(&dir, &config);
    let hit = found.iter().find(|(id, ..)| id == "bind.runtime_socket");
    assert_eq!(hit.map(|(_, severity, _)| severity.as_str()), Some("critical"), "{found:?}");
}

#[test]
fn a_user_namespace_and_a_read_only_bind_make_it_less_bad() {
    let dir = Dir::new();
    let with = |options: &str, walled: bool| {
        let mut patches: Vec<Patch> = vec![];
        let bind = format!(r#"{{"destination":"/h","source":"/etc","options":{options}}}"#);
        patches.push(("/mounts/-", Box::leak(bind.into_boxed_str())));
        if !walled {
            patches.push(("/linux/uidMappings/0/hostID", "0"));
        }
        let found = findings(&dir, &patched(&patches));
        found.into_iter().find(|(id, ..)| id == "bind.etc").unwrap().1
    };
    assert_eq!(with(r#"["rbind"]"#, false), "critical");
    assert_eq!(with(r#"["rbind"]"#, true), "high");
    assert_eq!(with(r#"["rbind","ro"]"#, true), "medium");
}

#[test]
fn the_exit_code_says_what_was_found_and_125_that_nothing_could_be_read() {
    let dir = Dir::new();
    let config = dir.path().join("config.json").to_str().unwrap().to_owned();
    let code = |options: &[&str]| lint(&config, options).status.code();
    assert_eq!(code(&[]), Some(125));
    dir.write("config.json", "{}");
    assert_eq!(code(&[]), Some(125));
    // The worst of it is medium.
    let medium = patched(&[("/process/noNewPrivileges", "false"), ("/linux/resources/pids", "null")]);
    dir.write("config.json", &medium.to_string());
    for (least, wanted) in
        [("critical", 0), ("high", 0), ("medium", 1), ("low", 1), ("note", 1), ("never", 0)]
    {
        assert_eq!(code(&["--fail-on", least]), Some(wanted), "{least}");
    }
    assert_eq!(code(&[]), Some(0));
    let whole = dir.path().join("").to_str().unwrap().to_owned();
    assert_eq!(lint(&whole, &["--fail-on", "low"]).status.code(), Some(1));
    assert_eq!(code(&["--json", "--sarif"]), Some(125));
}

#[test]
fn people_read_place_severity_reason_and_fix() {
    let dir = Dir::new();
    dir.write("config.json", &patched(&[("/process/noNewPrivileges", "false")]).to_string());
    let output = lint(dir.path().join("config.json").to_str().unwrap(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("config.json:1:") && lines[0].ends_with("[process.no_new_privs]"), "{text}");
    assert!(lines[1].starts_with("    /process/noNewPrivileges: "), "{text}");
    assert!(lines[2].starts_with("    fix: "), "{text}");
    assert_eq!(lines.last(), Some(&"0 critical, 0 high, 0 medium, 1 low, 0 note"));
}

#[test]
fn the_text_of_a_configuration_forges_no_line() {
    let dir = Dir::new();
    let env = json!(["A=b", "MY\nconfig.json:1:1: critical: forged_TOKEN=x"]);
    let mut config = quiet();
    config["process"]["env"] = env;
    dir.write("config.json", &config.to_string());
    let output = lint(dir.path().join("config.json").to_str().unwrap(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[process.secret]") && !text.contains("\nconfig.json:1:1: critical"), "{text}");
}

#[test]
fn sarif_has_the_structure_of_2_1_0() {
    let dir = Dir::new();
    let rows: Vec<Patch> = vec![
        ("/process/noNewPrivileges", "false"),
        ("/linux/seccomp", "null"),
        ("/linux/sysctl", r#"{"net/ipv4/ip_forward":"1"}"#),
    ];
    let config = serde_json::to_string_pretty(&patched(&rows)).unwrap();
    dir.write("a config.json", &config);
    let name = dir.path().join("a config.json");
    let output = lint(name.to_str().unwrap(), &["--sarif", "--fail-on", "never"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir.write("found.sarif", std::str::from_utf8(&output.stdout).unwrap());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lint/sarif.py");
    let check = |file: &str| {
        Command::new("python3").arg(script).arg(dir.path().join(file)).arg(&name).output().unwrap()
    };
    let output = check("found.sarif");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The check can fail.
    let sarif = fs::read_to_string(dir.path().join("found.sarif")).unwrap();
    for (from, to) in [
        ("\"startLine\"", "\"line\""),
        ("\"text\"", "\"txt\""),
        ("\"2.1.0\"", "\"2.0.0\""),
        ("\"ruleIndex\": ", "\"ruleIndex\": 1"),
        ("\"startColumn\": ", "\"startColumn\": 9"),
    ] {
        dir.write("broken.sarif", &sarif.replace(from, to));
        assert!(!check("broken.sarif").status.success(), "{from}");
    }
}
