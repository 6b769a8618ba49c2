//! Opens what the Draft names. A path is resolved here, once, and never again.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use serde::{Deserialize, Serialize};

use super::below::{Mounts, Submount};
use super::joined_maps;
use super::walk::{self, FollowedLink};
use crate::draft::{Door, Draft, DraftDevice, MountSource};
use crate::error::{Call, Context, Error, Result};
use crate::plan::IdMaps;
use crate::sys;
use crate::sys::clone::CLONE_NEWUSER;

/// Which object a path was when it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The path as the kernel resolved it.
    pub path: PathBuf,
    /// st_dev.
    pub dev: u64,
    /// st_ino.
    pub ino: u64,
    /// Mount id (statx(2) STATX_MNT_ID).
    pub mnt_id: u64,
    /// File type bits of st_mode.
    pub file_type: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// statfs(2) f_type.
    pub fs_magic: i64,
    /// st_rdev: for a device node, which device.
    pub rdev: u64,
}

impl Identity {
    /// Whether two openings reached the same object.
    pub fn same_object(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.file_type) == (other.dev, other.ino, other.file_type)
    }
}

/// An opened object with its identity.
#[derive(Debug)]
pub struct Pinned {
    /// O_PATH.
    pub fd: OwnedFd,
    /// What it is.
    pub identity: Identity,
    /// What is mounted below it, where a recursive bind would bring that along.
    pub below: Vec<Submount>,
    /// The symbolic links that led to it. Told through the door of `sandbox` alone: runc
    /// follows all.
    pub links: Vec<FollowedLink>,
}

/// The opened objects of a Draft.
#[derive(Debug, Default)]
pub struct Facts {
    /// The root directory, where it is a directory of the host.
    pub root: Option<Pinned>,
    /// For each mount of the Draft, its bind source.
    pub binds: Vec<Option<Pinned>>,
    /// The namespaces to join, in the Draft's order.
    pub joins: Vec<OwnedFd>,
    /// The maps of the user namespace among them.
    pub joined_maps: Option<IdMaps>,
    /// For each device of the Draft, the host's node, where it is bound instead of made.
    pub devices: Vec<Option<Pinned>>,
}

/// Opens every object that the Draft names. `bundle` is where relative paths begin.
///
/// # Errors
/// The field, the path and what openat2(2) said.
pub fn pin(draft: &Draft, bundle: BorrowedFd<'_>) -> Result<Facts> {
    let way = Way { bundle, door: draft.door };
    let mut root = draft.root.directory.as_ref().map(|path| open_root(path, &way)).transpose()?;
    let mut binds = vec![];
    for mount in &draft.mounts {
        let field = format!("{}/source", mount.field);
        binds.push(match &mount.source {
            MountSource::Bind { path, optional, .. } => open_source(path, &way, *optional).at(field)?,
            MountSource::Fresh(_) | MountSource::Cgroup | MountSource::Present => None,
        });
    }
    // The rules about what lies below are those of the sandbox; runc has none.
    if draft.door == Door::Sandbox {
        let mounts = Mounts::read()?;
        for pinned in root.iter_mut().chain(binds.iter_mut().flatten()) {
            pinned.below = mounts.below(pinned.identity.mnt_id, &pinned.identity.path);
        }
    }
    let mut joins = vec![];
    for join in &draft.join {
        joins.push(open_namespace(&join.path, join.nstype).at(join.field.clone())?);
    }
    let joined_maps = joined_maps(draft, &joins)?;
    // mknod(2) is for root of the initial user namespace: neither a new one nor this process's own may.
    let bind_devices = draft.has_user_namespace() || draft.rootless;
    let devices =
        draft.devices.iter().map(|device| match bind_devices && device.file_type != libc::S_IFIFO {
            true => open_device(device).map(Some),
            false => Ok(None),
        });
    Ok(Facts { root, binds, joins, joined_maps, devices: devices.collect::<Result<_>>()? })
}

/// Maps beside a path are what callers think that the namespace has (runc refuses others).
fn joined_maps(draft: &Draft, joins: &[OwnedFd]) -> Result<Option<IdMaps>> {
    let user = draft.join.iter().zip(joins).find(|(join, _)| join.nstype == CLONE_NEWUSER);
    let Some((join, fd)) = user else { return Ok(None) };
    let own = nix::sys::stat::stat("/proc/self/ns/user").call("stat").on("/proc/self/ns/user")?;
    if own.st_ino == sys::file::stat(fd.as_fd()).call("fstat")?.ino {
        return Err(Error::usage(
            "is the user namespace of pinfold itself, which cannot be joined (setns(2))",
        )
        .object(join.path.display())
        .field(join.field.clone()));
    }
    let maps = joined_maps::of_namespace(fd).on(join.path.display()).at(join.field.clone())?;
    match &draft.joined_maps {
        Some(said) if !joined_maps::same(said, &maps) => {
            Err(Error::usage("both a user namespace path and non-matching id maps are given: give only one")
                .field("/linux/uidMappings"))
        }
        _ => Ok(Some(maps)),
    }
}

/// How a path is followed.
struct Way<'a> {
    /// Where relative paths begin.
    bundle: BorrowedFd<'a>,
    door: Door,
}

impl Way<'_> {
    fn open(&self, path: &Path) -> Result<Pinned> {
        match self.door {
            Door::Sandbox => {
                let (fd, links) = walk::open(path, self.bundle)?;
                Ok(Pinned { identity: identify(fd.as_fd())?, fd, below: vec![], links })
            }
            Door::Oci => open_pinned(path, self.bundle, ResolveFlag::empty()),
        }
    }

    /// In a bundle the root is the bundle's own, unless an absolute path names another.
    fn open_root(&self, path: &Path) -> Result<Pinned> {
        match (self.door, path.is_absolute()) {
            (Door::Oci, false) => open_pinned(path, self.bundle, ResolveFlag::RESOLVE_BENEATH),
            _ => self.open(path),
        }
    }
}

fn open_root(path: &Path, way: &Way<'_>) -> Result<Pinned> {
    let opened = way.open_root(path).on(path.display()).at("/root/path")?;
    match opened.identity.file_type {
        libc::S_IFDIR => Ok(opened),
        _ => Err(Error::usage("not a directory").object(path.display()).field("/root/path")),
    }
}

fn open_source(path: &Path, way: &Way<'_>, optional: bool) -> Result<Option<Pinned>> {
    match way.open(path) {
        Ok(pinned) => Ok(Some(pinned)),
        Err(error) if optional && error.errno() == Some(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.object(path.display())),
    }
}

fn open_pinned(path: &Path, from: BorrowedFd<'_>, resolve: ResolveFlag) -> Result<Pinned> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | resolve);
    let fd = nix::fcntl::openat2(from, path, how).call("openat2")?;
    let identity = identify(fd.as_fd())?;
    Ok(Pinned { fd, identity, below: vec![], links: vec![] })
}

/// Reads the identity of an opened object.
///
/// # Errors
/// fstat(2), fstatfs(2), statx(2), readlink(2) of /proc/self/fd.
pub fn identify(fd: BorrowedFd<'_>) -> Result<Identity> {
    let stat = sys::file::stat(fd).call("fstat")?;
    Ok(Identity {
        path: resolved_path(fd)?,
        dev: stat.dev,
        ino: stat.ino,
        mnt_id: sys::statmount::statx_mnt_id(fd).call("statx")?,
        file_type: stat.mode & libc::S_IFMT,
        uid: stat.uid,
        gid: stat.gid,
        fs_magic: sys::file::fstatfs_type(fd).call("fstatfs")?,
        rdev: stat.rdev,
    })
}

/// Where the kernel says that an opened object is.
pub(super) fn resolved_path(fd: BorrowedFd<'_>) -> Result<PathBuf> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let text = nix::fcntl::readlink(link.as_str()).call("readlink").on(link)?;
    Ok(PathBuf::from(text))
}

/// Namespace files are magic links, so these alone are followed; nsfs then tells what
/// was opened (ioctl_ns(2), NS_GET_NSTYPE).
fn open_namespace(path: &Path, nstype: u64) -> Result<OwnedFd> {
    let fd = nix::fcntl::open(
        path,
        OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK,
        nix::sys::stat::Mode::empty(),
    )
    .call("open")
    .on(path.display())?;
    match sys::nsfs::namespace_type(fd.as_fd()) {
        Ok(found) if found == nstype => Ok(fd),
        Ok(_) => Err(Error::usage("a namespace of another type").object(path.display())),
        Err(Errno::ENOTTY) => Err(Error::usage("not a namespace").object(path.display())),
        Err(errno) => Err(Error::call("ioctl NS_GET_NSTYPE", errno).object(path.display())),
    }
}

/// The host's node for a device that a user namespace cannot make: judged by its number,
/// not by its name.
fn open_device(device: &DraftDevice) -> Result<Pinned> {
    let field =
        if device.field.is_empty() { "/linux/devices".to_owned() } else { format!("{}/path", device.field) };
    let pinned = open_pinned(&device.path, nix::fcntl::AT_FDCWD, ResolveFlag::empty())
        .on(device.path.display())
        .at(field.clone())?;
    let stat = sys::file::stat(pinned.fd.as_fd()).call("fstat")?;
    let same = stat.mode & libc::S_IFMT == device.file_type
        && (libc::major(stat.rdev), libc::minor(stat.rdev)) == (device.major, device.minor);
    match same {
        true => Ok(pinned),
        false => Err(Error::setup("the host's file is not the device that was asked for")
            .object(device.path.display())
            .field(field)),
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (dev {}, inode {})", self.path.display(), self.dev, self.ino)
    }
}
