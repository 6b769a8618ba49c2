//! The command line as it was typed: every option of every verb, and no I/O.
//!
//! Values are parsed by `types/`; what contradicts itself is refused here. Verbs are named as in
//! runc(8) and Docker; their options may stand before or after the container id.

mod audit;
mod container;
mod exec;
mod global;
mod help;
mod image;
mod launch;
mod lint;
mod lockdown;
mod others;
mod policy;
mod pull;
mod refused;
mod sandbox;
mod selftest;
mod surface;
mod update;

pub mod version;

pub use audit::{AuditArgs, AuditWhat, Only};
pub use container::{
    DeleteArgs, EventsArgs, KillArgs, ListArgs, ListFormat, MissingArgs, PauseArgs, PsArgs, ResumeArgs,
    StartArgs, StateArgs,
};
pub use exec::ExecArgs;
pub use global::{CgroupManager, Global, LogFormat, Rootless};
pub use image::{CommitArgs, ImageArgs, ImageFormat, ImageWhat, ImportArgs, InspectArgs};
pub use launch::{CreateArgs, LaunchArgs, RunArgs};
pub use lint::{FailOn, LintArgs};
pub use lockdown::LockdownArgs;
pub use others::{
    CompletionArgs, DoctorArgs, ExplainArgs, ExplainWhat, FeaturesArgs, GcArgs, ManArgs, Shell, SpecArgs,
};
pub use policy::{PolicyArgs, PolicyWhat};
pub use pull::PullArgs;
pub use refused::{report_of_refused, usage_text};
pub use sandbox::{
    DEFAULT_CPUS, DEFAULT_MEMORY, DEFAULT_PIDS, DEFAULT_SHM, FileArgs, IdentityArgs, LifeArgs, LimitArgs,
    MountList, MountRequest, PrivilegeArgs, ProcessArgs, SandboxArgs,
};
pub use selftest::{EscapesArgs, SelftestArgs, SelftestWhat};
pub use surface::SurfaceArgs;
pub use update::UpdateArgs;

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::types::{ContainerId, FromOsStr};

/// A whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "pinfold",
    about = "Runs untrusted tools so that the host stays whole: an OCI runtime, and a sandbox of its own",
    version = version::TEXT,
    disable_version_flag = true,
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    help_template = help::TEMPLATE,
    after_help = help::VERBS,
    arg_required_else_help = true,
)]
pub struct Cli {
    /// The options in front of the verb.
    #[command(flatten)]
    pub global: Global,
    /// The verb and its options.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What pinfold is asked to do. Only the options of the verb that was typed are built.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Create a container from a bundle; its program waits for `start`
    Create(Box<CreateArgs>),
    /// Let the program of a created container run
    Start(StartArgs),
    /// Print the state of a container as JSON
    State(StateArgs),
    /// Send a signal to a container's first process
    Kill(KillArgs),
    /// Remove a stopped container and all that create made
    Delete(DeleteArgs),
    /// Create a container, run its program and remove it
    Run(Box<RunArgs>),
    /// Run a further program in a running container
    Exec(Box<ExecArgs>),
    /// List the containers below --root
    List(ListArgs),
    /// List the processes of a container
    Ps(PsArgs),
    /// Freeze all processes of a container
    Pause(PauseArgs),
    /// Let a paused container go on
    Resume(ResumeArgs),
    /// Change the resource limits of a container
    Update(Box<UpdateArgs>),
    /// Print statistics and out-of-memory events of a container
    Events(EventsArgs),
    /// Not supported: pinfold keeps no image of a running program
    #[command(hide = true)]
    Checkpoint(MissingArgs),
    /// Not supported: pinfold keeps no image of a running program
    #[command(hide = true)]
    Restore(MissingArgs),
    /// Write a config.json to start from
    Spec(SpecArgs),
    /// Print what this runtime implements as JSON
    Features(FeaturesArgs),
    /// Run one untrusted program with secure defaults
    #[command(disable_help_flag = true, override_usage = "pinfold sandbox [OPTIONS] -- CMD...")]
    Sandbox(Box<SandboxArgs>),
    /// Print what a launch would do, step by step
    Explain(Box<ExplainArgs>),
    /// Say what is dangerous in a bundle's configuration
    Lint(LintArgs),
    /// Write and check the host's policy, and judge bundles by it
    Policy(PolicyArgs),
    /// Bring images in, look at them, hand them out
    Image(Box<ImageArgs>),
    /// Verify, show and export the audit log
    Audit(AuditArgs),
    /// Refuse every launch, exec, start and update until it is lifted
    Lockdown(LockdownArgs),
    /// Check whether this host can run sandboxes, and say how to fix it
    Doctor(DoctorArgs),
    /// Try to escape from containers, of this runtime or of another
    Selftest(SelftestArgs),
    /// Say what a process in a container can reach
    Surface(SurfaceArgs),
    /// Remove what dead launches left behind
    Gc(GcArgs),
    /// Print the completion script of a shell
    Completion(CompletionArgs),
    /// Print or write the manual pages
    Man(ManArgs),
}

impl Verb {
    /// The verb as it is typed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Start(_) => "start",
            Self::State(_) => "state",
            Self::Kill(_) => "kill",
            Self::Delete(_) => "delete",
            Self::Run(_) => "run",
            Self::Exec(_) => "exec",
            Self::List(_) => "list",
            Self::Ps(_) => "ps",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Update(_) => "update",
            Self::Events(_) => "events",
            Self::Checkpoint(_) => "checkpoint",
            Self::Restore(_) => "restore",
            Self::Spec(_) => "spec",
            Self::Features(_) => "features",
            Self::Sandbox(_) => "sandbox",
            Self::Explain(_) => "explain",
            Self::Lint(_) => "lint",
            Self::Policy(_) => "policy",
            Self::Image(_) => "image",
            Self::Audit(_) => "audit",
            Self::Lockdown(_) => "lockdown",
            Self::Doctor(_) => "doctor",
            Self::Selftest(_) => "selftest",
            Self::Surface(_) => "surface",
            Self::Gc(_) => "gc",
            Self::Completion(_) => "completion",
            Self::Man(_) => "man",
        }
    }

    /// The container that it is about, where one was named.
    pub fn container(&self) -> Option<&str> {
        let id = match self {
            Self::Create(args) => Some(&args.launch.id),
            Self::Start(args) => Some(&args.id),
            Self::State(args) => Some(&args.id),
            Self::Kill(args) => return args.id.as_deref(),
            Self::Delete(args) => return Some(&args.id),
            Self::Run(args) => Some(&args.launch.id),
            Self::Exec(args) => Some(&args.id),
            Self::Ps(args) => Some(&args.id),
            Self::Pause(args) => Some(&args.id),
            Self::Resume(args) => Some(&args.id),
            Self::Update(args) => Some(&args.id),
            Self::Events(args) => Some(&args.id),
            Self::Sandbox(args) => args.life.name.as_ref(),
            _ => None,
        };
        id.map(ContainerId::as_str)
    }

    /// The sandbox options among these, wherever they stand.
    fn sandbox(&self) -> Option<&SandboxArgs> {
        match self {
            Self::Sandbox(args) => Some(args),
            Self::Explain(args) => args.sandbox(),
            _ => None,
        }
    }
}

/// The whole of the command line as clap describes it: for help, manual pages and completion.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// Clap's error, which is also how `--help` and `--version` come out.
pub fn parse_from<I, T>(args: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(args)?;
    let cli = Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?;
    let verdict = match &cli.verb {
        Verb::Explain(args) => args.check().and_then(|()| args.sandbox().map_or(Ok(()), SandboxArgs::check)),
        verb => verb.sandbox().map_or(Ok(()), SandboxArgs::check),
    };
    match verdict {
        Ok(()) => Ok(cli),
        Err(text) => Err(command.error(ErrorKind::ArgumentConflict, text)),
    }
}

/// The verb of a command line that may be wrong otherwise: it decides the exit code.
pub fn verb_of(args: &[OsString]) -> Option<String> {
    let command = command();
    let takes_value = |arg: &str| {
        command
            .get_arguments()
            .any(|known| known.get_action().takes_values() && known.get_long() == arg.strip_prefix("--"))
    };
    let mut words = args.iter().skip(1).map(|arg| arg.to_string_lossy());
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            return command.find_subcommand(word.as_ref()).map(|verb| verb.get_name().to_owned());
        }
        if takes_value(&word) {
            words.next();
        }
    }
    None
}

/// A parser for values that need not be UTF-8.
fn os<T: FromOsStr + Clone + Send + Sync + 'static>() -> impl TypedValueParser<Value = T> {
    OsStringValueParser::new().try_map(|value| T::from_os_str(&value))
}

#[cfg(test)]
mod tests;
