//! A caller without privilege, by a real user id: with ids of its own, and with one id alone.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::process::Command;

use pinfold::image::unpack::{self, Compression, IdMap, Options, Owners, Whiteouts};

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::{Place, Tree};

pub const CASES: &[Case] =
    &[("a_user_with_ids_of_its_own", a_user_with_ids_of_its_own), ("a_user_with_one_id", a_user_with_one_id)];

/// An account that every Debian has: newuidmap(1) wants a name.
const UID: u32 = 33;
const FIRST: u32 = 700_000;

fn layer() -> Vec<u8> {
    Tar::new()
        .raw(Header::new(b'5', b"d").mode(0o700).ids(1000, 1000), b"")
        .raw(Header::new(b'0', b"d/suid").mode(0o4711).ids(1000, 1001).size(1), b"x")
        .raw(Header::new(b'2', b"link").ids(65534, 65534).target(b"d"), b"")
        .file(".wh.gone", b"")
        .dir("opaque")
        .file("opaque/.wh..wh..opq", b"")
        .end()
}

/// Runs this program as the user, in a place of its own, with entries in /etc/subuid that only
/// its mount namespace sees.
fn as_user(place: &Place, kind: &str) -> String {
    let (top, tree) = (place.staging(), place.staging().join("tree"));
    fs::create_dir(&tree).unwrap();
    chown(&tree, Some(UID), Some(UID)).unwrap();
    fs::write(top.join("layer"), layer()).unwrap();
    fs::write(top.join("sub"), format!("www-data:{FIRST}:65536\n")).unwrap();
    let script = format!(
        "cp {1} {0}/program && mount --bind {0}/sub /etc/subuid && mount --bind {0}/sub /etc/subgid && \
         exec setpriv --reuid {UID} --regid {UID} --clear-groups {0}/program --as-user {0} {kind}",
        top.display(),
        std::env::current_exe().unwrap().display()
    );
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-euc", &script])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// What the copy of this program does.
pub fn play(top: &str, kind: &str) {
    let tree = fs::File::open(format!("{top}/tree")).unwrap();
    let maps =
        vec![IdMap { inside: 0, outside: UID, count: 1 }, IdMap { inside: 1, outside: FIRST, count: 65536 }];
    let owners = match kind {
        "map" | "keep-map" => Owners::Map { uids: maps.clone(), gids: maps },
        _ => Owners::Caller,
    };
    let whiteouts = Whiteouts::Overlay { userxattr: true };
    let options = Options { owners: owners.clone(), whiteouts, ..Options::default() };
    let blob = fs::read(format!("{top}/layer")).unwrap();
    let unpacked = unpack::layer(blob.as_slice(), Compression::None, tree.as_fd(), &options).unwrap();
    assert_eq!(unpacked.entries, 6);
    println!("unpacked");
    if kind.starts_with("keep") {
        return;
    }
    // A layer that is refused leaves nothing, though much of it is not the user's.
    let bad = [Tar::new().bytes(&layer()[..3072]).cut(), Tar::new().file("../x", b"").end()].concat();
    let held =
        unpack::layer(bad.as_slice(), Compression::None, tree.as_fd(), &options).unwrap_err().to_string();
    assert!(held.contains("`..`"), "{held}");
    let left = fs::read_dir(format!("{top}/tree")).unwrap().count();
    println!("left {left}");
}

fn a_user_with_ids_of_its_own() {
    let place = Place::new();
    assert_eq!(as_user(&place, "map"), "unpacked\nleft 0\n");
    assert_eq!(Tree::of(&place.staging().join("tree")).names(), [""]);
    let place = Place::new();
    let tree = kept(&place, "map");
    let (user, group) = (FIRST + 999, FIRST + 1000);
    tree.assert_line("d", &format!("directory 0700 {user}:{user}"));
    assert!(tree.line("d/suid").contains(&format!(" 4711 {user}:{group} ")), "{tree:#?}");
    assert!(tree.line("link").contains(&format!(" {0}:{0} ", FIRST + 65533)), "{tree:#?}");
    tree.assert_line("gone", &format!("character 0x0 0000 {UID}:{UID}"));
    assert!(tree.line("opaque").contains("user.overlay.opaque=y"), "{tree:#?}");
}

fn a_user_with_one_id() {
    let place = Place::new();
    assert_eq!(as_user(&place, "caller"), "unpacked\nleft 0\n");
    let place = Place::new();
    let tree = kept(&place, "caller");
    for name in tree.names() {
        assert!(tree.line(&name).contains(&format!(" {UID}:{UID} ")), "{name}: {tree:#?}");
    }
}

/// The tree that stays.
fn kept(place: &Place, kind: &str) -> Tree {
    let kind = if kind == "map" { "keep-map" } else { "keep-caller" };
    assert_eq!(as_user(place, kind), "unpacked\n");
    Tree::of(&place.staging().join("tree"))
}
