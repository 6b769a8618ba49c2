//! What a well-meant layer becomes.

use std::process::{Child, Command};

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use pinfold::image::unpack::Options;

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::Place;

pub const CASES: &[Case] = &[
    ("every_kind_of_entry", every_kind_of_entry),
    ("mounts_elsewhere_do_not_matter", mounts_elsewhere_do_not_matter),
];

fn every_kind_of_entry() {
    let place = Place::new();
    let tar = Tar::new()
        .dir("./")
        .dir("bin")
        .file("bin/tool", b"content")
        .raw(Header::new(b'0', b"bin/su").mode(0o4755).ids(5, 6).size(1), b"s")
        .symlink("sbin", "bin")
        .file("sbin/other", b"through the link")
        .link("same", "bin/tool")
        .raw(&Header::new(b'6', b"pipe"), b"")
        .end();
    let tree = place.tree(&tar, &Options::default());
    let time = "1000000000.000000000";
    tree.assert_line("", &format!("directory 0755 0:0 {time}"));
    tree.assert_line("bin/su", "file 1 043a718774c572bd 4755 5:6");
    tree.assert_line("bin/other", "file 16");
    tree.assert_line("sbin", "link to \"bin\"");
    assert!(tree.line("same").ends_with("same as \"bin/tool\""));
    place.assert_untouched();
    // Once more, over what stands there: the same tree.
    let again = place.tree(&tar, &Options::default());
    assert_eq!(tree.differences(&again), Vec::<String>::new());
}

/// One that mounts all the time, in a mount namespace of its own.
struct Mounting(Child);

impl Drop for Mounting {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What [`Mounting`] does, until it is killed.
pub fn mount_for_ever(place: &str) -> ! {
    pinfold::sys::prctl::set_pdeathsig(libc::SIGKILL).unwrap();
    let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, private, none).unwrap();
    loop {
        mount(none, place, Some("tmpfs"), MsFlags::empty(), none).unwrap();
        umount(place).unwrap();
    }
}

/// The kernel gives up a walk through links, or by `..`, when anybody mounts anything meanwhile.
fn mounts_elsewhere_do_not_matter() {
    let place = Place::new();
    let mut tar = Tar::new().dir("a").symlink("l0", "a").dir("b").symlink("b/up", "../a");
    for number in 1..30 {
        tar = tar.symlink(&format!("l{number}"), &format!("l{}", number - 1));
    }
    for number in 0..5000 {
        tar = tar.file(&format!("l29/{number}/f"), b"").file(&format!("b/up/{number}u/f"), b"");
    }
    let program = std::env::current_exe().unwrap();
    let _mounting = Mounting(Command::new(program).args(["--mounts", &place.outside()]).spawn().unwrap());
    let unpacked = place.unpack(&tar.end(), &Options::default()).unwrap();
    assert_eq!(unpacked.entries, 10_033);
}
