//! regex-lite in the place of regex (`[patch.crates-io]` of pinfold's Cargo.toml).
//!
//! oci-spec has one expression, for `process.execCPUAffinity`, and asks for regex with all its features: the tables of
//! Unicode's properties were half of what the dynamic loader writes at each start of pinfold. regex-lite is of the
//! same authors and has the same interface; `\d` and `\w` mean ASCII there.

pub use regex_lite::*;
