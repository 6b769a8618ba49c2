//! `mounts`: config.md "Mounts", config-linux.md "Default Filesystems".

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::{DraftMount, Extras, HostFacts, Join, MountSource, OwnerMap, mount_options, namespaces};
use crate::error::{Context, Error, Result};
use crate::plan::IdMaps;
use crate::sys::clone::{CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWUSER};

/// Whose ids the owners of sources are shown as.
#[derive(Default)]
pub(super) struct Ids<'a> {
    /// Of the new user namespace.
    pub maps: Option<&'a IdMaps>,
    /// What `idmap` without maps means.
    pub implied: Option<OwnerMap>,
    /// The program's.
    pub user: Option<(u32, u32)>,
    /// Of who came by sudo.
    pub caller: Option<(u32, u32)>,
}

impl<'a> Ids<'a> {
    /// A user namespace that is joined has maps that only its file tells; those that are `said` are compared with it.
    pub(super) fn new(
        (maps, said): (&'a Option<IdMaps>, &Option<IdMaps>),
        join: &[Join],
        [user, caller]: [Option<(u32, u32)>; 2],
    ) -> Self {
        let joins = join.iter().any(|one| one.nstype == CLONE_NEWUSER);
        let implied = match maps.as_ref().or(said.as_ref()) {
            Some(maps) => Some(OwnerMap::Maps(maps.clone())),
            None => joins.then_some(OwnerMap::OfJoined),
        };
        Self { maps: maps.as_ref(), implied, user, caller }
    }
}

/// Reads all mounts, in their order.
pub(super) fn mounts(list: Option<&[Mount]>, extras: &Extras, ids: &Ids<'_>) -> Result<Vec<DraftMount>> {
    let mut mounts = vec![];
    for (index, mount) in list.unwrap_or_default().iter().enumerate() {
        let field = format!("/mounts/{index}");
        let owner_mapped = extras.owner_mapped.contains(&index);
        let mut draft = one(mount, &field, ids.implied.as_ref())
            .and_then(check_procfs)
            .map_err(|error| prefix_field(error, &field))
            .on(mount.destination().display())?;
        if let (true, MountSource::Bind { owner, .. }) = (owner_mapped, &mut draft.source) {
            *owner = shown_as_user(ids);
        }
        draft.own = extras.own.contains(&index);
        if matches!(draft.source, MountSource::Present) && !draft.options.bind {
            reconfigure(&draft, &mut mounts)?;
        }
        mounts.push(draft);
    }
    Ok(mounts)
}

/// `remount` without `bind` also changes options of the filesystem itself. That is done to
/// one that this launch makes, and when it makes it: any other has it in common with the host
/// or with other containers.
fn reconfigure(remount: &DraftMount, earlier: &mut [DraftMount]) -> Result<()> {
    let field = || format!("{}/options", remount.field);
    let found = earlier.iter_mut().rfind(|mount| mount.covers(remount));
    match found.filter(|mount| mount.destination == remount.destination) {
        Some(DraftMount { source: MountSource::Fresh(_), options, .. }) => {
            options.data.extend(remount.options.data.iter().filter(|(key, _)| key != "source").cloned());
            Ok(())
        }
        _ => Err(Error::usage(
            "`remount` without `bind` would change a filesystem that is not the container's own",
        )
        .field(field())
        .object(remount.destination.display())
        .hint("with `bind` it changes the flags of the mount alone")),
    }
}

/// A new sysfs belongs to the network namespace and a new cgroup tree to the cgroup namespace.
/// In a user namespace nobody may make one for a namespace of the host's, `own` are the others: then the host's own is
/// shown, as crun does for both and runc for cgroup2. v1 hierarchies are bound one by one where
/// the caller may (`resolve::cgroup_mounts`).
pub(super) fn show_the_hosts(mounts: &mut [DraftMount], own: u64, facts: &HostFacts) {
    for mount in mounts {
        let path = match &mount.source {
            MountSource::Fresh(fstype) if fstype == "sysfs" && own & CLONE_NEWNET == 0 => "/sys",
            MountSource::Cgroup if own & CLONE_NEWCGROUP == 0 && (facts.rootless || facts.cgroup_unified) => {
                "/sys/fs/cgroup"
            }
            _ => continue,
        };
        let options = &mut mount.options;
        (options.bind, options.recursive) = (true, true);
        options.data.clear();
        mount.source = MountSource::Bind { path: path.into(), owner: OwnerMap::Keep, optional: false };
    }
}

/// `linux.mountLabel`: the SELinux context of every new filesystem that can have one.
pub(super) fn label(mounts: &mut [DraftMount], label: Option<&str>, facts: &HostFacts) -> Result<()> {
    let Some(label) = label.filter(|label| !label.is_empty()) else { return Ok(()) };
    if !facts.selinux {
        // runc's words for the label of a process.
        return Err(Error::usage(
            "selinux label is specified in config, but selinux is disabled or not supported",
        )
        .field("/linux/mountLabel"));
    }
    for mount in mounts {
        match &mount.source {
            // These have labels of the policy's own (runc).
            MountSource::Fresh(fstype) if matches!(fstype.as_str(), "proc" | "sysfs" | "mqueue") => {}
            MountSource::Fresh(_) => {
                mount.options.data.push(("context".to_owned(), Some(label.to_owned())));
            }
            MountSource::Bind { .. } | MountSource::Cgroup | MountSource::Present => {}
        }
    }
    Ok(())
}

fn prefix_field(error: Error, field: &str) -> Error {
    match error.field_name() {
        Some(own) if own.starts_with("/mounts/") => error,
        Some(own) => {
            let whole = format!("{field}{own}");
            error.replace_field(whole)
        }
        None => error.field(field),
    }
}

/// The source's owner is shown as the sandbox user: its host id is what the container's
/// map says of the user's id. For who came by sudo only what is their own is shown so: as the
/// owner of what is somebody else's, the program could do more with it than they.
fn shown_as_user(ids: &Ids<'_>) -> OwnerMap {
    let (Some(maps), Some((uid, gid))) = (ids.maps, ids.user) else { return OwnerMap::Keep };
    match (outside(&maps.uids, uid), outside(&maps.gids, gid)) {
        (Some(uid), Some(gid)) => match ids.caller {
            Some(caller) => OwnerMap::Maps(IdMaps::one(caller, (uid, gid))),
            None => OwnerMap::SourceOwnerIs(uid, gid),
        },
        _ => OwnerMap::Keep,
    }
}

/// The id outside for an id inside, where the ranges map it.
pub(super) fn outside(ranges: &[crate::plan::IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|range| id >= range.inside && id - range.inside < range.size)?;
    range.outside.checked_add(id - range.inside)
}

fn one(mount: &Mount, field: &str, implied: Option<&OwnerMap>) -> Result<DraftMount> {
    let mut options = mount_options::parse(mount.options().as_deref().unwrap_or_default())?;
    let typ = mount.typ().as_deref().unwrap_or_default();
    options.bind |= typ == "bind";
    if options.tmpcopyup && (options.bind || typ != "tmpfs") {
        return Err(Error::usage("`tmpcopyup` is for tmpfs").field("/options"));
    }
    let destination = inside_root(mount.destination()).at("/destination")?;
    let owner = owner_map(mount, &options, implied)?;
    let source = match (options.bind, typ) {
        _ if options.remount => MountSource::Present,
        (true, _) => {
            let path = mount
                .source()
                .clone()
                .ok_or_else(|| Error::usage("a bind needs a source").field("/source"))?;
            if path.as_os_str().is_empty() {
                return Err(Error::usage("a bind needs a source").field("/source"));
            }
            MountSource::Bind { path, owner, optional: false }
        }
        (false, "cgroup" | "cgroup2") => MountSource::Cgroup,
        (false, "" | "none") => {
            return Err(Error::usage("neither a type nor `bind` among the options").field("/type"));
        }
        (false, _) if owner != OwnerMap::Keep => {
            return Err(Error::usage("id maps are for bind mounts").field("/uidMappings"));
        }
        (false, typ) => MountSource::Fresh(typ.to_owned()),
    };
    if !options.bind && !options.remount && source_matters(typ) {
        let text = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
        options.data.extend(text.map(|text| ("source".to_owned(), Some(text))));
    }
    Ok(DraftMount { field: field.to_owned(), destination, source, options, own: false })
}

/// Files of /proc that may be covered: what lxcfs and engines show instead of the host's numbers (runc).
const IN_PROC: &[&str] = &[
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// Nothing else is mounted below /proc, and at /proc only a procfs: labels and sysctls are written
/// through it, and a container could catch them (CVE-2019-16884).
fn check_procfs(mount: DraftMount) -> Result<DraftMount> {
    let Ok(below) = mount.destination.strip_prefix("/proc") else { return Ok(mount) };
    let place = mount.destination.display();
    let allowed = match &mount.source {
        MountSource::Present => true,
        _ if IN_PROC.iter().any(|name| below == Path::new(name)) => true,
        MountSource::Bind { .. } => below == Path::new(""),
        MountSource::Fresh(fstype) => below == Path::new("") && fstype == "proc",
        MountSource::Cgroup => false,
    };
    match (allowed, below == Path::new("")) {
        (true, _) => Ok(mount),
        (false, true) => {
            Err(Error::usage(format!("{place:?} cannot be mounted because it is not of type proc"))
                .field("/type"))
        }
        (false, false) => {
            Err(Error::usage(format!("{place:?} cannot be mounted because it is inside /proc"))
                .field("/destination"))
        }
    }
}

/// The kernel shows the source of a tmpfs in mountinfo; the others name themselves.
fn source_matters(typ: &str) -> bool {
    !matches!(typ, "cgroup" | "cgroup2")
}

fn owner_map(
    mount: &Mount,
    options: &mount_options::MountOptions,
    implied: Option<&OwnerMap>,
) -> Result<OwnerMap> {
    let uids = namespaces::ranges(mount.uid_mappings().as_deref(), "/uidMappings")?;
    let gids = namespaces::ranges(mount.gid_mappings().as_deref(), "/gidMappings")?;
    let asked = options.idmap || options.ridmap;
    match (uids.is_empty(), gids.is_empty(), implied) {
        (false, false, _) => Ok(OwnerMap::Maps(IdMaps { uids, gids })),
        (true, false, _) => {
            Err(Error::usage("must be given together with gidMappings").field("/uidMappings"))
        }
        (false, true, _) => {
            Err(Error::usage("must be given together with uidMappings").field("/gidMappings"))
        }
        (true, true, Some(implied)) if asked => Ok(implied.clone()),
        (true, true, None) if asked => {
            Err(Error::usage("`idmap` needs mappings or a user namespace of its own").field("/options"))
        }
        (true, true, _) => Ok(OwnerMap::Keep),
    }
}

/// A destination as an absolute path; a relative one is read from `/` (config.md).
/// `..` is resolved as in a path that never leaves the root.
pub(super) fn inside_root(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    match path.as_os_str().is_empty() {
        true => Err(Error::usage("must not be empty")),
        false => Ok(clean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn read(text: &str) -> Result<Vec<DraftMount>> {
        let list: Vec<Mount> = serde_json::from_str(text).unwrap();
        mounts(Some(&list), &Extras::oci(), &Ids::default())
    }

    fn refused(text: &str) -> String {
        read(text).err().map(|error: Error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_label_is_for_what_is_new_and_needs_selinux() {
        let list = r#"[{"destination":"/t","type":"tmpfs"},{"destination":"/p","type":"proc"},
                       {"destination":"/b","source":"/x","options":["bind"]}]"#;
        let labelled = |selinux, text: Option<&str>| {
            let mut mounts = read(list).unwrap();
            let facts = HostFacts { selinux, ..HostFacts::default() };
            label(&mut mounts, text, &facts).map(|()| {
                let has = |mount: &DraftMount| mount.options.data.iter().any(|(key, _)| key == "context");
                mounts.iter().map(has).collect::<Vec<_>>()
            })
        };
        assert_eq!(labelled(true, Some("system_u:object_r:x:s0")).unwrap(), [true, false, false]);
        assert_eq!(labelled(false, None).unwrap(), [false, false, false]);
        assert_eq!(labelled(false, Some("")).unwrap(), [false, false, false]);
        let error = labelled(false, Some("x")).unwrap_err();
        assert_eq!(error.field_name(), Some("/linux/mountLabel"));
        assert!(error.to_string().contains("selinux is disabled or not supported"));
    }

    #[test]
    fn remounting_a_filesystem_is_for_what_the_launch_makes() {
        let list = r#"[{"destination":"/t","type":"tmpfs","source":"t","options":["size=1m"]},
                       {"destination":"/t","type":"tmpfs","source":"u","options":["remount","size=2m","ro"]}]"#;
        let mounts = read(list).unwrap();
        let sizes: Vec<_> =
            mounts[0].options.data.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert_eq!(sizes, [("size", Some("1m")), ("source", Some("t")), ("size", Some("2m"))]);
        assert!(matches!(mounts[1].source, MountSource::Present));
        let rows = [
            (r#"[{"destination":"/t","type":"tmpfs","options":["remount"]}]"#, "/mounts/0/options"),
            (
                r#"[{"destination":"/t","source":"/x","options":["bind"]},{"destination":"/t","options":["remount"]}]"#,
                "/mounts/1/options",
            ),
            (
                r#"[{"destination":"/t/a","type":"tmpfs"},{"destination":"/t","type":"tmpfs"},
                    {"destination":"/t/a","options":["remount"]}]"#,
                "/mounts/2/options",
            ),
            (r#"[{"destination":"/t","type":"ramfs","options":["tmpcopyup"]}]"#, "/mounts/0/options"),
            (r#"[{"destination":"/t","source":"/x","options":["bind","tmpcopyup"]}]"#, "/mounts/0/options"),
        ];
        for (text, field) in rows {
            assert!(refused(text).starts_with(field), "{text}: {}", refused(text));
        }
        assert!(read(r#"[{"destination":"/t","options":["remount","bind","ro"]}]"#).is_ok());
    }

    #[test]
    fn maps_of_a_mount_come_in_pairs_and_need_something_to_map_to() {
        let with = |rest: &str| format!(r#"[{{"destination":"/t","source":"/x",{rest}}}]"#);
        let map = r#"[{"containerID":0,"hostID":1000,"size":1},{"containerID":5,"hostID":2000,"size":2}]"#;
        let both = format!(r#""options":["bind"],"uidMappings":{map},"gidMappings":{map}"#);
        let mounts = read(&with(&both)).unwrap();
        let MountSource::Bind { owner: OwnerMap::Maps(maps), .. } = &mounts[0].source else {
            panic!("{mounts:?}")
        };
        assert_eq!((maps.uids.len(), maps.gids.len()), (2, 2));
        for (rest, field) in [
            (format!(r#""options":["bind"],"uidMappings":{map}"#), "/mounts/0/gidMappings"),
            (format!(r#""options":["bind"],"gidMappings":{map}"#), "/mounts/0/uidMappings"),
            (r#""options":["bind","idmap"]"#.to_owned(), "/mounts/0/options"),
            (r#""options":["rbind","ridmap"]"#.to_owned(), "/mounts/0/options"),
        ] {
            assert!(refused(&with(&rest)).starts_with(field), "{rest}: {}", refused(&with(&rest)));
        }
    }

    #[test]
    fn a_map_that_is_implied_is_that_of_the_user_namespace() {
        let list = r#"[{"destination":"/t","source":"/x","options":["bind","idmap"]}]"#;
        let list: Vec<Mount> = serde_json::from_str(list).unwrap();
        let own = IdMaps::one((0, 0), (5, 6));
        let join = Join { nstype: CLONE_NEWUSER, name: "user", path: "/u".into(), field: String::new() };
        let (owned, joined) = (OwnerMap::Maps(own.clone()), OwnerMap::OfJoined);
        for (maps, said, join, implied) in [
            (Some(own.clone()), None, vec![], Some(&owned)),
            (None, Some(own), vec![join.clone()], Some(&owned)),
            (None, None, vec![join.clone()], Some(&joined)),
            (None, None, vec![Join { nstype: CLONE_NEWNET, ..join }], None),
        ] {
            let mounts = mounts(Some(&list), &Extras::oci(), &Ids::new((&maps, &said), &join, [None, None]));
            match (mounts.as_deref(), implied) {
                (Ok([DraftMount { source: MountSource::Bind { owner, .. }, .. }]), Some(implied)) => {
                    assert_eq!(owner, implied);
                    assert!(owner.is_chosen(), "to the policy it is the configuration's choice");
                }
                (Err(_), None) => {}
                (mounts, _) => panic!("{mounts:?}"),
            }
        }
    }

    #[test]
    fn a_user_namespace_shows_the_hosts_where_it_may_make_none() {
        let list = r#"[{"destination":"/sys","type":"sysfs","options":["ro"]},
                       {"destination":"/sys/fs/cgroup","type":"cgroup"}]"#;
        let both = CLONE_NEWNET | CLONE_NEWCGROUP;
        for (rootless, own, cgroup_unified, shown) in [
            (true, 0, true, [true, true]),
            (true, 0, false, [true, true]),
            (false, 0, false, [true, false]),
            (false, 0, true, [true, true]),
            (true, CLONE_NEWNET, true, [false, true]),
            (true, CLONE_NEWCGROUP, true, [true, false]),
            (true, both, true, [false, false]),
        ] {
            let mut mounts = read(list).unwrap();
            let facts = HostFacts { cgroup_unified, rootless, ..HostFacts::default() };
            show_the_hosts(&mut mounts, own, &facts);
            let bound: Vec<_> =
                mounts.iter().map(|mount| matches!(mount.source, MountSource::Bind { .. })).collect();
            assert_eq!(bound, shown, "{rootless} {own:#x} {cgroup_unified}");
            assert!(mounts[0].options.readonly());
        }
    }

    #[test]
    fn proc_is_covered_by_little() {
        let rows = [
            (r#"{"destination":"/proc","type":"proc"}"#, true),
            (r#"{"destination":"/proc","source":"/proc","options":["rbind"]}"#, true),
            (r#"{"destination":"/proc","type":"tmpfs"}"#, false),
            (r#"{"destination":"proc/.","type":"sysfs"}"#, false),
            (r#"{"destination":"/proc/sys","type":"proc"}"#, false),
            (r#"{"destination":"/proc/self/../cpuinfo","source":"/x","options":["bind"]}"#, true),
            (r#"{"destination":"/proc/net/dev","source":"/x","options":["bind"]}"#, true),
            (r#"{"destination":"/proc/net","source":"/x","options":["bind"]}"#, false),
            (r#"{"destination":"/proc/cpuinfo/x","source":"/x","options":["bind"]}"#, false),
            (r#"{"destination":"/proc/sys/kernel/ns_last_pid","source":"/x","options":["bind"]}"#, true),
            (r#"{"destination":"/proc/self/attr","type":"cgroup"}"#, false),
            (r#"{"destination":"/process","type":"tmpfs"}"#, true),
        ];
        for (mount, allowed) in rows {
            assert_eq!(read(&format!("[{mount}]")).is_ok(), allowed, "{mount}");
        }
    }

    #[test]
    fn a_relative_destination_begins_at_the_root() {
        for (given, clean) in [("mnt/a", "/mnt/a"), ("./x/../y", "/y"), ("/../..", "/"), ("/a//b/.", "/a/b")]
        {
            assert_eq!(inside_root(Path::new(given)).unwrap(), Path::new(clean), "{given}");
        }
        assert!(inside_root(Path::new("")).is_err());
    }
}
