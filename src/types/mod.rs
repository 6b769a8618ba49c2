//! Values parsed at the door: once one of these types exists, nobody checks it again.
//!
//! Text becomes a value through [`FromStr`](std::str::FromStr); values that hold a path or
//! another byte string, which need not be UTF-8, through [`FromOsStr`]. Either way the error
//! quotes the value and says what is accepted. This module reads nothing but its argument.

mod base64;
mod bind;
mod capability;
mod container_id;
mod cpu;
mod decimal;
mod descriptor;
mod device;
mod digest;
mod env;
mod host;
mod image_ref;
mod image_source;
mod mount;
mod network;
mod path;
mod pids;
mod secret;
mod security;
mod signal;
mod size;
mod span;
mod storage_opt;
mod tmpfs;
mod ulimit;
mod user;

pub use base64::Base64;
pub use bind::{Access, BindArg, VolumeArg};
pub use capability::{CapArg, CapName};
pub use container_id::ContainerId;
pub use cpu::{CpuCount, CpuSet};
pub use descriptor::{FdNumber, InputFile, ReportTarget};
pub use device::{DeviceAccess, DeviceArg};
pub use digest::{Digest, hex};
pub use env::EnvArg;
pub use host::{AddHost, Hostname};
pub use image_ref::ImageRef;
pub use image_source::{ImageArg, ImageSource};
pub use mount::MountArg;
pub use network::NetworkMode;
pub use path::{HostPath, RootPath};
pub use pids::PidsLimit;
pub use secret::{SECRETS, SecretArg, SecretName, SecretSource};
pub use security::{SeccompChoice, SecurityOpt};
pub use signal::SignalName;
pub use size::{ByteSize, SizeOrUnlimited};
pub use span::Span;
pub use storage_opt::StorageOpt;
pub use tmpfs::{FileMode, TmpfsArg};
pub use ulimit::Ulimit;
pub use user::{Id, Principal, UserArg};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::error::{Error, Result};

/// A value that is made of bytes which need not be UTF-8, such as a path.
pub trait FromOsStr: Sized {
    /// Parses the whole of `value`.
    ///
    /// # Errors
    /// A usage error that quotes the value and says what is accepted.
    fn from_os_str(value: &OsStr) -> Result<Self>;
}

/// How much of a refused value is worth repeating.
const QUOTED: usize = 256;

/// The usage error of this module: the value as it was given, and what is accepted instead.
///
/// The quotes escape control characters, so that a value cannot forge a line of the log.
fn refused(value: impl AsRef<OsStr>, accepted: impl Into<String>) -> Error {
    let value = value.as_ref();
    let start = OsStr::from_bytes(value.as_bytes().get(..QUOTED).unwrap_or(value.as_bytes()));
    let more = if start.len() < value.len() { "..." } else { "" };
    Error::usage(accepted).object(format!("{start:?}{more}"))
}

/// The value as UTF-8, for the parts of an argument that are plain words.
fn word(value: &OsStr) -> Result<&str> {
    value.to_str().ok_or_else(|| refused(value, "this is not valid UTF-8"))
}

#[cfg(test)]
mod table {
    //! The shape of every test here: one row = one accepted or refused value.

    use std::fmt::Debug;
    use std::str::FromStr;

    use crate::error::{Error, Kind};

    /// Every row is accepted and gives the value beside it.
    pub fn accepts<T: FromStr<Err = Error> + Debug, V: PartialEq + Debug>(
        rows: &[(&str, V)],
        value: impl Fn(T) -> V,
    ) {
        for (text, expected) in rows {
            let parsed = text.parse::<T>().unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(&value(parsed), expected, "{text:?}");
        }
    }

    /// Every row is refused as bad usage, quotes the value and contains the words beside it.
    pub fn refuses<T: FromStr<Err = Error> + Debug>(rows: &[(&str, &str)]) {
        for (text, words) in rows {
            let error = text.parse::<T>().expect_err(text);
            assert_refusal(text, words, &error);
        }
    }

    /// The same for values made of bytes.
    pub fn refuses_os<T: super::FromOsStr + Debug>(rows: &[(&str, &str)]) {
        for (text, words) in rows {
            let error = T::from_os_str(text.as_ref()).expect_err(text);
            assert_refusal(text, words, &error);
        }
    }

    fn assert_refusal(text: &str, words: &str, error: &Error) {
        let message = error.to_string();
        assert_eq!(error.class(), Kind::Usage, "{text:?}");
        assert!(message.contains(words), "{text:?}: {message}");
        let quoted = text.len() > super::QUOTED || message.contains(&format!("{text:?}"));
        assert!(quoted, "{text:?} is not quoted: {message}");
        assert!(message.len() < 3 * super::QUOTED, "{text:?}: {message}");
    }
}
