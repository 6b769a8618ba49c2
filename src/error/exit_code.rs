//! The exit codes of `pinfold sandbox` (README, "Exit codes"). The OCI verbs keep runc's.

use super::Kind;

/// A process exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// Everything went well.
    pub const SUCCESS: Self = Self(0);
    /// Refused by policy.
    pub const REFUSED: Self = Self(120);
    /// A step of the set-up failed.
    pub const SETUP_FAILED: Self = Self(121);
    /// The sandbox ran out of memory.
    pub const OUT_OF_MEMORY: Self = Self(122);
    /// The program wrote more than it may.
    pub const OUTPUT_LIMIT: Self = Self(123);
    /// The time was up.
    pub const TIMEOUT: Self = Self(124);
    /// A bad command line, or a fault of pinfold.
    pub const USAGE: Self = Self(125);
    /// The program cannot be executed.
    pub const NOT_EXECUTABLE: Self = Self(126);
    /// The program does not exist.
    pub const NOT_FOUND: Self = Self(127);

    /// 128+N for a program that died of signal `signal`.
    pub fn for_signal(signal: i32) -> Self {
        Self(u8::try_from(128 + signal).unwrap_or(255))
    }

    /// The code of a launch that failed before the program ran.
    pub fn for_kind(kind: Kind) -> Self {
        match kind {
            Kind::Usage | Kind::Internal => Self::USAGE,
            Kind::PolicyRefused | Kind::IdentityChanged => Self::REFUSED,
            Kind::SetupFailed | Kind::HookFailed | Kind::ImageFailed => Self::SETUP_FAILED,
            Kind::ExecNotFound => Self::NOT_FOUND,
            Kind::ExecNotExecutable => Self::NOT_EXECUTABLE,
        }
    }
}
