//! `create` and `run`: from a bundle to a container.

use clap::Args;

use super::os;
use crate::types::{ContainerId, HostPath};

/// What `create` and `run` share.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct LaunchArgs {
    /// Name of the new container, unique below --root
    #[arg(value_name = "ID")]
    pub id: ContainerId,
    /// Bundle directory (default: the current directory)
    #[arg(short, long, value_name = "DIR", value_parser = os::<HostPath>())]
    pub bundle: Option<HostPath>,
    /// Configuration file instead of the bundle's config.json
    #[arg(short = 'f', long, value_name = "FILE", value_parser = os::<HostPath>())]
    pub config: Option<HostPath>,
    /// The configuration as an inherited descriptor of a sealed file in memory; for pinfold itself
    #[arg(long, value_name = "N", hide = true, conflicts_with = "config", value_parser = clap::value_parser!(u16).range(3..))]
    pub config_fd: Option<u16>,
    /// AF_UNIX socket that receives the terminal's master end
    #[arg(long, value_name = "SOCKET", value_parser = os::<HostPath>())]
    pub console_socket: Option<HostPath>,
    /// File to write the process id to
    #[arg(long, value_name = "FILE", value_parser = os::<HostPath>())]
    pub pid_file: Option<HostPath>,
    /// AF_UNIX socket that receives a pidfd of the first process (kernel 5.3)
    #[arg(long, value_name = "SOCKET", value_parser = os::<HostPath>())]
    pub pidfd_socket: Option<HostPath>,
    /// Descriptors to pass on, besides 0 to 2 and $LISTEN_FDS
    ///
    /// Sockets of systemd's activation ($LISTEN_FDS with this process's $LISTEN_PID) come first.
    /// Weaker: what these descriptors open can be used from inside.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u16,
    /// Do not pivot_root; for a root filesystem on a ramdisk
    ///
    /// Weaker: the host's mount tree stays mounted below the container's root.
    #[arg(long)]
    pub no_pivot: bool,
    /// Keep the caller's session keyring
    ///
    /// Weaker: the container can use the keys of the caller.
    #[arg(long)]
    pub no_new_keyring: bool,
}

/// Create a container from a bundle; its program waits for `start`
///
/// Everything of config.json is applied but the program: later edits of it do not matter.
/// A failure leaves nothing behind. Exit code: 0, or 1 after an error.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// What `create` and `run` share.
    #[command(flatten)]
    pub launch: LaunchArgs,
}

/// Create a container, run its program and remove it
///
/// create, start, wait and delete in one. In the foreground everything ends with the caller.
/// Exit code: the program's own, 128+N for signal N, 1 after an error of pinfold.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What `create` and `run` share.
    #[command(flatten)]
    pub launch: LaunchArgs,
    /// Return once the program runs
    ///
    /// The container then lives until `delete`; it does not end with its caller.
    #[arg(short, long)]
    pub detach: bool,
    /// Keep the container's state after its program ended
    #[arg(long)]
    pub keep: bool,
    /// Accepted for runc's callers: pinfold adopts no orphans
    #[arg(long)]
    pub no_subreaper: bool,
}
