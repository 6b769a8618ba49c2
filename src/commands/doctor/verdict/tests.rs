use std::path::PathBuf;

use super::super::cgroups::Cgroups;
use super::*;

/// A modern host on which everything works, seen by a user.
fn healthy() -> Findings {
    Findings {
        kernel: "6.18.0".to_owned(),
        root: false,
        mount_privilege: false,
        in_user_namespace: false,
        calls: vec![
            ("openat2", "5.6", Ok(())),
            ("fsopen", "5.2", Err(Errno::EPERM)),
            ("statmount", "6.8", Ok(())),
        ],
        landlock: Ok(7),
        seccomp: Ok((true, true)),
        seccomp_actions: Some("kill_process errno allow".to_owned()),
        filtered: false,
        no_new_privs: false,
        lsms: Some("capability,landlock,apparmor".to_owned()),
        max_user_namespaces: Some(15000),
        unprivileged_userns_clone: Some(1),
        apparmor_restrict: Some(1),
        user_namespace: Ok(()),
        nested_proc: Ok(()),
        map_programs: Some(PathBuf::from("/usr/bin")),
        subordinate: (65536, 65536),
        user: "joe".to_owned(),
        cgroups: Cgroups {
            mode: Mode::Unified,
            controllers: vec!["cpu", "memory", "pids"],
            writable: true,
            unreadable: None,
        },
        container: None,
        program: PathBuf::from("/opt/pinfold"),
    }
}

/// What fails, but for the ids that no user has (a test of its own).
fn missing(findings: &Findings) -> Vec<(&'static str, String)> {
    let checks = judge(findings).into_iter().filter(|check| check.name != "own host ids");
    checks
        .filter_map(|check| match check.state {
            State::Missing(fix) => Some((check.name, fix)),
            State::Good => None,
        })
        .collect()
}

type Change = fn(&mut Findings);

/// A change of the healthy host; the check that fails, a word of its fix, and whether
/// `sandbox` still works.
type Row = (Change, &'static str, &'static str, bool);

#[test]
fn a_healthy_host_needs_nothing() {
    assert_eq!(missing(&healthy()), []);
    assert!(ready(&judge(&healthy())));
}

#[test]
fn each_fault_has_its_check_and_its_own_fix() {
    let rows: &[Row] = &[
        (|host| host.calls[0].2 = Err(Errno::ENOSYS), "openat2", "Linux 5.6", false),
        (|host| host.calls[0].2 = Err(Errno::EPERM), "openat2", "--security-opt seccomp=", false),
        (|host| host.calls[1].2 = Err(Errno::ENOSYS), "fsopen", "Linux 5.2", false),
        (|host| host.calls[2].2 = Err(Errno::ENOSYS), "statmount", "Linux 6.8", true),
        (|host| host.seccomp = Ok((false, false)), "seccomp", "4.14", false),
        (|host| host.seccomp = Err(Errno::ENOSYS), "seccomp", "CONFIG_SECCOMP_FILTER", false),
        (|host| host.landlock = Err(Errno::ENOSYS), "Landlock", "CONFIG_SECURITY_LANDLOCK", true),
        (|host| host.landlock = Err(Errno::EOPNOTSUPP), "Landlock", "lsm=landlock,capability,apparmor", true),
        (|host| host.nested_proc = Err(Errno::EPERM), "fresh /proc", "systempaths=unconfined", false),
        (|host| host.nested_proc = Err(Errno::ENOSPC), "fresh /proc", "max_NAME_namespaces", false),
        (|host| host.map_programs = None, "id ranges", "apt install uidmap", true),
        (|host| host.no_new_privs = true, "id ranges", "NoNewPrivileges=no", true),
        (|host| host.subordinate = (65536, 0), "id ranges", "usermod --add-subuids 100000-165535", true),
        (
            |host| host.cgroups.controllers.retain(|name| *name != "pids"),
            "controller pids",
            "Delegate=",
            true,
        ),
    ];
    for (number, (change, name, fix, still_ready)) in rows.iter().enumerate() {
        let mut host = healthy();
        change(&mut host);
        let missing = missing(&host);
        assert_eq!(missing.len(), 1, "row {number}: {missing:?}");
        assert_eq!(missing[0].0, *name, "row {number}");
        assert!(missing[0].1.contains(fix), "row {number}: {}", missing[0].1);
        assert_eq!(ready(&judge(&host)), *still_ready, "row {number}");
    }
}

#[test]
fn a_refused_user_namespace_names_the_setting_that_refuses_it() {
    let rows: &[(Change, &str)] = &[
        (|host| host.max_user_namespaces = Some(0), "sysctl -w user.max_user_namespaces=15000"),
        (|host| host.user_namespace = Err(Errno::ENOSPC), "user.max_user_namespaces"),
        (|host| host.unprivileged_userns_clone = Some(0), "sysctl -w kernel.unprivileged_userns_clone=1"),
        (|_| {}, "profile pinfold /opt/pinfold flags=(unconfined) {\n  userns,\n"),
        (|host| (host.apparmor_restrict, host.filtered) = (None, true), "--security-opt seccomp="),
        (
            |host| (host.apparmor_restrict, host.container) = (Some(0), Some("docker")),
            "--security-opt seccomp=",
        ),
        (|host| host.apparmor_restrict = None, "CONFIG_USER_NS=y"),
    ];
    for (change, fix) in rows {
        let mut host = healthy();
        host.user_namespace = Err(Errno::EPERM);
        host.nested_proc = Err(Errno::EPERM);
        change(&mut host);
        let missing = missing(&host);
        assert_eq!(missing[0].0, "user namespaces");
        assert!(missing[0].1.contains(fix), "{}", missing[0].1);
        assert_eq!(missing[1], ("fresh /proc", "see user namespaces".to_owned()));
        assert!(!ready(&judge(&host)));
    }
}

#[test]
fn cgroups_are_mended_according_to_their_mode() {
    let rows = [
        (false, Mode::Unified, "Delegate=cpu cpuset io memory pids"),
        (false, Mode::Hybrid, "systemd.unified_cgroup_hierarchy=1"),
        (false, Mode::Legacy, "systemd.unified_cgroup_hierarchy=1"),
        (false, Mode::None, "mount -t cgroup2"),
        (true, Mode::Unified, "mount -t cgroup2"),
        (true, Mode::None, "mount -t cgroup2"),
    ];
    for (root, mode, fix) in rows {
        let mut host = healthy();
        host.root = root;
        host.cgroups = Cgroups { mode, controllers: vec![], writable: false, unreadable: None };
        let missing = missing(&host);
        assert_eq!(missing.len(), 4, "{missing:?}");
        assert_eq!(missing[0].0, "cgroups");
        assert!(missing[0].1.contains(fix), "{root} {mode:?}: {}", missing[0].1);
        assert!(ready(&judge(&host)), "limits are defaults, not requirements");
    }
}

#[test]
fn root_of_the_host_needs_no_id_ranges() {
    let mut host = healthy();
    (host.root, host.map_programs, host.subordinate) = (true, None, (0, 0));
    assert_eq!(missing(&host), []);
    host.in_user_namespace = true;
    assert_eq!(missing(&host).len(), 1);
}

#[test]
fn only_root_of_the_host_gives_ids_of_their_own() {
    let rows = [
        (true, false, true, None),
        (true, true, true, Some("outside the container")),
        (true, false, false, Some("CAP_SYS_ADMIN")),
        (false, false, false, Some("start pinfold as root")),
    ];
    for (root, in_user_namespace, mount_privilege, fix) in rows {
        let mut host = healthy();
        (host.root, host.in_user_namespace, host.mount_privilege) =
            (root, in_user_namespace, mount_privilege);
        let checks = judge(&host);
        let check = checks.iter().find(|check| check.name == "own host ids").unwrap();
        let told = match &check.state {
            State::Missing(text) => Some(text),
            State::Good => None,
        };
        assert_eq!(told.is_some(), fix.is_some(), "{check:?}");
        assert!(told.is_none_or(|told| told.contains(fix.unwrap())), "{check:?}");
        assert!(ready(&checks));
    }
}

#[test]
fn a_user_without_a_name_is_told_by_number() {
    let mut host = healthy();
    (host.subordinate, host.user) = ((0, 0), "#12345".to_owned());
    assert_eq!(missing(&host)[0].1, "echo 12345:100000:65536 | tee -a /etc/subuid >> /etc/subgid");
}
