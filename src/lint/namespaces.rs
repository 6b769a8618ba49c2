//! `linux.namespaces`: what is shared with the host or with others.

use super::Severity::{Critical, High, Low, Medium, Note};
use super::{Bench, Rule, rule};
use crate::sys::clone::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUTS,
};

pub(super) const RULES: &[&Rule] =
    &[&MOUNT, &PID, &NETWORK, &IPC, &UTS, &CGROUP, &TIME, &OF_HOST, &JOINED, &SYSCTL_HOST, &SYSCTL, &DEVICE];

#[rustfmt::skip]
mod table {
    use super::*;

    pub(super) const MOUNT: Rule = rule("namespace.mount", Critical, Critical, "the host's mounts", "add {\"type\": \"mount\"} to linux.namespaces");
    pub(super) const PID: Rule = rule("namespace.pid", High, Medium, "the host's processes", "add {\"type\": \"pid\"} to linux.namespaces");
    pub(super) const NETWORK: Rule = rule("namespace.network", High, High, "the host's network", "add {\"type\": \"network\"} to linux.namespaces");
    pub(super) const IPC: Rule = rule("namespace.ipc", Medium, Low, "the host's shared memory and queues", "add {\"type\": \"ipc\"} to linux.namespaces");
    pub(super) const UTS: Rule = rule("namespace.uts", Low, Note, "the host's name", "add {\"type\": \"uts\"} to linux.namespaces");
    pub(super) const CGROUP: Rule = rule("namespace.cgroup", Low, Note, "the host's cgroup names", "add {\"type\": \"cgroup\"} to linux.namespaces");
    pub(super) const TIME: Rule = rule("namespace.time", Note, Note, "the host's boot time", "add {\"type\": \"time\"} to linux.namespaces where that matters");
    pub(super) const OF_HOST: Rule = rule("namespace.of_host", Critical, High, "a namespace of a process of the host", "name a namespace that was made for containers, not one in /proc");
    pub(super) const JOINED: Rule = rule("namespace.joined", Low, Low, "a namespace in common with others", "leave out the path, so that the namespace is the container's own");
    pub(super) const SYSCTL_HOST: Rule = rule("sysctl.host", Critical, High, "a sysctl of the host", "leave it out: it changes the host and no namespace");
    pub(super) const SYSCTL: Rule = rule("sysctl.set", Note, Note, "a sysctl of a namespace", "leave it out unless the program needs it");
    pub(super) const DEVICE: Rule = rule("network.device", Low, Low, "a network device of the host moves in", "leave it out of linux.netDevices unless the host can do without");
}
use table::*;

const KINDS: &[(u64, &Rule, &str)] = &[
    (CLONE_NEWPID, &PID, "processes of the host can be seen and, by the same uid, signalled and traced"),
    (CLONE_NEWNET, &NETWORK, "its loopback services and abstract sockets can be reached (CVE-2020-15257)"),
    (CLONE_NEWIPC, &IPC, "System V shared memory and POSIX queues of the host's programs"),
    (CLONE_NEWUTS, &UTS, "the host's name can be read, and set with CAP_SYS_ADMIN"),
    (CLONE_NEWCGROUP, &CGROUP, "/proc/self/cgroup shows where the host keeps the container"),
    (CLONE_NEWTIME, &TIME, "the monotonic clock shows when the host was started"),
];

/// Paths at which a namespace is a process's, not one that was kept for containers.
const OF_PROCESSES: [&str; 2] = ["/proc", "/dev/fd"];

pub(super) fn namespaces(bench: &mut Bench<'_>) {
    let draft = bench.subject.draft;
    for (nstype, rule, text) in KINDS {
        if draft.new_namespaces & nstype == 0 && !draft.joins(*nstype) {
            bench.find(rule, "/linux/namespaces", *text);
        }
    }
    let listed = bench.subject.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let own_mounts = listed
        .is_some_and(|list| list.iter().any(|one| one.typ() == oci_spec::runtime::LinuxNamespaceType::Mount));
    if !own_mounts {
        let text = "mounts of the container are the host's; pinfold refuses it";
        bench.find(&MOUNT, "/linux/namespaces", text);
    }
    for join in &draft.join {
        let path = join.path.display();
        match OF_PROCESSES.iter().any(|place| join.path.starts_with(place)) {
            true => bench.find(&OF_HOST, &join.field, format!("{path} is that of a process of the host")),
            false if join.nstype == CLONE_NEWNS => {
                bench.find(&OF_HOST, &join.field, format!("{path}: mounts that somebody else made"));
            }
            false => bench.find(&JOINED, &join.field, format!("{path}: who else is in it is not said here")),
        }
    }
    for sysctl in &draft.sysctls {
        bench.find(&SYSCTL, &sysctl.field, format!("{} is set", sysctl.name));
    }
    for device in &draft.net_devices {
        let text = format!("{} is the container's from then on", device.host_name);
        bench.find(&DEVICE, &device.field, text);
    }
}

/// What of the refused is a sysctl of the host.
pub(super) fn of_refused(field: &str) -> Option<&'static Rule> {
    field.starts_with("/linux/sysctl/").then_some(&SYSCTL_HOST)
}
