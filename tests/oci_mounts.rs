//! Promise: each mount option of config.md does inside what it says, and in the order given.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::RenameFlags;
use serde_json::{Value, json};
use support::{Bundle, DEADLINE, Dir, count, in_own_mounts};

/// A bundle whose root can be written and that runs a script.
#[track_caller]
fn bundle(dir: &Dir, name: &str, script: &str) -> Bundle {
    let mut bundle = Bundle::script(dir, name, script);
    bundle.edit(|config| config["root"]["readonly"] = json!(false));
    for applet in ["cut", "find", "sort", "sed", "tr", "sync", "echo", "test"] {
        symlink("busybox", bundle.rootfs().join("bin").join(applet)).unwrap();
    }
    bundle
}

fn mount(destination: &str, typ: &str, source: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": typ, "source": source, "options": options})
}

/// One line of mountinfo: place, flags of the mount, propagation, options of the filesystem.
#[derive(Debug)]
struct Line {
    place: String,
    flags: Vec<String>,
    propagation: Vec<String>,
    filesystem: Vec<String>,
}

fn mountinfo(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let dash = words.iter().position(|word| *word == "-").unwrap();
        let list = |word: &str| word.split(',').map(str::to_owned).collect();
        Line {
            place: words[4].to_owned(),
            flags: list(words[5]),
            propagation: words[6..dash]
                .iter()
                .map(|word| word.split(':').next().unwrap().to_owned())
                .collect(),
            filesystem: list(words[dash + 3]),
        }
    };
    text.lines().map(line).collect()
}

#[track_caller]
fn at<'l>(lines: &'l [Line], place: &str) -> &'l Line {
    lines.iter().rfind(|line| line.place == place).unwrap_or_else(|| panic!("{place} is not in {lines:#?}"))
}

/// Runs the bundle in a mount namespace of its own, after a shell script has prepared it.
#[track_caller]
fn run_after(dir: &Dir, prepare: &str, bundle: &Bundle) -> Vec<Line> {
    let script =
        format!("{prepare}\nexec $PINFOLD --root $ROOT run -b {} {}", bundle.text(), dir.id("options"));
    mountinfo(in_own_mounts(dir, &script).ok())
}

/// A source with a mount below it.
const SOURCE: &str =
    "mkdir -p source; mount -t tmpfs none source; mkdir source/sub; mount -t tmpfs none source/sub";
/// The same with every flag.
const RESTRICTED: &str = "mkdir -p source; mount -t tmpfs none source; mkdir source/sub; mount -t tmpfs none source/sub
    for place in source/sub source; do mount -o remount,bind,ro,nosuid,nodev,noexec,noatime,nodiratime $place; done";

const LOOK: &str = "cat /proc/self/mountinfo";

/// Options, flags that the mount then has, flags that it has not.
type Row = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// On a source that has no flag of its own.
const SETS: &[Row] = &[
    (&["defaults"], &["rw", "relatime"], &["ro", "nosuid", "nodev", "noexec", "noatime"]),
    (&["ro"], &["ro"], &["rw"]),
    (&["ro", "rw"], &["rw"], &["ro"]),
    (&["nosuid"], &["nosuid"], &["nodev"]),
    (&["nodev"], &["nodev"], &["nosuid"]),
    (&["noexec"], &["noexec"], &["nosuid"]),
    (&["noatime"], &["noatime"], &["relatime"]),
    (&["noatime", "atime"], &["relatime"], &["noatime"]),
    (&["strictatime"], &[], &["relatime", "noatime"]),
    (&["strictatime", "noatime"], &[], &["relatime", "noatime"]),
    (&["strictatime", "nostrictatime"], &["relatime"], &[]),
    (&["noatime", "relatime"], &["noatime"], &["relatime"]),
    (&["norelatime"], &["relatime"], &["noatime"]),
    (&["nodiratime"], &["nodiratime"], &[]),
    (&["nodiratime", "diratime"], &[], &["nodiratime"]),
    (&["nosymfollow"], &["nosymfollow"], &[]),
    (&["nosymfollow", "symfollow"], &[], &["nosymfollow"]),
];

/// On a source that has every flag.
const CLEARS: &[Row] = &[
    (&[], &["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"], &[]),
    (&["rw"], &["rw", "nosuid"], &["ro"]),
    (&["suid"], &["nodev"], &["nosuid"]),
    (&["dev"], &["nosuid"], &["nodev"]),
    (&["exec"], &["nosuid"], &["noexec"]),
    (&["atime"], &["relatime"], &["noatime"]),
    (&["relatime"], &["relatime"], &["noatime"]),
    (&["strictatime"], &[], &["relatime", "noatime"]),
    (&["diratime"], &[], &["nodiratime"]),
];

#[track_caller]
fn check(line: &Line, (options, present, absent): &Row) {
    for flag in *present {
        assert!(line.flags.iter().any(|have| have == flag), "{options:?}: no {flag} in {line:?}");
    }
    for flag in *absent {
        assert!(!line.flags.iter().any(|have| have == flag), "{options:?}: {flag} in {line:?}");
    }
}

#[test]
fn each_option_of_a_bind() {
    let dir = Dir::new();
    for (name, source, rows) in [("sets", SOURCE, SETS), ("clears", RESTRICTED, CLEARS)] {
        let mut bundle = bundle(&dir, name, LOOK);
        for (number, (options, ..)) in rows.iter().enumerate() {
            let all: Vec<_> = std::iter::once("bind").chain(options.iter().copied()).collect();
            bundle.mount(mount(&format!("/m/{number}"), "none", &dir.text("source"), &all));
        }
        let lines = run_after(&dir, source, &bundle);
        for (number, row) in rows.iter().enumerate() {
            check(at(&lines, &format!("/m/{number}")), row);
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn each_recursive_option_reaches_the_mounts_below() {
    let sets: &[Row] = &[
        (&["rro"], &["ro"], &[]),
        (&["rnosuid"], &["nosuid"], &[]),
        (&["rnodev"], &["nodev"], &[]),
        (&["rnoexec"], &["noexec"], &[]),
        (&["rnoatime"], &["noatime"], &["relatime"]),
        (&["rstrictatime"], &[], &["relatime"]),
        (&["rnodiratime"], &["nodiratime"], &[]),
        (&["rnosymfollow"], &["nosymfollow"], &[]),
    ];
    let clears: &[Row] = &[
        (&["rrw"], &["rw"], &["ro"]),
        (&["rsuid"], &["nodev"], &["nosuid"]),
        (&["rdev"], &["nosuid"], &["nodev"]),
        (&["rexec"], &["nosuid"], &["noexec"]),
        (&["ratime"], &["relatime"], &["noatime"]),
        (&["rrelatime"], &["relatime"], &["noatime"]),
        (&["rdiratime"], &[], &["nodiratime"]),
        (&["rsymfollow"], &[], &["nosymfollow"]),
    ];
    let dir = Dir::new();
    for (name, source, rows) in [("sets", SOURCE, sets), ("clears", RESTRICTED, clears)] {
        let mut bundle = bundle(&dir, name, LOOK);
        for (number, (options, ..)) in rows.iter().enumerate() {
            let all: Vec<_> = std::iter::once("rbind").chain(options.iter().copied()).collect();
            bundle.mount(mount(&format!("/m/{number}"), "none", &dir.text("source"), &all));
        }
        let lines = run_after(&dir, source, &bundle);
        for (number, row) in rows.iter().enumerate() {
            check(at(&lines, &format!("/m/{number}")), row);
            check(at(&lines, &format!("/m/{number}/sub")), row);
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn each_option_of_a_new_filesystem() {
    // Options, flags of the mount, options of the filesystem that it has and has not.
    type Fresh =
        (&'static [&'static str], &'static [&'static str], &'static [&'static str], &'static [&'static str]);
    let rows: &[Fresh] = &[
        (&["defaults", "loud", "silent"], &["rw", "relatime"], &["rw"], &["sync", "mand"]),
        (&["ro", "nosuid"], &["ro", "nosuid"], &[], &[]),
        (&["noatime"], &["noatime"], &[], &[]),
        (&["nosymfollow"], &["nosymfollow"], &[], &[]),
        (&["rnoexec"], &["noexec"], &[], &[]),
        (&["sync"], &[], &["sync"], &[]),
        (&["sync", "async"], &[], &[], &["sync"]),
        (&["dirsync"], &[], &["dirsync"], &[]),
        (&["lazytime"], &[], &["lazytime"], &[]),
        (&["lazytime", "nolazytime"], &[], &[], &["lazytime"]),
        (&["mand"], &[], &["mand"], &[]),
        (&["mand", "nomand"], &[], &[], &["mand"]),
        (&["iversion"], &["rw"], &[], &[]),
        (&["noiversion"], &["rw"], &[], &[]),
        (&["size=64k", "mode=0700"], &[], &["size=64k", "mode=700"], &[]),
        (&["size=64k,nr_inodes=7"], &[], &["size=64k", "nr_inodes=7"], &[]),
    ];
    let dir = Dir::new();
    let mut bundle = bundle(&dir, "bundle", LOOK);
    for (number, (options, ..)) in rows.iter().enumerate() {
        bundle.mount(mount(&format!("/m/{number}"), "tmpfs", "tmpfs", options));
    }
    let ran = bundle.run(&dir, &dir.id("fresh"));
    let lines = mountinfo(ran.ok());
    for (number, (options, flags, present, absent)) in rows.iter().enumerate() {
        let line = at(&lines, &format!("/m/{number}"));
        check(line, &(options, flags, &[]));
        assert!(
            present.iter().all(|one| line.filesystem.iter().any(|have| have == one)),
            "{options:?}: {line:?}"
        );
        assert!(
            !absent.iter().any(|one| line.filesystem.iter().any(|have| have == one)),
            "{options:?}: {line:?}"
        );
    }
    // What pinfold does not know goes to the filesystem, which knows best.
    bundle.mount(mount("/x", "tmpfs", "tmpfs", &["no-such-option=1"]));
    let ran = bundle.run(&dir, &dir.id("unknown"));
    assert!(ran.code() == 1 && ran.err.contains(&format!("/mounts/{}", 7 + rows.len())), "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn propagation_options_apply_in_their_order() {
    // Below a source that the host shares; the last column is what mountinfo says inside.
    let rows: &[(Option<&str>, &[&str], &[&str])] = &[
        (None, &[], &[]),
        (None, &["private"], &[]),
        (None, &["rprivate"], &[]),
        (None, &["slave"], &["master"]),
        (None, &["rslave"], &["master"]),
        (None, &["unbindable"], &["unbindable"]),
        (None, &["runbindable"], &["unbindable"]),
        (None, &["shared"], &["shared", "master"]),
        (None, &["rslave", "rshared"], &["shared", "master"]),
        (None, &["rshared", "rslave"], &["master"]),
        (None, &["rshared", "rprivate"], &[]),
        (None, &["slave", "unbindable"], &["unbindable"]),
        (Some("rslave"), &["rslave"], &["master"]),
        // The root's own comes last, and reaches all of it.
        (Some("rslave"), &["rshared"], &["master"]),
        (Some("slave"), &["rshared"], &["shared", "master"]),
        (Some("rprivate"), &["rslave"], &[]),
        (Some("private"), &["rshared"], &["shared"]),
        (Some("shared"), &["rshared"], &["shared"]),
        (Some("shared"), &["rslave"], &["master"]),
        (Some("shared"), &[], &[]),
    ];
    let dir = Dir::new();
    let prepare = format!("{SOURCE}; mount --make-rshared source");
    for root in [None, Some("rslave"), Some("slave"), Some("rprivate"), Some("private"), Some("shared")] {
        let mut bundle = bundle(&dir, "bundle", LOOK);
        bundle.edit(|config| config["linux"]["rootfsPropagation"] = json!(root.unwrap_or_default()));
        let own: Vec<_> = rows.iter().enumerate().filter(|(_, (of, ..))| *of == root).collect();
        for (number, (_, options, _)) in &own {
            let all: Vec<_> = std::iter::once("rbind").chain(options.iter().copied()).collect();
            bundle.mount(mount(&format!("/m/{number}"), "none", &dir.text("source"), &all));
        }
        let lines = run_after(&dir, &prepare, &bundle);
        for (number, (_, options, expected)) in &own {
            let line = at(&lines, &format!("/m/{number}"));
            assert_eq!(line.propagation, *expected, "{root:?} {options:?}");
            // The forms with `r` reach what is below; without them it keeps what a bind begins with.
            if options.iter().all(|option| option.starts_with('r')) {
                assert_eq!(
                    at(&lines, &format!("/m/{number}/sub")).propagation,
                    *expected,
                    "{root:?} {options:?}"
                );
            }
        }
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    dir.assert_nothing_left();
}

#[test]
fn the_roots_own_propagation() {
    let dir = Dir::new();
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("", &[], &[]),
        ("private", &[], &[]),
        ("slave", &[], &[]),
        ("shared", &["shared"], &[]),
        ("rshared", &["shared"], &["shared"]),
        ("unbindable", &["unbindable"], &[]),
        ("runbindable", &["unbindable"], &["unbindable"]),
    ];
    for readonly in [false, true] {
        for (asked, root, below) in rows {
            let mut bundle = bundle(&dir, "bundle", LOOK);
            bundle.edit(|config| {
                config["root"]["readonly"] = json!(readonly);
                config["linux"]["rootfsPropagation"] = json!(asked);
            });
            // The bundle too lies on a mount that the host shares.
            let lines = run_after(&dir, "mount --bind . .; mount --make-rshared .; cd .", &bundle);
            assert_eq!(at(&lines, "/").propagation, *root, "{asked}");
            assert_eq!(at(&lines, "/proc").propagation, *below, "{asked}");
            assert_eq!(at(&lines, "/").flags[0], if readonly { "ro" } else { "rw" }, "{asked}");
            fs::remove_dir_all(&bundle.path).unwrap();
        }
    }
    let mut bundle = bundle(&dir, "bad", LOOK);
    bundle.edit(|config| config["linux"]["rootfsPropagation"] = json!("public"));
    let ran = bundle.run(&dir, &dir.id("bad"));
    assert!(ran.code() == 1 && ran.err.contains("/linux/rootfsPropagation"), "{ran:?}");
    dir.assert_nothing_left();
}

/// What is mounted on one side while the container runs is seen on the other, or is not.
#[test]
fn mounts_cross_the_border_only_where_both_sides_say_so() {
    let dir = Dir::new();
    for (root, option, comes_in, goes_out) in [
        ("", "rprivate", "no", "no"),
        ("", "rslave", "yes", "no"),
        ("", "rshared", "yes", "no"),
        ("rshared", "rshared", "yes", "yes"),
        ("rshared", "rprivate", "no", "no"),
    ] {
        let mut bundle = bundle(
            &dir,
            "bundle",
            "mkdir -p /m/in /m/out; mount -t tmpfs none /m/out; echo x >/m/ready; \
             tries=0; until [ -e /m/go ] || [ $tries = 500 ]; do tries=$((tries + 1)); sleep 0.02; done; \
             grep -q ' /m/in ' /proc/self/mountinfo && echo in yes || echo in no",
        );
        bundle.edit(|config| {
            config["linux"]["rootfsPropagation"] = json!(root);
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
            }
        });
        bundle.mount(mount("/m", "none", &dir.text("source"), &["rbind", option]));
        let script = format!(
            "mkdir -p source; mount -t tmpfs none source; mount --make-rshared source
             timeout 20 $PINFOLD --root $ROOT run -b {} {} &
             tries=0; until [ -e source/ready ] || [ $tries = 500 ]; do tries=$((tries + 1)); sleep 0.02; done
             mount -t tmpfs none source/in
             grep -q \"$PWD/source/out \" /proc/self/mountinfo && echo out yes || echo out no
             : >source/go; wait $!",
            bundle.text(),
            dir.id("border")
        );
        let ran = in_own_mounts(&dir, &script);
        assert_eq!(ran.ok(), format!("out {goes_out}\nin {comes_in}\n"), "{root} {option}: {ran:?}");
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    dir.assert_nothing_left();
}

#[test]
fn a_remount_changes_what_it_names() {
    let dir = Dir::new();
    let mut bundle = bundle(&dir, "bundle", LOOK);
    let source = dir.text("source");
    for one in [
        mount("/bind", "none", &source, &["rbind", "nosuid"]),
        mount("/bind", "none", &source, &["remount", "bind", "ro"]),
        // A mount that came along with another one.
        mount("/bind/sub", "none", "none", &["remount", "bind", "noexec"]),
        mount("/back", "none", &source, &["bind", "ro", "nodev"]),
        mount("/back", "none", "", &["remount", "bind", "rw", "dev", "noatime"]),
        mount("/new", "tmpfs", "tmpfs", &["size=64k", "nosuid"]),
        mount("/new", "tmpfs", "tmpfs", &["remount", "size=128k", "ro"]),
        mount("/open", "tmpfs", "tmpfs", &["ro"]),
        mount("/open", "tmpfs", "tmpfs", &["remount", "rw"]),
        mount("/proc", "none", "none", &["remount", "bind", "nosuid"]),
        mount("/", "none", "none", &["remount", "bind", "nodev"]),
    ] {
        bundle.mount(one);
    }
    let lines = run_after(&dir, SOURCE, &bundle);
    let rows: &[(&str, Row)] = &[
        ("/bind", (&[], &["ro", "nosuid"], &[])),
        ("/bind/sub", (&[], &["noexec", "rw"], &["ro"])),
        ("/back", (&[], &["rw", "noatime"], &["nodev"])),
        ("/new", (&[], &["ro", "nosuid"], &[])),
        ("/open", (&[], &["rw"], &[])),
        ("/proc", (&[], &["nosuid"], &[])),
        ("/", (&[], &["nodev"], &[])),
    ];
    for (place, row) in rows {
        check(at(&lines, place), row);
    }
    assert!(at(&lines, "/new").filesystem.contains(&"size=128k".to_owned()), "{lines:#?}");
    dir.assert_nothing_left();
}

#[test]
fn a_remount_never_reaches_the_hosts_filesystem() {
    let dir = Dir::new();
    dir.mkdir("source");
    for (options, destination, words) in [
        (&["remount", "ro"][..], "/bind", "not the container's own"),
        (&["remount", "ro"], "/", "not the container's own"),
        (&["remount", "bind", "ro"], "/etc", "EINVAL"),
        (&["remount", "bind", "ro"], "/no/such", "ENOENT"),
    ] {
        let mut bundle = bundle(&dir, "bundle", LOOK);
        bundle.mount(mount("/bind", "none", &dir.text("source"), &["bind"]));
        bundle.mount(mount(destination, "none", "none", options));
        let ran = bundle.run(&dir, &dir.id("remount"));
        assert!(
            ran.code() == 1 && ran.err.contains(words) && ran.err.contains("/mounts/8"),
            "{destination}: {ran:?}"
        );
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    // The filesystem is as it was.
    dir.write("source/still", "writable");
    dir.assert_nothing_left();
}

#[test]
fn tmpcopyup_takes_the_content_along() {
    let dir = Dir::new();
    let mut bundle = bundle(
        &dir,
        "bundle",
        "cd /covered; find . | sort | while read -r name; do stat -c '%n %a %u:%g %Y' $name | sed 's/ [0-9]*$//'; done; \
         stat -c '%Y' file; readlink link; cat file; cat deep/a/b/c; : >/covered/new; stat -c '%t:%T' null; wc -c <large",
    );
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]);
        }
    });
    let covered = bundle.rootfs().join("covered");
    fs::create_dir_all(covered.join("deep/a/b")).unwrap();
    fs::write(covered.join("deep/a/b/c"), "deep\n").unwrap();
    fs::write(covered.join("file"), "content\n").unwrap();
    fs::write(covered.join("large"), "x".repeat(300_000)).unwrap();
    symlink("/etc/passwd", covered.join("link")).unwrap();
    symlink("/", covered.join("root")).unwrap();
    nix::unistd::mkfifo(&covered.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let null = nix::sys::stat::makedev(1, 3);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o640);
    nix::sys::stat::mknod(&covered.join("null"), nix::sys::stat::SFlag::S_IFCHR, mode, null).unwrap();
    chown(covered.join("deep/a"), Some(5), Some(6)).unwrap();
    chown(covered.join("file"), Some(7), Some(8)).unwrap();
    for (name, bits) in [
        ("", 0o1751),
        ("deep", 0o2750),
        ("deep/a", 0o700),
        ("file", 0o4711),
        ("null", 0o640),
        ("fifo", 0o600),
    ] {
        fs::set_permissions(covered.join(name), fs::Permissions::from_mode(bits)).unwrap();
    }
    let file = fs::File::options().write(true).open(covered.join("file")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1234)).unwrap();
    bundle.mount(mount("/covered", "tmpfs", "tmpfs", &["tmpcopyup", "size=4m"]));
    let expected = "\
. 1751 0:0
./deep 2750 0:0
./deep/a 700 5:6
./deep/a/b 755 0:0
./deep/a/b/c 644 0:0
./fifo 600 0:0
./file 4711 7:8
./large 644 0:0
./link 777 0:0
./null 640 0:0
./root 777 0:0
1234
/etc/passwd
content
deep
1:3
300000
";
    assert_eq!(bundle.run(&dir, &dir.id("copy")).ok(), expected);
    assert!(fs::symlink_metadata(covered.join("new")).is_err(), "the image is as it was");
    dir.assert_nothing_left();
}

#[test]
fn tmpcopyup_stays_within_its_bounds() {
    let dir = Dir::new();
    let mut bundle = bundle(&dir, "bundle", ": >/covered/new");
    let covered = bundle.rootfs().join("covered");
    fs::create_dir_all(&covered).unwrap();
    fs::write(covered.join("large"), "x".repeat(300_000)).unwrap();
    bundle.mount(mount("/covered", "tmpfs", "tmpfs", &["tmpcopyup", "size=4m"]));
    bundle.run(&dir, &dir.id("copy")).ok();
    // What does not fit is an error, and so is a depth without end; a read-only one is filled first.
    for (options, code) in [
        (&["tmpcopyup", "size=64k"][..], 1),
        (&["tmpcopyup", "ro"], 1),
        (&["tmpcopyup", "ro", "mode=0700"], 1),
    ] {
        let last = bundle.config["mounts"].as_array().unwrap().len() - 1;
        bundle.edit(|config| config["mounts"][last]["options"] = json!(options));
        let ran = bundle.run(&dir, &dir.id("copy"));
        assert_eq!(ran.code(), code, "{options:?}: {ran:?}");
        assert!(
            ran.err.contains(if options.contains(&"ro") { "Read-only file system" } else { "ENOSPC" }),
            "{ran:?}"
        );
    }
    let mut deepest = covered;
    for _ in 0..250 {
        deepest.push("d");
        fs::create_dir(&deepest).unwrap();
    }
    let ran = bundle.run(&dir, &dir.id("copy"));
    assert!(ran.code() == 1 && ran.err.contains("ENAMETOOLONG"), "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn a_tmpfs_has_the_mode_of_what_it_covers_and_closes_late() {
    let dir = Dir::new();
    let script = "stat -c '%n %a' /covered /given /new /dev; cat /closed/deep/file; ls /closed; \
                  for place in /closed /dev; do (: >$place/x) 2>/dev/null && echo open || echo closed; done";
    let mut bundle = bundle(&dir, "bundle", script);
    for name in ["covered", "given"] {
        let place = bundle.rootfs().join(name);
        fs::create_dir(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o1751)).unwrap();
    }
    let file = dir.write("file", "below\n").display().to_string();
    for one in [
        mount("/covered", "tmpfs", "tmpfs", &[]),
        mount("/given", "tmpfs", "tmpfs", &["mode=0710"]),
        mount("/new", "tmpfs", "tmpfs", &[]),
        mount("/closed", "tmpfs", "tmpfs", &["ro"]),
        mount("/closed/deep/file", "none", &file, &["bind"]),
    ] {
        bundle.mount(one);
    }
    bundle.edit(|config| config["mounts"][1]["options"].as_array_mut().unwrap().push(json!("ro")));
    let ran = bundle.run(&dir, &dir.id("mode"));
    assert_eq!(ran.ok(), "/covered 1751\n/given 710\n/new 1777\n/dev 755\nbelow\ndeep\nclosed\nclosed\n");
    dir.assert_nothing_left();
}

#[test]
fn places_and_types_are_read_as_the_specification_says() {
    let dir = Dir::new();
    let mut bundle = bundle(&dir, "bundle", LOOK);
    fs::create_dir(bundle.path.join("own")).unwrap();
    for one in [
        // A relative destination begins at the root, a relative source at the bundle.
        mount("relative/place", "none", "own", &["bind"]),
        mount("./dots/../clean", "dummy", &dir.path().display().to_string(), &["bind"]),
        mount("/by/type", "bind", "own", &[]),
    ] {
        bundle.mount(one);
    }
    let ran = bundle.run(&dir, &dir.id("places"));
    let lines = mountinfo(ran.ok());
    for place in ["/relative/place", "/clean", "/by/type"] {
        at(&lines, place);
    }
    for (one, field) in [
        (mount("/x", "none", "", &["bind"]), "/mounts/10/source"),
        (mount("/x", "none", "none", &[]), "/mounts/10/type"),
        (mount("/x", "no-such-fs", "none", &[]), "/mounts/10"),
        (mount("", "tmpfs", "tmpfs", &[]), "/mounts/10/destination"),
        (mount("/x", "ramfs", "none", &["tmpcopyup"]), "/mounts/10/options"),
        (mount("/x", "none", "own", &["bind", "idmap"]), "/mounts/10/options"),
    ] {
        let before = bundle.config.clone();
        bundle.mount(one.clone());
        let ran = bundle.run(&dir, &dir.id("places"));
        assert!(ran.code() == 1 && ran.err.contains(field), "{one}: {ran:?}");
        bundle.edit(|config| *config = before);
    }
    bundle.edit(|config| config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0"));
    let ran = bundle.run(&dir, &dir.id("places"));
    assert!(
        ran.code() == 1 && ran.err.contains("/linux/mountLabel") && ran.err.contains("selinux"),
        "{ran:?}"
    );
    dir.assert_nothing_left();
}

#[test]
fn owners_are_shown_through_each_range_of_a_map() {
    let dir = Dir::new();
    let mut bundle = bundle(&dir, "bundle", "stat -c '%n %u:%g' /explicit/* /explicit/sub/x /all/sub/x");
    dir.mkdir("source/sub");
    for (name, uid, gid) in [("a", 1000, 2000), ("b", 1001, 2001), ("c", 3000, 4000)] {
        chown(dir.write(&format!("source/{name}"), ""), Some(uid), Some(gid)).unwrap();
    }
    let map = |rows: &[(u32, u32, u32)]| -> Value {
        let one = |(inside, outside, size): &(u32, u32, u32)| json!({"containerID": inside, "hostID": outside, "size": size});
        rows.iter().map(one).collect()
    };
    let uids = map(&[(1000, 5000, 2), (3000, 9, 1), (0, 0, 1)]);
    let gids = map(&[(2000, 6000, 2), (4000, 8, 1), (0, 0, 1)]);
    for (place, option) in [("/explicit", "idmap"), ("/all", "ridmap")] {
        let mut one = mount(place, "none", &dir.text("source"), &["rbind", option]);
        one["uidMappings"] = uids.clone();
        one["gidMappings"] = gids.clone();
        bundle.mount(one);
    }
    let script = format!(
        "mount -t tmpfs none source/sub; : >source/sub/x; chown 1000:2000 source/sub/x
         exec $PINFOLD --root $ROOT run -b {} {}",
        bundle.text(),
        dir.id("owners")
    );
    let ran = in_own_mounts(&dir, &script);
    let expected = "/explicit/a 5000:6000\n/explicit/b 5001:6001\n/explicit/c 9:8\n/explicit/sub 0:0\n\
                    /explicit/sub/x 1000:2000\n/all/sub/x 5000:6000\n";
    assert_eq!(ran.ok(), expected);
    dir.assert_nothing_left();
}

/// A root with links, a mount at a place behind them, and where that has to be.
struct Led {
    links: &'static [(&'static str, &'static str)],
    destination: &'static str,
    source: &'static str,
    leads: &'static str,
}

const LED: &[Led] = &[
    Led {
        links: &[("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")],
        destination: "/etc/resolv.conf",
        source: "file",
        leads: "/run/systemd/resolve/stub-resolv.conf",
    },
    Led { links: &[("data", "/nowhere")], destination: "/data/sub", source: "tmpfs", leads: "/nowhere/sub" },
    Led {
        links: &[("jump", "/tmp/a/b"), ("etc/hosts", "/jump/c/hosts")],
        destination: "/etc/hosts",
        source: "file",
        leads: "/tmp/a/b/c/hosts",
    },
    Led {
        links: &[("etc/hosts", "/tmp/hosts")],
        destination: "/etc/hosts",
        source: "directory",
        leads: "/tmp/hosts",
    },
    Led {
        links: &[("etc/hosts", "/tmp/hosts")],
        destination: "/etc/hosts",
        source: "file",
        leads: "/tmp/hosts",
    },
    Led {
        links: &[("one", "two/x"), ("two", "tmp/../three"), ("three", "./four/")],
        destination: "/one/y",
        source: "tmpfs",
        leads: "/four/x/y",
    },
    // Both lead to the same place of the host, and to one below the root.
    Led { links: &[("out", "OUTSIDE/x")], destination: "/out", source: "file", leads: "OUTSIDE/x" },
    Led {
        links: &[("tmp/out", "../../../../../../../../../../../../../../..OUTSIDE")],
        destination: "/tmp/out/x/y",
        source: "tmpfs",
        leads: "OUTSIDE/x/y",
    },
];

impl Led {
    fn bundle(&self, dir: &Dir, outside: &str) -> Bundle {
        let mut bundle = bundle(dir, "bundle", LOOK);
        for (place, text) in self.links {
            symlink(text.replace("OUTSIDE", outside), bundle.rootfs().join(place)).unwrap();
        }
        bundle.mount(match self.source {
            "tmpfs" => mount(self.destination, "tmpfs", "tmpfs", &[]),
            source => mount(self.destination, "none", &dir.text(source), &["bind"]),
        });
        bundle
    }
}

/// Names below a directory, of links as well.
fn names(below: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap());
    let each = entries.flat_map(|entry| {
        let further =
            if entry.file_type().unwrap().is_dir() { names(&entry.path()) } else { BTreeSet::new() };
        further.into_iter().chain([entry.path()])
    });
    each.collect()
}

#[test]
fn a_mount_point_behind_links_to_nothing_is_made_inside() {
    let dir = Dir::new();
    let outside = dir.mkdir("outside").display().to_string();
    dir.mkdir("directory");
    dir.write("file", "");
    for led in LED {
        let bundle = led.bundle(&dir, &outside);
        let (leads, before) = (led.leads.replace("OUTSIDE", &outside), names(&bundle.rootfs()));
        // The second time all is there.
        for _ in 0..2 {
            let ran = bundle.run(&dir, &dir.id("led"));
            at(&mountinfo(ran.ok()), &leads);
        }
        let made: BTreeSet<_> = names(&bundle.rootfs()).difference(&before).cloned().collect();
        let mut expected: BTreeSet<_> = Path::new(&leads)
            .ancestors()
            .map(|place| bundle.rootfs().join(place.strip_prefix("/").unwrap()))
            .collect();
        expected.retain(|place| !before.contains(place) && *place != bundle.rootfs().join(""));
        assert_eq!(made, expected, "{}", led.destination);
        assert_eq!(fs::metadata(made.last().unwrap()).unwrap().is_file(), led.source == "file");
        for (place, _) in led.links {
            assert!(fs::symlink_metadata(bundle.rootfs().join(place)).unwrap().is_symlink(), "{place}");
        }
        assert_eq!(names(Path::new(&outside)), BTreeSet::new(), "{}", led.destination);
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    dir.assert_nothing_left();
}

#[test]
fn links_that_lead_to_no_place_are_an_error_and_nothing_is_made() {
    let dir = Dir::new();
    for (text, destination, words) in [
        ("link", "/link", "(ELOOP)"),
        ("/link/x", "/link/y", "(ELOOP)"),
        // Nothing would come that way to what is made.
        ("none/../link", "/link", "(ENOENT)"),
        ("/none/..", "/link", "(ENOENT)"),
        ("none/../tmp/x", "/link/y", "(ENOENT)"),
        ("/proc/self/none", "/link", "(ELOOP)"),
        ("/proc/self/root/none", "/link", "(ELOOP)"),
        ("/proc/self/cwd/none", "/link/x", "(ELOOP)"),
        ("/proc/none", "/link/x", "(EXDEV)"),
        ("/bin/cat/x", "/link", "(ENOTDIR)"),
    ] {
        let mut bundle = bundle(&dir, "bundle", LOOK);
        symlink(text, bundle.rootfs().join("link")).unwrap();
        bundle.mount(mount(destination, "tmpfs", "tmpfs", &[]));
        bundle.run(&dir, &dir.id("none"));
        let before = names(&bundle.rootfs());
        let ran = bundle.run(&dir, &dir.id("none"));
        assert!(
            ran.code() == 1 && ran.err.contains(words) && ran.err.contains("/mounts/7"),
            "{text}: {ran:?}"
        );
        assert_eq!(names(&bundle.rootfs()), before, "{text}");
        assert!(fs::symlink_metadata(bundle.rootfs().join("none")).is_err(), "{text}");
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    // As many as the kernel follows, and one more.
    for (links, code) in [(40, 0), (41, 1)] {
        let mut bundle = bundle(&dir, "bundle", LOOK);
        for link in 0..links {
            symlink(format!("l{}", link + 1), bundle.rootfs().join(format!("l{link}"))).unwrap();
        }
        bundle.mount(mount("/l0", "tmpfs", "tmpfs", &[]));
        let ran = bundle.run(&dir, &dir.id("none"));
        assert_eq!(ran.code(), code, "{ran:?}");
        assert_eq!(fs::symlink_metadata(bundle.rootfs().join(format!("l{links}"))).is_ok(), code == 0);
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    dir.assert_nothing_left();
}

#[test]
fn what_links_lead_to_is_made_in_an_overlay_and_not_in_a_root_that_is_read_only() {
    let dir = Dir::new();
    let bundle = LED[0].bundle(&dir, "");
    dir.write("file", "");
    let rootfs = bundle.rootfs().display().to_string();
    let script = |prepare: &str| {
        format!("{prepare}\nexec $PINFOLD --root $ROOT run -b {} {}", bundle.text(), dir.id("kinds"))
    };
    let ran = in_own_mounts(
        &dir,
        &script(&format!("mount --bind {rootfs} {rootfs}; mount -o remount,bind,ro {rootfs}")),
    );
    assert!(ran.code() == 1 && ran.err.contains("(EROFS)") && ran.err.contains("/mounts/7"), "{ran:?}");
    assert!(fs::symlink_metadata(bundle.rootfs().join("run")).is_err());
    let overlay = format!(
        "mkdir upper; mount -t tmpfs none upper; mkdir upper/u upper/w
         mount -t overlay -o lowerdir={rootfs},upperdir=upper/u,workdir=upper/w none {rootfs}"
    );
    let ran = in_own_mounts(&dir, &script(&overlay));
    at(&mountinfo(ran.ok()), LED[0].leads);
    assert!(fs::symlink_metadata(bundle.rootfs().join("run")).is_err());
    dir.assert_nothing_left();
}

/// An image chooses no name in a directory of the host's that is bound: the program could not make it there.
#[test]
fn a_link_makes_nothing_in_a_bind() {
    let dir = Dir::new();
    dir.write("file", "");
    let work = dir.mkdir("work/sub").parent().unwrap().to_path_buf();
    let before = names(&work);
    let led = |leads: &str, first: Value| {
        let mut bundle = bundle(&dir, "bundle", LOOK);
        symlink(leads, bundle.rootfs().join("etc/resolv.conf")).unwrap();
        bundle.mount(first);
        bundle.mount(mount("/etc/resolv.conf", "none", &dir.text("file"), &["bind"]));
        let ran = bundle.run(&dir, &dir.id("bound"));
        fs::remove_dir_all(&bundle.path).unwrap();
        ran
    };
    let bound = || mount("/work", "none", &dir.text("work"), &["bind", "rw"]);
    for leads in ["/work/sub/planted", "/work/none/planted", "../work/planted"] {
        let ran = led(leads, bound());
        assert!(
            ran.code() == 1
                && ran.err.contains("(EXDEV)")
                && ran.err.contains("not in a bind")
                && ran.err.contains("/mounts/8"),
            "{leads}: {ran:?}"
        );
        assert_eq!(names(&work), before, "{leads}");
    }
    dir.write("work/sub/there", "");
    at(&mountinfo(led("/work/sub/there", bound()).ok()), "/work/sub/there");
    // What the container has of its own is another matter.
    at(&mountinfo(led("/run/a/b", mount("/run", "tmpfs", "tmpfs", &[])).ok()), "/run/a/b");
    dir.assert_nothing_left();
}

/// Whoever can write the root file system swaps a directory on the way for a link while it is walked.
#[test]
fn a_swap_behind_links_to_nothing_leads_nowhere() {
    let dir = Dir::new();
    let outside = dir.mkdir("outside");
    let up = format!("{}{}", "../".repeat(20), outside.strip_prefix("/").unwrap().display());
    for (number, text) in [outside.to_str().unwrap(), &up, "/proc/1/root", "../../none"].iter().enumerate() {
        let mut bundle = bundle(&dir, &format!("b{number}"), LOOK);
        let shared = bundle.rootfs().join("shared");
        fs::create_dir_all(shared.join("way")).unwrap();
        symlink(text, shared.join("link")).unwrap();
        symlink("/shared/way/none/x", bundle.rootfs().join("data")).unwrap();
        bundle.mount(mount("/data/y", "tmpfs", "tmpfs", &[]));
        let (way, link) = (shared.join("way"), shared.join("link"));
        let (over, began) = (AtomicBool::new(false), Instant::now());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (exchange, here) = (RenameFlags::RENAME_EXCHANGE, nix::fcntl::AT_FDCWD);
                while !over.load(Ordering::Relaxed) && began.elapsed() < DEADLINE {
                    nix::fcntl::renameat2(here, &way, here, &link, exchange).unwrap();
                    // Other tests walk through `..`, which the kernel gives up beside renames without a pause.
                    std::thread::sleep(Duration::from_micros(20));
                }
            });
            let round = |_| {
                let ran = bundle.run(&dir, &dir.id("swap"));
                let escaped = names(&outside);
                for directory in ["way", "link"] {
                    fs::remove_dir_all(shared.join(directory).join("none")).ok();
                }
                (ran, escaped)
            };
            let rounds: Vec<_> = (0..20 * count()).map(round).collect();
            over.store(true, Ordering::Relaxed);
            for (ran, escaped) in rounds {
                assert!([0, 1].contains(&ran.code()) && escaped.is_empty(), "{text}: {escaped:?} {ran:?}");
            }
        });
    }
    dir.assert_nothing_left();
}

/// runc opens each source when the mounts before it stand; here all are opened before.
#[test]
fn a_source_below_an_earlier_mount_of_the_same_root_is_an_error() {
    let dir = Dir::new();
    dir.mkdir("source/x");
    // Below the earlier mount; whether the source exists there beforehand; by which name; refused.
    for (inside, exists, by_link, refused) in [
        ("over/x", false, false, true),
        ("over/x", true, false, true),
        ("over", true, false, true),
        ("over/x", true, true, true),
        ("over/x", false, true, true),
        ("overt/x", true, false, false),
        // A link of the root leads the earlier mount to another place.
        ("led/x", true, false, true),
        ("", true, false, false),
    ] {
        let mut bundle = bundle(&dir, "bundle", LOOK);
        let rootfs = bundle.rootfs();
        for place in ["over", "led"] {
            fs::create_dir(rootfs.join(place)).unwrap();
        }
        symlink("../../led", rootfs.join("link")).unwrap();
        symlink(&rootfs, bundle.path.join("alias")).unwrap();
        if exists {
            fs::create_dir_all(rootfs.join(inside)).unwrap();
        }
        let from = if by_link { bundle.path.join("alias") } else { rootfs };
        for (destination, source) in
            [("/over", dir.join("source")), ("/link", dir.join("source")), ("/again", from.join(inside))]
        {
            bundle.mount(mount(destination, "none", source.to_str().unwrap(), &["rbind"]));
        }
        let ran = bundle.run(&dir, &dir.id("order"));
        let said = ran.err.contains("/mounts/9/source") && ran.err.contains("an earlier mount");
        assert_eq!((ran.code() != 0, said), (refused, refused), "{inside} {exists} {by_link}: {ran:?}");
        // Before it nothing is in the way.
        bundle.edit(|config| config["mounts"].as_array_mut().unwrap().swap(7, 9));
        let ran = bundle.run(&dir, &dir.id("order"));
        assert_eq!(ran.code() == 0, exists, "{inside} {exists}: {ran:?}");
        assert!(!ran.err.contains("an earlier mount"), "{ran:?}");
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    dir.assert_nothing_left();
}
