//! Mounts by id: statmount(2) and listmount(2), since Linux 6.8; mount ids of open files by
//! statx(2). Parent side: these allocate (the two statx functions do not).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{Result, count, done};

// One number for every architecture (asm-generic/unistd.h); libc has none.
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;

/// The superblock: device, magic, flags (`linux/mount.h`, as all of these).
pub const STATMOUNT_SB_BASIC: u64 = 0x1;
/// Ids, attributes, propagation.
pub const STATMOUNT_MNT_BASIC: u64 = 0x2;
/// The nearest dominating group of a slave mount.
pub const STATMOUNT_PROPAGATE_FROM: u64 = 0x4;
/// The directory of the filesystem that is mounted.
pub const STATMOUNT_MNT_ROOT: u64 = 0x8;
/// Where it is mounted, relative to the caller's root.
pub const STATMOUNT_MNT_POINT: u64 = 0x10;
/// The type of the filesystem.
pub const STATMOUNT_FS_TYPE: u64 = 0x20;
/// [`listmount`] of the whole namespace's root.
pub const LSMT_ROOT: u64 = u64::MAX;

/// statx(2): the reusable mount id (5.8, `linux/stat.h`).
const STATX_MNT_ID: u32 = 0x1000;
/// statx(2): the unique mount id (6.8, `linux/stat.h`).
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
/// statx(2): the file is the root of a mount (5.8, `linux/stat.h`).
const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;

/// `struct mnt_id_req`, MNT_ID_REQ_SIZE_VER0 (`linux/mount.h`).
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mnt_id: u64,
    param: u64,
}

impl Request {
    const fn new(mnt_id: u64, param: u64) -> Self {
        Self { size: 24, spare: 0, mnt_id, param }
    }
}

/// What statmount(2) says of a mount; a field that was not asked for, or that this kernel
/// does not give, is `None` or 0 (see `mask`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statmount {
    /// `STATMOUNT_*` that were filled in.
    pub mask: u64,
    /// The superblock's device, major and minor.
    pub sb_dev: (u32, u32),
    /// The filesystem's magic number (`linux/magic.h`).
    pub sb_magic: u64,
    /// `SB_*` flags of the superblock: MS_RDONLY, MS_SYNCHRONOUS, MS_DIRSYNC, MS_LAZYTIME.
    pub sb_flags: u32,
    /// Unique id, never used again.
    pub mnt_id: u64,
    /// Unique id of the parent; the mount's own at the root.
    pub mnt_parent_id: u64,
    /// Reusable id, as in mountinfo.
    pub mnt_id_old: u32,
    /// Reusable id of the parent.
    pub mnt_parent_id_old: u32,
    /// `MOUNT_ATTR_*`.
    pub mnt_attr: u64,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE.
    pub mnt_propagation: u64,
    /// Type of the filesystem.
    pub fs_type: Option<String>,
    /// Where it is mounted, bytes that are not UTF-8 replaced.
    pub mnt_point: Option<String>,
    /// What of the filesystem is mounted, bytes that are not UTF-8 replaced.
    pub mnt_root: Option<String>,
}

/// statmount(2) of the mount with this unique id.
///
/// # Errors
/// ENOSYS: before 6.8 or a seccomp filter. ENOENT: no such mount in this namespace. EPERM:
/// not reachable from the caller's root and no CAP_SYS_ADMIN.
pub fn statmount(mnt_id: u64, mask: u64) -> Result<Statmount> {
    let request = Request::new(mnt_id, mask);
    let mut buffer = vec![0_u8; 4096];
    loop {
        let flags: u32 = 0;
        let (start, len) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the kernel reads 24 bytes of `request` and writes at most `len` bytes.
        let returned = unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, start, len, flags) };
        match done(returned) {
            Err(Errno::EOVERFLOW) if len < 1 << 20 => buffer.resize(len * 2, 0),
            result => return result.and_then(|()| parse(&buffer).ok_or(Errno::EPROTO)),
        }
    }
}

/// Reads `struct statmount`: fixed fields, then strings that offsets in the fields point to.
fn parse(buffer: &[u8]) -> Option<Statmount> {
    let mask = word(buffer, 8)?;
    let text = |bit: u64, field: usize| match mask & bit {
        0 => Some(None),
        _ => string(buffer, field).map(Some),
    };
    Some(Statmount {
        mask,
        sb_dev: (half(buffer, 16)?, half(buffer, 20)?),
        sb_magic: word(buffer, 24)?,
        sb_flags: half(buffer, 32)?,
        fs_type: text(STATMOUNT_FS_TYPE, 36)?,
        mnt_id: word(buffer, 40)?,
        mnt_parent_id: word(buffer, 48)?,
        mnt_id_old: half(buffer, 56)?,
        mnt_parent_id_old: half(buffer, 60)?,
        mnt_attr: word(buffer, 64)?,
        mnt_propagation: word(buffer, 72)?,
        mnt_root: text(STATMOUNT_MNT_ROOT, 104)?,
        mnt_point: text(STATMOUNT_MNT_POINT, 108)?,
    })
}

fn half(buffer: &[u8], at: usize) -> Option<u32> {
    buffer.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn word(buffer: &[u8], at: usize) -> Option<u64> {
    buffer.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// The string whose offset into `str[]` (at 512) stands in the field at `field`.
fn string(buffer: &[u8], field: usize) -> Option<String> {
    let start = usize::try_from(half(buffer, field)?).ok()?.checked_add(512)?;
    let text = std::ffi::CStr::from_bytes_until_nul(buffer.get(start..)?).ok()?;
    Some(text.to_string_lossy().into_owned())
}

/// listmount(2): unique ids of the mounts on `mnt_id` and below it all levels down, or with
/// [`LSMT_ROOT`] of the namespace's, in order of id.
///
/// # Errors
/// As [`statmount`].
pub fn listmount(mnt_id: u64) -> Result<Vec<u64>> {
    let mut all = vec![];
    let mut chunk = [0_u64; 256];
    loop {
        let last = all.last().copied().unwrap_or(0);
        let request = Request::new(mnt_id, last);
        let flags: u32 = 0;
        let (start, len) = (chunk.as_mut_ptr(), chunk.len());
        // SAFETY: the kernel reads 24 bytes of `request` and writes at most `len` words.
        let listed = count(unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, start, len, flags) })?;
        all.extend_from_slice(chunk.get(..listed).ok_or(Errno::EPROTO)?);
        if listed < len {
            return Ok(all);
        }
    }
}

/// \[child\] The reusable id of the mount that `fd` is on, as in mountinfo; since 5.8.
///
/// # Errors
/// EOPNOTSUPP: the kernel does not say.
pub fn statx_mnt_id(fd: BorrowedFd<'_>) -> Result<u64> {
    statx_id(fd, STATX_MNT_ID)
}

/// \[child\] The unique id of the mount that `fd` is on, as statmount(2) takes it; since 6.8.
///
/// # Errors
/// EOPNOTSUPP: the kernel does not say.
pub fn statx_mnt_id_unique(fd: BorrowedFd<'_>) -> Result<u64> {
    statx_id(fd, STATX_MNT_ID_UNIQUE)
}

/// \[child\] The reusable id of the mount whose root `fd` is, since 5.8; `None`: it is the root of none.
///
/// # Errors
/// EOPNOTSUPP: the kernel does not say.
pub fn statx_mount_root(fd: BorrowedFd<'_>) -> Result<Option<u64>> {
    let statx = statx(fd, STATX_MNT_ID)?;
    // stx_attributes at 8, stx_attributes_mask at 56.
    let (attributes, known) = (word(&statx, 8).unwrap_or(0), word(&statx, 56).unwrap_or(0));
    match known & STATX_ATTR_MOUNT_ROOT != 0 {
        true if attributes & STATX_ATTR_MOUNT_ROOT == 0 => Ok(None),
        true => statx_mnt_id(fd).map(Some),
        false => Err(Errno::EOPNOTSUPP),
    }
}

fn statx_id(fd: BorrowedFd<'_>, mask: u32) -> Result<u64> {
    let statx = statx(fd, mask)?;
    match half(&statx, 0) {
        Some(given) if given & mask != 0 => word(&statx, 144).ok_or(Errno::EPROTO),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// `struct statx` (linux/stat.h): stx_mask at 0, stx_mnt_id at 144.
fn statx(fd: BorrowedFd<'_>, mask: u32) -> Result<[u8; 256]> {
    let mut statx = [0_u8; 256];
    let (fd, empty, flags) = (fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH);
    // SAFETY: the kernel reads a static string and writes 256 bytes to the array we hold.
    done(unsafe { libc::syscall(libc::SYS_statx, fd, empty, flags, mask, statx.as_mut_ptr()) })?;
    Ok(statx)
}
