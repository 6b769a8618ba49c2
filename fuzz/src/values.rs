//! Values of the command line: what is accepted prints as something that is accepted again, and keeps
//! what its type promises.

use std::ffi::OsStr;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use pinfold::cgroup::CgroupPath;
use pinfold::types::{
    AddHost, BindArg, ByteSize, CapArg, ContainerId, CpuCount, CpuSet, DeviceArg, EnvArg, FileMode,
    FromOsStr, HostPath, Hostname, Id, MountArg, NetworkMode, PidsLimit, Principal, RootPath, SecretArg,
    SecretName, SecurityOpt, SignalName, Span, StorageOpt, TmpfsArg, Ulimit, UserArg, VolumeArg,
};

pub fn values(bytes: &[u8]) {
    let word = OsStr::from_bytes(bytes);
    paths(word);
    BindArg::from_os_str(word).ok();
    VolumeArg::from_os_str(word).ok();
    MountArg::from_os_str(word).ok();
    TmpfsArg::from_os_str(word).ok();
    DeviceArg::from_os_str(word).ok();
    EnvArg::from_os_str(word).ok();
    SecretArg::from_os_str(word).ok();
    SecurityOpt::from_os_str(word).ok();
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = CgroupPath::parse(text) {
        assert!(path.components().all(|name| !name.is_empty() && name != "." && name != ".."));
    }
    if let Some(id) = again::<ContainerId>(text) {
        let name = id.to_string();
        assert!(!name.contains('/') && name != "." && name != ".." && name.len() <= 255);
    }
    assert!(again::<ByteSize>(text).is_none_or(|size| size.bytes() > 0));
    assert!(again::<Span>(text).is_none_or(|span| !span.duration().is_zero()));
    // A number without a name prints as words.
    assert!(text.parse::<SignalName>().ok().is_none_or(|signal| signal.number() <= 64));
    again::<CapArg>(text);
    again::<CpuCount>(text);
    again::<FileMode>(text);
    again::<Hostname>(text);
    again::<Id>(text);
    again::<NetworkMode>(text);
    again::<PidsLimit>(text);
    again::<Principal>(text);
    again::<SecretName>(text);
    text.parse::<AddHost>().ok();
    text.parse::<CpuSet>().ok();
    text.parse::<StorageOpt>().ok();
    text.parse::<Ulimit>().ok();
    text.parse::<UserArg>().ok();
}

fn paths(word: &OsStr) {
    if let Ok(path) = HostPath::from_os_str(word) {
        assert!(!path.as_path().as_os_str().is_empty());
    }
    if let Ok(path) = RootPath::from_os_str(word) {
        assert!(path.as_path().is_absolute());
        assert!(path.as_path().components().all(|part| part.as_os_str() != ".."));
    }
}

/// The value, if it is one; what it prints must be one as well, that prints the same.
fn again<T: FromStr + Display>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    let printed = value.to_string();
    let second = printed
        .parse::<T>()
        .ok()
        .unwrap_or_else(|| panic!("{text:?} prints as {printed:?}, which is refused"));
    assert_eq!(second.to_string(), printed, "{text:?}");
    Some(value)
}
