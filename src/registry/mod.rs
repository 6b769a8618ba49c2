//! Images from registries: distribution-spec 1.1, seen from the side that verifies.
//!
//! Whoever answers is a stranger, and `pinfold-fetch`, which talks to it in a confined process
//! of its own, is believed no more than that: every size is bounded here, and a blob counts
//! only once its digest was compared while it streamed into the store.

mod account;
mod binary;
mod config;
mod fetcher;
mod helper;
mod line;
mod pull;
mod signatures;
mod transfer;
pub mod wire;

pub use account::Accounts;
pub use config::{CONFIG_FILE, Endpoint, Limits, Registries};
pub use line::Line;
pub use pull::{Ask, Pulled, pull};
pub use signatures::signed_by;
pub use transfer::Seen;

use crate::error::{Error, Kind};

/// A registry that does not give what it should.
fn failed(text: impl Into<String>) -> Error {
    Error::new(Kind::ImageFailed, text)
}
