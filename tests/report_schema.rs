//! Promise: a program can read the report by docs/report.schema.json. Real reports are held against
//! it; a key that it does not describe counts as a fault, too.

// The lint's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/schema.rs"]
mod checker;

use checker::faults;
use serde_json::{Value, json};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&read("docs/report.schema.json")).unwrap()
}

/// A report file of one test, removed at the end.
struct Target(PathBuf);

impl Target {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("pinfold-report-{name}-{}", std::process::id())))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// The report and the exit code of a sandbox with these options.
fn report(name: &str, options: &[&str]) -> (Value, Option<i32>) {
    let target = Target::new(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
    let output = command.args(["sandbox", "--report"]).arg(&target.0).args(options).output().unwrap();
    let text = fs::read_to_string(&target.0).unwrap();
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    (serde_json::from_str(&text).unwrap(), output.status.code())
}

#[test]
fn real_reports_are_as_described() {
    let schema = schema();
    let rows: &[(&str, &[&str], &str, i32)] = &[
        ("exited", &["--", "true"], "exited", 0),
        ("code", &["--stdout-max", "1k", "--", "sh", "-c", "echo x; exit 7"], "exited", 7),
        ("signal", &["--", "sh", "-c", "kill -9 $$"], "signaled", 137),
        ("timeout", &["--timeout", "500ms", "--", "sleep", "60"], "timeout", 124),
        ("output", &["--stdout-max", "1k", "--", "yes"], "output_limit", 123),
        ("bind", &["--ro", "/etc/hosts", "--secret", "s=file:/etc/hosts", "--", "true"], "exited", 0),
        ("refused", &["--ro", "/proc", "--", "true"], "policy_refused", 120),
        ("absent", &["--", "no-such-program"], "exec_not_found", 127),
        ("no source", &["--ro", "/no/such/file", "--", "true"], "setup_failed", 121),
    ];
    for (name, options, kind, code) in rows {
        let (report, exit) = report(name, options);
        assert_eq!(report["outcome"]["kind"], *kind, "{name}: {report}");
        assert_eq!(report["exit_code"], *code, "{name}: {report}");
        assert_eq!(exit, Some(*code), "{name}");
        assert_eq!(faults(&schema, &report), [""; 0], "{name}: {report}");
    }
}

#[test]
fn a_report_that_differs_is_noticed() {
    let schema = schema();
    let (good, _) = report("differs", &["--", "true"]);
    let rows = [
        ("/outcome/kind", json!("fine")),
        ("/exit_code", json!(256)),
        ("/exit_code", json!("0")),
        ("/evidence/cgroup_before", json!({"memory_current": 1})),
        ("/controls/capabilities", json!("0")),
        ("/controls/landlock_abi", json!(0)),
        ("/controls/namespaces", json!(["home"])),
        ("/binds/0/source/path", json!(null)),
        ("/binds/0/source/hash", json!("x")),
        ("/degraded", json!([1])),
        ("/plan_digest", json!("sha256:x")),
        ("/version", json!(2)),
    ];
    for (place, wrong) in rows {
        let mut report = good.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        report.pointer_mut(parent).unwrap()[key] = wrong;
        assert!(!faults(&schema, &report).is_empty(), "{place}");
    }
    for key in good.as_object().unwrap().keys() {
        let mut report = good.clone();
        report.as_object_mut().unwrap().shift_remove(key);
        assert!(!faults(&schema, &report).is_empty(), "without {key}");
    }
}

#[test]
fn every_kind_of_outcome_is_described() {
    let source = read("src/launch/verdict.rs");
    let body = source.split("pub enum OutcomeKind {").nth(1).unwrap().split('}').next().unwrap();
    let snake = |name: &str| {
        let spread =
            name.chars().map(|c| if c.is_uppercase() { format!("_{}", c.to_lowercase()) } else { c.into() });
        Value::String(spread.collect::<String>().trim_start_matches('_').to_owned())
    };
    let kinds: Vec<Value> = body
        .lines()
        .map(|line| line.trim().trim_end_matches(','))
        .filter(|name| !name.is_empty())
        .map(snake)
        .collect();
    assert_eq!(schema()["properties"]["outcome"]["properties"]["kind"]["enum"], Value::Array(kinds));
}
