//! Promise: `make install` puts everything in its place and nowhere else, and `make uninstall`
//! takes it away again and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::PINFOLD;

struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("pinfold-install-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// `make TARGET` with everything below this place.
    #[track_caller]
    fn make(&self, target: &str, binary: &str) -> (bool, String) {
        let mut make = Command::new("make");
        make.args(["--silent", "--directory", env!("CARGO_MANIFEST_DIR"), target, "PREFIX=/opt/usr"]);
        make.arg(format!("DESTDIR={}", self.0.display())).arg(format!("BINARY={binary}"));
        // Whatever this test's own make was told is not for this one.
        for name in ["MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"] {
            make.env_remove(name);
        }
        let output = make.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Every file, by its path below the place, with its mode.
    fn files(&self) -> BTreeMap<String, u32> {
        let mut found = BTreeMap::new();
        collect(&self.0, &self.0, &mut found);
        found
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn collect(top: &Path, at: &Path, found: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(at).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            collect(top, &path, found);
        } else {
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), mode);
        }
    }
}

/// What a program prints, which must end well.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn install_and_uninstall() {
    let place = Place::new();
    // What others have in the same directories.
    let others = ["opt/usr/bin/other", "opt/usr/share/doc/other/README.md", "opt/usr/share/man/man1/other.1"];
    for other in others {
        fs::create_dir_all(place.at(other).parent().unwrap()).unwrap();
        fs::write(place.at(other), "other\n").unwrap();
    }
    support::programs::build_the_fetcher();
    let (done, errors) = place.make("install", PINFOLD);
    assert!(done, "{errors}");
    let files = place.files();
    let wanted = [
        ("opt/usr/bin/pinfold", 0o755),
        ("opt/usr/libexec/pinfold/pinfold-fetch", 0o755),
        ("opt/usr/share/man/man1/pinfold.1", 0o644),
        ("opt/usr/share/man/man1/pinfold-sandbox.1", 0o644),
        ("opt/usr/share/bash-completion/completions/pinfold", 0o644),
        ("opt/usr/share/zsh/site-functions/_pinfold", 0o644),
        ("opt/usr/share/fish/vendor_completions.d/pinfold.fish", 0o644),
        ("opt/usr/share/doc/pinfold/LICENSE", 0o644),
        ("opt/usr/share/doc/pinfold/README.md", 0o644),
        ("opt/usr/share/doc/pinfold/SECURITY.md", 0o644),
        ("opt/usr/share/doc/pinfold/docs/policy.md", 0o644),
        ("opt/usr/share/doc/pinfold/examples/policy/gateway.toml", 0o644),
    ];
    for (name, mode) in wanted {
        let found = files.get(name).unwrap_or_else(|| panic!("{name} is missing: {files:#?}"));
        // The umask of whoever installs may take from the files, never give to others.
        assert_eq!((found & 0o700, found & 0o022), (mode & 0o700, 0), "{name}: {found:o}");
    }
    the_binary_runs(&place);
    every_verb_has_a_page(&place);
    completions_are_programs(&place);

    // Once more over it: an upgrade.
    assert!(place.make("install", PINFOLD).0);
    assert_eq!(place.files(), files);
    let (done, errors) = place.make("uninstall", PINFOLD);
    assert!(done, "{errors}");
    let left: Vec<_> = place.files().into_keys().collect();
    assert_eq!(left, others, "uninstall left something, or took what is not pinfold's");
    assert!(fs::metadata(place.at("opt/usr/share/doc/pinfold")).is_err());
    assert!(place.make("uninstall", PINFOLD).0, "what is not there cannot fail to go");
}

#[test]
fn without_a_binary_nothing_is_installed() {
    let place = Place(std::env::temp_dir().join(format!("pinfold-install-none-{}", std::process::id())));
    fs::create_dir(&place.0).unwrap();
    let (done, errors) = place.make("install", "/no/such/pinfold");
    assert!(!done && errors.contains("make build"), "{errors}");
    assert_eq!(place.files(), BTreeMap::new());
}

#[track_caller]
fn the_binary_runs(place: &Place) {
    let installed = place.at("opt/usr/bin/pinfold");
    let version = said(Command::new(&installed).arg("--version").env_clear());
    assert!(version.starts_with("pinfold version "), "{version}");
    assert!(fs::read(&installed).unwrap() == fs::read(PINFOLD).unwrap(), "another binary");
}

/// Roff that says which page it is; mandoc(1), or man(1), reads it where it is installed.
#[track_caller]
fn every_verb_has_a_page(place: &Place) {
    let directory = place.at("opt/usr/share/man/man1");
    let help = said(Command::new(PINFOLD).arg("--help"));
    for verb in ["create", "start", "run", "exec", "sandbox", "explain", "doctor", "gc", "man", "completion"]
    {
        assert!(help.contains(verb), "{verb} is no verb any more: {help}");
        let page = fs::read_to_string(directory.join(format!("pinfold-{verb}.1"))).unwrap();
        let first = page.lines().find(|line| line.starts_with(".TH ")).unwrap_or_default();
        assert!(first.contains(&format!("pinfold-{verb}")), "{verb}: {first}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(page.contains(section), "{verb}: no {section}");
        }
    }
    for reader in [&["groff", "-man", "-Tutf8", "-ww", "-z"][..], &["mandoc", "-T", "lint", "-W", "error"]] {
        let mut command = Command::new(reader[0]);
        command.args(&reader[1..]).arg(directory.join("pinfold-sandbox.1"));
        if let Ok(output) = command.output() {
            assert!(output.status.success(), "{output:?}");
        }
    }
}

#[track_caller]
fn completions_are_programs(place: &Place) {
    let bash = place.at("opt/usr/share/bash-completion/completions/pinfold");
    said(Command::new("bash").arg("-n").arg(&bash));
    let script = r#"source "$0"; complete -p pinfold >&2; COMP_WORDS=(pinfold sand); COMP_CWORD=1; COMP_LINE="pinfold sand"
        COMP_POINT=12; _pinfold pinfold sand pinfold; echo "${COMPREPLY[*]}""#;
    assert_eq!(said(Command::new("bash").args(["-c", script]).arg(&bash)), "sandbox\n");
    let read = |path: &str| fs::read_to_string(place.at(path)).unwrap();
    assert!(read("opt/usr/share/zsh/site-functions/_pinfold").starts_with("#compdef pinfold\n"));
    assert!(read("opt/usr/share/fish/vendor_completions.d/pinfold.fish").contains("complete -c pinfold"));
    for (shell, path) in [
        ("zsh", "opt/usr/share/zsh/site-functions/_pinfold"),
        ("fish", "opt/usr/share/fish/vendor_completions.d/pinfold.fish"),
    ] {
        if let Ok(output) = Command::new(shell).arg("-n").arg(place.at(path)).output() {
            assert!(output.status.success(), "{output:?}");
        }
    }
}
