//! pinfold: a daemonless sandbox runtime for Linux.
//!
//! ARCHITECTURE.md tells the road from a configuration to a running program.
//! A module uses only those after it in this list.

pub mod cgroup;
pub mod error;
pub mod sys;
