//! Layers that mean harm. Each ends in a tree below the staging directory or in an error that
//! names the entry; the canary outside stays as it is, and an error leaves nothing.

use pinfold::image::unpack::{Devices, Limits, Options, Owners, Treatment};

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::{Place, apply};

pub const CASES: &[Case] = &[
    ("names_that_climb", names_that_climb),
    ("links_that_lead_out", links_that_lead_out),
    ("hard_links_that_lead_out", hard_links_that_lead_out),
    ("a_directory_becomes_a_link", a_directory_becomes_a_link),
    ("the_root_stays_a_directory", the_root_stays_a_directory),
    ("conflicting_entries", conflicting_entries),
    ("devices", devices),
    ("set_id_and_file_capabilities", set_id_and_file_capabilities),
    ("attributes_that_speak_to_the_host", attributes_that_speak_to_the_host),
    ("ids_that_are_none", ids_that_are_none),
    ("headers_that_lie", headers_that_lie),
    ("names_that_are_odd", names_that_are_odd),
    ("sparse_maps_that_lie", sparse_maps_that_lie),
    ("ends_that_are_none", ends_that_are_none),
    ("links_in_a_circle", links_in_a_circle),
    ("a_deep_tree_is_removed", a_deep_tree_is_removed),
];

fn options() -> Options {
    Options::default()
}

fn names_that_climb() {
    let place = Place::new();
    for name in ["../outside/canary", "a/../../outside/canary", "..", "./..", "/../outside/canary", "a/.."] {
        place.refused(&Tar::new().file(name, b"x").end(), &options(), "component `..`");
        place.refused(
            &Tar::new().pax(&[("path", name.as_bytes())]).file("a", b"x").end(),
            &options(),
            "`..`",
        );
        place.refused(&Tar::new().extended(b'L', name.as_bytes()).file("a", b"x").end(), &options(), "`..`");
        place.refused(&Tar::new().link("a", name).end(), &options(), "`..`");
    }
    // An absolute name is below the root.
    let tree = place.tree(&Tar::new().file(&place.canary(), b"x").end(), &options());
    tree.assert_line(place.canary().trim_start_matches('/'), "file 1");
    place.assert_untouched();
}

fn links_that_lead_out() {
    for target in ["OUT", "../outside", "../../../../../../../../../OUT", "/proc/self/root/OUT"] {
        let place = Place::new();
        let target = target.replace("OUT", place.outside().trim_start_matches('/'));
        let target =
            if target.starts_with("..") { target } else { format!("/{}", target.trim_start_matches('/')) };
        let tar = Tar::new().symlink("out", &target).file("out/canary", b"written").end();
        // In the root the same path leads to nowhere.
        place.refused(&tar, &options(), "a link to nowhere");
        place.refused(&tar, &apply(), "a link to nowhere");
        // And where it exists in the root, there.
        let inside = target.trim_start_matches("../").trim_start_matches('/');
        let tar = Tar::new().dir(inside).symlink("out", &target).file("out/canary", b"written").end();
        place.tree(&tar, &options()).assert_line(&format!("{inside}/canary"), "file 7");
        place.assert_untouched();
    }
    // Chained, each link innocent by itself.
    let place = Place::new();
    let tar = Tar::new()
        .symlink("a", "..")
        .symlink("b", "a/..")
        .symlink("c", "b/../../..")
        .file("c/canary", b"x")
        .symlink("last", &place.canary())
        .file("last", b"not through the link")
        .end();
    let tree = place.tree(&tar, &options());
    tree.assert_line("canary", "file 1");
    tree.assert_line("last", "file 20");
    place.assert_untouched();
}

fn hard_links_that_lead_out() {
    let place = Place::new();
    for target in [place.canary(), "/etc/passwd".to_owned()] {
        place.refused(&Tar::new().link("a", &target).end(), &options(), "No such file or directory");
    }
    // A link to a symlink is a link to the symlink itself; writing does not go through it.
    let tar = Tar::new()
        .symlink("s", &place.canary())
        .link("h", "s")
        .file("h", b"written")
        .symlink("d", &place.outside())
        .end();
    let tree = place.tree(&tar, &options());
    tree.assert_line("h", "file 7");
    tree.assert_line("s", "link to");
    place.assert_untouched();
    let place = Place::new();
    place.refused(
        &Tar::new().symlink("d", &place.outside()).link("h", "d/canary").end(),
        &options(),
        "openat2",
    );
    place.refused(&Tar::new().dir("d").link("h", "d").end(), &options(), "hard link to a directory");
    place.refused(&Tar::new().link("h", "/").end(), &options(), "hard link to the root");
    place.refused(&Tar::new().link("h", "h").end(), &options(), "No such file");
    place.refused(&Tar::new().file(".wh.gone", b"").link("h", "gone").end(), &options(), "takes away");
    // To itself: the file stays.
    place.tree(&Tar::new().file("f", b"kept").link("f", "f").end(), &options()).assert_line("f", "file 4");
}

fn a_directory_becomes_a_link() {
    for options in [options(), apply()] {
        let place = Place::new();
        let tar = Tar::new()
            .dir("d")
            .dir("d/below")
            .file("d/below/f", b"1")
            .symlink("d", &place.outside())
            .file("d/canary", b"x")
            .end();
        place.refused(&tar, &options, "link to nowhere");
        // The open directory of before must not be written into either.
        let tar = Tar::new().dir("d").file("d/f", b"1").dir("e").symlink("d", "e").file("d/g", b"2").end();
        let tree = place.tree(&tar, &options);
        assert_eq!(tree.names(), ["", "d", "e", "e/g"]);
        place.assert_untouched();
    }
}

fn the_root_stays_a_directory() {
    let place = Place::new();
    for name in ["", ".", "/", "./", "./.", "//"] {
        for tar in [
            Tar::new().symlink(name, &place.outside()),
            Tar::new().link(name, "f"),
            Tar::new().raw(&Header::new(b'0', name.as_bytes()), b""),
        ] {
            let tar = Tar::new().file("f", b"1").bytes(&tar.cut()).file("canary", b"x").end();
            place.refused(&tar, &options(), "would take the place of the root");
        }
    }
    let root = Tar::new().raw(Header::new(b'5', b"/").mode(0o1700).ids(3, 4), b"").end();
    place.tree(&root, &options()).assert_line("", "directory 1700 3:4");
}

fn conflicting_entries() {
    let place = Place::new();
    let tar = Tar::new()
        .file("a", b"first")
        .file("a", b"second!")
        .dir("b")
        .file("b/x", b"1")
        .file("b", b"a file now")
        .file("c", b"a directory soon")
        .dir("c")
        .file("c/x", b"1")
        .symlink("d", "c")
        .dir("d")
        .end();
    let tree = place.tree(&tar, &options());
    assert_eq!(tree.names(), ["", "a", "b", "c", "c/x", "d"]);
    tree.assert_line("a", "file 7");
    // What hid a directory of the layers below goes on hiding its content.
    assert!(tree.line("c").contains("trusted.overlay.opaque=y"), "{tree:?}");
    assert!(tree.line("d").contains("trusted.overlay.opaque=y"), "{tree:?}");
    // Through a file there is no way.
    let place = Place::new();
    place.refused(
        &Tar::new().file("a", b"").file("a/b", b"").end(),
        &options(),
        "a directory of its name is none",
    );
}

fn devices() {
    let place = Place::new();
    let node =
        |flag, major, minor| Tar::new().raw(Header::new(flag, b"node").device(major, minor), b"").end();
    let with = |devices| Options { devices, ..options() };
    for devices in [Devices::Refuse, Devices::Skip, Devices::Make] {
        place.refused(&node(b'3', 0, 0), &with(devices), "character device 0:0");
    }
    place.refused(&node(b'3', 1, 3), &with(Devices::Refuse), "it is a device");
    place.refused(&node(b'4', 7, 0), &with(Devices::Refuse), "it is a device");
    let unpacked = place.unpack(&node(b'4', 7, 0), &with(Devices::Skip)).unwrap();
    assert_eq!((unpacked.skipped, place.show().names().len()), (1, 1));
    place.tree(&node(b'3', 1, 3), &with(Devices::Make)).assert_line("node", "character 0x103 0644");
    let pipe = Tar::new().raw(&Header::new(b'6', b"pipe"), b"").end();
    let place = Place::new();
    place.refused(&pipe, &Options { fifos: Treatment::Refuse, ..options() }, "it is a fifo");
    place.unpack(&pipe, &Options { fifos: Treatment::Strip, ..options() }).unwrap();
    assert_eq!(place.show().names().len(), 1);
    // Without a user namespace the unpacker still cannot see more than its root.
    let tar = Tar::new().symlink("out", &place.outside()).file("out/canary", b"x").end();
    place.refused(&tar, &with(Devices::Make), "link to nowhere");
}

fn set_id_and_file_capabilities() {
    // cap_net_raw+ep, revision 2.
    let capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let tar = Tar::new()
        .raw(Header::new(b'0', b"suid").mode(0o6755).ids(7, 8), b"")
        .pax(&[("SCHILY.xattr.security.capability", capability)])
        .file("ping", b"")
        .raw(Header::new(b'5', b"shared").mode(0o2775), b"")
        .end();
    let place = Place::new();
    let tree = place.tree(&tar, &options());
    assert!(tree.line("suid").contains("6755 7:8"), "{tree:?}");
    assert!(tree.line("ping").contains("security.capability=\\x01\\x00\\x00\\x02\\x00 "), "{tree:?}");
    let place = Place::new();
    let strip = Options { setuid: Treatment::Strip, file_capabilities: Treatment::Strip, ..options() };
    let tree = place.tree(&tar, &strip);
    assert!(tree.line("suid").contains("0755 7:8") && !tree.line("ping").contains("capability"), "{tree:?}");
    tree.assert_line("shared", "directory 2775");
    let place = Place::new();
    place.refused(&tar, &Options { setuid: Treatment::Refuse, ..options() }, "set-user-ID");
    place.refused(
        &tar,
        &Options { file_capabilities: Treatment::Refuse, ..options() },
        "security.capability",
    );
}

fn attributes_that_speak_to_the_host() {
    let place = Place::new();
    let with = |name: &str| {
        let keyword = format!("SCHILY.xattr.{name}");
        Tar::new().pax(&[(keyword.as_str(), b"y")]).dir("d").end()
    };
    for name in [
        "trusted.overlay.opaque",
        "trusted.x",
        "user.overlay.opaque",
        "user.overlay.redirect",
        "user.overlay.metacopy",
        "security.selinux",
        "security.ima",
        "security.capability",
        "system.posix_acl_access",
        "other",
        "",
    ] {
        place.refused(&with(name), &options(), "is refused");
    }
    assert!(place.tree(&with("user.mine"), &options()).line("d").contains(" user.mine=y"));
    let place = Place::new();
    let tar = Tar::new().pax(&[("SCHILY.xattr.user.x", b"y")]).symlink("s", "t").end();
    place.refused(&tar, &options(), "is refused");
}

fn ids_that_are_none() {
    let place = Place::new();
    for id in
        ["4294967295", "4294967296", "18446744073709551615", "-1", "0x10", " 1", "+1", "99999999999999999999"]
    {
        for keyword in ["uid", "gid"] {
            let tar = Tar::new().pax(&[(keyword, id.as_bytes())]).file("f", b"").end();
            place.refused(&tar, &options(), "");
        }
    }
    let binary = |at, bytes: &[u8]| Tar::new().raw(Header::new(b'0', b"f").put(at, bytes), b"").end();
    for (at, bytes) in [
        (108, b"\x80\0\0\0\xff\xff\xff\xff".as_slice()),
        (108, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        (116, b"\x80\0\0\x01\0\0\0\0"),
        (116, b"99999999"),
        (108, b"00-0001\0"),
    ] {
        place.refused(&binary(at, bytes), &options(), "no number that can be");
    }
    let tree = place.tree(&binary(108, b"\x80\0\0\0\xff\xff\xff\xfe"), &options());
    assert!(tree.line("f").contains(" 4294967294:0 "), "{tree:?}");
    // Everything is the caller's, whatever the layer says.
    let place = Place::new();
    let tar = Tar::new().raw(Header::new(b'0', b"f").ids(1000, 1000), b"").end();
    let tree = place.tree(&tar, &Options { owners: Owners::Caller, ..options() });
    assert!(tree.line("f").contains(" 0:0 "), "{tree:?}");
}

fn headers_that_lie() {
    let place = Place::new();
    let refused = |tar: &[u8], words| place.refused(tar, &options(), words);
    // More content than there is, in the header, in pax, and below zero.
    refused(&Tar::new().raw(Header::new(b'0', b"f").size(1 << 20), b"x").end(), "ends inside of its content");
    refused(&Tar::new().pax(&[("size", b"999999")]).file("f", b"x").end(), "ends inside of its content");
    for size in ["9223372036854775808", "-1", "1e3", "0x1"] {
        refused(&Tar::new().pax(&[("size", size.as_bytes())]).file("f", b"x").end(), "");
    }
    refused(&Tar::new().pax(&[("size", b"9223372036854775807")]).file("f", b"x").end(), "more than");
    refused(&Tar::new().raw(Header::new(b'0', b"f").put(124, &[0xff; 12]), b"").end(), "size is no number");
    refused(
        &Tar::new()
            .raw(Header::new(b'0', b"f").put(124, &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), b"")
            .end(),
        "size is no number",
    );
    // Less: what follows is no header.
    refused(&Tar::new().pax(&[("size", b"1")]).file("f", &[b'x'; 600]).end(), "no tar header");
    // A header that is as large as memory.
    refused(&Tar::new().raw(Header::new(b'x', b"h").size(1 << 33), b"").end(), "more than 1048576 bytes");
    refused(&Tar::new().raw(Header::new(b'L', b"h").size(1 << 33), b"").end(), "more than 1048576 bytes");
    for text in ["5 a=b\n", "0 a=b\n", "99 a=b\n", "6 a=b", "a=b\n", " 6 a=b\n", "7 a=b\n", "6 =bc\n"] {
        refused(&Tar::new().extended(b'x', text.as_bytes()).file("f", b"").end(), "malformed");
    }
    refused(&Tar::new().pax(&[("path", b"a\0b")]).file("f", b"").end(), "holds a NUL");
    refused(
        &Tar::new().pax(&[("comment", b"a")]).pax(&[("path", b"x")]).file("f", b"").end(),
        "two pax headers",
    );
    refused(&Tar::new().extended(b'L', b"a").extended(b'L', b"b").file("f", b"").end(), "two long names");
    refused(
        &Tar::new().extended(b'g', &crate::tar::records_text(&[("path", b"/x")])).file("f", b"").end(),
        "global",
    );
    refused(&Tar::new().extended(b'L', b"a").end(), "ends after an extended header");
    for flag in [b'M', b'V', b'D', b'A', b'Z', 0xff] {
        refused(&Tar::new().raw(&Header::new(flag, b"f"), b"").end(), "none of an image's");
    }
    let mut broken = Tar::new().file("f", b"").end();
    broken[0] = b'g';
    refused(&broken, "checksum");
    // What is no file has no content, whatever its size says.
    let tar = Tar::new().raw(Header::new(b'5', b"d").mode(0o755).size(512), b"").file("d/f", b"1").end();
    place.tree(&tar, &options()).assert_line("d/f", "file 1");
}

fn names_that_are_odd() {
    let place = Place::new();
    let long = "n".repeat(255);
    let tar = Tar::new()
        .raw(Header::new(b'0', b"\xff\xfe\x01 name").size(1), b"1")
        .extended(b'L', format!("{long}/{long}").as_bytes())
        .file("short", b"2")
        .pax(&[("path", format!("p/{long}").as_bytes())])
        .file("short", b"3")
        .file("./././/x//y/", b"4")
        .file("line\nbreak", b"5")
        .end();
    let tree = place.tree(&tar, &options());
    assert!(tree.0.contains_key(b"\xff\xfe\x01 name".as_slice()), "{tree:?}");
    tree.assert_line(&format!("{long}/{long}"), "file 1");
    tree.assert_line("x/y", "file 1");
    let place = Place::new();
    let path = "d/".repeat(2047) + "f";
    for (name, words) in [
        ("n".repeat(256), "more than 255 bytes"),
        ("n/".repeat(2100), "more than 4095 bytes"),
        (path, "more than 128 components"),
    ] {
        let tar = Tar::new().extended(b'L', name.as_bytes()).file("f", b"").end();
        place.refused(&tar, &options(), words);
    }
    let target = "t/".repeat(2100);
    let tar = Tar::new().extended(b'K', target.as_bytes()).symlink("s", "").end();
    place.refused(&tar, &options(), "target has more than 4095 bytes");
    place.refused(&Tar::new().symlink("s", "").end(), &options(), "symlinkat");
    // Messages show no control characters.
    let tar = Tar::new().raw(&Header::new(b'3', b"\x1b[2J\n\xff"), b"").end();
    place.refused(&tar, &options(), "entry \"\\u{1b}[2J\\n\\xff\" at offset 0: it is a character device");
    let tar = Tar::new().file("a", b"1").file("../b", b"").end();
    place.refused(&tar, &options(), "at offset 1024: ");
}

fn sparse_maps_that_lie() {
    let place = Place::new();
    let old = |parts: &[(u64, u64)], size: u64, content: &[u8]| {
        let mut header = Header::new(b'S', b"f");
        header.put(257, b"ustar  \0").size(content.len() as u64).octal(483, 12, size);
        for (at, (offset, length)) in parts.iter().enumerate() {
            header.octal(386 + at * 24, 12, *offset).octal(398 + at * 24, 12, *length);
        }
        Tar::new().raw(&header, content).end()
    };
    place.refused(&old(&[(0, 10), (5, 5)], 100, &[b'x'; 15]), &options(), "overlap");
    place.refused(&old(&[(0, 10)], 100, &[b'x'; 15]), &options(), "disagree");
    place.refused(&old(&[(200, 10)], 100, &[b'x'; 10]), &options(), "behind its end");
    place.refused(&old(&[(0, 1)], 1 << 35, b"x"), &Options { limits: small(), ..options() }, "more than");
    let zero = |records: &[(&str, &[u8])], content: &[u8]| Tar::new().pax(records).file("f", content).end();
    for (records, words) in [
        (vec![("GNU.sparse.size", b"10".as_slice()), ("GNU.sparse.map", b"0,1,2")], "malformed"),
        (vec![("GNU.sparse.map", b"0,1")], "sparse size"),
        (vec![("GNU.sparse.size", b"10"), ("GNU.sparse.numbytes", b"1")], "malformed"),
        (vec![("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"18446744073709551615,1")], "malformed"),
        (vec![("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"9223372036854775807,1")], "behind its end"),
        (vec![("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0")], "version"),
        (
            vec![("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"5")],
            "sparse map",
        ),
    ] {
        place.refused(&zero(&records, b"x"), &options(), words);
    }
    let one = |map: &str| {
        let mut content = map.as_bytes().to_vec();
        content.resize(content.len().next_multiple_of(512), 0);
        content.push(b'x');
        let records: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"real"),
            ("GNU.sparse.realsize", b"100"),
        ];
        Tar::new().pax(&records).file("GNUSparseFile.0/f", &content).end()
    };
    for (map, words) in [
        ("99999999999999999999\n", "malformed"),
        ("9223372036854775807\n", "longer than the content"),
        ("4000000\n0\n1\n", "longer than the content"),
        ("4611686018427387903\n", "longer than the content"),
        ("x\n", "malformed"),
        ("1\n0\n-1\n", "malformed"),
        ("2\n0\n1\n0\n1\n", "overlap"),
    ] {
        place.refused(&one(map), &options(), words);
    }
    place.tree(&one("1\n99\n1\n"), &options()).assert_line("real", "file 100");
}

fn small() -> Limits {
    Limits { single_file: 1 << 30, ..Limits::default() }
}

fn ends_that_are_none() {
    let place = Place::new();
    let good = Tar::new().file("f", &[b'x'; 1000]).end();
    for cut in [1, 100, 511, 513, 1000, 1535] {
        place.refused(&good[..cut], &options(), "the archive ends inside");
    }
    // Go's reader, and so everybody, takes an archive without its end.
    for whole in [1536, 1536 + 512, 1536 + 1024] {
        place.tree(&good[..whole], &options()).assert_line("f", "file 1000");
    }
    let zeros = [good.clone(), vec![0; 9216]].concat();
    place.tree(&zeros, &options());
    let place = Place::new();
    // A second archive behind the first, which nobody who looks at the tree would see.
    let hidden = [good.clone(), Tar::new().file("hidden", b"").end()].concat();
    place.refused(&hidden, &options(), "something follows the end");
    place.refused(&[&good[..1536 + 512], &good].concat(), &options(), "something follows the end");
    place.refused(&[good.as_slice(), b"x"].concat(), &options(), "something follows the end");
    let empty = place.tree(b"", &options());
    empty.assert_line("", "directory 0755 0:0 0.0");
}

fn links_in_a_circle() {
    let place = Place::new();
    place.refused(
        &Tar::new().symlink("a", "b").symlink("b", "a").file("a/f", b"").end(),
        &options(),
        "ELOOP",
    );
    place.refused(&Tar::new().symlink("a", ".").file(&"a/".repeat(45), b"").end(), &options(), "ELOOP");
}

/// Deeper than any name can say, by links into the depth.
fn a_deep_tree_is_removed() {
    let place = Place::new();
    let mut tar = Tar::new();
    let down = "d/".repeat(40);
    for round in 0..30 {
        let from = if round == 0 { String::new() } else { format!("l{}/", round - 1) };
        // The link stands at the top and leads through the one before it.
        tar = tar.dir(&format!("{from}{down}")).symlink(&format!("l{round}"), &format!("{from}{down}"));
    }
    let removed = tar.clone().symlink("d", "x").end();
    assert!(!place.tree(&removed, &options()).names().iter().any(|name| name.starts_with("d/")));
    let place = Place::new();
    place.refused(&tar.file("../x", b"").end(), &options(), "`..`");
    assert!(place.path().is_dir());
}
