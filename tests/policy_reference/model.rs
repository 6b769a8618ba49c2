//! The reference for the judge: policies and launches in plain values, drawn by dice, and what
//! docs/policy.md says of them. Written from that document alone. `tests/policy_reference.rs` and the
//! fuzz target `judge` compare pinfold with it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::too_many_lines, missing_docs)]

use std::collections::{BTreeSet, VecDeque};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use pinfold::cgroup::{Amount, CgroupPath};
use pinfold::draft::{
    self, Draft, DraftMount, Extras, HostFacts, ImageName, ImageRoot, MountOptions, MountSource, OwnerMap,
};
use pinfold::plan::{IdMaps, IdRange};
use pinfold::policy::{Request, Verb, Violation};
use pinfold::resolve::{Facts, Identity, Pinned};
use pinfold::sys::caller::Caller;
use pinfold::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

/// What is given decides, one byte for each throw; then xorshift64*, so that the cases are the same in every run.
pub struct Dice {
    state: u64,
    given: VecDeque<u8>,
}

impl Dice {
    pub fn new(state: u64, given: &[u8]) -> Self {
        Self { state, given: given.iter().copied().collect() }
    }
    pub fn below(&mut self, sides: u64) -> u64 {
        if let Some(byte) = self.given.pop_front() {
            return u64::from(byte) % sides;
        }
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
    pub fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.coin()).collect()
    }
}

const IDS: [u32; 8] = [0, 1, 999, 1000, 1999, 2000, 65536, 100_000];
const CAPS: [(&str, u64); 3] = [("CAP_KILL", 1 << 5), ("CAP_NET_RAW", 1 << 13), ("CAP_SYS_ADMIN", 1 << 21)];
const NAMES: [&str; 5] = ["PATH", "LC_ALL", "LC", "LD_PRELOAD", "path"];
const SPACES: [(&str, u64); 4] =
    [("pid", 0x2000_0000), ("ipc", 0x800_0000), ("uts", 0x400_0000), ("user", 0x1000_0000)];
const SOURCES: [&str; 7] = ["/srv", "/srv/a", "/srv/a/b", "/srv/ab", "/srv/A", "/srv/a/../b", "/srv/a\n"];
const PLACES: [&str; 3] = ["/srv/reports", "/srv/reports/a", "/srv/r"];
const TARGETS: [&str; 6] = ["/work", "/work/x", "/workshop", "/proc/x", "/", "/etc"];
const FLAGS: [(&str, u64); 3] =
    [("nosuid", MOUNT_ATTR_NOSUID), ("nodev", MOUNT_ATTR_NODEV), ("noexec", MOUNT_ATTR_NOEXEC)];
const TYPES: [(&str, u32); 3] =
    [("directory", libc::S_IFDIR), ("file", libc::S_IFREG), ("socket", libc::S_IFSOCK)];

/// "unlimited", "set", or at most this.
#[derive(Clone, Copy)]
enum Bound {
    Unlimited,
    Set,
    Max(u64),
}

struct Grant {
    path: &'static str,
    writable: bool,
    owner: Option<(u32, u32)>,
    destination: Option<&'static str>,
    types: Vec<(&'static str, u32)>,
    floor: Vec<(&'static str, u64)>,
    hard_links: bool,
}

/// One layer; `None` is a key that is not written.
#[derive(Default)]
pub struct Layer {
    uids: Option<Vec<(u32, u32)>>,
    bounding: Option<Vec<(&'static str, u64)>>,
    permitted: Option<Vec<(&'static str, u64)>>,
    no_new_privs: Option<bool>,
    names: Option<Vec<&'static str>>,
    oom: Option<i64>,
    labels: Option<Vec<&'static str>>,
    label_required: Option<bool>,
    memory: Option<Bound>,
    pids: Option<Bound>,
    cpu: Option<Bound>,
    time: Option<Bound>,
    stdout: Option<Bound>,
    stderr: Option<Bound>,
    reports: Option<Vec<&'static str>>,
    spaces: Option<Vec<(&'static str, u64)>>,
    network: Option<Vec<&'static str>>,
    host_uids: Option<(u32, u32)>,
    binds: Option<Vec<Grant>>,
    doors: Option<Vec<&'static str>>,
    groups: Option<Vec<&'static str>>,
    annotations: Option<Vec<&'static str>>,
    /// Names of images, and the keys of which one must have signed.
    signatures: Option<Vec<(Vec<&'static str>, Vec<&'static str>)>>,
}

const KEYS: [&str; 3] = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
];

fn maybe<T>(dice: &mut Dice, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    if dice.below(3) == 0 { None } else { Some(value(dice)) }
}

/// For rules beside those that every launch meets: some launches must be allowed.
fn seldom<T>(dice: &mut Dice, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    if dice.below(8) == 0 { Some(value(dice)) } else { None }
}

fn range(dice: &mut Dice) -> (u32, u32) {
    let (a, b) = (dice.one(&IDS), dice.one(&IDS));
    (a.min(b), a.max(b))
}

fn bound(dice: &mut Dice) -> Bound {
    match dice.below(4) {
        0 => Bound::Unlimited,
        1 => Bound::Set,
        _ => Bound::Max(dice.below(4)),
    }
}

fn grant(dice: &mut Dice) -> Grant {
    Grant {
        path: dice.one(&["/srv", "/srv/a", "/srv/a/b"]),
        writable: dice.coin(),
        owner: maybe(dice, range),
        destination: maybe(dice, |dice| dice.one(&["/work", "/"])),
        types: dice.some(&TYPES),
        floor: dice.some(&FLAGS),
        hard_links: dice.coin(),
    }
}

pub fn layer(dice: &mut Dice) -> Layer {
    Layer {
        uids: maybe(dice, |dice| (0..dice.below(3)).map(|_| range(dice)).collect()),
        bounding: maybe(dice, |dice| dice.some(&CAPS)),
        permitted: maybe(dice, |dice| dice.some(&CAPS)),
        no_new_privs: maybe(dice, Dice::coin),
        names: maybe(dice, |dice| dice.some(&["PATH", "LC_*", "*", "LD_PRELOAD"])),
        oom: maybe(dice, |dice| i64::try_from(dice.below(3)).unwrap() - 1),
        labels: maybe(dice, |dice| dice.some(&["p", "q", "u:*"])),
        label_required: seldom(dice, Dice::coin),
        memory: maybe(dice, bound),
        pids: maybe(dice, bound),
        cpu: maybe(dice, bound),
        time: seldom(dice, bound),
        stdout: seldom(dice, bound),
        stderr: seldom(dice, bound),
        reports: maybe(dice, |dice| dice.some(&PLACES)),
        spaces: maybe(dice, |dice| dice.some(&SPACES)),
        network: maybe(dice, |dice| dice.some(&["none", "host"])),
        host_uids: maybe(dice, range),
        binds: maybe(dice, |dice| (0..dice.below(3)).map(|_| grant(dice)).collect()),
        doors: maybe(dice, |dice| dice.some(&["create", "run", "exec"])),
        groups: maybe(dice, |dice| dice.some(&["/a", "/a/b", "/c"])),
        annotations: maybe(dice, |dice| dice.some(&ANNOTATED)),
        signatures: seldom(dice, |dice| {
            let one = |dice: &mut Dice| (dice.some(&["*", "r.e/a*", "r.e/a", "r.e/a:1"]), dice.some(&KEYS));
            (0..dice.below(3)).map(|_| one(dice)).collect()
        }),
    }
}

fn list<T: std::fmt::Display>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("{:?}", word.to_string())).collect();
    format!("[{}]", words.join(", "))
}

fn names<T: Copy>(pairs: &[(&'static str, T)]) -> String {
    list(pairs.iter().map(|(name, _)| *name))
}

fn written(bound: Bound) -> String {
    match bound {
        Bound::Unlimited => "\"unlimited\"".to_owned(),
        Bound::Set => "\"set\"".to_owned(),
        Bound::Max(most) => format!("{most}"),
    }
}

/// A time is written with its unit, and is more than nothing.
fn seconds(bound: Bound) -> String {
    match bound {
        Bound::Max(most) => format!("\"{}s\"", most + 1),
        other => written(other),
    }
}

/// As TOML; `at` is `profile.p.` or nothing.
pub fn text(layer: &Layer, at: &str) -> String {
    let ranges = |all: &[(u32, u32)]| {
        list(all.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>())
    };
    let rows: [(&str, Option<String>); 20] = [
        ("user.uids", layer.uids.as_ref().map(|all| ranges(all))),
        ("user.host_uids", layer.host_uids.map(|one| ranges(&[one]))),
        ("capabilities.bounding", layer.bounding.as_ref().map(|all| names(all))),
        ("capabilities.permitted", layer.permitted.as_ref().map(|all| names(all))),
        ("process.no_new_privs", layer.no_new_privs.map(|set| set.to_string())),
        ("process.environment", layer.names.as_ref().map(list)),
        ("process.oom_score_adj", layer.oom.map(|least| least.to_string())),
        ("process.labels", layer.labels.as_ref().map(list)),
        ("process.label_required", layer.label_required.map(|set| set.to_string())),
        ("limits.memory", layer.memory.map(written)),
        ("limits.pids", layer.pids.map(written)),
        ("limits.cpu", layer.cpu.map(written)),
        ("limits.time", layer.time.map(seconds)),
        ("limits.stdout", layer.stdout.map(written)),
        ("limits.stderr", layer.stderr.map(written)),
        ("annotations.reports", layer.reports.as_ref().map(list)),
        ("annotations.allow", layer.annotations.as_ref().map(list)),
        ("namespaces.new", layer.spaces.as_ref().map(|all| names(all))),
        ("network.modes", layer.network.as_ref().map(list)),
        ("cgroups.path", layer.groups.as_ref().map(list)),
    ];
    let mut text = String::new();
    for (key, value) in rows {
        text.extend(value.map(|value| format!("{at}{key} = {value}\n")));
    }
    text.extend(layer.doors.as_ref().map(|doors| format!("{at}doors = {}\n", list(doors))));
    let binds: Vec<_> = layer.binds.iter().flatten().map(inline).collect();
    text.extend(layer.binds.as_ref().map(|_| format!("{at}bind = [{}]\n", binds.join(", "))));
    let signature = |(images, keys): &(Vec<&str>, Vec<&str>)| {
        let keys: Vec<_> = keys.iter().map(|key| format!("{{ path = \"/k\", sha256 = {key:?} }}")).collect();
        format!("{{ images = {}, keys = [{}] }}", list(images), keys.join(", "))
    };
    let signatures = layer.signatures.as_ref().map(|all| all.iter().map(signature).collect::<Vec<_>>());
    text.extend(signatures.map(|all| format!("{at}signature = [{}]\n", all.join(", "))));
    text
}

fn inline(grant: &Grant) -> String {
    let mut text = format!(
        "{{ path = {:?}, access = {:?}, types = {}, floor = {}, hard_links = {}",
        grant.path,
        if grant.writable { "rw" } else { "ro" },
        names(&grant.types),
        names(&grant.floor),
        grant.hard_links
    );
    text.extend(grant.owner.map(|(first, last)| format!(", owner = [\"{first}-{last}\"]")));
    text.extend(grant.destination.map(|place| format!(", destinations = [{place:?}]")));
    text + " }"
}

/// One launch, in plain values.
const NOTES: [&str; 4] =
    ["a.b", "org.systemd.property.MemoryMax", "org.systemd.property.CollectMode", "org.systemd.propert"];
const ANNOTATED: [&str; 6] = [
    "*",
    "a.*",
    "org.systemd.*",
    "org.systemd.property.*",
    "org.systemd.property.Memory*",
    "org.systemd.propert",
];

pub struct Launch {
    verb: &'static str,
    uid: u32,
    bounding: u64,
    permitted: u64,
    no_new_privs: bool,
    names: Vec<&'static str>,
    oom: Option<i32>,
    profile: Option<&'static str>,
    label: Option<&'static str>,
    memory: Option<u64>,
    pids: Option<u64>,
    cpu: Option<u64>,
    /// Seconds.
    time: Option<u64>,
    stdout: Option<u64>,
    stderr: Option<u64>,
    /// The directory of the report.
    report: Option<&'static str>,
    spaces: u64,
    new_network: bool,
    map: Option<(u32, u32)>,
    mounts: Vec<Mount>,
    group: Option<&'static str>,
    annotations: Vec<&'static str>,
    by_systemd: bool,
    /// Of who came by sudo.
    caller: Option<u32>,
    /// What the image is called that makes the root, and which keys signed it by that name.
    image: Option<Vec<(&'static str, Vec<&'static str>)>>,
}

struct Mount {
    source: &'static str,
    target: &'static str,
    readonly: bool,
    flags: u64,
    kind: u32,
    uid: u32,
    nlink: u64,
}

pub fn launch(dice: &mut Dice) -> Launch {
    let set = |dice: &mut Dice| dice.some(&CAPS).iter().fold(0, |all, (_, bit)| all | bit);
    let mount = |dice: &mut Dice| Mount {
        source: dice.one(&SOURCES),
        target: dice.one(&TARGETS),
        readonly: dice.coin(),
        flags: dice.some(&FLAGS).iter().fold(0, |all, (_, flag)| all | flag),
        kind: dice.one(&TYPES).1,
        uid: dice.one(&IDS),
        nlink: 1 + dice.below(2),
    };
    Launch {
        verb: dice.one(&["create", "run"]),
        uid: dice.one(&IDS),
        bounding: set(dice),
        permitted: set(dice),
        no_new_privs: dice.coin(),
        names: dice.some(&NAMES),
        oom: maybe(dice, |dice| i32::try_from(dice.below(3)).unwrap() - 1),
        profile: seldom(dice, |dice| dice.one(&["p", "pq", "unconfined"])),
        label: seldom(dice, |dice| dice.one(&["q", "u:r:t", "u"])),
        memory: maybe(dice, |dice| dice.below(5)),
        pids: maybe(dice, |dice| dice.below(5)),
        cpu: maybe(dice, |dice| dice.below(5)),
        time: maybe(dice, |dice| 1 + dice.below(5)),
        stdout: maybe(dice, |dice| dice.below(5)),
        stderr: maybe(dice, |dice| dice.below(5)),
        report: seldom(dice, |dice| dice.one(&["/srv", "/srv/reports", "/srv/reports/a/b", "/srv/reports2"])),
        spaces: dice.some(&SPACES).iter().fold(0, |all, (_, bit)| all | bit),
        new_network: dice.coin(),
        map: maybe(dice, |dice| (dice.one(&IDS), 1 + u32::try_from(dice.below(2000)).unwrap())),
        mounts: (0..dice.below(3)).map(|_| mount(dice)).collect(),
        group: (dice.below(3) == 0).then(|| dice.one(&["/a", "/a/b", "/a/b/c", "/ab", "/d"])),
        caller: (dice.below(3) == 0).then(|| dice.one(&[999, 1000])),
        annotations: seldom(dice, |dice| dice.some(&NOTES)).unwrap_or_default(),
        by_systemd: dice.coin(),
        image: seldom(dice, |dice| {
            let name = |dice: &mut Dice| {
                (dice.one(&["", "r.e/a:1", "r.e/a", "r.e/ab:1", "r.e:1/a"]), dice.some(&KEYS))
            };
            (0..=dice.below(2)).map(|_| name(dice)).collect()
        }),
    }
}

/// The same, as far as it asks for what few policies give: some launches must be allowed.
pub fn modest(launch: Launch) -> Launch {
    Launch {
        bounding: 0,
        permitted: 0,
        no_new_privs: true,
        names: vec![],
        oom: None,
        profile: None,
        label: None,
        memory: Some(0),
        pids: Some(0),
        cpu: Some(0),
        report: None,
        annotations: vec![],
        image: None,
        mounts: vec![],
        ..launch
    }
}

pub type Broken = BTreeSet<(String, String)>;

/// docs/policy.md, section by section. `host`: absent keys have their defaults.
pub fn reference(layer: &Layer, launch: &Launch, host: bool, broken: &mut Broken) {
    let mut told = |rule: &str, field: &str| {
        broken.insert((rule.to_owned(), field.to_owned()));
    };
    let or = |written: Option<bool>, default: bool| written.or(host.then_some(default));
    if layer.doors.as_ref().is_some_and(|doors| !doors.contains(&launch.verb)) {
        told("doors", launch.verb);
    }
    let in_ranges =
        |all: &[(u32, u32)]| all.iter().any(|(first, last)| (first..=last).contains(&&launch.uid));
    let default_uid = || if host { launch.uid != 0 } else { true };
    if !layer.uids.as_ref().map_or_else(default_uid, |all| in_ranges(all)) {
        told("user.uids", "/process/user/uid");
    }
    if let Some((first, size)) = launch.map {
        let last = first + size - 1;
        let (lowest, highest) = match (layer.host_uids, host) {
            (Some(range), _) => range,
            (None, true) => (65536, u32::MAX - 1),
            (None, false) => (0, u32::MAX - 1),
        };
        if first < lowest || last > highest {
            told("user.host_uids", "/linux/uidMappings/0");
        }
    }
    for (written, asked, name) in
        [(&layer.bounding, launch.bounding, "bounding"), (&layer.permitted, launch.permitted, "permitted")]
    {
        let allowed = written.as_ref().map(|all| all.iter().map(|(_, bit)| bit).sum());
        if allowed.or(host.then_some(0)).is_some_and(|allowed: u64| asked & !allowed != 0) {
            told(&format!("capabilities.{name}"), &format!("/process/capabilities/{name}"));
        }
    }
    if or(layer.no_new_privs, true) == Some(true) && !launch.no_new_privs {
        told("process.no_new_privs", "/process/noNewPrivileges");
    }
    let usual = ["PATH", "HOME", "USER", "LANG", "LC_*", "TZ", "TERM", "HOSTNAME"].to_vec();
    if let Some(known) = layer.names.as_ref().or(host.then_some(&usual)) {
        for (index, name) in launch.names.iter().enumerate() {
            let fits =
                |one: &&str| one.strip_suffix('*').map_or(*one == *name, |start| name.starts_with(start));
            if !known.iter().any(fits) {
                told("process.environment", &format!("/process/env/{index}"));
            }
        }
    }
    if let (Some(least), Some(asked)) = (layer.oom.or(host.then_some(0)), launch.oom)
        && i64::from(asked) < least
    {
        told("process.oom_score_adj", "/process/oomScoreAdj");
    }
    for (asked, field) in
        [(launch.profile, "/process/apparmorProfile"), (launch.label, "/process/selinuxLabel")]
    {
        let fits = |one: &&str| {
            asked.is_none_or(|asked| {
                one.strip_suffix('*').map_or(*one == asked, |start| asked.starts_with(start))
            })
        };
        if let Some(known) = layer.labels.as_ref().or(host.then_some(&vec![]))
            && asked.is_some()
            && !known.iter().any(fits)
        {
            told("process.labels", field);
        }
    }
    if or(layer.label_required, false) == Some(true)
        && launch.profile.is_none_or(|name| name == "unconfined")
        && launch.label.is_none()
    {
        told("process.label_required", "/process/apparmorProfile");
    }
    for (written, asked, rule, field, unit) in [
        (layer.memory, launch.memory, "limits.memory", "/linux/resources/memory/limit", 1),
        (layer.pids, launch.pids, "limits.pids", "/linux/resources/pids/limit", 1),
        (layer.cpu, launch.cpu, "limits.cpu", "/linux/resources/cpu/quota", 2),
    ] {
        // A quota of 1 here is half a CPU.
        let kept = match written.or(host.then_some(Bound::Set)) {
            None | Some(Bound::Unlimited) => true,
            Some(Bound::Set) => asked.is_some(),
            Some(Bound::Max(most)) => asked.is_some_and(|asked| asked <= most * unit),
        };
        if !kept {
            told(rule, field);
        }
    }
    // What options of `sandbox` ask for, and annotations of the OCI verbs.
    for (written, asked, name, more) in [
        (layer.time, launch.time, "timeout", 1),
        (layer.stdout, launch.stdout, "stdout-max", 0),
        (layer.stderr, launch.stderr, "stderr-max", 0),
    ] {
        let kept = match written.or(host.then_some(Bound::Unlimited)) {
            None | Some(Bound::Unlimited) => true,
            Some(Bound::Set) => asked.is_some(),
            Some(Bound::Max(most)) => asked.is_some_and(|asked| asked <= most + more),
        };
        if !kept {
            let rule = if name == "timeout" { "limits.time" } else { &format!("limits.{}", &name[..6]) };
            told(rule, &format!("/annotations/io.pinfold.{name}"));
        }
    }
    let within = |place: &&str, path: &str| {
        path == *place || path.strip_prefix(*place).is_some_and(|rest| rest.starts_with('/'))
    };
    if let (Some(places), Some(report)) = (layer.reports.as_ref().or(host.then_some(&vec![])), launch.report)
        && !places.iter().any(|place| within(place, report))
    {
        told("annotations.reports", "/annotations/io.pinfold.report");
    }
    // An absent list is every name, but for what systemd obeys where it makes the cgroup.
    let every = vec!["*"];
    let named = layer.annotations.as_ref().or(host.then_some(&every));
    for (name, allowed) in launch.annotations.iter().flat_map(|name| named.map(|all| (name, all))) {
        let obeyed = launch.by_systemd && name.starts_with("org.systemd.property.");
        let fits = |entry: &&str| match entry.strip_suffix('*') {
            _ if obeyed && !entry.starts_with("org.systemd.property.") => false,
            Some(start) => name.starts_with(start),
            None => name == entry,
        };
        if !allowed.iter().any(fits) {
            told("annotations.allow", &format!("/annotations/{name}"));
        }
    }
    if let Some(wanted) = &layer.spaces {
        if wanted.iter().any(|(_, bit)| launch.spaces & bit == 0) {
            told("namespaces.new", "/linux/namespaces");
        }
    } else if host && SPACES.iter().any(|(_, bit)| launch.spaces & bit == 0) {
        told("namespaces.new", "/linux/namespaces");
    }
    let mode = if launch.new_network { "none" } else { "host" };
    let default_modes = vec!["none"];
    if layer.network.as_ref().or(host.then_some(&default_modes)).is_some_and(|modes| !modes.contains(&mode)) {
        told("network.modes", "/linux/namespaces");
    }
    if let (Some(group), Some(places)) = (launch.group, layer.groups.as_ref().or(host.then_some(&vec![]))) {
        let below = |place: &&str| group == *place || group.starts_with(&format!("{place}/"));
        if !places.iter().any(below) {
            told("cgroups.path", "/linux/cgroupsPath");
        }
    }
    if let Some(names) = &launch.image {
        images(layer, names, host, broken);
    }
    binds(layer, launch, host, broken);
}

/// "signature": each that is about the image must be kept; it then stands for the list of images.
fn images(layer: &Layer, names: &[(&str, Vec<&str>)], host: bool, broken: &mut Broken) {
    let mut about = false;
    for (images, keys) in layer.signatures.iter().flatten() {
        for (name, signed) in names {
            // Without the tag; a port has a slash behind it.
            let bare = match name.find(':') {
                Some(at) if !name[at..].contains('/') => &name[..at],
                _ => name,
            };
            let fits = |image: &&str| match image.strip_suffix('*') {
                Some(start) => name.starts_with(start) || bare.starts_with(start),
                None => name == image || bare == *image,
            };
            if images.iter().any(fits) {
                about = true;
                if !keys.iter().any(|key| signed.contains(key)) {
                    broken.insert(("signature.keys".to_owned(), "--image".to_owned()));
                }
            }
        }
    }
    if host && !about {
        broken.insert(("root.directories".to_owned(), "--image".to_owned()));
    }
}

/// docs/callers.md: what holds for who came by sudo, and where sudo is required.
pub fn callers(required: bool, launch: &Launch, broken: &mut Broken) {
    let mut told = |rule: &str, field: &str| {
        broken.insert((rule.to_owned(), field.to_owned()));
    };
    let Some(caller) = launch.caller else {
        if required {
            told("callers.sudo", "SUDO_UID");
        }
        return;
    };
    if !SPACES.iter().any(|(name, bit)| *name == "user" && launch.spaces & bit != 0) {
        told("callers.user_namespace", "/linux/namespaces");
    }
    if launch.map.is_some_and(|(first, size)| first < 65536 && (first, size) != (caller, 1)) {
        told("callers.ids", "/linux/uidMappings");
    }
}

fn binds(layer: &Layer, launch: &Launch, host: bool, broken: &mut Broken) {
    let none = vec![];
    for (index, mount) in launch.mounts.iter().enumerate() {
        let mut told = |rule: &str, part: &str| {
            broken.insert((rule.to_owned(), format!("/mounts/{index}/{part}")));
        };
        let below = |place: &str, path: &str| {
            place == "/"
                || path == place
                || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
        };
        let twice = launch.mounts.iter().take(index).any(|other| other.target == mount.target);
        if host && (twice || mount.target == "/" || below("/proc", mount.target)) {
            told("mounts.destination", "destination");
        }
        let Some(grants) = layer.binds.as_ref().or(host.then_some(&none)) else { continue };
        if mount.source.contains("..") || mount.source.contains('\n') {
            told("bind.path", "source");
            continue;
        }
        // The longest place decides, of equals the first.
        let covering = grants.iter().filter(|grant| below(grant.path, mount.source));
        let longest = covering.clone().map(|grant| grant.path.len()).max();
        let Some(grant) = covering.clone().find(|grant| Some(grant.path.len()) == longest) else {
            told("bind.source", "source");
            continue;
        };
        if !grant.writable && !mount.readonly {
            told("bind.access", "options");
        }
        if grant.floor.iter().any(|(_, flag)| mount.flags & flag == 0) {
            told("bind.floor", "options");
        }
        if grant.destination.is_some_and(|place| !below(place, mount.target)) {
            told("bind.destinations", "destination");
        }
        if !grant.types.iter().any(|(_, kind)| *kind == mount.kind) {
            told("bind.type", "source");
        }
        if grant.owner.is_some_and(|(first, last)| !(first..=last).contains(&mount.uid)) {
            told("bind.owner", "source");
        }
        if mount.kind == libc::S_IFREG && mount.nlink > 1 && !grant.hard_links {
            told("bind.hard_links", "source");
        }
    }
}

/// The launch as pinfold sees it, written over a Draft of a plain configuration.
pub fn apply(launch: &Launch, draft: &mut Draft, null: &OwnedFd) -> Facts {
    let process = draft.process.as_mut().unwrap();
    (process.uid, process.gid, process.groups) = (launch.uid, 1, vec![]);
    (process.bounding, process.caps.permitted) = (launch.bounding, launch.permitted);
    process.no_new_privs = launch.no_new_privs;
    process.env = launch.names.iter().map(|name| CString::new(format!("{name}=x")).unwrap()).collect();
    process.oom_score_adj = launch.oom;
    (process.labels.apparmor, process.labels.selinux) =
        (launch.profile.map(str::to_owned), launch.label.map(str::to_owned));
    draft.limits.memory_max = launch.memory.map(Amount::Value);
    draft.limits.pids_max = launch.pids.map(Amount::Value);
    draft.limits.cpu_quota_us = launch.cpu.map(|halves| Amount::Value(halves * 50_000));
    draft.limits.memory_swap_max = Some(Amount::Value(0));
    let network = if launch.new_network { 0x4000_0000 } else { 0 };
    draft.new_namespaces = launch.spaces | network | 0x2_0000 | 0x200_0000;
    draft.id_maps = launch.map.map(|(outside, size)| IdMaps {
        uids: vec![IdRange { inside: 0, outside, size }],
        gids: vec![IdRange { inside: 0, outside: 100_000, size: 1 }],
    });
    draft.root.image = launch.image.as_ref().map(|names| {
        let name = |(name, keys): &(&str, Vec<&str>)| ImageName {
            name: (*name).to_owned(),
            signed_by: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        ImageRoot { digest: "sha256:x".to_owned(), layers: 1, names: names.iter().map(name).collect() }
    });
    draft.cgroup_path = launch.group.map(|path| CgroupPath::parse(path).unwrap());
    draft.mounts.clear();
    let mut facts = Facts::default();
    for (index, mount) in launch.mounts.iter().enumerate() {
        let mut options = MountOptions { bind: true, recursive: true, ..MountOptions::default() };
        options.attr.set = mount.flags | if mount.readonly { MOUNT_ATTR_RDONLY } else { 0 };
        draft.mounts.push(DraftMount {
            field: format!("/mounts/{index}"),
            destination: PathBuf::from(mount.target),
            source: MountSource::Bind { path: mount.source.into(), owner: OwnerMap::Keep, optional: false },
            options,
            own: false,
        });
        let path = PathBuf::from(mount.source);
        let (file_type, uid) = (mount.kind, mount.uid);
        let identity =
            Identity { path, dev: 1, ino: 1, mnt_id: 1, file_type, uid, gid: 0, fs_magic: 0xef53, rdev: 0 };
        let fd = null.try_clone().unwrap();
        let pinned =
            Pinned { fd, identity, below: vec![], links: vec![], nlink: mount.nlink, mount_point: None };
        facts.binds.push(Some(pinned));
    }
    facts
}

/// A configuration that breaks none of the rules that are not drawn.
pub fn plain() -> Draft {
    let config = serde_json::json!({
        "ociVersion": "1.3.0",
        "process": {"args": ["x"], "cwd": "/", "user": {"uid": 1, "gid": 1}},
        "root": {"path": "/image", "readonly": true},
        "linux": {
            "namespaces": [{"type": "mount"}],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    let spec = serde_json::from_value(config).unwrap();
    draft::build(&spec, &Extras::oci(), &HostFacts::default()).unwrap()
}

/// The text of a policy of these rules: the host's, and those of the profile `q` beside an empty `p`.
pub fn whole(host: &Layer, profile: &Layer, required: bool) -> String {
    let sudo = if required { "required" } else { "caller" };
    let fixed = "root.directories = [\"/image\"]\nseccomp.required = false\nseccomp.deny = []\n";
    let whole = format!(
        "version = 1\ncallers.sudo = {sudo:?}\n{fixed}{}profile.p = {{}}\n{}",
        text(host, ""),
        text(profile, "profile.q.")
    );
    if whole.contains("profile.q.") { whole } else { format!("{whole}profile.q.degraded = true\n") }
}

/// The launch, as far as it does not stand in the Draft.
pub fn request(launch: &Launch) -> Request {
    let verb = if launch.verb == "run" { Verb::Run } else { Verb::Create };
    let caller = launch.caller.map(|uid| Caller { uid, gid: uid, groups: vec![uid] });
    Request {
        caller,
        timeout: launch.time.map(Duration::from_secs),
        stdout_max: launch.stdout,
        stderr_max: launch.stderr,
        report: launch.report.map(PathBuf::from),
        annotations: launch.annotations.iter().map(|name| ((*name).to_owned(), String::new())).collect(),
        has_unit: launch.by_systemd,
        ..Request::new(verb, "/".into(), "/run/pinfold".into())
    }
}

/// What the document says of the launch: the host's layer, the profile's where there is one.
pub fn expected(host: &Layer, profile: Option<&Layer>, required: bool, launch: &Launch) -> Broken {
    let mut expected = Broken::new();
    reference(host, launch, true, &mut expected);
    callers(required, launch, &mut expected);
    if let Some(profile) = profile {
        reference(profile, launch, false, &mut expected);
    }
    expected
}

/// The rules and fields that violations name.
pub fn of_violations(all: &[Violation]) -> Broken {
    all.iter().map(|one| (one.rule.to_owned(), one.field.clone())).collect()
}
