//! The mount calls that take descriptors: open_tree(2), move_mount(2), fsopen(2),
//! fsconfig(2), fsmount(2) since Linux 5.2, mount_setattr(2) since 5.12.
//!
//! All but [`fs_message`] are \[child\].

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Result, count, descriptor, done, uninterrupted};

/// Return a detached copy of the mount (`linux/mount.h`); needs CAP_SYS_ADMIN.
pub const OPEN_TREE_CLONE: u32 = 1;
/// O_CLOEXEC (`linux/mount.h`); [`open_tree`] always adds it.
pub const OPEN_TREE_CLOEXEC: u32 = 0o2_000_000;
/// Follow a final symlink of `from` (`linux/mount.h`).
pub const MOVE_MOUNT_F_SYMLINKS: u32 = 0x1;
/// Trigger an automount at `from`.
pub const MOVE_MOUNT_F_AUTOMOUNTS: u32 = 0x2;
/// `from` is the descriptor itself; [`move_mount`] always adds it.
pub const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
/// Follow a final symlink of `to`.
pub const MOVE_MOUNT_T_SYMLINKS: u32 = 0x10;
/// Trigger an automount at `to`.
pub const MOVE_MOUNT_T_AUTOMOUNTS: u32 = 0x20;
/// `to` is the descriptor itself.
pub const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
/// Set the sharing group instead of moving (5.15).
pub const MOVE_MOUNT_SET_GROUP: u32 = 0x100;
/// Mount beneath the top mount (6.5).
pub const MOVE_MOUNT_BENEATH: u32 = 0x200;
/// Apply to the whole tree (`linux/fcntl.h`).
pub const AT_RECURSIVE: u32 = 0x8000;
/// The path may be empty: the descriptor itself is meant.
pub const AT_EMPTY_PATH: u32 = 0x1000;
/// Do not follow a final symlink.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// Do not trigger an automount.
pub const AT_NO_AUTOMOUNT: u32 = 0x800;
/// Close-on-exec; [`fsopen`] always adds it.
pub const FSOPEN_CLOEXEC: u32 = 1;
/// Close-on-exec; [`fsmount`] always adds it.
pub const FSMOUNT_CLOEXEC: u32 = 1;

/// Read-only (`linux/mount.h`, as all of these).
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// Ignore set-user-ID, set-group-ID and file capabilities.
pub const MOUNT_ATTR_NOSUID: u64 = 0x2;
/// Device nodes do not open.
pub const MOUNT_ATTR_NODEV: u64 = 0x4;
/// Nothing executes.
pub const MOUNT_ATTR_NOEXEC: u64 = 0x8;
/// The field of access time settings: clear it whenever one of them is set.
pub const MOUNT_ATTR__ATIME: u64 = 0x70;
/// Access times relative to modification.
pub const MOUNT_ATTR_RELATIME: u64 = 0;
/// No access times.
pub const MOUNT_ATTR_NOATIME: u64 = 0x10;
/// Access times always.
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
/// No access times of directories.
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
/// Idmapped mount (5.12); set through `userns` of [`mount_setattr`].
pub const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
/// Follow no symlink on this mount (5.14).
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// Propagation values of [`MountAttr`] (`linux/mount.h`): make private.
pub const MS_PRIVATE: u64 = 1 << 18;
/// Make a slave.
pub const MS_SLAVE: u64 = 1 << 19;
/// Make shared.
pub const MS_SHARED: u64 = 1 << 20;
/// Make unbindable.
pub const MS_UNBINDABLE: u64 = 1 << 17;

// enum fsconfig_command, linux/mount.h.
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_SET_FD: u32 = 5;
const FSCONFIG_CMD_CREATE: u32 = 6;

/// What mount_setattr(2) changes.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear, before `set` is applied.
    pub clear: u64,
    /// One of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0: unchanged.
    pub propagation: u64,
}

/// `struct mount_attr`, MOUNT_ATTR_SIZE_VER0 (`linux/mount.h`).
#[repr(C)]
struct KernelAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// \[child\] open_tree(2): an O_PATH descriptor, or with OPEN_TREE_CLONE a detached mount.
/// AT_RECURSIVE copies the tree, AT_EMPTY_PATH takes `dir` itself.
///
/// # Errors
/// EPERM: a clone without CAP_SYS_ADMIN. EINVAL: the mount is unbindable, or of another
/// mount namespace (before 6.15), or has locked children and AT_RECURSIVE is missing.
pub fn open_tree(dir: BorrowedFd<'_>, path: &CStr, flags: u32) -> Result<OwnedFd> {
    let flags = flags | OPEN_TREE_CLOEXEC;
    // SAFETY: the kernel reads the string; it returns a descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags)) }
}

/// \[child\] move_mount(2): attaches the mount `from` at `to_path` below `to_dir`, or at
/// `to_dir` itself when `to_path` is empty.
///
/// # Errors
/// EINVAL: the target is in another mount namespace, or file and directory do not match
/// the other. ELOOP: the target lies in the moved tree. EPERM: no CAP_SYS_ADMIN.
pub fn move_mount(from: BorrowedFd<'_>, to_dir: BorrowedFd<'_>, to_path: &CStr, flags: u32) -> Result<()> {
    let to = if to_path.is_empty() { MOVE_MOUNT_T_EMPTY_PATH } else { 0 };
    let flags = flags | MOVE_MOUNT_F_EMPTY_PATH | to;
    let (from, to_dir) = (from.as_raw_fd(), to_dir.as_raw_fd());
    // SAFETY: the kernel reads two strings; both descriptors stay the caller's.
    done(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to_dir, to_path.as_ptr(), flags) })
}

/// \[child\] mount_setattr(2), since 5.12: changes mount attributes, with AT_RECURSIVE of
/// the whole tree or of nothing. `userns` makes the (detached) mount idmapped.
///
/// # Errors
/// EPERM: a locked attribute of a mount from another user namespace. EBUSY: read-only
/// while something is open for writing. EINVAL: not a mount's root, or the filesystem
/// cannot be idmapped. ENOSYS: before 5.12.
pub fn mount_setattr(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: u32,
    attr: &MountAttr,
    userns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut kernel =
        KernelAttr { attr_set: attr.set, attr_clr: attr.clear, propagation: attr.propagation, userns_fd: 0 };
    if let Some(userns) = userns {
        kernel.attr_set |= MOUNT_ATTR_IDMAP;
        kernel.userns_fd = u64::from(userns.as_raw_fd().unsigned_abs());
    }
    let size = size_of::<KernelAttr>();
    let dir = dir.as_raw_fd();
    // SAFETY: the kernel reads the string and `size` bytes of `kernel`; it keeps neither.
    done(unsafe {
        libc::syscall(libc::SYS_mount_setattr, dir, path.as_ptr(), flags, &raw const kernel, size)
    })
}

/// \[child\] fsopen(2): a context in which a new filesystem is configured.
///
/// # Errors
/// ENODEV: the kernel does not know the type. EPERM: no CAP_SYS_ADMIN in the user namespace.
pub fn fsopen(fstype: &CStr, flags: u32) -> Result<OwnedFd> {
    let flags = flags | FSOPEN_CLOEXEC;
    // SAFETY: the kernel reads the string; it returns a descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), flags)) }
}

/// \[child\] fsconfig(2) FSCONFIG_SET_STRING: sets `key=value`.
///
/// # Errors
/// EINVAL: the filesystem refuses key or value; [`fs_message`] says why.
pub fn fsconfig_string(fs: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<()> {
    fsconfig(fs, FSCONFIG_SET_STRING, Some(key), Some(value), 0)
}

/// \[child\] fsconfig(2) FSCONFIG_SET_FLAG: sets an option that has no value.
///
/// # Errors
/// As [`fsconfig_string`].
pub fn fsconfig_flag(fs: BorrowedFd<'_>, key: &CStr) -> Result<()> {
    fsconfig(fs, FSCONFIG_SET_FLAG, Some(key), None, 0)
}

/// \[child\] fsconfig(2) FSCONFIG_SET_FD: gives the filesystem an open file (overlayfs
/// `lowerdir+`, `upperdir`, `workdir` since 6.13).
///
/// # Errors
/// As [`fsconfig_string`].
pub fn fsconfig_fd(fs: BorrowedFd<'_>, key: &CStr, fd: BorrowedFd<'_>) -> Result<()> {
    fsconfig(fs, FSCONFIG_SET_FD, Some(key), None, fd.as_raw_fd())
}

/// \[child\] fsconfig(2) FSCONFIG_CMD_CREATE: makes the superblock.
///
/// # Errors
/// The filesystem's own; EBUSY: done before; EPERM: not in this user namespace.
pub fn fsconfig_create(fs: BorrowedFd<'_>) -> Result<()> {
    fsconfig(fs, FSCONFIG_CMD_CREATE, None, None, 0)
}

fn fsconfig(
    fs: BorrowedFd<'_>,
    command: u32,
    key: Option<&CStr>,
    value: Option<&CStr>,
    aux: i32,
) -> Result<()> {
    let key = key.map_or(std::ptr::null(), CStr::as_ptr);
    let value = value.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the kernel reads NUL-terminated strings or takes NULL; `aux` stays the caller's.
    done(unsafe { libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), command, key, value, aux) })
}

/// \[child\] fsmount(2): a detached mount of the superblock, with `MOUNT_ATTR_*`.
///
/// # Errors
/// EINVAL: no superblock yet. EPERM: an attribute of the user namespace's first mount of
/// this type is missing (procfs and sysfs: mount_too_revealing).
pub fn fsmount(fs: BorrowedFd<'_>, flags: u32, attrs: u64) -> Result<OwnedFd> {
    let flags = flags | FSMOUNT_CLOEXEC;
    let attrs = u32::try_from(attrs).or(Err(Errno::EINVAL))?;
    // SAFETY: takes no memory; it returns a descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), flags, attrs)) }
}

/// \[child\] Reads the next message of a filesystem context's log into `buffer`; the first
/// letter is its class (`e`, `w`, `i`). Empty: there is none.
///
/// # Errors
/// EMSGSIZE: the message is longer than `buffer` (and lost).
pub fn fs_message_into<'b>(fs: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let read = uninterrupted(|| {
        // SAFETY: the kernel writes at most the length of `buffer`, which we hold.
        count(unsafe { libc::syscall(libc::SYS_read, fs.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) })
    });
    match read {
        Err(Errno::ENODATA) => Ok(&[]),
        read => buffer.get(..read?).ok_or(Errno::EOVERFLOW),
    }
}

/// The next message of a filesystem context's log, `None` when there is none. Parent side.
///
/// # Errors
/// As [`fs_message_into`].
pub fn fs_message(fs: BorrowedFd<'_>) -> Result<Option<String>> {
    let mut buffer = [0; 1024];
    let message = fs_message_into(fs, &mut buffer)?;
    let text = String::from_utf8_lossy(message);
    Ok(Some(text.trim_end().to_owned()).filter(|text| !text.is_empty()))
}
