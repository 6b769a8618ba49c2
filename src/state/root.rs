//! The state root: found, made and verified before anything in it is believed.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::geteuid;

use super::files;
use super::id;
use crate::error::{Call, Context, Error, Kind, Result};

/// No id begins so.
const GATE: &str = "@gate";
/// Owner only.
const PRIVATE_DIR: Mode = Mode::S_IRWXU;

/// The directory that holds one directory per container.
#[derive(Debug)]
pub struct StateRoot {
    dir: File,
    path: PathBuf,
}

impl StateRoot {
    /// Opens the state root at `path`, or at the default place, and makes it where it is missing.
    ///
    /// Links in the path before its last component are the caller's own; the last one must be
    /// a directory, owned by the caller or by root and writable by nobody else.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        match path {
            Some(path) => Self::open_at(path, PRIVATE_DIR),
            None => {
                let place = Place::here()?;
                Self::open_at(&place.path(), place.mode())
            }
        }
    }

    fn open_at(path: &Path, mode: Mode) -> Result<Self> {
        // Rebuilt from its components: a trailing slash would make the kernel follow a last link.
        let path: PathBuf = path.components().collect();
        if path.file_name().is_none() {
            return Err(Error::usage("does not name a state directory").object(path.display()));
        }
        let dir = open_or_make(&path, mode).on(path.display()).map_err(|error| match error.errno() {
            Some(Errno::EACCES | Errno::EPERM | Errno::EROFS) => {
                error.hint("set XDG_RUNTIME_DIR to a directory of your own, or give one by --root")
            }
            _ => error,
        })?;
        files::verify_private_dir(&dir).on(path.display())?;
        Ok(Self { dir, path })
    }

    /// Where it is when nobody says otherwise.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn default_path() -> Result<PathBuf> {
        Place::here().map(|place| place.path())
    }

    /// That nobody but root put it there: no component of its path is a link, and each directory above is
    /// root's and writable by nobody else, unless it is sticky: of one like /tmp what is root's stays.
    ///
    /// # Errors
    /// Whose fault which directory is.
    pub fn verify_way(&self) -> Result<()> {
        let mut place = PathBuf::from("/");
        let mut dir = open_dir(&place).call("openat2").on("/")?;
        for name in self.path.components().filter(|part| matches!(part, Component::Normal(_))) {
            place.push(name);
            dir = open_below(&dir, name.as_os_str()).call("openat2").on(place.display())?;
            let stat = fstat(&dir).call("fstat")?;
            let open = stat.st_mode & 0o022 != 0 && stat.st_mode & libc::S_ISVTX == 0;
            if stat.st_uid != 0 || open {
                return Err(Error::setup("is not root's alone").object(place.display()).field("--root"));
            }
        }
        let (found, own) = (fstat(&dir).call("fstat")?, fstat(&self.dir).call("fstat")?);
        match (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino) {
            true => Ok(()),
            false => Err(Error::new(Kind::IdentityChanged, "another directory stands there")
                .object(self.path.display())
                .field("--root")),
        }
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of all entries, sorted. A directory whose name is no id is not an entry.
    pub fn ids(&self) -> Result<Vec<String>> {
        // A filesystem may not tell the type; then opening the entry will.
        let is_dir = |kind| matches!(kind, None | Some(Type::Directory));
        names_in(&self.dir, |name, kind| is_dir(kind) && id::check(name).is_ok()).on(self.path.display())
    }

    /// The file by which launches and who ends them all wait for each other; its owner's alone.
    ///
    /// # Errors
    /// It cannot be made, or is not its owner's alone.
    pub fn gate(&self) -> Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        // Another one may take its name between the opening and the look, once.
        for _ in 0..3 {
            let file = files::open(&self.dir, GATE, flags).call("openat2").on(GATE)?;
            let stat = fstat(&file).call("fstat").on(GATE)?;
            let others = stat.st_mode & 0o077;
            let is_file = stat.st_mode & libc::S_IFMT == libc::S_IFREG;
            if !is_file || others != 0 || stat.st_uid != geteuid().as_raw() {
                return Err(Error::setup("is not a file of the caller's alone").object(GATE));
            }
            if stat.st_nlink == 1 {
                return Ok(file);
            }
        }
        Err(Error::setup("has no name, or several").object(GATE))
    }

    pub(super) fn dir(&self) -> &File {
        &self.dir
    }
}

/// The sorted names in `dir` that are `wanted`. Each call reads from the start.
pub(super) fn names_in(dir: &File, wanted: impl Fn(&str, Option<Type>) -> bool) -> Result<Vec<String>> {
    let mut listing =
        Dir::openat(dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .call("openat")?;
    let mut names = vec![];
    for entry in listing.iter() {
        let entry = entry.call("getdents64")?;
        let name = entry.file_name().to_str().ok();
        names.extend(name.filter(|name| wanted(name, entry.file_type())).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

fn open_or_make(path: &Path, mode: Mode) -> Result<File> {
    match open_dir(path) {
        Err(Errno::ENOENT) => {
            make(path, mode)?;
            open_dir(path)
        }
        opened => opened,
    }
    .map_err(|errno| match errno {
        Errno::ENOTDIR | Errno::ELOOP => {
            Error::setup("not a directory, or a symbolic link, which is not followed here")
        }
        errno => Error::call("openat2", errno),
    })
}

fn open_dir(path: &Path) -> std::result::Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, path, how).map(File::from)
}

fn open_below(dir: &File, name: &OsStr) -> std::result::Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    openat2(dir, name, OpenHow::new().flags(flags).resolve(resolve)).map(File::from)
}

/// mkdir -p: missing parents are made private too, as runc does for `--root`.
fn make(path: &Path, mode: Mode) -> Result<()> {
    match mkdirat(AT_FDCWD, path, mode) {
        Err(Errno::ENOENT) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let Some(parent) = parent else { return Err(Error::call("mkdirat", Errno::ENOENT)) };
            make(parent, PRIVATE_DIR)?;
            make_last(path, mode)
        }
        made => exists_is_fine(made),
    }
}

fn make_last(path: &Path, mode: Mode) -> Result<()> {
    exists_is_fine(mkdirat(AT_FDCWD, path, mode))
}

fn exists_is_fine(made: std::result::Result<(), Errno>) -> Result<()> {
    match made {
        Err(Errno::EEXIST) => Ok(()),
        made => made.call("mkdirat"),
    }
}

/// Whether what pinfold keeps for this caller lies where a user's things do, not root's.
///
/// # Errors
/// /proc/self/uid_map cannot be read.
pub fn is_a_users() -> Result<bool> {
    Ok(Place::here()? != Place::System)
}

/// What the default place depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    System,
    RuntimeDir(PathBuf),
    Temporary(u32),
}

impl Place {
    fn here() -> Result<Self> {
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let euid = geteuid().as_raw();
        let mapped = euid == 0 && runtime_dir.is_some() && in_user_namespace()?;
        let named_root = std::env::var_os("USER").is_some_and(|user| user == "root");
        Ok(Self::choose(euid, mapped && !named_root, runtime_dir))
    }

    /// Root has /run. A user, and a user who is root only inside a user namespace (rootless
    /// podman starts its runtime that way), has the directory of the login session.
    fn choose(euid: u32, mapped_root: bool, runtime_dir: Option<PathBuf>) -> Self {
        match runtime_dir.filter(|dir| dir.is_absolute()) {
            Some(dir) if euid != 0 || mapped_root => Self::RuntimeDir(dir),
            _ if euid == 0 => Self::System,
            _ => Self::Temporary(euid),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::System => PathBuf::from("/run/pinfold"),
            Self::RuntimeDir(dir) => dir.join("pinfold"),
            Self::Temporary(euid) => PathBuf::from(format!("/tmp/pinfold-{euid}")),
        }
    }

    /// The sticky bit keeps a cleaner of the session's directory away (XDG Base Directory
    /// Specification: old files without it may be removed).
    fn mode(&self) -> Mode {
        match self {
            Self::RuntimeDir(_) => PRIVATE_DIR | Mode::S_ISVTX,
            Self::System | Self::Temporary(_) => PRIVATE_DIR,
        }
    }
}

/// Whether this process is not root's, or is in a user namespace that does not map every id: for
/// who calls from there the policy is advice.
///
/// # Errors
/// /proc/self/uid_map cannot be read.
pub fn is_without_roots_rights() -> Result<bool> {
    Ok(!geteuid().is_root() || in_user_namespace()?)
}

/// user_namespaces(7): only the initial namespace maps every id to itself.
fn in_user_namespace() -> Result<bool> {
    let map = crate::sys::file::whole_text("/proc/self/uid_map").call("read").on("/proc/self/uid_map")?;
    Ok(!map.split_whitespace().eq(["0", "0", "4294967295"]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::state::testdir::TestDir;

    #[test]
    fn the_default_place_follows_the_user() {
        let session = || Some(PathBuf::from("/run/user/1000"));
        let table = [
            (0, false, None, "/run/pinfold"),
            (0, false, session(), "/run/pinfold"),
            (0, true, session(), "/run/user/1000/pinfold"),
            (1000, false, session(), "/run/user/1000/pinfold"),
            (1000, false, None, "/tmp/pinfold-1000"),
            (1000, false, Some(PathBuf::from("relative")), "/tmp/pinfold-1000"),
        ];
        for (euid, mapped_root, dir, path) in table {
            assert_eq!(Place::choose(euid, mapped_root, dir).path(), Path::new(path));
        }
    }

    #[test]
    fn missing_parents_are_made_private() {
        let test = TestDir::new();
        let root = StateRoot::open(Some(&test.path().join("a/b/root"))).unwrap();
        for name in ["a", "a/b", "a/b/root"] {
            assert_eq!(std::fs::metadata(test.path().join(name)).unwrap().mode() & 0o7777, 0o700, "{name}");
        }
        assert_eq!(root.path(), test.path().join("a/b/root"));
    }

    #[test]
    fn a_link_in_the_last_place_is_refused_even_with_a_slash() {
        let test = TestDir::new();
        std::fs::create_dir(test.path().join("real")).unwrap();
        symlink("real", test.path().join("link")).unwrap();
        for name in ["link", "link/", "link/."] {
            let error = StateRoot::open(Some(&test.path().join(name))).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{name}: {error}");
        }
        StateRoot::open(Some(&test.path().join("link/below")))
            .expect("a link on the way is the caller's own");
    }

    #[test]
    fn what_others_can_write_or_is_no_directory_is_refused() {
        let test = TestDir::new();
        let dir = test.path().join("dir");
        std::fs::create_dir(&dir).unwrap();
        for (mode, good) in [(0o700, true), (0o755, true), (0o770, false), (0o702, false), (0o1777, false)] {
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(StateRoot::open(Some(&dir)).is_ok(), good, "{mode:o}");
        }
        std::fs::write(test.path().join("file"), "").unwrap();
        StateRoot::open(Some(&test.path().join("file"))).unwrap_err();
        StateRoot::open(Some(Path::new("/"))).unwrap_err();
    }

    #[test]
    fn a_strangers_directory_is_refused() {
        let test = TestDir::new();
        let dir = test.path().join("dir");
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::chown(&dir, Some(1234), None).unwrap();
        let error = StateRoot::open(Some(&dir)).unwrap_err();
        assert!(error.to_string().contains("user id 1234"), "{error}");
    }

    #[test]
    fn only_ids_are_listed_and_in_order() {
        let test = TestDir::new();
        for name in ["b", "a", "@id-ranges", "not an id"] {
            std::fs::create_dir(test.path().join(name)).unwrap();
        }
        std::fs::write(test.path().join("file"), "").unwrap();
        let root = StateRoot::open(Some(test.path())).unwrap();
        assert_eq!(root.ids().unwrap(), ["a", "b"]);
        assert_eq!(root.ids().unwrap(), ["a", "b"], "a second listing starts anew");
    }
}
