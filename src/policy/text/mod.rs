//! TOML read strictly: each value is taken by name with the line it stands on, and what
//! nobody took is an error with its line.

mod section;
mod source;
mod values;

pub(super) use section::{Filling, Section};
pub(super) use source::Source;
pub(super) use values::{Setting, Unit, choice};
