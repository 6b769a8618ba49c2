//! What the judge read of one launch, as a record of the audit log keeps it: so that a launch of the
//! past can be judged again, by another policy ([`Recorded::judge`]).
//!
//! No value of a variable, of a sysctl or of a mount's option is in it: the judge does not look at them.
//! What is empty, zero, false or absent is left out.

mod rebuild;
mod replay;
mod taken;

pub use replay::{Log, Replayed};
pub use taken::Around;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Structs of which a record has the fields that are not empty, zero, false or absent.
macro_rules! recorded {
    ($($(#[$about:meta])* $access:vis struct $name:ident {
        $($(#[$of_field:meta])* $field:ident: $kind:ty,)*
    })*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $access struct $name {
            $($(#[$of_field])* #[serde(skip_serializing_if = "is_default")] $field: $kind,)*
        }
    )*};
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// First id inside, first outside, how many.
type Range = (u32, u32, u32);

recorded! {
    /// One launch: its request, its Draft and its Facts.
    pub struct Recorded {
        verb: String,
        /// The profile that the launch named; without it the policy's own default.
        profile: Option<String>,
        base: String,
        state_root: String,
        preserved_fds: u16,
        callers_keyring: bool,
        no_pivot: bool,
        annotations: Vec<String>,
        timeout_ms: Option<u64>,
        stdout_max: Option<u64>,
        stderr_max: Option<u64>,
        report: Option<String>,
        degraded: Vec<String>,
        has_cgroup: bool,
        has_unit: bool,
        rdt: bool,
        /// How many lived, where the policy asked, and the directories that were counted.
        running: Option<u64>,
        running_in: Vec<String>,
        /// Who came by sudo: user, group, groups.
        caller: Option<(u32, u32, Vec<u32>)>,
        cgroup_place: Option<String>,
        /// The call was by sudo, and the policy did not look at it.
        sudo_unseen: bool,
        new_namespaces: u64,
        rootless: bool,
        root: RecordedRoot,
        mounts: Vec<RecordedMount>,
        joins: Vec<RecordedJoin>,
        uid_maps: Option<Vec<Range>>,
        gid_maps: Option<Vec<Range>>,
        /// Those of a user namespace that is joined.
        joined_uid_maps: Option<Vec<Range>>,
        joined_gid_maps: Option<Vec<Range>>,
        /// Field, type, major, minor.
        devices: Vec<(String, u32, u32, u32)>,
        /// Field and path below /proc.
        sysctls: Vec<(String, String)>,
        masked_paths: Vec<String>,
        readonly_paths: Vec<String>,
        personality: u32,
        process: Option<RecordedProcess>,
        seccomp: Option<RecordedFilter>,
        landlock: bool,
        limits: RecordedLimits,
        cgroup_path: Option<String>,
        /// Field and name on the host.
        net_devices: Vec<(String, String)>,
        hooks: Vec<RecordedHook>,
        /// Field and errno of what no way of the policy led to.
        barred: Vec<(String, i32)>,
    }

    struct RecordedRoot {
        directory: Option<String>,
        image: Option<String>,
        /// Its names, and the keys that signed it by them.
        image_names: Vec<(String, Vec<String>)>,
        readonly: bool,
        propagation: u64,
        /// The place of the policy beneath which it was resolved.
        place: Option<String>,
        opened: Option<Opened>,
    }

    /// What was opened.
    struct Opened {
        path: String,
        file_type: u32,
        uid: u32,
        fs_magic: i64,
        rdev: u64,
        nlink: u64,
        mount_point: Option<String>,
        /// The first mount below, and the first of a kernel filesystem: place and type.
        below: Vec<(String, String)>,
    }

    struct RecordedMount {
        field: String,
        destination: String,
        /// A bind's.
        source: Option<String>,
        /// A fresh one's type; `cgroup`; neither for a remount.
        filesystem: Option<String>,
        own: bool,
        recursive: bool,
        set: u64,
        clear: u64,
        recursive_set: u64,
        recursive_clear: u64,
        propagation: Vec<u64>,
        /// The names of the filesystem's own options.
        data: Vec<String>,
        tmpcopyup: bool,
        idmapped: bool,
        place: Option<String>,
        opened: Option<Opened>,
    }

    struct RecordedJoin {
        field: String,
        nstype: u64,
        path: String,
        place: Option<String>,
        of_the_host: bool,
    }

    struct RecordedProcess {
        cwd: String,
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
        bounding: u64,
        effective: u64,
        permitted: u64,
        inheritable: u64,
        ambient: u64,
        no_new_privs: bool,
        /// Resource and hard limit.
        rlimits: Vec<(u32, u64)>,
        oom_score_adj: Option<i32>,
        apparmor: Option<String>,
        selinux: Option<String>,
        /// Served before others.
        urgent: bool,
        urgent_io: bool,
    }

    struct RecordedFilter {
        /// The ABI whose numbers `lets_run` has.
        abi: String,
        /// The calls that may run, for some arguments: bit n of byte n/8 is call n, in hexadecimal digits.
        lets_run: String,
        notifies: bool,
    }

    struct RecordedHook {
        field: String,
        kind: u8,
        path: String,
        args: Vec<String>,
        /// Arguments that the policy keeps out of the log.
        args_hidden: bool,
        has_env: bool,
        sha256: Option<String>,
    }

    /// The limits that are judged.
    struct RecordedLimits {
        memory: Option<u64>,
        swap: Option<u64>,
        pids: Option<u64>,
        cpu_quota_us: Option<u64>,
        cpu_period_us: Option<u64>,
        /// At least one throttle of a block device has a rate.
        io: bool,
        unified: Vec<String>,
        realtime: bool,
        oom_kill_disable: bool,
        /// The rules that allow, with their places in the list.
        devices: Vec<(usize, crate::cgroup::DeviceRule)>,
    }
}

impl Recorded {
    /// For the record, as JSON.
    ///
    /// # Errors
    /// None in practice: serde_json.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// From a record.
    ///
    /// # Errors
    /// Not what this pinfold writes.
    pub fn from_value(value: &Value) -> serde_json::Result<Self> {
        Self::deserialize(value)
    }
}
