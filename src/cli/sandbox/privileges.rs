//! What a sandbox may do beyond the default.

use clap::Args;

use super::super::os;
use crate::types::{CapArg, DeviceArg, SecurityOpt};

/// Options about privileges.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Privileges")]
pub struct PrivilegeArgs {
    /// Give a capability, by name or ALL (default: none)
    ///
    /// Weaker: the kernel lets the program do what capabilities(7) says of it, within its user namespace.
    #[arg(long, value_name = "CAP")]
    pub cap_add: Vec<CapArg>,
    /// Take a capability, by name or ALL (all are dropped unless added)
    #[arg(long, value_name = "CAP")]
    pub cap_drop: Vec<CapArg>,
    /// Give a device of the host (default: null zero full random urandom tty)
    ///
    /// Weaker: the device's driver, with all its faults, can be reached. Permissions default to rw.
    #[arg(long, value_name = "HOST[:CONTAINER[:rwm]]", value_parser = os::<DeviceArg>())]
    pub device: Vec<DeviceArg>,
    /// seccomp=FILE or seccomp=unconfined; no-new-privileges is accepted from Docker: it is always on
    ///
    /// Default: the seccomp profile `tool`. Weaker with seccomp=unconfined: every system call of the kernel
    /// can be tried.
    #[arg(long, value_name = "OPTION", value_parser = os::<SecurityOpt>())]
    pub security_opt: Vec<SecurityOpt>,
}
