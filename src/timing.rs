//! `--trace-timing`: how long each phase of the parent and each step of the child took, so that a slower launch
//! names what became slower. docs/speed.md describes the lines.
//!
//! Without the option a phase costs one load. All times are CLOCK_MONOTONIC's, which parent and child share.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::tell;
use crate::sys::clock;

static TRACE: OnceLock<Mutex<Trace>> = OnceLock::new();

#[derive(Debug)]
struct Trace {
    /// When `main` began.
    begun: u64,
    /// CPU time until then: execve, relocations, and the start of libc.
    before: u64,
    /// What ended, and when.
    phases: Vec<(&'static str, u64)>,
    /// The child's steps, and when each began.
    steps: Vec<(String, u64)>,
}

/// From now on phases are kept.
pub fn begin(main: u64) {
    let before = clock::process_ns().saturating_sub(clock::monotonic_ns().saturating_sub(main));
    TRACE.get_or_init(|| Mutex::new(Trace { begun: main, before, phases: vec![], steps: vec![] }));
}

/// Whether they are: the child then writes down when it enters each step.
pub fn is_on() -> bool {
    TRACE.get().is_some()
}

/// A phase ends, and the next one begins.
pub fn ended(phase: &'static str) {
    with(|trace| trace.phases.push((phase, clock::monotonic_ns())));
}

/// What the child wrote down so far, in the place of what was known before.
pub fn steps(known: impl FnOnce() -> Vec<(String, u64)>) {
    with(|trace| trace.steps = known());
}

/// Prints all of it to stderr: who, microseconds from the beginning of `main`, microseconds that it took, and what.
pub fn print() {
    with(|trace| {
        for line in trace.lines() {
            tell(format_args!("{line}"));
        }
    });
}

fn with(change: impl FnOnce(&mut Trace)) {
    if let Some(trace) = TRACE.get() {
        change(&mut trace.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Trace {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![line("start", 0, self.before, "execve and libc, CPU time")];
        let mut at = self.begun;
        for (phase, end) in &self.phases {
            lines.push(line("parent", at.saturating_sub(self.begun), end.saturating_sub(at), phase));
            at = *end;
        }
        let end = self.phases.last().map_or(at, |(_, end)| *end);
        let next = self.steps.iter().skip(1).map(|(_, begun)| *begun).chain([end]);
        for ((step, begun), next) in self.steps.iter().zip(next) {
            lines.push(line("child", begun.saturating_sub(self.begun), next.saturating_sub(*begun), step));
        }
        lines
    }
}

fn line(who: &str, at: u64, took: u64, what: &str) -> String {
    format!("timing: {who:<6} {:>9.1} {:>9.1}  {what}", micros(at), micros(took))
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a launch, printed with one digit")]
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_lasts_until_the_next_and_a_step_until_the_next_step() {
        let trace = Trace {
            begun: 1_000_000,
            before: 250_000,
            phases: vec![("configuration", 1_100_000), ("set-up", 1_900_000)],
            steps: vec![("mount /proc".to_owned(), 1_200_000), ("exec".to_owned(), 1_500_500)],
        };
        let expected = [
            "timing: start        0.0     250.0  execve and libc, CPU time",
            "timing: parent       0.0     100.0  configuration",
            "timing: parent     100.0     800.0  set-up",
            "timing: child      200.0     300.5  mount /proc",
            "timing: child      500.5     399.5  exec",
        ];
        assert_eq!(trace.lines(), expected);
    }
}
