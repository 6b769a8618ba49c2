//! `surface`: what can be reached inside.

use clap::Args;

use super::os;
use crate::types::HostPath;

/// Say what a process in a container can reach
///
/// Looks from where it stands: run it inside, or let it launch itself there by --bundle or --profile.
/// System calls that answer, what may be written below /proc and /sys, devices, sockets, capabilities,
/// mounts, descriptors, keyrings. docs/surface.md. Exit code of --diff: 1 if there is a difference.
#[derive(Debug, Clone, Args)]
pub struct SurfaceArgs {
    /// Launch the bundle in this directory with pinfold as its program; hooks run as in a launch
    #[arg(long, value_name = "DIR", value_parser = os::<HostPath>(), conflicts_with_all = ["profile", "diff"])]
    pub bundle: Option<HostPath>,
    /// Launch a sandbox with this profile of the policy
    #[arg(long, value_name = "NAME", conflicts_with = "diff")]
    pub profile: Option<String>,
    /// Say what the second of two reports has that the first has not, and the reverse
    #[arg(long, value_names = ["A.json", "B.json"], num_args = 2, value_parser = os::<HostPath>())]
    pub diff: Vec<HostPath>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
