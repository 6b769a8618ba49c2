//! Promise: devices are what the configuration says and stand where nothing else did; /proc is
//! covered by nothing but itself; masked and read-only paths are that.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use support::{Bundle, Dir};

#[track_caller]
fn bundle(dir: &Dir, name: &str, script: &str) -> Bundle {
    let mut bundle = Bundle::script(dir, name, script);
    bundle.edit(|config| config["root"]["readonly"] = json!(false));
    bundle
}

/// The ids of a container with a user namespace, which the test's root gives it.
fn own_ids(config: &mut Value) {
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    for key in ["uidMappings", "gidMappings"] {
        config["linux"][key] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    }
}

#[test]
fn each_kind_of_device_with_its_mode_and_owner() {
    let dir = Dir::new();
    let places = "/dev/one /dev/deep/er/two /dev/three /outside/four /dev/five /dev/null";
    let mut bundle = bundle(&dir, "bundle", &format!("stat -c '%n %F %t:%T %a %u:%g' {places}"));
    bundle.edit(|config| {
        config["linux"]["devices"] = json!([
            {"path": "/dev/one", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
            {"path": "/dev/deep/er/two", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
            {"path": "/dev/three", "type": "u", "major": 1, "minor": 7},
            {"path": "/outside/four", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
            {"path": "/dev/five", "type": "p", "major": 0, "minor": 0, "fileMode": 0o622, "uid": 1},
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "gid": 9},
        ]);
    });
    let ran = bundle.run(&dir, &dir.id("kinds"));
    let expected = "\
/dev/one character special file 1:5 640 3:4
/dev/deep/er/two block special file 7:c8 600 0:0
/dev/three character special file 1:7 666 0:0
/outside/four character special file 1:3 666 0:0
/dev/five fifo 0:0 622 1:0
/dev/null character special file 1:3 600 0:9
";
    assert_eq!(ran.ok(), expected);
    dir.assert_nothing_left();
}

#[test]
fn another_file_in_a_devices_place_is_an_error() {
    let dir = Dir::new();
    for (user_namespace, name) in [(false, "made"), (true, "bound")] {
        let mut bundle = bundle(&dir, name, "[ -c /node ] && echo node");
        bundle.edit(|config| {
            config["linux"]["devices"] = json!([{"path": "/node", "type": "c", "major": 1, "minor": 3}]);
            // The host's node is found by its path.
            if user_namespace {
                own_ids(config);
                config["linux"]["devices"][0]["path"] = json!("/dev/null");
                config["process"]["args"] = json!(["/bin/sh", "-c", "[ -c /dev/null ] && echo node"]);
                config["mounts"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
            }
        });
        let place = bundle.rootfs().join(if user_namespace { "dev/null" } else { "node" });
        let run = || bundle.run(&dir, &dir.id(name));
        // Its own node, or the mount point of a launch before, is no other file.
        assert_eq!(run().ok(), "node\n");
        assert_eq!(run().ok(), "node\n");
        fs::remove_file(&place).unwrap();
        let others: &[(&str, &dyn Fn())] = &[
            ("file", &|| fs::write(&place, "content").unwrap()),
            ("directory", &|| fs::create_dir(&place).unwrap()),
            ("device", &|| {
                let zero = nix::sys::stat::makedev(1, 5);
                let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
                nix::sys::stat::mknod(&place, nix::sys::stat::SFlag::S_IFCHR, mode, zero).unwrap();
            }),
        ];
        for (kind, make) in others {
            make();
            let ran = run();
            assert!(ran.code() == 1 && ran.err.contains("/linux/devices/0"), "{name} {kind}: {ran:?}");
            assert!(ran.err.contains("another file is at this path"), "{name} {kind}: {ran:?}");
            fs::remove_file(&place).or_else(|_| fs::remove_dir(&place)).unwrap();
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn in_a_user_namespace_devices_are_the_hosts_and_work() {
    let dir = Dir::new();
    let script = "echo x >/dev/null && echo null; head -c 3 /dev/zero | wc -c; [ -p /dev/pipe ] && echo pipe; \
                  readlink /dev/ptmx; readlink /dev/core; echo x >/dev/full || echo full";
    let mut bundle = bundle(&dir, "bundle", script);
    bundle.edit(|config| {
        own_ids(config);
        config["linux"]["devices"] = json!([{"path": "/dev/pipe", "type": "p", "major": 0, "minor": 0}]);
    });
    assert_eq!(bundle.run(&dir, &dir.id("user")).ok(), "null\n3\npipe\npts/ptmx\n/proc/kcore\nfull\n");
    // What is not there on the host, or is another device there, is not shown.
    for device in [
        json!({"path": "/dev/no-such", "type": "c", "major": 1, "minor": 3}),
        json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 5}),
        json!({"path": "/dev/null", "type": "b", "major": 1, "minor": 3}),
    ] {
        bundle.edit(|config| config["linux"]["devices"] = json!([device]));
        let ran = bundle.run(&dir, &dir.id("user"));
        assert!(ran.code() == 1 && ran.err.contains("/linux/devices/0/path"), "{device}: {ran:?}");
    }
    dir.assert_nothing_left();
}

/// What an image may have at /dev/ptmx, and what becomes of it.
enum Ptmx {
    Replaced,
    /// The launch fails with this, and nothing is changed.
    Refused(&'static str),
}

/// What is there, what becomes of it, and how it is made.
type Row<'a> = (&'a str, Ptmx, &'a dyn Fn(&Path));

#[test]
fn ptmx_is_that_of_the_containers_own_devpts_whatever_the_image_has_there() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let dir = Dir::new();
    let canary = dir.write("canary", "as it was");
    let node = |place: &Path, kind: SFlag, number| {
        mknod(place, kind, Mode::from_bits_truncate(0o666), number).unwrap();
    };
    let rows: &[Row<'_>] = &[
        ("nothing", Ptmx::Replaced, &|_| {}),
        ("a file", Ptmx::Replaced, &|place| fs::write(place, "x").unwrap()),
        ("a hard link", Ptmx::Replaced, &|place| fs::hard_link(&canary, place).unwrap()),
        ("a device", Ptmx::Replaced, &|place| node(place, SFlag::S_IFCHR, makedev(1, 5))),
        ("the host's ptmx", Ptmx::Replaced, &|place| node(place, SFlag::S_IFCHR, makedev(5, 2))),
        ("a fifo", Ptmx::Replaced, &|place| node(place, SFlag::S_IFIFO, 0)),
        ("a link out", Ptmx::Replaced, &|place| symlink(&canary, place).unwrap()),
        ("a link up", Ptmx::Replaced, &|place| symlink("../../../canary", place).unwrap()),
        ("a link to a directory", Ptmx::Replaced, &|place| symlink("/", place).unwrap()),
        ("a loop", Ptmx::Replaced, &|place| symlink("ptmx", place).unwrap()),
        ("the right link", Ptmx::Replaced, &|place| symlink("pts/ptmx", place).unwrap()),
        ("a longer link", Ptmx::Replaced, &|place| symlink("pts/ptmx/../".repeat(30), place).unwrap()),
        ("an empty directory", Ptmx::Replaced, &|place| fs::create_dir(place).unwrap()),
        ("a directory", Ptmx::Refused("ENOTEMPTY"), &|place| {
            fs::create_dir(place).unwrap();
            fs::write(place.join("file"), "x").unwrap();
        }),
    ];
    for user_namespace in [false, true] {
        for (what, becomes, make) in rows {
            let name = what.replace(|letter: char| !letter.is_alphanumeric(), "-");
            let script = "readlink /dev/ptmx; stat -L -c %t:%T /dev/ptmx; exec 5<>/dev/ptmx; ls /dev/pts";
            let mut bundle = bundle(&dir, &format!("{name}-{user_namespace}"), script);
            bundle.edit(|config| {
                config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
                if user_namespace {
                    own_ids(config);
                }
            });
            let place = bundle.rootfs().join("dev/ptmx");
            fs::create_dir_all(bundle.rootfs().join("dev")).unwrap();
            make(&place);
            let ran = bundle.run(&dir, &dir.id("ptmx"));
            match becomes {
                Ptmx::Replaced => {
                    assert_eq!(ran.ok(), "pts/ptmx\n5:2\n0\nptmx\n", "{what}: {ran:?}");
                    assert_eq!(fs::read_link(&place).unwrap(), Path::new("pts/ptmx"), "{what}");
                }
                Ptmx::Refused(word) => {
                    assert!(ran.code() == 1 && ran.err.contains(word), "{what}: {ran:?}");
                    assert_eq!(fs::read(place.join("file")).unwrap(), b"x");
                }
            }
            assert_eq!(fs::read(&canary).unwrap(), b"as it was", "{what}");
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn ptmx_is_no_device_and_no_mount_of_the_configuration() {
    let dir = Dir::new();
    let ptmx = json!({"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2});
    for user_namespace in [false, true] {
        let mut bundle = bundle(&dir, &format!("device-{user_namespace}"), "readlink /dev/ptmx");
        bundle.edit(|config| {
            config["linux"]["devices"] = json!([ptmx]);
            if user_namespace {
                own_ids(config);
            }
        });
        assert_eq!(bundle.run(&dir, &dir.id("device")).ok(), "pts/ptmx\n");
    }
    // Of what is mounted there nobody knows whose pseudoterminals it makes.
    let mut bundle = bundle(&dir, "mount", "true");
    let file = dir.write("file", "as it was");
    bundle.edit(|config| {
        let mount = json!({"destination": "/dev/ptmx", "source": file, "options": ["bind"]});
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    let ran = bundle.run(&dir, &dir.id("mount"));
    assert!(
        ran.code() == 1 && ran.err.contains("EBUSY") && ran.err.contains("mounted at this path"),
        "{ran:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"as it was");
    dir.assert_nothing_left();
}

#[test]
fn a_closed_dev_that_has_the_right_link_is_left_alone() {
    let dir = Dir::new();
    let mut bundle = bundle(&dir, "closed", "readlink /dev/ptmx");
    let dev = dir.mkdir("dev");
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        let number = nix::sys::stat::makedev(major, minor);
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        nix::sys::stat::mknod(&dev.join(name), nix::sys::stat::SFlag::S_IFCHR, mode, number).unwrap();
    }
    for name in ["fd", "stdin", "stdout", "stderr", "core", "ptmx"] {
        symlink("pts/ptmx", dev.join(name)).unwrap();
    }
    // The image's own /dev is a link.
    fs::remove_dir(bundle.rootfs().join("dev")).unwrap();
    symlink("/closed", bundle.rootfs().join("dev")).unwrap();
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        mounts.push(json!({"destination": "/closed", "source": dev, "options": ["bind", "ro"]}));
    });
    assert_eq!(bundle.run(&dir, &dir.id("closed")).ok(), "pts/ptmx\n");
    fs::remove_file(dev.join("ptmx")).unwrap();
    symlink("/dev/pts/ptmx", dev.join("ptmx")).unwrap();
    let ran = bundle.run(&dir, &dir.id("closed"));
    assert!(ran.code() == 1 && ran.err.contains("EROFS") && ran.err.contains("ptmx"), "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn proc_is_covered_by_nothing_else() {
    let dir = Dir::new();
    dir.mkdir("source");
    let file = dir.write("numbers", "1\n2\n").display().to_string();
    let mount = |destination: &str, typ: &str, source: &str| {
        let options: &[&str] = if typ == "bind" { &["rbind"] } else { &[] };
        json!({"destination": destination, "type": typ, "source": source, "options": options})
    };
    let inside = "because it is inside /proc";
    let other = "because it is not of type proc";
    for (one, words) in [
        (mount("/proc/sys", "bind", &dir.text("source")), inside),
        (mount("/proc/1/../sys/kernel", "bind", &dir.text("source")), inside),
        (mount("/proc/self/attr", "tmpfs", "tmpfs"), inside),
        (mount("proc/net", "bind", &dir.text("source")), inside),
        (mount("/proc", "bind", &dir.text("source")), other),
        (mount("/proc", "tmpfs", "tmpfs"), other),
        // By links of the image.
        (mount("/link", "bind", &dir.text("source")), "ordinary directory"),
        (mount("/up/sys", "tmpfs", "tmpfs"), "ordinary directory"),
    ] {
        let mut bundle = bundle(&dir, "bundle", "true");
        symlink("proc/sys", bundle.rootfs().join("link")).unwrap();
        symlink("../../../proc", bundle.rootfs().join("up")).unwrap();
        bundle.mount(one.clone());
        let ran = bundle.run(&dir, &dir.id("proc"));
        assert!(
            ran.code() == 1 && ran.err.contains(words) && ran.err.contains("/mounts/7"),
            "{one}: {ran:?}"
        );
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    let mut bundle = bundle(
        &dir,
        "bundle",
        "wc -l </proc/cpuinfo; wc -l </proc/uptime; grep -c ' /proc ' /proc/self/mountinfo",
    );
    for one in [mount("/proc/cpuinfo", "bind", &file), mount("/proc/uptime", "bind", &file)] {
        bundle.mount(one);
    }
    assert_eq!(bundle.run(&dir, &dir.id("proc")).ok(), "2\n2\n1\n");
    bundle.mount(mount("/proc", "bind", "/proc"));
    assert_eq!(bundle.run(&dir, &dir.id("proc")).ok().lines().last(), Some("2"));
    dir.assert_nothing_left();
}

#[test]
fn special_places_that_are_links_are_refused() {
    let dir = Dir::new();
    for (place, field) in [("proc", "/mounts/0"), ("dev", "/mounts/1"), ("sys", "/mounts/5")] {
        for target in ["etc", "/etc", "/"] {
            let bundle = bundle(&dir, "bundle", "true");
            fs::remove_dir(bundle.rootfs().join(place)).unwrap();
            symlink(target, bundle.rootfs().join(place)).unwrap();
            let ran = bundle.run(&dir, &dir.id("links"));
            assert!(ran.code() == 1 && ran.err.contains(field), "{place}: {ran:?}");
            assert!(ran.err.contains("must be mounted on ordinary directory"), "{place}: {ran:?}");
            fs::remove_dir_all(&bundle.path).unwrap();
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn masked_paths_are_empty_and_readonly_paths_read_only() {
    let dir = Dir::new();
    let script = "cat /secret/file /plain /linked 2>&1; ls /secret; stat -c %a /secret; (: >/secret/x) 2>/dev/null || echo closed; \
                  cat /fixed/file; (: >/fixed/sub/x) 2>/dev/null || echo fixed; (: >/fixed/tmp/x) 2>/dev/null || echo below; \
                  (: >/free) && echo free";
    let mut bundle = bundle(&dir, "bundle", script);
    let root = bundle.rootfs();
    for name in ["secret", "fixed/sub", "fixed/tmp"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["secret/file", "plain", "fixed/file", "real"] {
        fs::write(root.join(name), format!("{name}\n")).unwrap();
    }
    symlink("/real", root.join("linked")).unwrap();
    bundle.edit(|config| {
        config["linux"]["maskedPaths"] = json!(["/secret", "/plain", "/linked", "/no/such", "/plain/below"]);
        config["linux"]["readonlyPaths"] = json!(["/fixed", "/no/such/either"]);
        let below = json!({"destination": "/fixed/tmp", "type": "tmpfs", "source": "tmpfs"});
        config["mounts"].as_array_mut().unwrap().push(below);
    });
    let ran = bundle.run(&dir, &dir.id("masked"));
    let expected = "cat: can't open '/secret/file': No such file or directory\n555\nclosed\nfixed/file\nfixed\nbelow\nfree\n";
    assert_eq!(ran.ok(), expected);
    for (key, path) in [("maskedPaths", "relative"), ("readonlyPaths", "../up"), ("maskedPaths", "")] {
        let before = bundle.config.clone();
        bundle.edit(|config| config["linux"][key] = json!([path]));
        let ran = bundle.run(&dir, &dir.id("masked"));
        assert!(ran.code() == 1 && ran.err.contains(&format!("/linux/{key}/0")), "{path}: {ran:?}");
        bundle.edit(|config| *config = before);
    }
    dir.assert_nothing_left();
}
