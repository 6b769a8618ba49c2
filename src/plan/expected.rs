//! What the parent must find when it reads the kernel's account of the waiting child.

use super::Labels;
use crate::sys::caps::CapSets;

/// The state in which the child must be at the check, as seen through /proc/PID.
#[derive(Debug, Default)]
pub struct Expected {
    /// Real, effective, saved and fs uid, as the parent sees them.
    pub uid: u32,
    /// The same for the gid.
    pub gid: u32,
    /// Supplementary groups as the parent sees them; `None` where a kernel map hides them.
    pub groups: Option<Vec<u32>>,
    /// Permitted, effective, inheritable.
    pub caps: CapSets,
    /// The bounding set.
    pub bounding: u64,
    /// The ambient set.
    pub ambient: u64,
    /// NoNewPrivs.
    pub no_new_privs: bool,
    /// What AppArmor and SELinux are told of the program.
    pub labels: Labels,
    /// Whether a filter is already in force (loaded early).
    pub seccomp_early: bool,
    /// Names in /proc/PID/ns and the inode numbers that these must have.
    pub joined_namespaces: Vec<(&'static str, u64)>,
    /// Names in /proc/PID/ns that must differ from the parent's.
    pub new_namespaces: Vec<&'static str>,
    /// MPOL_* of the NUMA policy, without flags; `None` where none was asked for.
    pub memory_policy: Option<i32>,
    /// Mounts that must be there, by their place inside.
    pub mounts: Vec<ExpectedMount>,
}

/// One mount as mountinfo must show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedMount {
    /// Where, inside the root.
    pub destination: String,
    /// Must be read-only.
    pub readonly: bool,
    /// Must be nosuid.
    pub nosuid: bool,
    /// Must be nodev.
    pub nodev: bool,
    /// Must be noexec.
    pub noexec: bool,
}
