//! One file per verb, each a short story.

mod output;

pub mod completion;
pub mod doctor;
pub mod entry;
pub mod explain;
pub mod failure;
pub mod features;
pub mod host;
pub mod man;
pub mod sandbox;
pub mod spec;

use crate::cli::{Cli, Verb};
use crate::error::{Error, ExitCode, Result};

/// Does what the command line asks for, and says with which code to exit.
///
/// # Errors
/// The verb's failure; [`failure`] renders it and knows its exit code.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.verb {
        Verb::Spec(args) => spec::run(args),
        Verb::Features(_) => features::run(),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Completion(args) => completion::run(args),
        Verb::Man(args) => man::run(args),
        Verb::Sandbox(args) => sandbox::run(&cli.global, args),
        other => Err(Error::internal(format!("`{}` is not built yet", other.name()))),
    }
}
