//! `policy`: what the owner of a host does with its policy file.

use clap::{Args, Subcommand};

use super::os;
use crate::types::HostPath;

/// Write and check the host's policy, and judge bundles by it
///
/// The policy is /etc/pinfold/policy.toml; docs/policy.md describes every key of it.
#[derive(Debug, Clone, Args)]
#[command(disable_help_subcommand = true)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: PolicyWhat,
}

/// What is done with a policy.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyWhat {
    /// Print a commented strict policy to start from
    Init,
    /// Judge a bundle, and launch nothing
    ///
    /// The verdict is that of a launch. Exit code: 0 if it is allowed, 120 if it is refused.
    Check {
        /// Bundle directory (default: the current directory)
        #[arg(value_name = "BUNDLE", value_parser = os::<HostPath>())]
        bundle: Option<HostPath>,
        /// Tell the rule that decided each part, what it asks for and what is allowed
        #[arg(long)]
        explain: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep what the host's policy says beside it, so that launches need not read its text
    ///
    /// Writes /etc/pinfold/policy.compiled. It counts only while the text is the same, for this very pinfold; else
    /// the text is read as if it were not there. The policy is checked first.
    Compile,
    /// Say which launches of the past would get another verdict
    ///
    /// Every launch of an audit log is judged again, by the same judge, on what its record says. Exit code: 0 if
    /// none changes, 1 if some do, 3 if none of those changes that can be judged.
    Test {
        /// The policy (default: the host's)
        #[arg(value_name = "FILE", value_parser = os::<HostPath>())]
        file: Option<HostPath>,
        /// The log
        #[arg(long, value_name = "AUDIT_LOG", value_parser = os::<HostPath>())]
        against: HostPath,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong or dangerous in a policy file
    ///
    /// Without FILE it is the host's, and whether it can be trusted is checked too. Exit code: 0, or 1 if
    /// something dangerous was found.
    Lint {
        /// The file (default: the host's policy)
        #[arg(value_name = "FILE", value_parser = os::<HostPath>())]
        file: Option<HostPath>,
    },
}
