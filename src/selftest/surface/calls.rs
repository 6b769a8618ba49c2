//! Which system calls answer other than a filter's denial. Each is made by a child of its own with
//! arguments that are no descriptor, no address and no known flag: all bits set.
//!
//! ENOSYS, EPERM and SIGSYS are taken for a denial: what the kernel itself answers by EPERM cannot be used
//! either. A filter that looks at arguments may let others pass.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Section;
use crate::error::{Call as _, Error, Result};
use crate::seccomp::Arch;
use crate::seccomp::table::Call;
use crate::sys;

/// Not made: they end or signal processes, act on the whole machine, or cannot be told by an answer.
const NOT_TRIED: &[&str] = &[
    "exit",
    "exit_group",
    "fork",
    "vfork",
    "kexec_file_load",
    "kexec_load",
    "kill",
    "pause",
    "reboot",
    "restart_syscall",
    "rt_sigreturn",
    "sync",
    "tgkill",
    "tkill",
    "vhangup",
];

const ALL_BITS: i64 = -1;

/// Arguments where all bits set would make something, or meet ENOSYS for another reason.
const ARGUMENTS: &[(&str, [i64; 3])] = &[
    ("futex", [0, 1, 0]),
    ("init_module", [0, 0, 0]),
    ("modify_ldt", [0, 0, 0]),
    ("msgget", [0x7fff_fffe, 0, 0]),
    ("personality", [0xffff_ffff, 0, 0]),
    ("semget", [0x7fff_fffe, 0, 0]),
    ("shmget", [0x7fff_fffe, 0, 0]),
    ("socket", [1, 1, 0]),
];

/// socket(2), `linux/socket.h`: families with their names.
const FAMILIES: &[(&str, i64)] = &[
    ("unix", 1),
    ("inet", 2),
    ("ax25", 3),
    ("ipx", 4),
    ("appletalk", 5),
    ("x25", 9),
    ("inet6", 10),
    ("key", 15),
    ("netlink", 16),
    ("packet", 17),
    ("rds", 21),
    ("pppox", 24),
    ("llc", 26),
    ("ib", 27),
    ("can", 29),
    ("tipc", 30),
    ("bluetooth", 31),
    ("alg", 38),
    ("nfc", 39),
    ("vsock", 40),
    ("kcm", 41),
    ("qipcrtr", 42),
    ("smc", 43),
    ("xdp", 44),
];
const TYPES: &[(&str, i64)] = &[("stream", 1), ("dgram", 2), ("raw", 3), ("seqpacket", 5)];

/// How long a call may take before its child is ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// The calls that are reached with their answers, and those that were not tried.
pub(super) fn calls() -> Result<(Section, Section)> {
    let native = Arch::NATIVE.ok_or_else(|| Error::setup("the calls of this architecture are not known"))?;
    let (mut reached, mut not_tried) = (Section::new(), Section::new());
    for call in Call::all() {
        let Some(number) = call.number(native) else { continue };
        if NOT_TRIED.contains(&call.name) {
            not_tried.insert(call.name.to_owned(), String::new());
            continue;
        }
        // The child of each attempt is made by it.
        let answer = match call.name {
            "clone" => Answer::Done,
            name => answer(number, arguments(name))?,
        };
        if !answer.is_denial() {
            reached.insert(call.name.to_owned(), answer.word());
        }
    }
    Ok((reached, not_tried))
}

/// The families of which a socket can be made, with its types.
pub(super) fn sockets() -> Result<Section> {
    let native = Arch::NATIVE.ok_or_else(|| Error::setup("the calls of this architecture are not known"))?;
    let Some(number) = Call::named("socket").and_then(|call| call.number(native)) else {
        return Ok(Section::new());
    };
    let mut sockets = Section::new();
    for (family, value) in FAMILIES {
        let mut types = vec![];
        for (name, kind) in TYPES {
            if answer(number, [*value, *kind, 0, 0, 0, 0])? == Answer::Done {
                types.push(*name);
            }
        }
        if !types.is_empty() {
            sockets.insert((*family).to_owned(), types.join(" "));
        }
    }
    Ok(sockets)
}

fn arguments(name: &str) -> [i64; 6] {
    match ARGUMENTS.iter().find(|(special, _)| *special == name) {
        Some((_, [one, two, three])) => [*one, *two, *three, 0, 0, 0],
        None => [ALL_BITS; 6],
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    Failed(Errno),
    /// A signal ended the child.
    Ended(i32),
    /// It did not come back in time.
    Waits,
}

impl Answer {
    fn is_denial(self) -> bool {
        matches!(self, Self::Failed(Errno::ENOSYS | Errno::EPERM) | Self::Ended(libc::SIGSYS))
    }

    fn word(self) -> String {
        match self {
            Self::Done => "ok".to_owned(),
            Self::Failed(errno) => format!("{errno:?}"),
            Self::Ended(signal) => format!("signal {signal}"),
            Self::Waits => "waits".to_owned(),
        }
    }
}

/// The child makes the call and says its errno by its exit code.
fn answer(number: u32, arguments: [i64; 6]) -> Result<Answer> {
    let Some(child) = sys::clone::fork_plain(0).call("clone")? else {
        let errno = sys::attempt::raw(number, arguments).err().map_or(0, |errno| errno as i32);
        sys::clone::exit_now(errno);
    };
    let begun = Instant::now();
    loop {
        if let Some((_, status)) = sys::wait::wait_any_nohang().call("wait4")? {
            return Ok(of_status(status));
        }
        if begun.elapsed() > PATIENCE {
            sys::signal::kill_raw(child, libc::SIGKILL).call("kill")?;
            sys::wait::wait4_rusage(child).call("wait4")?;
            return Ok(Answer::Waits);
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// wait(2): the low seven bits are a signal, the second byte an exit code.
fn of_status(status: i32) -> Answer {
    match (status & 0x7f, status >> 8 & 0xff) {
        (0, 0) => Answer::Done,
        (0, errno) => Answer::Failed(Errno::from_raw(errno)),
        (signal, _) => Answer::Ended(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_call() {
        let names = NOT_TRIED.iter().chain(ARGUMENTS.iter().map(|(name, _)| name));
        for name in names {
            assert!(Call::named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_status_is_told_apart() {
        let rows = [
            (0, Answer::Done, false),
            (22 << 8, Answer::Failed(Errno::EINVAL), false),
            (1 << 8, Answer::Failed(Errno::EPERM), true),
            (38 << 8, Answer::Failed(Errno::ENOSYS), true),
            (libc::SIGSYS | 0x80, Answer::Ended(libc::SIGSYS), true),
            (libc::SIGSEGV, Answer::Ended(libc::SIGSEGV), false),
        ];
        for (status, answer, denied) in rows {
            assert_eq!((of_status(status), answer.is_denial()), (answer, denied), "{status:#x}");
        }
    }
}
