//! The promise: a layer becomes the tree that it describes, or an error that says where; nothing
//! outside of the staging directory changes, and after an error nothing is left in it.
//!
//! A program of its own (`harness = false`): the unpacker executes its own program again, which
//! here is this one, so that a case can put hostile code under the very same confinement.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a case fails by panicking, as in #[test] functions, which clippy does not see here"
)]

mod confinement;
mod hostile;
mod limits;
mod ordinary;
mod peers;
mod rootless;
mod tar;
mod whiteouts;
mod world;

use std::ffi::OsString;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use pinfold::image::unpack::confine;

/// A case by its name.
type Case = (&'static str, fn());

fn main() -> ExitCode {
    let args = std::env::args_os().collect::<Vec<OsString>>();
    let words = args.iter().skip(1).filter_map(|word| word.to_str()).collect::<Vec<_>>();
    let entered = match words.first() {
        Some(job) if confinement::is_attack(job) => confine::taken_over(&args, confinement::attack),
        _ => confine::entered(&args),
    };
    if let Some(code) = entered {
        return ExitCode::from(code.0);
    }
    match words.as_slice() {
        ["--show", directory] => {
            print!("{}", world::Tree::of(Path::new(directory)).lines());
            return ExitCode::SUCCESS;
        }
        ["--attempts", canary] => {
            confinement::print_attempts(canary);
            return ExitCode::SUCCESS;
        }
        ["--as-user", place, kind] => {
            rootless::play(place, kind);
            return ExitCode::SUCCESS;
        }
        ["--mounts", place] => ordinary::mount_for_ever(place),
        // For tests/unpack/control.sh, with PINFOLD_CORPUS.
        ["--corpus"] => {
            let cases = [hostile::CASES, whiteouts::CASES, limits::CASES].concat();
            return report(cases.into_iter());
        }
        ["--bench", blob, compression, staging] => return bench(blob, compression, staging),
        _ => {}
    }
    let cases = [
        ordinary::CASES,
        hostile::CASES,
        whiteouts::CASES,
        limits::CASES,
        confinement::CASES,
        rootless::CASES,
        peers::CASES,
    ]
    .concat();
    let filters = words.iter().filter(|word| !word.starts_with('-')).collect::<Vec<_>>();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let chosen = cases.into_iter().filter(|(name, _)| chosen(name));
    if words.contains(&"--list") {
        chosen.filter(|_| !words.contains(&"--ignored")).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    report(chosen)
}

fn report(cases: impl Iterator<Item = Case>) -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases {
        match catch_unwind(case) {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(_) => {
                failed += 1;
                println!("test {name} ... FAILED");
            }
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Unpacks one blob and says what came of it, for benches/unpack.sh.
fn bench(blob: &str, compression: &str, staging: &str) -> ExitCode {
    use pinfold::image::unpack::{self, Compression, Options};
    use std::os::fd::AsFd;
    let compression = match compression {
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        _ => Compression::None,
    };
    let (blob, staging) = (std::fs::File::open(blob).unwrap(), std::fs::File::open(staging).unwrap());
    let unpacked = unpack::layer(blob, compression, staging.as_fd(), &Options::default()).unwrap();
    println!("{} entries, {} bytes", unpacked.entries, unpacked.bytes);
    ExitCode::SUCCESS
}
