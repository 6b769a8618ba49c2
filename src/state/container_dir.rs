//! One container's directory, from its exclusive creation to its removal.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::files::{self, LockMode};
use super::id;
use super::record::State;
use super::root::StateRoot;
use crate::error::{Call, Context, Error, Result};

/// The socket on which a created container waits for `start`, bound through [`ContainerDir::fd`].
pub const START_SOCKET: &str = "start.sock";
const LOCK: &str = "lock";
const STATE: &str = "state.json";
const CONFIG: &str = "config.json";

/// Everything that may be in a container's directory. The record goes first and the owner's lock
/// last: a removal that is cut short leaves what the sweep knows as abandoned.
const KNOWN: [&str; 5] = [STATE, files::TEMPORARY, CONFIG, START_SOCKET, LOCK];

/// How often a directory is emptied before what is left in it is called foreign.
const REMOVALS: usize = 8;

/// An open container directory. Its fd names the same directory even after another container
/// has taken the id.
#[derive(Debug)]
pub struct ContainerDir {
    id: String,
    dir: File,
    /// flock(2), exclusive: says that the launcher lives.
    owner_lock: Option<File>,
}

impl StateRoot {
    /// Makes the directory of container `id` and takes its owner's lock.
    ///
    /// The lock ends with this process, or with [`ContainerDir::let_go`]. A clone shares it until
    /// it closes or executes.
    pub fn create(&self, id: &str) -> Result<ContainerDir> {
        id::check(id)?;
        // Until the owner's lock is taken, the sweep must not see an entry without an owner.
        let _root = files::lock(self.dir(), LockMode::Shared).on(self.path().display())?;
        match mkdirat(self.dir(), id, Mode::S_IRWXU) {
            Err(Errno::EEXIST) => {
                // runc's words (libcontainer.ErrExist): callers match them.
                return Err(Error::usage("container with given ID already exists"));
            }
            made => made.call("mkdirat").on(self.path().join(id).display())?,
        }
        self.own(id).inspect_err(|_| {
            // A failed launch leaves nothing; what cannot be removed now, the sweep removes.
            unlinkat(self.dir(), id, UnlinkatFlags::RemoveDir).ok();
        })
    }

    fn own(&self, id: &str) -> Result<ContainerDir> {
        let mut made = self.open_container(id)?;
        made.take_ownership().on(self.path().join(id).display())?;
        Ok(made)
    }

    /// Opens the directory of container `id`.
    pub fn open_container(&self, id: &str) -> Result<ContainerDir> {
        self.open_if_any(id)?.ok_or_else(does_not_exist)
    }

    pub(super) fn open_if_any(&self, id: &str) -> Result<Option<ContainerDir>> {
        id::check(id)?;
        let dir = match files::open(self.dir(), id, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return Err(Error::setup("not a directory").object(self.path().join(id).display()));
            }
            opened => opened.call("openat2").on(self.path().join(id).display())?,
        };
        files::verify_private_dir(&dir).on(self.path().join(id).display())?;
        Ok(Some(ContainerDir { id: id.to_owned(), dir, owner_lock: None }))
    }

    /// Whether the launcher that made this container still owns it, as [`ContainerDir::owner_lives`] says it.
    pub(super) fn is_owned(&self, id: &str) -> Result<bool> {
        id::check(id)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        match files::open(self.dir(), format!("{id}/{LOCK}").as_str(), flags) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(false),
            opened => is_locked(&opened.call("openat2").on(LOCK).on(id)?).on(id),
        }
    }

    /// Removes a container's directory: the known names in it, then itself.
    ///
    /// False when another call removed it first. A name that pinfold did not make stays, and
    /// with it the directory: an error.
    pub fn remove(&self, container: ContainerDir) -> Result<bool> {
        let path = self.path().join(&container.id);
        files::verify_private_dir(&container.dir).on(path.display())?;
        // No other container takes the id between the comparison and the removal.
        let _root = files::lock(self.dir(), LockMode::Exclusive).on(self.path().display())?;
        for _ in 0..REMOVALS {
            for name in KNOWN {
                files::unlink(&container.dir, name).on(path.display())?;
            }
            if !self.still_names(&container).on(path.display())? {
                return Ok(false);
            }
            match unlinkat(self.dir(), container.id.as_str(), UnlinkatFlags::RemoveDir) {
                Err(Errno::ENOENT) => return Ok(false),
                // A sweep beside this one makes the lock again when it asks for it.
                Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
                removed => return removed.call("unlinkat").on(path.display()).map(|()| true),
            }
        }
        let foreign = Error::call("unlinkat", Errno::ENOTEMPTY).object(path.display());
        Err(foreign.hint("it holds files that pinfold did not make; look at them and remove them"))
    }

    pub(super) fn still_names(&self, container: &ContainerDir) -> Result<bool> {
        let named = match fstatat(self.dir(), container.id.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(false),
            named => named.call("newfstatat")?,
        };
        let held = fstat(&container.dir).call("fstat")?;
        Ok((named.st_dev, named.st_ino) == (held.st_dev, held.st_ino))
    }
}

impl ContainerDir {
    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory, for the socket that is bound in it.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The record; without one the container does not exist.
    pub fn load(&self) -> Result<State> {
        self.load_if_any()?.ok_or_else(does_not_exist)
    }

    pub(super) fn load_if_any(&self) -> Result<Option<State>> {
        let text = files::read(&self.dir, STATE).on(&self.id)?;
        text.map(|text| State::from_json(&text).on(&self.id)).transpose()
    }

    /// The configuration as it was launched.
    pub fn load_config(&self) -> Result<Vec<u8>> {
        files::read(&self.dir, CONFIG).on(&self.id)?.ok_or_else(does_not_exist)
    }

    /// Waits until nobody else changes this container, then keeps everybody else from it.
    ///
    /// A container that was removed meanwhile does not exist.
    pub fn lock_changes(&self) -> Result<Changes<'_>> {
        let lock = files::lock(&self.dir, LockMode::Exclusive).on(&self.id)?;
        if fstat(&self.dir).call("fstat").on(&self.id)?.st_nlink == 0 {
            return Err(does_not_exist());
        }
        Ok(Changes { container: self, _lock: lock })
    }

    /// Whether the launcher that made this container still owns it.
    pub fn owner_lives(&self) -> Result<bool> {
        if self.owner_lock.is_some() {
            return Ok(true);
        }
        match self.open_lock(OFlag::O_RDONLY)? {
            None => Ok(false),
            Some(file) => is_locked(&file).on(&self.id),
        }
    }

    /// Ends the launcher's ownership: from now on the container lives without it.
    ///
    /// Save the record first: what is still `creating` without an owner is swept.
    pub fn let_go(&mut self) {
        self.owner_lock = None;
    }

    /// Becomes the owner where nobody is; `false` where somebody is.
    pub(super) fn claim(&mut self) -> Result<bool> {
        let Some(file) = self.open_lock(OFlag::O_RDWR | OFlag::O_CREAT)? else { return Ok(false) };
        let Some(lock) = files::try_lock(&file, LockMode::Exclusive).on(&self.id)? else { return Ok(false) };
        lock.keep();
        self.owner_lock = Some(file);
        Ok(true)
    }

    fn take_ownership(&mut self) -> Result<()> {
        let file = files::open(&self.dir, LOCK, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL);
        let file = file.call("openat2").on(LOCK)?;
        // Blocks at most for as long as somebody asks whether the owner lives.
        files::lock(&file, LockMode::Exclusive)?.keep();
        self.owner_lock = Some(file);
        Ok(())
    }

    fn open_lock(&self, flags: OFlag) -> Result<Option<File>> {
        match files::open(&self.dir, LOCK, flags) {
            Err(Errno::ENOENT) => Ok(None),
            opened => opened.call("openat2").on(LOCK).on(&self.id).map(Some),
        }
    }
}

/// The right to change a container's record, until it is dropped.
#[derive(Debug)]
pub struct Changes<'c> {
    container: &'c ContainerDir,
    _lock: files::Lock<'c>,
}

impl Changes<'_> {
    /// The record, which stays as it is read until this right ends.
    pub fn load(&self) -> Result<State> {
        self.container.load()
    }

    /// Replaces the record.
    pub fn save(&self, state: &State) -> Result<()> {
        if state.id != self.container.id {
            return Err(Error::internal(format!("the record of {} in the directory of another", state.id)));
        }
        files::replace(&self.container.dir, STATE, &state.to_json()?).on(&self.container.id)
    }

    /// Replaces the copy of the configuration.
    pub fn save_config(&self, text: &[u8]) -> Result<()> {
        files::replace(&self.container.dir, CONFIG, text).on(&self.container.id)
    }
}

/// runc's words (libcontainer.ErrNotExist): containerd and podman match them.
fn does_not_exist() -> Error {
    Error::usage("container does not exist")
}

/// Whether somebody holds a lock alone.
fn is_locked(file: &File) -> Result<bool> {
    files::try_lock(file, LockMode::Shared).map(|taken| taken.is_none())
}

#[cfg(test)]
mod tests;
