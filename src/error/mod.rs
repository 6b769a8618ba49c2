//! One error type for every module: what was being done, to which object, which
//! call failed and with which errno, and a hint that says what to try.
//!
//! Rendered as `field object: call: errno text (ERRNO)`; `main` puts
//! `pinfold: <verb> <id>: ` in front and the hint on a line of its own.
//! A message never repeats its source.

mod exit_code;
mod hint;
mod tell;

pub use exit_code::ExitCode;
pub use tell::{in_a_line, log, tell, warn, warnings_to};

use std::fmt;

use nix::errno::Errno;

/// What every fallible function of pinfold returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The class of a failure: it decides the exit code and `outcome.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line or the configuration cannot be understood.
    Usage,
    /// pinfold itself is at fault.
    Internal,
    /// The policy says no.
    PolicyRefused,
    /// An object is no longer the one that was checked.
    IdentityChanged,
    /// A step of the set-up failed.
    SetupFailed,
    /// A hook failed or ran out of time.
    HookFailed,
    /// The image could not be read, verified or unpacked.
    ImageFailed,
    /// The program to run does not exist.
    ExecNotFound,
    /// The program to run exists but the kernel will not execute it.
    ExecNotExecutable,
}

/// A failure, with everything a person or a program needs to act on it.
#[derive(Debug, Clone)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: Kind,
    field: Option<String>,
    object: Option<String>,
    call: Option<String>,
    errno: Option<Errno>,
    text: Option<String>,
    hint: Option<String>,
    step: Option<String>,
}

impl Error {
    fn with_kind(kind: Kind) -> Self {
        Self(Box::new(Parts {
            kind,
            field: None,
            object: None,
            call: None,
            errno: None,
            text: None,
            hint: None,
            step: None,
        }))
    }

    /// A failure that is not one system call's: `text` says what is wrong.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        let mut error = Self::with_kind(kind);
        error.0.text = Some(text.into());
        error
    }

    /// A system call that failed during set-up.
    pub fn call(call: impl Into<String>, errno: Errno) -> Self {
        let mut error = Self::with_kind(Kind::SetupFailed);
        error.0.call = Some(call.into());
        error.0.errno = Some(errno);
        error
    }

    /// A bad command line or configuration.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Kind::Usage, text)
    }

    /// A set-up that cannot be done.
    pub fn setup(text: impl Into<String>) -> Self {
        Self::new(Kind::SetupFailed, text)
    }

    /// A state that pinfold's own code should have made impossible.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(Kind::Internal, text)
    }

    /// The configuration field, as a JSON pointer (`/mounts/3/source`), or the option (`--memory`).
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field.get_or_insert(field.into());
        self
    }

    /// The same failure with its field written out from the root of the configuration.
    #[must_use]
    pub fn replace_field(mut self, field: String) -> Self {
        self.0.field = Some(field);
        self
    }

    /// The object that the failed call was about: a path, a container, a program.
    #[must_use]
    pub fn object(mut self, object: impl fmt::Display) -> Self {
        self.0.object.get_or_insert(object.to_string());
        self
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert(hint.into());
        self
    }

    /// What went wrong besides, after the hint that there may be.
    #[must_use]
    pub fn besides(mut self, text: &str) -> Self {
        self.0.hint =
            Some(self.hint_text().map_or_else(|| text.to_owned(), |hint| format!("{hint}; {text}")));
        self
    }

    /// The step of the child's list in which it happened.
    #[must_use]
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.0.step.get_or_insert(step.into());
        self
    }

    /// The same failure under another class.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The class of the failure.
    pub fn class(&self) -> Kind {
        self.0.kind
    }

    /// The errno, where a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.0.errno
    }

    /// The object's name, where there is one.
    pub fn object_name(&self) -> Option<&str> {
        self.0.object.as_deref()
    }

    /// The configuration field, where there is one.
    pub fn field_name(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The step's name, where the child failed.
    pub fn step_name(&self) -> Option<&str> {
        self.0.step.as_deref()
    }

    /// What to try: the place's own hint, or the table's for this call and errno.
    pub fn hint_text(&self) -> Option<String> {
        let own = self.0.hint.clone();
        own.or_else(|| hint::find(self.0.call.as_deref()?, self.0.errno?).map(str::to_owned))
    }

    /// The process exit code of `sandbox` for this failure.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::for_kind(self.0.kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0;
        let subject = [parts.field.as_deref(), parts.object.as_deref()];
        let subject = subject.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let mut words = vec![];
        if !subject.is_empty() {
            words.push(subject);
        }
        words.extend(parts.text.clone());
        words.extend(parts.call.clone());
        words.extend(parts.errno.map(|errno| format!("{} ({errno:?})", errno.desc())));
        f.write_str(&words.join(": "))
    }
}

impl std::error::Error for Error {}

/// Turns the result of a system call into a [`Result`] that names the call.
pub trait Call<T> {
    /// Names the system call or file operation that may have failed.
    fn call(self, call: &str) -> Result<T>;
}

impl<T> Call<T> for std::result::Result<T, Errno> {
    fn call(self, call: &str) -> Result<T> {
        self.map_err(|errno| Error::call(call, errno))
    }
}

impl<T> Call<T> for std::io::Result<T> {
    fn call(self, call: &str) -> Result<T> {
        self.map_err(|error| match error.raw_os_error() {
            Some(raw) => Error::call(call, Errno::from_raw(raw)),
            None => Error::setup(format!("{call}: {error}")),
        })
    }
}

/// Adds the object and the field to a failure on its way up.
pub trait Context<T> {
    /// Names the object, unless a deeper layer already did.
    fn on(self, object: impl fmt::Display) -> Result<T>;
    /// Names the configuration field, unless a deeper layer already did.
    fn at(self, field: impl Into<String>) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn on(self, object: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.object(object))
    }
    fn at(self, field: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.field(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_field_object_call_and_errno_in_this_order() {
        let error = Error::call("openat2", Errno::ENOENT).object("/data").field("/mounts/3/source");
        assert_eq!(error.to_string(), "/mounts/3/source /data: openat2: No such file or directory (ENOENT)");
    }

    #[test]
    fn the_deepest_name_wins() {
        let error = Error::usage("bad").object("inner").object("outer");
        assert_eq!(error.to_string(), "inner: bad");
    }
}
