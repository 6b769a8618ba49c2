//! Promise: the command line behaves as runc's callers expect (see `commands::failure`).

// The lint's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn pinfold(directory: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
    command.current_dir(directory).args(line.split_whitespace()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A fresh directory, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pinfold-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn the_version_is_three_lines_on_stdout() {
    let output = pinfold(Path::new("/"), "--version");
    let lines = text(&output.stdout);
    let lines = lines.lines().collect::<Vec<_>>();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines[0], format!("pinfold version {}", env!("CARGO_PKG_VERSION")));
    assert!(lines[1].starts_with("commit: ") && lines[2] == "spec: 1.3.0" && lines.len() == 3, "{lines:?}");
}

#[test]
fn a_failure_is_one_line_with_the_word_error_on_stderr_and_nothing_on_stdout() {
    let rows = [
        ("sandbox --memory 0 true", 125),
        ("sandbox", 125),
        ("sandbox --nonsense true", 125),
        ("exec --nonsense c true", 255),
        ("state", 1),
        ("state a/b", 1),
        ("nonsense", 1),
        ("spec --bundle /nonexistent", 1),
    ];
    for (line, code) in rows {
        let output = pinfold(Path::new("/"), line);
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert_eq!(text(&output.stdout), "", "{line}");
        let first = text(&output.stderr).lines().next().map(str::to_owned).unwrap_or_default();
        assert!(first.starts_with("pinfold: ") && first.contains("error"), "{line}: {first}");
    }
}

#[test]
fn spec_writes_once_and_follows_no_link() {
    let scratch = Scratch::new("spec");
    let config = scratch.0.join("config.json");
    assert!(pinfold(&scratch.0, "spec").status.success());
    let written = fs::read_to_string(&config).unwrap();
    assert!(written.contains("\"ociVersion\": \"1.3.0\""));

    fs::write(&config, "mine").unwrap();
    let again = pinfold(&scratch.0, "spec");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("config.json") && text(&again.stderr).contains("hint: "));
    assert_eq!(fs::read_to_string(&config).unwrap(), "mine");

    fs::remove_file(&config).unwrap();
    let elsewhere = scratch.0.join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, &config).unwrap();
    assert_eq!(pinfold(&scratch.0, "spec").status.code(), Some(1));
    assert!(fs::symlink_metadata(&elsewhere).is_err(), "the link was followed");
}

#[test]
fn man_writes_a_page_per_verb_and_follows_no_link() {
    let scratch = Scratch::new("man");
    assert!(pinfold(&scratch.0, "man .").status.success());
    assert!(pinfold(&scratch.0, "man .").status.success(), "pages are replaced");
    assert!(fs::read_to_string(scratch.0.join("pinfold-sandbox.1")).unwrap().contains("Weaker"));

    let (page, elsewhere) = (scratch.0.join("pinfold.1"), scratch.0.join("elsewhere"));
    fs::rename(&page, &elsewhere).unwrap();
    fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &page).unwrap();
    assert_eq!(pinfold(&scratch.0, "man .").status.code(), Some(1));
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine");
}

#[test]
fn features_and_doctor_print_json() {
    for line in ["features", "doctor --json"] {
        let output = pinfold(Path::new("/"), line);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(value.is_object(), "{line}");
        if line == "doctor --json" {
            assert_eq!(value["ready"] == true, output.status.code() == Some(0));
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_an_error_not_a_crash() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pinfold"))
        .args(["completion", "bash"])
        .stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
