//! How long a sandbox lives, and who learns of its end.

use clap::Args;

use super::super::os;
use crate::types::{ContainerId, InputFile, ReportTarget};

/// Options about the launch itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Launch")]
pub struct LifeArgs {
    /// Name for `list`, `exec`, `kill` and `delete` (default: a random one)
    #[arg(long, value_name = "ID")]
    pub name: Option<ContainerId>,
    /// Return once the program runs; the sandbox lives until `delete`
    ///
    /// Weaker: it does not end with its caller.
    #[arg(short, long)]
    pub detach: bool,
    /// Accepted from Docker: a sandbox is always removed
    #[arg(long)]
    pub rm: bool,
    /// Write the outcome as one JSON object to FILE or fd:N
    #[arg(long, value_name = "FILE|fd:N", value_parser = os::<ReportTarget>())]
    pub report: Option<ReportTarget>,
    /// Take the request from a file, `-` for stdin; options on the command line win
    #[arg(long, value_name = "FILE", value_parser = os::<InputFile>(), allow_hyphen_values = true)]
    pub spec: Option<InputFile>,
    /// Profile of the host's policy to be judged by besides (docs/policy.md)
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Refuse to start where a default cannot be enforced on this host
    ///
    /// Without it such a default is named on stderr and in the report's `degraded` list.
    #[arg(long)]
    pub strict: bool,
    /// Print the plan instead of running it
    #[arg(long)]
    pub explain: bool,
    /// `explain --json`: the plan as JSON.
    #[arg(skip)]
    pub explain_json: bool,
}
