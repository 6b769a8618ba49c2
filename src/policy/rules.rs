//! The rules of one layer as data: what a policy file says, every key with its line.
//! docs/policy.md is the reference of each.

use std::fmt;
use std::path::{Path, PathBuf};

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

/// The verbs that are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// `create`.
    Create,
    /// `run`.
    Run,
    /// `sandbox`.
    Sandbox,
    /// `exec`.
    Exec,
    /// `update`.
    Update,
}

impl Verb {
    /// Every verb by its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("create", Self::Create),
        ("run", Self::Run),
        ("sandbox", Self::Sandbox),
        ("exec", Self::Exec),
        ("update", Self::Update),
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }
}

/// Whether what is mounted can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Only read.
    Ro,
    /// Written too.
    Rw,
}

/// What a network namespace can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A new one.
    None,
    /// The host's.
    Host,
    /// One that is joined by path.
    Joined,
}

/// Whose session keyring the program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keyring {
    /// Its own.
    Own,
    /// The caller's.
    Caller,
}

/// How much of something there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// It need not be set.
    Unlimited,
    /// It must be set.
    Set,
    /// It must be set, to at most this.
    Max(u64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("anything"),
            Self::Set => f.write_str("a finite limit"),
            Self::Max(most) => write!(f, "at most {most}"),
        }
    }
}

/// Names, the last letter of which may be a `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names(pub Vec<String>);

impl Names {
    /// These, which the code knows to be well-formed.
    pub fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Whether a name is one of them.
    pub fn hold(&self, name: &str) -> bool {
        self.hold_within(name, "")
    }

    /// Whether a name is one of those of them that begin with `start`.
    pub fn hold_within(&self, name: &str, start: &str) -> bool {
        self.0.iter().filter(|known| known.starts_with(start)).any(|known| match known.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => known == name,
        })
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        listed(f, &self.0)
    }
}

fn listed<T: fmt::Display>(f: &mut fmt::Formatter<'_>, list: &[T]) -> fmt::Result {
    if list.is_empty() {
        return f.write_str("none");
    }
    let words: Vec<_> = list.iter().map(ToString::to_string).collect();
    f.write_str(&words.join(", "))
}

/// Ranges of ids, first and last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids(pub Vec<(u32, u32)>);

impl Ids {
    /// Whether an id is one of them.
    pub fn hold(&self, id: u32) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// Whether all ids from `first` to `last` are among them. Ranges that touch count as one.
    pub fn hold_all(&self, first: u32, last: u32) -> bool {
        let mut next = u64::from(first);
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        for (start, end) in sorted {
            if u64::from(start) <= next {
                next = next.max(u64::from(end) + 1);
            }
        }
        next > u64::from(last)
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(first, last): &(u32, u32)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let words: Vec<_> = self.0.iter().map(one).collect();
        listed(f, &words)
    }
}

/// Places of the host or of the container: each is itself and everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places(pub Vec<PathBuf>);

impl Places {
    /// The longest of them that covers `path`, by whole components.
    pub fn cover(&self, path: &Path) -> Option<&Path> {
        let covering = self.0.iter().filter(|place| path.starts_with(place));
        covering.max_by_key(|place| place.components().count()).map(PathBuf::as_path)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        listed(f, &words)
    }
}

/// Capabilities, as the kernel's mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps(pub u64);

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = caps::all().into_iter().filter(|cap| self.0 & cap.bitmask() != 0);
        let mut names: Vec<_> = names.map(|cap| cap.to_string()).collect();
        names.sort_unstable();
        let beyond = self.0 >> (u64::from(caps::Capability::CAP_CHECKPOINT_RESTORE.index()) + 1);
        if beyond != 0 {
            names.push(format!("mask {:#x}", self.0));
        }
        listed(f, &names)
    }
}

/// `[[bind]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindGrant {
    /// Where it stands.
    pub line: u32,
    /// The place.
    pub path: PathBuf,
    /// `access`.
    pub access: Access,
    /// `owner`.
    pub owner: Option<Ids>,
    /// `destinations`.
    pub destinations: Option<Places>,
    /// `types`: S_IFMT values.
    pub types: Vec<u32>,
    /// `floor`: MOUNT_ATTR_*.
    pub floor: u64,
    /// `hard_links`.
    pub hard_links: bool,
    /// `cross_mounts`.
    pub cross_mounts: bool,
    /// `idmap`.
    pub idmap: bool,
}

/// `[[join]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinGrant {
    /// Where it stands.
    pub line: u32,
    /// CLONE_NEW*.
    pub nstype: u64,
    /// The place.
    pub path: PathBuf,
}

/// `[[hook]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookGrant {
    /// Where it stands.
    pub line: u32,
    /// The program.
    pub path: PathBuf,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// `args`: those after the first.
    pub args: Vec<String>,
    /// `env`: whole entries.
    pub env: Vec<String>,
}

/// `[[signature]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureGrant {
    /// Where it stands.
    pub line: u32,
    /// `images`: names of those that it is about.
    pub images: Names,
    /// `keys`: any of them may have signed.
    pub keys: Vec<SignatureKey>,
}

/// A public key of [`SignatureGrant`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureKey {
    /// The file, which `image pull` reads.
    pub path: PathBuf,
    /// Of the file, 64 hexadecimal digits.
    pub sha256: String,
}

impl SignatureGrant {
    /// Whether it is about an image of this name, `REPOSITORY[:TAG]`. What has no name is about `*` alone.
    pub fn is_about(&self, name: &str) -> bool {
        self.images.hold(name) || self.images.hold(repository(name))
    }
}

/// A name without its tag. A colon before the last slash belongs to the registry's port.
pub fn repository(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// An entry of `devices.allow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceGrant(pub crate::cgroup::DeviceRule);

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
    pub bind: Key<Vec<BindGrant>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_demanded_by_name() {
        let rows = [
            ("r.example/tools/*", "r.example/tools/a:1", true),
            ("r.example/tools/*", "r.example/tools", false),
            ("r.example/tools/*", "r.example/toolsmith/a:1", false),
            ("r.example/a", "r.example/a:1", true),
            ("r.example/a", "r.example/a", true),
            ("r.example/a:1", "r.example/a:2", false),
            ("r.example:443/a", "r.example:443/a", true),
            ("r.example", "r.example:443/a", false),
            ("*", "", true),
            ("r*", "", false),
        ];
        for (images, name, about) in rows {
            let grant = SignatureGrant { line: 1, images: Names::of(&[images]), keys: vec![] };
            assert_eq!(grant.is_about(name), about, "{images}: {name}");
        }
    }

    #[test]
    fn a_pattern_for_everything_is_no_pattern_for_what_has_to_be_named() {
        for (patterns, any, within) in [
            (&["*"][..], true, false),
            (&["o*"], true, false),
            (&["org.x.A"], true, true),
            (&["org.x.*"], true, true),
            (&["org.x.B", "*"], true, false),
            (&["org.y"], false, false),
        ] {
            let names = Names::of(patterns);
            assert_eq!(
                (names.hold("org.x.A"), names.hold_within("org.x.A", "org.x.")),
                (any, within),
                "{patterns:?}"
            );
        }
    }
}
