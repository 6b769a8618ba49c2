//! pinfold's own binary (CVE-2019-5736): a process of the container that opens
//! /proc/PID/exe, or an entrypoint `#!/proc/self/exe`, must not be able to write it.
//!
//! Where it could be written, pinfold executes itself again: from a read-only clone of the
//! mount it lies on, or, where the caller may not clone mounts, from a sealed copy in memory.
//! The descriptor closes with execve: while it is open, the clone's flag could be cleared
//! through it.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{AccessFlags, faccessat};

use crate::error::{Call, Context, Error, Result};
use crate::sys::exec::CStringArray;
use crate::sys::mount::{self, AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, MountAttr};

const SELF: &str = "/proc/self/exe";

/// Makes sure that no process of the container can write this process's executable.
///
/// # Errors
/// Neither a clone nor a copy can be made or executed.
pub fn own_binary() -> Result<()> {
    let exe =
        nix::fcntl::open(SELF, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).call("open").on(SELF)?;
    if fstatvfs(&exe).call("fstatvfs").on(SELF)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(());
    }
    if nix::unistd::geteuid().is_root() {
        match read_only_clone(&exe) {
            // Inside a user namespace that does not own the mounts, or without CAP_SYS_ADMIN.
            Err(error) if error.errno() == Some(Errno::EPERM) => {}
            other => return Err(again(&other?)),
        }
    }
    match may_be_written(&exe)? {
        true => from_memory(),
        false => Ok(()),
    }
}

/// As [`own_binary`], for a sandbox of a caller without privilege: its program has the
/// caller's own id on the host. Landlock keeps it from every file outside its root.
///
/// # Errors
/// As [`own_binary`].
pub fn own_binary_without_landlock() -> Result<()> {
    match crate::sys::landlock::landlock_abi() {
        Ok(_) => Ok(()),
        Err(_) => own_binary(),
    }
}

/// Whether a process with the caller's id could: as its owner, who may change the mode, or now.
fn may_be_written(exe: &OwnedFd) -> Result<bool> {
    let stat = crate::sys::file::stat(exe.as_fd()).call("fstat").on(SELF)?;
    let writable = faccessat(AT_FDCWD, SELF, AccessFlags::W_OK, AtFlags::AT_EACCESS);
    Ok(stat.uid == nix::unistd::geteuid().as_raw() || matches!(writable, Ok(()) | Err(Errno::ETXTBSY)))
}

/// Goes on in a copy that nobody can write any more (memfd_create(2), "File sealing").
fn from_memory() -> Result<()> {
    let exe =
        nix::fcntl::open(SELF, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).call("open").on(SELF)?;
    // Any other file has no seals (EINVAL).
    let sealed = fcntl(&exe, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_retain);
    if sealed.contains(SealFlag::F_SEAL_WRITE) {
        return Ok(());
    }
    let mut copy = File::from(executable_memfd().call("memfd_create")?);
    std::io::copy(&mut File::from(exe), &mut copy).call("copy").on(SELF)?;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(ALL_SEALS)).call("fcntl F_ADD_SEALS")?;
    Err(again(&OwnedFd::from(copy)).hint("install pinfold where its caller cannot write it"))
}

const ALL_SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Where vm.memfd_noexec is set, an executable one must be asked for (since Linux 6.3).
fn executable_memfd() -> std::result::Result<OwnedFd, Errno> {
    const MFD_EXEC: MFdFlags = MFdFlags::from_bits_retain(0x10);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    match memfd_create(c"pinfold", flags | MFD_EXEC) {
        Err(Errno::EINVAL) => memfd_create(c"pinfold", flags),
        made => made,
    }
}

fn read_only_clone(exe: &OwnedFd) -> Result<OwnedFd> {
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    let tree = mount::open_tree(exe.as_fd(), c"", flags).call("open_tree").on(SELF)?;
    let attr = MountAttr { set: MOUNT_ATTR_RDONLY, propagation: mount::MS_PRIVATE, ..MountAttr::default() };
    mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH, &attr, None).call("mount_setattr").on(SELF)?;
    Ok(tree)
}

fn again(tree: &OwnedFd) -> Error {
    let owned = |words: Vec<std::ffi::OsString>| {
        words.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect::<Vec<_>>()
    };
    let environment = std::env::vars_os().map(|(key, value)| {
        let mut entry = key;
        entry.push("=");
        entry.push(value);
        entry
    });
    let argv = CStringArray::new(owned(crate::sys::program::arguments()));
    let envp = CStringArray::new(owned(environment.collect()));
    let flags = i32::try_from(AT_EMPTY_PATH).unwrap_or(0);
    Error::call("execveat", crate::sys::exec::execveat(tree.as_fd(), c"", &argv, &envp, flags)).object(SELF)
}
