//! What is recorded of a launch, taken from its Draft, Facts and Request.

use std::path::Path;

use super::{
    Opened, Range, Recorded, RecordedFilter, RecordedHook, RecordedJoin, RecordedLimits, RecordedMount,
    RecordedProcess, RecordedRoot,
};
use crate::cgroup::Limits;
use crate::draft::{Draft, DraftHook, DraftMount, MountSource, Process};
use crate::plan::{Grants, IdMaps, IdRange, Way};
use crate::policy::builtin::is_kernel_type;
use crate::policy::document::Policy;
use crate::policy::judge::{finite, those_that_run, throttles};
use crate::policy::request::Request;
use crate::resolve::{Facts, Pinned};
use crate::seccomp::{Arch, Call, Profile};
use crate::sys::{ioprio, sched};
use crate::types::hex;

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
        image_names: draft
            .root
            .image
            .iter()
            .flat_map(|image| &image.names)
            .map(|named| (named.name.clone(), named.signed_by.clone()))
            .collect(),
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
    let kernel = pinned.below.iter().find(|mount| is_kernel_type(&mount.fs_type));
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
        MountSource::Bind { path, owner, .. } => (Some(text(path)?), None, owner.is_chosen()),
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
    RecordedFilter { abi: native.oci_name().to_owned(), lets_run: hex(bits), notifies: profile.notifies() }
}

fn limits(limits: &Limits) -> RecordedLimits {
    RecordedLimits {
        memory: finite(limits.memory_max),
        swap: finite(limits.memory_swap_max),
        pids: finite(limits.pids_max),
        cpu_quota_us: finite(limits.cpu_quota_us),
        cpu_period_us: limits.cpu_period_us,
        io: limits.io_max.iter().any(throttles),
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
