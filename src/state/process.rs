//! A process that cannot be mistaken for a later one with the same number:
//! its pid and its start time (proc_pid_stat(5), field 22).

use std::fs::File;
use std::io::Read;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Call, Context, Error, Result};

/// A process, told apart from every other that had or will have its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// The number, in the pid namespace of the reader.
    pub pid: i32,
    /// Clock ticks between boot and its start.
    pub start_time: u64,
}

impl Process {
    /// The process that has this number now, or `None` where none lives.
    pub fn of(pid: i32) -> Result<Option<Self>> {
        Ok(Stat::of(pid)?.filter(Stat::lives).map(|stat| Self { pid, start_time: stat.start_time }))
    }

    /// A child that nobody has waited for yet, whether it lives or has ended: until then no other process gets
    /// its number.
    ///
    /// # Errors
    /// It is no such child; /proc.
    pub fn of_child(pid: i32) -> Result<Self> {
        let stat =
            Stat::of(pid)?.ok_or_else(|| Error::internal("a child that is not in /proc").object(pid))?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    /// The calling process.
    pub fn current() -> Result<Self> {
        let pid = Pid::this().as_raw();
        Self::of(pid)?.ok_or_else(|| Error::internal("the calling process is not in /proc").object(pid))
    }

    /// Whether it still runs. A zombie does not, unless other threads of it do.
    ///
    /// Who wants to signal it opens its pidfd first and asks afterwards: if this very process
    /// lives then, the pidfd is its own (pidfd_open(2)).
    pub fn lives(&self) -> Result<bool> {
        Ok(Self::of(self.pid)? == Some(*self))
    }
}

/// What one line of /proc/PID/stat says; it is one moment of one process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    threads: u64,
    start_time: u64,
}

/// Longer than any line of /proc/PID/stat: 52 numbers and a name of 64 bytes at most.
const LINE: usize = 2048;

impl Stat {
    fn of(pid: i32) -> Result<Option<Self>> {
        let path = format!("/proc/{pid}/stat");
        // Twice, because the number may go to a new process between the read and kill(2).
        for _ in 0..2 {
            if let Some(line) = read_line(&path).on(&path)? {
                let malformed = || Error::internal("cannot be understood").object(&path);
                return Self::parse(&line).map(Some).ok_or_else(malformed);
            }
            if pid < 1 || kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
                return Ok(None);
            }
        }
        // Without this a missing or hiding /proc would make every container look stopped.
        Err(Error::setup("the process exists, but /proc does not show it")
            .object(path)
            .hint("mount procfs at /proc, without hidepid for this user"))
    }

    /// The name in parentheses is the program's choice and may hold parentheses itself.
    fn parse(line: &[u8]) -> Option<Self> {
        let name_end = line.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(line.get(name_end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?; // field 3
        let threads = fields.nth(16)?.parse().ok()?; // field 20
        let start_time = fields.nth(1)?.parse().ok()?; // field 22
        Some(Self { state, threads, start_time })
    }

    /// A main thread that left before the others is shown as a zombie: the process lives on.
    fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x') || self.threads > 1
    }
}

fn read_line(path: &str) -> Result<Option<Vec<u8>>> {
    let absent = |errno| matches!(errno, Some(Errno::ENOENT | Errno::ESRCH));
    let mut line = vec![0; LINE];
    let length = match File::open(path).and_then(|mut file| file.read(&mut line)).call("read") {
        Err(error) if absent(error.errno()) => return Ok(None),
        length => length?,
    };
    line.truncate(length);
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 7 18 4242 20";
        for name in ["sh", "a b", "x) Z 1 1", ") R (", "\u{fffd}"] {
            let line = format!("77 ({name}) {rest}");
            let stat = Stat::parse(line.as_bytes());
            assert_eq!(stat, Some(Stat { state: b'S', threads: 7, start_time: 4242 }), "{name}");
        }
        for broken in ["", "1 (a", "1 (a)", "1 (a) S 1 2"] {
            assert_eq!(Stat::parse(broken.as_bytes()), None, "{broken:?}");
        }
    }

    #[test]
    fn the_states_that_count_as_alive() {
        let table = [(b'S', 1, true), (b'R', 1, true), (b'T', 1, true), (b'D', 1, true)];
        let ended = [(b'Z', 1, false), (b'X', 1, false), (b'Z', 0, false), (b'Z', 2, true)];
        for (state, threads, lives) in table.into_iter().chain(ended) {
            let stat = Stat { state, threads, start_time: 1 };
            assert_eq!(stat.lives(), lives, "{} {threads}", char::from(state));
        }
    }

    #[test]
    fn this_process_lives_and_another_of_its_number_does_not() {
        let this = Process::current().unwrap();
        assert!(this.lives().unwrap());
        assert!(!Process { start_time: this.start_time + 1, ..this }.lives().unwrap());
        assert!(!Process { pid: 0, start_time: 0 }.lives().unwrap());
        assert!(!Process { pid: -1, start_time: 0 }.lives().unwrap());
        assert!(!Process { pid: i32::MAX, start_time: 0 }.lives().unwrap());
    }

    #[test]
    fn a_zombie_is_dead_before_it_is_reaped() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).unwrap().unwrap();
        assert!(process.lives().unwrap());
        drop(child.stdin.take());
        let pid = nix::sys::wait::Id::Pid(Pid::from_raw(process.pid));
        let exited = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(pid, exited).unwrap();
        assert!(!process.lives().unwrap(), "still a zombie");
        assert_eq!(Process::of_child(process.pid).unwrap(), process);
        child.wait().unwrap();
        assert!(!process.lives().unwrap(), "reaped");
    }
}
