//! `image pull`.

use clap::Args;

use super::os;
use crate::image::spec::Wanted;
use crate::types::{HostPath, ImageRef};

/// Bring an image in from a registry
///
/// A tag is resolved once; what comes is verified by digest while it comes. Registries, mirrors, limits and
/// certificate authorities are set in /etc/pinfold/registries.toml. The digest is printed.
#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// `HOST[:PORT]/NAME[:TAG][@DIGEST]`
    #[arg(value_name = "REF")]
    pub image: ImageRef,
    /// The machine that it is for (default: this one)
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Wanted>,
    /// The file of accounts (default: $REGISTRY_AUTH_FILE, or podman's and Docker's places)
    #[arg(long, value_name = "FILE", value_parser = os::<HostPath>())]
    pub authfile: Option<HostPath>,
    /// Speak plain HTTP to this address, which must be the registry's
    ///
    /// Weaker: whoever is on the way can read and change what comes; a digest in REF still holds. Refused
    /// while a policy stands: the host's owner then names such addresses.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub insecure_registry: Vec<String>,
    /// Demand a signature that this public key verifies (PEM)
    #[arg(long, value_name = "FILE", value_parser = os::<HostPath>())]
    pub verify_key: Option<HostPath>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}
