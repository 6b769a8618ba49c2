//! Files of the host: what the user may reach comes in as asked for, and no flag of a host's
//! mount is lost on the way (mount_namespaces(7), "locked").

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use crate::support::{Place, UID, copy_executable, run};

/// What is made in a workspace belongs to its owner; what is read-only stays so.
#[test]
fn a_workspace_is_the_user_s_inside_and_outside() {
    let place = Place::new("workspace");
    let (rw, ro) = (place.own_dir("rw"), place.own_dir("ro"));
    fs::write(ro.join("file"), "kept").unwrap();
    chown(ro.join("file"), Some(UID), Some(UID)).unwrap();
    let script = "stat -c '%u:%g' /rw; pwd; mkdir d; echo new > d/f; cat /ro/file; \
                  for p in /ro/file /ro/x /usr/x /etc/x /etc/passwd /x /dev/x /proc/sys/kernel/hostname; do \
                  echo x 2>/dev/null >$p && echo \"wrote $p\"; done; echo t > /tmp/t; echo h > $HOME/h; rm /tmp/t ~/h";
    let words = ["sandbox", "--rw", "rw:/rw", "--ro", "ro:/ro", "--", "sh", "-c", script];
    let ran = run(place.pinfold(words)).exits(0);
    assert_eq!(ran.out, "1000:1000\n/rw\nkept");
    let made = fs::metadata(rw.join("d/f")).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (UID, UID, 0o644));
    assert_eq!(fs::read_to_string(ro.join("file")).unwrap(), "kept");
}

#[test]
fn the_user_s_own_limits_hold_inside() {
    let place = Place::new("unreadable");
    fs::write(place.path("secret"), "root's").unwrap();
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let secret = place.path("secret");
    let bind = format!("{}:/s", secret.display());
    // A bind needs no right to read: inside, the file is as closed as outside.
    let ran = run(place.pinfold(["sandbox", "--ro", &bind, "--", "cat", "/s"]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
    fs::create_dir(place.path("closed")).unwrap();
    fs::create_dir(place.path("closed/in")).unwrap();
    fs::set_permissions(place.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let bind = format!("{}:/s", place.path("closed/in").display());
    run(place.pinfold(["sandbox", "--ro", &bind, "--", "true"])).exits(121).says(&["closed/in", "EACCES"]);
}

/// Mount points that are missing in a workspace are made there, and belong to its owner even
/// where its group is not mapped.
#[test]
fn a_mount_point_in_a_workspace_belongs_to_its_owner() {
    let place = Place::new("points");
    let (work, extra) = (place.own_dir("work"), place.own_dir("extra"));
    chown(&work, None, Some(54321)).unwrap();
    let words = ["sandbox", "--rw", "work:/w", "--ro", "extra:/w/a/b", "--", "stat", "-c", "%u", "/w/a/b"];
    assert_eq!(run(place.pinfold(words)).exits(0).out, "1000\n");
    assert_eq!(fs::metadata(work.join("a")).unwrap().uid(), UID);
    assert!(extra.is_dir());
}

#[test]
fn devices_are_the_host_s_nodes_and_work() {
    let place = Place::new("devices");
    let script = "for d in null zero full random urandom; do head -c1 /dev/$d | wc -c; done; \
                  echo x >/dev/null && echo null; echo x 2>/dev/null >/dev/full || echo full; \
                  stat -c '%t:%T' /dev/null /dev/zero /dev/tty";
    let ran = run(place.pinfold(["sandbox", "--", "sh", "-c", script])).exits(0);
    assert_eq!(
        ran.out.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "1", "1", "1", "null", "full", "1:3", "1:5", "5:0"]
    );
    let extra = run(place.pinfold([
        "sandbox",
        "--device",
        "/dev/zero:/dev/other",
        "--",
        "sh",
        "-c",
        "head -c2 /dev/other | wc -c",
    ]));
    assert_eq!(extra.exits(0).out, "2\n");
}

/// Each flag of a host's mount is there inside; what asks for its opposite is refused.
#[test]
fn flags_of_the_host_s_mounts_are_kept() {
    let place = Place::new("locked");
    place.own_dir("src");
    for (flag, shown) in [("ro", "ro"), ("nosuid", "nosuid"), ("nodev", "nodev"), ("noexec", "noexec")] {
        let script = format!(
            "mount --bind src src; mount -o remount,bind,{flag} src; \
             exec $USER_DO $PINFOLD sandbox --ro src:/m -- grep ' /m ' /proc/self/mountinfo"
        );
        let ran = run(place.root_script(PRIVATE, &script)).exits(0);
        let options = ran.out.split(' ').nth(5).unwrap().split(',').collect::<Vec<_>>();
        assert!(options.contains(&shown) && options.contains(&"ro"), "{flag}: {}", ran.out);
    }
    let refused =
        [("ro", "--rw src:/m", "read-only"), ("nodev", "--device $PLACE/own/src/node:/dev/node", "nodev")];
    for (flag, option, named) in refused {
        let script = format!(
            "mount -t tmpfs -o mode=777 none src; mknod -m 666 src/node c 1 5; mount -o remount,bind,{flag} src; \
             exec $USER_DO $PINFOLD sandbox {option} -- echo ran"
        );
        let ran = run(place.root_script(PRIVATE, &script)).exits(121);
        assert_eq!(ran.out, "");
        ran.says(&["/mounts/", "/source ", &format!("on a {named} mount"), "hint: "]);
        let control = script.replace(&format!("remount,bind,{flag}"), "remount,bind,relatime");
        assert_eq!(run(place.root_script(PRIVATE, &control)).exits(0).out, "ran\n");
    }
}

/// In its own user namespace a process with CAP_SYS_ADMIN may take a mount's flags off again
/// (`tests/traps/mounts.rs` shows it): Landlock takes it the call.
#[test]
fn read_only_stays_so_for_who_may_mount() {
    let place = Place::new("remount");
    let src = place.own_dir("src");
    let script = "for how in remount,bind,rw remount,rw bind; do
            mount -o $how /m /m 2>/dev/null && echo mounted $how; done
        umount /m 2>/dev/null && echo unmounted; echo x 2>/dev/null >/m/new && echo written
        grep CapEff /proc/self/status";
    let options = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"];
    let words = [&["sandbox"], &options[..], &["--ro", "src:/m", "--", "sh", "-c", script]].concat();
    let ran = run(place.pinfold(words)).exits(0);
    assert_eq!(ran.out, "CapEff:\t0000000000200000\n", "{}", ran.err);
    assert_eq!(fs::read_dir(src).unwrap().count(), 0);
}

/// What the host hides below a mount stays hidden: binds without privilege are whole trees,
/// and read-only reaches all of them.
#[test]
fn a_bind_is_the_whole_tree() {
    let place = Place::new("tree");
    let src = place.own_dir("src");
    fs::create_dir(src.join("sub")).unwrap();
    fs::write(src.join("sub/hidden"), "").unwrap();
    let script = "mount -t tmpfs -o mode=777 none src/sub; echo seen > src/sub/seen; \
                  exec $USER_DO $PINFOLD sandbox --ro src:/m -- sh -c 'ls /m/sub; echo x > /m/sub/x; grep -c \" /m/sub ro,\" /proc/self/mountinfo'";
    let ran = run(place.root_script(PRIVATE, script));
    assert_eq!(ran.out, "seen\n1\n", "{}", ran.err);
    assert!(
        ran.err.contains("Read-only file system") || ran.err.contains("Permission denied"),
        "{}",
        ran.err
    );
}

#[test]
fn a_root_directory_of_the_user_s_works() {
    let place = Place::new("rootfs");
    let root = place.own_dir("root");
    for directory in ["bin", "home", "home/tool"] {
        fs::create_dir(root.join(directory)).unwrap();
        chown(root.join(directory), Some(UID), Some(UID)).unwrap();
    }
    copy_executable(&place.program(), &root.join("bin/pinfold"));
    let ran = run(place.pinfold(["sandbox", "--rootfs", "root", "--", "/bin/pinfold", "--version"])).exits(0);
    assert!(ran.out.starts_with("pinfold version "), "{}", ran.out);
    for made in ["proc", "dev", "tmp"] {
        assert_eq!(fs::metadata(root.join(made)).unwrap().uid(), UID, "{made}");
    }
    chown(&root, Some(0), Some(0)).unwrap();
    fs::remove_dir(root.join("proc")).unwrap();
    run(place.pinfold(["sandbox", "--rootfs", "root", "--", "/bin/pinfold", "--version"]))
        .exits(121)
        .says(&["/proc", "EACCES", "hint: "]);
}

/// The kernel gives a fresh procfs only to who sees a whole one (`mount_too_revealing`).
#[test]
fn a_covered_proc_is_told_with_its_remedy() {
    let place = Place::new("covered");
    let script = "mount -t tmpfs none /proc/acpi || mount --bind /dev/null /proc/keys; \
                  $USER_DO $PINFOLD doctor >doctor.txt && exit 3; exec $USER_DO $PINFOLD sandbox -- true";
    run(place.root_script(PRIVATE, script)).exits(121).says(&[
        "/proc: mount: ",
        "EPERM",
        "hint: ",
        "pinfold doctor",
    ]);
    let doctor = fs::read_to_string(place.path("own/doctor.txt")).unwrap();
    assert!(doctor.lines().any(|line| line.starts_with("MISSING  fresh /proc")), "{doctor}");
}

/// A mount namespace of the test's own: nothing that is mounted there is seen outside.
pub const PRIVATE: &[&str] = &["unshare", "--mount", "--propagation", "private", "--"];
