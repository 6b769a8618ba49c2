//! What of the program's own file lies in memory: madvise(2), `MADV_DONTNEED`; userfaultfd(2).

use std::os::fd::{FromRawFd, OwnedFd};

use super::{Result, done, int};

/// Of the readable parts of an ELF program header (elf(5)).
const PT_LOAD: u32 = 1;
const PF_W: u32 = 2;

/// The most pages that one page fault brings in (`fault_around_bytes`, and since Linux 6.18 a whole folio), most
/// of which nobody asks for, is one while this lives: page faults in memory that is registered with
/// userfaultfd(2) for write protection are not widened. Nothing is ever protected.
#[derive(Debug)]
pub struct OneByOne {
    _registration: OwnedFd,
}

/// linux/userfaultfd.h
const UFFD_USER_MODE_ONLY: libc::c_int = 1;
const UFFD_API: u64 = 0xaa;
const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
const UFFDIO_REGISTER_MODE_WP: u64 = 1 << 1;
const UFFDIO_API: libc::Ioctl = 0xc018_aa3f_u32 as libc::Ioctl;
const UFFDIO_REGISTER: libc::Ioctl = 0xc020_aa00_u32 as libc::Ioctl;

/// From here on each page of the program's own code and constants comes by itself, and only when it is touched.
/// It costs more page faults and spares what lies around; a child made by clone(2) is not concerned.
///
/// # Errors
/// EINVAL: before Linux 6.7. EPERM, ENOSYS: a filter, or a kernel without userfaultfd(2).
pub fn one_by_one() -> Result<OneByOne> {
    // SAFETY: takes no memory.
    let made = int(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | UFFD_USER_MODE_ONLY) })?;
    // SAFETY: a descriptor that the kernel has just made, and nobody else has.
    let registration = unsafe { OwnedFd::from_raw_fd(made) };
    let mut api = [UFFD_API, UFFD_FEATURE_WP_ASYNC, 0];
    // SAFETY: the kernel reads and writes `struct uffdio_api`, three numbers, which outlives the call.
    int(i64::from(unsafe { libc::ioctl(made, UFFDIO_API, api.as_mut_ptr()) }))?;
    for_each_segment(|start, length| {
        let mut register = [start, length, UFFDIO_REGISTER_MODE_WP, 0];
        // SAFETY: the kernel reads and writes `struct uffdio_register`, four numbers, which outlives the
        // call. With WP_ASYNC no fault waits for anybody, so what is registered behaves as before.
        int(i64::from(unsafe { libc::ioctl(made, UFFDIO_REGISTER, register.as_mut_ptr()) })).map(drop)
    })?;
    Ok(OneByOne { _registration: registration })
}

/// \[child\] Gives back every page of the program's own code and constants; what is needed again is read from its
/// file, or from the page cache. What the loader has written (relocations) is in segments that can be written, and
/// stays.
///
/// # Errors
/// ENOSYS: a kernel without madvise(2). EINVAL: the pages are locked.
pub fn give_back() -> Result<()> {
    for_each_segment(|start, length| {
        // SAFETY: the range is a segment of this program that nobody has written: its pages come back from the file
        // with the same content when they are touched, those of this very function among them.
        done(unsafe { libc::syscall(libc::SYS_madvise, start, length, libc::MADV_DONTNEED) })
    })
}

/// \[child\] Start and length, in whole pages, of each segment of the program that is never written.
fn for_each_segment(mut each: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
    // SAFETY: takes no memory; the values are those that the kernel put on the stack at execve(2).
    let (headers, count) = unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    if headers == 0 {
        return Ok(());
    }
    let first = headers as *const libc::Elf64_Phdr;
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: AT_PHDR and AT_PHNUM describe the program headers of this program, which lie in its first
    // segment, are never written, and stay mapped as long as it runs.
    let headers_list = unsafe { std::slice::from_raw_parts(first, count) };
    // They follow the ELF header, at the beginning of the first segment. PT_PHDR tells too, but not every
    // linker writes it into a static program.
    let page = size();
    let Some(head) = headers_list.iter().find(|header| header.p_type == PT_LOAD && header.p_offset == 0)
    else {
        return Ok(());
    };
    let base = (headers & !(page - 1)).wrapping_sub(head.p_vaddr);
    for header in headers_list.iter().filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_W == 0)
    {
        let start = base.wrapping_add(header.p_vaddr) & !(page - 1);
        let end = base.wrapping_add(header.p_vaddr).wrapping_add(header.p_memsz);
        each(start, end.wrapping_sub(start).wrapping_add(page - 1) & !(page - 1))?;
    }
    Ok(())
}

fn size() -> u64 {
    // SAFETY: takes no memory.
    match unsafe { libc::getauxval(libc::AT_PAGESZ) } {
        0 => 4096,
        size => size,
    }
}
