//! What a well-meant layer becomes.

use pinfold::image::unpack::Options;

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::Place;

pub const CASES: &[Case] = &[("every_kind_of_entry", every_kind_of_entry)];

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
