//! One file per verb, each a short story.

pub mod version;
