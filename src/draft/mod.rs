//! Pure: a configuration becomes a [`Draft`], in which every decision is taken and
//! nothing is opened yet. Nothing here touches the host; what must be known of it comes
//! in as [`HostFacts`].
//!
//! runtime-spec: config.md, config-linux.md.

mod annotations;
mod build;
mod capabilities;
mod environment;
mod hooks;
mod labels;
mod memory_policy;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
mod number_list;
mod process;
mod scheduling;
mod sysctl;

pub use annotations::{OURS, PROFILE, REPORT, STDERR_MAX, STDOUT_MAX, TIMEOUT};
pub use build::build;
pub use capabilities::mask as capability_mask;
pub use hooks::{DraftHook, JudgedHook, hooks};
pub use mount_options::MountOptions;
pub use sysctl::DraftSysctl;

use std::ffi::CString;
use std::path::PathBuf;

use crate::cgroup::{CgroupPath, Limits, Rdt};
use crate::plan::{IdMaps, Labels, MemoryPolicy, NetDevice, Scheduling};
use crate::seccomp::Profile;
use crate::sys::caps::CapSets;
use crate::sys::sched::SchedAttr;

/// What the decisions need to know of the host.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Effective uid of the caller.
    pub euid: u32,
    /// Effective gid of the caller.
    pub egid: u32,
    /// User and group of who came by sudo: pinfold's rights are not theirs.
    pub caller: Option<(u32, u32)>,
    /// The caller has no privilege on the host: not root, root of a user namespace that is
    /// not the host's, or root without CAP_SYS_ADMIN.
    pub rootless: bool,
    /// The caller may map nothing but its own ids: it has not CAP_SETUID and CAP_SETGID.
    pub maps_own_ids_only: bool,
    /// A user namespace whose maps the caller writes by its own right cannot set supplementary groups
    /// (user_namespaces(7)).
    pub setgroups_denied: bool,
    /// Nor can any other below the caller's own, where that was denied before.
    pub setgroups_denied_below: bool,
    /// Highest capability number of the kernel.
    pub last_cap: u8,
    /// Capabilities that the caller can hand on where no user namespace is new: what it has and
    /// its bounding set leaves.
    pub grantable_caps: u64,
    /// Hard limits may be raised, limits of others set, and any OOM score: CAP_SYS_RESOURCE.
    pub may_raise_limits: bool,
    /// Priorities may be raised: CAP_SYS_NICE.
    pub may_raise_priority: bool,
    /// The caller's own scheduling policy.
    pub scheduled: SchedAttr,
    /// Landlock ABI, 0 where there is none.
    pub landlock_abi: u32,
    /// Whether AppArmor is in force.
    pub apparmor: bool,
    /// Whether SELinux is in force.
    pub selinux: bool,
    /// Whether the host has a pure cgroup v2 tree.
    pub cgroup_unified: bool,
    /// Names of the v1 hierarchies, for a `cgroup` mount on such a host.
    pub cgroup_v1: Vec<String>,
}

impl HostFacts {
    /// Whose the container is.
    pub fn owner(&self) -> u32 {
        self.caller.map_or(self.euid, |(uid, _)| uid)
    }
}

/// Through which door the launch came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// An OCI verb: absent means what runc does.
    Oci,
    /// `pinfold sandbox`: absent means the secure default.
    Sandbox,
}

/// What `pinfold sandbox` asks for beyond what an OCI configuration can say.
#[derive(Debug, Clone)]
pub struct Extras {
    /// Through which door the launch came.
    pub door: Door,
    /// Build the root from the host's own /usr instead of `root.path`.
    pub host_usr: bool,
    /// The image that the root is made of, instead of `root.path`.
    pub image: Option<ImageRoot>,
    /// Size limit of the fresh root and of /tmp style mounts, in bytes.
    pub root_size: u64,
    /// Indexes into `mounts` whose source's owner is shown as the sandbox user.
    pub owner_mapped: Vec<usize>,
    /// Indexes into `mounts` of those that are pinfold's own and asked for by nobody.
    pub own: Vec<usize>,
    /// Show the owners of the root directory through the container's id map.
    pub root_idmapped: bool,
    /// Files made after the mounts: secrets, hosts entries.
    pub files: Vec<DraftFile>,
    /// Things made in a fresh root before the mounts.
    pub skeleton: Vec<DraftEntry>,
    /// A pid 1 of pinfold's own.
    pub init: bool,
    /// Confine file access by Landlock, derived from the mounts.
    pub landlock: bool,
    /// The profile, where it does not come from the configuration.
    pub seccomp: Option<Profile>,
    /// End with the caller.
    pub die_with_caller: bool,
}

impl Extras {
    /// Nothing beyond the configuration: the OCI verbs.
    pub fn oci() -> Self {
        Self {
            door: Door::Oci,
            host_usr: false,
            image: None,
            root_size: 0,
            owner_mapped: vec![],
            own: vec![],
            root_idmapped: false,
            files: vec![],
            skeleton: vec![],
            init: false,
            landlock: false,
            seccomp: None,
            die_with_caller: false,
        }
    }
}

/// A file that the child makes.
#[derive(Clone)]
pub struct DraftFile {
    /// Where, inside.
    pub path: PathBuf,
    /// What is in it.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub owner: (u32, u32),
}

/// The content may be a secret: it is never printed.
impl std::fmt::Debug for DraftFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DraftFile").field("path", &self.path).field("bytes", &self.content.len()).finish()
    }
}

/// A thing of a fresh root.
#[derive(Debug, Clone)]
pub enum DraftEntry {
    /// A directory and its mode.
    Directory(PathBuf, u32),
    /// A file.
    File(DraftFile),
    /// A symbolic link and its text.
    Link(PathBuf, PathBuf),
}

/// Every decision of one launch.
#[derive(Debug)]
pub struct Draft {
    /// Through which door the launch came.
    pub door: Door,
    /// CLONE_NEW* of the namespaces that are new.
    pub new_namespaces: u64,
    /// Namespaces that are joined by path.
    pub join: Vec<Join>,
    /// Maps of the new user namespace.
    pub id_maps: Option<IdMaps>,
    /// Maps that the configuration says a joined user namespace has.
    pub joined_maps: Option<IdMaps>,
    /// What is written to timens_offsets of a new time namespace.
    pub time_offsets: Option<CString>,
    /// Whether the caller has no privilege on the host.
    pub rootless: bool,
    /// Whether the new user namespace cannot set supplementary groups.
    pub setgroups_denied: bool,
    /// The root file system.
    pub root: Root,
    /// Made in the root before the mounts.
    pub skeleton: Vec<DraftEntry>,
    /// Mounts in the configuration's order.
    pub mounts: Vec<DraftMount>,
    /// Whether /dev itself is bound from the host: then no devices or links are made in it.
    pub brings_dev: bool,
    /// Devices to make or bind.
    pub devices: Vec<DraftDevice>,
    /// Made after the mounts.
    pub files: Vec<DraftFile>,
    /// UTS host name.
    pub hostname: Option<CString>,
    /// UTS domain name.
    pub domainname: Option<CString>,
    /// sysctls as paths below /proc with their values.
    pub sysctls: Vec<DraftSysctl>,
    /// Paths made unreadable.
    pub masked_paths: Vec<CString>,
    /// Paths made read-only.
    pub readonly_paths: Vec<CString>,
    /// personality(2).
    pub personality: Option<u32>,
    /// set_mempolicy(2).
    pub memory_policy: Option<MemoryPolicy>,
    /// The program; absent at `create` of a configuration without process.
    pub process: Option<Process>,
    /// The seccomp profile.
    pub seccomp: Option<Profile>,
    /// Whether Landlock confines the program.
    pub landlock: bool,
    /// Resource limits.
    pub limits: Limits,
    /// The container's cgroup, where the configuration names one.
    pub cgroup_path: Option<CgroupPath>,
    /// Intel RDT.
    pub rdt: Option<Rdt>,
    /// The host's uid that gets the container's cgroup, so that it can make groups below it.
    pub cgroup_owner: Option<u32>,
    /// A pid 1 of pinfold's own.
    pub init: bool,
    /// The hooks, in the order of the lifecycle.
    pub hooks: Vec<DraftHook>,
    /// Network devices that become the container's.
    pub net_devices: Vec<NetDevice>,
    /// What was left out and is no error (config.md).
    pub warnings: Vec<String>,
}

impl Draft {
    /// Whether a namespace of this kind is joined.
    pub fn joins(&self, nstype: u64) -> bool {
        self.join.iter().any(|join| join.nstype == nstype)
    }

    /// Whether the container has another user namespace than pinfold.
    pub fn has_user_namespace(&self) -> bool {
        self.id_maps.is_some() || self.joins(crate::sys::clone::CLONE_NEWUSER)
    }
}

/// A namespace joined by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// CLONE_NEW* of its type.
    pub nstype: u64,
    /// Its name in /proc/PID/ns.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// The configuration field.
    pub field: String,
}

/// An image whose layers make the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRoot {
    /// Of its manifest, which pinfold verified.
    pub digest: String,
    /// How many layers.
    pub layers: usize,
    /// What it is called: in the store, and by who asks for it. At least one; empty where it has none.
    pub names: Vec<ImageName>,
}

/// A name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// `REPOSITORY[:TAG]`.
    pub name: String,
    /// SHA-256 of the files of the public keys that signed the image as one of this repository.
    pub signed_by: Vec<String>,
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// A directory of the host; `None` for a fresh tmpfs, and for an image.
    pub directory: Option<PathBuf>,
    /// An image.
    pub image: Option<ImageRoot>,
    /// Size limit of the fresh root.
    pub size: u64,
    /// How the owners of a directory are shown.
    pub owner: OwnerMap,
    /// Read-only in the end.
    pub readonly: bool,
    /// MS_* propagation of the root inside; 0 where none is asked for.
    pub propagation: u64,
    /// MOUNT_ATTR_* of a directory's mount and of what is mounted below it on the host.
    pub attrs: u64,
}

impl Root {
    /// MOUNT_ATTR_* of the root's own mount: read-only comes when all stands in it.
    pub fn attrs_of_itself(&self) -> u64 {
        self.attrs & !crate::sys::mount::MOUNT_ATTR_RDONLY
    }
}

/// One mount.
#[derive(Debug, Clone)]
pub struct DraftMount {
    /// JSON pointer of the entry.
    pub field: String,
    /// Where, inside.
    pub destination: PathBuf,
    /// What.
    pub source: MountSource,
    /// Flags, propagation, data.
    pub options: MountOptions,
    /// pinfold's own, asked for by nobody.
    pub own: bool,
}

/// What is mounted.
#[derive(Debug, Clone)]
pub enum MountSource {
    /// An object of the host.
    Bind {
        /// Its path.
        path: PathBuf,
        /// How the owner is shown.
        owner: OwnerMap,
        /// Whether a missing source is passed over.
        optional: bool,
    },
    /// A fresh filesystem of this type.
    Fresh(String),
    /// The cgroup tree.
    Cgroup,
    /// Nothing new: the options change the mount that is there (`remount`).
    Present,
}

impl DraftMount {
    /// Whether a procfs may be at the destination.
    pub fn covers_procfs(&self) -> bool {
        self.destination.starts_with("/proc")
    }

    /// Whether an earlier mount cannot be reached any more when this one stands.
    pub fn covers(&self, earlier: &Self) -> bool {
        let is_new = !matches!(self.source, MountSource::Present);
        is_new && earlier.destination.starts_with(&self.destination)
    }
}

/// How the owners of a bind are shown inside: mount_setattr(2), MOUNT_ATTR_IDMAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerMap {
    /// As they are.
    Keep,
    /// The source's owner and group are these host ids' (uid, gid).
    SourceOwnerIs(u32, u32),
    /// These maps.
    Maps(IdMaps),
    /// The maps of the user namespace that is joined, which only its file tells.
    OfJoined,
}

impl OwnerMap {
    /// Whether ids are shown as others by a map that the configuration chose.
    pub fn is_chosen(&self) -> bool {
        matches!(self, Self::Maps(_) | Self::OfJoined)
    }
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftDevice {
    /// JSON pointer, or empty for a default device.
    pub field: String,
    /// Where, inside.
    pub path: PathBuf,
    /// S_IFCHR, S_IFBLK, S_IFIFO.
    pub file_type: u32,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub owner: (u32, u32),
}

/// The program and who it is.
#[derive(Debug, Clone)]
pub struct Process {
    /// argv.
    pub args: Vec<CString>,
    /// environ.
    pub env: Vec<CString>,
    /// Working directory.
    pub cwd: PathBuf,
    /// uid inside.
    pub uid: u32,
    /// gid inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
    /// umask(2).
    pub umask: u32,
    /// Effective, permitted, inheritable.
    pub caps: CapSets,
    /// The bounding set.
    pub bounding: u64,
    /// The ambient set.
    pub ambient: u64,
    /// prctl(2) PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
    /// Resource, soft, hard.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// Policy, processors, I/O priority.
    pub scheduling: Scheduling,
    /// /proc/PID/oom_score_adj.
    pub oom_score_adj: Option<i32>,
    /// What AppArmor and SELinux are to make of it.
    pub labels: Labels,
    /// A pseudo-terminal.
    pub terminal: bool,
    /// Rows and columns of the terminal.
    pub console_size: Option<(u16, u16)>,
}
