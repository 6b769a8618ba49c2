//! The audit log: docs/audit.md. One line of ASCII JSON per record, each of which names its
//! predecessor's hash and ends with its own.
//!
//! What this module may not do: hold the log open, or locked, beyond one append. Whatever is
//! cloned later would inherit the descriptor, and with it the lock (flock(2)).

mod bound;
mod caller;
mod file;
mod journald;
mod limit;
mod lock;
mod log;
mod record;
mod tail;
mod verify;

pub use caller::Caller;
pub use file::{DEFAULT_FILE, Place};
pub use journald::send as send_to_journald;
pub use lock::{Deadline, Sharing, hold};
pub use log::{Log, head, read};
pub use record::{
    Body, FORMAT_VERSION, Head, LONGEST, Line, Sealed, digest, fields, read as read_line, seal,
};
pub use verify::{Broken, Checked, Finding, Open, Verifier};
