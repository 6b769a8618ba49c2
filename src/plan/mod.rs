//! The data that crosses the clone: everything the child needs, already decided,
//! opened and rendered. The child walks [`Plan::steps`] and chooses nothing.
//!
//! Built by `resolve/`, executed by `child/`, rendered by `explain` and by the
//! parent when a step fails.

mod agent;
mod describe;
mod digest;
mod expected;
mod hook;
mod hook_record;
pub mod labels;
mod grants;
mod record;
mod scheduling;
mod target;

pub use agent::Agent;
pub use digest::digest;
pub use expected::{Expected, ExpectedMount};
pub use grants::{Grants, Way};
pub use hook::{Hook, HookKind, HookState};
pub use hook_record::{HookEnd, How, Stream};
pub use labels::Labels;
pub use record::{Failure, Records};
pub use scheduling::{Cpus, Scheduling};
pub use target::{Target, TargetKind};

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use crate::cgroup::RdtTasks;
use crate::sys::caps::CapSets;
use crate::sys::exec::CStringArray;
use crate::sys::mount::MountAttr;

/// One launch, ready to be carried out.
#[derive(Debug)]
pub struct Plan {
    /// Flags of the `clone3` that makes the child (clone(2)).
    pub clone_flags: u64,
    /// Namespaces that the parent is in while it clones.
    pub born_in: Vec<BornIn>,
    /// What the child does, in order.
    pub steps: Vec<Planned>,
    /// File descriptors that stay open until exec, ascending; all others are closed.
    pub keep_fds: Vec<u32>,
    /// How many descriptors from 3 on the caller hands to the program (`--preserve-fds`).
    pub preserved_fds: u16,
    /// What the parent does to the waiting child.
    pub parent: ParentPlan,
    /// What the kernel must say of the child when it is assembled.
    pub expected: Expected,
    /// How the program is found and called.
    pub program: Program,
    /// Who supervises the calls that the filter asks about; set beside the state that it is told.
    pub agent: Option<Agent>,
}

/// A namespace that the child is born in: setns(2) moves only the children that are made
/// afterwards into a pid namespace, and a new user namespace has no right to join others.
#[derive(Debug)]
pub struct BornIn {
    /// The namespace.
    pub fd: OwnedFd,
    /// CLONE_NEW* of its type.
    pub nstype: u64,
    /// Its name in /proc/PID/ns.
    pub name: &'static str,
    /// The configuration field.
    pub field: String,
}

/// A step with the configuration field that asked for it.
#[derive(Debug)]
pub struct Planned {
    /// JSON pointer into the configuration, or an option's name; empty for pinfold's own steps.
    pub field: String,
    /// What is done.
    pub step: Step,
}

/// The program to run: argv, environment and the paths to try, in PATH order.
#[derive(Debug)]
pub struct Program {
    /// The candidates of execvp(3), tried in order.
    pub candidates: Vec<CString>,
    /// argv.
    pub argv: CStringArray,
    /// environ.
    pub envp: CStringArray,
    /// As the caller wrote it, for messages.
    pub name: String,
}

/// One range of a user namespace's id map: user_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// Number of ids.
    pub size: u32,
}

/// The id maps of a new user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// uid_map.
    pub uids: Vec<IdRange>,
    /// gid_map.
    pub gids: Vec<IdRange>,
}

impl IdMaps {
    /// One user and one group, shown as others: everything else is unmapped.
    pub fn one(inside: (u32, u32), outside: (u32, u32)) -> Self {
        let range = |inside, outside| vec![IdRange { inside, outside, size: 1 }];
        Self { uids: range(inside.0, outside.0), gids: range(inside.1, outside.1) }
    }

    /// Whether id 0 exists inside for both users and groups.
    pub fn has_root(&self) -> bool {
        let maps_zero = |ranges: &[IdRange]| ranges.iter().any(|range| range.inside == 0);
        maps_zero(&self.uids) && maps_zero(&self.gids)
    }

    /// Whether it has one id each, which a caller may map by its own right.
    pub fn has_one_id(&self) -> bool {
        let single = |ranges: &[IdRange]| matches!(ranges, [range] if range.size == 1);
        single(&self.uids) && single(&self.gids)
    }
}

/// A network device that becomes the container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name in the runtime's network namespace.
    pub host_name: String,
    /// Its name inside, `%d` for the kernel's choice of a number; `None` for the same.
    pub name: Option<String>,
    /// The configuration field.
    pub field: String,
}

/// What only the parent can do: the child may not, or would be seen doing it.
#[derive(Debug, Default)]
pub struct ParentPlan {
    /// The maps to write, when the child has a new user namespace.
    pub id_maps: Option<IdMaps>,
    /// Whether the maps are written by the caller's own right, not by a capability.
    pub by_own_right: bool,
    /// Whether setgroups(2) is denied to the new user namespace for ever.
    pub setgroups_denied: bool,
    /// /proc/PID/oom_score_adj.
    pub oom_score_adj: Option<i32>,
    /// `tasks` files of resctrl groups that the child enters.
    pub rdt_tasks: RdtTasks,
    /// Moved into the container's network namespace while the child waits before the pivot.
    pub net_devices: Vec<NetDevice>,
    /// Run in the runtime's namespaces while the child waits before the pivot.
    pub runtime_hooks: Vec<Hook>,
    /// getrlimit(2) resources with soft and hard values, set as the very last thing.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// Policy, processors, I/O priority.
    pub scheduling: Scheduling,
}

/// set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// MPOL_*, with MPOL_F_*.
    pub mode: i32,
    /// Bit n is node n; empty for none.
    pub nodes: Vec<u64>,
}

/// Where the root file system comes from.
#[derive(Debug)]
pub enum RootFrom {
    /// A detached tree that the parent made.
    Tree(OwnedFd),
    /// A path that the child opens again and compares (rootless).
    Path(Reopened),
    /// A fresh tmpfs, made by the child in its own user namespace.
    Tmpfs(FreshFs),
    /// The layers of an image.
    Overlay(Overlay),
}

/// Layers of an image below a room of their own for mount points and changes: overlayfs, made
/// by the child, so that it acts by the rights of the child's user namespace and no others.
#[derive(Debug)]
pub struct Overlay {
    /// The topmost first.
    pub lowers: Vec<Lower>,
    /// A tmpfs.
    pub upper: FreshFs,
    /// MOUNT_ATTR_* of the mount.
    pub attrs: u64,
    /// The image's digest.
    pub image: String,
}

/// One layer.
#[derive(Debug)]
pub enum Lower {
    /// A detached tree that the parent made.
    Tree(OwnedFd),
    /// A path that the child opens again and compares (rootless).
    Path(Reopened),
}

/// A host path that the child opens itself because an O_PATH fd of the host's mount
/// namespace cannot be cloned from the child's (open_tree: EINVAL, Linux 6.18).
#[derive(Debug)]
pub struct Reopened {
    /// Absolute path, symlinks already resolved by the parent.
    pub path: CString,
    /// The object that was judged. While it is open, no other object can have its numbers.
    pub pin: OwnedFd,
    /// Device number of the object that was judged.
    pub dev: u64,
    /// Inode number of the object that was judged.
    pub ino: u64,
    /// File type bits of the object that was judged.
    pub file_type: u32,
}

/// A filesystem that is made new: fsopen(2).
#[derive(Debug)]
pub struct FreshFs {
    /// Name in /proc/filesystems.
    pub fstype: CString,
    /// fsconfig keys; `None` for a flag without value.
    pub options: Vec<(CString, Option<CString>)>,
    /// The pid namespace that a procfs shows, where it is not the child's.
    pub pid_namespace: Option<OwnedFd>,
    /// MOUNT_ATTR_* flags of the mount.
    pub attrs: u64,
    /// What of the covered directory goes on.
    pub covered: Covered,
}

/// What a fresh filesystem takes over from the directory that it covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Covered {
    /// Nothing.
    #[default]
    Hidden,
    /// Its permission bits: a tmpfs without `mode`, as under runc.
    Mode,
    /// Everything in it (`tmpcopyup`); its permission bits too, unless `mode` is given.
    Content {
        /// Whether the permission bits are taken over.
        mode: bool,
    },
}

/// Flags of a mount that is there already, and its propagation.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// MOUNT_ATTR_* of the mount itself.
    pub own: MountAttr,
    /// MOUNT_ATTR_* of the mount and all below it.
    pub recursive: MountAttr,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, one after the other.
    pub propagation: Vec<u64>,
}

/// What is mounted at a target.
#[derive(Debug)]
pub enum MountFrom {
    /// A detached tree that the parent made, attributes already set; and what it is, in words.
    Tree(OwnedFd, String),
    /// A bind that the child opens again, compares and clones (rootless).
    Path(Reopened, MountAttr),
    /// A fresh filesystem.
    Fresh(FreshFs),
    /// A clone of something inside the new root.
    Inside(CString, MountAttr),
}

/// A thing that is made inside the root before it turns read-only.
#[derive(Debug)]
pub enum Made {
    /// A directory with its mode.
    Directory(Target, u32),
    /// A regular file with its content, mode and owner.
    File {
        /// Where.
        target: Target,
        /// What is in it.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// uid and gid inside.
        owner: (u32, u32),
    },
    /// A symbolic link: where, and what it says.
    Link(Target, CString),
    /// The same, in place of what stands there.
    OnlyLink(Target, CString),
    /// A device node: mknod(2).
    Device {
        /// Where.
        target: Target,
        /// S_IFCHR, S_IFBLK or S_IFIFO.
        file_type: u32,
        /// Device number.
        rdev: u64,
        /// Permission bits.
        mode: u32,
        /// uid and gid inside.
        owner: (u32, u32),
    },
}

/// The parent and the child meet here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Meeting {
    /// Id maps, cgroup and scores are written: the child may begin.
    Release = b'r',
    /// The mounts are in place: the parent runs prestart and createRuntime hooks.
    Hooks = b'h',
    /// The pty's master travels to the parent.
    Console = b'c',
    /// The filter is in force: its listener travels to the supervisor.
    Listener = b'n',
    /// Everything is in force: the parent compares the kernel's word with the Plan.
    Check = b'k',
}

/// One thing the child does. The order is ARCHITECTURE.md's table, which a test compares.
#[derive(Debug)]
#[expect(missing_docs, reason = "describe.rs says what each does")]
pub enum Step {
    AwaitRelease,
    HideArguments,
    JoinCgroup(Vec<OwnedFd>),
    BecomeRoot { setgroups: bool },
    NewSession,
    JoinNamespace { fd: OwnedFd, nstype: u64, name: &'static str },
    TimeOffsets(CString),
    CloneAgain { flags: u64 },
    JoinContainer { pidfd: OwnedFd, nstypes: u64 },
    UnshareCgroup,
    LoopbackUp,
    Hostname(CString),
    Domainname(CString),
    Personality(u32),
    ForgetCaller,
    MemoryPolicy(MemoryPolicy),
    CutPropagation { flags: u64 },
    AttachRoot { from: RootFrom, attrs: u64, onto: Option<Reopened> },
    Make(Made),
    Mount { from: MountFrom, target: Target, propagation: Vec<u64> },
    Remount { path: CString, change: Change },
    MakeCwd(Target),
    ConsolePty { target: Option<Target>, size: Option<(u16, u16)>, owner: u32, lent: bool },
    MeetForHooks,
    CreateContainerHook(Hook, HookState),
    Pivot,
    Chroot,
    RedirectStdio([Option<OwnedFd>; 3]),
    CloseFds,
    Sysctl { key: CString, value: CString },
    Mask(CString),
    ReadonlyPath(CString),
    ReadonlyRoot,
    RootPropagation(u64),
    SessionKeyring,
    ExecLabel { proc: OwnedFd, file: &'static CStr, text: CString },
    NoNewPrivs,
    EarlySeccomp(Vec<seccompiler::sock_filter>, u64),
    Umask(u32),
    DropBounding { keep: u64 },
    KeepCaps,
    ChownStdio { uid: u32, gid: u32 },
    SetGroups(Vec<u32>),
    SetGid(u32),
    SetUid(u32),
    Capabilities(CapSets),
    Ambient { raise: u64 },
    Dumpable(bool),
    DieWithParent,
    TryChdir(CString),
    Chdir(CString),
    ProveCwd,
    FindProgram,
    Landlock { ruleset: OwnedFd, rules: Vec<(CString, u64)>, flags: u32 },
    MeetForCheck,
    EndBySignals,
    AwaitStart { listener: OwnedFd, lean: bool },
    StartContainerHook(Hook, HookState),
    EnterPidNamespace,
    LateSeccomp(Vec<seccompiler::sock_filter>, u64),
    BecomeInit { detached: bool, deadline_ms: Option<u64> },
    ControllingTerminal,
    ResetSignals,
    Exec,
}
