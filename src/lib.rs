//! pinfold: a daemonless sandbox runtime for Linux.
//!
//! ARCHITECTURE.md tells the road from a configuration to a running program.
//! A module uses only those after it in this list.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

pub mod commands;
pub mod cli;
pub mod selftest;
pub mod registry;
pub mod image;
pub mod audit;
pub mod state;
pub mod lint;
pub mod policy;
pub mod launch;
pub mod child;
pub mod resolve;
pub mod draft;
pub mod plan;
pub mod systemd;
pub mod cgroup;
pub mod seccomp;
pub mod rootfs;
pub mod signature;
pub mod types;
pub mod timing;
pub mod error;
pub mod sys;
