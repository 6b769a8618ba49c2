//! The verbs that launch nothing: what there is, what would be, and the tidying.

use clap::{Args, Subcommand, ValueEnum};

use super::{SandboxArgs, os};
use crate::types::HostPath;

/// Write a config.json to start from
///
/// The same configuration as `runc spec`: sh on a terminal, as root, with three capabilities, in the
/// directory rootfs. An existing config.json is left alone.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct SpecArgs {
    /// Directory to write config.json into (default: the current directory)
    #[arg(short, long, value_name = "DIR", value_parser = os::<HostPath>())]
    pub bundle: Option<HostPath>,
    /// For a caller without root: a user namespace with the caller as root
    ///
    /// Weaker: the container shares the host's network; it has no limits.
    #[arg(long)]
    pub rootless: bool,
}

/// Print what this runtime implements as JSON
///
/// The form is runtime-spec's features.md; it does not depend on this host.
#[derive(Debug, Clone, Args)]
pub struct FeaturesArgs {}

/// Print what a launch would do, step by step
///
/// It is the very plan that a launch would carry out, with its digest; nothing is started. Where a policy
/// stands, the rule that decided each part follows.
#[derive(Debug, Clone, Args)]
#[command(
    subcommand_value_name = "sandbox OPTIONS",
    subcommand_help_heading = "Instead of a bundle",
    disable_help_subcommand = true
)]
pub struct ExplainArgs {
    /// Bundle directory (default: the current directory)
    #[arg(value_name = "BUNDLE", value_parser = os::<HostPath>())]
    pub bundle: Option<HostPath>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// A sandbox instead of a bundle.
    #[command(subcommand)]
    pub what: Option<ExplainWhat>,
}

/// What else can be explained.
#[derive(Debug, Clone, Subcommand)]
#[command(defer = true)]
pub enum ExplainWhat {
    /// Explain `pinfold sandbox` with these options
    #[command(disable_help_flag = true, override_usage = "pinfold explain sandbox [OPTIONS] -- CMD...")]
    Sandbox(Box<SandboxArgs>),
}

impl ExplainArgs {
    pub(super) fn sandbox(&self) -> Option<&SandboxArgs> {
        self.what.as_ref().map(|ExplainWhat::Sandbox(args)| args.as_ref())
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match (&self.bundle, &self.what) {
            (Some(_), Some(_)) => Err("explain takes a BUNDLE or a sandbox, not both".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Check whether this host can run sandboxes, and say how to fix it
///
/// Every check that fails comes with the setting that mends it. Exit code: 0 if `pinfold sandbox`
/// can work here, else 1.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Remove what dead launches left behind
///
/// State and cgroups of launches whose process is gone. Every launch does the same.
#[derive(Debug, Clone, Args)]
pub struct GcArgs {}

/// The shells that can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}

/// Print the completion script of a shell
///
/// For bash: pinfold completion bash > /usr/share/bash-completion/completions/pinfold
#[derive(Debug, Clone, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Print or write the manual pages
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Directory to write one page per verb into (default: print the main page)
    #[arg(value_name = "DIR", value_parser = os::<HostPath>())]
    pub directory: Option<HostPath>,
}
