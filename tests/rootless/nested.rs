//! Root that is not the host's: of a user namespace, or without capabilities.

use crate::support::{Place, run};

/// unshare(1) leaves the writing of several ids to newuidmap(1), which wants /etc/subuid.
const SEVERAL_IDS: &str = "
mkfifo $PLACE/pid $PLACE/go
(read -r pid <$PLACE/pid
 echo 0 0 65536 >/proc/$pid/uid_map
 echo 0 0 65536 >/proc/$pid/gid_map
 echo >$PLACE/go) &
exec unshare -U -- sh -euc 'echo $$ >$PLACE/pid; read -r go <$PLACE/go
    exec setpriv --reuid=0 --regid=0 --clear-groups -- \"$@\"' sh \"$@\"
";

/// Each starts a shell that is root of something less than the host.
const ROOTS: &[(&str, &[&str])] = &[
    (
        "user namespace of a user",
        &["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "unshare", "-Ur", "--"],
    ),
    (
        "mount and pid namespaces too",
        &[
            "setpriv",
            "--reuid=12345",
            "--regid=12345",
            "--clear-groups",
            "unshare",
            "-Urmpf",
            "--mount-proc",
            "--",
        ],
    ),
    ("user namespace of root", &["unshare", "-Ur", "--"]),
    ("several ids", &["sh", "-euc", SEVERAL_IDS, "sh"]),
    ("no CAP_SYS_ADMIN", &["setpriv", "--bounding-set=-sys_admin", "--"]),
    ("no capability for ids", &["setpriv", "--bounding-set=-sys_admin,-setuid,-setgid", "--"]),
];

#[test]
fn root_of_less_than_the_host_gets_the_same_sandbox() {
    let place = Place::new("nested");
    // As /tmp: each of them makes its state directory there.
    let shared = place.path("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let state = shared.join("state");
    for (name, prefix) in ROOTS {
        let script = "id -u >&2; cd /; exec $PINFOLD --root $PLACE/shared/state sandbox --tmpfs /t -- sh -c \
                      'id -u; grep -E \"^(Cap(Eff|Bnd)|Seccomp):\" /proc/self/status; echo x 2>/dev/null >/usr/x || echo ro'";
        let ran = run(place.root_script(prefix, script));
        let expected = "1000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nSeccomp:\t2\nro\n";
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), expected), "{name}: {}", ran.err);
        assert!(ran.err.starts_with("0\n"), "{name}: the control: root it is: {}", ran.err);
        assert!(ran.err.contains("degraded: own host ids"), "{name}: {}", ran.err);
        // The next one's root may be another user.
        std::fs::remove_dir_all(&state).unwrap();
    }
}

#[test]
fn root_of_a_namespace_that_owns_no_state_directory_is_told_what_to_do() {
    let place = Place::new("nested-state");
    let script = "unset XDG_RUNTIME_DIR; exec $PINFOLD sandbox -- true";
    run(place.root_script(ROOTS[0].1, script)).exits(121).says(&[
        "/run/pinfold",
        "hint: ",
        "XDG_RUNTIME_DIR",
        "--root",
    ]);
}

/// The limit counts for each user namespace (namespaces(7)), so one of the test's own is lowered.
#[test]
fn forbidden_user_namespaces_are_told_with_their_remedy() {
    let place = Place::new("forbidden");
    let script = "echo 0 >/proc/sys/user/max_user_namespaces; $PINFOLD doctor >doctor.txt && exit 3; \
                  exec $PINFOLD --root state sandbox -- true";
    run(place.root_script(ROOTS[0].1, script)).exits(121).says(&[
        "clone3: ",
        "ENOSPC",
        "hint: ",
        "pinfold doctor",
    ]);
    let doctor = std::fs::read_to_string(place.path("own/doctor.txt")).unwrap();
    assert!(doctor.contains("MISSING  user namespaces"), "{doctor}");
    assert!(doctor.contains("sysctl -w user.max_user_namespaces="), "{doctor}");
}
