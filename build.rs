//! Tells the crate which commit it is built from, for `pinfold --version`, and the linker where it begins.
//!
//! It also names its sources, so that what one pinfold compiled of a policy is nothing to another.
//!
//! `PINFOLD_COMMIT` in the environment of the build decides; else a release build asks git.
//! A build without either says "unknown" and does not fail.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files whose change means another commit: the branch, its tip, and where tips are packed.
const WATCHED: &[&str] = &["HEAD", "logs/HEAD", "packed-refs"];

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PINFOLD_COMMIT");
    let given = std::env::var("PINFOLD_COMMIT").ok().filter(|commit| !commit.trim().is_empty());
    let commit = given.or_else(head_of_release).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=PINFOLD_COMMIT={}", commit.trim());
    println!("cargo::rustc-env=PINFOLD_SOURCES={:016x}", sources()?);
    // src/sys/entry.rs
    println!("cargo::rustc-link-arg-bin=pinfold=-Wl,-e,pinfold_entry");
    // 18,000 relocations in 8 KB instead of 450 (DT_RELR): every start reads them all. glibc 2.36, musl 1.2.4.
    println!("cargo::rustc-link-arg-bin=pinfold=-Wl,-z,pack-relative-relocs");
    if is_ordered() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/order.ld");
        println!("cargo::rustc-link-arg-bin=pinfold=-T");
        println!("cargo::rustc-link-arg-bin=pinfold={}", script.display());
    }
    Ok(())
}

/// Whether the functions of a launch shall lie together: in what is installed, where they have the names that
/// .cargo/config.toml asks for. ld and lld take such a script, other linkers do not.
fn is_ordered() -> bool {
    let says = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    says("OPT_LEVEL", "s")
        && says("CARGO_CFG_TARGET_ENV", "musl")
        && flags.contains("symbol-mangling-version=v0")
        && !flags.contains("fuse-ld")
}

/// A number that changes with every source and every crate.
fn sources() -> std::io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut directories = vec![PathBuf::from("src")];
    let mut files = vec![PathBuf::from("Cargo.lock"), PathBuf::from("Cargo.toml")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let kind = if entry.file_type()?.is_dir() { &mut directories } else { &mut files };
            kind.push(entry.path());
        }
    }
    files.sort();
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        (&file, std::fs::read(&file)?).hash(&mut hasher);
    }
    println!("cargo::rerun-if-changed=src");
    Ok(hasher.finish())
}

/// The commit of a release build. A debug build has none: it would be built anew after every commit.
fn head_of_release() -> Option<String> {
    std::env::var("PROFILE").ok().filter(|profile| profile == "release")?;
    let head = git(&["rev-parse", "--verify", "HEAD"])?;
    for file in WATCHED {
        watch(file);
    }
    if let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"]) {
        watch(&branch);
    }
    Some(head)
}

/// Cargo takes a file that is absent for one that changed: only what is there is watched.
fn watch(file: &str) {
    if let Some(path) = git(&["rev-parse", "--git-path", file])
        && Path::new(&path).metadata().is_ok()
    {
        println!("cargo::rerun-if-changed={path}");
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
