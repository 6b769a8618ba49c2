//! Which network device is which, across namespaces: by its directory in sysfs.
//!
//! Name and number are those of a place, and root of a network namespace gives them to what it
//! likes. The directory belongs to the device: it moves along, its inode number is never used again,
//! and its `ifindex` tells the number that the device has now. sysfs(5), network_namespaces(7).

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use crate::error::{Call, Context, Error, Result};
use crate::sys;

/// The devices of one network namespace: a sysfs that is attached nowhere.
#[derive(Debug)]
pub(super) struct Nodes {
    sysfs: OwnedFd,
}

/// One device, wherever it is.
#[derive(Debug)]
pub(super) struct Node {
    directory: OwnedFd,
}

impl Nodes {
    /// Those of the namespace that this process is in, where they stay.
    pub(super) fn open() -> Result<Self> {
        let context = sys::mount::fsopen(c"sysfs", sys::mount::FSOPEN_CLOEXEC).call("fsopen")?;
        sys::mount::fsconfig_create(context.as_fd()).call("fsconfig")?;
        let sysfs = sys::mount::fsmount(context.as_fd(), sys::mount::FSMOUNT_CLOEXEC, 0).call("fsmount")?;
        Ok(Self { sysfs })
    }

    /// The device that has this name there now.
    pub(super) fn named(&self, name: &str) -> Result<Node> {
        // class/net/NAME is a link of the kernel's own, up and down again: beneath the root,
        // openat2(2) would give up (EAGAIN) whenever anything is renamed or mounted meanwhile.
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV);
        let directory = nix::fcntl::openat2(self.sysfs.as_fd(), format!("class/net/{name}").as_str(), how);
        Ok(Node { directory: directory.call("openat2").on(format!("/sys/class/net/{name}"))? })
    }
}

impl Node {
    /// Its number, in the namespace that it is in now. ENOENT: the device is gone.
    pub(super) fn index(&self) -> Result<i32> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let file =
            nix::fcntl::openat2(self.directory.as_fd(), "ifindex", how).call("openat2").on("ifindex")?;
        let mut text = [0_u8; 16];
        let length = sys::file::read(file.as_fd(), &mut text).call("read").on("ifindex")?;
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        text.trim().parse().map_err(|_not_a_number| Error::call("read", Errno::EBADMSG).object("ifindex"))
    }

    /// Whether both are the same device.
    pub(super) fn is(&self, other: &Self) -> Result<bool> {
        let inode = |node: &Self| nix::sys::stat::fstat(&node.directory).map(|stat| stat.st_ino);
        Ok(inode(self).call("fstat")? == inode(other).call("fstat")?)
    }
}
