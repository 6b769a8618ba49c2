//! What the findings mean. Pure: the same findings give the same verdict.

use nix::errno::Errno;

use super::findings::Findings;
use super::fixes;
use crate::cgroup::Mode;

/// How much a check matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Without it there is no sandbox.
    Required,
    /// Without it a default is given up and named; `--strict` refuses to start.
    Default,
    /// Without it something less common does not work.
    Optional,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// All is well.
    Good,
    /// It is not there; this is how to get it.
    Missing(String),
}

/// One thing that was examined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// What was examined.
    pub name: &'static str,
    /// What was found, in a few words.
    pub found: String,
    /// How much it matters.
    pub weight: Weight,
    /// How it ended.
    pub state: State,
}

impl Check {
    fn good(name: &'static str, weight: Weight, found: impl Into<String>) -> Self {
        Self { name, found: found.into(), weight, state: State::Good }
    }

    fn missing(name: &'static str, weight: Weight, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, found: found.into(), weight, state: State::Missing(fix.into()) }
    }
}

/// Whether `pinfold sandbox` can work: everything required is there.
pub(super) fn ready(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.weight != Weight::Required || check.state == State::Good)
}

/// Judges everything, in the order in which a launch needs it.
pub(super) fn judge(findings: &Findings) -> Vec<Check> {
    let mut checks = vec![Check::good("kernel", Weight::Required, &findings.kernel), surroundings(findings)];
    checks.extend(findings.calls.iter().map(|(name, since, result)| call(name, since, *result)));
    checks.extend([user_namespaces(findings), fresh_proc(findings), seccomp(findings), landlock(findings)]);
    checks.push(cgroup_mode(findings));
    checks.extend(["memory", "pids", "cpu"].map(|controller| controller_check(findings, controller)));
    checks.push(own_ids(findings));
    checks.push(id_ranges(findings));
    checks.push(security_modules(findings));
    checks
}

fn surroundings(findings: &Findings) -> Check {
    let who = if findings.root { "root" } else { "a user" };
    let place = match (findings.container, findings.in_user_namespace) {
        (Some(engine), _) => format!("in a container ({engine})"),
        (None, true) => "in a user namespace".to_owned(),
        (None, false) => "on the host".to_owned(),
    };
    let filter = if findings.filtered { ", under a seccomp filter" } else { "" };
    Check::good("surroundings", Weight::Optional, format!("{who} {place}{filter}"))
}

/// ENOSYS is an old kernel or a filter that hides the call; for a call that needs no
/// privilege EPERM is a filter too. The mount calls say EPERM to every user.
fn call(name: &'static str, since: &str, result: Result<(), Errno>) -> Check {
    let unprivileged = matches!(name, "openat2" | "clone3" | "pidfd_open" | "close_range");
    let weight = if name == "statmount" { Weight::Optional } else { Weight::Required };
    match result {
        Err(Errno::ENOSYS) => Check::missing(name, weight, "absent", fixes::newer_kernel(name, since)),
        Err(errno @ (Errno::EPERM | Errno::EACCES)) if unprivileged => {
            Check::missing(name, weight, format!("denied ({errno:?})"), fixes::outer_container(name))
        }
        _ => Check::good(name, weight, "available"),
    }
}

fn user_namespaces(findings: &Findings) -> Check {
    let name = "user namespaces";
    let Err(errno) = findings.user_namespace else {
        return Check::good(name, Weight::Required, format!("a new one works{}", switches(findings)));
    };
    let found = format!("a new one does not work ({errno:?}){}", switches(findings));
    let fix = if findings.max_user_namespaces == Some(0) || errno == Errno::ENOSPC {
        fixes::max_user_namespaces()
    } else if findings.unprivileged_userns_clone == Some(0) {
        fixes::unprivileged_userns_clone()
    } else if findings.apparmor_restrict.is_some_and(|switch| switch > 0) {
        fixes::apparmor_profile(&findings.program)
    } else if findings.filtered || findings.container.is_some() {
        fixes::outer_container("user namespaces")
    } else {
        "use a kernel with CONFIG_USER_NS=y".to_owned()
    };
    Check::missing(name, Weight::Required, found, fix)
}

/// The settings that govern user namespaces, where they exist.
fn switches(findings: &Findings) -> String {
    let settings = [
        ("user.max_user_namespaces", findings.max_user_namespaces),
        ("kernel.unprivileged_userns_clone", findings.unprivileged_userns_clone),
        ("kernel.apparmor_restrict_unprivileged_userns", findings.apparmor_restrict),
    ];
    let set = settings.into_iter().filter_map(|(name, value)| Some(format!(", {name}={}", value?)));
    set.collect()
}

fn fresh_proc(findings: &Findings) -> Check {
    let name = "fresh /proc";
    match findings.nested_proc {
        Ok(()) => Check::good(name, Weight::Required, "can be mounted in new namespaces"),
        Err(errno) if findings.user_namespace.is_err() => {
            let found = format!("not in new namespaces ({errno:?})");
            Check::missing(name, Weight::Required, found, "see user namespaces")
        }
        Err(Errno::ENOSPC) => {
            let fix = "raise the limits in /proc/sys/user/max_*_namespaces: sysctl -w user.max_NAME_namespaces=15000";
            Check::missing(name, Weight::Required, "not in new namespaces (ENOSPC)", fix)
        }
        Err(errno) => {
            let found = format!("not in new namespaces ({errno:?})");
            Check::missing(name, Weight::Required, found, fixes::masked_proc())
        }
    }
}

fn seccomp(findings: &Findings) -> Check {
    let name = "seccomp";
    let actions = findings.seccomp_actions.as_deref().unwrap_or("actions unknown");
    match findings.seccomp {
        Ok((true, true)) => Check::good(name, Weight::Required, actions),
        Ok((true, false)) => {
            Check::good(name, Weight::Required, format!("{actions} (no notification: Linux 5.0)"))
        }
        Ok((false, _)) => {
            let fix = fixes::newer_kernel("killing the process by seccomp", "4.14");
            Check::missing(name, Weight::Required, actions, fix)
        }
        Err(errno) => {
            let fix = "use a kernel of 4.14 or newer with CONFIG_SECCOMP_FILTER=y";
            Check::missing(name, Weight::Required, format!("not available ({errno:?})"), fix)
        }
    }
}

fn landlock(findings: &Findings) -> Check {
    let name = "Landlock";
    match findings.landlock {
        Ok(abi) => Check::good(name, Weight::Default, format!("ABI {abi}")),
        Err(Errno::EOPNOTSUPP) => {
            let fix = fixes::landlock_boot(findings.lsms.as_deref());
            Check::missing(name, Weight::Default, "built, but not enabled at boot", fix)
        }
        Err(Errno::ENOSYS) => Check::missing(name, Weight::Default, "not built", fixes::landlock_build()),
        Err(errno) => {
            let fix = fixes::outer_container("Landlock");
            Check::missing(name, Weight::Default, format!("not available ({errno:?})"), fix)
        }
    }
}

fn cgroup_mode(findings: &Findings) -> Check {
    let name = "cgroups";
    let mode = match findings.cgroups.mode {
        Mode::Unified => "version 2",
        Mode::Hybrid => "hybrid: version 1 with a version 2 beside it",
        Mode::Legacy => "version 1",
        Mode::None => {
            let found = findings.cgroups.unreadable.as_deref().unwrap_or("not mounted");
            return Check::missing(name, Weight::Default, found, fixes::mount_cgroups());
        }
    };
    let found = |rest: &str| format!("{mode}, {rest}");
    match (findings.cgroups.writable, findings.root, findings.cgroups.mode) {
        (true, ..) => {
            let controllers = findings.cgroups.controllers.join(" ");
            let with = if controllers.is_empty() { "no controllers" } else { &controllers };
            Check::good(name, Weight::Default, found(&format!("writable, with {with}")))
        }
        (false, true, _) => Check::missing(name, Weight::Default, found("read-only"), fixes::mount_cgroups()),
        (false, false, Mode::Unified) => {
            Check::missing(name, Weight::Default, found("not delegated to this user"), fixes::delegate())
        }
        (false, false, _) => {
            Check::missing(name, Weight::Default, found("not delegated to this user"), fixes::unified())
        }
    }
}

fn controller_check(findings: &Findings, controller: &'static str) -> Check {
    let here = findings.cgroups.controllers.contains(&controller);
    let name = match controller {
        "memory" => "controller memory",
        "pids" => "controller pids",
        _ => "controller cpu",
    };
    if here && findings.cgroups.writable {
        return Check::good(name, Weight::Default, "available");
    }
    let fix = match (findings.root, findings.cgroups.mode) {
        (_, Mode::None) => fixes::mount_cgroups(),
        (false, Mode::Unified) => fixes::delegate(),
        (false, _) => fixes::unified(),
        (true, _) => {
            "remove cgroup_disable= for it from the kernel's command line; on some boards add \
                      cgroup_enable=memory; in a container let the outer engine delegate it"
        }
    };
    Check::missing(name, Weight::Default, "its limits cannot be enforced", fix)
}

/// Started by the host's root, a sandbox has ids that nothing else has.
fn own_ids(findings: &Findings) -> Check {
    let name = "own host ids";
    match (findings.root, findings.in_user_namespace, findings.mount_privilege) {
        (true, false, true) => Check::good(name, Weight::Default, "a range that nothing else uses"),
        (false, ..) => Check::missing(name, Weight::Default, "the user's own", fixes::start_as_root()),
        (true, ..) => Check::missing(name, Weight::Default, "this root's own", fixes::start_on_host()),
    }
}

/// Only for images whose files belong to more than one user: a sandbox needs one id.
fn id_ranges(findings: &Findings) -> Check {
    let name = "id ranges";
    let (users, groups) = findings.subordinate;
    if findings.root && !findings.in_user_namespace {
        return Check::good(name, Weight::Optional, "root maps any id");
    }
    match (&findings.map_programs, findings.no_new_privs) {
        (None, _) => {
            Check::missing(name, Weight::Optional, "no newuidmap and newgidmap", fixes::map_programs())
        }
        (Some(_), true) => {
            let fix = "newuidmap cannot gain privileges here: start pinfold without no_new_privs \
                       (systemd: NoNewPrivileges=no; kubernetes: allowPrivilegeEscalation: true)";
            Check::missing(name, Weight::Optional, "no_new_privs is set", fix)
        }
        (Some(_), false) if users == 0 || groups == 0 => {
            let found = format!("{} has no subordinate ids", findings.user);
            Check::missing(name, Weight::Optional, found, fixes::subordinate(&findings.user))
        }
        (Some(directory), false) => {
            let found = format!("{users} users and {groups} groups, by {}/newuidmap", directory.display());
            Check::good(name, Weight::Optional, found)
        }
    }
}

fn security_modules(findings: &Findings) -> Check {
    let found = findings.lsms.as_deref().unwrap_or("unknown: /sys/kernel/security is not mounted");
    Check::good("security modules", Weight::Optional, found)
}

#[cfg(test)]
mod tests;
