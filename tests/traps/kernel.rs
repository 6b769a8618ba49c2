//! Children that ask the kernel itself. They come from clone3 alone and do only what is
//! marked \[child\] in `pinfold::sys`: the test program has many threads.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::mount::MsFlags;
use pinfold::sys::clone::{CloneArgs, Cloned, clone3, exit_now};
use pinfold::sys::pidfd::pidfd_send_signal;
use pinfold::sys::wait::{WEXITED, waitid_pidfd};
use pinfold::sys::{self, mount};

/// A claim of a child that does not hold; no call in these tests reports this errno.
pub const FALSE: Errno = Errno::EBADMSG;

/// What a step of a child gives.
pub type Step = Result<(), Errno>;

/// What a claim of a child comes to.
pub fn ensure(claim: bool) -> Step {
    if claim { Ok(()) } else { Err(FALSE) }
}

/// Runs `steps` in a child of these namespaces; which errno stopped it.
#[track_caller]
pub fn in_child(flags: u64, steps: impl FnOnce() -> Step) -> Step {
    match clone3(&CloneArgs { flags, exit_signal: libc::SIGCHLD, cgroup: None }).expect("clone3") {
        Cloned::Child => exit_with(steps()),
        Cloned::Parent { pidfd, .. } => ended(&pidfd),
    }
}

/// As [`in_child`], in a user namespace too, whose ids 0 to 65535 are those of the host
/// from `outside` on.
#[track_caller]
pub fn in_user_namespace(flags: u64, outside: u32, steps: impl FnOnce() -> Step) -> Step {
    let (read, write) = nix::unistd::pipe().unwrap();
    let flags = flags | sys::clone::CLONE_NEWUSER;
    match clone3(&CloneArgs { flags, exit_signal: libc::SIGCHLD, cgroup: None }).expect("clone3") {
        Cloned::Child => {
            let mapped = sys::file::read(read.as_fd(), &mut [0]);
            exit_with(mapped.and_then(|count| ensure(count == 1)).and_then(|()| steps()))
        }
        Cloned::Parent { pid, pidfd } => {
            for name in ["uid_map", "gid_map"] {
                std::fs::write(format!("/proc/{pid}/{name}"), format!("0 {outside} 65536")).unwrap();
            }
            File::from(write).write_all(b"g").unwrap();
            ended(&pidfd)
        }
    }
}

fn exit_with(outcome: Step) -> ! {
    exit_now(outcome.err().map_or(0, |errno| errno as i32))
}

#[track_caller]
fn ended(pidfd: &OwnedFd) -> Step {
    let end = waitid_pidfd(pidfd.as_fd(), WEXITED).unwrap().unwrap();
    assert_eq!(end.code, libc::CLD_EXITED, "the child died of signal {}", end.status);
    if end.status == 0 { Ok(()) } else { Err(Errno::from_raw(end.status)) }
}

/// A child that goes on beside the test and ends with it.
pub struct Beside {
    pub pid: i32,
    pidfd: OwnedFd,
}

/// Starts `steps` in a child that is killed when the test lets go of it.
pub fn beside(flags: u64, cgroup: Option<&OwnedFd>, steps: impl FnOnce() -> Step) -> Beside {
    let cgroup = cgroup.map(AsFd::as_fd);
    match clone3(&CloneArgs { flags, exit_signal: libc::SIGCHLD, cgroup }).expect("clone3") {
        Cloned::Child => exit_with(steps()),
        Cloned::Parent { pid, pidfd } => Beside { pid: pid.as_raw(), pidfd },
    }
}

impl Beside {
    /// How it ended by itself.
    #[track_caller]
    pub fn end(self) -> Step {
        ended(&self.pidfd)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL).ok();
        waitid_pidfd(self.pidfd.as_fd(), WEXITED).ok();
    }
}

/// \[child\] Nothing that is mounted from here on is seen outside this mount namespace.
pub fn own_mounts() -> Step {
    const NONE: Option<&std::ffi::CStr> = None;
    nix::mount::mount(NONE, c"/", NONE, MsFlags::MS_PRIVATE | MsFlags::MS_REC, NONE)
}

/// \[child\] A fresh filesystem that is mounted nowhere.
pub fn fresh(fstype: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let context = mount::fsopen(fstype, mount::FSOPEN_CLOEXEC)?;
    mount::fsconfig_create(context.as_fd())?;
    mount::fsmount(context.as_fd(), mount::FSMOUNT_CLOEXEC, 0)
}

/// \[child\] An O_PATH descriptor.
pub fn open_path(path: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    use nix::fcntl::OFlag;
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
}

/// A path for a child, which may not allocate.
pub fn c_path(path: &std::path::Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// \[child\] Puts a descriptor on a number of its own, close-on-exec.
pub fn put_on(fd: OwnedFd, number: i32) -> Step {
    match fd.as_raw_fd() == number {
        // It stays open for the rest of this child's life.
        true => std::mem::forget(fd),
        false => sys::file::dup3(fd.as_fd(), number, libc::O_CLOEXEC)?,
    }
    Ok(())
}
