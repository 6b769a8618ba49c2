//! A place for one case: a staging directory, a canary beside it, and what a tree looks like.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use pinfold::error::Result;
use pinfold::image::unpack::{self, Compression, Options, Unpacked, Whiteouts};

/// What the canary says while nobody touched it.
const CANARY: &str = "untouched";

/// Everything of one case; removed in the end.
pub struct Place {
    path: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pinfold-unpack-{}-{serial}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("outside")).unwrap();
        fs::write(path.join("outside/canary"), CANARY).unwrap();
        fs::create_dir(path.join("staging")).unwrap();
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn staging(&self) -> PathBuf {
        self.path.join("staging")
    }

    /// The canary's absolute path, for links that lead there.
    pub fn canary(&self) -> String {
        self.path.join("outside/canary").to_str().unwrap().to_owned()
    }

    pub fn outside(&self) -> String {
        self.path.join("outside").to_str().unwrap().to_owned()
    }

    pub fn unpack(&self, blob: &[u8], options: &Options) -> Result<Unpacked> {
        self.unpack_as(blob, Compression::None, options)
    }

    pub fn unpack_as(&self, blob: &[u8], compression: Compression, options: &Options) -> Result<Unpacked> {
        keep(blob);
        let staging = File::open(self.staging()).unwrap();
        unpack::layer(blob, compression, staging.as_fd(), options)
    }

    /// Unpacks, and shows what stands in the staging directory then.
    pub fn tree(&self, blob: &[u8], options: &Options) -> Tree {
        self.unpack(blob, options).unwrap_or_else(|error| panic!("{error}"));
        self.show()
    }

    pub fn show(&self) -> Tree {
        Tree::of(&self.staging())
    }

    /// The layer is refused with these words; nothing is left.
    #[track_caller]
    pub fn refused(&self, blob: &[u8], options: &Options, words: &str) {
        match self.unpack(blob, options) {
            Ok(_) => panic!("it was unpacked: {:#?}", self.show()),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(words), "{text:?} does not say {words:?}");
                self.assert_empty();
            }
        }
        self.assert_untouched();
    }

    /// As [`Place::refused`], in a place of its own.
    #[track_caller]
    pub fn refused_elsewhere(&self, blob: &[u8], options: &Options, words: &str) {
        Self::new().refused(blob, options, words);
    }

    /// A blob that is refused with these words; nothing is left.
    #[track_caller]
    pub fn refused_as(&self, blob: &[u8], compression: Compression, words: &str) {
        let error = match self.unpack_as(blob, compression, &Options::default()) {
            Ok(_) => panic!("it was unpacked: {:#?}", self.show()),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(words), "{error:?} does not say {words:?}");
        self.assert_empty();
    }

    pub fn unpack_from(
        &self,
        blob: impl std::io::Read,
        compression: Compression,
        options: &Options,
    ) -> Result<Unpacked> {
        let staging = File::open(self.staging()).unwrap();
        unpack::layer(blob, compression, staging.as_fd(), options)
    }

    /// The first and the last four bytes of a file.
    pub fn ends_of(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        use std::os::unix::fs::FileExt;
        let file = File::open(self.staging().join(name)).unwrap();
        let (mut first, mut last) = (vec![0; 4], vec![0; 4]);
        file.read_exact_at(&mut first, 0).unwrap();
        file.read_exact_at(&mut last, file.metadata().unwrap().len() - 4).unwrap();
        (first, last)
    }

    #[track_caller]
    pub fn assert_empty(&self) {
        let left = fs::read_dir(self.staging()).unwrap().flatten().collect::<Vec<_>>();
        assert!(left.is_empty(), "left: {left:?}");
    }

    /// Outside of the staging directory everything is as it was.
    #[track_caller]
    pub fn assert_untouched(&self) {
        let canary = self.path.join("outside/canary");
        let stat = fs::symlink_metadata(&canary).unwrap();
        assert_eq!(fs::read_to_string(&canary).unwrap(), CANARY);
        assert_eq!((stat.nlink(), stat.uid(), stat.mode() & 0o7777), (1, 0, 0o644), "the canary");
        let names = |path: &Path| fs::read_dir(path).unwrap().flatten().count();
        assert_eq!((names(&self.path), names(&self.path.join("outside"))), (2, 1), "something is outside");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// Writes each layer to the directory PINFOLD_CORPUS, for tests/unpack/control.sh.
fn keep(blob: &[u8]) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if let Some(corpus) = std::env::var_os("PINFOLD_CORPUS").filter(|_| blob.len() < 1 << 22) {
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        fs::write(Path::new(&corpus).join(format!("{serial:04}")), blob).unwrap();
    }
}

pub fn apply() -> Options {
    Options { whiteouts: Whiteouts::Apply, ..Options::default() }
}

/// One line per file: everything that stat(2), readlink(2) and the attributes tell.
#[derive(PartialEq, Eq, Debug, Clone)]
pub struct Tree(pub BTreeMap<Vec<u8>, String>);

impl Tree {
    pub fn of(root: &Path) -> Self {
        let mut tree = Self(BTreeMap::new());
        let mut links = BTreeMap::new();
        tree.add(root, b"", &mut links);
        tree
    }

    fn add(&mut self, path: &Path, name: &[u8], links: &mut BTreeMap<u64, Vec<u8>>) {
        let stat = fs::symlink_metadata(path).unwrap();
        let kind = stat.file_type();
        let what = match () {
            () if kind.is_symlink() => format!("link to {:?}", fs::read_link(path).unwrap()),
            () if kind.is_dir() => "directory".to_owned(),
            () if kind.is_fifo() => "fifo".to_owned(),
            () if kind.is_char_device() => format!("character {:#x}", stat.rdev()),
            () if kind.is_block_device() => format!("block {:#x}", stat.rdev()),
            () => content(path, stat.len()),
        };
        // The same inode under several names.
        let same = match (kind.is_dir(), stat.nlink() > 1) {
            (false, true) => {
                let first = links.entry(stat.ino()).or_insert_with(|| name.to_vec());
                format!(" same as {:?}", String::from_utf8_lossy(first))
            }
            _ => String::new(),
        };
        let mode = stat.permissions().mode() & 0o7777;
        let line = format!(
            "{what} {mode:04o} {}:{} {}.{:09}{}{same}",
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.mtime_nsec(),
            attributes(path)
        );
        self.0.insert(name.to_vec(), line);
        if kind.is_dir() {
            let mut entries =
                fs::read_dir(path).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
            entries.sort();
            for entry in entries {
                let below =
                    [name, if name.is_empty() { b"".as_slice() } else { b"/" }, entry.as_bytes()].concat();
                self.add(&path.join(&entry), &below, links);
            }
        }
    }

    /// One line per file, to be compared across processes.
    pub fn lines(&self) -> String {
        let line =
            |(name, line): (&Vec<u8>, &String)| format!("{:?} {line}\n", String::from_utf8_lossy(name));
        self.0.iter().map(line).collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[track_caller]
    pub fn line(&self, name: &str) -> &str {
        self.0.get(name.as_bytes()).unwrap_or_else(|| panic!("no {name:?} in {self:#?}"))
    }

    #[track_caller]
    pub fn assert_line(&self, name: &str, start: &str) {
        assert!(self.line(name).starts_with(start), "{name}: {:?} is not {start:?}", self.line(name));
    }

    /// The same, with holes as good as zeros.
    pub fn without_holes(mut self) -> Self {
        self.0.values_mut().for_each(|line| *line = line.replace(" sparse", ""));
        self
    }

    /// What differs, one line each.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys()).collect::<std::collections::BTreeSet<_>>();
        let differs = |name: &&&Vec<u8>| self.0.get(**name) != other.0.get(**name);
        let line = |name: &Vec<u8>| {
            format!("{:?}: {:?} / {:?}", String::from_utf8_lossy(name), self.0.get(name), other.0.get(name))
        };
        names.iter().filter(differs).map(|name| line(name)).collect()
    }
}

fn content(path: &Path, length: u64) -> String {
    use sha2::{Digest, Sha256};
    let blocks = fs::symlink_metadata(path).unwrap().blocks();
    let sparse = if length > 1 << 20 && blocks * 512 < length / 2 { " sparse" } else { "" };
    let mut digest = Sha256::new();
    // A file of terabytes is only holes.
    if length < 1 << 32 {
        digest.update(fs::read(path).unwrap());
    }
    let digest = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("file {length}{sparse} {digest}")
}

/// The attributes, without following a link.
#[allow(unsafe_code, reason = "listxattr(2) has no safe form here")]
fn attributes(path: &Path) -> String {
    let path = CString::new(path.as_os_str().to_owned().into_vec()).unwrap();
    let mut names = vec![0_u8; 65536];
    // SAFETY: the kernel reads the string and writes at most the length of the buffer.
    let length = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(usize::try_from(length).unwrap_or(0));
    let mut shown = vec![];
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 65536];
        let c_name = CString::new(name).unwrap();
        // SAFETY: as above.
        let length = unsafe {
            libc::lgetxattr(path.as_ptr(), c_name.as_ptr(), value.as_mut_ptr().cast(), value.len())
        };
        value.truncate(usize::try_from(length).unwrap_or(0));
        shown.push(format!(" {}={}", String::from_utf8_lossy(name), value.escape_ascii()));
    }
    shown.sort();
    shown.concat()
}
