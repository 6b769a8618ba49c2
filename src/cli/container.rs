//! The verbs about a container that exists: all but `exec` and `update`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use crate::types::{ContainerId, SignalName, Span};

/// Let the program of a created container run
#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// The created container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Print the state of a container as JSON
///
/// The form is runtime-spec's: ociVersion, id, status, pid, bundle and annotations; and runc's rootfs,
/// created and owner.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Freeze all processes of a container
///
/// Needs a cgroup: the freezer of version 2 (kernel 5.2), or the freezer controller of version 1.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    /// The running container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Let a paused container go on
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The paused container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
}

/// Send a signal to a container's first process
///
/// The process is addressed by a pidfd: another process that got its number is never hit.
///
/// With --all-sandboxes it is SIGKILL to every process of every container and sandbox in the default
/// state directory, in those that the policy lists, and in --root. What is paused, or frozen, ends too,
/// and a launch that is on its way is refused. The ids are printed as they end.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct KillArgs {
    /// The container
    #[arg(value_name = "ID", required_unless_present = "all_sandboxes", conflicts_with = "all_sandboxes")]
    pub id: Option<String>,
    /// Signal by name, with or without SIG, or by number
    #[arg(value_name = "SIGNAL", default_value = "TERM")]
    pub signal: SignalName,
    /// Send it to every process of the container
    #[arg(short, long)]
    pub all: bool,
    /// ID is an extended regular expression: every container that it is found in (crun's option)
    ///
    /// What fails for one of them is a warning.
    #[arg(short, long)]
    pub regex: bool,
    /// End everything that pinfold keeps on this host, at once
    #[arg(long, conflicts_with_all = ["all", "regex"])]
    pub all_sandboxes: bool,
    /// With --all-sandboxes: those of this profile of the policy alone
    #[arg(long, value_name = "NAME", requires = "all_sandboxes")]
    pub profile: Option<String>,
}

/// Remove a stopped container and all that create made
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct DeleteArgs {
    /// The stopped container
    #[arg(value_name = "ID")]
    pub id: String,
    /// Kill it first if it runs; an unknown container is no error
    #[arg(short, long)]
    pub force: bool,
    /// ID is an extended regular expression: every container that it is found in (crun's option)
    ///
    /// What fails for one of them is a warning.
    #[arg(short, long)]
    pub regex: bool,
}

/// Not supported: pinfold keeps no image of a running program
///
/// runc's `checkpoint` and `restore`.
#[derive(Debug, Clone, Args)]
pub struct MissingArgs {
    /// Anything
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
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

/// List the containers below --root
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

/// List the processes of a container
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

/// Print statistics and out-of-memory events of a container
///
/// One JSON object per line, until the container stops.
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
