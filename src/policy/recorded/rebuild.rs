//! From a record back to what the judge takes: a Draft of a plain configuration, over which the
//! recorded parts are written, and Facts whose descriptors lead nowhere.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;

use super::{Opened, Range, Recorded, RecordedFilter, RecordedHook, RecordedMount, RecordedProcess};
use crate::cgroup::{Amount, CgroupPath, DeviceAccess, DeviceKind, DeviceRule, IoMax, Limits};
use crate::draft::{
    self, Door, Draft, DraftDevice, DraftHook, DraftMount, DraftSysctl, Extras, HostFacts, ImageName,
    ImageRoot, Join, JudgedHook, MountOptions, MountSource, OwnerMap, Process,
};
use crate::error::{Call, Error, Result};
use crate::plan::{HookKind, IdMaps, IdRange, Labels, NetDevice, Scheduling};
use crate::policy::request::Request;
use crate::policy::rules::Verb;
use crate::resolve::{Barred, Facts, Identity, Pinned, Submount};
use crate::seccomp::{Action, Arch, Call as SystemCall, Profile, Rule};
use crate::sys::caller::Caller;
use crate::sys::caps::CapSets;
use crate::sys::{ioprio, sched};

/// What the judge takes.
pub(super) struct Rebuilt {
    pub draft: Draft,
    pub facts: Facts,
    pub request: Request,
}

impl Recorded {
    /// Rebuilds it; `environment` are the names of the variables.
    ///
    /// # Errors
    /// Something that pinfold does not write.
    pub(super) fn rebuild(&self, environment: &[String], null: &OwnedFd) -> Result<Rebuilt> {
        let verb = Verb::ALL
            .into_iter()
            .find(|(name, _)| *name == self.verb)
            .map(|(_, verb)| verb)
            .ok_or_else(|| Error::usage("another verb"))?;
        Ok(Rebuilt {
            draft: self.draft(verb, environment, null)?,
            facts: self.facts(null)?,
            request: self.request(verb)?,
        })
    }

    fn request(&self, verb: Verb) -> Result<Request> {
        let caller = self.caller.as_ref();
        Ok(Request {
            preserved_fds: self.preserved_fds,
            own_keyring: !self.callers_keyring,
            pivot: !self.no_pivot,
            annotations: self
                .annotations
                .iter()
                .map(|name| (name.clone(), String::new()))
                .collect::<BTreeMap<_, _>>(),
            timeout: self.timeout_ms.map(Duration::from_millis),
            stdout_max: self.stdout_max,
            stderr_max: self.stderr_max,
            report: self.report.as_ref().map(PathBuf::from),
            degraded: self.degraded.clone(),
            has_cgroup: self.has_cgroup,
            has_unit: self.has_unit,
            running: self.running.unwrap_or(0),
            caller: caller.map(|(uid, gid, groups)| Caller { uid: *uid, gid: *gid, groups: groups.clone() }),
            cgroup_place: self.cgroup_place.as_deref().map(CgroupPath::parse).transpose()?,
            ..Request::new(verb, self.base.clone().into(), self.state_root.clone().into())
        })
    }

    fn draft(&self, verb: Verb, environment: &[String], null: &OwnedFd) -> Result<Draft> {
        let mut draft = plain()?;
        draft.door = if verb == Verb::Sandbox { Door::Sandbox } else { Door::Oci };
        draft.new_namespaces = self.new_namespaces;
        draft.rootless = self.rootless;
        draft.id_maps = maps(self.uid_maps.as_ref(), self.gid_maps.as_ref());
        draft.root.directory = self.root.directory.as_ref().map(PathBuf::from);
        draft.root.image = self.root.image.as_ref().map(|digest| ImageRoot {
            digest: digest.clone(),
            layers: 0,
            names: self.root.image_names.iter().map(image_name).collect(),
        });
        draft.root.readonly = self.root.readonly;
        draft.root.propagation = self.root.propagation;
        draft.mounts = self.mounts.iter().map(mount).collect();
        draft.join = self
            .joins
            .iter()
            .map(|join| Join {
                nstype: join.nstype,
                name: "",
                path: join.path.clone().into(),
                field: join.field.clone(),
            })
            .collect();
        draft.devices = self
            .devices
            .iter()
            .map(|(field, file_type, major, minor)| DraftDevice {
                field: field.clone(),
                path: PathBuf::new(),
                file_type: *file_type,
                major: *major,
                minor: *minor,
                mode: 0,
                owner: (0, 0),
            })
            .collect();
        draft.sysctls = self.sysctls.iter().map(sysctl).collect::<Result<_>>()?;
        draft.masked_paths = texts(&self.masked_paths)?;
        draft.readonly_paths = texts(&self.readonly_paths)?;
        draft.personality = Some(self.personality);
        draft.process = match &self.process {
            Some(recorded) => Some(process(recorded, environment)?),
            None => None,
        };
        draft.seccomp = self.seccomp.as_ref().map(profile);
        draft.landlock = self.landlock;
        draft.limits = self.limits();
        draft.cgroup_path = self.cgroup_path.as_deref().map(CgroupPath::parse).transpose()?;
        draft.rdt = self.rdt.then(Default::default);
        draft.net_devices = self
            .net_devices
            .iter()
            .map(|(field, name)| NetDevice { host_name: name.clone(), name: None, field: field.clone() })
            .collect();
        draft.hooks = self.hooks.iter().map(|one| hook(one, null)).collect::<Result<_>>()?;
        Ok(draft)
    }

    fn limits(&self) -> Limits {
        let recorded = &self.limits;
        let throttle = IoMax { rbps: Some(Amount::Value(1)), ..IoMax::default() };
        // A rule that does not allow is not judged; it keeps the places of the others.
        let most = recorded.devices.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        let at = |index: usize| recorded.devices.iter().find(|(place, _)| *place == index);
        let denied = |index: usize| at(index).map(|(_, rule)| *rule);
        let filler = DeviceRule {
            allow: false,
            kind: DeviceKind::All,
            major: None,
            minor: None,
            access: DeviceAccess::ALL,
        };
        Limits {
            memory_max: recorded.memory.map(Amount::Value),
            memory_swap_max: recorded.swap.map(Amount::Value),
            pids_max: recorded.pids.map(Amount::Value),
            cpu_quota_us: recorded.cpu_quota_us.map(Amount::Value),
            cpu_period_us: recorded.cpu_period_us,
            io_max: recorded.io.then_some(throttle).into_iter().collect(),
            unified: recorded.unified.iter().map(|name| (name.clone(), String::new())).collect(),
            cpu_rt_runtime_us: recorded.realtime.then_some(1),
            oom_kill_disable: recorded.oom_kill_disable,
            devices: Some((0..most.min(4096)).map(|index| denied(index).unwrap_or(filler)).collect()),
            ..Limits::default()
        }
    }

    fn facts(&self, null: &OwnedFd) -> Result<Facts> {
        let mut facts = Facts {
            root: self.root.opened.as_ref().map(|found| pinned(found, null)).transpose()?,
            joined_maps: maps(self.joined_uid_maps.as_ref(), self.joined_gid_maps.as_ref()),
            ..Facts::default()
        };
        for mount in &self.mounts {
            facts.binds.push(mount.opened.as_ref().map(|found| pinned(found, null)).transpose()?);
        }
        facts.barred = self
            .barred
            .iter()
            .map(|(field, errno)| Barred { field: field.clone(), errno: Errno::from_raw(*errno) })
            .collect();
        for one in &self.hooks {
            facts.hooks.push(file(one, null)?);
        }
        facts.of_the_host =
            self.joins.iter().enumerate().filter(|(_, join)| join.of_the_host).map(|(at, _)| at).collect();
        Ok(facts)
    }
}

/// A Draft in which nothing is asked for.
fn plain() -> Result<Draft> {
    let config = serde_json::json!({
        "ociVersion": "1.3.0",
        "process": {"args": ["x"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "root": {"path": "/"},
        "linux": {"namespaces": [{"type": "mount"}]},
    });
    let spec = serde_json::from_value(config).map_err(|error| Error::internal(error.to_string()))?;
    let mut draft = draft::build(&spec, &Extras::oci(), &HostFacts::default())?;
    draft.devices.clear();
    Ok(draft)
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|error| Error::usage(error.to_string()))
}

fn texts(all: &[String]) -> Result<Vec<CString>> {
    all.iter().map(|one| c_string(one)).collect()
}

fn maps(uids: Option<&Vec<Range>>, gids: Option<&Vec<Range>>) -> Option<IdMaps> {
    let ranges = |ranges: &Vec<Range>| {
        let range =
            |(inside, outside, size): &Range| IdRange { inside: *inside, outside: *outside, size: *size };
        ranges.iter().map(range).collect()
    };
    (uids.is_some() || gids.is_some()).then(|| IdMaps {
        uids: uids.map(ranges).unwrap_or_default(),
        gids: gids.map(ranges).unwrap_or_default(),
    })
}

fn mount(recorded: &RecordedMount) -> DraftMount {
    let source = match (&recorded.source, recorded.filesystem.as_deref()) {
        (Some(path), _) => MountSource::Bind {
            path: path.into(),
            owner: if recorded.idmapped { OwnerMap::Maps(IdMaps::default()) } else { OwnerMap::Keep },
            optional: false,
        },
        (None, Some("cgroup")) => MountSource::Cgroup,
        (None, Some(name)) => MountSource::Fresh(name.to_owned()),
        (None, None) => MountSource::Present,
    };
    let mut options = MountOptions { recursive: recorded.recursive, ..MountOptions::default() };
    (options.attr.set, options.attr.clear) = (recorded.set, recorded.clear);
    (options.recursive_attr.set, options.recursive_attr.clear) =
        (recorded.recursive_set, recorded.recursive_clear);
    options.propagation.clone_from(&recorded.propagation);
    options.data = recorded.data.iter().map(|name| (name.clone(), None)).collect();
    options.tmpcopyup = recorded.tmpcopyup;
    DraftMount {
        field: recorded.field.clone(),
        destination: recorded.destination.clone().into(),
        source,
        options,
        own: recorded.own,
    }
}

fn sysctl((field, path): &(String, String)) -> Result<DraftSysctl> {
    let (path, value) = (c_string(path)?, CString::default());
    Ok(DraftSysctl { name: String::new(), path, value, field: field.clone(), namespace: 0 })
}

fn process(recorded: &RecordedProcess, environment: &[String]) -> Result<Process> {
    let attr = sched::SchedAttr { policy: sched::SCHED_OTHER, nice: -1, ..sched::SchedAttr::default() };
    Ok(Process {
        args: vec![],
        env: texts(environment)?,
        cwd: recorded.cwd.clone().into(),
        uid: recorded.uid,
        gid: recorded.gid,
        groups: recorded.groups.clone(),
        umask: 0,
        caps: CapSets {
            effective: recorded.effective,
            permitted: recorded.permitted,
            inheritable: recorded.inheritable,
        },
        bounding: recorded.bounding,
        ambient: recorded.ambient,
        no_new_privs: recorded.no_new_privs,
        rlimits: recorded.rlimits.iter().map(|(resource, hard)| (*resource, *hard, *hard)).collect(),
        scheduling: Scheduling {
            attr: recorded.urgent.then_some(attr),
            io_priority: recorded.urgent_io.then_some((ioprio::IOPRIO_CLASS_RT, 0)),
            ..Scheduling::default()
        },
        oom_score_adj: recorded.oom_score_adj,
        labels: Labels { apparmor: recorded.apparmor.clone(), selinux: recorded.selinux.clone() },
        terminal: false,
        console_size: None,
    })
}

/// A filter that lets the recorded calls run, and no others: of this machine's ABI alone.
fn profile(recorded: &RecordedFilter) -> Profile {
    let runs = |number: u32| {
        let at = usize::try_from(number / 8).unwrap_or(usize::MAX).saturating_mul(2);
        let digits = recorded.lets_run.get(at..at.saturating_add(2));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
        byte >> (number % 8) & 1 == 1
    };
    let native =
        |call: &&'static SystemCall| Arch::NATIVE.and_then(|native| call.number(native)).is_some_and(runs);
    let calls = SystemCall::all().iter().filter(native).collect();
    let mut rules = vec![Rule { calls, action: Action::Allow, conditions: vec![] }];
    if recorded.notifies {
        rules.push(Rule { calls: vec![], action: Action::Notify, conditions: vec![] });
    }
    Profile {
        default_action: Action::KillProcess,
        architectures: vec![],
        flags: vec![],
        listener_path: None,
        listener_metadata: None,
        rules,
        unknown_names: vec![],
    }
}

fn image_name((name, signed_by): &(String, Vec<String>)) -> ImageName {
    ImageName { name: name.clone(), signed_by: signed_by.clone() }
}

fn hook(recorded: &RecordedHook, null: &OwnedFd) -> Result<DraftHook> {
    use HookKind::{CreateContainer, CreateRuntime, Poststart, Poststop, Prestart, StartContainer};
    let kinds = [Prestart, CreateRuntime, CreateContainer, StartContainer, Poststart, Poststop];
    let kind = kinds.into_iter().find(|kind| *kind as u8 == recorded.kind);
    Ok(DraftHook {
        field: recorded.field.clone(),
        kind: kind.ok_or_else(|| Error::usage("a hook of another kind"))?,
        index: 0,
        path: c_string(&recorded.path)?,
        judged: file(recorded, null)?,
        args: texts(&recorded.args)?,
        env: vec![],
        env_absent: false,
        timeout_ms: None,
    })
}

fn file(recorded: &RecordedHook, null: &OwnedFd) -> Result<Option<JudgedHook>> {
    let Some(sha256) = &recorded.sha256 else { return Ok(None) };
    Ok(Some(JudgedHook { program: Arc::new(nowhere(null)?), sha256: sha256.clone() }))
}

fn nowhere(null: &OwnedFd) -> Result<OwnedFd> {
    crate::sys::file::duplicate(null.as_fd()).call("fcntl")
}

fn pinned(found: &Opened, null: &OwnedFd) -> Result<Pinned> {
    Ok(Pinned {
        fd: nowhere(null)?,
        identity: Identity {
            path: found.path.clone().into(),
            dev: 0,
            ino: 0,
            mnt_id: 0,
            file_type: found.file_type,
            uid: found.uid,
            gid: 0,
            fs_magic: found.fs_magic,
            rdev: found.rdev,
        },
        below: found
            .below
            .iter()
            .map(|(place, fs_type)| Submount { place: place.into(), fs_type: fs_type.clone() })
            .collect(),
        links: vec![],
        nlink: found.nlink,
        mount_point: found.mount_point.as_ref().map(PathBuf::from),
    })
}
