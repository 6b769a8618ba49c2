//! Promise: what a sandbox sees of the host is data. No door into the kernel, to the host's
//! services or out of the root comes along with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;
use support::{Bundle, Dir, PINFOLD, Ran, in_own_mounts, need_root, run};

/// A root directory that borrows the host's programs.
fn rootfs(dir: &Dir) -> String {
    for name in ["usr", "etc", "tmp", "proc", "dev", "run", "var", "work", "home"] {
        dir.mkdir(&format!("rootfs/{name}"));
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{name}"), dir.join(&format!("rootfs/{name}"))).unwrap();
    }
    dir.text("rootfs")
}

#[test]
fn doors_to_the_whole_host_are_refused_by_rule() {
    let dir = Dir::new();
    let rows = [
        (["--ro", "/:/host"], "default.bind.kernel-fs-below"),
        (["--rootfs", "/"], "default.bind.kernel-fs-below"),
        (["--rootfs", "/proc"], "default.bind.kernel-fs"),
        (["--ro", "/proc/self:/p"], "default.bind.kernel-fs"),
        (["--ro", "/run:/r"], "default.bind.host-door"),
        (["--ro", "/dev:/d"], "default.bind.host-door"),
        (["--rw", "/dev/pts:/d"], "default.bind.kernel-fs"),
        (["--device", "/etc:/x"], "default.device.type"),
        (["--ro", "/dev/null:/x"], "default.bind.type"),
    ];
    for (option, rule) in rows {
        let (ran, report) = dir.sandbox(&[option[0], option[1], "--", "true"]);
        assert_eq!(
            (ran.code(), report["outcome"]["kind"].as_str()),
            (120, Some("policy_refused")),
            "{ran:?}"
        );
        assert!(ran.err.contains(&format!("rule {rule},")), "{option:?}: {ran:?}");
    }
    dir.assert_nothing_left();
}

/// What a tool leaves in a workspace of root's belongs to root: a planted link has the best of
/// owners, and stands in a directory that nobody else may write.
#[test]
fn a_link_that_a_tool_left_behind_leads_nowhere() {
    let dir = Dir::new();
    let work = dir.mkdir("work");
    fs::create_dir(dir.join("private")).unwrap();
    dir.write("private/key", "the host's\n");
    let bind = format!("{}:/work", work.display());
    let plant = format!(
        "ln -s {0}/private/key file; ln -s {0}/private way; ln -s / up; ln -s /etc etc; mkdir sub; ln -s ../way sub/way",
        dir.path().display()
    );
    dir.sandbox(&["--rw", &bind, "--", "sh", "-euc", &plant]).0.ok();
    let up = format!("up{}/private/key", dir.path().display());
    for name in ["file", "way/key", "way", "sub/way/key", "etc/shadow", "way/../private/key", &up] {
        for option in ["--ro", "--rw"] {
            let bind = format!("{}/{name}:/x", work.display());
            let (ran, report) = dir.sandbox(&[option, &bind, "--", "cat", "/x", "/x/key"]);
            assert_eq!((ran.code(), ran.out.as_str()), (120, ""), "{name}: {ran:?}");
            assert_eq!(report["outcome"]["kind"], "policy_refused");
            assert!(ran.err.contains("default.bind.link") && ran.err.contains("/work/"), "{name}: {ran:?}");
        }
        let root = work.join(name);
        let (ran, _) = dir.sandbox(&["--rootfs", root.to_str().unwrap(), "--", "true"]);
        assert!([120, 121].contains(&ran.code()), "{name}: {ran:?}");
    }
    // The control: by its own name it can be had, for whoever may name it.
    let bind = format!("{}/private/key:/x", dir.path().display());
    assert_eq!(dir.sandbox(&["--ro", &bind, "--", "cat", "/x"]).0.ok(), "the host's\n");
    dir.assert_nothing_left();
}

#[test]
fn the_systems_own_links_lead_on() {
    let dir = Dir::new();
    let merged = fs::read_link("/bin").is_ok();
    assert!(merged, "this test needs a host whose /bin is a link");
    let bind = "/bin/sh:/shell";
    assert_eq!(dir.sandbox(&["--ro", bind, "--", "/shell", "-c", "echo here"]).0.ok(), "here\n");
    // From a working directory that is behind one, relative paths begin where it really is.
    let mut command = dir.command(&["sandbox", "--ro", "sh:/shell", "--", "/shell", "-c", "echo here"]);
    assert_eq!(run(command.current_dir("/bin")).ok(), "here\n");
    dir.assert_nothing_left();
}

#[test]
fn the_root_of_a_bundle_is_its_own() {
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/busybox", "true"]);
    Bundle::new(&dir, "other", &["/bin/busybox", "true"]);
    let other = dir.text("other/rootfs");
    for (name, target) in [("way", other.as_str()), ("up", "../other/rootfs"), ("root", "/")] {
        symlink(target, bundle.path.join(name)).unwrap();
    }
    for path in ["way", "up", "root", "../other/rootfs", "rootfs/../../other/rootfs"] {
        bundle.edit(|config| config["root"]["path"] = json!(path));
        let ran = bundle.run(&dir, &dir.id("root"));
        assert_eq!(ran.code(), 1, "{path}: {ran:?}");
        assert!(ran.err.contains("/root/path") && ran.err.contains("(EXDEV)"), "{path}: {ran:?}");
    }
    symlink("rootfs", bundle.path.join("inside")).unwrap();
    let absolute = bundle.path.join("way");
    for path in ["rootfs", "./rootfs/../rootfs", "inside", &other, absolute.to_str().unwrap()] {
        bundle.edit(|config| config["root"]["path"] = json!(path));
        bundle.run(&dir, &dir.id("root")).ok();
    }
    dir.assert_nothing_left();
}

#[test]
fn a_device_is_given_by_its_own_option() {
    let dir = Dir::new();
    let (ran, _) =
        dir.sandbox(&["--device", "/dev/null:/dev/x", "--", "sh", "-c", "echo a >/dev/x; test -c /dev/x"]);
    ran.ok();
}

#[test]
fn nodes_in_a_root_directory_are_files_without_a_device() {
    let dir = Dir::new();
    let root = rootfs(&dir);
    let node = dir.join("rootfs/node");
    mknod(&node, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
    fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
    let (ran, _) = dir.sandbox(&["--rootfs", &root, "--ro", "/usr:/usr", "--", "cat", "/node"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("Permission denied"), "{ran:?}");
}

#[test]
fn the_root_is_read_only_with_what_is_mounted_below_it() {
    let dir = Dir::new();
    let root = rootfs(&dir);
    dir.mkdir("rootfs/below");
    let script = format!(
        "mount -t tmpfs -o mode=1777 below {root}/below
         $PINFOLD --root $ROOT sandbox --rootfs {root} --ro /usr:/usr -- sh -c '
             grep \" /below \" /proc/self/mountinfo; touch /below/x' || true
         touch {root}/below/still-writable-outside"
    );
    let ran = in_own_mounts(&dir, &script);
    ran.ok();
    assert!(ran.out.contains(" /below ro,nosuid,nodev"), "{ran:?}");
    assert!(ran.err.contains("touch: cannot touch '/below/x'"), "{ran:?}");
}

#[test]
fn a_kernel_filesystem_below_a_source_is_seen() {
    let dir = Dir::new();
    dir.mkdir("data/deep");
    let data = dir.text("data");
    let script = format!(
        "mount -t proc proc {data}/deep
         $PINFOLD --root $ROOT sandbox --ro {data}:/data -- true"
    );
    let ran = in_own_mounts(&dir, &script);
    assert_eq!(ran.code(), 120, "{ran:?}");
    assert!(ran.err.contains("default.bind.kernel-fs-below"), "{ran:?}");
}

#[test]
fn a_directory_on_a_stream_is_refused() {
    let dir = Dir::new();
    need_root();
    let mut command = dir.command(&["sandbox", "--", "stat", "/proc/self/fd/0/../etc/passwd"]);
    let output = command.stdin(Stdio::from(File::open("/usr").unwrap())).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(121), "{err}");
    assert!(err.contains("descriptor 0: is an open directory of the host"), "{err}");
}

#[test]
fn a_mount_point_behind_a_link_of_the_image_is_found() {
    let dir = Dir::new();
    let root = rootfs(&dir);
    symlink("../run", dir.join("rootfs/var/run")).unwrap();
    dir.mkdir("data");
    dir.write("data/file", "data\n");
    let bind = format!("{}:/var/run/data", dir.text("data"));
    let options = ["--rootfs", &root, "--ro", "/usr:/usr", "--ro", &bind];
    let (ran, _) = dir.sandbox(&[&options[..], &["--", "cat", "/var/run/data/file"]].concat());
    assert_eq!(ran.ok(), "data\n");
}

#[test]
fn a_secret_never_lands_in_a_workspace() {
    let dir = Dir::new();
    let root = rootfs(&dir);
    dir.mkdir("work");
    dir.write("value", "s3cret\n");
    let secret = format!("key=file:{}", dir.text("value"));
    let work = dir.text("work");
    // A link of the image, into what the tool may write.
    symlink("/work", dir.join("rootfs/run/secrets")).unwrap();
    let bind = format!("{work}:/work");
    let options = ["--rootfs", &root, "--ro", "/usr:/usr", "--secret", &secret, "--rw", &bind];
    let (ran, _) = dir.sandbox(&[&options[..], &["--", "cat", "/run/secrets/key"]].concat());
    assert_eq!(ran.code(), 121, "{ran:?}");
    fs::remove_file(dir.join("rootfs/run/secrets")).unwrap();
    let (ran, _) = dir.sandbox(&[&options[..], &["--", "cat", "/run/secrets/key"]].concat());
    assert_eq!(ran.ok(), "s3cret\n");
    // A mount that the caller puts in its place.
    for place in ["/run", "/run/secrets", "/run/secrets/below"] {
        let bind = format!("{work}:{place}");
        let ran = dir.pinfold(&["sandbox", "--secret", &secret, "--rw", &bind, "--", "true"]);
        assert_eq!(ran.code(), 125, "{ran:?}");
    }
    assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
}

/// `pinfold sandbox WORDS`, started by a shell with these redirections.
fn redirected(dir: &Dir, words: &str, redirections: &str) -> Ran {
    let line = format!("exec \"$PINFOLD\" --root \"$ROOT\" sandbox {words} {redirections}");
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(dir.path());
    run(command.env("PINFOLD", PINFOLD).env("ROOT", dir.state_root()))
}

#[test]
fn a_descriptor_is_the_callers_and_never_pinfolds_own() {
    let dir = Dir::new();
    dir.write("value", "s3cret\n");
    // Numbers that the caller has not open, and that pinfold itself uses soon after.
    for number in 3..10 {
        let words = format!("--report report.json --secret key=fd:{number} -- cat /run/secrets/key");
        let ran = redirected(&dir, &words, &format!("{number}<&-"));
        assert_eq!((ran.code(), ran.out.as_str()), (121, ""), "{number}: {ran:?}");
        assert!(ran.err.contains(&format!("--secret fd:{number}: fcntl: Bad file")), "{ran:?}");
    }
    let ran = redirected(&dir, "--secret key=fd:3 --report fd:4 -- cat /run/secrets/key", "3<value 4>report");
    assert_eq!(ran.ok(), "s3cret\n");
    assert!(fs::read_to_string(dir.join("report")).unwrap().contains("\"exited\""));
    let rows = [
        ("--secret a=fd:3 --secret b=fd:3", "3<value", "given twice"),
        ("--secret a=fd:3 --report fd:3", "3<>value", "given twice"),
        ("--secret a=fd:0", "", "standard stream"),
        ("--secret a=fd:3", "3</", "is a directory"),
        ("--secret a=fd:3", "3>new", "is not open for reading"),
        ("--report fd:3", "3<value", "is not open for reading (a secret) or for writing"),
    ];
    for (words, redirections, text) in rows {
        let ran = redirected(&dir, &format!("{words} -- echo ran"), redirections);
        assert_eq!((ran.code(), ran.out.as_str()), (125, ""), "{words}: {ran:?}");
        assert!(ran.err.contains(text), "{words}: {ran:?}");
    }
    assert_eq!(fs::read_to_string(dir.join("value")).unwrap(), "s3cret\n");
}

#[test]
fn a_mount_over_one_of_pinfolds_own_is_the_one_that_counts() {
    let dir = Dir::new();
    dir.mkdir("data");
    dir.write("data/file", "data\n");
    for place in ["/tmp", "/home/tool", "/dev/shm", "/etc", "/usr/local"] {
        let bind = format!("{}:{place}", dir.text("data"));
        let script = format!("cat {place}/file; touch {place}/new");
        let (ran, _) = dir.sandbox(&["--ro", &bind, "--", "sh", "-c", &script]);
        assert_eq!((ran.code(), ran.out.as_str()), (1, "data\n"), "{ran:?}");
        assert!(ran.err.contains("Read-only file system"), "{ran:?}");
        let (ran, _) = dir.sandbox(&["--tmpfs", place, "--", "touch", &format!("{place}/new")]);
        ran.ok();
    }
    assert_eq!(fs::read_dir(dir.join("data")).unwrap().count(), 1);
}

#[test]
fn nothing_is_made_in_a_dev_of_the_host() {
    let dir = Dir::new();
    dir.mkdir("dev");
    fs::write(dir.join("dev/null"), "").unwrap();
    let mut bundle = Bundle::script(&dir, "bundle", "ls /dev");
    let source = dir.text("dev");
    bundle.mount(json!({"destination": "/dev", "type": "bind", "source": source, "options": ["rbind"]}));
    // What is masked would need /dev/null to be the device.
    bundle.edit(|config| config["linux"]["maskedPaths"] = json!([]));
    let ran = bundle.run(&dir, &dir.id("dev"));
    assert_eq!(ran.ok(), "null\n");
    assert_eq!(fs::read_dir(dir.join("dev")).unwrap().count(), 1);
}
