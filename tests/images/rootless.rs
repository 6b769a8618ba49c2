//! `sandbox --image` by a user without privilege: without subordinate ids, and with them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::json;

use super::layout::{Layout, Tar, busybox};
use super::running::{ROOTS, assert_one_root};
use super::support::{self, Dir, PINFOLD, Ran};
use pinfold::image::pack::{Entry, Kind};

/// Nobody's id: not in /etc/passwd.
const UID: u32 = 12346;

/// A program with the user's environment, whose home is `home` in the test's directory.
fn prepared(dir: &Dir, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let home = dir.join("home");
    if fs::create_dir(&home).is_ok() {
        chown(&home, Some(UID), Some(UID)).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        support::copy_executable(PINFOLD, dir.join("program"));
    }
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
    command.current_dir(&home);
    command
}

/// `pinfold ARGS` as the user.
fn as_user(dir: &Dir, args: &[&str]) -> Ran {
    support::run(prepared(dir, dir.join("program")).args(args).uid(UID).gid(UID))
}

/// `pinfold ARGS` as the user, who has these lines in what /etc/subuid and /etc/subgid are to it.
fn with_ids(dir: &Dir, ids: &str, args: &[&str]) -> Command {
    const AS_USER: &str = "
        ids=$1; program=$2; shift 2; cd \"$HOME/..\"
        printf %s \"$ids\" >ids; cp /etc/passwd passwd; echo images:x:12346:12346::/:/bin/sh >>passwd
        for file in subuid subgid; do mount --bind ids /etc/$file; done
        mount --bind passwd /etc/passwd
        cd \"$HOME\"; exec setpriv --reuid 12346 --regid 12346 --clear-groups -- \"$program\" \"$@\"";
    let mut command = prepared(dir, "unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", AS_USER, "sh", ids]);
    command.arg(dir.join("program")).args(args);
    command
}

#[test]
fn a_user_runs_an_image_with_ids_of_its_own() {
    let dir = Dir::new();
    let upper =
        Tar::new().dir("data/").owned("data/of-root", b"read\n", 0o600, (0, 0)).file(".wh.home", "").end();
    let config = json!({"User": "web", "Cmd": ["sh", "-c", "id -u; id -g; cat /data/of-root; ls / | busybox grep -c home"]});
    let (layout, _) = Layout::image(dir.join("layout"), &[busybox().end(), upper], config);
    let source = layout.source();
    let ran = as_user(&dir, &["sandbox", "--image", &source]);
    assert_eq!(ran.out, "33\n44\nread\n0\n", "{ran:?}");
    let store = dir.join("home/.local/share/pinfold");
    assert_eq!(fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
    assert_one_root(as_user(&dir, &["sandbox", "--image", &source, "--", "sh", "-c", ROOTS]).ok());
    // The root is read-only for its owner too.
    let script = "echo x >/data/of-root || chmod 777 /data || touch /x";
    let ran = as_user(&dir, &["sandbox", "--image", &source, "--", "sh", "-c", script]);
    assert!(
        ran.code() != 0 && ran.err.matches("Read-only").count() + ran.err.matches("denied").count() == 3,
        "{ran:?}"
    );
    let script = "echo x >/data/of-root && rm -r /bin/ls && mkdir /home && cat /data/of-root";
    let ran = as_user(&dir, &["sandbox", "--image", &source, "--read-only=false", "--", "sh", "-c", script]);
    assert_eq!(ran.ok(), "x\n", "{ran:?}");
    as_user(&dir, &["image", "verify"]).ok();
    assert!(as_user(&dir, &["image", "gc"]).ok().contains("removed 0 blobs"));
    dir.assert_nothing_left();
}

/// Another user's store, and one that others can write to, are refused.
#[test]
fn a_store_of_somebody_else_is_refused() {
    let dir = Dir::new();
    let (layout, _) = Layout::image(dir.join("layout"), &[Tar::new().dir("./").end()], json!({}));
    as_user(&dir, &["image", "import", &layout.source()]).ok();
    let store = dir.text("home/.local/share/pinfold");
    let refused = dir.pinfold(&["--store", &store, "image", "list"]);
    assert!(refused.code() != 0 && refused.err.contains("user id 12346"), "{refused:?}");
}

const IDS: &str = "images:700000:65536\n";

/// Files of several owners; the second layer has entries below a directory that is the web server's alone.
fn of_several_owners() -> [Vec<u8>; 2] {
    let private = Entry {
        name: b"data/private/",
        kind: Kind::Directory,
        mode: 0o700,
        uid: 33,
        gid: 44,
        mtime: 7,
        xattrs: &[],
    };
    let below = busybox()
        .owned("data/of-root", b"root's\n", 0o600, (0, 0))
        .owned("data/of-web", b"web's\n", 0o600, (33, 44))
        .owned("data/set-id", b"", 0o4755, (33, 44))
        .raw(&private)
        .owned("data/private/old", b"", 0o600, (33, 44))
        .end();
    let above = Tar::new()
        .owned("data/private/deep/new", b"", 0o640, (65536, 65536))
        .file(".wh.home", "")
        .file("data/private/.wh.old", "")
        .end();
    [below, above]
}

fn mapped(dir: &Dir) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir.join("home/.local/share/pinfold/mapped"));
    let mut trees: Vec<_> = entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    trees.sort();
    trees
}

#[test]
fn subordinate_ids_are_the_owners_of_an_image() {
    let dir = Dir::new();
    let (layout, _) = Layout::image(dir.join("layout"), &of_several_owners(), json!({"User": "web"}));
    let user = |args: &[&str]| support::run(&mut with_ids(&dir, IDS, args));
    user(&["image", "import", &layout.source(), "--name", "several"]).ok();
    let sandbox = |options: &[&str], script: &str| {
        let mut words = vec!["sandbox", "--image", "several"];
        words.extend_from_slice(options);
        words.extend_from_slice(&["--", "sh", "-c", script]);
        user(&words)
    };
    // One id, as before: nothing is mapped that nobody asks for.
    let ran = sandbox(&[], "id -u; stat -c %u:%g /data/of-root; cat /proc/self/uid_map");
    assert_eq!(ran.ok().split_whitespace().collect::<Vec<_>>(), ["33", "33:44", "33", "12346", "1"]);
    assert!(mapped(&dir).is_empty());

    let look = "stat -c '%u:%g %a %Y' /data /data/of-root /data/of-web /data/set-id /data/private /data/private/deep/new; \
                ls /data/private; ls / | busybox grep -c home; cat /proc/self/uid_map";
    let ran = sandbox(&["--user", "0", "--cap-add", "DAC_READ_SEARCH"], look);
    let expected = "0:0 755 1|0:0 600 1|33:44 600 1|33:44 4755 1|33:44 700 7|65536:65536 640 1|deep|0|0 12346 1|1 700000 65536";
    let lines: Vec<_> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines.join("|"), expected, "{ran:?}");
    assert!(
        ran.err.contains("own host ids: the sandbox runs with the caller's own and subordinate ids"),
        "{ran:?}"
    );
    // Who is who counts: root without rights may not read what is another's.
    let ran = sandbox(&["--user", "0"], "id -u; cat /data/of-root; cat /data/of-web");
    assert!(ran.out == "0\nroot's\n" && ran.code() != 0 && ran.err.contains("ermission denied"), "{ran:?}");
    let ran =
        sandbox(&["--user", "web", "--group-add", "4"], "id -u; id -G; cat /data/of-web; cat /data/of-root");
    assert!(ran.out == "33\n44 4\nweb's\n" && ran.code() != 0, "{ran:?}");
    let changed =
        "touch /data/x && busybox chown 33:44 /data/x /data/of-root && stat -c %u:%g /data/x /data/of-root";
    let ran = sandbox(&["--user", "0", "--cap-add", "CHOWN", "--read-only=false"], changed);
    assert_eq!(ran.ok(), "33:44\n33:44\n");
    // The user's own files are root's inside.
    let ran = sandbox(&["--user", "0", "--rw", ".:/w"], "touch /w/made && stat -c %u:%g /w/made");
    assert_eq!(ran.ok(), "0:0\n");
    assert_eq!(fs::metadata(dir.join("home/made")).unwrap().uid(), UID);
    let ran = sandbox(&["--user", "web", "--rw", ".:/w"], "touch /w/other");
    assert!(ran.code() != 0 && ran.err.contains("belong to root inside, not to 33:44"), "{ran:?}");
    // Ids that nobody gave.
    let ran = sandbox(&["--user", "65537"], "true");
    assert!(ran.code() == 121 && ran.err.contains("65537:65537: is more than"), "{ran:?}");

    let trees = mapped(&dir);
    assert_eq!(trees.len(), 2, "one for each layer, and the second run made none: {trees:?}");
    let owner = |name: &str| {
        trees.iter().find_map(|tree| fs::metadata(tree.join("tree").join(name)).ok()).unwrap().uid()
    };
    assert_eq!((owner("data/of-root"), owner("data/of-web")), (UID, 700_032));
    user(&["image", "verify"]).ok();
    user(&["image", "gc"]).ok();
    assert_eq!(mapped(&dir), trees, "they are the image's");
    user(&["image", "remove", "several"]).ok();
    assert!(user(&["image", "gc"]).ok().contains("4 "), "two trees of each form");
    assert!(mapped(&dir).is_empty());
    assert_eq!(fs::read_dir(dir.join("home/.local/share/pinfold/tmp")).unwrap().count(), 0);
    dir.assert_nothing_left();
}

#[test]
fn a_named_sandbox_with_subordinate_ids_is_joined_and_ended() {
    let dir = Dir::new();
    let (layout, _) = Layout::image(dir.join("layout"), &of_several_owners(), json!({}));
    let user = |args: &[&str]| support::run(&mut with_ids(&dir, IDS, args));
    let id = dir.id("several");
    let source = layout.source();
    let start =
        ["sandbox", "--image", &source, "--user", "web", "--detach", "--name", &id, "--", "sleep", "60"];
    user(&start).ok();
    assert_eq!(user(&["exec", &id, "cat", "/data/of-web"]).ok(), "web's\n");
    assert_one_root(user(&["exec", &id, "sh", "-c", ROOTS]).ok());
    assert_eq!(
        user(&["exec", "--user", "0:0", &id, "sh", "-c", "id -u; cat /data/of-root"]).ok(),
        "0\nroot's\n"
    );
    user(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// Without ids, with others than before, and with those of before again.
#[test]
fn trees_of_ids_that_are_gone_are_left_alone() {
    let dir = Dir::new();
    let (layout, _) = Layout::image(dir.join("layout"), &of_several_owners(), json!({}));
    let user = |ids: &str, args: &[&str]| support::run(&mut with_ids(&dir, ids, args));
    user("", &["image", "import", &layout.source(), "--name", "several"]).ok();
    let run = ["sandbox", "--image", "several", "--user", "0", "--", "stat", "-c", "%u", "/data/of-web"];
    let refused = user("other:700000:65536\n", &run);
    assert!(refused.code() == 121 && refused.err.contains("/etc/subuid"), "{refused:?}");
    // The image has an owner that these do not reach.
    let few = user("images:700000:65535\n", &run);
    assert!(few.code() != 0 && few.err.contains("layer 2") && few.err.contains("deep/new"), "{few:?}");
    assert_eq!(fs::read_dir(dir.join("home/.local/share/pinfold/tmp")).unwrap().count(), 0, "{few:?}");
    assert_eq!(user(IDS, &run).ok(), "33\n");
    let before = mapped(&dir).len();
    assert_eq!(user("12346:900000:65536\n", &run).ok(), "33\n");
    assert_eq!(mapped(&dir).len(), before + 2, "other ids, other trees");
    user("", &["image", "remove", "several"]).ok();
    let left = user("", &["image", "gc"]);
    assert!(left.code() != 0 && left.err.contains("files of subordinate ids"), "{left:?}");
    let both = format!("{IDS}images:900000:65536\n");
    user(&both, &["image", "gc"]).ok();
    assert!(mapped(&dir).is_empty());
    assert_eq!(fs::read_dir(dir.join("home/.local/share/pinfold/tmp")).unwrap().count(), 0);
}

/// kill -9 at any moment: the next run, and `image gc`, find a sound store.
#[test]
fn a_killed_unpacking_with_subordinate_ids_is_swept() {
    let dir = Dir::new();
    let filler: String = (0..40_000).map(|number| format!("{number} ")).collect();
    let mut tar = busybox();
    for number in 0..500 {
        tar = tar.owned(
            &format!("data/{number}"),
            &filler.as_bytes()[number..number + 20_000],
            0o600,
            (33, 44),
        );
    }
    let (layout, _) = Layout::image(dir.join("layout"), &[tar.end()], json!({}));
    let user = |args: &[&str]| support::run(&mut with_ids(&dir, IDS, args));
    let words = ["sandbox", "--image", "kept", "--user", "web", "--", "cat", "/data/499"];
    user(&["image", "import", &layout.source(), "--name", "kept"]).ok();
    let started = std::time::Instant::now();
    assert_eq!(user(&words).ok().len(), 20_000);
    let whole = started.elapsed();
    let (mut interrupted, attempts) = (0, if support::count() > 1 { 60 } else { 6 });
    for number in 0_u32..attempts {
        for tree in mapped(&dir) {
            fs::remove_dir_all(tree).unwrap();
        }
        let running = support::start(&mut with_ids(&dir, IDS, &words));
        std::thread::sleep(whole * (number * 37 % 100) / 100);
        running.kill_9();
        interrupted += usize::from(mapped(&dir).is_empty());
        if number % 2 == 0 {
            user(&["image", "gc"]).ok();
        }
        assert_eq!(user(&words).ok().len(), 20_000);
        user(&["image", "gc"]).ok();
        assert_eq!(fs::read_dir(dir.join("home/.local/share/pinfold/tmp")).unwrap().count(), 0);
    }
    assert!(interrupted > 0, "no unpacking was interrupted");
    dir.assert_nothing_left();
}
