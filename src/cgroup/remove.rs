//! Removing a group with everything below it.

use std::ffi::CString;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::error::{Context, Error, Result};

use super::dir::Dir;
use super::event;
use super::group::Cgroup;
use super::tree;

/// How long the last process may take to leave: unmapping much memory takes its time.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Removes the group from every hierarchy, and all groups below it; the groups above stay.
    /// Waits for processes that are dying; one that lives on is an error (EBUSY), and then the other
    /// hierarchies have been cleared as far as they could be. What is gone already is no error.
    pub fn remove(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let own: Vec<&Dir> = if self.leaf {
            vec![self.primary()?]
        } else {
            self.unified.iter().chain(self.legacy.iter().map(|group| &group.dir)).collect()
        };
        let mut failed = None;
        for dir in own {
            if let Err(error) = self.remove_from(dir, deadline) {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn remove_from(&self, dir: &Dir, deadline: Instant) -> Result<()> {
        let name = CString::new(self.path.name()).or(Err(Error::internal("a NUL in a parsed path")))?;
        let parent = dir.parent()?;
        let mut waited = false;
        let gone = event::look_until(deadline, || match parent.unmake(&name) {
            Ok(()) | Err(Errno::ENOENT) => Ok(true),
            Err(Errno::EBUSY) => {
                // The kernel tells when the last process is gone; only then it is worth while to go on.
                if !std::mem::replace(&mut waited, true) {
                    self.wait_empty(deadline.saturating_duration_since(Instant::now()))?;
                }
                clear_below(dir)?;
                Ok(false)
            }
            Err(errno) => Err(Error::call("rmdir", errno)),
        });
        match gone.on(dir)? {
            true => Ok(()),
            false => {
                let error = Error::call("rmdir", Errno::EBUSY).object(dir);
                Err(error.hint("a process in it does not end, even though it may have been killed"))
            }
        }
    }
}

/// A group below that still holds a process is tried again in the next round.
fn clear_below(dir: &Dir) -> Result<()> {
    match tree::remove_below(dir) {
        Err(error) if error.errno() == Some(Errno::EBUSY) => Ok(()),
        result => result,
    }
}
