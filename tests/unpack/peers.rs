//! Ordinary layers become the same tree as with umoci, podman and GNU tar: content, modes, owners,
//! attributes, times to the nanosecond.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use pinfold::image::unpack::{Compression, Devices, Options, Whiteouts};
use pinfold::sys::xattr::fsetxattr;

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::{Place, Tree};

pub const CASES: &[Case] = &[
    ("the_same_tree_as_umoci_podman_and_tar", the_same_tree_as_umoci_podman_and_tar),
    ("the_same_layers_as_umoci_and_podman", the_same_layers_as_umoci_and_podman),
];

/// umoci (`images`) or podman (`clients`) of Debian sid with sid's libc: `tests/setup.sh peers clients`.
fn tools(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(here, PathBuf::from);
    let tools = target.join("peers").join(name);
    assert!(tools.is_dir(), "no {}: run tests/setup.sh peers clients", tools.display());
    if tools.is_absolute() { tools } else { std::env::current_dir().unwrap().join(tools) }
}

/// What it says.
#[track_caller]
fn run(words: &[&str]) -> String {
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .args(words)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// A script in a tree of tools, with `place` as /mnt.
#[track_caller]
fn inside(name: &str, place: &Path, script: &str) -> String {
    let enter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/unpack/in-tree.sh");
    run(&[enter, tools(name).to_str().unwrap(), place.to_str().unwrap(), script])
}

/// Files of Debian's packages, and one of each kind that they lack.
const MAKE: &str = "
    umask 022
    mkdir -p usr/bin usr/lib var/tmp etc deep/a/b/c
    cp -a TOOLS/usr/bin/. usr/bin/
    cp -a TOOLS/etc/. etc/
    ln -s usr/bin bin
    cp usr/bin/ls usr/bin/suid; chmod 6755 usr/bin/suid; chown 5:6 usr/bin/cat
    chmod 1777 var/tmp; chown 1000:1001 deep/a; chmod 2750 deep/a
    ln usr/bin/ls deep/hard; ln -s /nowhere deep/dangling; chown -h 7:8 deep/dangling
    mkfifo deep/fifo; mknod deep/null c 1 3; mknod deep/loop b 7 0
    printf x >deep/data; touch -d '2001-02-03 04:05:06.123456789' deep/data
    touch -d '1960-01-01 00:00:00.5' deep/a/old; touch -h -d '2020-01-01 01:01:01.1' deep/dangling
    truncate -s 50M deep/sparse; printf end >>deep/sparse
    printf n >\"deep/$(printf 'odd\\001\\377 name')\"
    n=$(printf '%0200d' 1); mkdir deep/$n; printf y >deep/$n/$n
    touch -d '2011-11-11 11:11:11.111111111' deep/a/b deep usr .
";

/// Of a file and a directory; the last one is cap_net_raw+ep (capabilities(7), "File capability extended attribute
/// versioning").
const ATTRIBUTES: [(&str, &str, &[u8]); 3] = [
    ("deep/data", "user.a", b"b\0c"),
    ("deep/a", "user.of a directory", b"x"),
    ("usr/bin/cat", "security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
];

fn options() -> Options {
    Options { devices: Devices::Make, whiteouts: Whiteouts::Apply, ..Options::default() }
}

/// Below a place: an OCI layout of these layers, and the trees that umoci and podman make of it.
fn peers(place: &Path, layers: &[&str]) -> (Tree, Tree) {
    let add = layers.iter().map(|layer| format!("umoci raw add-layer --image /mnt/oci:t /mnt/{layer}; "));
    let script = format!(
        "umoci init --layout /mnt/oci; umoci new --image /mnt/oci:t; {} umoci unpack --image /mnt/oci:t /mnt/umoci",
        add.collect::<String>()
    );
    inside("images", place, &script);
    let mounted = inside("clients", place, "podman image mount $(podman pull -q oci:/mnt/oci:t)");
    let root = mounted.trim().strip_prefix("/mnt/").unwrap();
    (Tree::of(&place.join("umoci/rootfs")), Tree::of(&place.join(root)))
}

/// As podman has it: no time is before the epoch, and these directories have the time at which it wrote.
fn as_podman(tree: &Tree, written: &[&str]) -> Tree {
    let mut tree = tree.clone();
    for name in written {
        let line = tree.0.get_mut(name.as_bytes()).unwrap();
        let time = line.split(' ').nth(3).unwrap().to_owned();
        *line = line.replacen(&time, "-", 1);
    }
    for line in tree.0.values_mut() {
        let words = line.split(' ').map(|word| match word.split_once('.') {
            Some((seconds, _)) if seconds.starts_with('-') && seconds[1..].parse::<u64>().is_ok() => {
                "0.000000000"
            }
            _ => word,
        });
        *line = words.collect::<Vec<_>>().join(" ");
    }
    tree
}

fn the_same_tree_as_umoci_podman_and_tar() {
    // umoci does not know the old form of sparse files, and GNU's tar has no attributes.
    for format in ["posix --sparse --xattrs --xattrs-include=*", "gnu"] {
        let work = Place::new();
        let dir = work.staging();
        let make = MAKE.replace("TOOLS", tools("images").to_str().unwrap());
        run(&["sh", "-euc", &format!("mkdir {0}/src {0}/tar; cd {0}/src\n{make}", dir.display())]);
        for (file, name, value) in ATTRIBUTES {
            let file = fs::File::open(dir.join("src").join(file)).unwrap();
            fsetxattr(file.as_fd(), name.as_bytes(), value).unwrap();
        }
        let options = format.replace('*', "'*'");
        let tar = format!(
            "cd {0}/src; tar --format={options} --numeric-owner -cf {0}/layer . ; \
             tar --numeric-owner --same-owner -p --xattrs --xattrs-include='*' -xf {0}/layer -C {0}/tar",
            dir.display()
        );
        run(&["sh", "-euc", &tar]);
        let blob = fs::read(dir.join("layer")).unwrap();
        let ours = Place::new();
        ours.unpack_as(&blob, Compression::None, &self::options()).unwrap();
        let ours = ours.show();
        assert!(ours.names().len() > 100, "{ours:?}");
        for (file, name, _) in ATTRIBUTES {
            assert_eq!(ours.line(file).contains(name), format != "gnu", "{file}: {}", ours.line(file));
        }
        assert_eq!(ours.differences(&Tree::of(&dir.join("tar"))), Vec::<String>::new(), "tar, {format}");
        // Holes of a sparse file are zeros to the others.
        let (umoci, podman) = peers(&dir, &["layer"]);
        let ours = ours.without_holes();
        assert_eq!(ours.differences(&umoci.without_holes()), Vec::<String>::new(), "umoci, {format}");
        let podman = as_podman(&podman.without_holes(), &[""]);
        assert_eq!(as_podman(&ours, &[""]).differences(&podman), Vec::<String>::new(), "podman, {format}");
    }
}

fn the_same_layers_as_umoci_and_podman() {
    let work = Place::new();
    let ours = Place::new();
    // As the writers of images order them: whiteouts before what they are beside.
    let upper = Tar::new()
        .dir("./")
        .file(".wh.gone", b"")
        .file(".wh.gonedir", b"")
        .dir("a")
        .file("a/.wh.2", b"")
        .raw(Header::new(b'5', b"a/b").mode(0o700).ids(1, 2), b"")
        .file("again/new", b"")
        .dir("opaque")
        .file("opaque/.wh..wh..opq", b"")
        .dir("opaque/below")
        .file("opaque/below/new", b"new")
        .file("opaque/new", b"new")
        .file("turned", b"a file")
        .dir("turns")
        .file("turns/f", b"")
        .end();
    for (name, blob) in [("1", crate::whiteouts::lower()), ("2", upper)] {
        fs::write(work.staging().join(name), &blob).unwrap();
        ours.unpack(&blob, &options()).unwrap();
    }
    let (umoci, podman) = peers(&work.staging(), &["1", "2"]);
    assert_eq!(ours.show().differences(&umoci), Vec::<String>::new());
    // The second layer writes into `again` without an entry for it.
    let ours = as_podman(&ours.show(), &["", "again"]);
    assert_eq!(ours.differences(&as_podman(&podman, &["", "again"])), Vec::<String>::new());
}
