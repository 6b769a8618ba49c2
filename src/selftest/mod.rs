//! Escapes, tried: attacks that can be put to any OCI runtime, and the probes inside the container
//! that carry them out. docs/escapes.md.
//!
//! Everything happens in mount, pid, network, IPC and UTS namespaces of the lab's own, below a tmpfs of
//! its own, with canaries for what an escape would reach. A probe looks for the lab's marker first.

mod arms;
mod attacks;
mod case;
mod inside;
mod lab;
mod probe;
mod races;
mod report;
pub mod surface;
mod terminals;
mod watch;

pub use lab::{Options, enter, inside};
pub use probe::run as probe;
pub use report::Report;
