//! Opens what the Draft names. A path is resolved here, once, and never again.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use serde::{Deserialize, Serialize};

use super::below::{Mounts, Submount};
use super::beneath::{self, Barred, Reached};
use super::joined_maps;
use super::judged_hook::judged_hook;
use super::own_root;
use super::walk::{self, FollowedLink};
use crate::draft::{Door, Draft, DraftDevice, DraftHook, DraftMount, Join, JudgedHook, MountSource};
use crate::error::{Call, Context, Error, Result};
use crate::plan::{Grants, HookKind, IdMaps, Way};
use crate::sys;
use crate::sys::caller::AsCaller;
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
    /// Number of hard links.
    pub nlink: u64,
    /// Where the mount that it lies on is mounted, where that was looked up.
    pub mount_point: Option<PathBuf>,
}

/// The opened objects of a Draft.
#[derive(Debug, Default)]
pub struct Facts {
    /// The root directory, where it is a directory of the host.
    pub root: Option<Pinned>,
    /// The layers of the image, the lowest first.
    pub layers: Vec<Pinned>,
    /// For each mount of the Draft, its bind source.
    pub binds: Vec<Option<Pinned>>,
    /// The namespaces to join, in the Draft's order.
    pub joins: Vec<OwnedFd>,
    /// The maps of the user namespace among them.
    pub joined_maps: Option<IdMaps>,
    /// For each device of the Draft, the host's node, where it is bound instead of made.
    pub devices: Vec<Option<Pinned>>,
    /// What a policy's way did not lead to.
    pub barred: Vec<Barred>,
    /// For each hook of the Draft, its file, where a policy may grant it.
    pub hooks: Vec<Option<JudgedHook>>,
    /// Indexes of the namespaces to join that are the host's own, where a policy asks.
    pub of_the_host: Vec<usize>,
}

/// Opens every object that the Draft names, on the ways that a policy leaves open. `bundle`
/// is where relative paths begin.
///
/// # Errors
/// The field, the path and what openat2(2) said.
pub fn pin(draft: &Draft, bundle: BorrowedFd<'_>, grants: &Grants) -> Result<Facts> {
    let mut facts = Facts::default();
    let named = Named { bundle, door: draft.door };
    facts.root = root(draft, &named, grants, &mut facts.barred)?;
    for (index, mount) in draft.mounts.iter().enumerate() {
        let way = grants.binds.get(index).unwrap_or(&Way::AsNamed);
        let source = source(mount, &named, (way, grants.audit), &mut facts.barred);
        not_covered(draft, index, &source, (&named, facts.root.as_ref()))?;
        facts.binds.push(source?);
    }
    // The rules about what lies below are those of the sandbox and of a policy; runc has none.
    if draft.door == Door::Sandbox || grants.judged {
        let mounts = Mounts::read()?;
        for pinned in facts.root.iter_mut().chain(facts.binds.iter_mut().flatten()) {
            pinned.below = mounts.below(pinned.identity.mnt_id, &pinned.identity.path);
            pinned.mount_point = mounts.point(pinned.identity.mnt_id);
        }
    }
    joins(draft, grants, &mut facts)?;
    facts.hooks = hooks(&draft.hooks, grants, &mut facts.barred)?;
    // mknod(2) is for root of the initial user namespace: neither a new one nor this process's own may.
    let bind_devices = draft.has_user_namespace() || draft.rootless;
    let devices =
        draft.devices.iter().map(|device| match bind_devices && device.file_type != libc::S_IFIFO {
            true => open_device(device).map(Some),
            false => Ok(None),
        });
    facts.devices = devices.collect::<Result<_>>()?;
    Ok(facts)
}

/// Maps beside a path are what callers think that the namespace has (runc refuses others).
fn joined_maps(draft: &Draft, join: &Join, fd: &OwnedFd) -> Result<IdMaps> {
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
        _ => Ok(maps),
    }
}

/// The caller's ids, where pinfold works for one who came by sudo.
fn as_caller() -> Result<AsCaller> {
    sys::caller::as_caller().call("setresuid")
}

/// O_PATH takes the rights over the directories above alone. What is mounted is read, and written
/// unless it is read-only; a socket, a fifo or a device is written through a read-only mount as well.
fn within_rights(pinned: &Pinned, writable: bool) -> Result<()> {
    if sys::caller::present().is_none() {
        return Ok(());
    }
    let mode = match (pinned.identity.file_type, writable) {
        (libc::S_IFDIR, false) => libc::R_OK | libc::X_OK,
        (libc::S_IFDIR, true) => libc::R_OK | libc::W_OK | libc::X_OK,
        (libc::S_IFREG, false) => libc::R_OK,
        _ => libc::R_OK | libc::W_OK,
    };
    let _as_caller = as_caller()?;
    let allowed = sys::file::faccess(pinned.fd.as_fd(), mode).call("faccessat2");
    allowed.map_err(|error| error.hint("the caller itself has no right to it"))
}

/// What was opened, and the links that led to it.
type Opened = (OwnedFd, Vec<FollowedLink>);

/// How a path is followed that no policy leads to.
struct Named<'a> {
    /// Where relative paths begin.
    bundle: BorrowedFd<'a>,
    door: Door,
}

impl Named<'_> {
    fn open(&self, path: &Path) -> Result<Opened> {
        match self.door {
            Door::Sandbox => walk::open(path, self.bundle),
            Door::Oci => Ok((open(path, self.bundle, ResolveFlag::empty())?, vec![])),
        }
    }

    /// In a bundle the root is the bundle's own, unless an absolute path names another.
    fn open_root(&self, path: &Path) -> Result<Opened> {
        match (self.door, path.is_absolute()) {
            (Door::Oci, false) => Ok((open(path, self.bundle, ResolveFlag::RESOLVE_BENEATH)?, vec![])),
            _ => self.open(path),
        }
    }
}

/// What is opened on a way; `None` where the policy holds it back. In audit mode what is
/// held back is opened as it is named.
fn on_the_way(
    (way, audit): (&Way, bool),
    flags: OFlag,
    field: &str,
    barred: &mut Vec<Barred>,
    freely: impl Fn() -> Result<Opened>,
) -> Result<Option<Opened>> {
    let _as_caller = as_caller()?;
    match beneath::go(way, flags)? {
        Reached::Opened(fd) => Ok(Some((fd, vec![]))),
        Reached::Freely => freely().map(Some),
        Reached::Withheld if audit => freely().map(Some),
        Reached::Withheld => Ok(None),
        Reached::Barred(errno) => {
            barred.push(Barred { field: field.to_owned(), errno });
            if audit { freely().map(Some) } else { Ok(None) }
        }
    }
}

fn root(
    draft: &Draft,
    named: &Named<'_>,
    grants: &Grants,
    barred: &mut Vec<Barred>,
) -> Result<Option<Pinned>> {
    let Some(path) = &draft.root.directory else { return Ok(None) };
    let writable = !draft.root.readonly;
    const FIELD: &str = "/root/path";
    let way = (&grants.root, grants.audit);
    let opened = on_the_way(way, OFlag::O_PATH, FIELD, barred, || named.open_root(path));
    let Some(opened) = opened.on(path.display()).at(FIELD)? else { return Ok(None) };
    let opened = pinned(opened).on(path.display()).at(FIELD)?;
    within_rights(&opened, writable).on(path.display()).at(FIELD)?;
    match opened.identity.file_type {
        libc::S_IFDIR => Ok(Some(opened)),
        _ => Err(Error::usage("not a directory").object(path.display()).field(FIELD)),
    }
}

fn source(
    mount: &DraftMount,
    named: &Named<'_>,
    way: (&Way, bool),
    barred: &mut Vec<Barred>,
) -> Result<Option<Pinned>> {
    let MountSource::Bind { path, optional, .. } = &mount.source else { return Ok(None) };
    let field = format!("{}/source", mount.field);
    match on_the_way(way, OFlag::O_PATH, &field, barred, || named.open(path)) {
        Ok(opened) => {
            let pinned = opened.map(pinned).transpose().on(path.display()).at(field.clone())?;
            if let Some(pinned) = &pinned {
                within_rights(pinned, !mount.options.readonly()).on(path.display()).at(field)?;
            }
            Ok(pinned)
        }
        Err(error) if *optional && error.errno() == Some(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.object(path.display()).field(field)),
    }
}

/// By the order of the mounts the source would be what an earlier one shows, or be there at all.
fn not_covered(
    draft: &Draft,
    index: usize,
    source: &Result<Option<Pinned>>,
    (named, root): (&Named<'_>, Option<&Pinned>),
) -> Result<()> {
    let Some(DraftMount { field, source: MountSource::Bind { path, .. }, .. }) = draft.mounts.get(index)
    else {
        return Ok(());
    };
    let stands = match source {
        Ok(pinned) => pinned.as_ref().map(|pinned| pinned.identity.path.clone()),
        Err(error) if error.errno() == Some(Errno::ENOENT) => {
            let _as_caller = as_caller()?;
            own_root::stands(path, |path| Ok(named.open(path)?.0))
        }
        Err(_) => None,
    };
    match stands {
        Some(stands) => own_root::check(draft, root, index, &stands),
        None => Ok(()),
    }
    .on(path.display())
    .at(format!("{field}/source"))
}

fn joins(draft: &Draft, grants: &Grants, facts: &mut Facts) -> Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    for (index, join) in draft.join.iter().enumerate() {
        let way = grants.joins.get(index).unwrap_or(&Way::AsNamed);
        let opened = on_the_way((way, grants.audit), flags, &join.field, &mut facts.barred, || {
            Ok((open_namespace(&join.path)?, vec![]))
        });
        let Some((fd, _)) = opened.on(join.path.display()).at(join.field.clone())? else { continue };
        verify_namespace(&fd, join.nstype).on(join.path.display()).at(join.field.clone())?;
        if grants.judged && beneath::is_of_the_host(fd.as_fd(), join.name)? {
            facts.of_the_host.push(index);
        }
        if join.nstype == CLONE_NEWUSER {
            facts.joined_maps = Some(joined_maps(draft, join, &fd)?);
        }
        facts.joins.push(fd);
    }
    Ok(())
}

/// The files of the hooks that a policy may grant. A startContainer hook is a file of the container's.
///
/// # Errors
/// A file that cannot be read.
pub fn hooks(
    list: &[DraftHook],
    grants: &Grants,
    barred: &mut Vec<Barred>,
) -> Result<Vec<Option<JudgedHook>>> {
    let named = list.iter().enumerate().map(|(index, hook)| {
        if !grants.hooks.get(index).copied().unwrap_or(false) || hook.kind == HookKind::StartContainer {
            return Ok(None);
        }
        let field = format!("{}/path", hook.field);
        let path = hook.program();
        match judged_hook(path) {
            Err(error) if matches!(error.errno(), Some(Errno::ELOOP)) => {
                barred.push(Barred { field, errno: Errno::ELOOP });
                Ok(None)
            }
            read => read.map(Some).on(path.display()).at(field),
        }
    });
    named.collect()
}

fn open(path: &Path, from: BorrowedFd<'_>, resolve: ResolveFlag) -> Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | resolve);
    sys::openat2::openat2(from, path, how).call("openat2")
}

fn pinned((fd, links): Opened) -> Result<Pinned> {
    let identity = identify(fd.as_fd())?;
    let nlink = sys::file::stat(fd.as_fd()).call("fstat")?.nlink;
    Ok(Pinned { fd, identity, below: vec![], links, nlink, mount_point: None })
}

/// A layer of an image, which the store opened.
///
/// # Errors
/// As `identify`.
pub fn pin_layer(fd: OwnedFd) -> Result<Pinned> {
    pinned((fd, vec![]))
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

/// Which object stands at an absolute path, through no link.
///
/// # Errors
/// openat2(2); as `identify`.
pub fn identify_without_links(path: &Path) -> Result<Identity> {
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve);
    let _as_caller = as_caller()?;
    let fd = nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2")?;
    identify(fd.as_fd())
}

/// Where the kernel says that an opened object is.
pub(super) fn resolved_path(fd: BorrowedFd<'_>) -> Result<PathBuf> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let text = nix::fcntl::readlink(link.as_str()).call("readlink").on(link)?;
    Ok(PathBuf::from(text))
}

/// Namespace files are magic links, so these alone are followed.
fn open_namespace(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).call("open")
}

/// nsfs tells what was opened (ioctl_ns(2), NS_GET_NSTYPE).
fn verify_namespace(fd: &OwnedFd, nstype: u64) -> Result<()> {
    match sys::nsfs::namespace_type(fd.as_fd()) {
        Ok(found) if found == nstype => Ok(()),
        Ok(_) => Err(Error::usage("a namespace of another type")),
        Err(Errno::ENOTTY) => Err(Error::usage("not a namespace")),
        Err(errno) => Err(Error::call("ioctl NS_GET_NSTYPE", errno)),
    }
}

/// The host's node for a device that a user namespace cannot make: judged by its number,
/// not by its name.
fn open_device(device: &DraftDevice) -> Result<Pinned> {
    let field =
        if device.field.is_empty() { "/linux/devices".to_owned() } else { format!("{}/path", device.field) };
    let as_caller = as_caller()?;
    let opened = open(&device.path, nix::fcntl::AT_FDCWD, ResolveFlag::empty());
    let pinned = opened.and_then(|fd| pinned((fd, vec![])));
    drop(as_caller);
    let pinned = pinned.on(device.path.display()).at(field.clone())?;
    within_rights(&pinned, true).on(device.path.display()).at(field.clone())?;
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
