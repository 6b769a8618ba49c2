//! What a sandbox sees of the host: its root, and mounts in the order in which they were typed.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::super::os;
use crate::types::{
    Access, BindArg, FromOsStr, HostPath, ImageArg, MountArg, RootPath, StorageOpt, TmpfsArg, VolumeArg,
};

const HEADING: &str = "Files";

/// Options about files.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = HEADING)]
pub struct FileArgs {
    /// Directory to use as the root, read-only (default: the host's own /usr)
    #[arg(long, value_name = "DIR", value_parser = os::<HostPath>())]
    pub rootfs: Option<HostPath>,
    /// Image to run on: a name of the store, oci:DIR or archive:FILE (default: the host's own /usr)
    ///
    /// It is verified, unpacked once, and seen through overlayfs (Linux 6.7). Its configuration gives the command,
    /// environment, user and working directory that no option does; the user is 1000 where it names none.
    #[arg(long, value_name = "REF|oci:DIR|archive:FILE", value_parser = os::<ImageArg>(), conflicts_with = "rootfs")]
    pub image: Option<ImageArg>,
    /// Room for what is written to the root of an image with --read-only=false (default: 64m)
    #[arg(long, value_name = "size=SIZE", requires = "image")]
    pub storage_opt: Option<StorageOpt>,
    /// Mounts, in the order in which they were typed.
    #[command(flatten)]
    pub mounts: MountList,
    /// Whether the root is read-only (default: true)
    ///
    /// Weaker with false, which needs --image: the program can change its own programs. What it writes counts as
    /// memory and ends with the sandbox.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub read_only: Option<bool>,
}

/// One mount that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountRequest {
    /// A file or directory of the host.
    Bind {
        /// What of the host; it must exist.
        source: HostPath,
        /// Where it appears; never `/`.
        destination: RootPath,
        /// Whether it can be written to.
        access: Access,
    },
    /// A fresh tmpfs.
    Tmpfs(TmpfsArg),
}

impl MountRequest {
    /// Where it appears.
    pub fn destination(&self) -> &RootPath {
        match self {
            Self::Bind { destination, .. } => destination,
            Self::Tmpfs(tmpfs) => &tmpfs.destination,
        }
    }

    fn bind(bind: BindArg, access: Access) -> Self {
        Self::Bind { source: bind.source, destination: bind.destination, access }
    }
}

impl From<MountArg> for MountRequest {
    fn from(mount: MountArg) -> Self {
        match mount {
            MountArg::Bind { source, destination, access } => Self::Bind { source, destination, access },
            MountArg::Tmpfs(tmpfs) => Self::Tmpfs(tmpfs),
        }
    }
}

impl From<VolumeArg> for MountRequest {
    fn from(volume: VolumeArg) -> Self {
        Self::Bind { source: volume.source, destination: volume.destination, access: volume.access }
    }
}

/// `--ro`, `--rw`, `--mount`, `--tmpfs` and `--volume` in one list: a later mount may lie
/// inside an earlier one, so their order among each other counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountList(pub Vec<MountRequest>);

impl Args for MountList {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                option::<BindArg>("ro", "SRC[:DST]", "Show a file or directory of the host, read-only")
                    .long_help("Show a file or directory of the host, read-only with all mounted below it.\n\
                                Without DST it appears under its own name. Needs kernel 5.12; as root the\n\
                                owner of SRC becomes the sandbox's user, if the filesystem can be id-mapped.\n\
                                Symbolic links on the way to SRC are refused, but for the system's own."),
            )
            .arg(
                option::<BindArg>("rw", "SRC[:DST]", "Show a file or directory of the host, writable")
                    .long_help("Show a file or directory of the host, writable.\n\
                                Weaker: the program can change and fill what lies there; never trust it later."),
            )
            .arg(
                option::<MountArg>("mount", "FIELDS", "Mount in Docker's words: type=bind,src=,dst=,ro")
                    .long_help("Mount in Docker's words: type=bind|tmpfs, src=, dst=, ro, tmpfs-size=, tmpfs-mode=.\n\
                                Weaker unless ro: the program can change what lies there."),
            )
            .arg(
                option::<TmpfsArg>("tmpfs", "DST[:SIZE]", "Mount a fresh tmpfs")
                    .long_help("Mount a fresh tmpfs: DST, DST:SIZE, or Docker's DST:size=64m,mode=1777.\n\
                                Always nosuid and nodev; what it holds counts as memory."),
            )
            .arg(
                option::<VolumeArg>("volume", "SRC:DST[:ro]", "Docker's word for --rw, or --ro with :ro")
                    .short('v')
                    .long_help("Docker's word for --rw, or --ro with :ro. A missing SRC is an error, never created.\n\
                                Weaker unless ro: the program can change what lies there."),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn option<T: FromOsStr + Clone + Send + Sync + 'static>(
    name: &'static str,
    value: &'static str,
    help: &'static str,
) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .help_heading(HEADING)
        .action(ArgAction::Append)
        .value_parser(os::<T>())
}

impl FromArgMatches for MountList {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut placed = vec![];
        collect(matches, "ro", &mut placed, |bind| MountRequest::bind(bind, Access::ReadOnly))?;
        collect(matches, "rw", &mut placed, |bind| MountRequest::bind(bind, Access::ReadWrite))?;
        collect::<MountArg>(matches, "mount", &mut placed, MountRequest::from)?;
        collect(matches, "tmpfs", &mut placed, MountRequest::Tmpfs)?;
        collect::<VolumeArg>(matches, "volume", &mut placed, MountRequest::from)?;
        placed.sort_by_key(|(index, _)| *index);
        Ok(Self(placed.into_iter().map(|(_, mount)| mount).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn collect<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    name: &str,
    placed: &mut Vec<(usize, MountRequest)>,
    request: impl Fn(T) -> MountRequest,
) -> Result<(), clap::Error> {
    if matches.value_source(name) != Some(ValueSource::CommandLine) {
        return Ok(());
    }
    let values = matches.try_get_many::<T>(name).map_err(|error| {
        clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("--{name}: {error}\n"))
    })?;
    let indices = matches.indices_of(name).into_iter().flatten();
    placed.extend(indices.zip(values.into_iter().flatten().cloned().map(request)));
    Ok(())
}
