//! The exact remedy for each check that fails: settings to copy, never "consult your manual".

use std::path::Path;

/// Raises the limit on user namespaces (namespaces(7)).
pub(super) fn max_user_namespaces() -> String {
    persistent("user.max_user_namespaces", "15000")
}

/// Debian's switch.
pub(super) fn unprivileged_userns_clone() -> String {
    persistent("kernel.unprivileged_userns_clone", "1")
}

fn persistent(name: &str, value: &str) -> String {
    format!("sysctl -w {name}={value}\nto keep it: echo '{name} = {value}' > /etc/sysctl.d/60-pinfold.conf")
}

/// A profile that lets this program alone use user namespaces (Ubuntu 23.10 and later).
pub(super) fn apparmor_profile(program: &Path) -> String {
    let program = program.display();
    format!(
        "write this to /etc/apparmor.d/pinfold and load it with `apparmor_parser -r /etc/apparmor.d/pinfold`:\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         profile pinfold {program} flags=(unconfined) {{\n\
         \x20 userns,\n\
         \x20 include if exists <local/pinfold>\n\
         }}"
    )
}

/// Root of a container, or a user, whom an outer seccomp filter or capability set stops.
pub(super) fn outer_container(what: &str) -> String {
    format!(
        "the container around this process denies {what}; start it with a seccomp profile that allows clone3, \
         unshare, mount and the new mount calls: docker and podman: --security-opt seccomp=FILE; \
         kubernetes: securityContext.seccompProfile"
    )
}

/// /proc is masked, so that no user namespace below may mount its own.
pub(super) fn masked_proc() -> &'static str {
    "/proc has masked paths here, so the kernel refuses a fresh one: docker: --security-opt systempaths=unconfined; \
     podman: --security-opt unmask=ALL; kubernetes: securityContext.procMount: Unmasked with hostUsers: false"
}

/// The kernel is older than what is needed.
pub(super) fn newer_kernel(call: &str, since: &str) -> String {
    format!("{call} needs Linux {since}; install a newer kernel")
}

/// Landlock is built but not in the list of security modules.
pub(super) fn landlock_boot(lsms: Option<&str>) -> String {
    let others = lsms.filter(|list| !list.is_empty()).map_or("... (those of now)".to_owned(), |list| {
        list.split(',').filter(|name| *name != "landlock").collect::<Vec<_>>().join(",")
    });
    format!("add to the kernel's command line: lsm=landlock,{others}")
}

/// Landlock is not built.
pub(super) fn landlock_build() -> &'static str {
    "use a kernel of 5.13 or newer with CONFIG_SECURITY_LANDLOCK=y"
}

/// Controllers that systemd did not hand down.
pub(super) fn delegate() -> &'static str {
    "hand the controllers to users: write\n[Service]\nDelegate=cpu cpuset io memory pids\n\
     to /etc/systemd/system/user@.service.d/delegate.conf, then `systemctl daemon-reload` and log in again;\n\
     or for one launch: systemd-run --user --scope -p Delegate=yes pinfold sandbox ..."
}

/// Version 1 has no safe way to hand cgroups to users.
pub(super) fn unified() -> &'static str {
    "boot with systemd.unified_cgroup_hierarchy=1: cgroup version 1 cannot be handed to users"
}

/// No cgroup filesystem, or one that is read-only.
pub(super) fn mount_cgroups() -> &'static str {
    "mount it with `mount -t cgroup2 none /sys/fs/cgroup`, or writable into the container around this process"
}

/// The programs that write id maps for users.
pub(super) fn map_programs() -> &'static str {
    "install newuidmap and newgidmap: Debian and Ubuntu: apt install uidmap; Fedora: dnf install shadow-utils"
}

/// Subordinate ids. A user without a name is `#UID`, which usermod does not know.
pub(super) fn subordinate(user: &str) -> String {
    match user.strip_prefix('#') {
        Some(uid) => format!("echo {uid}:100000:65536 | tee -a /etc/subuid >> /etc/subgid"),
        None => format!("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"),
    }
}

/// Only root may give ids away.
pub(super) fn start_as_root() -> &'static str {
    "start pinfold as root (by sudo, or from a system service) for ids that no other process has"
}

/// Root of a container or of a user namespace has only what it was given.
pub(super) fn start_on_host() -> &'static str {
    "start pinfold as root outside the container or user namespace around this process, or give it \
     CAP_SYS_ADMIN and all ids"
}
