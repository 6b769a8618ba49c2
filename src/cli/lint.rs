//! `lint`: what is dangerous in a configuration.

use clap::{Args, ValueEnum};

use super::os;
use crate::types::HostPath;

/// From which severity on `lint` fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// The container is the host.
    Critical,
    /// A short way out.
    High,
    /// A way out with one more fault.
    Medium,
    /// One wall less.
    Low,
    /// Worth knowing.
    Note,
    /// Never.
    Never,
}

/// Say what is dangerous in a bundle's configuration
///
/// Needs no policy and launches nothing. docs/lint.md has every rule. Exit code: 0, or 1 if something at
/// or above --fail-on was found.
#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// Bundle directory or configuration file (default: the current directory)
    #[arg(value_name = "BUNDLE|CONFIG", value_parser = os::<HostPath>())]
    pub path: Option<HostPath>,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// Print SARIF 2.1.0, for editors and code hosts
    #[arg(long)]
    pub sarif: bool,
    /// From which severity on the exit code is 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value = "high")]
    pub fail_on: FailOn,
}
