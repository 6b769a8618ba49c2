//! Killing everything in a group, whatever it forks meanwhile.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Call, Context, Error, Result};
use crate::sys::pidfd::{pidfd_open, pidfd_send_signal};

use super::group::Cgroup;

/// How long killing one by one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one attempt to freeze may take: a kill goes on without it.
const FREEZE_PATIENCE: Duration = Duration::from_millis(200);

impl Cgroup {
    /// Sends SIGKILL to every process of the group and of all groups below it.
    ///
    /// With `cgroup.kill` (Linux 5.14) the kernel does it, forks included; it returns at once and
    /// [`Cgroup::wait_empty`] tells when the last one is gone. Otherwise the group is frozen,
    /// each process is signalled and the group is thawed until it is empty.
    pub fn kill(&self) -> Result<()> {
        if let Some(group) = &self.unified {
            match group.try_write("cgroup.kill", "1") {
                // A process that the v1 freezer holds dies only when it is thawed; one that is frozen here dies so.
                Ok(()) => return self.thaw_legacy(),
                // Gone: nothing lives in it.
                Err((_, Errno::ENODEV)) => return Ok(()),
                // Before 5.14, or a threaded group.
                Err((_, Errno::ENOENT | Errno::EOPNOTSUPP)) => {}
                Err((call, errno)) => return Err(Error::call(call, errno).object(group.file("cgroup.kill"))),
            }
        }
        self.kill_each()
    }

    fn kill_each(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(100);
        while self.is_populated()? {
            if Instant::now() >= deadline {
                let text = format!("processes are left after {} s of killing", PATIENCE.as_secs());
                return Err(Error::setup(text).object(&self.path));
            }
            let frozen = self.change_by(true, Instant::now() + FREEZE_PATIENCE);
            let signalled = self.signal_all();
            // Thawed in any case: a frozen process of v1 does not die.
            let thawed = self.change_by(false, Instant::now() + FREEZE_PATIENCE);
            signalled?;
            if frozen.is_ok() {
                thawed?;
            }
            self.wait_empty(pause)?;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A pid that was read may belong to somebody else by the time it is opened, so only those are
    /// signalled that the group still lists once all are held by descriptors.
    fn signal_all(&self) -> Result<()> {
        let mut held = vec![];
        for pid in self.processes()? {
            match pidfd_open(pid) {
                Ok(pidfd) => held.push((pid, pidfd)),
                // ESRCH: it has ended. EMFILE: the next round takes the rest.
                Err(Errno::ESRCH) => {}
                Err(Errno::EMFILE) if !held.is_empty() => break,
                Err(errno) => return Err(Error::call("pidfd_open", errno).object(pid)),
            }
        }
        let listed: Vec<Pid> = self.processes()?;
        for (pid, pidfd) in held.iter().filter(|(pid, _)| listed.contains(pid)) {
            match pidfd_send_signal(pidfd.as_fd(), nix::libc::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno).call("pidfd_send_signal").on(pid),
            }
        }
        Ok(())
    }
}
