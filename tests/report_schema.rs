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

    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.0).is_ok()
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

/// docs/command-line.md, "A report of a line that is refused".
#[test]
fn a_line_that_is_refused_has_a_report() {
    let schema = schema();
    let rows: &[(&str, &[&str], &str)] = &[
        ("value", &["--memory", "0", "--", "true"], "'0' for '--memory <SIZE>'"),
        ("unknown", &["--nonsense", "--", "true"], "unexpected argument '--nonsense'"),
        ("missing", &[], "CMD"),
        ("contradiction", &["--cap-add", "KILL", "--cap-drop", "KILL", "--", "true"], "KILL"),
        ("secret", &["--env", "=s3cret", "--", "true"], "--env"),
        ("bad file", &["--spec", "/dev/null"], "--spec"),
    ];
    let file = Target::new("options");
    fs::write(&file.0, r#"{"memory": "0"}"#).unwrap();
    let of_file = ["--spec", file.0.to_str().unwrap(), "--", "true"];
    for (name, options, words) in
        rows.iter().chain([&("of a file", &of_file[..], "--spec: invalid value '0'")])
    {
        let (report, exit) = report(name, options);
        assert_eq!(
            (&report["outcome"]["kind"], exit),
            (&json!("usage_error"), Some(125)),
            "{name}: {report}"
        );
        assert_eq!(report["exit_code"], 125, "{name}");
        let message = report["error"]["message"].as_str().unwrap();
        assert!(message.contains(words) && !message.contains("s3cret"), "{name}: {message}");
        assert_eq!(faults(&schema, &report), [""; 0], "{name}: {report}");
    }
    // By a descriptor of the caller's.
    let target = Target::new("by number");
    let script = "exec 7>\"$1\"; exec \"$0\" sandbox --report fd:7 --memory 0 -- true";
    let mut shell = Command::new("sh");
    let code =
        shell.args(["-c", script, env!("CARGO_BIN_EXE_pinfold")]).arg(&target.0).output().unwrap().status;
    let report: Value = serde_json::from_str(&fs::read_to_string(&target.0).unwrap()).unwrap();
    assert_eq!((code.code(), &report["outcome"]["kind"]), (Some(125), &json!("usage_error")));
}

/// The words of such a line may be somebody else's. A control shows that the same file is written where the
/// caller names it.
#[test]
fn a_word_that_may_be_somebody_else_s_names_no_report() {
    let (target, own) = (Target::new("word"), Target::new("own"));
    let (file, caller) = (target.0.to_str().unwrap(), own.0.to_str().unwrap());
    let joined = format!("--report={file}");
    let rows: &[&[&str]] = &[
        // The value of an option, and an argument of the program.
        &["--env", &joined, "--", "true"],
        &["--ro", &joined, "--", "true"],
        &["--memory", &joined, "--", "true"],
        &["--nonsense", &joined, "--", "true"],
        &["--nonsense", "--report", file, "--", "true"],
        &["--memory", "0", "true", "--report", file],
        &["--memory", "0", "--", "true", &joined],
        &["--memory", "0", "--", &joined],
        // A second one, in front of the caller's and behind it.
        &[&joined, "--report", caller, "--", "true"],
        &["--report", caller, &joined, "--", "true"],
        &["--report", caller, "--env", &joined, "--", "true"],
        &["--report", caller, "--report", file],
    ];
    for options in rows {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pinfold")).arg("sandbox").args(*options).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{options:?}: {output:?}");
        assert!(!target.is_there() && !own.is_there(), "{options:?}: {output:?}");
    }
    // What a program is called with is its own affair, and what is only explained has no report.
    let program: &[&str] = &["--report", caller, "--memory", "0", "--", "true", &joined];
    let explained: &[&str] = &["--explain", &joined, "--", "true"];
    for (options, code, written) in [(program, 125, true), (explained, 0, false)] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pinfold")).arg("sandbox").args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{options:?}: {output:?}");
        assert_eq!((target.is_there(), own.is_there()), (false, written), "{options:?}");
        fs::remove_file(&own.0).ok();
    }
    // Neither through a link, nor over a secret's descriptor.
    std::os::unix::fs::symlink(&own.0, &target.0).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
    let output = command.args(["sandbox", &joined, "--memory", "0", "--", "true"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(125) && told.contains("ELOOP") && !own.is_there(), "{told}");
    fs::write(&own.0, "the secret").unwrap();
    let script = "exec 7<>\"$1\"; exec \"$0\" sandbox --report fd:7 --secret s=fd:7 -- true";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_pinfold"), caller]).output().unwrap();
    assert_eq!(fs::read_to_string(&own.0).unwrap(), "the secret");
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
