//! A hook, rendered so that running it needs no allocation. runtime-spec, config.md,
//! "POSIX-platform Hooks".

use std::ffi::CString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::sys::exec::CStringArray;

/// When a hook runs, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HookKind {
    /// At create, before the pivot, in the runtime's namespaces; deprecated.
    Prestart = 1,
    /// The same place, after those.
    CreateRuntime = 2,
    /// At create, before the pivot, in the container's namespaces.
    CreateContainer = 3,
    /// At start, before the program, in the container, by the program's own rights.
    StartContainer = 4,
    /// After the program was executed, in the runtime's namespaces.
    Poststart = 5,
    /// After the container was destroyed, in the runtime's namespaces.
    Poststop = 6,
}

impl HookKind {
    /// All of them, in the order of the lifecycle.
    pub const ALL: [Self; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One hook.
#[derive(Debug)]
pub struct Hook {
    /// Its kind.
    pub kind: HookKind,
    /// Its place among those of its kind.
    pub index: u16,
    /// The program, absolute.
    pub path: CString,
    /// The very file that was judged, sealed; without it the path is executed.
    pub program: Option<Arc<OwnedFd>>,
    /// argv.
    pub argv: CStringArray,
    /// environ.
    pub envp: CStringArray,
    /// After how long it is ended.
    pub timeout_ms: Option<u64>,
}

impl Hook {
    /// As [`crate::plan::Step::describe`].
    pub fn describe(&self) -> String {
        let argv: Vec<_> = self.argv.strings().iter().map(|word| word.to_string_lossy()).collect();
        format!("#{} {} {argv:?} timeout_ms={:?}", self.index, self.path.to_string_lossy(), self.timeout_ms)
    }
}

/// The state for a hook that the child runs, cut where the pid belongs: the child alone
/// knows the number that it has inside (runtime.md, "State").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookState {
    /// Before the pid.
    pub head: Vec<u8>,
    /// After it.
    pub tail: Vec<u8>,
}
