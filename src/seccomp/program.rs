//! A compiled filter, and questions to it that need no kernel.

use seccompiler::sock_filter;
use sha2::{Digest, Sha256};

use super::action::Action;
use super::arch::Arch;
use super::interpreter;
use super::table::Call;
use crate::error::{Error, Result};

/// Classic BPF for seccomp(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<sock_filter>,
    native: Arch,
}

/// A native call that someone is going to make, as far as its arguments are known.
#[derive(Debug, Clone, Copy)]
pub struct CallSite {
    /// The call's name.
    pub name: &'static str,
    /// The arguments: `None` where any value is possible.
    pub args: [Option<u64>; 6],
}

/// A call that a filter may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// The call's name.
    pub name: &'static str,
    /// The strictest thing that may happen to it.
    pub action: Action,
}

impl CallSite {
    /// The call with any arguments.
    pub const fn any(name: &'static str) -> Self {
        Self { name, args: [None; 6] }
    }

    /// The call with a known first argument.
    pub const fn first(name: &'static str, argument: u64) -> Self {
        Self { name, args: [Some(argument), None, None, None, None, None] }
    }
}

impl Program {
    pub(super) fn new(instructions: Vec<sock_filter>, native: Arch) -> Self {
        Self { instructions, native }
    }

    /// A program for this machine, to be asked.
    ///
    /// # Errors
    /// A machine whose call numbers are not known.
    pub fn native(instructions: &[sock_filter]) -> Result<Self> {
        let native = Arch::NATIVE
            .ok_or_else(|| Error::setup("seccomp: no table of system calls for this architecture"))?;
        Ok(Self::new(instructions.to_vec(), native))
    }

    /// The instructions for `struct sock_fprog`.
    pub fn instructions(&self) -> &[sock_filter] {
        &self.instructions
    }

    /// `sha256:` and the digest over the instructions as the kernel reads them on a little-endian machine.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for instruction in &self.instructions {
            hash.update(instruction.code.to_le_bytes());
            hash.update([instruction.jt, instruction.jf]);
            hash.update(instruction.k.to_le_bytes());
        }
        crate::types::Digest::of_hash(hash.finalize()).to_string()
    }

    /// The strictest action that the call may get, over all values of the arguments that are not known.
    pub fn strictest(&self, site: &CallSite) -> Result<Action> {
        self.extreme(site, |a, b| if b.is_stricter_than(a) { b } else { a })
    }

    /// The mildest action that the call may get: a refusal here is one whatever the arguments.
    pub fn mildest(&self, site: &CallSite) -> Result<Action> {
        self.extreme(site, |a, b| if a.is_stricter_than(b) { b } else { a })
    }

    fn extreme(&self, site: &CallSite, choose: fn(Action, Action) -> Action) -> Result<Action> {
        let number = Call::named(site.name).and_then(|call| call.number(self.native));
        let number = number.ok_or_else(|| Error::internal("no such system call here").object(site.name))?;
        let results =
            interpreter::reachable(&self.instructions, self.native.audit_value(), number, &site.args);
        let chosen = results.into_iter().map(Action::from_return_value).reduce(choose);
        chosen.ok_or_else(|| Error::internal("a filter without an answer").object(site.name))
    }

    /// The first call that the filter may refuse. A call that a supervisor decides about
    /// ([`Action::Notify`]) counts as refused only if it cannot wait: ask [`Program::strictest`] for those.
    pub fn first_denied(&self, sites: &[CallSite]) -> Result<Option<Denial>> {
        for site in sites {
            let action = self.strictest(site)?;
            if !action.lets_run() && action != Action::Notify {
                return Ok(Some(Denial { name: site.name, action }));
            }
        }
        Ok(None)
    }
}
