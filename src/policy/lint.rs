//! What is dangerous in a policy, and what in it can never matter. Pure.

use std::fmt;
use std::path::Path;

use super::document::{Document, Mode};
use super::rules::{Access, At, BindGrant, Bound, Caps, Key, Network, Rules};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Danger,
    Useless,
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    line: u32,
    severity: Severity,
    text: String,
}

impl Finding {
    /// Whether it gives away the host, or a part of it.
    pub fn is_dangerous(&self) -> bool {
        self.severity == Severity::Danger
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_dangerous() { "danger" } else { "useless" };
        write!(f, "{}: {word}: {}", self.line, self.text)
    }
}

/// Places that are the host, with what lies there. Anything above them is as bad.
const PLACES: &[(&str, &str)] = &[
    ("/etc", "the host's configuration and passwords"),
    ("/root", "root's home"),
    ("/home", "the homes of all users"),
    ("/boot", "the kernel"),
    ("/dev", "devices"),
    ("/proc", "every process"),
    ("/sys", "the kernel's settings"),
    ("/run", "the sockets of services"),
    ("/var/run", "the sockets of services"),
    ("/var/lib", "the data of services"),
    ("/usr", "the host's programs"),
];

/// Capabilities with which a root without a user namespace is the host's.
const WAYS_OUT: &[caps::Capability] = &[
    caps::Capability::CAP_SYS_ADMIN,
    caps::Capability::CAP_SYS_MODULE,
    caps::Capability::CAP_SYS_RAWIO,
    caps::Capability::CAP_SYS_PTRACE,
    caps::Capability::CAP_SYS_BOOT,
    caps::Capability::CAP_DAC_READ_SEARCH,
    caps::Capability::CAP_BPF,
    caps::Capability::CAP_PERFMON,
    caps::Capability::CAP_NET_ADMIN,
    caps::Capability::CAP_MKNOD,
];

/// Looks through a policy.
pub fn lint(document: &Document) -> Vec<Finding> {
    let mut found = vec![];
    if document.mode == Mode::Audit {
        danger(&mut found, 1, "mode is audit: nothing is refused");
    }
    dangers(&document.rules, &mut found);
    for rules in document.profiles.values() {
        dead(&document.rules, rules, &mut found);
    }
    for grants in [&document.rules]
        .into_iter()
        .chain(document.profiles.values())
        .filter_map(|rules| rules.bind.as_ref())
    {
        twice(&grants.value.all(), &mut found);
    }
    found.sort_by_key(|finding| finding.line);
    found
}

fn danger(found: &mut Vec<Finding>, line: u32, text: impl Into<String>) {
    found.push(Finding { line, severity: Severity::Danger, text: text.into() });
}

fn useless(found: &mut Vec<Finding>, line: u32, text: impl Into<String>) {
    found.push(Finding { line, severity: Severity::Useless, text: text.into() });
}

fn dangers(rules: &Rules, found: &mut Vec<Finding>) {
    for grant in rules.bind.iter().flat_map(|at| at.value.all()) {
        grant_of(&grant, found);
    }
    for (line, path) in
        rules.root.directories.iter().flat_map(|at| at.value.0.iter().map(move |path| (at.line, path)))
    {
        if let Some(what) = host_place(path) {
            danger(found, line, format!("`root.directories` has {}: {what}", path.display()));
        }
    }
    for grant in rules.namespaces.join.iter().flat_map(|at| &at.value).filter(|grant| is_kernel(&grant.path))
    {
        danger(found, grant.line, format!("{} has the namespaces of every process", grant.path.display()));
    }
    switches(rules, found);
    names(rules, found);
    of_capabilities(rules, found);
}

fn grant_of(grant: &BindGrant, found: &mut Vec<Finding>) {
    let BindGrant { line, path, access, floor, types, hard_links, cross_mounts, idmap, .. } = grant;
    if let Some(what) = host_place(path) {
        danger(found, *line, format!("{} is granted: {what}", path.display()));
    }
    if path.parent() == Some(Path::new("/home")) {
        danger(found, *line, format!("{} is granted: a home has keys and start-up files", path.display()));
    }
    if types.contains(&libc::S_IFSOCK) || path.extension().is_some_and(|end| end == "sock") {
        danger(found, *line, "sockets are granted: who may connect to docker.sock is the host");
    }
    let kept = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    if *access == Access::Rw && floor & kept != kept {
        danger(found, *line, "what can be written may be setuid or a device: `floor` lacks nosuid or nodev");
    }
    for (set, text) in [
        (*hard_links, "a hard link shows a file that lies elsewhere"),
        (*cross_mounts, "what is mounted below comes along"),
        (*idmap, "an id map lets a program write as any user of the host"),
    ] {
        if set {
            danger(found, *line, text);
        }
    }
}

/// What a place gives away, where it is one of the host's own or above one.
pub fn host_place(path: &Path) -> Option<String> {
    if path == Path::new("/") {
        return Some("the whole host".to_owned());
    }
    let found = PLACES.iter().find(|(place, _)| Path::new(place).starts_with(path));
    let inside = PLACES.iter().take(2).find(|(place, _)| path.starts_with(place));
    found
        .or(inside)
        .map(|(_, what)| (*what).to_owned())
        .or_else(|| is_kernel(path).then(|| "the kernel".to_owned()))
}

fn is_kernel(path: &Path) -> bool {
    ["/proc", "/sys", "/dev"].iter().any(|place| path.starts_with(place))
}

fn switches(rules: &Rules, found: &mut Vec<Finding>) {
    let written = |key: &Key<bool>, bad: bool| key.as_ref().filter(|at| at.value == bad).map(|at| at.line);
    let rows = [
        (
            written(&rules.process.no_new_privs, false),
            "programs without no_new_privs may become root by a setuid file",
        ),
        (written(&rules.seccomp.required, false), "programs without a filter reach the whole kernel"),
        (written(&rules.root.readonly, false), "a root that can be written is changed for the next program"),
        (written(&rules.limits.oom_kill_disable, true), "a container without the OOM killer hangs the host"),
        (written(&rules.limits.realtime, true), "a realtime program takes a CPU from everyone"),
        (written(&rules.degraded, true), "limits that this host cannot give are left out"),
    ];
    for (line, text) in rows {
        if let Some(line) = line {
            danger(found, line, text);
        }
    }
    for (key, name) in [(&rules.limits.memory, "memory"), (&rules.limits.pids, "pids")] {
        if let Some(at) = key.as_ref().filter(|at| at.value == Bound::Unlimited) {
            danger(found, at.line, format!("one launch may take all {name} of the host"));
        }
    }
    if let Some(at) = rules.namespaces.network.as_ref().filter(|at| at.value.contains(&Network::Host)) {
        danger(found, at.line, "the host's network has its loopback services and abstract sockets");
    }
    if let Some(at) = rules.process.preserve_fds.as_ref().filter(|at| at.value > 0) {
        danger(found, at.line, "a directory of the host among the descriptors is a way out");
    }
}

fn names(rules: &Rules, found: &mut Vec<Finding>) {
    if let Some(at) = rules.process.environment.as_ref().filter(|at| at.value.hold("LD_PRELOAD")) {
        danger(found, at.line, "every variable of the caller may come in, its tokens too");
    }
    if let Some(at) = rules.limits.unified.as_ref().filter(|at| !at.value.0.is_empty()) {
        danger(found, at.line, "files of `unified` are written last and may undo the limits");
    }
    for grant in rules.devices.iter().flat_map(|at| at.value.iter().map(move |grant| (at.line, &grant.0))) {
        if grant.1.of_open().is_some() && (grant.1.major.is_none() || grant.1.minor.is_none()) {
            danger(found, grant.0, format!("{} is a whole class of devices", grant.1));
        }
    }
    if let Some(at) = rules.user.host_uids.as_ref().filter(|at| at.value.hold(0)) {
        danger(found, at.line, "root of the host may be mapped: a user namespace is then no wall");
    }
}

fn of_capabilities(rules: &Rules, found: &mut Vec<Finding>) {
    let ways_out = WAYS_OUT.iter().fold(0, |all, cap| all | cap.bitmask());
    if let Some(at) = rules.capabilities.bounding.as_ref().filter(|at| at.value.0 & ways_out != 0) {
        let names = Caps(at.value.0 & ways_out);
        danger(found, at.line, format!("{names}: without a user namespace that is the host"));
    }
    if let (Some(exec), Some(bounding)) = (&rules.exec.capabilities, &rules.capabilities.bounding) {
        let beyond = exec.value.0 & !bounding.value.0;
        if beyond != 0 {
            useless(found, exec.line, format!("{} is not in `capabilities.bounding`", Caps(beyond)));
        }
    }
}

/// What a profile allows and the host's rules refuse.
fn dead(host: &Rules, profile: &Rules, found: &mut Vec<Finding>) {
    let (own, granted) = (&profile.limits, &host.limits);
    for (own, granted) in [
        (&own.memory, &granted.memory),
        (&own.swap, &granted.swap),
        (&own.pids, &granted.pids),
        (&own.cpu, &granted.cpu),
        (&own.time, &granted.time),
        (&own.stdout, &granted.stdout),
        (&own.stderr, &granted.stderr),
    ] {
        if let (Some(own), Some(granted)) = (own, granted)
            && is_wider(own, granted)
        {
            useless(
                found,
                own.line,
                format!("the host's rules allow {} (line {})", granted.value, granted.line),
            );
        }
    }
    for grant in profile.bind.iter().flat_map(|at| at.value.all()) {
        let alike = |place: &Path| grant.path.starts_with(place) || place.starts_with(&grant.path);
        if !host.bind.iter().flat_map(|at| at.value.places()).any(alike) {
            useless(
                found,
                grant.line,
                format!("{} is not granted by the host's rules", grant.path.display()),
            );
        }
    }
}

fn is_wider(own: &At<Bound>, granted: &At<Bound>) -> bool {
    match (own.value, granted.value) {
        (Bound::Max(own), Bound::Max(granted)) => own > granted,
        (Bound::Unlimited | Bound::Set, Bound::Max(_)) | (Bound::Unlimited, Bound::Set) => true,
        (_, Bound::Unlimited | Bound::Set) => false,
    }
}

/// Of two grants of one place the first decides.
fn twice(grants: &[BindGrant], found: &mut Vec<Finding>) {
    for (index, grant) in grants.iter().enumerate() {
        let earlier = grants.iter().take(index).find(|earlier| earlier.path == grant.path);
        if let Some(earlier) = earlier {
            let text = format!(
                "{} is granted on line {} already, which decides",
                grant.path.display(),
                earlier.line
            );
            useless(found, grant.line, text);
        }
    }
}
