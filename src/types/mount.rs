//! `--mount type=bind|tmpfs,src=,dst=,...` in Docker's words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::bind::{Access, mount_point};
use super::{ByteSize, FileMode, FromOsStr, HostPath, RootPath, TmpfsArg, refused, word};
use crate::error::{Error, Result};

/// One mount of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountArg {
    /// A file or directory of the host.
    Bind {
        /// Where it is on the host; it is never created.
        source: HostPath,
        /// Where it appears; never `/`.
        destination: RootPath,
        /// Read and write unless `ro` was given.
        access: Access,
    },
    /// A fresh tmpfs.
    Tmpfs(TmpfsArg),
}

const ACCEPTED: &str = "accepted are type=bind|tmpfs, src= or source=, dst=, target= or destination=, \
                        ro, readonly[=true|false], tmpfs-size= and tmpfs-mode=";

impl FromOsStr for MountArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let mut fields = Fields::default();
        for field in value.as_bytes().split(|byte| *byte == b',') {
            fields.take(value, OsStr::from_bytes(field))?;
        }
        fields.finish(value)
    }
}

#[derive(Default)]
struct Fields {
    kind: Option<String>,
    source: Option<HostPath>,
    destination: Option<RootPath>,
    access: Option<Access>,
    size: Option<ByteSize>,
    mode: Option<FileMode>,
}

impl Fields {
    fn take(&mut self, value: &OsStr, field: &OsStr) -> Result<()> {
        let bytes = field.as_bytes();
        let (key, content) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => (bytes.get(..at), bytes.get(at + 1..).map(OsStr::from_bytes)),
            None => (Some(bytes), None),
        };
        let key = word(OsStr::from_bytes(key.unwrap_or_default()))?;
        match (key, content) {
            ("type", Some(kind)) => put(&mut self.kind, word(kind)?.to_owned(), value, key),
            ("src" | "source", Some(path)) => {
                put(&mut self.source, HostPath::from_os_str(path)?, value, "src")
            }
            ("dst" | "target" | "destination", Some(path)) => {
                put(&mut self.destination, mount_point(path)?, value, "dst")
            }
            ("ro" | "readonly", content) => put(&mut self.access, read_only(value, content)?, value, "ro"),
            ("tmpfs-size", Some(size)) => put(&mut self.size, word(size)?.parse()?, value, key),
            ("tmpfs-mode", Some(mode)) => put(&mut self.mode, word(mode)?.parse()?, value, key),
            _ => Err(refused(value, format!("unknown mount field {field:?}: {ACCEPTED}"))),
        }
    }

    fn finish(self, value: &OsStr) -> Result<MountArg> {
        let missing = |name: &str| refused(value, format!("{name} is missing: {ACCEPTED}"));
        let destination = self.destination.ok_or_else(|| missing("dst="))?;
        let access = self.access.unwrap_or(Access::ReadWrite);
        match self.kind.as_deref() {
            Some("bind") if self.size.is_some() || self.mode.is_some() => {
                Err(refused(value, "tmpfs-size= and tmpfs-mode= go with type=tmpfs only"))
            }
            Some("bind") => {
                let source = self.source.ok_or_else(|| missing("src="))?;
                Ok(MountArg::Bind { source, destination, access })
            }
            Some("tmpfs") if self.source.is_some() => Err(refused(value, "a tmpfs has no source")),
            Some("tmpfs") => {
                let fresh = TmpfsArg::at(destination);
                Ok(MountArg::Tmpfs(TmpfsArg { size: self.size, mode: self.mode, access, ..fresh }))
            }
            Some(_) => Err(refused(value, "the type of a mount is bind or tmpfs")),
            None => Err(missing("type=")),
        }
    }
}

fn put<T>(slot: &mut Option<T>, content: T, value: &OsStr, key: &str) -> Result<()> {
    let twice = |_: T| -> Result<()> { Err(again(value, key)) };
    slot.replace(content).map_or(Ok(()), twice)
}

fn again(value: &OsStr, key: &str) -> Error {
    refused(value, format!("{key} is given twice"))
}

fn read_only(value: &OsStr, content: Option<&OsStr>) -> Result<Access> {
    match content.map(OsStr::as_bytes) {
        None | Some(b"true" | b"1") => Ok(Access::ReadOnly),
        Some(b"false" | b"0") => Ok(Access::ReadWrite),
        Some(_) => Err(refused(value, "readonly is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    fn mount(text: &str) -> MountArg {
        MountArg::from_os_str(text.as_ref()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    fn bind(source: &str, destination: &str, access: Access) -> MountArg {
        MountArg::Bind {
            source: HostPath::from_os_str(source.as_ref()).unwrap(),
            destination: RootPath::from_os_str(destination.as_ref()).unwrap(),
            access,
        }
    }

    #[test]
    fn a_bind_has_a_source_and_a_destination() {
        let rows = [
            ("type=bind,src=/a,dst=/b", bind("/a", "/b", Access::ReadWrite)),
            ("type=bind,source=/a:b,target=/b:c", bind("/a:b", "/b:c", Access::ReadWrite)),
            ("destination=/b,source=a=b,type=bind,ro", bind("a=b", "/b", Access::ReadOnly)),
            ("type=bind,src=/a,dst=/b,readonly", bind("/a", "/b", Access::ReadOnly)),
            ("type=bind,src=/a,dst=/b,readonly=true", bind("/a", "/b", Access::ReadOnly)),
            ("type=bind,src=/a,dst=/b,readonly=false", bind("/a", "/b", Access::ReadWrite)),
        ];
        for (text, expected) in rows {
            assert_eq!(mount(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_tmpfs_has_a_size_and_a_mode() {
        let MountArg::Tmpfs(tmpfs) = mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777,ro") else {
            panic!("not a tmpfs");
        };
        assert_eq!(tmpfs.size.map(ByteSize::bytes), Some(1 << 20));
        assert_eq!(tmpfs.mode.map(FileMode::bits), Some(0o1777));
        assert_eq!(tmpfs.access, Access::ReadOnly);
    }

    #[test]
    fn missing_contradictory_and_unknown_fields_are_refused() {
        table::refuses_os::<MountArg>(&[
            ("", "unknown mount field"),
            ("type=bind,src=/a,dst=/b,", "unknown mount field"),
            ("type=bind,src=/a,dst=/b,bind-propagation=shared", "unknown mount field"),
            ("type=bind,src=/a,dst=/b,z", "unknown mount field"),
            ("type,src=/a,dst=/b", "unknown mount field"),
            ("src=/a,dst=/b", "type= is missing"),
            ("type=bind,dst=/b", "src= is missing"),
            ("type=bind,src=/a", "dst= is missing"),
            ("type=volume,src=a,dst=/b", "bind or tmpfs"),
            ("type=bind,src=/a,dst=/b,ro=maybe", "true or false"),
            ("type=bind,src=/a,source=/a,dst=/b", "twice"),
            ("type=bind,src=/a,dst=/b,target=/c", "twice"),
            ("type=bind,src=/a,dst=/b,ro,readonly=false", "twice"),
            ("type=bind,type=tmpfs,dst=/b", "twice"),
            ("type=bind,src=/a,dst=/b,tmpfs-size=1m", "type=tmpfs only"),
            ("type=tmpfs,src=/a,dst=/b", "no source"),
        ]);
        for text in
            ["type=bind,src=,dst=/b", "type=bind,src=/a,dst=/", "type=tmpfs,dst=/a/..", "type=tmpfs,dst=t"]
        {
            assert!(MountArg::from_os_str(text.as_ref()).is_err(), "{text:?}");
        }
    }
}
