//! Who asked: pinfold's own ids, and the process that started it as procfs shows it, read
//! through one descriptor of a procfs that is one (proc(5)).

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::Mode;
use serde::Serialize;

use crate::error::{Call, Error, Result};
use crate::sys;

/// `PROC_ROOT_INO` (linux/proc_fs.h).
const PROC_ROOT: u64 = 1;
/// The login uid of who never logged in (`AUDIT_UID_UNSET`).
const UNSET: u32 = u32::MAX;
const LONGEST: usize = 4096;

/// Who started pinfold.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Caller {
    /// Real user id of pinfold.
    pub uid: u32,
    /// Effective user id of pinfold.
    pub euid: u32,
    /// Real group id of pinfold.
    pub gid: u32,
    /// The parent; null where it cannot be seen from this pid namespace.
    pub pid: Option<i32>,
    /// Its executable, as /proc/PID/exe names it.
    pub exe: Option<String>,
    /// /proc/self/loginuid, which neither sudo nor su changes; null where nobody logged in.
    pub login_uid: Option<u32>,
    /// Its cgroup: the unified one, else all lines of /proc/PID/cgroup.
    pub cgroup: Option<String>,
}

impl Caller {
    /// Reads it. What procfs does not tell is null.
    ///
    /// # Errors
    /// /proc is no procfs.
    pub fn read() -> Result<Self> {
        let proc = procfs()?;
        let parent = nix::unistd::getppid();
        let mut caller = Self {
            uid: nix::unistd::getuid().as_raw(),
            euid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            login_uid: text(&proc, "self", "loginuid").and_then(|text| text.trim().parse().ok()),
            ..Self::default()
        };
        caller.login_uid = caller.login_uid.filter(|uid| *uid != UNSET);
        if parent.as_raw() <= 0 {
            return Ok(caller);
        }
        caller.pid = Some(parent.as_raw());
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = openat2(&proc, parent.to_string().as_str(), OpenHow::new().flags(flags).resolve(beneath()));
        // The number may have been another's by the time it was opened.
        let Ok(dir) = dir else { return Ok(caller) };
        if nix::unistd::getppid() != parent {
            return Ok(Self { pid: None, ..caller });
        }
        caller.exe = readlinkat(&dir, "exe").ok().map(|path| path.to_string_lossy().into_owned());
        caller.cgroup = text(&dir, "", "cgroup").map(|text| unified(&text));
        Ok(caller)
    }
}

fn beneath() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV
}

fn procfs() -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let proc = nix::fcntl::openat(AT_FDCWD, "/proc", flags, Mode::empty()).call("openat")?;
    let magic = sys::file::fstatfs_type(proc.as_fd()).call("fstatfs")?;
    match magic == libc::PROC_SUPER_MAGIC && sys::file::stat(proc.as_fd()).call("fstat")?.ino == PROC_ROOT {
        true => Ok(proc),
        false => Err(Error::setup("is no procfs").object("/proc")),
    }
}

fn text(dir: &OwnedFd, below: &str, name: &str) -> Option<String> {
    let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
    let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC).resolve(beneath());
    let file = openat2(dir, path.as_str(), how).ok()?;
    let mut bytes = vec![0; LONGEST];
    let length = sys::file::read(file.as_fd(), &mut bytes).ok()?;
    bytes.truncate(length);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn unified(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("0::"));
    line.filter(|line| *line != "/" || !text.contains(":/")).unwrap_or(text.trim_end()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_was_started_by_its_parent() {
        let caller = Caller::read().unwrap();
        assert_eq!(caller.pid, Some(nix::unistd::getppid().as_raw()));
        assert_eq!(caller.uid, nix::unistd::getuid().as_raw());
        assert!(caller.cgroup.is_some_and(|cgroup| cgroup.contains('/')));
    }
}
