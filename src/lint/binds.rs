//! Binds: which part of the host each shows.

use std::path::{Component, Path, PathBuf};

use super::Severity::{Critical, High, Medium};
use super::{Bench, Rule, rule};
use crate::draft::{DraftMount, MountSource};
use crate::policy::host_place;

pub(super) const RULES: &[&Rule] =
    &[&HOST_ROOT, &ETC, &SOCKET, &HOME, &PROC, &SYS, &DEV, &CGROUP, &HOST_DIRECTORY];

const FIX: &str = "bind the one file or directory that the program needs, read-only if it only reads";

#[rustfmt::skip]
mod table {
    use super::*;

    pub(super) const HOST_ROOT: Rule = rule("bind.host_root", Critical, High, "the whole host", FIX);
    pub(super) const ETC: Rule = rule("bind.etc", Critical, High, "the host's configuration and passwords", FIX);
    pub(super) const SOCKET: Rule = rule("bind.runtime_socket", Critical, Critical, "a socket whose owner does what it is asked", "leave it out: who may connect can start a container that has the host; read-only does not help");
    pub(super) const HOME: Rule = rule("bind.home", High, High, "a home has keys and start-up files", FIX);
    pub(super) const PROC: Rule = rule("bind.proc", Critical, High, "the host's processes and kernel", "mount a new proc instead of the host's");
    pub(super) const SYS: Rule = rule("bind.sys", High, Medium, "the host's devices and kernel", "mount a new sysfs, read-only, instead of the host's");
    pub(super) const DEV: Rule = rule("bind.dev", Critical, High, "the host's devices", "name single devices in linux.devices");
    pub(super) const CGROUP: Rule = rule("bind.cgroup", Critical, Medium, "the host's cgroups", "mount type cgroup, read-only, with a cgroup namespace");
    pub(super) const HOST_DIRECTORY: Rule = rule("bind.host_directory", High, Medium, "a directory of the host's own", FIX);
}
use table::*;

/// Sockets that are as good as root, by the end of their paths.
const SOCKETS: &[&str] = &[
    "docker.sock",
    "containerd.sock",
    "crio.sock",
    "podman.sock",
    "buildkitd.sock",
    "cri-dockerd.sock",
    "kubelet.sock",
    "system_bus_socket",
    "systemd/private",
    "libvirt-sock",
    "snapd.socket",
    "lxd/unix.socket",
    "incus/unix.socket",
];
/// And directories that hold one.
const SOCKET_DIRECTORIES: &[&str] = &[
    "/run",
    "/run/docker",
    "/run/containerd",
    "/run/crio",
    "/run/podman",
    "/run/dbus",
    "/run/systemd",
    "/run/systemd/private",
    "/run/libvirt",
    "/run/pinfold",
    "/var/lib/kubelet",
];

pub(super) fn binds(bench: &mut Bench<'_>) {
    for mount in &bench.subject.draft.mounts {
        if let MountSource::Bind { path, .. } = &mount.source {
            bind(bench, mount, path);
        }
    }
}

fn bind(bench: &mut Bench<'_>, mount: &DraftMount, source: &Path) {
    if !source.is_absolute() {
        return;
    }
    let path = plain(source);
    let field = format!("{}/source", mount.field);
    let readonly = mount.options.readonly();
    if is_socket(bench, mount, &path) {
        let text = format!("{} is handed in", source.display());
        bench.find(&SOCKET, field, text);
        return;
    }
    let Some((rule, what)) = place(&path) else { return };
    let how = if readonly { "can be read" } else { "can be written" };
    bench.find_bind(rule, readonly, field, format!("{} {how}: {what}", source.display()));
}

/// A socket by its name, a directory that holds one, or what the host says is a socket.
fn is_socket(bench: &Bench<'_>, mount: &DraftMount, path: &Path) -> bool {
    let looked =
        bench.subject.looked.iter().find(|looked| looked.field.starts_with(&format!("{}/", mount.field)));
    looked.is_some_and(|looked| looked.is_socket)
        || SOCKETS.iter().any(|name| path.ends_with(name))
        || SOCKET_DIRECTORIES.iter().any(|directory| path == Path::new(directory))
}

fn place(path: &Path) -> Option<(&'static Rule, String)> {
    let below = |place: &str| path.starts_with(place);
    let text = |what: &str| what.to_owned();
    if path == Path::new("/") {
        return Some((&HOST_ROOT, text("every file of the host")));
    }
    if below("/sys/fs/cgroup") {
        return Some((&CGROUP, text("limits of other containers; release_agent (CVE-2022-0492)")));
    }
    if below("/proc") {
        return Some((&PROC, text("core_pattern, sysrq, the files of every process through /proc/PID/root")));
    }
    if below("/sys") {
        return Some((&SYS, text("modules, devices, uevent_helper")));
    }
    if is_device_place(path) {
        return Some((&DEV, text("disks, memory, terminals")));
    }
    if below("/root") || (below("/home") && path.components().count() <= 3) {
        return Some((&HOME, text("ssh keys, tokens, shell start-up files")));
    }
    if below("/etc") && !harmless(path) {
        return Some((&ETC, text("shadow, cron, sudoers, unit files")));
    }
    if harmless(path) {
        return None;
    }
    host_place(path).map(|what| (&HOST_DIRECTORY, what))
}

/// Single files that container engines show, and that say nothing.
fn harmless(path: &Path) -> bool {
    ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/localtime"]
        .iter()
        .any(|one| path == Path::new(one))
        || path.starts_with("/etc/ssl/certs")
        || path.starts_with("/usr/share/zoneinfo")
}

/// Devices that are made for every container are none of the host's.
fn is_device_place(path: &Path) -> bool {
    const PLAIN: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
    match path.strip_prefix("/dev") {
        Ok(name) => !PLAIN.iter().any(|plain| name == Path::new(plain)),
        Err(_) => false,
    }
}

/// The path without `.`, `..` and the links that every host has.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            _ => {}
        }
    }
    match plain.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest).components().collect(),
        Err(_) => plain,
    }
}
