//! What the parts of the root are on this host: directory, file, link, or absent.
//!
//! Only root can change these paths; what is bound is opened again, and judged, by `resolve`.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2, readlink, readlinkat};
use nix::sys::stat::{SFlag, fstat};

use super::skeleton::host_binds;
use crate::error::{Call, Context, Error, Result};

/// What stands at a path of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostObject {
    /// Nothing.
    Absent,
    /// A directory.
    Dir {
        /// Its path without links.
        real: PathBuf,
    },
    /// A regular file.
    File {
        /// Its path without links.
        real: PathBuf,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: PathBuf,
        /// What it ends at; never a link, [`HostObject::Absent`] where it dangles.
        leads_to: Box<HostObject>,
    },
}

/// The facts about the host that [`plan`](super::plan) decides on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostRootFacts(BTreeMap<&'static str, HostObject>);

impl HostRootFacts {
    /// Looks at every source of [`host_binds`].
    pub fn read() -> Result<Self> {
        let look = |path: &'static str| Ok((path, look_at(path).on(path)?));
        host_binds().iter().map(|bind| look(bind.source)).collect::<Result<_>>().map(Self)
    }

    /// Facts as they are given; what is not named is absent.
    pub fn of(objects: impl IntoIterator<Item = (&'static str, HostObject)>) -> Self {
        Self(objects.into_iter().collect())
    }

    /// What is at `path`.
    pub fn object(&self, path: &str) -> &HostObject {
        self.0.get(path).unwrap_or(&HostObject::Absent)
    }
}

fn look_at(path: &str) -> Result<HostObject> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC);
    let found = match openat2(AT_FDCWD, path, how.resolve(ResolveFlag::RESOLVE_NO_SYMLINKS)) {
        // A parent is a link (/etc/ssl on some hosts): its real path is needed.
        Err(Errno::ELOOP) => return follow(path),
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(HostObject::Absent),
        found => found.call("openat2")?,
    };
    match SFlag::from_bits_truncate(fstat(&found).call("fstat")?.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFLNK => {
            let target = PathBuf::from(readlinkat(&found, "").call("readlinkat")?);
            Ok(HostObject::Link { target, leads_to: Box::new(follow(path)?) })
        }
        kind => object(kind, PathBuf::from(path)),
    }
}

fn follow(path: &str) -> Result<HostObject> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
    let found = match openat2(AT_FDCWD, path, how.resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS)) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(HostObject::Absent),
        found => found.call("openat2")?,
    };
    let kind = SFlag::from_bits_truncate(fstat(&found).call("fstat")?.st_mode & SFlag::S_IFMT.bits());
    let own_name = format!("/proc/self/fd/{}", found.as_raw_fd());
    object(kind, PathBuf::from(readlink(Path::new(&own_name)).call("readlink").on(own_name)?))
}

fn object(kind: SFlag, real: PathBuf) -> Result<HostObject> {
    match kind {
        SFlag::S_IFDIR => Ok(HostObject::Dir { real }),
        SFlag::S_IFREG => Ok(HostObject::File { real }),
        _ => Err(Error::setup("neither a directory nor a regular file")),
    }
}
