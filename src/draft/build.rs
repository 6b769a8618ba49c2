//! Spec + HostFacts → Draft: the configuration, section by section.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};

use super::{
    Door, Draft, DraftDevice, DraftMount, Extras, HostFacts, MountSource, OwnerMap, Root, annotations,
    memory_policy, mounts, namespaces, net_devices, process, sysctl,
};
use crate::cgroup::{CgroupPath, DeviceRule, Limits, Rdt};
use crate::error::{Context, Error, Result};
use crate::plan::IdMaps;
use crate::seccomp::Profile;
use crate::sys::clone;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

/// A field that this version cannot honour: refused, never passed over.
pub(super) fn unsupported(field: &str) -> Error {
    Error::usage("not supported by this version of pinfold, and it is never ignored").field(field)
}

/// newgidmap(1), which maps several ids for who may map one alone, leaves setgroups(2) allowed.
fn setgroups_denied(maps: &IdMaps, facts: &HostFacts) -> bool {
    facts.setgroups_denied_below
        || (facts.setgroups_denied && (maps.has_one_id() || !facts.maps_own_ids_only))
}

/// Takes every decision of a launch.
///
/// # Errors
/// A value that is invalid or cannot be honoured, with its JSON pointer.
pub fn build(spec: &Spec, extras: &Extras, facts: &HostFacts) -> Result<Draft> {
    check_version(spec.version())?;
    let linux = spec.linux().clone().unwrap_or_default_for_draft();
    let (new_namespaces, join) = namespaces::namespaces(&linux)?;
    let (id_maps, joined_maps) = namespaces::id_maps(&linux, new_namespaces, &join)?;
    let time_offsets = namespaces::time_offsets(&linux, new_namespaces)?;
    let own = join.iter().fold(new_namespaces, |all, one| all | one.nstype);
    let own_user_namespace = own & clone::CLONE_NEWUSER != 0;
    let setting = process::Setting { door: extras.door, facts, own_user_namespace };
    let program = spec.process().as_ref().map(|given| process::process(given, setting)).transpose()?;
    let (program, warnings) = program.unzip();
    let user = program.as_ref().map(|program| (program.uid, program.gid));
    require_mount_namespace(new_namespaces, &join)?;
    let sysctls = linux.sysctl().as_ref().map(|map| sysctl::sysctls(map, own)).transpose()?;
    let ids = mounts::Ids::new((&id_maps, &joined_maps), &join, [user, facts.caller]);
    let mut mounts = mounts::mounts(spec.mounts().as_deref(), extras, &ids)?;
    if extras.door == Door::Oci && (own_user_namespace || facts.rootless) {
        mounts::show_the_hosts(&mut mounts, own, facts);
    }
    mounts::label(&mut mounts, linux.mount_label().as_deref(), facts)?;
    let devices = match brings_dev(&mounts) {
        true => vec![],
        false => devices(linux.devices().as_deref())?,
    };
    let inside = makes_groups(new_namespaces, &mounts, facts);
    let cgroup_owner = cgroup_owner(inside, id_maps.as_ref(), user, facts);
    Ok(Draft {
        door: extras.door,
        new_namespaces,
        rootless: facts.rootless,
        setgroups_denied: id_maps.as_ref().is_some_and(|maps| setgroups_denied(maps, facts)),
        brings_dev: brings_dev(&mounts),
        mounts,
        root: root(spec, extras, linux.rootfs_propagation().as_deref(), (id_maps.as_ref(), facts.caller))?,
        skeleton: extras.skeleton.clone(),
        devices,
        files: extras.files.clone(),
        hostname: name(spec.hostname().as_deref(), "/hostname", new_namespaces, &join)?,
        domainname: name(spec.domainname().as_deref(), "/domainname", new_namespaces, &join)?,
        sysctls: sysctls.unwrap_or_default(),
        masked_paths: paths(linux.masked_paths().as_deref(), "/linux/maskedPaths")?,
        readonly_paths: paths(linux.readonly_paths().as_deref(), "/linux/readonlyPaths")?,
        personality: personality(&linux)?,
        memory_policy: linux.memory_policy().as_ref().map(memory_policy::memory_policy).transpose()?,
        seccomp: seccomp(&linux, extras)?,
        landlock: landlock(spec, extras, facts)?,
        limits: Limits { all_controllers: inside, ..limits(&linux, extras, facts)? },
        cgroup_path: cgroup_path(linux.cgroups_path().as_deref())?,
        rdt: linux.intel_rdt().as_ref().map(Rdt::from_oci).transpose()?,
        cgroup_owner,
        init: extras.init,
        hooks: hooks(spec, extras)?,
        net_devices: net_devices::net_devices(&linux, new_namespaces, &join, facts)?,
        process: program,
        warnings: warnings.unwrap_or_default(),
        join,
        id_maps,
        joined_maps,
        time_offsets,
    })
}

/// `linux` absent: nothing is asked for. The crate's own default would be runc's template.
trait OrEmpty {
    fn unwrap_or_default_for_draft(self) -> oci_spec::runtime::Linux;
}

impl OrEmpty for Option<oci_spec::runtime::Linux> {
    fn unwrap_or_default_for_draft(self) -> oci_spec::runtime::Linux {
        self.unwrap_or_else(|| {
            let mut empty = oci_spec::runtime::Linux::default();
            empty
                .set_namespaces(None)
                .set_devices(None)
                .set_masked_paths(None)
                .set_readonly_paths(None)
                .set_resources(None)
                .set_uid_mappings(None)
                .set_gid_mappings(None)
                .set_mount_label(None)
                .set_cgroups_path(None)
                .set_sysctl(None)
                .set_seccomp(None)
                .set_rootfs_propagation(None)
                .set_intel_rdt(None)
                .set_personality(None)
                .set_time_offsets(None);
            empty
        })
    }
}

/// Any 1.x is accepted (runtime-spec, config.md "Specification version").
fn check_version(version: &str) -> Result<()> {
    let mut numbers = version.split(['-', '+']).next().unwrap_or_default().split('.');
    let sound = numbers.clone().count() == 3 && numbers.clone().all(|number| number.parse::<u32>().is_ok());
    match (sound, numbers.next()) {
        (true, Some("1")) => Ok(()),
        _ => Err(Error::usage("pinfold reads version 1.x of the runtime specification")
            .field("/ociVersion")
            .object(format!("`{version}`"))),
    }
}

/// `sandbox` is asked by options, and none of them names a hook.
fn hooks(spec: &Spec, extras: &Extras) -> Result<Vec<super::DraftHook>> {
    let hooks = super::hooks(spec)?;
    match (extras.door, hooks.is_empty()) {
        (Door::Oci, _) | (_, true) => Ok(hooks),
        (Door::Sandbox, false) => Err(Error::usage("a sandbox runs no hooks").field("/hooks")),
    }
}

/// Without a mount namespace of its own the container's mounts would be the host's.
fn require_mount_namespace(new: u64, join: &[super::Join]) -> Result<()> {
    match new & clone::CLONE_NEWNS != 0 || join.iter().any(|one| one.nstype == clone::CLONE_NEWNS) {
        true => Ok(()),
        false => Err(Error::usage("a mount namespace is needed: pinfold never mounts in the host's")
            .field("/linux/namespaces")),
    }
}

fn root(
    spec: &Spec,
    extras: &Extras,
    propagation: Option<&str>,
    (maps, caller): (Option<&IdMaps>, Option<(u32, u32)>),
) -> Result<Root> {
    let root = spec.root().as_ref();
    let directory = match extras.host_usr || extras.image.is_some() {
        true => None,
        false => Some(
            root.map(|root| root.path().clone()).filter(|path| !path.as_os_str().is_empty()).ok_or_else(
                || Error::usage("the configuration has no root file system").field("/root/path"),
            )?,
        ),
    };
    let readonly = root.and_then(oci_spec::runtime::Root::readonly).unwrap_or(false);
    let propagation = root_propagation(propagation)?;
    let owner = match (extras.root_idmapped, maps, caller) {
        // What is the caller's is shown as root's, and nothing else as anybody's.
        (true, Some(maps), Some(caller)) => {
            let root = mounts::outside(&maps.uids, 0).zip(mounts::outside(&maps.gids, 0));
            root.map_or(OwnerMap::Keep, |root| OwnerMap::Maps(IdMaps::one(caller, root)))
        }
        (true, Some(maps), None) => OwnerMap::Maps(maps.clone()),
        _ => OwnerMap::Keep,
    };
    // A directory of the host may hold device nodes and setuid files, and mounts below it
    // are not reached by the root's own read-only flag. runc leaves all of it as it is.
    let attrs = match extras.door {
        Door::Sandbox => MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY,
        Door::Oci => 0,
    };
    let image = extras.image.clone();
    Ok(Root { directory, image, size: extras.root_size, owner, readonly, propagation, attrs })
}

/// config-linux.md "Rootfs Mount Propagation"; the `r` forms as runc reads them.
fn root_propagation(text: Option<&str>) -> Result<u64> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(0) };
    let (recursive, plain) = match text.strip_prefix('r') {
        Some(plain) => (libc::MS_REC, plain),
        None => (0, text),
    };
    let flag = match plain {
        "private" => libc::MS_PRIVATE,
        "shared" => libc::MS_SHARED,
        "slave" => libc::MS_SLAVE,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => {
            return Err(Error::usage("one of shared, slave, private, unbindable")
                .field("/linux/rootfsPropagation")
                .object(format!("`{text}`")));
        }
    };
    Ok(flag | recursive)
}

fn name(text: Option<&str>, field: &str, new: u64, join: &[super::Join]) -> Result<Option<CString>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let own = new & clone::CLONE_NEWUTS != 0 || join.iter().any(|one| one.nstype == clone::CLONE_NEWUTS);
    if !own {
        let name = field.trim_start_matches('/');
        return Err(
            Error::usage(format!("unable to set {name} without a private UTS namespace")).field(field)
        );
    }
    CString::new(text).map(Some).map_err(|error| Error::usage(error.to_string()).field(field))
}

fn paths(list: Option<&[String]>, field: &str) -> Result<Vec<CString>> {
    let one = |(index, path): (usize, &String)| {
        let field = format!("{field}/{index}");
        if !path.starts_with('/') {
            return Err(Error::usage("must be an absolute path").field(field).object(format!("`{path}`")));
        }
        let clean = mounts::inside_root(std::path::Path::new(path)).at(field.clone())?;
        CString::new(clean.as_os_str().as_bytes())
            .map_err(|error| Error::usage(error.to_string()).field(field))
    };
    list.unwrap_or_default().iter().enumerate().map(one).collect()
}

fn personality(linux: &oci_spec::runtime::Linux) -> Result<Option<u32>> {
    let Some(personality) = linux.personality() else { return Ok(None) };
    if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(Error::usage("the specification defines no flags").field("/linux/personality/flags"));
    }
    Ok(Some(match personality.domain() {
        oci_spec::runtime::LinuxPersonalityDomain::PerLinux => 0,
        oci_spec::runtime::LinuxPersonalityDomain::PerLinux32 => 8,
    }))
}

/// A sandbox's filter that asks a supervisor is refused: its init would be held up by it, too.
fn seccomp(linux: &oci_spec::runtime::Linux, extras: &Extras) -> Result<Option<Profile>> {
    let profile = match (&extras.seccomp, linux.seccomp()) {
        (Some(profile), _) => Some(profile.clone()),
        (None, Some(given)) => Some(Profile::from_oci(given)?),
        (None, None) => None,
    };
    match extras.door == Door::Sandbox && profile.as_ref().is_some_and(Profile::notifies) {
        true => Err(unsupported("/linux/seccomp").object("SCMP_ACT_NOTIFY")),
        false => Ok(profile),
    }
}

fn landlock(spec: &Spec, extras: &Extras, facts: &HostFacts) -> Result<bool> {
    match extras.door {
        Door::Oci => annotations::landlock(spec.annotations().as_ref(), facts),
        Door::Sandbox => Ok(extras.landlock),
    }
}

/// The device list is always there for a container that root starts, as with runc: what
/// the configuration does not allow is denied, and the default devices come last. Without
/// privilege on the host no list can be set (bpf(2)), and no device node made either: such a
/// caller shows only devices that it may open itself. So does runc.
fn limits(linux: &oci_spec::runtime::Linux, extras: &Extras, facts: &HostFacts) -> Result<Limits> {
    let mut limits = linux.resources().as_ref().map(Limits::from_oci).transpose()?.unwrap_or_default();
    if facts.rootless {
        limits.devices = None;
    } else if extras.door == Door::Oci {
        limits.devices.get_or_insert_default().extend(DeviceRule::defaults());
    }
    Ok(limits)
}

/// Whether the container sees its cgroup as the root of a v2 tree that it may write.
fn makes_groups(new_namespaces: u64, mounts: &[DraftMount], facts: &HostFacts) -> bool {
    let writable = |mount: &DraftMount| {
        matches!(mount.source, MountSource::Cgroup)
            && mount.destination.as_os_str() == "/sys/fs/cgroup"
            && !mount.options.readonly()
    };
    let own = facts.cgroup_unified && new_namespaces & clone::CLONE_NEWCGROUP != 0;
    own && mounts.iter().any(writable)
}

/// config-linux.md "Cgroup ownership". Who started pinfold without privilege owns it already.
fn cgroup_owner(
    makes_groups: bool,
    maps: Option<&IdMaps>,
    user: Option<(u32, u32)>,
    facts: &HostFacts,
) -> Option<u32> {
    match makes_groups && !facts.rootless {
        true => mounts::outside(&maps?.uids, user?.0),
        false => None,
    }
}

fn cgroup_path(path: Option<&std::path::Path>) -> Result<Option<CgroupPath>> {
    let Some(text) = path.map(|path| path.to_string_lossy().into_owned()).filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    CgroupPath::parse(&text).map(Some).at("/linux/cgroupsPath")
}

/// config-linux.md "Default Devices": always there.
const DEFAULT_DEVICES: &[(&str, u32, u32)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// A /dev that is bound from the host has what it has: nothing is made in it, which would be
/// made on the host (runc's needsSetupDev).
fn brings_dev(mounts: &[DraftMount]) -> bool {
    let mut at_dev = mounts.iter().filter(|mount| mount.destination.as_os_str() == "/dev");
    at_dev.any(|mount| matches!(mount.source, MountSource::Bind { .. }))
}

fn devices(list: Option<&[LinuxDevice]>) -> Result<Vec<DraftDevice>> {
    let mut devices: Vec<DraftDevice> = vec![];
    for (index, device) in list.unwrap_or_default().iter().enumerate() {
        devices.push(one_device(device, &format!("/linux/devices/{index}"))?);
    }
    // A link to that of the container's own devpts, as under runc: engines list the host's devices.
    devices.retain(|device| device.path.as_os_str() != "/dev/ptmx");
    for (path, major, minor) in DEFAULT_DEVICES {
        if !devices.iter().any(|device| device.path.as_os_str() == *path) {
            devices.push(DraftDevice {
                field: String::new(),
                path: PathBuf::from(path),
                file_type: libc::S_IFCHR,
                major: *major,
                minor: *minor,
                mode: 0o666,
                owner: (0, 0),
            });
        }
    }
    Ok(devices)
}

fn one_device(device: &LinuxDevice, field: &str) -> Result<DraftDevice> {
    let file_type = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => {
            return Err(Error::usage("one of c, b, u, p").field(format!("{field}/type")));
        }
    };
    let number = |value: i64, name: &str| {
        u32::try_from(value).map_err(|error| Error::usage(error.to_string()).field(format!("{field}/{name}")))
    };
    Ok(DraftDevice {
        field: field.to_owned(),
        path: mounts::inside_root(device.path()).at(format!("{field}/path"))?,
        file_type,
        major: number(device.major(), "major")?,
        minor: number(device.minor(), "minor")?,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_a_sandbox_that_asks_a_supervisor_is_refused() {
        let with = |door: Door, action: &str| {
            let text = format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/s","syscalls":[{{"names":["uname"],"action":"{action}"}}]}}"#
            );
            let profile = Profile::from_json(&text).unwrap();
            seccomp(
                &oci_spec::runtime::Linux::default(),
                &Extras { door, seccomp: Some(profile), ..Extras::oci() },
            )
        };
        assert!(with(Door::Sandbox, "SCMP_ACT_ERRNO").is_ok());
        assert!(with(Door::Sandbox, "SCMP_ACT_NOTIFY").is_err());
        assert!(with(Door::Oci, "SCMP_ACT_NOTIFY").is_ok());
    }
}
