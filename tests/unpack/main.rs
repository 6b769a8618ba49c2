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

mod tar;
mod world;
mod hostile;
mod ordinary;

use std::ffi::OsString;
use std::panic::catch_unwind;
use std::process::ExitCode;

use pinfold::image::unpack::confine;

/// A case by its name.
type Case = (&'static str, fn());

fn main() -> ExitCode {
    let args = std::env::args_os().collect::<Vec<OsString>>();
    if let Some(code) = confine::entered(&args) {
        return ExitCode::from(code.0);
    }
    let words = args.iter().skip(1).filter_map(|word| word.to_str()).collect::<Vec<_>>();
    let cases = [ordinary::CASES, hostile::CASES].concat();
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
