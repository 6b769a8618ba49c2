//! Resource limits, whole-tree kill, freezer and counters.
//!
//! cgroup v2 is spoken by directory descriptors. v1 and hybrid machines are the legacy door: their
//! limits go through crate `cgroups-rs`, setter by setter. A group exists in every hierarchy
//! of the machine or in none, and a limit that was asked for is in force or an error.
//!
//! This module makes groups and nothing above them except missing parents, never moves a process
//! that it was not given, and removes only the group that it is called for.
//!
//! Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel, cgroups(7),
//! cgroup_namespaces(7), config-linux.md of the OCI runtime specification.

mod counters;
mod create;
mod delegate;
mod device;
mod device_attach;
mod device_bpf;
mod dir;
mod enable;
mod event;
mod family;
mod freeze;
mod group;
mod hierarchies;
mod kill;
mod limits;
mod mountinfo;
mod oci;
mod path;
mod remove;
mod resctrl;
mod rules;
mod schemata;
mod stage;
mod stats;
mod sub;
mod tree;
mod v1;
mod v2;

pub use counters::Counters;
pub use device::{DeviceAccess, DeviceKind, DeviceRule};
pub use group::Cgroup;
pub use hierarchies::{Control, Hierarchies, Mode};
pub use limits::{Amount, IoDeviceWeight, IoMax, Limits, RdmaMax};
pub use oci::weight_of_shares;
pub use path::CgroupPath;
pub use resctrl::{Rdt, RdtRecord, RdtTasks, Resctrl};
pub use rules::pids_value;
pub use schemata::Schemata;
pub use stage::StagedLimits;
pub use stats::Stats;
pub use sub::Below;
pub use v2::io_weight_of_blkio;

#[cfg(test)]
mod tests;
