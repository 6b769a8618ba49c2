//! HOME, where the configuration does not set it: as with runc, the account's of the image's /etc/passwd.
//!
//! The file is the image's: it is opened below the root, through no mount and no device, it must be a
//! regular file, and only so much of it is read (passwd(5)).

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use crate::sys;

/// Larger ones are not read to their end.
const LIMIT: u64 = 1 << 20;

/// The entry of the environment. An account that cannot be found lives in `/`.
pub(super) fn home(root: Option<BorrowedFd<'_>>, uid: u32) -> CString {
    let text = root.and_then(accounts).unwrap_or_default();
    let home = of_account(&text, uid).unwrap_or("/");
    CString::new(format!("HOME={home}")).unwrap_or_else(|_nul| c"HOME=/".to_owned())
}

/// Not through a mount: another filesystem there could be one that never answers. Opened as a path
/// first, and read when that is a file: opening a device already does something.
fn accounts(root: BorrowedFd<'_>) -> Option<String> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    let _as_caller = sys::caller::as_caller().ok()?;
    let found = sys::openat2::openat2(root, "etc/passwd", how).ok()?;
    if sys::file::stat(found.as_fd()).ok()?.mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(again.as_str(), flags, Mode::empty()).ok()?;
    let mut bytes = vec![];
    File::from(file).take(LIMIT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// name:password:uid:gid:comment:home:shell
fn of_account(text: &str, uid: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let found = fields.next()?.parse() == Ok(uid);
        let home = fields.nth(2)?;
        (found && !home.is_empty()).then_some(home)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_by_its_number() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nempty:x:7:7:::\nuser:x:1000:1000::/home/user:/bin/sh\n";
        let rows = [(0, Some("/root")), (1000, Some("/home/user")), (7, None), (8, None)];
        for (uid, home) in rows {
            assert_eq!(of_account(text, uid), home, "{uid}");
        }
    }

    #[test]
    fn without_a_file_it_is_the_root() {
        assert_eq!(home(None, 0), c"HOME=/".to_owned());
    }
}
