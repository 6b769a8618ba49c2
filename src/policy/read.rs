//! From the text of a policy to its rules, section by section, with the defaults of
//! docs/policy.md.

use std::path::PathBuf;

use super::rules::{
    Access, AnnotationRules, At, BindGrant, BindGrants, Bound, CapabilityRules, Caps, DeviceGrant, ExecRules,
    HookGrant, Ids, JoinGrant, Key, Keyring, LimitRules, MountRules, Names, NamespaceRules, Network, Places,
    ProcessRules, RlimitRules, RootRules, Rules, SeccompRules, SignatureGrant, SignatureKey, UserRules, Verb,
};
use super::text::{Filling, Section, Setting, Unit, choice};
use crate::cgroup::{DeviceKind, DeviceRule};
use crate::error::Result;
use crate::seccomp::table::Call;
use crate::sys::clone as ns;
use crate::sys::mount as attr;

/// No account of a system or of a person is this high.
pub(super) const FIRST_FREE_ID: u32 = 65536;
const LAST_ID: u32 = u32::MAX - 1;

/// The namespaces by their names in a configuration.
pub(super) const NAMESPACES: [(&str, u64); 8] = [
    ("mount", ns::CLONE_NEWNS),
    ("pid", ns::CLONE_NEWPID),
    ("ipc", ns::CLONE_NEWIPC),
    ("uts", ns::CLONE_NEWUTS),
    ("cgroup", ns::CLONE_NEWCGROUP),
    ("user", ns::CLONE_NEWUSER),
    ("time", ns::CLONE_NEWTIME),
    ("network", ns::CLONE_NEWNET),
];

/// The flags of `floor`.
pub(super) const FLOOR: [(&str, u64); 4] = [
    ("nosuid", attr::MOUNT_ATTR_NOSUID),
    ("nodev", attr::MOUNT_ATTR_NODEV),
    ("noexec", attr::MOUNT_ATTR_NOEXEC),
    ("nosymfollow", attr::MOUNT_ATTR_NOSYMFOLLOW),
];

/// File types by their names.
pub(super) const TYPES: [(&str, u32); 4] = [
    ("directory", libc::S_IFDIR),
    ("file", libc::S_IFREG),
    ("socket", libc::S_IFSOCK),
    ("fifo", libc::S_IFIFO),
];

/// Propagation without MS_REC; 0 is private.
pub(super) const PROPAGATION: [(&str, u64); 4] = [
    ("private", 0),
    ("slave", libc::MS_SLAVE),
    ("shared", libc::MS_SHARED),
    ("unbindable", libc::MS_UNBINDABLE),
];

const FILESYSTEMS: [&str; 7] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"];

/// The kernel's numbers (asm-generic/resource.h).
pub(super) const RLIMITS: [(&str, u32); 16] = [
    ("CPU", 0),
    ("FSIZE", 1),
    ("DATA", 2),
    ("STACK", 3),
    ("CORE", 4),
    ("RSS", 5),
    ("NPROC", 6),
    ("NOFILE", 7),
    ("MEMLOCK", 8),
    ("AS", 9),
    ("LOCKS", 10),
    ("SIGPENDING", 11),
    ("MSGQUEUE", 12),
    ("NICE", 13),
    ("RTPRIO", 14),
    ("RTTIME", 15),
];

/// The sections that the host's rules and a profile share.
pub(super) fn rules(section: &mut Section<'_, '_>, filling: Filling) -> Result<Rules> {
    let all = || Verb::ALL.iter().map(|(_, verb)| *verb).collect();
    Ok(Rules {
        doors: section.choices("doors", &Verb::ALL, Some(all()))?,
        degraded: section.key("degraded", false)?,
        root: sub(section, "root", root)?,
        bind: binds(section, filling)?,
        mounts: sub(section, "mounts", mounts)?,
        namespaces: namespaces(section, filling)?,
        user: sub(section, "user", user)?,
        capabilities: sub(section, "capabilities", capabilities)?,
        process: sub(section, "process", process)?,
        seccomp: seccomp(section)?,
        devices: sub(section, "devices", |section| section.key("allow", vec![]))?,
        cgroups: sub(section, "cgroups", |section| section.key("path", Places(vec![])))?,
        limits: sub(section, "limits", limits)?,
        rlimits: sub(section, "rlimits", |section| rlimits(section, filling))?,
        sysctls: sub(section, "sysctls", |section| section.key("allow", Names(vec![])))?,
        annotations: sub(section, "annotations", annotations)?,
        hook: grants(section, "hook", filling, hook)?,
        signature: grants(section, "signature", filling, signature)?,
        exec: sub(section, "exec", exec)?,
    })
}

fn annotations(section: &mut Section<'_, '_>) -> Result<AnnotationRules> {
    Ok(AnnotationRules {
        allow: section.key("allow", Names::of(&["*"]))?,
        reports: section.key("reports", Places(vec![]))?,
    })
}

fn sub<'a, 't, T>(
    section: &mut Section<'a, 't>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'a, 't>) -> Result<T>,
) -> Result<T> {
    let mut below = section.section(key)?;
    let read = read(&mut below)?;
    below.finish()?;
    Ok(read)
}

/// `[[key]]`: the host's rules grant nothing where it is absent, a profile says nothing.
fn grants<'a, 't, T>(
    section: &mut Section<'a, 't>,
    key: &'static str,
    filling: Filling,
    read: impl Fn(&mut Section<'a, 't>) -> Result<T>,
) -> Result<Key<Vec<T>>> {
    let Some(tables) = section.tables(key)? else {
        return Ok((filling == Filling::Defaults).then_some(At { value: vec![], line: 0 }));
    };
    let line = tables.first().map_or(section.line(), Section::line);
    let one = |mut table: Section<'a, 't>| {
        let grant = read(&mut table)?;
        table.finish().map(|()| grant)
    };
    Ok(Some(At { value: tables.into_iter().map(one).collect::<Result<_>>()?, line }))
}

fn root(section: &mut Section<'_, '_>) -> Result<RootRules> {
    Ok(RootRules {
        host_usr: section.key("host_usr", true)?,
        directories: section.key("directories", Places(vec![]))?,
        readonly: section.key("readonly", true)?,
        images: digests(section, "images", "sha256:")?,
    })
}

fn digests(section: &mut Section<'_, '_>, key: &'static str, prefix: &str) -> Result<Key<Vec<String>>> {
    let list = section.optional::<Vec<String>>(key)?;
    let wrong = list.iter().flat_map(|list| &list.value).find(|text| !is_digest(text, prefix));
    match wrong {
        None => Ok(list),
        Some(text) => {
            Err(section.wrong(format!("{text:?} is no digest: {prefix} and 64 hexadecimal digits")))
        }
    }
}

fn is_digest(text: &str, prefix: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(prefix).is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

fn binds(section: &mut Section<'_, '_>, filling: Filling) -> Result<Key<BindGrants>> {
    let read = grants(section, "bind", filling, bind)?;
    read.map(|at| Ok(At { value: BindGrants::of(&at.value)?, line: at.line })).transpose()
}

fn bind(section: &mut Section<'_, '_>) -> Result<BindGrant> {
    let access = [("ro", Access::Ro), ("rw", Access::Rw)];
    let said = |section: &mut Section<'_, '_>, key| -> Result<bool> {
        Ok(section.optional::<bool>(key)?.is_some_and(|at| at.value))
    };
    Ok(BindGrant {
        line: section.line(),
        path: section.required::<PathBuf>("path")?.value,
        access: section.choice("access", &access, Access::Ro)?.map_or(Access::Ro, |at| at.value),
        owner: section.optional("owner")?.map(|at| at.value),
        destinations: section.optional("destinations")?.map(|at| at.value),
        types: section
            .choices("types", &TYPES, None)?
            .map_or_else(|| vec![libc::S_IFDIR, libc::S_IFREG], |at| at.value),
        floor: section
            .choices("floor", &FLOOR, None)?
            .map_or(attr::MOUNT_ATTR_NOSUID | attr::MOUNT_ATTR_NODEV, |at| {
                at.value.into_iter().fold(0, |all, flag| all | flag)
            }),
        hard_links: said(section, "hard_links")?,
        cross_mounts: said(section, "cross_mounts")?,
        idmap: said(section, "idmap")?,
    })
}

fn mounts(section: &mut Section<'_, '_>) -> Result<MountRules> {
    let known = FILESYSTEMS.map(|name| (name, name));
    let data = [
        "size",
        "mode",
        "uid",
        "gid",
        "nr_inodes",
        "nr_blocks",
        "newinstance",
        "ptmxmode",
        "hidepid",
        "subset",
        "source",
    ];
    let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
    let filesystems = section.choices("filesystems", &known, Some(FILESYSTEMS.to_vec()))?;
    Ok(MountRules {
        filesystems: filesystems
            .map(|at| At { value: at.value.into_iter().map(str::to_owned).collect(), line: at.line }),
        data: section.key("data", Names::of(&data))?,
        propagation: section.choices("propagation", &PROPAGATION, Some(vec![0, libc::MS_UNBINDABLE]))?,
        masked: section.key("masked", paths(&["/proc/kcore", "/proc/keys", "/proc/timer_list"]))?,
        readonly: section.key("readonly", paths(&["/proc/sys", "/proc/sysrq-trigger"]))?,
    })
}

fn namespaces(section: &mut Section<'_, '_>, filling: Filling) -> Result<NamespaceRules> {
    let known: Vec<_> = NAMESPACES.iter().copied().filter(|(name, _)| *name != "network").collect();
    let default = known.iter().map(|(_, bit)| *bit).filter(|bit| *bit != ns::CLONE_NEWTIME).collect();
    let modes = [("none", Network::None), ("host", Network::Host), ("joined", Network::Joined)];
    let (network, net_devices) = sub(section, "network", |section| {
        let network = section.choices("modes", &modes, Some(vec![Network::None]))?;
        Ok((network, section.key("devices", Names(vec![]))?))
    })?;
    Ok(NamespaceRules {
        new: sub(section, "namespaces", |section| section.choices("new", &known, Some(default)))?,
        network,
        net_devices,
        join: grants(section, "join", filling, join)?,
    })
}

fn join(section: &mut Section<'_, '_>) -> Result<JoinGrant> {
    let typ = section.required::<String>("type")?.value;
    Ok(JoinGrant {
        line: section.line(),
        nstype: choice(&NAMESPACES, &typ).map_err(|text| section.wrong(format!("`type` {text}")))?,
        path: section.required("path")?.value,
    })
}

fn user(section: &mut Section<'_, '_>) -> Result<UserRules> {
    let inside = || Ids(vec![(1, LAST_ID)]);
    let outside = || Ids(vec![(FIRST_FREE_ID, LAST_ID)]);
    Ok(UserRules {
        uids: section.key("uids", inside())?,
        gids: section.key("gids", inside())?,
        host_uids: section.key("host_uids", outside())?,
        host_gids: section.key("host_gids", outside())?,
    })
}

fn capabilities(section: &mut Section<'_, '_>) -> Result<CapabilityRules> {
    Ok(CapabilityRules {
        bounding: section.key("bounding", Caps(0))?,
        effective: section.key("effective", Caps(0))?,
        permitted: section.key("permitted", Caps(0))?,
        inheritable: section.key("inheritable", Caps(0))?,
        ambient: section.key("ambient", Caps(0))?,
    })
}

fn process(section: &mut Section<'_, '_>) -> Result<ProcessRules> {
    let names = ["PATH", "HOME", "USER", "LANG", "LC_*", "TZ", "TERM", "HOSTNAME"];
    let keyrings = [("own", Keyring::Own), ("caller", Keyring::Caller)];
    Ok(ProcessRules {
        no_new_privs: section.key("no_new_privs", true)?,
        environment: section.key("environment", Names::of(&names))?,
        cwd: section.key("cwd", Places(vec![PathBuf::from("/")]))?,
        preserve_fds: section.key("preserve_fds", 0)?,
        keyring: section.choice("keyring", &keyrings, Keyring::Own)?,
        oom_score_adj: section.key("oom_score_adj", 0)?,
        personality: section.key("personality", false)?,
        priority: section.key("priority", false)?,
        labels: section.key("labels", Names(vec![]))?,
        label_required: section.key("label_required", false)?,
    })
}

/// `[seccomp]` and `[landlock]`. What the built-in profiles deny, and what no tool needs.
fn seccomp(section: &mut Section<'_, '_>) -> Result<SeccompRules> {
    let deny = [
        "add_key",
        "bpf",
        "init_module",
        "finit_module",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "perf_event_open",
        "request_key",
        "userfaultfd",
    ];
    let mut below = section.section("seccomp")?;
    let required = below.key("required", true)?;
    let profiles = digests(&mut below, "profiles", "sha256:")?;
    let deny = below.key::<Vec<String>>("deny", deny.iter().map(|name| (*name).to_owned()).collect())?;
    if let Some(name) = deny.iter().flat_map(|list| &list.value).find(|name| Call::named(name).is_none()) {
        return Err(below.wrong(format!("`deny` has {name:?}, which is no system call")));
    }
    below.finish()?;
    let landlock = sub(section, "landlock", |section| section.key("required", false))?;
    Ok(SeccompRules { required, profiles, deny, landlock })
}

impl Setting for DeviceGrant {
    fn read(value: &toml::de::DeValue<'_>) -> std::result::Result<Self, String> {
        let text = String::read(value)?;
        device(&text).ok_or_else(|| format!("has {text:?}, which is no device such as \"c 10:229 rw\""))
    }
}

fn device(text: &str) -> Option<DeviceGrant> {
    let words: Vec<_> = text.split(' ').collect();
    let [kind, numbers, access] = words.as_slice() else { return None };
    let kind = match *kind {
        "c" => DeviceKind::Char,
        "b" => DeviceKind::Block,
        _ => return None,
    };
    let number = |text: &str| match text {
        "*" => Some(None),
        text => text.parse::<crate::types::Id>().ok().map(|number| Some(u64::from(number.raw()))),
    };
    let (major, minor) = numbers.split_once(':')?;
    let (major, minor, access) = (number(major)?, number(minor)?, access.parse().ok()?);
    Some(DeviceGrant(DeviceRule { allow: true, kind, major, minor, access }))
}

fn limits(section: &mut Section<'_, '_>) -> Result<LimitRules> {
    Ok(LimitRules {
        memory: section.bound("memory", Unit::Size, Bound::Set)?,
        swap: section.bound("swap", Unit::Size, Bound::Set)?,
        pids: section.bound("pids", Unit::Count, Bound::Set)?,
        cpu: section.bound("cpu", Unit::Cpu, Bound::Set)?,
        io: section.bound("io", Unit::None, Bound::Unlimited)?,
        time: section.bound("time", Unit::Time, Bound::Unlimited)?,
        stdout: section.bound("stdout", Unit::Size, Bound::Unlimited)?,
        stderr: section.bound("stderr", Unit::Size, Bound::Unlimited)?,
        unified: section.key("unified", Names(vec![]))?,
        realtime: section.key("realtime", false)?,
        rdt: section.key("rdt", false)?,
        oom_kill_disable: section.key("oom_kill_disable", false)?,
    })
}

fn rlimits(section: &mut Section<'_, '_>, filling: Filling) -> Result<RlimitRules> {
    let mut below = section.section("max")?;
    let line = below.line();
    let written = below.pairs(|name, value| {
        let resource = choice(&RLIMITS, name).map_err(|_known| "is no resource such as NOFILE".to_owned())?;
        match String::read(value).as_deref() {
            Ok("unlimited") => Ok((resource, None)),
            _ => u64::read(value).map(|most| (resource, Some(most))),
        }
    })?;
    let line = if below.is_written() { line } else { 0 };
    let max = match filling {
        Filling::Defaults => Some(At { value: with_defaults(written), line }),
        Filling::Nothing => below.is_written().then_some(At { value: written, line }),
    };
    Ok(RlimitRules { max, required: section.choices("required", &RLIMITS, Some(vec![]))? })
}

/// What is not named keeps its default: no realtime, no priority above others, and what the
/// kernel gives its first process of memory that is locked or queued.
fn with_defaults(mut written: Vec<(u32, Option<u64>)>) -> Vec<(u32, Option<u64>)> {
    let defaults =
        [("NOFILE", 1 << 20), ("MEMLOCK", 8 << 20), ("MSGQUEUE", 819_200), ("NICE", 0), ("RTPRIO", 0)];
    for (name, most) in defaults {
        let known = RLIMITS.iter().find(|(other, _)| *other == name).map(|(_, number)| *number);
        if let Some(number) = known.filter(|number| !written.iter().any(|(other, _)| other == number)) {
            written.push((number, Some(most)));
        }
    }
    written
}

fn hook(section: &mut Section<'_, '_>) -> Result<HookGrant> {
    let sha256 = section.required::<String>("sha256")?.value;
    match is_digest(&sha256, "") {
        true => Ok(HookGrant {
            line: section.line(),
            path: section.required("path")?.value,
            sha256,
            args: section.optional("args")?.map(|at| at.value).unwrap_or_default(),
            env: section.optional("env")?.map(|at| at.value).unwrap_or_default(),
        }),
        false => Err(section.wrong("`sha256` must be 64 hexadecimal digits")),
    }
}

fn signature(section: &mut Section<'_, '_>) -> Result<SignatureGrant> {
    let images = section.required("images")?.value;
    let keys = section.tables("keys")?.ok_or_else(|| section.wrong("`keys` is missing"))?;
    let key = |mut key: Section<'_, '_>| {
        let sha256 = key.required::<String>("sha256")?.value;
        if !is_digest(&sha256, "") {
            return Err(key.wrong("`sha256` must be 64 hexadecimal digits"));
        }
        let read = SignatureKey { path: key.required("path")?.value, sha256 };
        key.finish().map(|()| read)
    };
    let keys = keys.into_iter().map(key).collect::<Result<_>>()?;
    Ok(SignatureGrant { line: section.line(), images, keys })
}

fn exec(section: &mut Section<'_, '_>) -> Result<ExecRules> {
    Ok(ExecRules {
        capabilities: section.key("capabilities", Caps(0))?,
        users: section.key("users", Ids(vec![]))?,
    })
}
