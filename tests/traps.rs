//! Promise: pinfold does not fall into the kernel's traps. Each test first shows that this
//! kernel has the trap, by raw calls in a child that does the obvious and wrong thing, and
//! then that a launch does not fall in. A trap that a kernel has no more fails its test:
//! the order of steps that it explains can then be thought over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "callers that have threads are part of the traps")]

#[path = "traps/credentials.rs"]
mod credentials;
#[path = "traps/descriptors.rs"]
mod descriptors;
#[path = "traps/kernel.rs"]
mod kernel;
#[path = "traps/mounts.rs"]
mod mounts;
#[path = "traps/processes.rs"]
mod processes;
mod support;
