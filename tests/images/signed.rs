//! `[[signature]]` of the policy, at the launch: the record that `image pull` leaves is written by hand here;
//! tests/registry.rs has it made.

use std::fs;

use serde_json::{Value, json};

use super::layout::{Layout, busybox};
use super::support::{self, Dir};
use super::{image, running};

const KEY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The records of the image `r.example/tools/a:1`.
fn record(dir: &Dir, signatures: &Value) {
    let place = dir.join("store/index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&place).unwrap()).unwrap();
    let images = index["images"].as_array_mut().unwrap();
    let entry = images.iter_mut().find(|entry| entry["name"] == "r.example/tools/a:1").unwrap();
    entry["signatures"] = signatures.clone();
    fs::write(place, index.to_string()).unwrap();
}

#[test]
fn an_image_runs_only_with_a_signature_that_the_policy_demands() {
    let dir = Dir::new();
    let (layout, digest) = Layout::image(dir.join("layout"), &[busybox().end()], json!({}));
    for name in ["r.example/tools/a:1", "r.example/other:1", "copy"] {
        image(&dir, &["import", &layout.source(), "--name", name]).ok();
    }
    let by = |key: &str, repository: &str, digest: &str| json!([{"key": key, "repository": repository, "digest": digest}]);
    let (own, digest) = ("r.example/tools/a", digest.to_string());
    let other = format!("sha256:{}", "0".repeat(64));
    let good = by(KEY, own, &digest);
    let tools = "r.example/tools/*";
    let rows = [
        ("no signature", tools, json!([]), "r.example/tools/a:1", 120, "signature.keys"),
        ("a signature", tools, good.clone(), "r.example/tools/a:1", 0, ""),
        (
            "another key's",
            tools,
            by(&"b".repeat(64), own, &digest),
            "r.example/tools/a:1",
            120,
            "signature.keys",
        ),
        ("another image's", tools, by(KEY, own, &other), "r.example/tools/a:1", 120, "signature.keys"),
        (
            "under another name",
            tools,
            by(KEY, "r.example/other", &digest),
            "r.example/tools/a:1",
            120,
            "signature.keys",
        ),
        ("by digest", tools, good.clone(), &format!("r.example/tools/a@{digest}"), 0, ""),
        (
            "by digest, unsigned",
            tools,
            json!([]),
            &format!("r.example/tools/a@{digest}"),
            120,
            "signature.keys",
        ),
        ("another name of it", "r.example/other", good.clone(), "r.example/other:1", 120, "signature.keys"),
        ("a name that no rule is about", tools, good.clone(), "copy", 120, "root.directories"),
        ("every image", "*", good.clone(), "copy", 120, "signature.keys"),
        ("every image, signed", "*", good.clone(), "r.example/tools/a:1", 0, ""),
        ("from a directory", "*", good.clone(), &layout.source(), 120, "signature.keys"),
    ];
    for (what, images, signatures, asked, code, words) in rows {
        record(&dir, &signatures);
        let policy = format!(
            "version = 1\nrunning.state_roots = [\"{}\"]\n[[signature]]\nimages = [\"{images}\"]\nkeys = [{{ path = \"/etc/pinfold/k.pem\", sha256 = \"{KEY}\" }}]\n",
            dir.state_root().display()
        );
        dir.write("policy.toml", &policy);
        let script = format!("{}\nexec $PINFOLD --root $ROOT sandbox --image {asked} -- true", running::HOST);
        let ran = support::in_own_mounts(&dir, &script);
        assert!(ran.code() == code && ran.err.contains(words), "{what}: {ran:?}");
        if words == "signature.keys" {
            assert!(ran.err.contains("policy.toml:3;"), "{what}: {ran:?}");
        }
    }
    // The list of digests still counts where it is written, and so does each rule.
    let both = format!(
        "version = 1\nrunning.state_roots = [\"{}\"]\nroot.images = [\"{other}\"]\n[[signature]]\nimages = [\"*\"]\nkeys = [{{ path = \"/k\", sha256 = \"{KEY}\" }}]\n[[signature]]\nimages = [\"r.example/*\"]\nkeys = []\n",
        dir.state_root().display()
    );
    dir.write("policy.toml", &both);
    let script =
        format!("{}\nexec $PINFOLD --root $ROOT sandbox --image r.example/tools/a:1 -- true", running::HOST);
    let ran = support::in_own_mounts(&dir, &script);
    assert!(ran.err.contains("root.images") && ran.err.contains("signature.keys"), "{ran:?}");
    assert!(
        !ran.err.contains("policy.toml:4;") && ran.err.contains("policy.toml:7;"),
        "the first rule is kept: {ran:?}"
    );
}
