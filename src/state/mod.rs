//! The state directory: one directory per container, held and read by file
//! descriptor only, and the lifecycle that is computed from it.
//!
//! ```text
//! ROOT/                 0700, default /run/pinfold
//!   ID/                 0700, made exclusively
//!     lock              flock: held for life by the owner of a foreground launch
//!     state.json        0600, replaced atomically
//!     config.json       0600, the configuration as it was launched
//!     start.sock        bound by `create`, connected to by `start`
//!   @id-ranges/SLOT     host id ranges in use (`id_range`)
//! ```
//!
//! Three locks, all flock(2), so that the kernel lets go of them when their holder dies:
//! - `ID/lock`, exclusive: the launcher that owns the container lives ([`StateRoot::create`]).
//! - the directory `ID` itself, exclusive: somebody changes its state ([`ContainerDir::lock_changes`]).
//! - the directory `ROOT`: shared between mkdirat and taking `ID/lock`, exclusive around the
//!   removal of `ID`, so that neither sees the other half done.
//!
//! Nothing here is synced to disk: /run does not outlive the machine, and neither do containers.

mod container_dir;
mod files;
mod id;
pub mod id_range;
pub mod oci;
pub mod owner;
mod process;
mod record;
mod reserved;
pub mod rfc3339;
mod root;
mod stale;
mod status;

pub use container_dir::{Changes, ContainerDir, START_SOCKET};
pub use id_range::IdRange;
pub use process::Process;
pub use record::{BindIdentity, BindKind, ContainerKind, FORMAT_VERSION, Phase, State};
pub use root::{StateRoot, is_a_users, is_without_roots_rights};
pub use stale::{Stale, Sweep, stale};
pub use status::{Action, Status};

#[cfg(test)]
mod testdir;
