//! What of the program's own file lies in memory: madvise(2), `MADV_DONTNEED`. All \[child\].

use super::{Result, done};

/// Of the readable parts of an ELF program header (elf(5)).
const PT_LOAD: u32 = 1;
const PF_W: u32 = 2;

/// \[child\] Gives back every page of the program's own code and constants; what is needed again is read from its
/// file, or from the page cache. What the loader has written (relocations) is in segments that can be written, and
/// stays.
///
/// # Errors
/// ENOSYS: a kernel without madvise(2). EINVAL: the pages are locked.
pub fn give_back() -> Result<()> {
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
        // SAFETY: the range is a segment of this program that nobody has written: its pages come back from the file
        // with the same content when they are touched, those of this very function among them.
        done(unsafe {
            libc::syscall(libc::SYS_madvise, start, end.wrapping_sub(start), libc::MADV_DONTNEED)
        })?;
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
