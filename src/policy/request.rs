//! What a launch asks for beside its Draft, and where its paths begin.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::rules::Verb;
use crate::cgroup::CgroupPath;
use crate::sys::caller::Caller;

/// What is known of a launch beside its Draft and the opened objects.
#[derive(Debug, Clone)]
pub struct Request {
    /// The door.
    pub verb: Verb,
    /// Where relative paths begin: the bundle, or the working directory of `sandbox`. Absolute.
    pub base: PathBuf,
    /// `--preserve-fds`.
    pub preserved_fds: u16,
    /// Without `--no-new-keyring`.
    pub own_keyring: bool,
    /// Without `--no-pivot`.
    pub pivot: bool,
    /// The configuration's annotations.
    pub annotations: BTreeMap<String, String>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--stdout-max`, in bytes.
    pub stdout_max: Option<u64>,
    /// `--stderr-max`, in bytes.
    pub stderr_max: Option<u64>,
    /// The directory of the report that an annotation asks for, as it was opened.
    pub report: Option<PathBuf>,
    /// Defaults that this host cannot give.
    pub degraded: Vec<String>,
    /// A cgroup holds the launch: without one no limit and no device rule is in force.
    pub has_cgroup: bool,
    /// systemd makes the cgroup, and obeys the annotations of its properties.
    pub has_unit: bool,
    /// `update` changes a share of the cache or of memory bandwidth.
    pub rdt: bool,
    /// `--root`, or its default.
    pub state_root: PathBuf,
    /// Launches that live, this one with them.
    pub running: u64,
    /// Who came by sudo; `None` for root and for a caller without privilege.
    pub caller: Option<Caller>,
    /// Where the containers of that caller have their cgroup.
    pub cgroup_place: Option<CgroupPath>,
}

impl Request {
    /// A launch through this door that asks for nothing else.
    pub fn new(verb: Verb, base: PathBuf, state_root: PathBuf) -> Self {
        Self {
            verb,
            base,
            preserved_fds: 0,
            own_keyring: true,
            pivot: true,
            annotations: BTreeMap::new(),
            timeout: None,
            stdout_max: None,
            stderr_max: None,
            report: None,
            degraded: vec![],
            has_cgroup: true,
            has_unit: false,
            rdt: false,
            state_root,
            running: 1,
            caller: None,
            cgroup_place: None,
        }
    }
}

/// A path as it is compared: absolute, without empty components and `.`; `..` stays.
pub(super) fn absolute(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().collect()
}

/// Why a path cannot be compared, in words.
pub(super) fn odd(path: &Path) -> Option<&'static str> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Some("`..`");
    }
    let control = path.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control);
    control.then_some("a control character")
}
