//! flock(2) with a deadline: whoever holds the lock and does not go on, stopped or hung, must
//! not hold up the host.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::error::{Call, Error, Result};
use crate::sys;

/// When to give up: when the same processes hold the lock for so long, or when others that do
/// for six times as long never let this one have it.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    patience: Duration,
    last: Instant,
}

impl Deadline {
    /// From now on.
    pub fn after(patience: Duration) -> Self {
        Self { patience, last: Instant::now() + patience * 6 }
    }
}

/// Whether others may hold it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// With others that share it.
    Shared,
    /// Alone.
    Alone,
}

/// A lock that ends with this value, or with its file.
#[derive(Debug)]
pub struct Held<'f>(&'f File);

/// Between two attempts: short first, as an append takes microseconds.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Takes the lock.
///
/// # Errors
/// ETIMEDOUT at the deadline, with who holds it.
pub fn hold(file: &File, sharing: Sharing, deadline: Deadline) -> Result<Held<'_>> {
    let mut pause = FIRST_PAUSE;
    let (mut seen, mut since) = (None, Instant::now());
    let mut next_look = since + deadline.patience / 5;
    loop {
        let taken = match sharing {
            Sharing::Shared => file.try_lock_shared(),
            Sharing::Alone => file.try_lock(),
        };
        match taken {
            Ok(()) => return Ok(Held(file)),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(std::fs::TryLockError::Error(error)) => return Err(error).call("flock"),
        }
        let now = Instant::now();
        if now >= next_look || now >= deadline.last {
            next_look = now + deadline.patience / 5;
            let holders = holders(file)?;
            if seen.as_ref() != Some(&holders) {
                since = now;
            }
            seen = Some(holders);
        }
        if now.duration_since(since) >= deadline.patience || now >= deadline.last {
            let holders: Vec<_> = seen.into_iter().flatten().map(named).collect();
            let who = if holders.is_empty() { "an unknown process".to_owned() } else { holders.join(", ") };
            return Err(Error::call("flock", Errno::ETIMEDOUT)
                .object(format!("held by {who}"))
                .hint("if that process does not go on, end it"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // LOCK_UN on an open file cannot fail (flock(2)), and closing it would do the same.
        self.0.unlock().ok();
    }
}

/// Who holds a lock on the file, by proc_locks(5).
fn holders(file: &File) -> Result<Vec<u32>> {
    let inode = sys::file::stat(file.as_fd()).call("fstat")?.ino.to_string();
    let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let holds = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let on = words.get(5).and_then(|place| place.rsplit(':').next());
        words.get(1) == Some(&"FLOCK") && on == Some(inode.as_str())
    };
    let pids = table.lines().filter(holds).filter_map(|line| line.split_whitespace().nth(4));
    let mut pids: Vec<_> = pids.filter_map(|pid| pid.parse::<u32>().ok()).filter(|pid| *pid > 0).collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Its pid, its name, and whether it is stopped.
fn named(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let name = field("Name:").unwrap_or("?").escape_debug().to_string();
    match field("State:").is_some_and(|state| state.starts_with(['T', 't'])) {
        true => format!("pid {pid} ({name}, stopped)"),
        false => format!("pid {pid} ({name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_it_too_long_is_named() {
        let path = std::env::temp_dir().join(format!("pinfold-lock-{}", std::process::id()));
        let first = File::create(&path).unwrap();
        let second = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let soon = || Deadline::after(Duration::from_millis(30));
        let held = hold(&first, Sharing::Alone, soon()).unwrap();
        let error = hold(&second, Sharing::Shared, soon()).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ETIMEDOUT));
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        drop(held);
        let shared = hold(&second, Sharing::Shared, soon()).unwrap();
        drop(hold(&first, Sharing::Shared, soon()).unwrap());
        drop(shared);
        hold(&first, Sharing::Alone, soon()).unwrap();
    }
}
