//! `sandbox`: Docker's words with secure defaults.
//!
//! An option that is not given is `None` here: the Draft fills in the default, or what the
//! policy says. `-h` is the host name, as in Docker; help is `--help` only.

mod check;
mod identity;
mod life;
mod limits;
mod mounts;
mod privileges;
mod process;

pub use identity::IdentityArgs;
pub use life::LifeArgs;
pub use limits::{DEFAULT_CPUS, DEFAULT_MEMORY, DEFAULT_PIDS, DEFAULT_SHM, LimitArgs};
pub use mounts::{FileArgs, MountList, MountRequest};
pub use privileges::PrivilegeArgs;
pub use process::ProcessArgs;

use std::ffi::OsString;

use clap::{ArgAction, Args};

/// Run one untrusted program with secure defaults
///
/// No network, no capabilities, no_new_privs, a seccomp filter, Landlock, a read-only root made of the
/// host's /usr, private /tmp, 512m of memory, 256 processes, one CPU, an id of its own on the host.
/// Options are Docker's where Docker has one. Everything ends with the caller.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit code: the program's own; 128+N for signal N; 120 refused by policy, 121 set-up failed, \
                  122 out of memory,\n123 output limit, 124 timeout, 125 bad usage, 126 not executable, \
                  127 not found. `outcome.kind` of --report decides."
)]
pub struct SandboxArgs {
    /// The program and its arguments, passed on as they are
    #[arg(value_name = "CMD", trailing_var_arg = true, required_unless_present_any = ["spec", "entrypoint", "image"])]
    pub command: Vec<OsString>,
    /// What it sees of the host.
    #[command(flatten)]
    pub files: FileArgs,
    /// How much of the host it may use.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// How it is started.
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Who and where it believes to be.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// What it may do beyond the default.
    #[command(flatten)]
    pub privileges: PrivilegeArgs,
    /// How long it lives, and who learns of its end.
    #[command(flatten)]
    pub life: LifeArgs,
    /// Print help
    #[arg(long, action = ArgAction::HelpLong, help_heading = "Options")]
    help: Option<bool>,
}

impl SandboxArgs {
    /// Refuses options that contradict each other, in the words of the command line.
    pub(super) fn check(&self) -> Result<(), String> {
        check::contradictions(self)
    }
}
