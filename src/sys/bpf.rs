//! bpf(2) for the device programs of cgroup2 (BPF_PROG_TYPE_CGROUP_DEVICE, since Linux 4.15).

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Result, descriptor, done};

/// Programs of descendants run too; without it they replace ours (`linux/bpf.h`).
pub const BPF_F_ALLOW_MULTI: u32 = 1 << 1;

// linux/bpf.h
const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_DETACH: i32 = 9;
const BPF_PROG_GET_FD_BY_ID: i32 = 13;
const BPF_PROG_QUERY: i32 = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;

/// `union bpf_attr` of BPF_PROG_LOAD, up to `prog_name`.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// `union bpf_attr` of BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// `union bpf_attr` of BPF_PROG_QUERY, up to `prog_cnt` (4.15).
#[repr(C)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    zero: u32,
}

/// BPF_CGROUP_MAX_PROGS (`kernel/bpf/cgroup.c`): more cannot be attached to one cgroup.
const CGROUP_PROGS_MAX: u32 = 64;

/// BPF_PROG_LOAD of a device program; an instruction is `struct bpf_insn` as one u64.
///
/// # Errors
/// EPERM: no CAP_BPF or CAP_SYS_ADMIN in the initial user namespace. EINVAL, EACCES: the
/// verifier refuses it. E2BIG: too long. ENOSYS, EINVAL: built without CGROUP_BPF.
pub fn prog_load_cgroup_device(insns: &[u64]) -> Result<OwnedFd> {
    let attr = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(insns.len()).or(Err(Errno::E2BIG))?,
        insns: insns.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"pinfold_device\0\0",
    };
    let size = size_of::<Load>();
    // SAFETY: the kernel reads `size` bytes, `insn_cnt` instructions and the static licence;
    // it returns a close-on-exec descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size)) }
}

/// BPF_PROG_ATTACH of a device program to a cgroup2 directory.
///
/// # Errors
/// EPERM: no CAP_NET_ADMIN or CAP_SYS_ADMIN, or an ancestor's program forbids others.
/// EINVAL: not a cgroup2 directory, or other flags than what is attached. E2BIG: 64 already.
pub fn prog_attach_cgroup_device(cgroup: BorrowedFd<'_>, prog: BorrowedFd<'_>, flags: u32) -> Result<()> {
    on_cgroup(BPF_PROG_ATTACH, cgroup, prog, flags)
}

/// BPF_PROG_DETACH of a device program from a cgroup2 directory.
///
/// # Errors
/// ENOENT: it is not attached there. EPERM: as [`prog_attach_cgroup_device`].
pub fn prog_detach_cgroup_device(cgroup: BorrowedFd<'_>, prog: BorrowedFd<'_>) -> Result<()> {
    on_cgroup(BPF_PROG_DETACH, cgroup, prog, 0)
}

fn on_cgroup(command: i32, cgroup: BorrowedFd<'_>, prog: BorrowedFd<'_>, attach_flags: u32) -> Result<()> {
    let attr = Attach {
        target_fd: cgroup.as_raw_fd().unsigned_abs(),
        attach_bpf_fd: prog.as_raw_fd().unsigned_abs(),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags,
    };
    // SAFETY: the kernel reads the structure's bytes; both descriptors stay the caller's.
    done(unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attr, size_of::<Attach>()) })
}

/// BPF_PROG_QUERY: the ids of the device programs attached to this cgroup2 directory itself.
///
/// # Errors
/// EPERM: no CAP_NET_ADMIN or CAP_SYS_ADMIN. EINVAL: not a cgroup2 directory.
pub fn prog_query_cgroup_device(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>> {
    let mut ids = [0_u32; CGROUP_PROGS_MAX as usize];
    let mut attr = Query {
        target_fd: cgroup.as_raw_fd().unsigned_abs(),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: CGROUP_PROGS_MAX,
        zero: 0,
    };
    // SAFETY: the kernel reads and writes the structure's bytes and writes at most `prog_cnt`
    // ids; both outlive the call. The descriptor stays the caller's.
    done(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attr, size_of::<Query>()) })?;
    let found = usize::try_from(attr.prog_cnt).or(Err(Errno::EOVERFLOW))?;
    Ok(ids.get(..found).ok_or(Errno::EOVERFLOW)?.to_vec())
}

/// BPF_PROG_GET_FD_BY_ID: a loaded program.
///
/// # Errors
/// ENOENT: no such program any more. EPERM: no CAP_SYS_ADMIN in the initial user namespace.
pub fn prog_fd_by_id(id: u32) -> Result<OwnedFd> {
    // `prog_id`, `next_id`, `open_flags` of the union.
    let attr = [id, 0, 0];
    // SAFETY: the kernel reads the array's bytes; it returns a close-on-exec descriptor that is ours.
    unsafe {
        descriptor(libc::syscall(libc::SYS_bpf, BPF_PROG_GET_FD_BY_ID, &raw const attr, size_of_val(&attr)))
    }
}
