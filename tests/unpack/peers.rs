//! Ordinary layers become the same tree as with umoci and GNU tar: content, modes, owners,
//! attributes, times to the nanosecond.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pinfold::image::unpack::{Compression, Devices, Options, Whiteouts};

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::{Place, Tree};

pub const CASES: &[Case] = &[
    ("the_same_tree_as_umoci_and_tar", the_same_tree_as_umoci_and_tar),
    ("the_same_layers_as_umoci", the_same_layers_as_umoci),
];

/// umoci of Debian sid with sid's libc: `tests/setup.sh peers`.
fn tools() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(here, PathBuf::from);
    let tools = target.join("peers/images");
    assert!(tools.is_dir(), "run tests/setup.sh peers");
    if tools.is_absolute() { tools } else { std::env::current_dir().unwrap().join(tools) }
}

#[track_caller]
fn sh(script: &str) {
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-euc", script])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{script}\n{}", String::from_utf8_lossy(&ran.stderr));
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

fn options() -> Options {
    Options { devices: Devices::Make, whiteouts: Whiteouts::Apply, ..Options::default() }
}

/// An OCI layout of these layers, unpacked by umoci below DIR/umoci/rootfs.
fn umoci(place: &Path, layers: &[&str]) -> Tree {
    let add = layers.iter().map(|layer| format!("umoci raw add-layer --image /mnt/oci:t /mnt/{layer}; "));
    let inside = format!(
        "umoci init --layout /mnt/oci; umoci new --image /mnt/oci:t; {} umoci unpack --image /mnt/oci:t /mnt/umoci",
        add.collect::<String>()
    );
    sh(&format!(
        "mount --bind {0} {1}/mnt && mount -t proc proc {1}/proc && exec chroot {1} sh -euc '{inside}'",
        place.display(),
        tools().display()
    ));
    Tree::of(&place.join("umoci/rootfs"))
}

fn the_same_tree_as_umoci_and_tar() {
    // umoci does not know the old form of sparse files.
    for format in ["posix --sparse", "gnu"] {
        let work = Place::new();
        let dir = work.staging();
        let make = MAKE.replace("TOOLS", tools().to_str().unwrap());
        sh(&format!(
            "mkdir {0}/src {0}/tar; cd {0}/src\n{make}\ntar --format={format} --numeric-owner -cf {0}/layer . ; \
             tar --numeric-owner --same-owner -p -xf {0}/layer -C {0}/tar",
            dir.display()
        ));
        let blob = fs::read(dir.join("layer")).unwrap();
        let ours = Place::new();
        ours.unpack_as(&blob, Compression::None, &options()).unwrap();
        let ours = ours.show();
        assert!(ours.names().len() > 100, "{ours:?}");
        assert_eq!(ours.differences(&Tree::of(&dir.join("tar"))), Vec::<String>::new(), "tar, {format}");
        // umoci writes the holes of a sparse file as zeros.
        let (ours, theirs) = (ours.without_holes(), umoci(&dir, &["layer"]).without_holes());
        assert_eq!(ours.differences(&theirs), Vec::<String>::new(), "umoci, {format}");
    }
}

fn the_same_layers_as_umoci() {
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
    assert_eq!(ours.show().differences(&umoci(&work.staging(), &["1", "2"])), Vec::<String>::new());
}
