//! Promise: ARCHITECTURE.md and SECURITY.md say what the code does. Each table is read from the
//! document and compared with the sources it describes.

// The lint's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Most lines that ARCHITECTURE.md may have.
const LONGEST: usize = 300;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// The cells of the table below the heading `title`, without its head.
fn table(document: &str, title: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let section = text.split(&format!("\n{title}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("{document} has no heading `{title}`"));
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "`{title}` of {document} has no table");
    rows
}

/// What stands between backticks in a cell.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The first column, which is one name in backticks per row.
fn first_column(rows: &[Vec<String>]) -> Vec<String> {
    rows.iter().map(|row| quoted(&row[0]).concat()).collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The modules in the order of src/lib.rs.
fn modules() -> Vec<String> {
    let lib = read("src/lib.rs");
    lib.lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect()
}

/// The word at the start of a text.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()
}

/// Which other modules each module names by `crate::`, outside of comments.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let known = modules();
    let mut uses: BTreeMap<_, BTreeSet<_>> =
        known.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
    let mut files = vec![];
    sources(&path("src"), &mut files);
    for file in files {
        let inside = file.strip_prefix(path("src")).unwrap().to_string_lossy().into_owned();
        let module = word(&inside).to_owned();
        let Some(used) = uses.get_mut(&module) else { continue };
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let named = line.split("crate::").skip(1).map(word);
            used.extend(named.filter(|name| known.iter().any(|one| one == name)).map(str::to_owned));
        }
        used.remove(&module);
    }
    uses
}

#[test]
fn a_module_uses_only_those_after_it() {
    let order = modules();
    let place = |name: &String| order.iter().position(|one| one == name).unwrap();
    for (module, used) in uses() {
        for other in used {
            assert!(
                place(&module) < place(&other),
                "src/{module} uses crate::{other}, which stands before it"
            );
        }
    }
}

#[test]
fn the_module_table_is_the_code() {
    let rows = table("ARCHITECTURE.md", "## Modules");
    assert_eq!(first_column(&rows), modules());
    let uses = uses();
    for row in &rows {
        let module = quoted(&row[0]).concat();
        let allowed: BTreeSet<_> = quoted(&row[2]).into_iter().collect();
        assert_eq!(uses[&module], allowed, "what `{module}` uses, and what its row says");
    }
}

/// The functions of a source file with their bodies, in its order.
fn functions(text: &str) -> BTreeMap<String, String> {
    let mut functions = BTreeMap::new();
    for part in text.split("fn ").skip(1) {
        functions.insert(word(part).to_owned(), part[word(part).len()..].to_owned());
    }
    functions
}

/// The variants that a function lays down, with those of the functions that it calls in their place.
fn laid_down(name: &str, functions: &BTreeMap<String, String>, steps: &mut Vec<String>) {
    let mut before = "";
    let body = &functions[name];
    for (at, letter) in body.char_indices() {
        let rest = &body[at..];
        if let Some(variant) = rest.strip_prefix("Step::") {
            steps.push(word(variant).to_owned());
        }
        let starts_word = letter.is_ascii_lowercase()
            && !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == ':');
        let called = word(rest);
        if starts_word && rest[called.len()..].starts_with('(') && functions.contains_key(called) {
            laid_down(called, functions, steps);
        }
        before = &body[..at + letter.len_utf8()];
    }
}

/// From the variant of `Step` to its name in reports.
fn step_names() -> BTreeMap<String, String> {
    let text = read("src/plan/describe.rs");
    let arms = text.split("pub fn name").nth(1).unwrap().split("/// ").next().unwrap().to_owned();
    let arm = |line: &str| {
        let (variant, name) = line.trim().strip_prefix("Self::")?.split_once("=> \"")?;
        Some((word(variant).to_owned(), name.trim_end_matches("\",").to_owned()))
    };
    arms.lines().filter_map(arm).collect()
}

/// The order of src/resolve/steps.rs, a run of the same step counting once.
fn code_order() -> Vec<String> {
    let mut variants = vec![];
    laid_down("steps", &functions(&read("src/resolve/steps.rs")), &mut variants);
    variants.dedup();
    let names = step_names();
    variants.iter().map(|variant| names[variant].clone()).collect()
}

#[test]
fn the_step_table_is_the_list() {
    assert_eq!(first_column(&table("ARCHITECTURE.md", "## The step table")), code_order());
}

#[test]
fn every_step_is_in_a_table() {
    let laid: BTreeSet<_> = code_order().into_iter().collect();
    let elsewhere: BTreeSet<_> =
        first_column(&table("ARCHITECTURE.md", "### Steps of other lists")).into_iter().collect();
    let all: BTreeSet<_> = step_names().into_values().collect();
    assert_eq!(all.difference(&laid).cloned().collect::<BTreeSet<_>>(), elsewhere);
}

#[test]
fn a_plan_goes_down_the_step_table() {
    let order = first_column(&table("ARCHITECTURE.md", "## The step table"));
    let mut sandbox = Command::new(env!("CARGO_BIN_EXE_pinfold"));
    let output =
        sandbox.args("sandbox --explain --tmpfs /x --rw /tmp:/y -t -- true".split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let steps = text.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    let mut at = 0;
    let mut count = 0;
    for line in steps {
        let name = line.split_whitespace().nth(1).unwrap();
        let ahead = order[at..].iter().position(|one| one == name);
        at += ahead.unwrap_or_else(|| panic!("`{name}` does not come after `{}` in the table", order[at]));
        count += 1;
    }
    assert!(count > 40 && order[at] == "exec", "{count} steps, the last one {}", order[at]);
}

#[test]
fn every_crate_has_its_reason() {
    let manifest = read("Cargo.toml");
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let wanted: BTreeSet<_> =
        section.lines().filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect();
    let told: BTreeSet<_> = first_column(&table("ARCHITECTURE.md", "## Crates")).into_iter().collect();
    assert_eq!(wanted, told);
}

#[test]
fn the_document_stays_short() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= LONGEST, "{lines} lines");
}

/// Every function that is a test, by name.
fn tests() -> BTreeSet<String> {
    let mut files = vec![];
    sources(&path("src"), &mut files);
    sources(&path("tests"), &mut files);
    let mut tests = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for part in text.split("#[test]").skip(1) {
            tests.extend(part.split("fn ").nth(1).map(|after| word(after).to_owned()));
        }
    }
    tests
}

#[test]
fn the_tests_that_security_names_exist() {
    let tests = tests();
    for row in table("SECURITY.md", "## What is defended where") {
        for name in quoted(row.last().unwrap()) {
            assert!(tests.contains(&name), "SECURITY.md names the test `{name}`, which does not exist");
        }
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let documents =
        ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/seccomp.md"];
    for document in documents {
        let folder = path(document).parent().unwrap().to_owned();
        let text = read(document);
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap();
            assert!(folder.join(file).metadata().is_ok(), "{document} links to {link}, which does not exist");
        }
    }
}
