//! The store on a real filesystem: what comes in, what a crash leaves, what is removed.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::image::spec::MediaType;
use crate::types::{Digest, ImageRef};

static NEXT: AtomicU32 = AtomicU32::new(0);

struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pinfold-store-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("store")
    }

    fn open(&self) -> Store {
        Store::open(Some(&self.path()), Hold::Shared).unwrap()
    }

    fn alone(&self) -> Store {
        Store::open(Some(&self.path()), Hold::Exclusive).unwrap()
    }

    fn names(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join(below)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn expected(content: &[u8]) -> Expected {
    Expected {
        digest: Some(Digest::of(content)),
        size: Some(content.len() as u64),
        limit: content.len() as u64,
    }
}

#[test]
fn a_blob_that_is_what_was_promised_is_kept() {
    let place = Place::new();
    let store = place.open();
    let stored = store.ingest(expected(b"abc"), &mut &b"abc"[..]).unwrap();
    let mut content = vec![];
    store.blob(&stored.digest).unwrap().read_to_end(&mut content).unwrap();
    assert_eq!((content.as_slice(), stored.size), (&b"abc"[..], 3));
    let path = place.path().join("blobs/sha256").join(stored.digest.hex());
    assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o400);
    assert!(matches!(store.begin(expected(b"abc")).unwrap(), Begun::Present(_)));
    let unknown = Expected { digest: None, size: None, limit: 10 };
    assert_eq!(store.ingest(unknown, &mut &b"xyz"[..]).unwrap().digest, Digest::of(b"xyz"));
    assert!(place.names("tmp").is_empty());
}

#[test]
fn a_blob_that_is_something_else_leaves_nothing() {
    let place = Place::new();
    let store = place.open();
    let rows: [(&[u8], &str); 4] = [
        (b"abd", "has the digest"),
        (b"ab", "has 2 bytes"),
        (b"abcd", "larger than 3"),
        (b"", "has 0 bytes"),
    ];
    for (content, words) in rows {
        let error = store.ingest(expected(b"abc"), &mut &*content).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(Digest::of(b"abc").as_str()), "{error}");
        assert!(place.names("tmp").is_empty() && place.names("blobs/sha256").is_empty(), "{words}");
    }
}

#[test]
fn an_interrupted_blob_is_gone_on_with() {
    let place = Place::new();
    let store = place.open();
    let Begun::Missing(mut first) = store.begin(expected(b"abcdef")).unwrap() else {
        panic!("there already")
    };
    first.write(b"abc").unwrap();
    drop(first);
    let Begun::Missing(mut second) = store.begin(expected(b"abcdef")).unwrap() else {
        panic!("there already")
    };
    assert_eq!(second.offset(), 3);
    second.write(b"def").unwrap();
    second.finish().unwrap();
    store.verify_blob(&Digest::of(b"abcdef")).unwrap();
    assert!(place.names("tmp").is_empty());
}

#[test]
fn what_a_stranger_left_under_the_name_of_a_partial_blob_is_not_believed() {
    let place = Place::new();
    let store = place.open();
    let name = format!("tmp/blob-{}", Digest::of(b"abcdef").hex());
    std::fs::write(place.path().join(&name), b"xxx").unwrap();
    let Begun::Missing(mut ingest) = store.begin(expected(b"abcdef")).unwrap() else {
        panic!("there already")
    };
    ingest.write(b"def").unwrap();
    assert!(ingest.finish().unwrap_err().to_string().contains("has the digest"));
    symlink("/etc/passwd", place.path().join(&name)).unwrap();
    store.begin(expected(b"abcdef")).unwrap_err();
}

#[test]
fn the_directory_is_its_owners_alone() {
    let place = Place::new();
    drop(place.open());
    assert_eq!(std::fs::metadata(place.path()).unwrap().mode() & 0o777, 0o700);
    for mode in [0o710, 0o701, 0o722, 0o755] {
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(mode)).unwrap();
        let error = Store::open(Some(&place.path()), Hold::Shared).unwrap_err().to_string();
        assert!(error.contains("others"), "{mode:o}: {error}");
    }
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o700)).unwrap();
    symlink("store", place.0.join("link")).unwrap();
    for name in ["link", "link/"] {
        Store::open(Some(&place.0.join(name)), Hold::Shared).unwrap_err();
    }
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(place.path(), Some(1234), None).unwrap();
        let error = Store::open(Some(&place.path()), Hold::Shared).unwrap_err().to_string();
        assert!(error.contains("user id 1234"), "{error}");
    }
}

#[test]
fn a_newer_store_and_a_foreign_directory_are_refused_by_name() {
    let place = Place::new();
    drop(place.open());
    std::fs::write(place.path().join(FORMAT), r#"{"version":2}"#).unwrap();
    let error = Store::open(Some(&place.path()), Hold::Shared).unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains("newer"), "{error}");
    let other = Place::new();
    std::fs::create_dir(other.path()).unwrap();
    std::fs::set_permissions(other.path(), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(other.path().join("thesis.txt"), "").unwrap();
    let error = Store::open(Some(&other.path()), Hold::Shared).unwrap_err().to_string();
    assert!(error.contains("thesis.txt"), "{error}");
}

#[test]
fn what_has_the_name_of_a_blob_must_be_a_file() {
    let place = Place::new();
    let store = place.open();
    let digest = Digest::of(b"x");
    let path = place.path().join("blobs/sha256").join(digest.hex());
    symlink("/etc/passwd", &path).unwrap();
    store.blob(&digest).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    store.blob(&digest).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "y").unwrap();
    assert!(store.document(&digest).unwrap_err().to_string().contains("was changed"));
    assert!(store.verify_blob(&digest).unwrap_err().to_string().contains("was changed"));
}

/// An image of one layer, whose archive is only some bytes.
fn image(store: &Store, word: &str) -> (Digest, Digest) {
    let layer = store.ingest_bytes(format!("layer {word}").as_bytes()).unwrap();
    let diff_id = Digest::of(word.as_bytes());
    let config =
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let config = store.ingest_bytes(config.to_string().as_bytes()).unwrap();
    let blob = |kind: MediaType, stored: &Stored| json!({"mediaType": kind.oci(), "digest": stored.digest, "size": stored.size});
    let plain = MediaType::Layer(crate::image::spec::LayerCompression::Plain);
    let manifest = json!({"schemaVersion": 2, "config": blob(MediaType::Config, &config), "layers": [blob(plain, &layer)]});
    (store.ingest_bytes(manifest.to_string().as_bytes()).unwrap().digest, diff_id)
}

fn entry(name: &str, digest: &Digest) -> Entry {
    Entry {
        name: Some(name.to_owned()),
        digest: digest.clone(),
        indexes: vec![],
        added: "2026-01-01T00:00:00Z".to_owned(),
        signatures: vec![],
    }
}

fn fill(store: &Store, chain: &Digest) -> Layer {
    let Staged::Empty(staging) = store.stage(chain, Form::Plain).unwrap() else { panic!("there already") };
    nix::sys::stat::mkdirat(staging.tree(), "deep", nix::sys::stat::Mode::S_IRWXU).unwrap();
    staging.publish(&LayerInfo::new(chain.clone(), 1, 1)).unwrap()
}

#[test]
fn a_reference_means_one_image() {
    let place = Place::new();
    let store = place.open();
    let ((one, _), (two, _)) = (image(&store, "1"), image(&store, "2"));
    store.add(entry("a:latest", &one)).unwrap();
    let resolve = |text: &str| store.resolve(&text.parse::<ImageRef>().unwrap()).map(|entry| entry.digest);
    assert_eq!(resolve("a").unwrap(), one);
    assert_eq!(resolve(&format!("anything@{one}")).unwrap(), one);
    assert!(resolve(&format!("a:latest@{two}")).unwrap_err().to_string().contains("another image"));
    resolve("a:other").unwrap_err();
    resolve(&format!("a@{two}")).unwrap_err();
    store.add(entry("a:latest", &two)).unwrap();
    assert_eq!((resolve("a").unwrap(), store.images().unwrap().len()), (two, 1));
}

#[test]
fn what_no_image_needs_is_collected_and_nothing_else() {
    let place = Place::new();
    let store = place.open();
    let ((one, chain_one), (two, chain_two)) = (image(&store, "1"), image(&store, "2"));
    fill(&store, &chain_one);
    fill(&store, &chain_two);
    store.add(entry("a:latest", &one)).unwrap();
    store.add(entry("b:latest", &two)).unwrap();
    let unfinished = store.begin(expected(b"never finished")).unwrap();
    drop(unfinished);
    drop(store);
    let alone = place.alone();
    assert_eq!(alone.collect().unwrap(), Collected { unfinished: 1, ..Collected::default() });
    alone.forget(|known| known.name.as_deref() == Some("b:latest")).unwrap();
    let collected = alone.collect().unwrap();
    assert_eq!((collected.blobs, collected.layers), (3, 1));
    assert!(alone.layer(&chain_one).unwrap().is_some() && alone.layer(&chain_two).unwrap().is_none());
    alone.document(&one).unwrap();
    assert!(place.names("tmp").is_empty());
}

#[test]
fn a_leased_layer_stays_until_its_holder_ends() {
    let place = Place::new();
    let store = place.open();
    let (one, chain) = image(&store, "1");
    fill(&store, &chain);
    let lease = store.lease(&one, vec![chain.clone()]).unwrap();
    drop(store);
    let alone = place.alone();
    alone.collect().unwrap();
    assert!(alone.layer(&chain).unwrap().is_some());
    // Held by a process, it stays when its file is closed.
    lease.keep(&crate::state::Process::current().unwrap()).unwrap();
    alone.collect().unwrap();
    assert!(alone.layer(&chain).unwrap().is_some());
    let lease = alone.lease(&one, vec![chain.clone()]).unwrap();
    lease.keep(&serde_json::from_value(json!({"pid": i32::MAX, "startTime": 1})).unwrap()).unwrap();
    let dead = place.names("leases");
    assert_eq!(dead.len(), 2);
    alone.collect().unwrap();
    assert_eq!(place.names("leases").len(), 1, "of the two one is of a process that never was");
}

#[test]
fn a_damaged_image_stops_a_collection_before_it_removes_anything() {
    let place = Place::new();
    let store = place.open();
    let (one, _) = image(&store, "1");
    store.add(entry("a:latest", &one)).unwrap();
    store.ingest_bytes(b"of no image").unwrap();
    std::fs::remove_file(place.path().join("blobs/sha256").join(one.hex())).unwrap();
    drop(store);
    place.alone().collect().unwrap_err();
    assert_eq!(place.names("blobs/sha256").len(), 3);
}

#[test]
fn a_tree_that_was_begun_is_begun_anew() {
    let place = Place::new();
    let store = place.open();
    let chain = Digest::of(b"chain");
    let Staged::Empty(staging) = store.stage(&chain, Form::Plain).unwrap() else { panic!("there already") };
    // What a hostile layer may have left: nothing can be entered, and a link leads out.
    let tree = place.path().join(format!("tmp/layer-{}/tree", chain.hex()));
    std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
    std::fs::write(place.0.join("canary"), "alive").unwrap();
    symlink(&place.0, tree.join("a/out")).unwrap();
    std::fs::set_permissions(tree.join("a/b"), PermissionsExt::from_mode(0o0)).unwrap();
    drop(staging);
    let Staged::Empty(staging) = store.stage(&chain, Form::Plain).unwrap() else { panic!("there already") };
    assert_eq!(std::fs::read_dir(&tree).unwrap().count(), 0);
    assert!(place.0.join("canary").metadata().is_ok());
    staging.discard().unwrap();
    assert!(place.names("tmp").is_empty());
    fill(&store, &chain);
    assert!(matches!(store.stage(&chain, Form::Plain).unwrap(), Staged::Present(_)));
}

#[test]
fn a_deep_tree_is_removed_with_few_descriptors() {
    let place = Place::new();
    let store = place.open();
    let chain = Digest::of(b"deep");
    let Staged::Empty(staging) = store.stage(&chain, Form::Plain).unwrap() else { panic!("there already") };
    let mut below = staging.tree().try_clone().unwrap();
    for _ in 0..1200 {
        nix::sys::stat::mkdirat(&below, "d", nix::sys::stat::Mode::S_IRWXU).unwrap();
        below = files::open_dir(&below, "d").unwrap().unwrap();
    }
    staging.discard().unwrap();
    assert!(place.names("tmp").is_empty());
}

#[test]
fn who_wants_the_same_waits_for_its_maker() {
    let place = Place::new();
    let chain = Digest::of(b"chain");
    let begun = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| {
            let store = place.open();
            let Staged::Empty(staging) = store.stage(&chain, Form::Plain).unwrap() else {
                panic!("there already")
            };
            begun.wait();
            std::thread::sleep(std::time::Duration::from_millis(100));
            staging.publish(&LayerInfo::new(chain.clone(), 1, 1)).unwrap();
        });
        begun.wait();
        let store = place.open();
        assert!(matches!(store.stage(&chain, Form::Plain).unwrap(), Staged::Present(_)));
        maker.join().unwrap();
    });
}
