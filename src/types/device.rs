//! Devices of the host: `HOST[:CONTAINER[:rwm]]`.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::bind::mount_point;
use super::{FromOsStr, HostPath, RootPath, refused};
use crate::error::Result;

/// What the device cgroup allows on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Opening it for reading.
    pub read: bool,
    /// Opening it for writing.
    pub write: bool,
    /// Making further nodes of it; needs CAP_MKNOD too.
    pub mknod: bool,
}

impl DeviceAccess {
    /// Read and write, without mknod: what a program needs to use a device.
    pub const READ_WRITE: Self = Self { read: true, write: true, mknod: false };

    fn parse(text: &[u8]) -> Option<Self> {
        let mut access = Self { read: false, write: false, mknod: false };
        for letter in text {
            let right = match letter {
                b'r' => &mut access.read,
                b'w' => &mut access.write,
                b'm' => &mut access.mknod,
                _ => return None,
            };
            if std::mem::replace(right, true) {
                return None;
            }
        }
        (!text.is_empty()).then_some(access)
    }
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.mknod, "m")];
        letters.iter().filter(|(given, _)| *given).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// One device that the sandbox may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceArg {
    /// The device node on the host.
    pub source: HostPath,
    /// Where it appears; under its own name if nothing was said.
    pub destination: RootPath,
    /// What may be done with it.
    pub access: DeviceAccess,
}

impl FromOsStr for DeviceArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let form = || {
            refused(value, "a device is HOST[:CONTAINER[:PERMISSIONS]], with permissions out of r, w and m")
        };
        let parts = value.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes).collect::<Vec<_>>();
        let (source, destination, access) = match parts.as_slice() {
            [source] => (*source, *source, DeviceAccess::READ_WRITE),
            // Docker reads a second part without a slash as permissions.
            [source, second] => match DeviceAccess::parse(second.as_bytes()) {
                Some(access) => (*source, *source, access),
                None => (*source, *second, DeviceAccess::READ_WRITE),
            },
            [source, second, third] => {
                (*source, *second, DeviceAccess::parse(third.as_bytes()).ok_or_else(form)?)
            }
            _ => return Err(form()),
        };
        Ok(Self { source: HostPath::from_os_str(source)?, destination: mount_point(destination)?, access })
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_device_has_a_place_and_permissions() {
        let rows = [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse", "rw"),
            ("/dev/fuse:/dev/f", "/dev/fuse", "/dev/f", "rw"),
            ("/dev/fuse:r", "/dev/fuse", "/dev/fuse", "r"),
            ("/dev/fuse:/dev/f:mwr", "/dev/fuse", "/dev/f", "rwm"),
        ];
        for (text, source, destination, access) in rows {
            let device = DeviceArg::from_os_str(text.as_ref()).unwrap();
            assert_eq!(device.source.as_path().to_str(), Some(source), "{text:?}");
            assert_eq!(device.destination.as_path().to_str(), Some(destination), "{text:?}");
            assert_eq!(device.access.to_string(), access, "{text:?}");
        }
    }

    #[test]
    fn a_device_without_a_sound_place_or_permissions_is_refused() {
        table::refuses_os::<DeviceArg>(&[
            ("/dev/a:/dev/b:", "a device is"),
            ("/dev/a:/dev/b:x", "a device is"),
            ("/dev/a:/dev/b:rr", "a device is"),
            ("/dev/a:/dev/b:r:w", "a device is"),
        ]);
        for text in ["", "dev/a", "/dev/a:", "/dev/a:rx", "/dev/a:/", "/dev/../a", ":/dev/a"] {
            assert!(DeviceArg::from_os_str(text.as_ref()).is_err(), "{text:?}");
        }
    }
}
