//! `sandbox --image`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use super::layout::{Layout, Tar, busybox};
use super::support::{self, Dir};
use super::{image, names, sandbox};

/// An image of two layers under the name `bb`.
fn brought_in(dir: &Dir, config: Value) -> String {
    let upper = Tar::new()
        .dir("data/")
        .owned("data/secret", b"of root", 0o600, (0, 0))
        .owned("data/of-web", b"of web", 0o600, (33, 44))
        .end();
    let (layout, digest) = Layout::image(dir.join("layout"), &[busybox().end(), upper], config);
    image(dir, &["import", &layout.source(), "--name", "bb"]).ok();
    digest.to_string()
}

#[test]
fn an_image_runs_as_its_configuration_says_and_no_more() {
    let dir = Dir::new();
    let config = json!({"User": "web", "Env": ["A=image", "B=image"], "WorkingDir": "/data", "Entrypoint": ["sh", "-c"],
        "Cmd": ["id; pwd; echo $A $B; cat of-web; cat secret"]});
    let digest = brought_in(&dir, config);
    let (ran, report) = sandbox(&dir, &["--image", "bb", "-e", "B=option"]);
    assert_eq!(ran.out, "uid=33(web) gid=44(web) groups=4(logs)\n/data\nimage option\nof web", "{ran:?}");
    assert!(ran.err.contains("Permission denied"), "{ran:?}");
    assert_eq!(report["image"], json!({"reference": "bb:latest", "digest": digest}));
    // Options win.
    let (ran, _) =
        sandbox(&dir, &["--image", "bb", "-u", "0", "-w", "/tmp", "--entrypoint", "id", "--", "-u"]);
    assert_eq!(ran.ok(), "0\n");
    let (ran, _) = sandbox(&dir, &["--image", &format!("x@{digest}"), "--", "echo typed"]);
    assert_eq!(ran.ok(), "typed\n");
}

/// What lay on it was where `/..` led, and what `exec` took for the root: a layer, or the host's.
pub(super) const ROOTS: &str =
    "busybox awk '$5 == \"/\" {n++} END {print n}' /proc/self/mountinfo; stat -c %d:%i / /..";

#[track_caller]
pub(super) fn assert_one_root(out: &str) {
    let lines: Vec<_> = out.lines().collect();
    assert!(matches!(lines[..], ["1", root, above] if root == above), "{out}");
}

#[test]
fn nothing_lies_on_the_root() {
    let dir = Dir::new();
    brought_in(&dir, json!({}));
    for options in [&[][..], &["--read-only=false"]] {
        let words = [&["--image", "bb"], options, &["--", "sh", "-c", ROOTS]].concat();
        assert_one_root(sandbox(&dir, &words).0.ok());
    }
    let (id, store) = (dir.id("roots"), dir.text("store"));
    let start =
        ["--store", &store, "sandbox", "--image", "bb", "--detach", "--name", &id, "--", "sleep", "60"];
    dir.pinfold(&start).ok();
    assert_one_root(dir.pinfold(&["exec", &id, "sh", "-c", ROOTS]).ok());
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

#[test]
fn an_image_that_names_no_user_is_not_root() {
    let dir = Dir::new();
    brought_in(&dir, json!({}));
    let (ran, _) = sandbox(&dir, &["--image", "bb", "--", "id", "-u"]);
    assert_eq!(ran.ok(), "1000\n");
    let (ran, report) = sandbox(&dir, &["--image", "bb"]);
    assert!(ran.code() == 125 && ran.err.contains("names no command"), "{ran:?} {report}");
}

#[test]
fn the_root_is_read_only_and_the_store_stays_as_it_is() {
    let dir = Dir::new();
    brought_in(&dir, json!({}));
    let before = listing(&dir);
    let script = "touch /x; mkdir /data/y; chmod 777 /etc; echo x >/etc/passwd; rm -f /bin/ls; exit 0";
    let (ran, report) = sandbox(&dir, &["--image", "bb", "-u", "0", "--", "sh", "-c", script]);
    assert_eq!(
        ran.err.lines().filter(|line| line.contains("Read-only") || line.contains("denied")).count(),
        5,
        "{ran:?}"
    );
    assert_eq!(report["controls"]["readonly_root"], true);
    let script = "touch /x && mkdir /data/y && rm /bin/ls && echo x >/etc/passwd && cat /etc/passwd";
    let (ran, report) =
        sandbox(&dir, &["--image", "bb", "-u", "0", "--read-only=false", "--", "sh", "-c", script]);
    assert_eq!(ran.ok(), "x\n", "{ran:?}");
    assert_eq!(report["controls"]["readonly_root"], false);
    assert_eq!(listing(&dir), before);
    // What was written is gone.
    let (ran, _) = sandbox(&dir, &["--image", "bb", "--", "ls", "/bin/ls"]);
    assert_eq!(ran.ok(), "/bin/ls\n");
    dir.assert_nothing_left();
}

/// Every name of the unpacked layers with what is known of it.
fn listing(dir: &Dir) -> Vec<String> {
    let mut waiting = vec![dir.join("store/layers")];
    let mut found = vec![];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let (mode, size, mtime, uid) = (stat.mode(), stat.len(), stat.mtime(), stat.uid());
            found.push(format!("{} {mode:o} {size} {mtime} {uid}", path.display()));
            if stat.is_dir() {
                waiting.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_written_has_a_bound() {
    let dir = Dir::new();
    brought_in(&dir, json!({}));
    let write = |size: &str| {
        let script = "dd if=/dev/zero of=/big bs=1M count=8 2>/dev/null";
        let options = [
            "--image",
            "bb",
            "-u",
            "0",
            "--read-only=false",
            "--storage-opt",
            size,
            "--",
            "sh",
            "-c",
            script,
        ];
        sandbox(&dir, &options).0.code()
    };
    assert_eq!((write("size=4m"), write("size=32m")), (1, 0));
    let (ran, _) = sandbox(&dir, &["--image", "bb", "-u", "0", "--", "sh", "-c", "echo x >/data/x"]);
    assert_ne!(ran.code(), 0);
    let refused = dir.pinfold(&["sandbox", "--read-only=false", "--", "true"]);
    assert!(refused.code() == 125 && refused.err.contains("needs --image"), "{refused:?}");
}

#[test]
fn a_layer_hides_what_it_takes_away() {
    let dir = Dir::new();
    let one = busybox()
        .dir("old/")
        .file("old/a", "1")
        .dir("gone/")
        .file("gone/a", "1")
        .file("data/kept", "1")
        .end();
    let two =
        Tar::new().file(".wh.gone", "").dir("old/").file("old/.wh..wh..opq", "").file("old/b", "2").end();
    let three = Tar::new().dir("data/").file("data/kept", "3").end();
    let (layout, _) = Layout::image(dir.join("layout"), &[one, two, three], json!({}));
    let source = layout.source();
    let (ran, _) = sandbox(&dir, &["--image", &source, "--", "sh", "-c", "ls / /old; cat /data/kept"]);
    let out = ran.ok();
    assert!(out.ends_with("/old:\nb\n3") && !out.contains("gone"), "{out}");
}

#[test]
fn many_layers_are_stacked() {
    let dir = Dir::new();
    let mut layers = vec![busybox().end()];
    for number in 0..40 {
        layers.push(Tar::new().dir("data/").file(&format!("data/{number}"), "x").end());
    }
    let (layout, _) = Layout::image(dir.join("layout"), &layers, json!({}));
    image(&dir, &["import", &layout.source(), "--name", "tall"]).ok();
    let (ran, _) = sandbox(&dir, &["--image", "tall", "--", "sh", "-c", "ls /data | busybox wc -l"]);
    assert!(ran.out.contains("40"), "{ran:?}");
}

#[test]
fn files_of_the_image_that_are_read_can_do_no_harm() {
    let dir = Dir::new();
    let rows = [
        ("a fifo", Tar::new().dir("etc/").fifo("etc/passwd").end(), "regular file"),
        ("an endless link", Tar::new().dir("etc/").link("etc/passwd", "passwd").end(), "too many links"),
        (
            "a large file",
            Tar::new().dir("etc/").file("etc/passwd", &"x".repeat(2 << 20)).end(),
            "larger than",
        ),
        (
            "a directory",
            Tar::new().dir("etc/").file("etc/.wh.passwd", "").dir("etc/group/").end(),
            "regular file",
        ),
    ];
    for (number, (what, upper, words)) in rows.into_iter().enumerate() {
        let (layout, _) =
            Layout::image(dir.join(&format!("l{number}")), &[busybox().end(), upper], json!({}));
        let (ran, _) = sandbox(&dir, &["--image", &layout.source(), "--", "true"]);
        assert!(ran.code() == 121 && ran.err.contains(words), "{what}: {ran:?}");
    }
    // A link is followed inside the image, across its layers, and never to the host's file.
    let upper = Tar::new().dir("etc/").link("etc/passwd", "../../../../other/passwd").dir("other/").end();
    let top = Tar::new().dir("other/").file("other/passwd", "inside:x:77:77::/:/bin/sh\n").end();
    let (layout, _) =
        Layout::image(dir.join("linked"), &[busybox().end(), upper, top], json!({"User": "inside"}));
    let (ran, _) = sandbox(&dir, &["--image", &layout.source(), "--", "id", "-u"]);
    assert_eq!(ran.ok(), "77\n");
    let upper = Tar::new().dir("etc/").link("etc/passwd", "/nowhere").end();
    let (layout, _) = Layout::image(dir.join("dangling"), &[busybox().end(), upper], json!({"User": "root"}));
    let (ran, _) = sandbox(&dir, &["--image", &layout.source(), "--", "id", "-u"]);
    assert!(ran.code() == 125 && ran.err.contains("no such user"), "{ran:?}");
}

#[test]
fn labels_and_volumes_of_an_image_carry_no_authority() {
    let dir = Dir::new();
    let labels = json!({"io.pinfold.profile": "lenient", "io.pinfold.landlock": "off"});
    brought_in(&dir, json!({"Labels": labels, "Volumes": {"/data": {}, "/vol": {}}}));
    let script = "touch /vol/x && ls /data | busybox wc -l; busybox grep ' /vol ' /proc/self/mountinfo";
    let (ran, report) = sandbox(&dir, &["--image", "bb", "--", "sh", "-c", script]);
    assert!(ran.ok().starts_with("0\n") && ran.out.contains("nosuid,nodev"), "{ran:?}");
    assert_ne!(report["controls"]["landlock_abi"], Value::Null);
    for volume in ["/", "/proc/x", "/dev", "relative", "/a/../.."] {
        let (layout, _) =
            Layout::image(dir.join("odd"), &[busybox().end()], json!({"Volumes": {volume: {}}}));
        let (ran, _) = sandbox(&dir, &["--image", &layout.source(), "--", "true"]);
        assert!(ran.code() == 125 && ran.err.contains("volume"), "{volume}: {ran:?}");
        fs::remove_dir_all(dir.join("odd")).unwrap();
    }
}

/// A set-uid file of an image gives nobody anything, inside or on the host.
#[test]
fn a_set_uid_file_of_an_image_is_worth_nothing() {
    let dir = Dir::new();
    let busybox_bytes = fs::read("/usr/bin/busybox").unwrap();
    let upper = Tar::new().dir("bin/").owned("bin/busybox-su", &busybox_bytes, 0o4755, (0, 0)).end();
    let (layout, _) = Layout::image(dir.join("layout"), &[busybox().end(), upper], json!({}));
    let (ran, _) = sandbox(&dir, &["--image", &layout.source(), "--", "/bin/busybox-su", "id", "-u"]);
    assert_eq!(ran.ok(), "1000\n");
    assert_eq!(fs::metadata(dir.join("store")).unwrap().mode() & 0o077, 0);
}

#[test]
fn a_second_run_is_warm_and_says_the_same() {
    let dir = Dir::new();
    let (layout, digest) = Layout::image(dir.join("layout"), &[busybox().end()], json!({}));
    let source = layout.source();
    let (_, first) = sandbox(&dir, &["--image", &source, "--", "true"]);
    let trees = names(&dir, "layers");
    let (_, second) = sandbox(&dir, &["--image", &source, "--", "true"]);
    assert_eq!((trees.len(), names(&dir, "layers")), (1, trees));
    assert_eq!(first["image"]["digest"], json!(digest));
    assert_eq!(first["plan_digest"], second["plan_digest"]);
    let store = dir.text("store");
    let explained = dir.pinfold(&["--store", &store, "explain", "sandbox", "--image", &source, "--", "true"]);
    assert!(explained.ok().contains(&format!("image {digest} of 1 layers")), "{explained:?}");
}

#[test]
fn layers_in_use_are_not_collected() {
    let dir = Dir::new();
    brought_in(&dir, json!({}));
    let (store, name) = (dir.text("store"), dir.id("held"));
    let args = ["--store", &store, "sandbox", "--image", "bb", "--name", &name, "-d", "--", "sleep", "100"];
    dir.pinfold(&args).ok();
    image(&dir, &["remove", "bb"]).ok();
    image(&dir, &["gc"]).ok();
    assert_eq!(names(&dir, "layers").len(), 2);
    assert_eq!(dir.pinfold(&["exec", &name, "cat", "/etc/group"]).ok().lines().count(), 3);
    dir.pinfold(&["delete", "--force", &name]).ok();
    support::await_that("the lease ends with its sandbox", || {
        image(&dir, &["gc"]).ok();
        names(&dir, "layers").is_empty() && names(&dir, "blobs/sha256").is_empty()
    });
    dir.assert_nothing_left();
}

/// /etc and /var/lib of a mount namespace of its own: nothing is made on the host.
pub const HOST: &str = "
mkdir -p scratch && mount -t tmpfs scratch scratch
for place in etc var/lib; do
    mkdir -p scratch/$place/upper scratch/$place/work
    mount -t overlay -o lowerdir=/$place,upperdir=$PWD/scratch/$place/upper,workdir=$PWD/scratch/$place/work o /$place
done
mkdir -m 755 /etc/pinfold
mkdir -m 700 /var/lib/pinfold
cp policy.toml /etc/pinfold/policy.toml
mount --bind store /var/lib/pinfold
";

#[test]
fn a_policy_lists_the_images_that_may_run() {
    let dir = Dir::new();
    let digest = brought_in(&dir, json!({}));
    let other = format!("sha256:{}", "0".repeat(64));
    let strict = format!("version = 1\nrunning.state_roots = [\"{}\"]\n", dir.state_root().display());
    let rows = [
        (format!("{strict}root.images = [\"{digest}\"]\n"), 0, ""),
        (format!("{strict}root.images = [\"{other}\"]\n"), 120, "root.images"),
        (format!("{strict}root.directories = [\"/srv\"]\n"), 120, "root.directories"),
        (strict.clone(), 120, "root."),
    ];
    for (policy, code, words) in rows {
        dir.write("policy.toml", &policy);
        let launch = |options: &str| {
            let script = format!("{HOST}\nexec $PINFOLD --root $ROOT {options} sandbox --image bb -- true");
            support::in_own_mounts(&dir, &script)
        };
        let ran = launch("");
        assert!(ran.code() == code && ran.err.contains(words), "{policy}: {ran:?}");
        let ran = launch("--store $PWD/store");
        assert!(ran.code() == 120 && ran.err.contains("--store"), "{ran:?}");
    }
}
