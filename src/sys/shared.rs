//! One page that processes share: a memfd (memfd_create(2), since Linux 3.17) whose size is
//! sealed, so that no holder of the descriptor can make a reader die of SIGBUS.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};

use super::{Result, descriptor};

/// Bytes of a shared page, whatever the kernel's page size.
pub const PAGE: usize = 4096;
/// Words of a shared page.
pub const WORDS: usize = PAGE / size_of::<AtomicU64>();

// linux/memfd.h
const MFD_CLOEXEC: u32 = 1;
const MFD_ALLOW_SEALING: u32 = 2;
const MFD_NOEXEC_SEAL: u32 = 8;

/// A mapping of the page; unmapped when dropped. The other side may write at any time, so
/// what is read is a claim, not a fact.
#[derive(Debug)]
pub struct SharedPage {
    start: NonNull<AtomicU64>,
}

impl SharedPage {
    /// Makes a page of zeros, maps it, and returns its descriptor for others to map.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn create(name: &CStr) -> Result<(Self, OwnedFd)> {
        let fd = unsealed(name)?;
        nix::unistd::ftruncate(&fd, 4096)?;
        let seals = size_seals() | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
        Ok((Self::map(fd.as_fd())?, fd))
    }

    /// Maps the page behind `fd`.
    ///
    /// # Errors
    /// EINVAL: not a memfd, or its size is not 4096 bytes. EPERM: its size is not sealed, or
    /// it is sealed against writing.
    pub fn map(fd: BorrowedFd<'_>) -> Result<Self> {
        let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(size_seals()) {
            return Err(Errno::EPERM);
        }
        if nix::sys::stat::fstat(fd)?.st_size != 4096 {
            return Err(Errno::EINVAL);
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let anywhere = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice; it replaces none.
        let start = unsafe { libc::mmap(anywhere, PAGE, access, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(start.cast()).map(|start| Self { start }).ok_or(Errno::ENOMEM)
    }

    /// \[child\] The word at `index`, for `index` below [`WORDS`].
    pub fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= WORDS {
            return None;
        }
        // SAFETY: the mapping holds WORDS aligned words as long as `self` lives; its size is
        // sealed, so that each stays backed; all access is atomic, in every process.
        Some(unsafe { self.start.add(index).as_ref() })
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: `start` is our own mapping of PAGE bytes, and no borrow outlives `self`.
        let unmapped = unsafe { libc::munmap(self.start.as_ptr().cast(), PAGE) };
        debug_assert_eq!(unmapped, 0);
    }
}

/// \[child\] A file in memory that holds these pieces, stands at its beginning, and cannot be
/// changed any more by anybody.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
pub fn sealed_file(name: &CStr, pieces: &[&[u8]]) -> Result<OwnedFd> {
    let fd = unsealed(name)?;
    for piece in pieces {
        super::file::write_all(fd.as_fd(), piece)?;
    }
    nix::unistd::lseek(&fd, 0, nix::unistd::Whence::SeekSet)?;
    let seals = size_seals() | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(fd)
}

fn unsealed(name: &CStr) -> Result<OwnedFd> {
    match memfd_create(name, MFD_NOEXEC_SEAL) {
        Err(Errno::EINVAL) => memfd_create(name, 0),
        made => made,
    }
}

/// MFD_NOEXEC_SEAL is what `vm.memfd_noexec` asks of everyone since 6.3; before, it is EINVAL.
fn memfd_create(name: &CStr, flags: u32) -> Result<OwnedFd> {
    let flags = flags | MFD_CLOEXEC | MFD_ALLOW_SEALING;
    // SAFETY: the kernel reads the string; it returns a descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags)) }
}

fn size_seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW
}
