//! How the program of a sandbox is started.

use std::ffi::OsString;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap::builder::TypedValueParser;

use super::super::os;
use crate::types::{EnvArg, HostPath, RootPath, SecretArg};

/// Options about the program.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Program")]
pub struct ProcessArgs {
    /// Set a variable: KEY=VALUE, or KEY for the caller's value
    ///
    /// Default: PATH, HOME, USER, LANG=C.UTF-8, TZ, and TERM with --tty; nothing else of the caller's.
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = os::<EnvArg>())]
    pub env: Vec<EnvArg>,
    /// File with one KEY=VALUE or KEY per line; --env wins
    #[arg(long, value_name = "FILE", value_parser = os::<HostPath>())]
    pub env_file: Vec<HostPath>,
    /// Give a secret as a file in memory: NAME=file:PATH or NAME=fd:N
    ///
    /// It is never in the environment, the command line or the report.
    #[arg(long, value_name = "NAME=SOURCE", value_parser = os::<SecretArg>())]
    pub secret: Vec<SecretArg>,
    /// Working directory (default: the first --rw destination, else /)
    #[arg(short, long, value_name = "DIR", value_parser = os::<RootPath>())]
    pub workdir: Option<RootPath>,
    /// Program in front of CMD
    #[arg(long, value_name = "PROGRAM", value_parser = NonEmptyStringValueParser::new().map(OsString::from))]
    pub entrypoint: Option<OsString>,
    /// Give it a terminal of its own, never the caller's
    #[arg(short, long)]
    pub tty: bool,
    /// Accepted from Docker: stdin is always inherited
    #[arg(short, long)]
    pub interactive: bool,
    /// Accepted from Docker: an init is always process 1
    #[arg(long)]
    pub init: bool,
}
