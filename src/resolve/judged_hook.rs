//! A hook's file, read once: what is hashed is what is run. The content is copied into a file in memory
//! that is sealed before it is hashed (memfd_create(2), "File sealing"), so nothing that happens to the path,
//! the file or its directory afterwards matters.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, OpenHow, ResolveFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use sha2::{Digest, Sha256};

use crate::draft::JudgedHook;
use crate::error::{Call, Error, Result};
use crate::sys;
use crate::types::hex;

/// What is larger is no hook.
const LARGEST: u64 = 256 << 20;

/// Reads the file at an absolute path, through no link at all.
///
/// # Errors
/// openat2(2): ELOOP of a link; not a regular file; too large; not executable.
pub fn judged_hook(path: &Path) -> Result<JudgedHook> {
    let file = open(path)?;
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    if stat.mode & libc::S_IFMT != libc::S_IFREG || stat.mode & 0o111 == 0 {
        return Err(Error::usage("is not an executable file"));
    }
    let program = sealed(file)?;
    let sha256 = digest(&program)?;
    Ok(JudgedHook { program: Arc::new(program), sha256 })
}

fn open(path: &Path) -> Result<File> {
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let _as_caller = sys::caller::as_caller().call("setresuid")?;
    let opened =
        nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, OpenHow::new().flags(flags).resolve(resolve));
    opened.call("openat2").map(File::from)
}

fn sealed(file: File) -> Result<OwnedFd> {
    let mut copy = File::from(executable_memfd().call("memfd_create")?);
    let length = std::io::copy(&mut file.take(LARGEST + 1), &mut copy).call("copy")?;
    if length > LARGEST {
        return Err(Error::usage(format!("is larger than {LARGEST} bytes")));
    }
    let seals =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)).call("fcntl F_ADD_SEALS")?;
    Ok(copy.into())
}

/// Where vm.memfd_noexec is set, an executable one must be asked for (since Linux 6.3).
fn executable_memfd() -> std::result::Result<OwnedFd, Errno> {
    const MFD_EXEC: MFdFlags = MFdFlags::from_bits_retain(0x10);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    match memfd_create(c"pinfold-hook", flags | MFD_EXEC) {
        Err(Errno::EINVAL) => memfd_create(c"pinfold-hook", flags),
        made => made,
    }
}

/// Of the sealed copy, not of the file.
fn digest(program: &OwnedFd) -> Result<String> {
    let mut copy = File::from(program.try_clone().call("fcntl")?);
    copy.rewind().call("lseek")?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match copy.read(&mut buffer).call("read")? {
            0 => break,
            length => hash.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    Ok(hex(hash.finalize()))
}
