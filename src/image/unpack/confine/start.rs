//! Making the process: namespaces, id maps, pinfold itself with three descriptors.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{Job, maps};
use crate::error::{Call, Context, Error, Result};
use crate::image::unpack::Owners;
use crate::sys::clone::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, CloneArgs,
    Cloned, clone3, exit_now,
};
use crate::sys::exec::{CStringArray, execveat};
use crate::sys::{self, file};

/// The name under which pinfold knows that it is the unpacker.
pub(super) const NAME: &str = "pinfold-unpack";

/// The process, before it reads anything.
pub(super) struct Started {
    /// The process for good.
    pub(super) pidfd: OwnedFd,
    /// Where the blob is written to.
    pub(super) blob: OwnedFd,
    /// Where the report comes from.
    pub(super) report: OwnedFd,
}

/// All that the child needs between clone3 and execve, where nothing may be allocated.
struct Prepared<'s> {
    go: OwnedFd,
    blob: OwnedFd,
    report: OwnedFd,
    staging: BorrowedFd<'s>,
    exe: OwnedFd,
    argv: CStringArray,
    envp: CStringArray,
    /// Whether it becomes the user namespace's root.
    become_root: bool,
    /// Whether supplementary groups can be dropped there.
    drop_groups: bool,
}

/// Starts the process. It waits for the blob.
pub(super) fn start(job: &Job, staging: BorrowedFd<'_>, owners: &Owners) -> Result<Started> {
    let maps = if job.user_namespace { Some(maps::Maps::of(owners)?) } else { None };
    let (blob_read, blob) = blocking_pipe()?;
    let (report, report_write) = blocking_pipe()?;
    let (go_read, go) = blocking_pipe()?;
    file::set_nonblocking(&blob, true).call("fcntl")?;
    // Fewer switches between two processes; a caller may have reached its sum of pipe buffers.
    nix::fcntl::fcntl(&blob, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20)).ok();
    let json = serde_json::to_string(job).map_err(|error| Error::internal(error.to_string()))?;
    let argument = |text: &str| CString::new(text).map_err(|error| Error::internal(error.to_string()));
    let prepared = Prepared {
        go: go_read,
        blob: blob_read,
        report: report_write,
        staging,
        exe: nix::fcntl::open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .call("open")
            .on("/proc/self/exe")?,
        argv: CStringArray::new(vec![argument(NAME)?, argument(&json)?]),
        envp: CStringArray::new(vec![]),
        become_root: maps.is_some(),
        drop_groups: maps.as_ref().is_none_or(maps::Maps::allows_setgroups),
    };
    let user = if maps.is_some() { CLONE_NEWUSER } else { 0 };
    let flags = user | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    let cloned = clone3(&CloneArgs { flags, exit_signal: libc::SIGCHLD, cgroup: None }).call("clone3");
    match cloned.map_err(hint)? {
        Cloned::Child => child(&prepared),
        Cloned::Parent { pid, pidfd } => {
            drop(prepared);
            let started = Started { pidfd, blob, report };
            let released = maps
                .map_or(Ok(()), |maps| maps.write(pid))
                .and_then(|()| file::write_all(go.as_fd(), b"g").call("write"));
            match released {
                Ok(()) => Ok(started),
                Err(error) => {
                    super::feed::kill(&started)?;
                    Err(error)
                }
            }
        }
    }
}

fn hint(error: Error) -> Error {
    error.hint(
        "layers are unpacked in a user namespace of their own: allow them to this caller (pinfold doctor)",
    )
}

fn blocking_pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).call("pipe2")
}

/// \[child\] From here to execve nothing allocates. A failure goes out as the exit code.
fn child(prepared: &Prepared<'_>) -> ! {
    let errno = match ready(prepared) {
        Ok(()) => {
            let empty_path = i32::try_from(sys::mount::AT_EMPTY_PATH).unwrap_or(0);
            execveat(prepared.exe.as_fd(), c"", &prepared.argv, &prepared.envp, empty_path)
        }
        Err(errno) => errno,
    };
    exit_now(errno as i32)
}

fn ready(prepared: &Prepared<'_>) -> sys::Result<()> {
    // Its own copies of the parent's ends would keep it waiting for ever, and its copies of the
    // store's locks everybody else, when the parent is killed.
    let own = [&prepared.go, &prepared.blob, &prepared.report, &prepared.exe].map(number);
    let [go, blob, report, exe] = own;
    let mut keep = [0, 1, 2, go, blob, report, exe, number(&prepared.staging)];
    keep.sort_unstable();
    sys::close_range::close_gaps(&keep)?;
    let mut word = [0];
    // End of file: the parent is gone, or the maps could not be written.
    if file::read(prepared.go.as_fd(), &mut word)? != 1 {
        return Err(Errno::ECANCELED);
    }
    if prepared.drop_groups {
        sys::ids::setgroups(&[])?;
    }
    if prepared.become_root {
        sys::ids::setresgid(0)?;
        sys::ids::setresuid(0)?;
    }
    file::dup_onto(prepared.blob.as_fd(), 0)?;
    file::dup_onto(prepared.report.as_fd(), 1)?;
    // Whatever the parent may do with it: a descriptor of a path alone is closed to a program's start.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let staging = nix::fcntl::openat(prepared.staging, c".", flags, Mode::empty())?;
    file::dup_onto(staging.as_fd(), 2)?;
    drop(staging);
    nix::unistd::fchdir(prepared.staging)?;
    sys::close_range::close_gaps(&[0, 1, 2, exe])
}

fn number(fd: &impl AsFd) -> u32 {
    use std::os::fd::AsRawFd;
    fd.as_fd().as_raw_fd().unsigned_abs()
}
