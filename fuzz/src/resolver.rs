//! Paths are resolved while an adversary, who may write the tree, renames, exchanges and links in it.
//! What is found or made for a container is inside its root; what is found for a sandbox's source and
//! lies elsewhere was led there by links that are told.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{RenameFlags, renameat2};
use nix::unistd::symlinkat;
use pinfold::child::place;
use pinfold::plan::{Target, TargetKind};
use pinfold::resolve;
use pinfold::sys::file::stat;

use super::jail::Jail;

/// What paths are made of: each may be a directory, a file, or a link at any moment.
const NAMES: [&str; 8] = ["a", "b", "c", "link", "up", "..", ".", "new"];
const ROUNDS: usize = 24;

pub fn resolver(bytes: &[u8]) {
    let jail = Jail::new();
    plant(&jail);
    let forbidden = jail.forbidden();
    let stop = AtomicBool::new(false);
    let (paths, moves) = bytes.split_at(bytes.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| adversary(&jail, moves, &stop));
        let root = OwnedFd::from(jail.open_inside());
        for round in 0..ROUNDS {
            let path = path(paths, round);
            let found = place::find(root.as_fd(), &c_string(&path));
            check(found.as_ref().ok().map(AsFd::as_fd), &forbidden, &path);
            let kind = if round % 2 == 0 { TargetKind::Directory } else { TargetKind::File };
            if let Ok(target) = Target::new(&path, kind) {
                let target = if round % 3 == 0 { target.without_links() } else { target };
                let made = place::find_or_make(root.as_fd(), &target);
                check(made.as_ref().ok().map(|place| place.fd.as_fd()), &forbidden, &path);
            }
            told(root.as_fd(), &path, &forbidden);
        }
        stop.store(true, Ordering::SeqCst);
    });
    jail.check();
}

/// `a/b/c`, links out of the tree by both kinds of text, and one within.
fn plant(jail: &Jail) {
    let inside = jail.inside();
    fs::create_dir_all(inside.join("a/b/c")).unwrap();
    fs::create_dir(inside.join("c")).unwrap();
    symlink(jail.outside(), inside.join("link")).unwrap();
    symlink("../../outside", inside.join("a/link")).unwrap();
    symlink("../outside/canary", inside.join("b")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    symlink("../..", inside.join("a/up")).unwrap();
}

/// Exchanges and renames what `moves` names, and plants links anew, until it is told to stop. It acts by
/// descriptors of two directories and by plain names, so that nothing leaves the tree by its hand.
fn adversary(jail: &Jail, moves: &[u8], stop: &AtomicBool) {
    let (top, below) = (jail.open_inside(), fs::File::open(jail.inside().join("a")).unwrap());
    let places: Vec<_> = ["a", "c", "link", "b", "up", "new"]
        .iter()
        .map(|name| (&top, *name))
        .chain(["b", "link", "up", "new"].iter().map(|name| (&below, *name)))
        .collect();
    let moves = if moves.is_empty() { &[0x21_u8, 0x35, 0x70][..] } else { moves };
    for turn in moves.iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let one = places[usize::from(turn & 15) % places.len()];
        let other = places[usize::from(turn >> 4) % places.len()];
        let flags = if turn % 3 == 0 { RenameFlags::RENAME_NOREPLACE } else { RenameFlags::RENAME_EXCHANGE };
        // Most cannot be done: a directory below itself, a name that is gone.
        renameat2(one.0, one.1, other.0, other.1, flags).ok();
        if turn % 5 == 0 {
            symlinkat(&jail.outside(), one.0, one.1).ok();
        }
    }
}

fn path(bytes: &[u8], round: usize) -> PathBuf {
    let at = |index: usize| bytes.get((round * 5 + index) % bytes.len().max(1)).copied().unwrap_or(0);
    let length = 1 + usize::from(at(0) % 4);
    let names = (1..=length).map(|index| NAMES[usize::from(at(index)) % NAMES.len()]);
    let path = names.collect::<Vec<_>>().join("/");
    if at(0) & 128 != 0 { Path::new("/").join(path) } else { PathBuf::from(path) }
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap()
}

fn check(found: Option<BorrowedFd<'_>>, forbidden: &[(u64, u64)], path: &Path) {
    let Some(found) = found else { return };
    let is = identity(found);
    assert!(!forbidden.contains(&is), "{} led outside", path.display());
}

/// A sandbox's source may lie anywhere, and is judged by what was opened and by the links on the way.
fn told(root: BorrowedFd<'_>, path: &Path, forbidden: &[(u64, u64)]) {
    // `..` of the caller's own path is the caller's word.
    if path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
        return;
    }
    let Ok((found, links)) = resolve::walk(path, root) else { return };
    assert!(links.len() <= 40);
    if forbidden.contains(&identity(found.as_fd())) {
        let leads_out = |text: &Path| text.is_absolute() || text.starts_with("..");
        assert!(links.iter().any(|link| leads_out(&link.text)), "{}: {links:?}", path.display());
    }
    let own = fs::metadata("/proc/self").unwrap().uid();
    assert!(links.iter().all(|link| link.uid == own || link.uid == 0));
}

fn identity(found: BorrowedFd<'_>) -> (u64, u64) {
    let found = stat(found).unwrap();
    (found.dev, found.ino)
}
