use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::*;
use crate::state::record::{Phase, sample};
use crate::state::testdir::TestDir;

fn root(test: &TestDir) -> StateRoot {
    StateRoot::open(Some(test.path())).unwrap()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[test]
fn an_id_is_taken_once_and_free_again_after_removal() {
    let test = TestDir::new();
    let root = root(&test);
    let first = root.create("a").unwrap();
    assert_eq!(test.path().join("a").metadata().unwrap().mode() & 0o7777, 0o700);
    let error = root.create("a").unwrap_err().to_string();
    assert_eq!(error, "container with given ID already exists");
    root.remove(first).unwrap();
    assert!(!is_there(&test.path().join("a")));
    root.create("a").unwrap();
}

#[test]
fn an_unknown_id_does_not_exist() {
    let test = TestDir::new();
    let root = root(&test);
    assert_eq!(root.open_container("a").unwrap_err().to_string(), "container does not exist");
    let half = root.create("half").unwrap();
    assert_eq!(half.load().unwrap_err().to_string(), "container does not exist");
    for id in ["", "..", "a/b", "@id-ranges"] {
        assert!(root.create(id).unwrap_err().to_string().contains("invalid container ID format"), "{id}");
        assert!(root.open_container(id).unwrap_err().to_string().contains("invalid container ID format"));
    }
}

#[test]
fn a_record_and_a_configuration_are_kept() {
    let test = TestDir::new();
    let root = root(&test);
    let made = root.create("a").unwrap();
    let mut state = sample("a");
    let changes = made.lock_changes().unwrap();
    changes.save(&state).unwrap();
    state.phase = Phase::Created;
    changes.save(&state).unwrap();
    changes.save_config(b"{}").unwrap();
    drop(changes);
    let opened = root.open_container("a").unwrap();
    assert_eq!(opened.load().unwrap(), state);
    assert_eq!(opened.load_config().unwrap(), b"{}");
    for name in [STATE, CONFIG, LOCK] {
        assert_eq!(test.path().join("a").join(name).metadata().unwrap().mode() & 0o7777, 0o600, "{name}");
    }
    assert!(!is_there(&test.path().join("a").join(files::TEMPORARY)));
}

#[test]
fn a_record_of_another_container_is_not_saved() {
    let test = TestDir::new();
    let made = root(&test).create("a").unwrap();
    made.lock_changes().unwrap().save(&sample("b")).unwrap_err();
}

#[test]
fn what_a_dead_writer_left_does_not_block_the_next() {
    let test = TestDir::new();
    let made = root(&test).create("a").unwrap();
    std::fs::write(test.path().join("a").join(files::TEMPORARY), "half a rec").unwrap();
    made.lock_changes().unwrap().save(&sample("a")).unwrap();
    assert_eq!(made.load().unwrap(), sample("a"));
}

#[test]
fn links_are_neither_read_nor_written_through() {
    let test = TestDir::new();
    let root = root(&test);
    let made = root.create("a").unwrap();
    let outside = test.path().join("outside");
    std::fs::write(&outside, "untouched").unwrap();
    symlink(&outside, test.path().join("a").join(STATE)).unwrap();
    assert_eq!(made.load().unwrap_err().errno(), Some(Errno::ELOOP));
    symlink(&outside, test.path().join("a").join(files::TEMPORARY)).unwrap();
    made.lock_changes().unwrap().save(&sample("a")).unwrap();
    assert_eq!(made.load().unwrap(), sample("a"));
    symlink(test.path().join("a"), test.path().join("b")).unwrap();
    assert!(root.open_container("b").unwrap_err().to_string().ends_with("b: not a directory"));
    root.create("b").unwrap_err();
    symlink(&outside, test.path().join("a").join(CONFIG)).unwrap();
    root.remove(made).unwrap();
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "untouched");
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let test = TestDir::new();
    let root = root(&test);
    root.create("a").unwrap();
    std::fs::set_permissions(test.path().join("a"), std::fs::Permissions::from_mode(0o722)).unwrap();
    root.open_container("a").unwrap_err();
}

#[test]
fn only_known_names_are_removed() {
    let test = TestDir::new();
    let root = root(&test);
    let made = root.create("a").unwrap();
    let foreign = test.path().join("a/foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("file"), "").unwrap();
    assert_eq!(root.remove(made).unwrap_err().errno(), Some(Errno::ENOTEMPTY));
    assert!(is_there(&foreign.join("file")));
    std::fs::remove_dir_all(&foreign).unwrap();
    std::fs::create_dir(test.path().join("a").join(CONFIG)).unwrap();
    assert_eq!(root.remove(root.open_container("a").unwrap()).unwrap_err().errno(), Some(Errno::EISDIR));
}

#[test]
fn removing_a_predecessor_leaves_the_successor() {
    let test = TestDir::new();
    let root = root(&test);
    let first = root.create("a").unwrap();
    let same = root.open_container("a").unwrap();
    root.remove(first).unwrap();
    let second = root.create("a").unwrap();
    assert_eq!(same.lock_changes().unwrap_err().to_string(), "container does not exist");
    root.remove(same).unwrap();
    second.lock_changes().unwrap().save(&sample("a")).unwrap();
    assert_eq!(root.open_container("a").unwrap().load().unwrap(), sample("a"));
}

#[test]
fn the_owner_lives_until_it_lets_go_or_ends() {
    let test = TestDir::new();
    let root = root(&test);
    let mut made = root.create("a").unwrap();
    let mut seen = root.open_container("a").unwrap();
    assert!(made.owner_lives().unwrap() && seen.owner_lives().unwrap());
    assert!(!seen.claim().unwrap(), "owned");
    made.let_go();
    assert!(!made.owner_lives().unwrap() && !seen.owner_lives().unwrap());
    assert!(seen.claim().unwrap() && made.owner_lives().unwrap());
    drop(seen);
    assert!(!made.owner_lives().unwrap(), "ended");
}

#[test]
fn changes_wait_for_each_other() {
    let test = TestDir::new();
    let root = root(&test);
    let made = root.create("a").unwrap();
    let other = root.open_container("a").unwrap();
    let changes = made.lock_changes().unwrap();
    assert!(files::try_lock(&other.dir, LockMode::Exclusive).unwrap().is_none());
    drop(changes);
    assert!(files::try_lock(&other.dir, LockMode::Exclusive).unwrap().is_some());
}
