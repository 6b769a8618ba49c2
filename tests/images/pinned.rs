//! A reference with the digest of an index means the image that came by that index: what the
//! store's record says of it counts only as far as the verified documents say the same.

use std::fs;

use serde_json::{Value, json};

use super::layout::{INDEX, Layout, Tar, architecture, busybox};
use super::support::{self, Dir};
use super::{image, running, sandbox};

/// An image behind two indexes: the digests of both, the outer one first, and of its manifest.
fn nested(dir: &Dir, place: &str, layer: Vec<u8>) -> (Layout, [String; 3]) {
    let mut layout = Layout::new(dir.join(place));
    let mut manifests = vec![];
    for machine in [architecture(), "s390x"] {
        let mut manifest = layout.manifest_for(machine, std::slice::from_ref(&layer), json!({}));
        manifest["platform"] = json!({"os": "linux", "architecture": machine});
        manifests.push(manifest);
    }
    let index = |manifests: &[Value]| {
        let text = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string();
        layout.blob(INDEX, text.as_bytes())
    };
    let inner = index(&manifests);
    let outer = index(std::slice::from_ref(&inner));
    let digests = [&outer, &inner, &manifests[0]].map(|it| it["digest"].as_str().unwrap().to_owned());
    layout.manifests = vec![outer];
    layout.write();
    (layout, digests)
}

fn meant(dir: &Dir, reference: &str) -> String {
    let inspected: Value = serde_json::from_str(image(dir, &["inspect", reference]).ok()).unwrap();
    inspected["digest"].as_str().unwrap().to_owned()
}

#[test]
fn the_digest_of_an_index_means_the_image_that_came_by_it() {
    let dir = Dir::new();
    let (layout, digests) = nested(&dir, "layout", busybox().end());
    let [outer, _, manifest] = &digests;
    image(&dir, &["import", &layout.source(), "--name", &format!("a:1@{outer}")]).ok();
    image(&dir, &["gc"]).ok();
    image(&dir, &["verify"]).ok();
    for digest in &digests {
        assert_eq!(meant(&dir, &format!("a:1@{digest}")), *manifest);
        assert_eq!(meant(&dir, &format!("whatever@{digest}")), *manifest);
    }
    let (ran, report) = sandbox(&dir, &["--image", &format!("a:1@{outer}"), "--", "true"]);
    assert!(ran.code() == 0 && report["image"]["digest"] == json!(manifest), "{ran:?} {report}");
    let (_, [other, ..]) = nested(&dir, "other", Tar::new().dir("./").end());
    for reference in [format!("a:1@{other}"), format!("a@{other}")] {
        assert_ne!(image(&dir, &["inspect", &reference]).code(), 0, "{reference}");
    }
    let refused = image(&dir, &["import", &layout.source(), "--name", &format!("a:1@{other}")]);
    assert!(refused.code() != 0 && refused.err.contains("--name"), "{refused:?}");
    // Another image of the same index: by digest alone nothing is guessed.
    image(&dir, &["import", &layout.source(), "--platform", "linux/s390x", "--name", "b", "--no-unpack"])
        .ok();
    let unclear = image(&dir, &["inspect", &format!("whatever@{outer}")]);
    assert!(unclear.code() != 0 && unclear.err.contains("several of its images"), "{unclear:?}");
    assert_eq!(meant(&dir, &format!("a:1@{outer}")), *manifest);
    for name in ["a:1", "b"] {
        image(&dir, &["remove", name]).ok();
    }
    image(&dir, &["gc"]).ok();
    assert!(super::names(&dir, "blobs/sha256").is_empty(), "the indexes go with their images");
}

#[test]
fn a_record_that_the_documents_do_not_bear_out_is_not_believed() {
    let dir = Dir::new();
    let (layout, [outer, inner, _]) = nested(&dir, "layout", Tar::new().dir("./").end());
    let (other, [foreign, ..]) = nested(&dir, "other", Tar::new().dir("./").file("a", "x").end());
    for (source, name) in [(&layout, "a"), (&other, "b")] {
        image(&dir, &["import", &source.source(), "--name", name]).ok();
    }
    let record = dir.join("store/index.json");
    let sound = fs::read_to_string(&record).unwrap();
    let first = sound.replacen(&outer, &foreign, 1);
    let alone = sound.replacen(&format!("[\"{outer}\",\"{inner}\"]"), &format!("[\"{outer}\"]"), 1);
    for (what, text, pin) in [("a foreign index", &first, &foreign), ("one left out", &alone, &outer)] {
        assert_ne!(*text, sound, "{what}");
        fs::write(&record, text).unwrap();
        let refused = image(&dir, &["inspect", &format!("a:latest@{pin}")]);
        assert!(refused.code() != 0 && refused.err.contains("does not name"), "{what}: {refused:?}");
        assert!(image(&dir, &["verify", "a"]).out.contains("does not name"), "{what}");
    }
    fs::write(&record, sound).unwrap();
    let blob = dir.join("store/blobs/sha256").join(outer.trim_start_matches("sha256:"));
    let text = fs::read(&blob).unwrap();
    for (what, content, words) in [
        ("a changed index", Some([text.as_slice(), b" "].concat()), "was changed"),
        ("a missing one", None, "is missing"),
    ] {
        match content {
            Some(content) => fs::write(&blob, content).unwrap(),
            None => fs::remove_file(&blob).unwrap(),
        }
        let refused = image(&dir, &["inspect", &format!("a:latest@{outer}")]);
        assert!(refused.code() != 0 && refused.err.contains(words), "{what}: {refused:?}");
        assert_eq!(image(&dir, &["verify", "a"]).code(), 1, "{what}");
    }
}

#[test]
fn an_image_without_a_name_takes_none_away() {
    let dir = Dir::new();
    let (layout, [_, _, manifest]) = nested(&dir, "layout", busybox().end());
    image(&dir, &["import", &layout.source(), "--name", "kept"]).ok();
    image(&dir, &["import", &layout.source()]).ok();
    sandbox(&dir, &["--image", &layout.source(), "--", "true"]).0.ok();
    let list: Value = serde_json::from_str(image(&dir, &["list", "--format", "json"]).ok()).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!((&list[0]["name"], &list[0]["digest"]), (&json!("kept:latest"), &json!(manifest)));
}

#[test]
fn the_policy_counts_the_digest_of_the_manifest() {
    let dir = Dir::new();
    let (layout, [outer, _, manifest]) = nested(&dir, "layout", busybox().end());
    image(&dir, &["import", &layout.source(), "--name", "bb"]).ok();
    let state = dir.state_root();
    for (listed, code) in [(&manifest, 0), (&outer, 120)] {
        let policy = format!(
            "version = 1\nrunning.state_roots = [\"{}\"]\nroot.images = [\"{listed}\"]\n",
            state.display()
        );
        dir.write("policy.toml", &policy);
        let script = format!(
            "{}\nexec $PINFOLD --root $ROOT sandbox --image bb:latest@{outer} -- true",
            running::HOST
        );
        let ran = support::in_own_mounts(&dir, &script);
        assert!(ran.code() == code && (code == 0 || ran.err.contains("root.images")), "{listed}: {ran:?}");
    }
}
