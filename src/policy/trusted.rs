//! Opens the policy file so that nobody but root can have had a say in it: one component at
//! a time, each a directory of root's that nobody else can write, and never through a link.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use crate::error::{Call, Context, Error, Kind, Result};
use crate::sys;
use crate::sys::file::FileStat;

/// Where the host's policy stands. A constant on purpose: no option, environment variable
/// or build feature moves it.
pub const POLICY_FILE: &str = "/etc/pinfold/policy.toml";

/// What `policy compile` made of it, beside it.
pub const COMPILED_FILE: &str = "/etc/pinfold/policy.compiled";
/// The name of [`COMPILED_FILE`] in its directory.
pub const COMPILED_NAME: &str = "policy.compiled";

/// A policy is written by hand; what is larger is none.
const LARGEST: usize = 1 << 20;
/// What is compiled of the largest.
const LARGEST_COMPILED: usize = 16 << 20;

/// The text of the host's policy; `None` where there is no such file.
///
/// # Errors
/// Kind `PolicyRefused` for whatever is there and cannot be trusted or read.
pub fn read() -> Result<Option<String>> {
    read_at(POLICY_FILE).map_err(|error| untrusted(error.object(POLICY_FILE)))
}

/// The text of the host's policy, and what stands in [`COMPILED_FILE`].
///
/// # Errors
/// As [`read`], of both.
pub fn read_both() -> Result<Option<(String, Option<Vec<u8>>)>> {
    let mut place = POLICY_FILE;
    let mut both = || {
        let Some((dir, name)) = directory_of(POLICY_FILE)? else { return Ok(None) };
        let Some(file) = open_file(&dir, name)? else { return Ok(None) };
        let text = text(&file)?;
        place = COMPILED_FILE;
        let compiled =
            open_file(&dir, COMPILED_NAME)?.map(|file| content(&file, LARGEST_COMPILED)).transpose()?;
        Ok(Some((text, compiled)))
    };
    let read = both();
    read.map_err(|error: Error| untrusted(error.object(place)))
}

fn untrusted(error: Error) -> Error {
    let hint = "nothing is launched until this is mended; `pinfold policy lint` checks it";
    error.kind(Kind::PolicyRefused).hint(hint)
}

/// The directory of the host's policy, which is made where it is missing.
///
/// # Errors
/// It is not root's alone; the caller may not make it.
pub fn directory() -> Result<OwnedFd> {
    const ETC: &str = "/etc";
    const NAME: &str = "pinfold";
    let root = open_directory(None, "/")?.ok_or_else(|| Error::setup("there is no root directory"))?;
    let etc = open_directory(Some(&root), "etc")
        .on(ETC)?
        .ok_or_else(|| Error::setup("is not there").object(ETC))?;
    if let Some(dir) = open_directory(Some(&etc), NAME)? {
        return Ok(dir);
    }
    let mode = Mode::S_IRWXU | Mode::S_IRGRP | Mode::S_IXGRP | Mode::S_IROTH | Mode::S_IXOTH;
    let made = match nix::sys::stat::mkdirat(&etc, NAME, mode) {
        Err(Errno::EEXIST) => false,
        made => made.call("mkdirat").map(|()| true)?,
    };
    let dir = open_directory(Some(&etc), NAME)?.ok_or_else(|| Error::call("openat", Errno::ENOENT))?;
    if made {
        // Whatever the caller's umask is: who may not look for the policy is refused every launch.
        nix::sys::stat::fchmod(&dir, mode).call("fchmod")?;
    }
    Ok(dir)
}

/// As [`read`], for any absolute path.
///
/// # Errors
/// What the calls said; whose fault a component is.
pub fn read_at(path: &str) -> Result<Option<String>> {
    let Some((dir, file)) = directory_of(path)? else { return Ok(None) };
    open_file(&dir, file).on(path)?.map(|file| text(&file).on(path)).transpose()
}

/// The directory that holds a path's last component, and that component.
fn directory_of(path: &str) -> Result<Option<(OwnedFd, &str)>> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let Some((file, directories)) = names.split_last() else {
        return Err(Error::internal("a policy path without a name"));
    };
    let mut dir = open_directory(None, "/")?.ok_or_else(|| Error::setup("there is no root directory"))?;
    let mut place = String::new();
    for name in directories {
        place = format!("{place}/{name}");
        match open_directory(Some(&dir), name).on(&place)? {
            Some(below) => dir = below,
            None => return Ok(None),
        }
    }
    Ok(Some((dir, file)))
}

fn absent<T>(opened: std::result::Result<T, Errno>) -> Result<Option<T>> {
    match opened {
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP) => Err(Error::setup("is a symbolic link")),
        other => other.call("openat").map(Some),
    }
}

fn open_directory(below: Option<&OwnedFd>, name: &str) -> Result<Option<OwnedFd>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = match below {
        Some(dir) => openat(dir, name, flags, Mode::empty()),
        None => openat(AT_FDCWD, name, flags, Mode::empty()),
    };
    // O_NOFOLLOW and O_DIRECTORY together say ENOTDIR of a link (open(2)).
    let opened = match opened {
        Err(Errno::ENOTDIR) => return Err(Error::setup("is no directory, or a symbolic link")),
        other => absent(other)?,
    };
    let Some(dir) = opened else { return Ok(None) };
    verify(&sys::file::stat(dir.as_fd()).call("fstat")?)?;
    Ok(Some(dir))
}

fn open_file(dir: &OwnedFd, name: &str) -> Result<Option<OwnedFd>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let Some(file) = absent(openat(dir, name, flags, Mode::empty()))? else { return Ok(None) };
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    match stat.mode & libc::S_IFMT {
        libc::S_IFREG => verify(&stat).map(|()| Some(file)),
        _ => Err(Error::setup("is not a regular file")),
    }
}

/// Root's, and nobody else's to write.
fn verify(stat: &FileStat) -> Result<()> {
    if stat.uid != 0 && !is_unmapped(stat.uid) {
        return Err(Error::setup(format!("belongs to user {}, not to root", stat.uid)));
    }
    match stat.mode & (libc::S_IWGRP | libc::S_IWOTH) {
        0 => Ok(()),
        _ => Err(Error::setup("can be written by its group or by others")),
    }
}

/// Whether an owner is one that this user namespace does not map, such as the host's root
/// (user_namespaces(7)): whoever calls from there could run another binary, and for such a
/// caller the policy is advice anyway.
fn is_unmapped(uid: u32) -> bool {
    const OVERFLOW: u32 = 65534;
    let whole = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    uid == OVERFLOW && std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !whole(map))
}

fn text(file: &OwnedFd) -> Result<String> {
    String::from_utf8(content(file, LARGEST)?).map_err(|error| Error::setup(error.to_string()))
}

fn content(file: &OwnedFd, largest: usize) -> Result<Vec<u8>> {
    let size = usize::try_from(sys::file::stat(file.as_fd()).call("fstat")?.size).unwrap_or(0);
    // One more than there is: that byte tells the end.
    let (mut content, mut length) = (vec![0; size.min(largest) + 1], 0);
    loop {
        match sys::file::read(file.as_fd(), content.get_mut(length..).unwrap_or_default()).call("read")? {
            0 => break,
            read => length += read,
        }
        if length > largest {
            return Err(Error::setup(format!("is larger than {largest} bytes")));
        }
        if length == content.len() {
            content.resize((2 * length).min(largest) + 1, 0);
        }
    }
    content.truncate(length);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Below /run, whose directories are root's alone; /tmp is everybody's.
    #[test]
    fn only_what_root_alone_can_write_is_read() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = format!("/run/pinfold-policy-test-{}", std::process::id());
        std::fs::create_dir(&dir).unwrap();
        let mode = |path: &str, bits| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
        };
        let (file, link, below) = (format!("{dir}/p"), format!("{dir}/l"), format!("{dir}/d"));
        mode(&dir, 0o755);
        std::fs::write(&file, "version = 1").unwrap();
        mode(&file, 0o644);
        symlink(&file, &link).unwrap();
        symlink(&dir, &below).unwrap();
        assert_eq!(read_at(&file).unwrap().as_deref(), Some("version = 1"));
        assert_eq!(read_at(&format!("{dir}/none")).unwrap(), None);
        assert_eq!(read_at(&format!("{dir}/none/p")).unwrap(), None);
        let told = |path: &str| read_at(path).unwrap_err().to_string();
        assert!(told(&link).contains("symbolic link"));
        assert!(told(&format!("{below}/p")).contains("symbolic link"));
        assert!(told(&dir).contains("not a regular file"));
        mode(&file, 0o664);
        assert!(told(&file).contains("written by its group"));
        mode(&file, 0o644);
        mode(&dir, 0o757);
        assert!(told(&file).contains("written by its group"));
        mode(&dir, 0o755);
        std::os::unix::fs::chown(&file, Some(1), None).unwrap();
        assert!(told(&file).contains("belongs to user 1"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
