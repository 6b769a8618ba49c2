//! The system calls of pinfold and its descendants, up to where they execute another program.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use crate::support::run;

/// The program that injects, compiled once.
pub fn injector() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = format!("{}/inject", env!("CARGO_TARGET_TMPDIR"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/inject.c");
        run(Command::new("gcc").args(["-O1", "-Wall", "-Werror", "-o", &path, source])).ok();
        path
    })
}

/// Names of the system calls, from the kernel's header.
pub fn names() -> BTreeMap<usize, String> {
    let header = fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").expect("linux-libc-dev");
    let one = |line: &str| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((number.trim().parse().ok()?, name.to_owned()))
    };
    header.lines().filter_map(one).collect()
}

/// A call of a launch without a fault.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// In the order in which they are born.
    pub process: usize,
    /// Of the process.
    pub index: usize,
    /// As in the kernel's header.
    pub number: usize,
}

/// All calls that were listed.
pub fn calls(log: &str) -> Vec<Call> {
    let one = |line: &str| {
        let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [process, index, number] = numbers[..] else { panic!("not a call: {line}") };
        Call { process, index, number }
    };
    log.lines().map(one).collect()
}
