use super::*;

fn dir(real: &str) -> HostObject {
    HostObject::Dir { real: PathBuf::from(real) }
}

fn file(real: &str) -> HostObject {
    HostObject::File { real: PathBuf::from(real) }
}

fn link(target: &str, leads_to: HostObject) -> HostObject {
    HostObject::Link { target: PathBuf::from(target), leads_to: Box::new(leads_to) }
}

/// The least that a host has.
fn merged() -> Vec<(&'static str, HostObject)> {
    vec![
        ("/usr", dir("/usr")),
        ("/bin", link("usr/bin", dir("/usr/bin"))),
        ("/lib", link("usr/lib", dir("/usr/lib"))),
    ]
}

fn planned(more: impl IntoIterator<Item = (&'static str, HostObject)>) -> RootPlan {
    plan(&HostRootFacts::of(merged().into_iter().chain(more))).unwrap()
}

fn binds(plan: &RootPlan) -> Vec<(&str, &str)> {
    let text = |path: &'_ PathBuf| -> &'static str { String::leak(path.display().to_string()) };
    plan.binds.iter().map(|bind| (text(&bind.source), text(&bind.destination))).collect()
}

fn link_at<'p>(plan: &'p RootPlan, wanted: &str) -> Option<&'p Path> {
    plan.made.iter().find_map(|made| match made {
        Made::Link { path, target } if path == Path::new(wanted) => Some(target.as_path()),
        _ => None,
    })
}

#[test]
fn a_merged_host_gives_usr_and_its_own_links() {
    let plan = planned([("/lib64", link("usr/lib64", dir("/usr/lib64")))]);
    assert_eq!(binds(&plan), [("/usr", "/usr")]);
    for (path, target) in [("/bin", "usr/bin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64")] {
        assert_eq!(link_at(&plan, path), Some(Path::new(target)));
    }
    assert_eq!(link_at(&plan, "/sbin"), None, "the host has none");
}

#[test]
fn an_unmerged_host_gives_its_directories() {
    let facts = HostRootFacts::of([
        ("/usr", dir("/usr")),
        ("/bin", dir("/bin")),
        ("/sbin", dir("/sbin")),
        ("/lib", dir("/lib")),
        ("/lib64", link("lib", dir("/lib"))),
    ]);
    let plan = plan(&facts).unwrap();
    let expected =
        [("/usr", "/usr"), ("/bin", "/bin"), ("/sbin", "/sbin"), ("/lib", "/lib"), ("/lib", "/lib64")];
    assert_eq!(binds(&plan), expected, "and /lib64, which leads out of /usr, as what it ends at");
}

#[test]
fn what_each_object_of_etc_becomes() {
    let zone = || file("/usr/share/zoneinfo/Etc/UTC");
    let bound = |source, at| (Some((source, at)), None);
    let linked = |target| (None, Some(target));
    let table = [
        ("/etc/ssl/certs", dir("/etc/ssl/certs"), bound("/etc/ssl/certs", "/etc/ssl/certs")),
        ("/etc/services", file("/etc/services"), bound("/etc/services", "/etc/services")),
        // Fedora and openSUSE.
        (
            "/etc/ssl/certs",
            link("../pki/tls/certs", dir("/etc/pki/tls/certs")),
            bound("/etc/pki/tls/certs", "/etc/ssl/certs"),
        ),
        ("/etc/ssl/certs", link("/var/lib/ca", dir("/var/lib/ca")), bound("/var/lib/ca", "/etc/ssl/certs")),
        // A link on the way: /etc/ssl itself leads elsewhere.
        ("/etc/ssl/certs", dir("/etc/pki/tls/certs"), bound("/etc/pki/tls/certs", "/etc/ssl/certs")),
        ("/etc/localtime", link("/usr/share/zoneinfo/UTC", zone()), linked("/usr/share/zoneinfo/UTC")),
        ("/etc/localtime", link("../usr/share/zoneinfo/UTC", zone()), linked("../usr/share/zoneinfo/UTC")),
        ("/etc/localtime", link("/usr/../var/zone", file("/var/zone")), bound("/var/zone", "/etc/localtime")),
        ("/etc/localtime", link("/nowhere", HostObject::Absent), (None, None)),
        ("/etc/services", HostObject::Absent, (None, None)),
    ];
    for (path, object, (bind, target)) in table {
        let plan = planned([(path, object.clone())]);
        assert_eq!(binds(&plan).get(1).copied(), bind, "{path} {object:?}");
        assert_eq!(link_at(&plan, path), target.map(Path::new), "{path} {object:?}");
    }
}

#[test]
fn a_host_without_usr_is_told_so() {
    for missing in ["/usr", "/bin", "/lib"] {
        let facts = HostRootFacts::of(merged().into_iter().filter(|(path, _)| *path != missing));
        let error = plan(&facts).unwrap_err().to_string();
        assert_eq!(error, format!("{missing}: is missing on the host"));
    }
}

#[test]
fn everything_is_made_once_and_after_its_parent() {
    let everything = host_binds().iter().map(|bind| (bind.source, dir(bind.source)));
    for plan in [planned([]), plan(&HostRootFacts::of(everything)).unwrap()] {
        let mut seen = BTreeSet::from([PathBuf::from("/")]);
        for made in &plan.made {
            let (Made::Dir { path, .. } | Made::File { path, .. } | Made::Link { path, .. }) = made;
            assert!(seen.contains(path.parent().unwrap()), "{made:?}");
            if matches!(made, Made::Dir { .. }) {
                assert!(seen.insert(path.clone()), "{made:?}");
            }
        }
        for bind in &plan.binds {
            assert!(seen.contains(&bind.destination), "{bind:?}");
        }
    }
}

#[test]
fn no_directory_pretends_to_be_the_hosts_data() {
    let shown = planned([]);
    for path in ["/var", "/root", "/srv", "/opt", "/mnt", "/media", "/boot"] {
        let there = shown
            .made
            .iter()
            .any(|made| matches!(made, Made::Dir { path: dir, .. } if dir.starts_with(path)));
        assert!(!there, "{path}");
    }
}

#[test]
fn the_names_inside_agree_with_each_other() {
    let content = |wanted: &str| {
        skeleton().iter().find_map(|entry| match entry {
            Entry::File { path, content, .. } if *path == wanted => Some(*content),
            _ => None,
        })
    };
    assert_eq!(content("/etc/hostname"), Some(format!("{HOSTNAME}\n").as_str()));
    assert!(content("/etc/hosts").unwrap().contains(&format!("127.0.0.1 localhost {HOSTNAME}\n")));
    let user = format!("\ntool:x:{TOOL_UID}:{TOOL_GID}:the tool:/home/tool:/bin/sh\n");
    assert!(content("/etc/passwd").unwrap().contains(&user));
    assert!(content("/etc/group").unwrap().contains(&format!("\ntool:x:{TOOL_GID}:\n")));
    // machine-id(5): 32 lower-case hexadecimal digits and a newline, not all zero.
    let id = content("/etc/machine-id").unwrap().strip_suffix('\n').unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert!(id.bytes().any(|byte| byte != b'0'));
}

#[test]
fn this_host_can_be_planned_for() {
    let plan = plan(&HostRootFacts::read().unwrap()).unwrap();
    assert_eq!(plan.binds.first().map(|bind| bind.source.as_path()), Some(Path::new("/usr")));
    for bind in &plan.binds {
        let real = bind.source.ancestors().all(|path| !path.is_symlink());
        assert!(real, "{bind:?} is reached without a link");
    }
}

/// The plan as a shell script that makes the root below `$R`.
fn script(plan: &RootPlan) -> String {
    let made = plan.made.iter().map(|made| match made {
        Made::Dir { path, mode } => format!("mkdir -m {mode:o} $R{}", path.display()),
        Made::File { path, mode, content } => {
            format!("cat >$R{0} <<'EOF'\n{content}EOF\nchmod {mode:o} $R{0}", path.display())
        }
        Made::Link { path, target } => format!("ln -s {} $R{}", target.display(), path.display()),
    });
    let bound = plan
        .binds
        .iter()
        .map(|bind| format!("mount -o bind,ro {} $R{}", bind.source.display(), bind.destination.display()));
    made.chain(bound).collect::<Vec<_>>().join("\n")
}

/// What must run there, each as user `tool`.
const PROGRAMS: &[&str] = &[
    "bash -c 'echo bash'",
    "ls -d /usr",
    "awk 'BEGIN { print 1 }'",
    "/usr/bin/python3 -c 'import ssl, json; ssl.create_default_context()'",
    "perl -e 'use POSIX; print 1'",
    "git --version",
    "curl --version",
    "ls /etc/ssl/certs/ | grep -q .",
    "id -un | grep -x tool",
    "test \"$(ls /var/log 2>&1)\" = \"ls: cannot access '/var/log': No such file or directory\"",
];

/// For `unshare --mount`: nothing that is mounted here is seen outside.
const AROUND: &str = r#"
set -eu
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin
R=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs $R
trap 'umount -R $R; rmdir $R' EXIT
@ROOT@
mount -t proc proc $R/proc
for node in null urandom; do touch $R/dev/$node; mount --bind /dev/$node $R/dev/$node; done
try() { chroot --userspec=1000:1000 $R /bin/sh -c "$1" || { echo "FAILED: $1"; exit 1; }; }
"#;

#[test]
fn the_usual_programs_run_in_this_root() {
    let plan = plan(&HostRootFacts::read().unwrap()).unwrap();
    let tries = PROGRAMS.iter().map(|program| format!("try '{}'\n", program.replace('\'', r"'\''")));
    let text = AROUND.replace("@ROOT@", &script(&plan)) + &tries.collect::<String>();
    let out = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "bash", "-c", &text])
        .output()
        .unwrap();
    let told = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(out.status.success(), "{told}");
}
