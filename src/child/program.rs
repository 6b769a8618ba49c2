//! Finding and executing the program: execvp(3) semantics over candidates that the
//! parent rendered.

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::unistd::AccessFlags;

use super::{Child, Done};
use crate::plan::Program;
use crate::sys;

impl Child<'_> {
    /// Says at create what would only be known at start: that there is no such program.
    pub(super) fn find_program(&mut self) -> Done {
        self.found = find(&self.plan.program)?;
        Ok(())
    }

    /// The last step. Returns only when execve failed.
    pub(super) fn exec(&self) -> Done {
        let program = &self.plan.program;
        let path = program.candidates.get(self.found).ok_or(Errno::ENOENT)?;
        Err(sys::exec::execve(path, &program.argv, &program.envp))
    }
}

fn find(program: &Program) -> Result<usize, Errno> {
    let mut reason = Errno::ENOENT;
    for (index, candidate) in program.candidates.iter().enumerate() {
        match may_execute(candidate) {
            // A directory passes the check and is no program: execvp(3) goes on too.
            Ok(()) if is_directory(candidate) => reason = Errno::EISDIR,
            Ok(()) => return Ok(index),
            Err(Errno::EACCES) => reason = Errno::EACCES,
            Err(_) => {}
        }
    }
    Err(reason)
}

/// A filter that is in force may deny faccessat2(2), which a profile that is older than the call does, and even
/// faccessat(2), which asks the same here as all ids are one. Then it is enough that something is there: execve(2)
/// has the last word.
fn may_execute(candidate: &std::ffi::CStr) -> Result<(), Errno> {
    for flags in [AtFlags::AT_EACCESS, AtFlags::empty()] {
        match nix::unistd::faccessat(nix::fcntl::AT_FDCWD, candidate, AccessFlags::X_OK, flags) {
            Err(Errno::EPERM | Errno::ENOSYS) => {}
            answer => return answer,
        }
    }
    match nix::sys::stat::stat(candidate) {
        Ok(_) | Err(Errno::EPERM | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn is_directory(candidate: &std::ffi::CStr) -> bool {
    nix::sys::stat::stat(candidate).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}
