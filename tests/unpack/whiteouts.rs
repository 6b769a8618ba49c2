//! Whiteouts: what a layer takes away, in a tree for overlayfs and applied to the tree below.
//! The kernel's own overlayfs says whether both come to the same.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::process::Command;

use pinfold::image::unpack::{self, Compression, Options, Whiteouts};

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::{Place, Tree, apply};

pub const CASES: &[Case] = &[
    ("whiteouts_of_nothing", whiteouts_of_nothing),
    ("whiteouts_for_overlayfs", whiteouts_for_overlayfs),
    ("overlayfs_and_applying_agree", overlayfs_and_applying_agree),
    ("a_whiteout_follows_no_link", a_whiteout_follows_no_link),
    ("opaque_directories_cost_linear_time", opaque_directories_cost_linear_time),
];

fn whiteouts_of_nothing() {
    let place = Place::new();
    for options in [Options::default(), apply()] {
        for name in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."] {
            place.refused(&Tar::new().file(name, b"").end(), &options, "whiteout of nothing");
        }
        place.refused(&Tar::new().file("d/.wh.x/f", b"").end(), &options, "is a whiteout");
        place.refused(&Tar::new().file("../.wh.outside", b"").end(), &options, "`..`");
        place.refused(&Tar::new().file(".wh.../outside", b"").end(), &options, "is a whiteout");
        // AUFS's own.
        let tar = Tar::new().file(".wh..wh.plnk/1.2", b"").file(".wh..wh.aufs", b"").dir("./").end();
        assert_eq!(place.tree(&tar, &options).names(), [""]);
    }
}

fn whiteouts_for_overlayfs() {
    let tar = Tar::new()
        .dir("d")
        .file("d/.wh..wh..opq", b"")
        .file("d/kept", b"1")
        .file(".wh.gone", b"")
        .file(".wh.back", b"")
        .dir("back")
        .file("deep/.wh.gone", b"")
        .file(".wh.implied", b"")
        .file("implied/f", b"1")
        .file("stays", b"of this layer")
        .file(".wh.stays", b"")
        .dir("full")
        .file("full/f", b"1")
        .file(".wh.full", b"")
        .end();
    for (userxattr, opaque) in [(false, "trusted.overlay.opaque=y"), (true, "user.overlay.opaque=y")] {
        let place = Place::new();
        let options = Options { whiteouts: Whiteouts::Overlay { userxattr }, ..Options::default() };
        let tree = place.tree(&tar, &options);
        for name in ["d", "back", "implied", "full"] {
            assert!(tree.line(name).contains(opaque), "{name}: {tree:#?}");
        }
        for name in ["gone", "deep/gone"] {
            tree.assert_line(name, "character 0x0 0000 0:0");
        }
        tree.assert_line("stays", "file 13");
        assert!(!tree.line("deep").contains(opaque) && !tree.line("").contains(opaque), "{tree:#?}");
        assert!(!tree.names().iter().any(|name| name.contains(".wh.")), "{tree:#?}");
    }
    let place = Place::new();
    let unpacked = place.unpack(&tar, &Options::default()).unwrap();
    let implied = unpacked.implied.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(implied, ["", "deep", "implied"]);
}

/// A layer.
pub fn lower() -> Vec<u8> {
    Tar::new()
        .dir("./")
        .dir("a")
        .dir("a/b")
        .file("a/b/1", b"1")
        .file("a/2", b"2")
        .dir("opaque")
        .file("opaque/old", b"old")
        .dir("opaque/below")
        .file("opaque/below/old", b"old")
        .file("gone", b"")
        .dir("gonedir")
        .file("gonedir/f", b"")
        .file("turns", b"a file")
        .dir("turned")
        .file("turned/old", b"")
        .dir("again")
        .file("again/old", b"")
        .end()
}

/// One that changes it.
pub fn upper() -> Vec<u8> {
    Tar::new()
        .dir("./")
        .dir("a")
        .file("a/.wh.2", b"")
        .raw(Header::new(b'5', b"a/b").mode(0o700).ids(1, 2), b"")
        .dir("opaque")
        .dir("opaque/below")
        .file("opaque/below/new", b"new")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/new", b"new")
        .file(".wh.gone", b"")
        .file(".wh.gonedir", b"")
        .dir("turns")
        .file("turns/f", b"")
        .file("turned", b"a file")
        .dir("again")
        .file("again/new", b"")
        .file(".wh.again", b"")
        .file(".wh.never", b"")
        .end()
}

/// Layers that are applied one after the other, and stacked by the kernel.
fn overlayfs_and_applying_agree() {
    let (lower, upper) = (lower(), upper());
    let applied = Place::new();
    applied.unpack(&lower, &apply()).unwrap();
    let applied = applied.tree(&upper, &apply());
    for userxattr in [false, true] {
        let place = Place::new();
        let options = Options { whiteouts: Whiteouts::Overlay { userxattr }, ..Options::default() };
        for (name, tar) in [("1", &lower), ("2", &upper)] {
            let directory = place.staging().join(name);
            fs::create_dir(&directory).unwrap();
            let directory = File::open(directory).unwrap();
            unpack::layer(tar.as_slice(), Compression::None, directory.as_fd(), &options).unwrap();
        }
        let (staging, own) = (place.staging(), std::env::current_exe().unwrap());
        let extra = if userxattr { ",userxattr" } else { "" };
        let script = format!(
            "mkdir {0}/mnt && mount -t overlay overlay -o ro,lowerdir={0}/2:{0}/1{extra} {0}/mnt && exec {1} --show {0}/mnt",
            staging.display(),
            own.display()
        );
        let shown = Command::new("unshare").args(["--mount", "sh", "-euc", &script]).output().unwrap();
        assert!(shown.status.success(), "{shown:?}");
        // Overlayfs shows its own attributes to nobody under trusted; the user's are the test's to leave out.
        let stacked = String::from_utf8(shown.stdout).unwrap().replace(" user.overlay.opaque=y", "");
        assert_eq!(stacked, applied.lines());
    }
}

fn a_whiteout_follows_no_link() {
    // Of the link itself, and of what is behind one that stays in the root.
    let place = Place::new();
    let lower = Tar::new()
        .dir("real")
        .file("real/f", b"")
        .symlink("link", "real")
        .symlink("out", &place.outside())
        .end();
    place.unpack(&lower, &apply()).unwrap();
    let tree = place.tree(&Tar::new().file(".wh.link", b"").file("out/.wh.canary", b"").end(), &apply());
    assert_eq!(tree.names(), ["", "out", "real", "real/f"]);
    place.assert_untouched();
    let tree = place.tree(&Tar::new().file("out/.wh..wh..opq", b"").file(".wh.out", b"").end(), &apply());
    assert_eq!(tree.names(), ["", "real", "real/f"]);
    place.assert_untouched();
    // In one layer: the link is of this layer and stays, its target is not touched.
    let tar = Tar::new().symlink("out", &place.outside()).file(".wh.out", b"").end();
    let tree = place.tree(&tar, &apply());
    tree.assert_line("out", "link");
    place.assert_untouched();
}

fn opaque_directories_cost_linear_time() {
    let mut lower = Tar::new().dir("d");
    for number in 0..2000 {
        lower = lower.dir(&format!("d/{number}")).file(&format!("d/{number}/f"), b"");
    }
    let mut upper = Tar::new();
    for number in 0..2000 {
        upper = upper
            .dir(&format!("d/{number}"))
            .file("d/.wh..wh..opq", b"")
            .file(&format!("d/.wh.{number}"), b"");
    }
    let place = Place::new();
    place.unpack(&lower.end(), &apply()).unwrap();
    let start = std::time::Instant::now();
    let mut options = apply();
    options.limits.seconds = 20;
    let tree = place.tree(&upper.end(), &options);
    // 2000 directories, none with a file. Looking through all each time would be 4,000,000 names.
    assert_eq!(tree.names().len(), 2002, "{:?}", start.elapsed());
    assert_eq!(Tree::of(&place.staging()), tree);
}
