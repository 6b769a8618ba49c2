//! What the judge read of one launch, as a record of the audit log keeps it: so that a launch of the
//! past can be judged again, by another policy ([`Recorded::judge`]).
//!
//! No value of a variable, of a sysctl or of a mount's option is in it: the judge does not look at them.
//! What is empty, false or absent is left out.

mod rebuild;
mod replay;

pub use replay::{Log, Replayed};

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::Policy;
use super::judge::those_that_run;
use super::request::Request;
use crate::cgroup::Limits;
use crate::draft::{Draft, DraftHook, DraftMount, MountSource, OwnerMap, Process};
use crate::plan::{Grants, IdMaps, IdRange, Way};
use crate::resolve::{Facts, Pinned};
use crate::seccomp::{Arch, Call, Profile};
use crate::sys::{ioprio, sched};

/// One launch: its request, its Draft and its Facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

/// First id inside, first outside, how many.
type Range = (u32, u32, u32);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecordedRoot {
    directory: Option<String>,
    image: Option<String>,
    readonly: bool,
    propagation: u64,
    /// The place of the policy beneath which it was resolved.
    place: Option<String>,
    opened: Option<Opened>,
}

/// What was opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecordedJoin {
    field: String,
    nstype: u64,
    path: String,
    place: Option<String>,
    of_the_host: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecordedFilter {
    /// The ABI whose numbers `lets_run` has.
    abi: String,
    /// The calls that may run, for some arguments: bit n of byte n/8 is call n, in hexadecimal digits.
    lets_run: String,
    notifies: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

/// What is known of a launch besides.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The policy that judged it.
    pub policy: &'a Policy,
    /// The ways that it left open.
    pub grants: &'a Grants,
    /// The profile that the launch named.
    pub profile: Option<&'a str>,
    /// Whether it was by sudo, and nobody looked.
    pub sudo_unseen: bool,
    /// Whether arguments are kept out of the log.
    pub hides_args: bool,
}

impl Recorded {
    /// Of a launch; `None` where a path or a name in it is not UTF-8, which JSON cannot say.
    pub fn of(draft: &Draft, facts: &Facts, request: &Request, around: Around<'_>) -> Option<Self> {
        let running = &around.policy.running;
        let counted = running.max.is_some().then_some(request.running);
        let roots = running.state_roots.iter().flat_map(|at| &at.value);
        let (uid_maps, gid_maps) = maps(draft.id_maps.as_ref());
        let (joined_uid_maps, joined_gid_maps) = maps(facts.joined_maps.as_ref());
        Some(Self {
            running: counted,
            running_in: roots.map(|path| text(path)).collect::<Option<_>>()?,
            profile: around.profile.map(str::to_owned),
            sudo_unseen: around.sudo_unseen,
            new_namespaces: draft.new_namespaces,
            rootless: draft.rootless,
            root: root(draft, facts, around.grants)?,
            mounts: mounts(draft, facts, around.grants)?,
            joins: joins(draft, facts, around.grants)?,
            uid_maps,
            gid_maps,
            joined_uid_maps,
            joined_gid_maps,
            devices: draft
                .devices
                .iter()
                .filter(|device| !device.field.is_empty())
                .map(|device| (device.field.clone(), device.file_type, device.major, device.minor))
                .collect(),
            sysctls: draft
                .sysctls
                .iter()
                .map(|sysctl| Some((sysctl.field.clone(), sysctl.path.to_str().ok()?.to_owned())))
                .collect::<Option<_>>()?,
            masked_paths: texts(&draft.masked_paths)?,
            readonly_paths: texts(&draft.readonly_paths)?,
            personality: draft.personality.unwrap_or(0),
            process: match &draft.process {
                Some(process) => Some(of_process(process)?),
                None => None,
            },
            seccomp: draft.seccomp.as_ref().map(filter),
            landlock: draft.landlock,
            limits: limits(&draft.limits),
            cgroup_path: draft.cgroup_path.as_ref().map(ToString::to_string),
            net_devices: draft
                .net_devices
                .iter()
                .map(|device| (device.field.clone(), device.host_name.clone()))
                .collect(),
            hooks: draft
                .hooks
                .iter()
                .enumerate()
                .map(|(index, hook)| of_hook(hook, facts, index, around.hides_args))
                .collect::<Option<_>>()?,
            barred: facts.barred.iter().map(|barred| (barred.field.clone(), barred.errno as i32)).collect(),
            rdt: draft.rdt.is_some(),
            ..of_request(request)?
        })
    }

    /// For the record: what is empty is left out.
    ///
    /// # Errors
    /// None in practice: serde_json.
    pub fn to_value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self).map(|mut value| {
            leave_out_the_empty(&mut value);
            value
        })
    }

    /// From a record.
    ///
    /// # Errors
    /// Not what this pinfold writes.
    pub fn from_value(value: &Value) -> serde_json::Result<Self> {
        Self::deserialize(value)
    }
}

fn leave_out_the_empty(value: &mut Value) {
    let Value::Object(map) = value else { return };
    map.values_mut().for_each(|value| match value {
        Value::Array(list) => list.iter_mut().for_each(leave_out_the_empty),
        other => leave_out_the_empty(other),
    });
    map.retain(|_, value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    });
}

fn text(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}

fn texts(all: &[std::ffi::CString]) -> Option<Vec<String>> {
    all.iter().map(|one| one.to_str().ok().map(str::to_owned)).collect()
}

fn of_request(request: &Request) -> Option<Recorded> {
    let caller = request.caller.as_ref();
    Some(Recorded {
        verb: request.verb.name().to_owned(),
        base: text(&request.base)?,
        state_root: text(&request.state_root)?,
        preserved_fds: request.preserved_fds,
        callers_keyring: !request.own_keyring,
        no_pivot: !request.pivot,
        annotations: request.annotations.keys().cloned().collect(),
        timeout_ms: request.timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        stdout_max: request.stdout_max,
        stderr_max: request.stderr_max,
        report: match &request.report {
            Some(path) => Some(text(path)?),
            None => None,
        },
        degraded: request.degraded.clone(),
        has_cgroup: request.has_cgroup,
        has_unit: request.has_unit,
        caller: caller.map(|caller| (caller.uid, caller.gid, caller.groups.clone())),
        cgroup_place: request.cgroup_place.as_ref().map(ToString::to_string),
        ..Recorded::default()
    })
}

fn root(draft: &Draft, facts: &Facts, grants: &Grants) -> Option<RecordedRoot> {
    let directory = draft.root.directory.as_deref();
    Some(RecordedRoot {
        directory: match directory {
            Some(path) => Some(text(path)?),
            None => None,
        },
        image: draft.root.image.as_ref().map(|image| image.digest.clone()),
        readonly: draft.root.readonly,
        propagation: draft.root.propagation,
        place: place(&grants.root),
        opened: opened(facts.root.as_ref())?,
    })
}

fn place(way: &Way) -> Option<String> {
    match way {
        Way::Beneath { place, .. } => text(place),
        Way::AsNamed | Way::Withheld => None,
    }
}

/// `None` inside for an object that was not opened.
fn opened(pinned: Option<&Pinned>) -> Option<Option<Opened>> {
    let Some(pinned) = pinned else { return Some(None) };
    let first = pinned.below.first();
    let kernel = pinned.below.iter().find(|mount| super::builtin::is_kernel_type(&mount.fs_type));
    let below = first.into_iter().chain(kernel.filter(|kernel| Some(*kernel) != first));
    Some(Some(Opened {
        path: text(&pinned.identity.path)?,
        file_type: pinned.identity.file_type,
        uid: pinned.identity.uid,
        fs_magic: pinned.identity.fs_magic,
        rdev: pinned.identity.rdev,
        nlink: pinned.nlink,
        mount_point: match &pinned.mount_point {
            Some(point) => Some(text(point)?),
            None => None,
        },
        below: below
            .map(|mount| Some((text(&mount.place)?, mount.fs_type.clone())))
            .collect::<Option<_>>()?,
    }))
}

/// pinfold's own matter where something is copied out of them, and nowhere else.
fn mounts(draft: &Draft, facts: &Facts, grants: &Grants) -> Option<Vec<RecordedMount>> {
    let copies = draft.mounts.iter().any(|mount| mount.options.tmpcopyup);
    let all = draft.mounts.iter().enumerate().filter(|(_, mount)| copies || !mount.own);
    all.map(|(index, mount)| {
        let pinned = facts.binds.get(index).and_then(Option::as_ref).filter(|_| !mount.own);
        let way = grants.binds.get(index).and_then(place);
        of_mount(mount, way, pinned)
    })
    .collect()
}

fn of_mount(mount: &DraftMount, place: Option<String>, pinned: Option<&Pinned>) -> Option<RecordedMount> {
    let options = &mount.options;
    let (source, filesystem, idmapped) = match &mount.source {
        MountSource::Bind { path, owner, .. } => {
            (Some(text(path)?), None, matches!(owner, OwnerMap::Maps(_)))
        }
        MountSource::Fresh(name) => (None, Some(name.clone()), false),
        MountSource::Cgroup => (None, Some("cgroup".to_owned()), false),
        MountSource::Present => (None, None, false),
    };
    Some(RecordedMount {
        field: mount.field.clone(),
        destination: text(&mount.destination)?,
        source,
        filesystem,
        own: mount.own,
        recursive: options.recursive,
        set: options.attr.set,
        clear: options.attr.clear,
        recursive_set: options.recursive_attr.set,
        recursive_clear: options.recursive_attr.clear,
        propagation: options.propagation.clone(),
        data: options.data.iter().map(|(name, _)| name.clone()).collect(),
        tmpcopyup: options.tmpcopyup,
        idmapped,
        place,
        opened: opened(pinned)?,
    })
}

fn joins(draft: &Draft, facts: &Facts, grants: &Grants) -> Option<Vec<RecordedJoin>> {
    let each = draft.join.iter().enumerate();
    each.map(|(index, join)| {
        Some(RecordedJoin {
            field: join.field.clone(),
            nstype: join.nstype,
            path: text(&join.path)?,
            place: grants.joins.get(index).and_then(place),
            of_the_host: facts.of_the_host.contains(&index),
        })
    })
    .collect()
}

fn maps(maps: Option<&IdMaps>) -> (Option<Vec<Range>>, Option<Vec<Range>>) {
    let ranges = |ranges: &[IdRange]| -> Vec<Range> {
        ranges.iter().map(|range| (range.inside, range.outside, range.size)).collect()
    };
    (maps.map(|maps| ranges(&maps.uids)), maps.map(|maps| ranges(&maps.gids)))
}

fn of_process(process: &Process) -> Option<RecordedProcess> {
    let scheduling = &process.scheduling;
    let urgent = |attr: &sched::SchedAttr| {
        !matches!(attr.policy, sched::SCHED_OTHER | sched::SCHED_BATCH | sched::SCHED_IDLE) || attr.nice < 0
    };
    Some(RecordedProcess {
        cwd: text(&process.cwd)?,
        uid: process.uid,
        gid: process.gid,
        groups: process.groups.clone(),
        bounding: process.bounding,
        effective: process.caps.effective,
        permitted: process.caps.permitted,
        inheritable: process.caps.inheritable,
        ambient: process.ambient,
        no_new_privs: process.no_new_privs,
        rlimits: process.rlimits.iter().map(|(resource, _, hard)| (*resource, *hard)).collect(),
        oom_score_adj: process.oom_score_adj,
        apparmor: process.labels.apparmor.clone(),
        selinux: process.labels.selinux.clone(),
        urgent: scheduling.attr.as_ref().is_some_and(urgent),
        urgent_io: scheduling.io_priority.is_some_and(|(class, _)| class == ioprio::IOPRIO_CLASS_RT),
    })
}

/// What the judge may ask of any filter: 500 calls are 125 digits.
fn filter(profile: &Profile) -> RecordedFilter {
    let Some(native) = Arch::NATIVE else { return RecordedFilter::default() };
    let may_run = those_that_run(profile);
    let mut bits = vec![];
    for call in Call::all() {
        let Some(number) = call.number(native) else { continue };
        let Ok(number) = usize::try_from(number) else { continue };
        // x32 numbers begin at 2^30, and belong to no call of this table's.
        if number < 4096 && may_run(call.name) {
            let (byte, bit) = (number / 8, number % 8);
            if bits.len() <= byte {
                bits.resize(byte + 1, 0_u8);
            }
            if let Some(slot) = bits.get_mut(byte) {
                *slot |= 1 << bit;
            }
        }
    }
    RecordedFilter {
        abi: native.oci_name().to_owned(),
        lets_run: bits.iter().map(|byte| format!("{byte:02x}")).collect(),
        notifies: profile.notifies(),
    }
}

fn limits(limits: &Limits) -> RecordedLimits {
    use super::judge::finite;
    RecordedLimits {
        memory: finite(limits.memory_max),
        swap: finite(limits.memory_swap_max),
        pids: finite(limits.pids_max),
        cpu_quota_us: finite(limits.cpu_quota_us),
        cpu_period_us: limits.cpu_period_us,
        io: limits.io_max.iter().any(super::judge::throttles),
        unified: limits.unified.iter().map(|(name, _)| name.clone()).collect(),
        realtime: limits.cpu_rt_runtime_us.is_some_and(|runtime| runtime != 0),
        oom_kill_disable: limits.oom_kill_disable,
        devices: limits
            .devices
            .iter()
            .flatten()
            .copied()
            .enumerate()
            .filter(|(_, rule)| rule.allow)
            .collect(),
    }
}

fn of_hook(hook: &DraftHook, facts: &Facts, index: usize, hides: bool) -> Option<RecordedHook> {
    let file = facts.hooks.get(index).and_then(Option::as_ref);
    Some(RecordedHook {
        field: hook.field.clone(),
        kind: hook.kind as u8,
        path: hook.path.to_str().ok()?.to_owned(),
        args: if hides { vec![] } else { texts(&hook.args)? },
        args_hidden: hides,
        has_env: !hook.env.is_empty(),
        sha256: file.map(|file| file.sha256.clone()),
    })
}
