//! Waiting for a group to become empty or frozen: by the kernel's notification where there is
//! one (`cgroup.events`, cgroup-v2.rst), else by looking again, and never without an end.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::sys::uio::pread;

use crate::error::{Call, Context, Error, Result};

use super::dir::Dir;

/// A line of `cgroup.events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A process is in the group or below it.
    Populated,
    /// All processes are frozen.
    Frozen,
}

impl Event {
    fn key(self) -> &'static str {
        match self {
            Self::Populated => "populated",
            Self::Frozen => "frozen",
        }
    }
}

const FILE: &str = "cgroup.events";

/// Whether `event` holds now; `None` where this kernel does not say. A group that is gone is neither.
pub(super) fn holds(group: &Dir, event: Event) -> Result<Option<bool>> {
    match group.try_read(FILE) {
        Ok(text) => Ok(value(&text, event)),
        Err(Errno::ENODEV | Errno::ENOENT) => Ok(Some(false)),
        Err(errno) => Err(Error::call("read", errno).object(group.file(FILE))),
    }
}

fn value(text: &str, event: Event) -> Option<bool> {
    text.lines().find_map(|line| line.strip_prefix(event.key())?.strip_prefix(' ')).map(|value| value != "0")
}

/// The kernel notifies at most once in 10 ms (CGROUP_FILE_NOTIFY_MIN_INTV), and a short-lived group changes
/// sooner: the first looks come by themselves, each after twice the time, before the notification is all there is.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// Waits until `event` is `wanted`, at most until `deadline`; false when the time is up.
/// In a group that is gone nothing holds.
pub(super) fn wait(group: &Dir, event: Event, wanted: bool, deadline: Instant) -> Result<bool> {
    let file = match group.open_to_poll(FILE) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(!wanted),
        file => file?,
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let mut page = [0; 512];
        // Each read also arms the notification for what comes after it (kernfs_fop_poll).
        let count = match pread(&file, &mut page, 0) {
            Ok(count) => count,
            Err(Errno::ENODEV) => return Ok(!wanted),
            Err(errno) => return Err(Error::call("read", errno).object(group.file(FILE))),
        };
        let text = String::from_utf8_lossy(page.get(..count).unwrap_or_default());
        if value(&text, event) == Some(wanted) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Some(TimeSpec::from_duration(pause.min(left)));
        match ppoll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLPRI)], timeout, None) {
            Ok(_) | Err(Errno::EINTR) => pause *= 2,
            Err(errno) => return Err(errno).call("ppoll").on(group.file(FILE)),
        }
    }
}

/// Looks again and again, at first soon and then every 10 ms, until `done` says yes or the time is up.
pub(super) fn look_until(deadline: Instant, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let mut pause = FIRST_PAUSE;
    loop {
        if done()? {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines() {
        let text = "populated 1\nfrozen 0\n";
        assert_eq!(value(text, Event::Populated), Some(true));
        assert_eq!(value(text, Event::Frozen), Some(false));
        assert_eq!(value("populated 0\n", Event::Frozen), None);
    }

    #[test]
    fn looking_ends_at_the_deadline() {
        let begin = Instant::now();
        let deadline = begin + Duration::from_millis(20);
        assert!(!look_until(deadline, || Ok(false)).unwrap());
        assert!(begin.elapsed() >= Duration::from_millis(20));
        let mut looks = 0;
        let third = look_until(deadline + Duration::from_secs(5), || {
            looks += 1;
            Ok(looks == 3)
        });
        assert!(third.unwrap());
    }
}
