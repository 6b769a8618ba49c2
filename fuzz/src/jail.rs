//! A directory of its own for one input, with a canary beside it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// `inside` is what hostile input may change, `outside/canary` what it must not reach.
pub struct Jail {
    top: PathBuf,
}

impl Jail {
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pinfold-fuzz-{}-{number}", std::process::id());
        let top = std::env::temp_dir().join(name);
        fs::create_dir(&top).unwrap();
        fs::create_dir(top.join("inside")).unwrap();
        fs::create_dir(top.join("outside")).unwrap();
        fs::write(top.join("outside/canary"), "untouched").unwrap();
        Self { top }
    }

    pub fn inside(&self) -> PathBuf {
        self.top.join("inside")
    }

    pub fn outside(&self) -> PathBuf {
        self.top.join("outside")
    }

    pub fn open_inside(&self) -> File {
        File::open(self.inside()).unwrap()
    }

    /// Device and inode of what must not be reached.
    pub fn forbidden(&self) -> Vec<(u64, u64)> {
        let identity =
            |path: &Path| fs::symlink_metadata(path).map(|found| (found.dev(), found.ino())).unwrap();
        [&self.top, &self.outside(), &self.outside().join("canary")].map(|path| identity(path)).to_vec()
    }

    /// Nothing beside `inside` has changed.
    pub fn check(&self) {
        let canary = self.outside().join("canary");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched");
        assert_eq!(fs::metadata(&canary).unwrap().nlink(), 1, "somebody linked the canary");
        for (path, entries) in [(&self.top, 2), (&self.outside(), 1)] {
            assert_eq!(fs::read_dir(path).unwrap().count(), entries, "{}", path.display());
        }
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.top).ok();
    }
}
