//! `image inspect --scan` and `--spdx`.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use pinfold::error::Result;
use pinfold::image::merged::Merged;
use pinfold::image::pack::{Entry, Kind};
use pinfold::image::walk::{Bounds, Seen, Visitor};
use serde_json::{Value, json};

use super::image;
use super::layout::{Layout, Tar};
use super::support::Dir;

/// `KIND PATH` of every finding.
fn scanned(dir: &Dir, layers: &[Vec<u8>]) -> (Vec<String>, Value) {
    let (layout, digest) = Layout::image(dir.join("layout"), layers, json!({}));
    image(dir, &["import", &layout.source(), "--name", "seen"]).ok();
    let scan: Value =
        serde_json::from_str(image(dir, &["inspect", "seen", "--scan", "--format", "json"]).ok()).unwrap();
    assert_eq!(scan["digest"], json!(digest));
    let row =
        |row: &Value| format!("{} {}", row["kind"].as_str().unwrap(), row["path"].as_str().unwrap_or("?"));
    (scan["findings"].as_array().unwrap().iter().map(row).collect(), scan)
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPZJcnZ5a2V5a2V5a2V5a2V5a2V5a2V5a2V5\n-----END PRIVATE KEY-----\n";

#[test]
fn a_scan_finds_what_is_dangerous_or_forgotten() {
    let dir = Dir::new();
    // struct vfs_cap_data: version 2, effective, CAP_NET_RAW.
    let net_raw = [1_u8, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let xattrs = [(b"security.capability".to_vec(), net_raw)];
    let ping = Entry {
        name: b"usr/ping",
        kind: Kind::File(0),
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: 1,
        xattrs: &xattrs,
    };
    let layer = Tar::new()
        .dir("./")
        .dir("usr/")
        .raw(&ping)
        .owned("usr/su", b"x", 0o4755, (0, 0))
        .owned("usr/wall", b"x", 0o2755, (0, 5))
        .owned("usr/open", b"x", 0o666, (7, 8))
        .dir_of("tmp/", 0o1777)
        .dir_of("drop/", 0o777)
        .dir_of("shared/", 0o2755)
        .link("usr/link", "/etc/shadow")
        .fifo("fifo")
        .dir("etc/")
        .file("etc/shadow", "root::1::::::\n")
        .file("srv.conf", KEY)
        .file(
            "cert.pem",
            "-----BEGIN CERTIFICATE-----\nMC4CAQAwBQYDK2VwBCIEIPZJcnZ5a2V5a2V5a2V5a2V5a2V5a2V5a2V5\n",
        )
        .file(".netrc", "machine a login b password c\n")
        .file("notes", "token: ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n")
        .end();
    let (findings, scan) = scanned(&dir, &[layer]);
    let expected = [
        "credentials /.netrc",
        "world-writable /drop",
        "world-writable /fifo",
        "credentials /notes",
        "private-key /srv.conf",
        "password /etc/shadow",
        "world-writable /usr/open",
        "file-capabilities /usr/ping",
        "setuid /usr/su",
        "setgid /usr/wall",
    ];
    let (mut found, mut expected) = (findings, expected.map(str::to_owned).to_vec());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let of = |kind: &str| {
        let rows = scan["findings"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind).unwrap().clone()
    };
    assert_eq!(of("file-capabilities")["detail"], "CAP_NET_RAW effective");
    assert_eq!((&of("setuid")["mode"], &of("setgid")["gid"]), (&json!("4755"), &json!(5)));
    assert_eq!((&scan["counts"]["world-writable"], &scan["unlisted"]), (&json!(3), &json!(0)));
    let table = image(&dir, &["inspect", "seen", "--scan"]);
    assert!(table.ok().contains("setuid") && table.out.contains("/usr/su"), "{table:?}");
}

/// What a sandbox would not see is not found, and what it would see is.
#[test]
fn a_scan_sees_the_layers_as_a_sandbox_does() {
    let dir = Dir::new();
    let below = Tar::new()
        .dir("./")
        .owned("gone", b"x", 0o4755, (0, 0))
        .owned("replaced", b"x", 0o4755, (0, 0))
        .dir("old/")
        .owned("old/below", b"x", 0o4755, (0, 0))
        .dir("kept/")
        .owned("kept/below", b"x", 0o4755, (0, 0))
        .dir("file/")
        .owned("file/below", b"x", 0o4755, (0, 0))
        .file("directory", "x")
        .end();
    let above = Tar::new()
        .file(".wh.gone", "")
        .file("replaced", "y")
        .dir("old/")
        .file("old/.wh..wh..opq", "")
        .dir("kept/")
        .owned("kept/above", b"x", 0o4755, (0, 0))
        .file("file", "now a file")
        .file(".wh.directory", "")
        .dir("directory/")
        .owned("directory/above", b"x", 0o4755, (0, 0))
        .end();
    let (findings, scan) = scanned(&dir, &[below, above]);
    assert_eq!(findings, ["setuid /directory/above", "setuid /kept/above", "setuid /kept/below"]);
    assert_eq!(scan["entries"], json!(8), "{scan}");
}

#[test]
fn names_of_an_image_cannot_forge_a_line() {
    let dir = Dir::new();
    let odd = |name: &'static [u8]| Entry {
        name,
        kind: Kind::File(0),
        mode: 0o4755,
        uid: 0,
        gid: 0,
        mtime: 1,
        xattrs: &[],
    };
    let layer = Tar::new().dir("./").raw(&odd(b"a\nsetuid  /forged\x1b[2J")).raw(&odd(b"\xff\xfe")).end();
    let (_, scan) = scanned(&dir, &[layer]);
    // The slash makes a directory of it, which comes first and is walked last.
    assert_eq!(scan["findings"][1]["path"], "/a\nsetuid  /forged\u{1b}[2J");
    assert_eq!(
        (&scan["findings"][0]["path"], &scan["findings"][0]["path_hex"]),
        (&Value::Null, &json!("fffe"))
    );
    let table = image(&dir, &["inspect", "seen", "--scan"]).ok().to_owned();
    assert!(
        !table.contains('\u{1b}') && !table.lines().any(|line| line.starts_with("setuid  /forged")),
        "{table}"
    );
}

/// Links lead a layer's names deeper than one name may be; circles of links lead nowhere.
#[test]
fn a_scan_ends_whatever_the_image_is() {
    let dir = Dir::new();
    let mut tar = Tar::new().dir("./").link("circle", "circle").link("up", "..").link("root", "/");
    let mut place = String::new();
    for letter in ["a", "b", "c", "d"] {
        let below = format!("{letter}/").repeat(90);
        let name = format!("{place}{below}");
        tar = tar.dir(&name).link(&format!("to-{letter}"), name.trim_end_matches('/'));
        place = format!("to-{letter}/");
    }
    let (layout, _) = Layout::image(dir.join("layout"), &[tar.end()], json!({}));
    image(&dir, &["import", &layout.source(), "--name", "deep"]).ok();
    let ran = image(&dir, &["inspect", "deep", "--scan"]);
    assert!(ran.code() == 1 && ran.err.contains("lies too deep"), "{ran:?}");

    struct Count(u64);
    impl Visitor for Count {
        fn entry(&mut self, _seen: &Seen<'_>) -> Result<()> {
            self.0 += 1;
            Ok(())
        }
        fn closed(&mut self, _path: &[u8]) {}
    }
    let tree = dir.mkdir("tree");
    (0..10).for_each(|number| fs::write(tree.join(number.to_string()), "").unwrap());
    let tree = OwnedFd::from(fs::File::open(tree).unwrap());
    let merged = Merged::of([&tree, &tree].into_iter()).unwrap();
    let walk = |names: u64, seconds: u64| {
        let until = Instant::now() + Duration::from_secs(seconds);
        std::thread::sleep(Duration::from_millis(2));
        let mut count = Count(0);
        let walked = merged.walk(Bounds { names, depth: 5, until }, &mut count);
        walked.map(|names| (names, count.0)).map_err(|error| error.to_string())
    };
    assert_eq!(walk(20, 60), Ok((20, 10)));
    assert!(walk(19, 60).unwrap_err().contains("more than 19"));
    assert!(walk(20, 0).unwrap_err().contains("too long"));
}

#[test]
fn devices_that_were_left_out_are_told() {
    let dir = Dir::new();
    let mut layer = Tar::new().dir("./").file("null", "").end();
    // The entry becomes a character device 1:3: its type, and a checksum that fits.
    let (header, digits) = (512, |number: u32| format!("{number:07o}\0"));
    layer[header + 156] = b'3';
    layer[header + 329..header + 337].copy_from_slice(digits(1).as_bytes());
    layer[header + 337..header + 345].copy_from_slice(digits(3).as_bytes());
    layer[header + 148..header + 156].fill(b' ');
    let sum: u32 = layer[header..header + 512].iter().map(|byte| u32::from(*byte)).sum();
    layer[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let (findings, scan) = scanned(&dir, &[layer]);
    assert_eq!((findings.len(), &scan["devices_left_out"]), (0, &json!(1)), "{scan}");
    assert!(image(&dir, &["inspect", "seen", "--scan"]).ok().contains("1 device nodes"), "{scan}");
}

fn spdx(dir: &Dir, place: &str, layers: &[Vec<u8>]) -> String {
    let (layout, _) = Layout::image(dir.join(place), layers, json!({}));
    image(dir, &["import", &layout.source(), "--name", place]).ok();
    let ran = image(dir, &["inspect", place, "--spdx"]);
    let document: Value = serde_json::from_str(ran.ok()).unwrap();
    // What the document lacks is said to who does not read it, too.
    let said = document["comment"].as_str().unwrap().contains("RPM database, which was not read");
    assert_eq!(ran.err.contains("warning: sha256:") && ran.err.contains("RPM"), said, "{ran:?}");
    ran.out
}

#[test]
fn packages_are_listed_as_spdx() {
    let (one, other) = (Dir::new(), Dir::new());
    let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2+b1\nArchitecture: amd64\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
    let below = Tar::new()
        .dir("./")
        .file("etc/os-release", "NAME=x\nID=debian\n")
        .file("var/lib/dpkg/status", status)
        .file("var/lib/dpkg/status.d/libc", "Package: libc6\nVersion: 2.36\nSource: glibc\n")
        .file("var/lib/dpkg/status.d/libc.md5sums", "Package: no\nVersion: 1\n")
        .file("var/lib/dpkg/status.d/old", "Package: old\nVersion: 1\n")
        .end();
    let above = Tar::new()
        .file("var/lib/dpkg/status.d/.wh.old", "")
        .file("lib/apk/db/installed", "P:musl\nV:1.2-r0\nA:x86_64\n\n")
        .file("var/lib/rpm/rpmdb.sqlite", "")
        .end();
    let layers = [below, above];
    let text = spdx(&one, "listed", &layers);
    assert_eq!(text, spdx(&other, "listed", &layers), "the same image, the same bytes");
    let document: Value = serde_json::from_str(&text).unwrap();
    let packages = document["packages"].as_array().unwrap();
    let shown = |package: &Value| {
        format!("{} {}", package["name"].as_str().unwrap(), package["versionInfo"].as_str().unwrap())
    };
    let names: Vec<_> = packages.iter().skip(1).map(shown).collect();
    assert_eq!(names, ["musl 1.2-r0", "bash 5.2+b1", "libc6 2.36"]);
    assert_eq!(packages[2]["externalRefs"][0]["referenceLocator"], "pkg:deb/debian/bash@5.2%2Bb1?arch=amd64");
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    assert!(document["documentNamespace"].as_str().unwrap().starts_with("urn:uuid:"));
    assert!(document["comment"].as_str().unwrap().contains("RPM database, which was not read"));
    let ids: std::collections::BTreeSet<_> =
        packages.iter().map(|row| row["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), packages.len());
    for relation in document["relationships"].as_array().unwrap() {
        assert!(ids.contains(relation["relatedSpdxElement"].as_str().unwrap()), "{relation}");
    }
    let namespace = |text: &str| serde_json::from_str::<Value>(text).unwrap()["documentNamespace"].clone();
    assert_ne!(
        namespace(&text),
        namespace(&spdx(&one, "second", &layers[..1])),
        "another image, another name"
    );
}

#[test]
fn databases_of_strangers_do_no_harm() {
    let large = "Package: a\nVersion: 1\n\n".repeat(3 << 20);
    let many = (0..100_001).map(|number| format!("P:a{number}\nV:1\n\n")).collect::<String>();
    let rows: [(&str, Tar, &str); 5] = [
        ("a flood of bytes", Tar::new().file("var/lib/dpkg/status", &large), "larger than"),
        ("a flood of packages", Tar::new().file("lib/apk/db/installed", &many), "more than 100000"),
        ("a fifo", Tar::new().fifo("var/lib/dpkg/status"), "regular file"),
        ("a circle", Tar::new().link("var/lib/dpkg/status.d", "status.d"), "too many links"),
        ("a directory", Tar::new().dir("lib/apk/db/installed/"), "regular file"),
    ];
    for (what, tar, words) in rows {
        let dir = Dir::new();
        let (layout, _) = Layout::image(dir.join("layout"), &[tar.end()], json!({}));
        image(&dir, &["import", &layout.source(), "--name", "evil"]).ok();
        let ran = image(&dir, &["inspect", "evil", "--spdx"]);
        assert!(ran.code() == 1 && ran.err.contains(words), "{what}: {ran:?}");
    }
    let dir = Dir::new();
    let odd = b"Package: a\nVersion: 1\nDescription: \xff\xfe\x00\n\nPackage: \xff\nVersion: 1\n\nPackage: b\x1b]0;x\x07\nVersion: 1\n\n\x00\x00";
    let tar =
        Tar::new().owned("var/lib/dpkg/status", odd, 0o644, (0, 0)).link("etc/os-release", "/nowhere").end();
    let document: Value = serde_json::from_str(&spdx(&dir, "odd", &[tar])).unwrap();
    assert_eq!(document["packages"].as_array().unwrap().len(), 2);
    assert!(document["comment"].as_str().unwrap().contains("3 records"), "{document}");
}
