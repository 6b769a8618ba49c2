//! The verbs about a container that exists: all but `exec` and `update`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use crate::types::{ContainerId, SignalName, Span};

/// Options of `start`.
#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// The created container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Options of `state`.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Options of `pause`.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    /// The running container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Options of `resume`.
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The paused container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Options of `kill`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct KillArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
    /// Signal by name, with or without SIG, or by number
    #[arg(value_name = "SIGNAL", default_value = "TERM")]
    pub signal: SignalName,
    /// Send it to every process of the container
    #[arg(short, long)]
    pub all: bool,
}

/// Options of `delete`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct DeleteArgs {
    /// The stopped container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
    /// Kill it first if it runs; an unknown container is no error
    #[arg(short, long)]
    pub force: bool,
}

/// How `list` and `ps` print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ListFormat {
    /// Columns for people.
    #[default]
    Table,
    /// One line of JSON.
    Json,
}

/// Options of `list`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct ListArgs {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Print the ids only
    #[arg(short, long)]
    pub quiet: bool,
}

/// Options of `ps`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct PsArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
    /// Arguments for ps(1), passed on as they are (default: -ef)
    #[arg(value_name = "PS ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub ps_args: Vec<OsString>,
    /// Form of the list; json prints the process ids only
    #[arg(short, long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// Options of `events`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct EventsArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
    /// Time between two lines of statistics
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub interval: Span,
    /// Print the statistics once and exit
    #[arg(long)]
    pub stats: bool,
}
