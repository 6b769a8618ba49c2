//! Calls that 32-bit x86 also (or only) reaches through a multiplexer: socketcall(2) and ipc(2).
//!
//! The first argument says which call is meant; the others lie behind a pointer for socketcall, so
//! that no filter can see them. Numbers: linux/net.h and linux/ipc.h.

use crate::seccomp::condition::{Condition, Operator};

/// How a call is reached through a multiplexer.
pub(in crate::seccomp) struct Multiplexed {
    /// The multiplexer's name.
    pub through: &'static str,
    /// The value of its first argument.
    pub selector: u64,
    /// The bits of the first argument that the kernel compares.
    pub mask: u64,
}

const SOCKETCALL: &[(&str, u64)] = &[
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];

const IPC: &[(&str, u64)] = &[
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// The way through socketcall(2) or ipc(2) on 32-bit x86, where `name` has one.
pub(in crate::seccomp) fn multiplexed(name: &str) -> Option<Multiplexed> {
    let find = |list: &[(&str, u64)]| list.iter().find(|(call, _)| *call == name).map(|(_, number)| *number);
    if let Some(selector) = find(SOCKETCALL) {
        return Some(Multiplexed { through: "socketcall", selector, mask: 0xFFFF_FFFF });
    }
    // ipc/syscall.c takes the upper half of the first argument as a version and ignores it here.
    find(IPC).map(|selector| Multiplexed { through: "ipc", selector, mask: 0xFFFF })
}

impl Multiplexed {
    /// What the first argument has to be.
    pub fn condition(&self) -> Condition {
        Condition { index: 0, operator: Operator::MaskedEq, value: self.mask, value_two: self.selector }
    }
}
