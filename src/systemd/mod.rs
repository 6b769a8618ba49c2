//! systemd as the maker of a container's cgroup: a transient scope, asked for over D-Bus.
//!
//! The client is our own and small: pinfold has one thread until clone3, and the crates for D-Bus start
//! others. It opens one socket, writes method calls and reads answers, each bounded in size and time.
//!
//! Sources: D-Bus specification; org.freedesktop.systemd1(5); systemd.resource-control(5); "Control
//! Group APIs and Delegation" of systemd.

mod annotation;
mod bus;
mod message;
mod properties;
mod scope;
mod unit;
mod wire;

pub use annotation::{PREFIX as PROPERTY_ANNOTATION, annotated};
pub use bus::Instance;
pub use properties::{Property, properties};
pub use scope::Systemd;
pub use unit::Unit;
pub use wire::Value;

#[cfg(test)]
mod tests;
