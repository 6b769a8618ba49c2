//! The rules of one layer as data: what a policy file says, every key with its line.
//! docs/policy.md is the reference of each.

mod binds;
mod grants;
mod values;

pub use binds::BindGrants;
pub use grants::{BindGrant, DeviceGrant, HookGrant, JoinGrant, SignatureGrant, SignatureKey, repository};
pub use values::{Access, Bound, Caps, Ids, Keyring, Names, Network, Places, Verb};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A value and the line that says it; line 0 is the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// From 1 on; 0 where nothing is written.
    pub line: u32,
}

/// A key of a layer; absent where the layer says nothing.
pub type Key<T> = Option<At<T>>;

/// Where records of the audit log go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// A file, with its chain.
    File,
    /// systemd's journal.
    Journald,
}

/// What is not to stand in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Redacted {
    /// The program's arguments, but for its name.
    Argv,
    /// The names of its environment variables.
    Environment,
}

/// `[audit]`: only in the host's own file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRules {
    /// Where it stands.
    pub line: u32,
    /// Nothing is launched that cannot be recorded.
    pub required: bool,
    /// Each record is on the disk before it goes on.
    pub durable: bool,
    /// Root's log, where it is not the default one.
    pub path: Option<PathBuf>,
    /// Where records go.
    pub destinations: Vec<Destination>,
    /// What is not in them.
    pub redact: Vec<Redacted>,
}

/// `[root]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRules {
    pub host_usr: Key<bool>,
    pub directories: Key<Places>,
    pub readonly: Key<bool>,
    pub images: Key<Vec<String>>,
}

/// `[annotations]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotationRules {
    pub allow: Key<Names>,
    pub reports: Key<Places>,
}

/// `[mounts]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRules {
    pub filesystems: Key<Vec<String>>,
    pub data: Key<Names>,
    pub propagation: Key<Vec<u64>>,
    pub masked: Key<Vec<PathBuf>>,
    pub readonly: Key<Vec<PathBuf>>,
}

/// `[namespaces]`, `[network]`, `[[join]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRules {
    pub new: Key<Vec<u64>>,
    pub network: Key<Vec<Network>>,
    pub net_devices: Key<Names>,
    pub join: Key<Vec<JoinGrant>>,
}

/// `[user]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRules {
    pub uids: Key<Ids>,
    pub gids: Key<Ids>,
    pub host_uids: Key<Ids>,
    pub host_gids: Key<Ids>,
}

/// `[capabilities]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityRules {
    pub bounding: Key<Caps>,
    pub effective: Key<Caps>,
    pub permitted: Key<Caps>,
    pub inheritable: Key<Caps>,
    pub ambient: Key<Caps>,
}

/// `[process]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRules {
    pub no_new_privs: Key<bool>,
    pub environment: Key<Names>,
    pub cwd: Key<Places>,
    pub preserve_fds: Key<u64>,
    pub keyring: Key<Keyring>,
    pub oom_score_adj: Key<i64>,
    pub personality: Key<bool>,
    pub priority: Key<bool>,
    pub labels: Key<Names>,
    pub label_required: Key<bool>,
}

/// `[seccomp]`, `[landlock]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompRules {
    pub required: Key<bool>,
    pub profiles: Key<Vec<String>>,
    pub deny: Key<Vec<String>>,
    pub landlock: Key<bool>,
}

/// `[limits]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRules {
    pub memory: Key<Bound>,
    pub swap: Key<Bound>,
    pub pids: Key<Bound>,
    pub cpu: Key<Bound>,
    pub io: Key<Bound>,
    pub time: Key<Bound>,
    pub stdout: Key<Bound>,
    pub stderr: Key<Bound>,
    pub unified: Key<Names>,
    pub realtime: Key<bool>,
    pub rdt: Key<bool>,
    pub oom_kill_disable: Key<bool>,
}

/// `[rlimits]`: the kernel's number and the most; `None` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlimitRules {
    pub max: Key<Vec<(u32, Option<u64>)>>,
    pub required: Key<Vec<u32>>,
}

/// `[exec]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRules {
    pub capabilities: Key<Caps>,
    pub users: Key<Ids>,
}

/// All rules of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/policy.md")]
pub struct Rules {
    pub doors: Key<Vec<Verb>>,
    pub degraded: Key<bool>,
    pub root: RootRules,
    pub bind: Key<BindGrants>,
    pub mounts: MountRules,
    pub namespaces: NamespaceRules,
    pub user: UserRules,
    pub capabilities: CapabilityRules,
    pub process: ProcessRules,
    pub seccomp: SeccompRules,
    pub devices: Key<Vec<DeviceGrant>>,
    pub cgroups: Key<Places>,
    pub limits: LimitRules,
    pub rlimits: RlimitRules,
    pub sysctls: Key<Names>,
    pub annotations: AnnotationRules,
    pub hook: Key<Vec<HookGrant>>,
    pub signature: Key<Vec<SignatureGrant>>,
    pub exec: ExecRules,
}
