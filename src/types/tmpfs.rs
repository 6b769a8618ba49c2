//! Fresh in-memory filesystems: `--tmpfs DST[:SIZE]` and Docker's `DST:size=64m,mode=1777`.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use super::bind::{Access, mount_point};
use super::{ByteSize, FromOsStr, RootPath, refused, word};
use crate::error::{Error, Result};

/// Permission bits in octal, `0` to `7777`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u16);

impl FileMode {
    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let octal = (1..=5).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = octal.then(|| u16::from_str_radix(text, 8).ok()).flatten();
        bits.filter(|bits| *bits <= 0o7777)
            .map(Self)
            .ok_or_else(|| refused(text, "a mode is octal, up to 7777, such as 1777"))
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A fresh tmpfs inside the sandbox. It is always nosuid and nodev.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TmpfsArg {
    /// Where it is mounted; never `/`.
    pub destination: RootPath,
    /// How much it may hold; the caller's default otherwise.
    pub size: Option<ByteSize>,
    /// The mode of its root directory; the caller's default otherwise.
    pub mode: Option<FileMode>,
    /// Read and write unless `ro` was given.
    pub access: Access,
    /// Whether `noexec` was given: nothing on it can be executed.
    pub noexec: bool,
}

impl TmpfsArg {
    /// A writable tmpfs with the caller's defaults.
    pub fn at(destination: RootPath) -> Self {
        Self { destination, size: None, mode: None, access: Access::ReadWrite, noexec: false }
    }

    fn apply(&mut self, value: &OsStr, option: &str) -> Result<()> {
        let twice = || refused(value, format!("{option:?} is given twice"));
        match option.split_once('=') {
            Some(("size", size)) => self.size.replace(size.parse()?).map_or(Ok(()), |_| Err(twice())),
            Some(("mode", mode)) => self.mode.replace(mode.parse()?).map_or(Ok(()), |_| Err(twice())),
            None => self.apply_flag(value, option),
            Some(_) => Err(unknown(value, option)),
        }
    }

    fn apply_flag(&mut self, value: &OsStr, option: &str) -> Result<()> {
        match option {
            "ro" => self.access = Access::ReadOnly,
            "noexec" => self.noexec = true,
            // What is always in force, or the default.
            "nosuid" | "nodev" | "rw" => {}
            _ => return Err(unknown(value, option)),
        }
        Ok(())
    }
}

fn unknown(value: &OsStr, option: &str) -> Error {
    refused(
        value,
        format!(
            "unknown tmpfs option {option:?}: size=, mode=, ro, rw, noexec, nosuid and nodev are accepted"
        ),
    )
}

impl FromOsStr for TmpfsArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let bytes = value.as_bytes();
        let Some(colon) = bytes.iter().position(|byte| *byte == b':') else {
            return mount_point(value).map(Self::at);
        };
        let (destination, rest) = bytes.split_at(colon);
        let options = word(OsStr::from_bytes(rest))?.trim_start_matches(':');
        let mut tmpfs = Self::at(mount_point(OsStr::from_bytes(destination))?);
        if options.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            tmpfs.size = Some(options.parse()?);
            return Ok(tmpfs);
        }
        options.split(',').try_for_each(|option| tmpfs.apply(value, option))?;
        Ok(tmpfs)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::table;
    use super::*;

    fn tmpfs(text: &str) -> TmpfsArg {
        TmpfsArg::from_os_str(text.as_ref()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    #[test]
    fn a_tmpfs_has_a_size_or_docker_s_options() {
        let rows = [
            ("/tmp", None, None),
            ("/tmp:64m", Some(64 << 20), None),
            ("/tmp:size=64m", Some(64 << 20), None),
            ("/tmp:mode=1777,size=1k", Some(1024), Some(0o1777)),
            ("/tmp:rw,nosuid,nodev,size=1k,mode=700", Some(1024), Some(0o700)),
        ];
        for (text, size, mode) in rows {
            let tmpfs = tmpfs(text);
            assert_eq!(tmpfs.destination.as_path(), Path::new("/tmp"));
            assert_eq!(tmpfs.size.map(ByteSize::bytes), size, "{text:?}");
            assert_eq!(tmpfs.mode.map(FileMode::bits), mode, "{text:?}");
            assert_eq!((tmpfs.access, tmpfs.noexec), (Access::ReadWrite, false), "{text:?}");
        }
        assert_eq!(tmpfs("/tmp:ro").access, Access::ReadOnly);
        assert!(tmpfs("/tmp:noexec").noexec);
    }

    #[test]
    fn what_would_weaken_or_is_unknown_is_refused() {
        table::refuses_os::<TmpfsArg>(&[
            ("tmp", "start with '/'"),
            ("", "start with '/'"),
            ("/", "on / itself"),
            ("/tmp:exec", "unknown tmpfs option"),
            ("/tmp:suid", "unknown tmpfs option"),
            ("/tmp:dev", "unknown tmpfs option"),
            ("/tmp:nr_inodes=0", "unknown tmpfs option"),
            ("/tmp:", "unknown tmpfs option"),
            ("/tmp:size=1m,", "unknown tmpfs option"),
            ("/tmp:size=1m,size=2m", "twice"),
            ("/tmp:mode=1,mode=1", "twice"),
        ]);
        for text in ["/tmp:0", "/tmp:size=0", "/tmp:size=", "/tmp:50%", "/tmp:mode=8", "/tmp:mode="] {
            assert!(TmpfsArg::from_os_str(text.as_ref()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_mode_is_octal() {
        table::accepts(&[("0", 0), ("755", 0o755), ("01777", 0o1777), ("7777", 0o7777)], FileMode::bits);
        let bad = ["", "8", "-1", "10000", "000777", "0o755", "+7", "rwx"];
        table::refuses::<FileMode>(&bad.map(|text| (text, "a mode is octal")));
        assert_eq!(FileMode(0o755).to_string(), "0755");
    }
}
