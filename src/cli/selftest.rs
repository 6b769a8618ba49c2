//! `selftest`: attacks on this runtime, or on another.

use clap::{Args, Subcommand};

use super::os;
use crate::types::HostPath;

/// Try to escape from containers, of this runtime or of another
///
/// Each attack is carried out in namespaces of its own and on canaries; docs/escapes.md lists them. It
/// needs root. Exit code: 0 if all is held, 1 if something escaped, or if a
/// probe did not fire in its control.
#[derive(Debug, Clone, Args)]
#[command(disable_help_subcommand = true)]
pub struct SelftestArgs {
    /// What to try.
    #[command(subcommand)]
    pub what: SelftestWhat,
}

/// What is tried.
#[derive(Debug, Clone, Subcommand)]
pub enum SelftestWhat {
    /// Carry out the attacks, each with a weakened control in which it must succeed
    Escapes(EscapesArgs),
    /// What an attack runs inside
    #[command(hide = true)]
    Probe {
        /// Its name.
        name: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// Options of `selftest escapes`.
#[derive(Debug, Clone, Args)]
pub struct EscapesArgs {
    /// The runtime to attack, with runc's command line (default: this pinfold)
    #[arg(long, value_name = "PATH", value_parser = os::<HostPath>())]
    pub runtime: Option<HostPath>,
    /// Carry out this attack alone; may be repeated
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The lab's directory, in its own namespaces.
    #[arg(long, hide = true, value_parser = os::<HostPath>())]
    pub inside: Option<HostPath>,
}
