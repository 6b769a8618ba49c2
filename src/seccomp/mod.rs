//! System call filters: a profile in OCI or Docker spelling becomes one classic BPF program.
//!
//! Everything here is pure: text and types go in, instructions come out. The program is loaded by
//! `sys/` in the child. Implements the `linux.seccomp` section of the OCI runtime specification
//! (config-linux.md) with the meaning that runc 1.3 and libseccomp 2.5 give it; [`Profile::verdict`]
//! states that meaning call by call, and names where a stricter one was chosen.
//!
//! Call numbers stand in [`table`] and nowhere else.

mod action;
mod arch;
mod assemble;
mod builtin;
mod compile;
mod condition;
mod flags;
mod interpreter;
mod json;
mod lower;
mod oci;
mod profile;
mod program;
pub mod table;
mod verdict;

pub use action::Action;
pub use arch::Arch;
pub use builtin::builtin;
pub use condition::{Condition, Operator};
pub use flags::Flag;
pub use json::Host;
pub use profile::{Profile, Rule};
pub use program::{CallSite, Denial, Program};
pub use table::Call;

#[cfg(test)]
mod tests;
