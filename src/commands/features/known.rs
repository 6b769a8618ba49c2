//! Every list and switch of the features document, in one place.
//!
//! A name stands here if and only if a configuration that uses it is honoured.

/// The hooks of config.md.
pub const HOOKS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// The namespaces of config-linux.md.
pub const NAMESPACES: &[&str] = &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// Mount options that the runtime itself reads; what is not here goes to the filesystem.
pub const MOUNT_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

/// cgroup version 1 hierarchies.
pub const CGROUP_V1: bool = true;
/// cgroup version 2.
pub const CGROUP_V2: bool = true;
/// systemd's system instance as the maker of cgroups.
pub const CGROUP_SYSTEMD: bool = true;
/// systemd's user instance.
pub const CGROUP_SYSTEMD_USER: bool = true;
/// The rdma controller.
pub const CGROUP_RDMA: bool = true;

/// Seccomp actions.
pub const SECCOMP_ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// Comparisons of seccomp arguments.
pub const SECCOMP_OPERATORS: &[&str] = &[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// The ABIs for which filters are compiled.
pub const SECCOMP_ARCHS: &[&str] =
    &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];

/// Flags of seccomp(2).
pub const SECCOMP_FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// Modes of set_mempolicy(2).
pub const MEMORY_POLICY_MODES: &[&str] = &[
    "MPOL_BIND",
    "MPOL_DEFAULT",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

/// Flags of set_mempolicy(2).
pub const MEMORY_POLICY_FLAGS: &[&str] =
    &["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

/// AppArmor profiles.
pub const APPARMOR: bool = true;
/// SELinux labels.
pub const SELINUX: bool = true;
/// Intel RDT, with schemata and monitoring.
pub const INTEL_RDT: bool = true;
/// `uidMappings` and `gidMappings` of mounts.
pub const IDMAP: bool = true;
/// `linux.netDevices`.
pub const NET_DEVICES: bool = true;

/// Annotations that make the runtime do more than the rest of the configuration says, where a caller hands on those
/// of an image: properties of the systemd unit (a prefix).
pub const UNSAFE_ANNOTATIONS: &[&str] = &[crate::systemd::PROPERTY_ANNOTATION];

#[cfg(test)]
mod tests {
    use super::*;

    /// config.md, "Linux mount options": those that a runtime MUST implement.
    const REQUIRED: &str = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime \
        nodev nodiratime noexec noiversion nolazytime norelatime nostrictatime nosuid private rbind relatime \
        remount ro rprivate rshared rslave runbindable rw shared silent slave strictatime suid sync unbindable";

    #[test]
    fn lists_are_sorted_and_without_doubles() {
        for list in
            [NAMESPACES, MOUNT_OPTIONS, SECCOMP_ACTIONS, SECCOMP_OPERATORS, SECCOMP_ARCHS, UNSAFE_ANNOTATIONS]
        {
            assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        }
    }

    #[test]
    fn no_required_mount_option_is_missing() {
        for option in REQUIRED.split_whitespace() {
            assert!(MOUNT_OPTIONS.contains(&option), "{option}");
        }
    }

    #[test]
    fn every_recursive_option_has_its_plain_form() {
        for option in MOUNT_OPTIONS.iter().filter(|option| option.starts_with('r')) {
            let plain = option.strip_prefix('r').unwrap();
            let own_word = ["relatime", "remount", "ro", "rw"].contains(option);
            assert!(own_word || MOUNT_OPTIONS.contains(&plain), "{option}");
        }
    }
}
