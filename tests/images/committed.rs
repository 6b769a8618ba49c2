//! `image commit`, and attributes that go into a layer and come out of it.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use pinfold::sys::xattr::{fgetxattr, fsetxattr};
use serde_json::{Value, json};

use super::layout::{Layout, Tar, busybox};
use super::support::{self, Dir};
use super::{image, image_command, sandbox};

fn set(path: &Path, name: &str, value: &[u8]) {
    fsetxattr(fs::File::open(path).unwrap().as_fd(), name.as_bytes(), value).unwrap();
}

fn value(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    let length = fgetxattr(fs::File::open(path).unwrap().as_fd(), name.as_bytes(), &mut value).ok()?;
    Some(value[..length].to_vec())
}

/// The tree of the image's topmost layer.
fn top(dir: &Dir, name: &str) -> std::path::PathBuf {
    let inspected: Value = serde_json::from_str(image(dir, &["inspect", name]).ok()).unwrap();
    let chain =
        inspected["layers"].as_array().unwrap().last().unwrap()["chain_id"].as_str().unwrap().to_owned();
    dir.join("store/layers").join(chain.trim_start_matches("sha256:")).join("tree")
}

/// $1: what the mount has besides; the merged tree is listed as it then is.
const CHANGE: &str = r#"
mkdir -p mnt lower upper work merged; mount -t tmpfs tmpfs mnt; mkdir mnt/upper mnt/work
tar -C lower -xpf base.tar
mount -t overlay -o "lowerdir=lower,upperdir=mnt/upper,workdir=mnt/work$OPTIONS" overlay merged
cd merged
rm gone; rm -r old; mkdir -m 750 old; echo new >old/new; chmod 4711 kept/tool; echo more >>kept/text
mkdir -p fresh/deep; echo x >fresh/deep/x; ln fresh/deep/x fresh/link; ln -s /nowhere fresh/symlink; chown 12:34 fresh/deep
mkfifo fresh/fifo; rm -r whole; echo file >whole; cp -a /dev/null fresh/device
find . ! -name device -printf '%p %M %U %G %l\n' | sort >../expected; find . -type f -printf '%p %n\n' | sort >>../expected; find . -type f -exec sha256sum {} + | sort >>../expected
cd ..; umount merged
SOURCE_DATE_EPOCH=1700000000 $PINFOLD --store $PWD/store image commit base mnt/upper --name changed >digest
SOURCE_DATE_EPOCH=1700000000 $PINFOLD --store $PWD/store image commit base mnt/upper --name again >again
"#;

#[test]
fn what_was_changed_becomes_a_layer() {
    for options in ["", ",userxattr"] {
        let dir = Dir::new();
        let base = busybox()
            .file("gone", "x")
            .dir("old/")
            .file("old/below", "x")
            .dir("kept/")
            .owned("kept/tool", b"x", 0o755, (0, 0))
            .file("kept/text", "x")
            .dir("whole/")
            .file("whole/below", "x")
            .end();
        fs::write(dir.join("base.tar"), &base).unwrap();
        let config = json!({"Cmd": ["sh"], "Healthcheck": {"Test": ["NONE"]}});
        let (layout, _) = Layout::image(dir.join("layout"), &[base], config);
        image(&dir, &["import", &layout.source(), "--name", "base"]).ok();
        let ran = support::in_own_mounts(&dir, &format!("export OPTIONS={options}\n{CHANGE}"));
        assert!(ran.code() == 0 && ran.err.contains("1 devices and sockets"), "{options}: {ran:?}");
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("digest"), read("again"), "the same files, the same digest");
        // All layers in one tree are what the mount showed.
        let bundle = dir.text("bundle");
        image(&dir, &["bundle", "changed", &bundle]).ok();
        let list = "cd $1; find . -printf '%p %M %U %G %l\n' | sort; find . -type f -printf '%p %n\n' | sort; find . -type f -exec sha256sum {} + | sort";
        let shown = support::run(Command::new("sh").args(["-euc", list, "sh", &format!("{bundle}/rootfs")]));
        assert_eq!(shown.ok(), read("expected"), "{options}");
        let (ran, _) = sandbox(
            &dir,
            &["--image", "changed", "-u", "0", "--", "sh", "-c", "ls /old; cat /whole /kept/text; ls /gone"],
        );
        assert!(ran.out == "new\nfile\nxmore\n" && ran.err.contains("gone"), "{options}: {ran:?}");
        // Nothing of the configuration is lost, and what was not known is still there.
        let inspected: Value = serde_json::from_str(image(&dir, &["inspect", "changed"]).ok()).unwrap();
        let config = inspected["config_digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let config: Value =
            serde_json::from_slice(&fs::read(dir.join("store/blobs/sha256").join(config)).unwrap()).unwrap();
        assert_eq!(config["config"]["Healthcheck"]["Test"], json!(["NONE"]));
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert_eq!(config["history"][0]["created"], "2023-11-14T22:13:20Z");
    }
}

/// What a stranger puts into an upper directory.
type Make = fn(&Path);

#[test]
fn an_upper_directory_of_a_stranger_does_no_harm() {
    let rows: [(&str, Make, &str); 5] = [
        (
            "a whiteout of its own",
            |upper| fs::write(upper.join(".wh.etc"), "").unwrap(),
            "takes another away",
        ),
        (
            "a whiteout below",
            |upper| {
                fs::create_dir(upper.join("d")).unwrap();
                fs::write(upper.join("d/.wh..wh..opq"), "").unwrap();
            },
            "takes another away",
        ),
        (
            "content elsewhere",
            |upper| {
                fs::write(upper.join("f"), "").unwrap();
                set(&upper.join("f"), "trusted.overlay.metacopy", b"");
            },
            "another layer",
        ),
        (
            "a directory from elsewhere",
            |upper| {
                fs::create_dir(upper.join("d")).unwrap();
                set(&upper.join("d"), "user.overlay.redirect", b"/etc");
            },
            "another layer",
        ),
        (
            "a name of an attribute",
            |upper| {
                fs::write(upper.join("f"), "").unwrap();
                set(&upper.join("f"), "user.a=b", b"c");
            },
            "no layer can say",
        ),
    ];
    for (what, make, words) in rows {
        let dir = Dir::new();
        let (layout, _) = Layout::image(dir.join("layout"), &[busybox().end()], json!({}));
        image(&dir, &["import", &layout.source(), "--name", "base"]).ok();
        let upper = dir.mkdir("upper");
        make(&upper);
        let ran = image(&dir, &["commit", "base", &dir.text("upper"), "--name", "evil"]);
        assert!(ran.code() == 1 && ran.err.contains(words), "{what}: {ran:?}");
        let list: Value = serde_json::from_str(image(&dir, &["list", "--format", "json"]).ok()).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1, "{what}");
        assert_eq!(super::names(&dir, "tmp"), [""; 0], "{what}");
    }
    // A link leads nowhere, and a directory that is one is no upper directory.
    let dir = Dir::new();
    let (layout, _) = Layout::image(dir.join("layout"), &[busybox().end()], json!({}));
    image(&dir, &["import", &layout.source(), "--name", "base"]).ok();
    let secret = dir.write("secret", "secret");
    let upper = dir.mkdir("upper");
    symlink(&secret, upper.join("link")).unwrap();
    image(&dir, &["commit", "base", &dir.text("upper"), "--name", "linked"]).ok();
    assert!(fs::symlink_metadata(top(&dir, "linked").join("link")).unwrap().is_symlink());
    let digest = format!("x@sha256:{}", "0".repeat(64));
    let refused = image(&dir, &["commit", "base", &dir.text("upper"), "--name", &digest]);
    assert!(refused.code() == 1 && refused.err.contains("no digest"), "{refused:?}");
}

#[test]
fn attributes_go_into_a_layer_and_come_out_of_it() {
    let dir = Dir::new();
    let root = dir.mkdir("root");
    fs::write(root.join("f"), "x").unwrap();
    fs::create_dir(root.join("d")).unwrap();
    let capability = [1_u8, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set(&root.join("f"), "security.capability", &capability);
    set(&root.join("f"), "user.note", b"a\nb\0c=d");
    set(&root.join("d"), "user.place", b"x");
    set(&root.join("f"), "trusted.machine", b"x");
    for number in 0..2 {
        let mut command =
            image_command(&dir, &["import", &format!("dir:{}", root.display()), "--name", "packed"]);
        support::run(command.env("SOURCE_DATE_EPOCH", "1")).ok();
        assert_eq!(super::names(&dir, "layers").len(), 1, "{number}: the same digest");
    }
    let tree = top(&dir, "packed");
    assert_eq!(value(&tree.join("f"), "security.capability").as_deref(), Some(capability.as_slice()));
    assert_eq!(value(&tree.join("f"), "user.note").as_deref(), Some(b"a\nb\0c=d".as_slice()));
    assert_eq!(value(&tree.join("d"), "user.place").as_deref(), Some(b"x".as_slice()));
    assert_eq!(value(&tree.join("f"), "trusted.machine"), None);
    fs::write(root.join(".wh.f"), "").unwrap();
    let refused = image(&dir, &["import", &format!("dir:{}", root.display())]);
    assert!(refused.code() == 1 && refused.err.contains("takes another away"), "{refused:?}");
}

/// What a layer only implies is the directory of the layer below: all that is known of it.
#[test]
fn an_implied_directory_has_what_the_one_below_has() {
    let dir = Dir::new();
    let xattrs = [(b"user.place".to_vec(), b"below".to_vec())];
    let below = pinfold::image::pack::Entry {
        name: b"data/",
        kind: pinfold::image::pack::Kind::Directory,
        mode: 0o1710,
        uid: 12,
        gid: 34,
        mtime: 1_000_000_000,
        xattrs: &xattrs,
    };
    let one = Tar::new().dir_of("./", 0o711).raw(&below).dir("data/deep/").end();
    let two = Tar::new().file("data/deep/new", "x").end();
    let three = Tar::new().file("data/other/new", "x").end();
    let (layout, _) = Layout::image(dir.join("layout"), &[one, two, three], json!({}));
    image(&dir, &["import", &layout.source(), "--name", "implied"]).ok();
    let tree = top(&dir, "implied");
    let of = |path: &Path| {
        let stat = fs::metadata(path).unwrap();
        (stat.mode() & 0o7777, stat.uid(), stat.gid(), stat.mtime())
    };
    assert_eq!(of(&tree.join("data")), (0o1710, 12, 34, 1_000_000_000));
    assert_eq!(value(&tree.join("data"), "user.place").as_deref(), Some(b"below".as_slice()));
    assert_eq!((of(&tree).0, of(&tree.join("data/other")).0), (0o711, 0o755));
    assert!(!fs::metadata(tree.join("data/other/new")).unwrap().file_type().is_fifo());
}
