//! Locks with a deadline: flock(2) of a file, or of a directory that is being made.

use std::fs::{File, TryLockError};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::error::{Call, Context, Error, Result};
use crate::image::files;

/// How long somebody else may hold a lock: the time of a large layer.
const DEADLINE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(10);

/// How the store is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Beside others who use it or add to it.
    Shared,
    /// Alone: what is not needed is removed.
    Exclusive,
}

/// A lock file.
pub(super) fn open(dir: impl AsFd, name: &str) -> Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = files::open(dir, name, flags).map(File::from).call("openat2").on(name)?;
    files::regular(&file).on(name)?;
    Ok(file)
}

/// Takes the lock, which ends when the file is closed.
pub(super) fn take(file: &File, hold: Hold) -> Result<()> {
    take_until(file, hold, Instant::now() + DEADLINE)
}

fn take_until(file: &File, hold: Hold, deadline: Instant) -> Result<()> {
    while !try_take(file, hold)? {
        if Instant::now() > deadline {
            return Err(
                Error::setup("is held by another pinfold for too long").object("the image store's lock")
            );
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Takes the lock where nobody holds it.
pub(super) fn try_take(file: &File, hold: Hold) -> Result<bool> {
    let taken = match hold {
        Hold::Shared => file.try_lock_shared(),
        Hold::Exclusive => file.try_lock(),
    };
    match taken {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Interrupted => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).call("flock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_an_end() {
        let path = std::env::temp_dir().join(format!("pinfold-lock-test-{}", std::process::id()));
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let (held, other) = (open(), open());
        take(&held, Hold::Shared).unwrap();
        assert!(try_take(&other, Hold::Shared).unwrap());
        other.unlock().unwrap();
        let soon = Instant::now() + Duration::from_millis(30);
        assert!(
            take_until(&other, Hold::Exclusive, soon).unwrap_err().to_string().contains("held by another")
        );
        drop(held);
        take_until(&other, Hold::Exclusive, soon).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
