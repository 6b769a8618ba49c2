//! One function for each fuzz target: it takes hostile bytes, and panics where a promise breaks.
//!
//! `fuzz_targets/` calls them from libFuzzer; `tests/corpora.rs` compiles this file as a module and
//! replays the corpora by the compiler that builds pinfold. docs/fuzzing.md tells of both.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod audit;
mod config;
mod idmaps;
mod image;
mod jail;
mod judge;
mod layer;
mod messages;
mod policy;
mod process;
mod records;
mod reference;
mod resolver;
mod seccomp;
mod state;
mod values;

pub use audit::audit;
pub use config::config;
pub use idmaps::idmaps;
pub use image::image;
pub use judge::judge;
pub use layer::layer;
pub use messages::messages;
pub use policy::policy;
pub use process::process;
pub use records::records;
pub use reference::reference;
pub use resolver::resolver;
pub use seccomp::seccomp;
pub use state::state;
pub use values::values;

/// What is given to a target.
pub type Target = fn(&[u8]);

/// All of them, by the names of their files and of their corpora.
pub const TARGETS: [(&str, Target); 15] = [
    ("audit", audit),
    ("config", config),
    ("idmaps", idmaps),
    ("image", image),
    ("judge", judge),
    ("layer", layer),
    ("messages", messages),
    ("policy", policy),
    ("process", process),
    ("records", records),
    ("reference", reference),
    ("resolver", resolver),
    ("seccomp", seccomp),
    ("state", state),
    ("values", values),
];
