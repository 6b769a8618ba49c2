//! `image`: what is done with images and their store.

use clap::{Args, Subcommand, ValueEnum};

use super::{PullArgs, os};
use crate::image::spec::Wanted;
use crate::types::{HostPath, ImageRef, ImageSource};

/// Bring images in, look at them, hand them out
///
/// Images lie in the store (--store), by digest; docs/images.md tells of sources and names.
#[derive(Debug, Clone, Args)]
#[command(disable_help_subcommand = true)]
pub struct ImageArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: ImageWhat,
}

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ImageFormat {
    /// Columns.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// `image import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// oci:DIR, archive:FILE, rootfs:FILE or dir:DIR; FILE may be `-`
    ///
    /// oci: an OCI layout. archive: one in a tar archive, or what `docker save` writes. rootfs: a tar archive
    /// of a root file system, plain, gzip or zstd. dir: a directory that becomes the only layer.
    #[arg(value_name = "SOURCE", value_parser = os::<ImageSource>())]
    pub source: ImageSource,
    /// Name in the store (default: the source's own, unless another image has it)
    #[arg(long, value_name = "NAME[:TAG]")]
    pub name: Option<ImageRef>,
    /// Which image of a source that has several
    #[arg(long, value_name = "NAME")]
    pub select: Option<String>,
    /// The machine that it is for (default: this one)
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Wanted>,
    /// Its layers are unpacked when they are needed
    #[arg(long)]
    pub no_unpack: bool,
    /// Of rootfs: and dir: command, as JSON or as one word
    #[arg(long, value_name = "CMD")]
    pub cmd: Vec<String>,
    /// Of rootfs: and dir: entry point
    #[arg(long, value_name = "CMD")]
    pub entrypoint: Vec<String>,
    /// Of rootfs: and dir: a variable
    #[arg(long, value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// Of rootfs: and dir: user
    #[arg(long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Of rootfs: and dir: working directory
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<String>,
}

/// `image inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// Name or digest
    #[arg(value_name = "REF")]
    pub image: ImageRef,
    /// Look through its files for set-ID bits, file capabilities, keys, credentials and the like
    ///
    /// The layers are looked at as a sandbox would see them; what is missing is unpacked first. Exit code 0
    /// whatever is found.
    #[arg(long, conflicts_with = "spdx")]
    pub scan: bool,
    /// Print the packages of dpkg and apk that it has as an SPDX 2.3 document
    ///
    /// The same image gives the same bytes.
    #[arg(long)]
    pub spdx: bool,
    /// Form of what --scan prints
    #[arg(long, value_enum, default_value_t, requires = "scan")]
    pub format: ImageFormat,
}

/// `image commit`.
#[derive(Debug, Clone, Args)]
pub struct CommitArgs {
    /// The image that stood below: name or digest
    #[arg(value_name = "REF")]
    pub image: ImageRef,
    /// The upper directory; nobody may write to it any more
    #[arg(value_name = "UPPER", value_parser = os::<HostPath>())]
    pub upper: HostPath,
    /// Name of the new image
    #[arg(long, value_name = "NAME[:TAG]")]
    pub name: ImageRef,
}

/// What is done.
#[derive(Debug, Clone, Subcommand)]
#[command(defer = true)]
pub enum ImageWhat {
    /// Bring an image in from a directory or file
    ///
    /// Every blob is verified while it comes. The digest is printed. With SOURCE_DATE_EPOCH in the environment
    /// a `dir:` gives the same digest for the same files.
    Import(Box<ImportArgs>),
    /// List the images
    List {
        /// Form of the list
        #[arg(long, value_enum, default_value_t)]
        format: ImageFormat,
    },
    /// Print what is known of an image as JSON, or what its files show
    Inspect(InspectArgs),
    /// Make an image of another one and an upper directory of overlayfs
    ///
    /// What UPPER has becomes one layer more, not compressed; what it takes away becomes whiteouts. With
    /// SOURCE_DATE_EPOCH in the environment the same files give the same digest. The digest is printed.
    Commit(CommitArgs),
    /// Read all blobs again and compare them with their digests
    ///
    /// Exit code: 0, or 1 if something is damaged.
    Verify {
        /// Name or digest (default: the whole store)
        #[arg(value_name = "REF")]
        image: Option<ImageRef>,
    },
    /// Take a name away; `image gc` then removes what nobody needs
    #[command(visible_alias = "rm")]
    Remove {
        /// Names or digests
        #[arg(value_name = "REF", required = true)]
        images: Vec<ImageRef>,
    },
    /// Remove what no image and no running sandbox needs
    Gc,
    /// Write an image as an OCI layout: oci:DIR or archive:FILE
    Export {
        /// Name or digest
        #[arg(value_name = "REF")]
        image: ImageRef,
        /// oci:DIR or archive:FILE; it must not be there yet
        #[arg(value_name = "TARGET", value_parser = os::<ImageSource>())]
        target: ImageSource,
    },
    /// Make a bundle for any OCI runtime: all layers in one tree, and config.json
    Bundle {
        /// Name or digest
        #[arg(value_name = "REF")]
        image: ImageRef,
        /// Directory to make; it must not be there yet
        #[arg(value_name = "DIR", value_parser = os::<HostPath>())]
        directory: HostPath,
    },
    /// Bring an image in from a registry
    Pull(Box<PullArgs>),
}
