//! One file per verb, each a short story.

mod agent;
pub mod audit;
mod output;

pub mod bundle;
pub mod caller;
pub mod completion;
pub mod container;
pub mod create;
pub mod delete;
pub mod destroy;
pub mod doctor;
pub mod ending;
pub mod entry;
pub mod events;
pub mod exec;
pub mod explain;
pub mod failure;
pub mod features;
pub mod gate;
pub mod gc;
pub mod group;
pub mod hooks;
pub mod host;
pub mod image;
pub mod json_shape;
pub mod judge;
pub mod kill;
pub mod lint;
mod kill_all;
mod lockdown;
pub mod log;
pub mod man;
pub mod matching;
pub mod pause;
pub mod pid_file;
pub mod pipes;
pub mod policy;
pub mod preserved;
pub mod protect;
pub mod ps;
pub mod rdt;
pub mod report;
pub mod report_place;
pub mod resources;
pub mod run;
pub mod sandbox;
pub mod selftest;
pub mod sockets;
pub mod spec;
pub mod start;
pub mod state;
pub mod state_root;
pub mod surface;
pub mod text_file;
pub mod trail;
pub mod update;
pub mod wishes;

use crate::cli::{Cli, Verb};
use crate::error::{Error, ExitCode, Result};

/// Does what the command line asks for, and says with which code to exit.
///
/// # Errors
/// The verb's failure; [`failure`] renders it and knows its exit code.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    caller::settle()?;
    log::takes_warnings(&cli.global);
    let ran = verb(cli);
    if let Err(error) = &ran
        && judge::is_unjudged()
        && is_recorded(&cli.verb)
    {
        trail::Trail::unjudged(cli.verb.name(), cli.verb.container()).failed(error);
    }
    ran
}

/// Whether a call of this verb leaves a record, refused or not.
fn is_recorded(verb: &Verb) -> bool {
    match verb {
        Verb::Create(_) | Verb::Run(_) | Verb::Exec(_) | Verb::Update(_) | Verb::Start(_) => true,
        Verb::Sandbox(args) => !args.life.explain,
        _ => false,
    }
}

fn verb(cli: &Cli) -> Result<ExitCode> {
    let global = &cli.global;
    match &cli.verb {
        Verb::Create(args) => create::run(global, args),
        Verb::Start(args) => start::run(global, args),
        Verb::State(args) => state::run(global, args),
        Verb::Kill(args) => kill::run(global, args),
        Verb::Delete(args) => delete::run(global, args),
        Verb::Run(args) => run::run(global, args),
        Verb::Exec(args) => exec::run(global, args),
        Verb::List(args) => state::list(global, args),
        Verb::Ps(args) => ps::run(global, args),
        Verb::Pause(args) => pause::pause(global, args.id.as_str()),
        Verb::Resume(args) => pause::resume(global, args.id.as_str()),
        Verb::Update(args) => update::run(global, args),
        Verb::Events(args) => events::run(global, args),
        Verb::Checkpoint(_) | Verb::Restore(_) => Err(Error::usage(
            "checkpoint and restore are not supported: pinfold keeps no image of a running program",
        )),
        Verb::Spec(args) => spec::run(args),
        Verb::Features(_) => features::run(),
        Verb::Sandbox(args) => sandbox::run(global, args),
        Verb::Explain(args) => explain::run(global, args),
        Verb::Lint(args) => lint::run(args),
        Verb::Policy(args) => policy::run(global, args),
        Verb::Image(args) => image::run(global, args),
        Verb::Audit(args) => audit::run(args),
        Verb::Lockdown(args) => lockdown::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Surface(args) => surface::run(global, args),
        Verb::Selftest(args) => selftest::run(args),
        Verb::Gc(args) => gc::run(global, args),
        Verb::Completion(args) => completion::run(args),
        Verb::Man(args) => man::run(args),
    }
}
