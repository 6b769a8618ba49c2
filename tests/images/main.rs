//! Promise: an image is verified, unpacked once, and runs by the road of every other sandbox; what
//! a stranger put into it decides nothing, and a failure leaves nothing.

// The lint's exception for tests does not reach the functions that tests share.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    clippy::too_many_lines
)]

mod committed;
mod inspected;
mod layout;
mod pinned;
mod rootless;
mod running;
mod signed;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use layout::{INDEX, LAYER, Layout, MANIFEST, Tar, architecture, archive, busybox};
use pinfold::types::Digest;
use serde_json::{Value, json};
use support::{Dir, Ran};

/// `pinfold --store DIR/store image ARGS`.
fn image(dir: &Dir, args: &[&str]) -> Ran {
    support::run(&mut image_command(dir, args))
}

fn image_command(dir: &Dir, args: &[&str]) -> Command {
    let store = dir.text("store");
    let mut all = vec!["--store", &store, "image"];
    all.extend_from_slice(args);
    dir.command(&all)
}

/// A launch on an image of the test's own store.
fn sandbox(dir: &Dir, args: &[&str]) -> (Ran, Value) {
    let (report, store) = (dir.text("report.json"), dir.text("store"));
    fs::remove_file(&report).ok();
    let mut all = vec!["--store", &store, "sandbox", "--report", &report];
    all.extend_from_slice(args);
    let ran = dir.pinfold(&all);
    let written = fs::read(&report).unwrap_or_else(|error| panic!("no report ({error}): {ran:?}"));
    (ran, serde_json::from_slice(&written).unwrap())
}

/// Names below a place of the store.
fn names(dir: &Dir, below: &str) -> Vec<String> {
    let entries = fs::read_dir(dir.join("store").join(below)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn sound(dir: &Dir) {
    image(dir, &["verify"]).ok();
    assert_eq!(names(dir, "tmp"), [""; 0], "left in tmp/");
}

#[test]
fn an_image_is_listed_inspected_removed_and_collected() {
    let dir = Dir::new();
    let (layout, digest) = Layout::image(dir.join("layout"), &[busybox().end()], json!({"Cmd": ["sh"]}));
    let printed = image(&dir, &["import", &layout.source(), "--name", "bb:1"]);
    assert_eq!(printed.ok(), format!("{digest}\n"));
    let list: Value = serde_json::from_str(image(&dir, &["list", "--format", "json"]).ok()).unwrap();
    assert_eq!((&list[0]["name"], &list[0]["digest"]), (&json!("bb:1"), &json!(digest)));
    assert!(list[0]["bytes"].as_u64().unwrap() > 1 << 20 && list[0]["shared_bytes"] == 0);
    assert!(image(&dir, &["list"]).ok().contains("bb:1"));
    let inspected: Value = serde_json::from_str(image(&dir, &["inspect", "bb:1"]).ok()).unwrap();
    assert_eq!(inspected["config"]["Cmd"], json!(["sh"]));
    assert!(inspected["layers"][0]["unpacked_entries"].as_u64().unwrap() > 20);
    sound(&dir);
    // What is shared is told apart.
    image(&dir, &["import", &layout.source(), "--name", "other"]).ok();
    let (second, _) = Layout::image(dir.join("second"), &[busybox().end()], json!({"Cmd": ["id"]}));
    image(&dir, &["import", &second.source(), "--name", "second"]).ok();
    let list: Value = serde_json::from_str(image(&dir, &["list", "--format", "json"]).ok()).unwrap();
    assert!(
        list.as_array().unwrap().iter().all(|row| row["shared_bytes"].as_u64().unwrap() > 1 << 20),
        "{list}"
    );
    assert_eq!(names(&dir, "layers").len(), 1, "one tree for all");
    for name in ["bb:1", "other", "second"] {
        image(&dir, &["remove", name]).ok();
    }
    assert_ne!(image(&dir, &["inspect", "bb:1"]).code(), 0);
    assert!(image(&dir, &["gc"]).ok().contains("removed 5 blobs"));
    assert!(names(&dir, "blobs/sha256").is_empty() && names(&dir, "layers").is_empty());
}

#[test]
fn a_damaged_blob_is_named() {
    let dir = Dir::new();
    let (layout, _) = Layout::image(dir.join("layout"), &[busybox().end()], json!({}));
    image(&dir, &["import", &layout.source(), "--name", "bb"]).ok();
    let largest = names(&dir, "blobs/sha256")
        .into_iter()
        .max_by_key(|name| fs::metadata(dir.join("store/blobs/sha256").join(name)).unwrap().len())
        .unwrap();
    let path = dir.join("store/blobs/sha256").join(&largest);
    let mut content = fs::read(&path).unwrap();
    content[1000] ^= 1;
    fs::write(&path, content).unwrap();
    let verified = image(&dir, &["verify", "bb"]);
    assert!(verified.code() == 1 && verified.out.contains(&largest), "{verified:?}");
    let exported = image(&dir, &["export", "bb", &format!("oci:{}", dir.text("out"))]);
    assert!(exported.code() != 0 && exported.err.contains("was changed"), "{exported:?}");
}

type Sabotage = fn(&mut Layout, &Digest);

#[test]
fn a_hostile_layout_is_refused_and_leaves_nothing() {
    let rows: &[(&str, &str, Sabotage)] = &[
        ("a link in the place of a blob", "regular file", |layout, digest| {
            let path = layout.blob_path(digest);
            let elsewhere = layout.path.join("elsewhere");
            fs::rename(&path, &elsewhere).unwrap();
            symlink(elsewhere, path).unwrap();
        }),
        ("a link in the place of the blobs", "regular file", |layout, _| {
            fs::rename(layout.path.join("blobs"), layout.path.join("other")).unwrap();
            symlink("other", layout.path.join("blobs")).unwrap();
        }),
        ("a fifo in the place of a blob", "regular file", |layout, digest| {
            fs::remove_file(layout.blob_path(digest)).unwrap();
            nix::unistd::mkfifo(&layout.blob_path(digest), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("a fifo in the place of the index", "regular file", |layout, _| {
            fs::remove_file(layout.path.join("index.json")).unwrap();
            nix::unistd::mkfifo(&layout.path.join("index.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("another manifest", "has the digest", |layout, digest| {
            let text = fs::read_to_string(layout.blob_path(digest)).unwrap();
            fs::write(
                layout.blob_path(digest),
                text.replace("\"size\":", "\"size\" :").split_at(text.len()).0,
            )
            .unwrap();
        }),
        ("a missing blob", "is missing", |layout, digest| fs::remove_file(layout.blob_path(digest)).unwrap()),
        ("a size that lies", "were promised", |layout, _| {
            layout.manifests[0]["size"] = json!(1);
            layout.write();
        }),
        ("a digest that leads out", "sha256: and 64", |layout, _| {
            layout.manifests[0]["digest"] = json!("sha256:../../../../etc/passwd");
            layout.write();
        }),
        ("a key that occurs twice", "occurs twice", |layout, _| {
            let text = fs::read_to_string(layout.path.join("index.json")).unwrap();
            fs::write(layout.path.join("index.json"), text.replacen('{', "{\"manifests\":[],", 1)).unwrap();
        }),
        ("a large index", "larger than", |layout, _| {
            fs::write(layout.path.join("index.json"), vec![b' '; 5 << 20]).unwrap();
        }),
        ("an endless index", "regular file", |layout, _| {
            fs::remove_file(layout.path.join("index.json")).unwrap();
            symlink("/dev/zero", layout.path.join("index.json")).unwrap();
        }),
        ("indexes in each other", "too deep", |layout, _| {
            for _ in 0..5 {
                let index = json!({"schemaVersion": 2, "manifests": layout.manifests});
                layout.manifests = vec![layout.blob(INDEX, index.to_string().as_bytes())];
            }
            layout.write();
        }),
        ("a document that is both", "not a part of", |layout, digest| {
            let mut both: Value =
                serde_json::from_slice(&fs::read(layout.blob_path(digest)).unwrap()).unwrap();
            both["manifests"] = json!([]);
            layout.manifests = vec![layout.blob(MANIFEST, both.to_string().as_bytes())];
            layout.write();
        }),
        ("many manifests", "more than", |layout, _| {
            layout.manifests = vec![layout.manifests[0].clone(); 1000];
            layout.write();
        }),
        ("another platform", "is for plan9/", |layout, digest| {
            let manifest: Value =
                serde_json::from_slice(&fs::read(layout.blob_path(digest)).unwrap()).unwrap();
            let config: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
            let text = fs::read_to_string(layout.blob_path(&config)).unwrap().replace("linux", "plan9");
            let mut manifest = manifest;
            manifest["config"] = layout.blob(layout::CONFIG, text.as_bytes());
            layout.manifests = vec![layout.blob(MANIFEST, manifest.to_string().as_bytes())];
            layout.write();
        }),
        ("a diffID that lies", "the configuration says", |layout, digest| {
            let mut manifest: Value =
                serde_json::from_slice(&fs::read(layout.blob_path(digest)).unwrap()).unwrap();
            manifest["layers"][0] = layout.blob(LAYER, &Tar::new().file("evil", "x").end());
            layout.manifests = vec![layout.blob(MANIFEST, manifest.to_string().as_bytes())];
            layout.write();
        }),
    ];
    let tar = Tar::new().dir("./").file("a", "x").end();
    for (what, words, sabotage) in rows {
        let dir = Dir::new();
        let (mut layout, digest) = Layout::image(dir.join("layout"), std::slice::from_ref(&tar), json!({}));
        sabotage(&mut layout, &digest);
        let ran = image(&dir, &["import", &layout.source(), "--name", "evil"]);
        assert!(ran.code() != 0 && ran.err.contains(words), "{what}: {ran:?}");
        assert_eq!(image(&dir, &["list", "--format", "json"]).ok(), "[]\n", "{what}");
        assert!(names(&dir, "layers").is_empty() && names(&dir, "tmp").is_empty(), "{what}");
    }
}

#[test]
fn the_image_for_this_machine_is_chosen() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.join("layout"));
    let tar = |name: &str| Tar::new().dir("./").file(name, "x").end();
    let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    for (file, architecture) in [("wrong", "s390x"), ("right", architecture())] {
        let mut manifest = layout.manifest(&[tar(file)], json!({}));
        manifest["platform"] = platform(architecture);
        layout.manifests.push(manifest);
    }
    layout.write();
    let digest = image(&dir, &["import", &layout.source(), "--name", "a"]).ok().trim().to_owned();
    assert_eq!(json!(digest), layout.manifests[1]["digest"]);
    let refused = image(&dir, &["import", &layout.source(), "--platform", "linux/riscv64"]);
    assert!(refused.err.contains("only for: linux/s390x"), "{refused:?}");
}

/// The two forms of `docker save`.
#[test]
fn what_docker_saves_is_read() {
    let dir = Dir::new();
    let (one, two) = (Tar::new().dir("./").file("a", "1").end(), Tar::new().file("b", "2").end());
    let config = json!({"os": "linux", "architecture": architecture(), "config": {"Cmd": ["x"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&one), Digest::of(&two), Digest::of(&one)]}});
    let manifest = json!([{"Config": "abc.json", "RepoTags": ["saved:1"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}]);
    let files = [
        ("manifest.json", manifest.to_string().into_bytes()),
        ("abc.json", config.to_string().into_bytes()),
        ("1/layer.tar", one.clone()),
        ("2/layer.tar", two),
    ];
    // A layer that occurs twice is a link.
    let source = archive(&dir.join("saved.tar"), &files, &[("3/layer.tar", "../1/layer.tar")]);
    image(&dir, &["import", &source]).ok();
    let inspected: Value = serde_json::from_str(image(&dir, &["inspect", "saved:1"]).ok()).unwrap();
    assert_eq!(inspected["layers"].as_array().unwrap().len(), 3);
    for (what, words, files, links) in [
        (
            "another layer",
            "has the digest",
            vec![files[0].clone(), files[1].clone(), files[2].clone(), ("2/layer.tar", one)],
            vec![("3/layer.tar", "../1/layer.tar")],
        ),
        (
            "a link that leads out",
            "missing in the archive",
            files.to_vec(),
            vec![("3/layer.tar", "/etc/passwd")],
        ),
        ("a name twice", "twice", [files.as_slice(), &files[1..2]].concat(), vec![]),
    ] {
        let dir = Dir::new();
        let source = archive(&dir.join("saved.tar"), &files, &links);
        let ran = image(&dir, &["import", &source]);
        assert!(ran.code() != 0 && ran.err.contains(words), "{what}: {ran:?}");
        assert!(names(&dir, "layers").is_empty() && names(&dir, "tmp").is_empty(), "{what}");
    }
}

#[test]
fn an_archive_that_is_none_is_refused() {
    let dir = Dir::new();
    let rows: [(&str, Vec<u8>, &str); 6] = [
        ("empty", vec![], "no archive of images"),
        ("text", b"hello".repeat(200), "no header"),
        ("short", vec![b'x'; 100], "ends within"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "compressed by gzip"),
        ("truncated", Tar::new().file("oci-layout", &"x".repeat(2000)).end()[..1024].to_vec(), "ends within"),
        ("rootfs", Tar::new().file("etc/passwd", "x").end(), "no archive of images"),
    ];
    for (what, content, words) in rows {
        let path = dir.join(what);
        fs::write(&path, content).unwrap();
        let ran = image(&dir, &["import", &format!("archive:{}", path.display())]);
        assert!(ran.code() != 0 && ran.err.contains(words), "{what}: {ran:?}");
    }
}

#[test]
fn a_source_does_not_take_the_name_of_another_image() {
    let dir = Dir::new();
    let named = |place: &str, content: &str| {
        let (mut layout, digest) =
            Layout::image(dir.join(place), &[Tar::new().dir("./").file("a", content).end()], json!({}));
        layout.manifests[0]["annotations"] = json!({"org.opencontainers.image.ref.name": "trusted/app:1"});
        layout.write();
        (layout, digest)
    };
    let ((good, digest), (evil, other)) = (named("good", "1"), named("evil", "2"));
    image(&dir, &["import", &good.source()]).ok();
    let refused = image(&dir, &["import", &evil.source()]);
    assert!(refused.code() != 0 && refused.err.contains("another image has it"), "{refused:?}");
    let of = |name: &str| {
        let inspected: Value = serde_json::from_str(image(&dir, &["inspect", name]).ok()).unwrap();
        inspected["digest"].clone()
    };
    assert_eq!(of("trusted/app:1"), json!(digest));
    // Who asks for it by name gets it.
    image(&dir, &["import", &evil.source(), "--name", "trusted/app:1"]).ok();
    assert_eq!(of("trusted/app:1"), json!(other));
    let pinned = format!("trusted/app:1@{digest}");
    assert!(image(&dir, &["inspect", &pinned]).err.contains("another image"));
}

#[test]
fn the_same_directory_gives_the_same_digest() {
    let dir = Dir::new();
    for (place, file) in [("one", "b"), ("two", "b")] {
        let root = dir.mkdir(place);
        fs::write(root.join("z"), "z").unwrap();
        fs::write(root.join(file), "b").unwrap();
        fs::hard_link(root.join("z"), root.join("a")).unwrap();
        symlink("nowhere", root.join("link")).unwrap();
        fs::create_dir(root.join("x".repeat(200))).unwrap();
    }
    let digest = |place: &str| {
        let mut command =
            image_command(&dir, &["import", &format!("dir:{}", dir.text(place)), "--cmd", "sh"]);
        support::run(command.env("SOURCE_DATE_EPOCH", "1000000000")).ok().to_owned()
    };
    assert_eq!(digest("one"), digest("two"));
    fs::write(dir.join("two/b"), "c").unwrap();
    assert_ne!(digest("one"), digest("two"));
    let reference = format!("x@{}", digest("one").trim());
    let inspected: Value = serde_json::from_str(image(&dir, &["inspect", &reference]).ok()).unwrap();
    assert_eq!(inspected["created"], "2001-09-09T01:46:40Z");
}

#[test]
fn what_is_exported_comes_back_as_the_same_image() {
    let dir = Dir::new();
    let upper = Tar::new().dir("data/").file("data/x", "upper").end();
    let (layout, digest) =
        Layout::image(dir.join("layout"), &[busybox().end(), upper], json!({"Cmd": ["sh"], "User": "web"}));
    image(&dir, &["import", &layout.source(), "--name", "bb:1"]).ok();
    let targets = [format!("oci:{}", dir.text("out")), format!("archive:{}", dir.text("out.tar"))];
    for target in &targets {
        image(&dir, &["export", "bb:1", target]).ok();
        assert_ne!(image(&dir, &["export", "bb:1", target]).code(), 0, "it is there already");
        let store = dir.text("other");
        let again = dir.pinfold(&["--store", &store, "image", "import", target]);
        assert_eq!(again.ok(), format!("{digest}\n"), "{target}");
        dir.pinfold(&["--store", &store, "image", "inspect", "bb:1"]).ok();
        fs::remove_dir_all(store).unwrap();
    }
    // GNU tar reads the archive, and writes one that is read.
    let script = format!(
        "mkdir t && tar -xf out.tar -C t && tar -cf again.tar -C t . && test -f t/blobs/sha256/{}",
        digest.hex()
    );
    support::run(Command::new("sh").args(["-euc", &script]).current_dir(dir.path())).ok();
    let again = dir.pinfold(&[
        "--store",
        &dir.text("third"),
        "image",
        "import",
        &format!("archive:{}", dir.text("again.tar")),
    ]);
    assert_eq!(again.ok(), format!("{digest}\n"));
}

#[test]
fn a_bundle_runs_under_any_runtime() {
    let dir = Dir::new();
    let upper = Tar::new().dir("data/").owned("data/x", b"upper", 0o640, (33, 44)).end();
    let labels = json!({"a.label": "kept", "io.pinfold.profile": "lenient", "run.oci.handler": "krun"});
    let config = json!({"Entrypoint": ["sh", "-c"], "Cmd": ["id; pwd; echo $A; stat -c %u:%g:%a x"], "User": "web",
        "WorkingDir": "/data", "Env": ["A=b"], "Labels": labels, "StopSignal": "SIGINT"});
    let (layout, _) = Layout::image(dir.join("layout"), &[busybox().end(), upper], config);
    image(&dir, &["import", &layout.source(), "--name", "bb", "--no-unpack"]).ok();
    let bundle = dir.text("bundle");
    let made = image(&dir, &["bundle", "bb", &bundle]);
    made.ok();
    assert!(made.err.contains("run.oci.handler"), "{made:?}");
    let config: Value = serde_json::from_slice(&fs::read(dir.join("bundle/config.json")).unwrap()).unwrap();
    let annotations = &config["annotations"];
    assert_eq!(
        (&annotations["a.label"], &annotations["org.opencontainers.image.stopSignal"]),
        (&json!("kept"), &json!("SIGINT"))
    );
    assert!(annotations.get("io.pinfold.profile").is_none() && annotations.get("run.oci.handler").is_none());
    assert_eq!(fs::metadata(dir.join("bundle")).unwrap().mode() & 0o777, 0o700);
    let ran = dir.pinfold(&["run", "--bundle", &bundle, &dir.id("b")]);
    assert_eq!(ran.ok(), "uid=33(web) gid=44(web) groups=4(logs)\n/data\nb\n33:44:640\n", "{ran:?}");
    assert_ne!(image(&dir, &["bundle", "bb", &bundle]).code(), 0, "it is there already");
}

/// kill -9 at any moment: the store verifies, and the next attempt succeeds.
#[test]
fn a_killed_import_leaves_a_sound_store() {
    let dir = Dir::new();
    let filler: String = (0..400_000).map(|number| format!("{number} ")).collect();
    let mut tar = busybox();
    for number in 0..200 {
        tar = tar.file(&format!("data/{number}"), &filler[number * 1000..number * 1000 + 20_000]);
    }
    let upper = Tar::new().dir("data/").file("data/big", &filler).end();
    let (layout, digest) = Layout::image(dir.join("layout"), &[tar.end(), upper], json!({}));
    let started = std::time::Instant::now();
    image(&dir, &["import", &layout.source(), "--name", "warm"]).ok();
    let whole = started.elapsed();
    let attempts = if support::count() > 1 { 200 } else { 6 };
    for number in 0_u32..attempts {
        fs::remove_dir_all(dir.join("store")).ok();
        let import = support::start(&mut image_command(&dir, &["import", &layout.source(), "--name", "a"]));
        // Spread over the whole time, and beyond.
        std::thread::sleep(whole * (number * 37 % 100) / 90);
        import.kill_9();
        image(&dir, &["verify"]).ok();
        let again = image(&dir, &["import", &layout.source(), "--name", "a"]);
        assert_eq!(again.ok(), format!("{digest}\n"), "attempt {number}");
        image(&dir, &["gc"]).ok();
        sound(&dir);
        let (ran, _) = sandbox(&dir, &["--image", "a", "--", "cat", "/data/199"]);
        assert_eq!(ran.ok().len(), 20_000);
    }
    dir.assert_nothing_left();
}
