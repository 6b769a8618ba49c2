//! Bind mounts in short: `--ro SRC[:DST]`, `--rw SRC[:DST]` and Docker's `-v SRC:DST[:ro]`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{FromOsStr, HostPath, RootPath, refused};
use crate::error::Result;

/// Whether a mount may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read-only, with everything mounted below it.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// `SRC[:DST]`: what of the host appears where in the sandbox.
///
/// Without DST an absolute SRC appears under its own name and a relative one below `/`.
/// A path with a colon in it needs `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindArg {
    /// The file or directory on the host.
    pub source: HostPath,
    /// Where it appears; never `/`.
    pub destination: RootPath,
}

impl FromOsStr for BindArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let (source, destination) = match parts(value).as_slice() {
            [source] => (*source, own_name(value, source)?),
            [source, destination] => (*source, mount_point(destination)?),
            _ => return Err(refused(value, "SRC[:DST] has one ':'; --mount takes paths with a colon")),
        };
        Ok(Self { source: HostPath::from_os_str(source)?, destination })
    }
}

/// `SRC:DST[:ro|rw]`, as `docker run -v` writes a bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeArg {
    /// The file or directory on the host; it is never created.
    pub source: HostPath,
    /// Where it appears; never `/`.
    pub destination: RootPath,
    /// Read and write unless `:ro` was given.
    pub access: Access,
}

impl FromOsStr for VolumeArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let (source, destination, access) = match parts(value).as_slice() {
            [source, destination] => (*source, *destination, Access::ReadWrite),
            [source, destination, option] => (*source, *destination, access(value, option)?),
            _ => return Err(refused(value, "a volume is SRC:DST, SRC:DST:ro or SRC:DST:rw")),
        };
        if !source.as_bytes().starts_with(b"/") && !source.as_bytes().starts_with(b"./") {
            return Err(refused(
                value,
                "SRC of a volume must start with '/' or './': there are no named volumes here",
            ));
        }
        Ok(Self { source: HostPath::from_os_str(source)?, destination: mount_point(destination)?, access })
    }
}

fn parts(value: &OsStr) -> Vec<&OsStr> {
    value.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes).collect()
}

fn access(value: &OsStr, option: &OsStr) -> Result<Access> {
    match option.as_bytes() {
        b"ro" => Ok(Access::ReadOnly),
        b"rw" => Ok(Access::ReadWrite),
        _ => Err(refused(value, format!("unknown volume option {option:?}: ro and rw are accepted"))),
    }
}

/// The destination of a source that was given alone.
fn own_name(value: &OsStr, source: &OsStr) -> Result<RootPath> {
    let climbs = source.as_bytes().split(|byte| *byte == b'/').any(|name| name == b"..");
    if climbs {
        return Err(refused(value, "with \"..\" in SRC say where it appears: SRC:DST"));
    }
    let destination = RootPath::anchored(source)?;
    match destination.is_root() {
        true => Err(refused(value, "say where it appears: SRC:DST, with a DST other than /")),
        false => Ok(destination),
    }
}

/// A place inside the sandbox that something is mounted on.
pub(super) fn mount_point(text: &OsStr) -> Result<RootPath> {
    let destination = RootPath::from_os_str(text)?;
    match destination.is_root() {
        true => Err(refused(text, "nothing can be mounted on / itself; --rootfs chooses the root")),
        false => Ok(destination),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::table;
    use super::*;

    #[test]
    fn a_source_appears_under_its_own_name_unless_told_otherwise() {
        let rows = [
            ("/data", "/data", "/data"),
            ("/data/", "/data/", "/data"),
            ("logs", "logs", "/logs"),
            ("./logs/a", "./logs/a", "/logs/a"),
            ("logs:/in", "logs", "/in"),
            ("../logs:/in", "../logs", "/in"),
            (".:/w/", ".", "/w"),
            ("/:/host", "/", "/host"),
            ("/a b:/c d", "/a b", "/c d"),
        ];
        for (text, source, destination) in rows {
            let bind = BindArg::from_os_str(text.as_ref()).unwrap();
            assert_eq!(bind.source.as_path(), Path::new(source), "{text:?}");
            assert_eq!(bind.destination.as_path(), Path::new(destination), "{text:?}");
        }
    }

    #[test]
    fn a_bind_without_a_sound_destination_is_refused() {
        table::refuses_os::<BindArg>(&[
            ("../logs", "say where it appears"),
            ("/a/../b", "say where it appears"),
            (".", "say where it appears"),
            ("/", "say where it appears"),
            ("", "say where it appears"),
            ("a:/b:ro", "--mount takes paths with a colon"),
        ]);
        for text in ["a:", "a:b", "a:/", "a:/..", "a:/b/../../c", ":/b"] {
            assert!(BindArg::from_os_str(text.as_ref()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_volume_is_docker_s() {
        let rows = [
            ("/a:/b", "/a", "/b", Access::ReadWrite),
            ("/a:/b:rw", "/a", "/b", Access::ReadWrite),
            ("./a:/b:ro", "./a", "/b", Access::ReadOnly),
        ];
        for (text, source, destination, access) in rows {
            let volume = VolumeArg::from_os_str(text.as_ref()).unwrap();
            assert_eq!(volume.source.as_path(), Path::new(source), "{text:?}");
            assert_eq!(volume.destination.as_path(), Path::new(destination), "{text:?}");
            assert_eq!(volume.access, access, "{text:?}");
        }
    }

    #[test]
    fn named_volumes_and_foreign_options_are_refused() {
        table::refuses_os::<VolumeArg>(&[
            ("/a", "a volume is"),
            ("", "a volume is"),
            ("/a:/b:ro:z", "a volume is"),
            ("name:/b", "no named volumes"),
            ("../a:/b", "no named volumes"),
            (":/b", "no named volumes"),
            ("/a:/b:z", "unknown volume option"),
            ("/a:/b:ro,z", "unknown volume option"),
            ("/a:/b:", "unknown volume option"),
        ]);
        for text in ["/a:b", "/a:", "/a:/", "/a:/../b"] {
            assert!(VolumeArg::from_os_str(text.as_ref()).is_err(), "{text:?}");
        }
    }
}
