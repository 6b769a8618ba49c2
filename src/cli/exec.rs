//! `exec`: a further program in a running container.

use std::ffi::OsString;

use clap::Args;

use super::os;
use crate::types::{ContainerId, EnvArg, HostPath, Id, RootPath, UserArg};

/// What flags do not say is inherited from the container's own configuration.
const SHAPE: [&str; 9] =
    ["command", "cwd", "env", "user", "additional_gids", "no_new_privs", "cap", "process_label", "apparmor"];

/// Run a further program in a running container
///
/// What the options do not say is taken from the container's own configuration: a program is never
/// less confined than the container unless an option says so.
/// Exit code: the program's own, 128+N for signal N, 255 after an error of pinfold.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct ExecArgs {
    /// The running container
    #[arg(value_name = "ID")]
    pub id: ContainerId,
    /// The program and its arguments, passed on as they are
    #[arg(value_name = "CMD", trailing_var_arg = true, required_unless_present = "process")]
    pub command: Vec<OsString>,
    /// process.json with the whole process instead of CMD and the flags about it
    #[arg(short, long, value_name = "FILE", value_parser = os::<HostPath>(), conflicts_with_all = SHAPE)]
    pub process: Option<HostPath>,
    /// Working directory inside the container (default: the container's)
    #[arg(long, value_name = "DIR", value_parser = os::<RootPath>())]
    pub cwd: Option<RootPath>,
    /// Add to the environment: KEY=VALUE, or KEY for the caller's value
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = os::<EnvArg>())]
    pub env: Vec<EnvArg>,
    /// Run as this user (default: the container's)
    #[arg(short, long, value_name = "UID[:GID]", allow_hyphen_values = true)]
    pub user: Option<UserArg>,
    /// Supplementary group, besides the container's
    #[arg(short = 'g', long, value_name = "GID", allow_hyphen_values = true)]
    pub additional_gids: Vec<Id>,
    /// Give it a terminal of its own
    #[arg(short, long)]
    pub tty: bool,
    /// Return once the program runs
    #[arg(short, long)]
    pub detach: bool,
    /// File to write the process id to
    #[arg(long, value_name = "FILE", value_parser = os::<HostPath>())]
    pub pid_file: Option<HostPath>,
    /// AF_UNIX socket that receives the terminal's master end
    #[arg(long, value_name = "SOCKET", value_parser = os::<HostPath>())]
    pub console_socket: Option<HostPath>,
    /// AF_UNIX socket that receives a pidfd of the process (kernel 5.3)
    #[arg(long, value_name = "SOCKET", value_parser = os::<HostPath>())]
    pub pidfd_socket: Option<HostPath>,
    /// Descriptors to pass on, besides 0 to 2
    ///
    /// Weaker: what these descriptors open can be used from inside.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u16,
    /// Set no_new_privs, even if the container runs without it
    #[arg(long)]
    pub no_new_privs: bool,
    /// Add a capability
    ///
    /// Weaker: the program can do what the container's own processes cannot. A name that is not
    /// known is a warning.
    #[arg(short, long, value_name = "CAP")]
    pub cap: Vec<String>,
    /// SELinux label of the process, in place of the container's
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// AppArmor profile of the process, in place of the container's
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// Existing sub-cgroup to run in
    #[arg(long, value_name = "[CONTROLLER:]PATH")]
    pub cgroup: Vec<String>,
    /// Enter a paused container; the program waits until `resume`
    #[arg(long)]
    pub ignore_paused: bool,
}
