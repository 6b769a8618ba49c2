//! Promise: ARCHITECTURE.md and SECURITY.md say what the code does. Each table is read from the
//! document and compared with the sources it describes.

// The lint's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

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

/// What stands below the heading `title`, down to the next one.
fn section(document: &str, title: &str) -> String {
    let text = read(document);
    let below = text.split_once(&format!("\n{title}\n"));
    let (_, below) = below.unwrap_or_else(|| panic!("{document} has no heading `{title}`"));
    below.split("\n#").next().unwrap().to_owned()
}

/// The cells of the table below the heading `title`, without its head.
fn table(document: &str, title: &str) -> Vec<Vec<String>> {
    let section = section(document, title);
    let rows = section.lines().filter(|line| line.starts_with('|'));
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

/// Another way to tell one would pass `--log` by.
#[test]
fn every_warning_goes_one_way() {
    let mut all = vec![];
    sources(&path("src"), &mut all);
    let own = path("src/error/tell.rs");
    let telling = all.iter().filter(|file| **file != own);
    let telling: Vec<_> =
        telling.filter(|file| fs::read_to_string(file).unwrap().contains("pinfold: warning")).collect();
    assert!(telling.is_empty(), "{telling:?}");
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
    let order = modules();
    assert_eq!(first_column(&rows), order);
    let uses = uses();
    for (place, row) in rows.iter().enumerate() {
        let allowed: BTreeSet<_> = quoted(&row[2]).into_iter().collect();
        let after: BTreeSet<_> = order[place + 1..].iter().cloned().collect();
        assert!(allowed.is_subset(&after), "{}: {allowed:?}", row[0]);
        let used = &uses[&order[place]];
        assert!(used.is_subset(&allowed), "{} uses {used:?}, its row says {allowed:?}", row[0]);
    }
}

/// The functions that lay down steps, with their bodies; those of a further file under `file::`.
fn functions() -> BTreeMap<String, String> {
    let mut functions = BTreeMap::new();
    let files = ["landlock", "hooks", "mounting", "devices", "entering", "labels"]
        .map(|file| (file, format!("{file}::")));
    for (file, prefix) in std::iter::once(("steps", String::new())).chain(files) {
        for part in read(&format!("src/resolve/{file}.rs")).split("fn ").skip(1) {
            let name = word(part);
            functions.insert(format!("{prefix}{name}"), part[name.len()..].to_owned());
        }
    }
    functions
}

/// The variants that a function lays down, with those of the functions that it calls in their place:
/// of its own file, of src/resolve/steps.rs, or of the file that the call names.
fn laid_down(name: &str, functions: &BTreeMap<String, String>, steps: &mut Vec<String>) {
    let in_path = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let own = name.rsplit_once("::").map_or("", |(file, _)| file);
    let mut rest = functions[name].as_str();
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_alphabetic()) {
        rest = &rest[at..];
        let path = rest.split(|letter| !in_path(letter)).next().unwrap();
        let after = &rest[path.len()..];
        match path.strip_prefix("Step::") {
            Some(variant) => steps.push(variant.to_owned()),
            None if after.starts_with('(') => {
                let called = [format!("{own}::{path}"), path.to_owned()];
                if let Some(called) = called.iter().find(|name| functions.contains_key(*name)) {
                    laid_down(called, functions, steps);
                }
            }
            None => {}
        }
        rest = after;
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

/// What a function of src/resolve/steps.rs lays down, a run of the same step counting once.
fn code_order(function: &str) -> Vec<String> {
    let mut variants = vec![];
    laid_down(function, &functions(), &mut variants);
    variants.dedup();
    let names = step_names();
    variants.iter().map(|variant| names[variant].clone()).collect()
}

#[test]
fn the_step_table_is_the_list() {
    assert_eq!(first_column(&table("ARCHITECTURE.md", "## The step table")), code_order("steps"));
}

#[test]
fn the_list_of_exec_is_the_list() {
    assert_eq!(quoted(&section("ARCHITECTURE.md", "### The list of exec")), code_order("joining"));
}

#[test]
fn every_step_is_in_a_table() {
    let laid: BTreeSet<_> = code_order("steps").into_iter().collect();
    let others = first_column(&table("ARCHITECTURE.md", "### Steps of other lists"));
    let all: BTreeSet<_> = step_names().into_values().collect();
    assert_eq!(all.difference(&laid).cloned().collect::<BTreeSet<_>>(), others.into_iter().collect());
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
    for (manifest, document, title) in [
        ("Cargo.toml", "ARCHITECTURE.md", "## Crates"),
        ("fetch/Cargo.toml", "docs/registries.md", "### Crates of the client"),
    ] {
        let manifest = read(manifest);
        // Those of one target too; none for the tests alone.
        let sections = manifest.split("\n[").filter_map(|section| section.split_once("dependencies]\n"));
        let wanted: BTreeSet<_> = sections
            .flat_map(|(_, lines)| lines.lines())
            .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
            .collect();
        let told: BTreeSet<_> = first_column(&table(document, title)).into_iter().collect();
        assert_eq!(wanted, told);
    }
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

/// What docs/checklist.md may name beside tests in Rust.
fn proofs() -> BTreeSet<String> {
    let mut proofs = tests();
    let bundles = read("tests/same_view/bundles.rs").split_whitespace().collect::<Vec<_>>().join(" ");
    let bundles = bundles.replace("( \"", "(\"");
    for start in ["plain(\"", "with(\""] {
        proofs
            .extend(bundles.split(start).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    let cases = read("tests/cgroup/cases.rs");
    proofs.extend(cases.lines().filter_map(|line| Some(line.trim().split_once(" in ")?.0.to_owned())));
    for suite in ["podman", "containerd", "docker"] {
        let text = read(&format!("tests/clients/{suite}.sh"));
        proofs.extend(text.lines().filter_map(|line| Some(line.strip_suffix("() {")?.to_owned())));
    }
    let guests = ["tests/vm/cases", "tests/vm/systemd/cases", "tests/vm/selinux/cases"];
    for case in guests.into_iter().flat_map(|cases| fs::read_dir(path(cases)).unwrap()) {
        proofs.extend(case.unwrap().path().file_stem().and_then(|name| Some(name.to_str()?.to_owned())));
    }
    proofs
}

#[test]
fn the_checklist_names_a_proof_in_each_row() {
    let proofs = proofs();
    let places = ["kernel", "VM", "kernel, VM", "format", "refused", "not yet"];
    for part in ["## config.md", "## Mount options", "## config-linux.md", "## runtime.md", "## features.md"]
    {
        for row in table("docs/checklist.md", part) {
            let [number, what, place, by] = row.as_slice() else { panic!("{row:?}") };
            assert!(places.contains(&place.as_str()), "{number} {what}: `{place}` is no place");
            let named = quoted(by);
            assert_eq!(named.is_empty(), place == "not yet", "{number} {what}");
            for name in named {
                assert!(proofs.contains(&name), "{number} {what}: there is no `{name}`");
            }
        }
    }
}

/// The duties of config.md, config-linux.md and runtime.md have numbers, in tens where a part begins.
#[test]
fn the_checklist_leaves_no_number_out() {
    let mut numbers = BTreeSet::new();
    for part in ["## config.md", "## config-linux.md", "## runtime.md"] {
        for row in table("docs/checklist.md", part) {
            let (first, last) = row[0].split_once('-').unwrap_or((&row[0], &row[0]));
            if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse()) {
                numbers.extend(first..=last);
            }
        }
    }
    assert_eq!(numbers, (1..=41).chain(50..=95).chain(100..=109).collect::<BTreeSet<u32>>());
}

/// The fields and options that the code refuses as not supported, by their last word.
fn refused() -> BTreeSet<String> {
    let mut files = vec![];
    sources(&path("src"), &mut files);
    let mut refused = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for body in text.split("fn refuse_unsupported").skip(1) {
            let body = body.split("\n}\n").next().unwrap();
            let literals = body.split('"').skip(1).step_by(2).flat_map(str::split_whitespace);
            let named = literals.filter(|word| word.starts_with("--") || word.starts_with("/"));
            refused.extend(named.map(|word| word.rsplit('/').next().unwrap().to_owned()));
        }
        for rest in text.split("not supported by this version of pinfold\").field(\"").skip(1) {
            let option = rest.split('"').next().filter(|option| option.starts_with("--"));
            refused.extend(option.map(str::to_owned));
        }
    }
    refused
}

#[test]
fn the_readme_names_all_that_is_refused_and_no_more() {
    // What is refused by its value, beside the lists in the code.
    let values = ["SCMP_ACT_NOTIFY", "no-new-privileges=false"];
    let rows = table("README.md", "## What this version refuses");
    let mut told: BTreeSet<_> = rows.iter().flat_map(|row| quoted(&row[1])).collect();
    assert!(values.iter().all(|value| told.remove(*value)), "{told:?}");
    assert_eq!(told, refused());
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "TODO.md",
        "rootfs/README.md",
        "docs/callers.md",
        "docs/audit.md",
        "docs/checklist.md",
        "docs/clients.md",
        "docs/command-line.md",
        "docs/differences.md",
        "docs/ending.md",
        "docs/fuzzing.md",
        "docs/images.md",
        "docs/lint.md",
        "docs/mounts.md",
        "docs/policy.md",
        "docs/seccomp.md",
        "docs/surface.md",
    ];
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
