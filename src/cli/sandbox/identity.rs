//! Who and where the program of a sandbox believes to be.

use clap::Args;

use crate::types::{AddHost, Hostname, NetworkMode, Principal, UserArg};

/// Options about identity and network.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Identity and network")]
pub struct IdentityArgs {
    /// User inside, by id or name (default: 1000)
    ///
    /// It is another user on the host: a user namespace maps it to an id that nothing else uses.
    /// Without root, another than 1000 wants --image and ids in /etc/subuid and /etc/subgid.
    /// Weaker with 0: root inside can use what capabilities are left to it.
    #[arg(short, long, value_name = "USER[:GROUP]", allow_hyphen_values = true)]
    pub user: Option<UserArg>,
    /// Supplementary group inside (default: none)
    #[arg(long, value_name = "GROUP", allow_hyphen_values = true)]
    pub group_add: Vec<Principal>,
    /// Host name inside (default: sandbox)
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<Hostname>,
    /// Line in /etc/hosts
    #[arg(long, value_name = "NAME:IP")]
    pub add_host: Vec<AddHost>,
    /// Network: none or host (default: none, with a loopback interface)
    ///
    /// Weaker with host: every address the host can reach, its local services and abstract sockets.
    #[arg(long, visible_alias = "net", value_name = "MODE")]
    pub network: Option<NetworkMode>,
}
