//! Descriptors that the caller left open and names by number (`fd:N`).
//!
//! They are taken before pinfold opens anything: later the number may be one of its own,
//! and what lies behind that would be given away as a secret, or written over.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::error::{Call, Context, Error, Result};
use crate::sys;
use crate::types::{FdNumber, ReportTarget, SecretArg, SecretSource};

/// All of them, until each is taken out.
pub(super) struct Inherited(BTreeMap<FdNumber, OwnedFd>);

impl Inherited {
    /// Takes what the options name.
    ///
    /// # Errors
    /// A number that is not open, that is a standard stream, or that cannot serve: a
    /// directory, a report that cannot be written, a secret that cannot be read.
    pub(super) fn take(report: Option<&ReportTarget>, secrets: &[SecretArg]) -> Result<Self> {
        let named = named(report, secrets);
        // All before the first: a duplicate must not get a number that is asked for below.
        for (number, option, _) in &named {
            open_for_us(*number).at(*option)?;
        }
        let mut taken = BTreeMap::new();
        for (number, option, wanted) in named {
            let name = format!("fd:{number}");
            let own = sys::file::take_inherited(number.number()).call("fcntl").on(&name).at(option)?;
            serves(&own, wanted).on(name).at(option)?;
            taken.insert(number, own);
        }
        Ok(Self(taken))
    }

    /// The descriptor of this number.
    ///
    /// # Errors
    /// It was taken out already: the command line names each once.
    pub(super) fn remove(&mut self, number: FdNumber) -> Result<OwnedFd> {
        self.0.remove(&number).ok_or_else(|| Error::usage("is named twice").object(format!("fd:{number}")))
    }
}

fn named(report: Option<&ReportTarget>, secrets: &[SecretArg]) -> Vec<(FdNumber, &'static str, OFlag)> {
    let report = match report {
        Some(ReportTarget::Fd(number)) => Some((*number, "--report", OFlag::O_WRONLY)),
        _ => None,
    };
    let secrets = secrets.iter().filter_map(|secret| match secret.source {
        SecretSource::Fd(number) => Some((number, "--secret", OFlag::O_RDONLY)),
        SecretSource::File(_) => None,
    });
    report.into_iter().chain(secrets).collect()
}

fn open_for_us(number: FdNumber) -> Result<()> {
    let name = format!("fd:{number}");
    let raw = i32::try_from(number.number())
        .map_err(|error| Error::usage(error.to_string()).object(name.clone()))?;
    match (raw <= 2, sys::file::is_open(raw)) {
        (true, _) => Err(Error::usage("is a standard stream, which is the program's").object(name)),
        (false, false) => Err(Error::call("fcntl", nix::errno::Errno::EBADF).object(name)),
        (false, true) => Ok(()),
    }
}

/// O_PATH descriptors have no access mode and serve nobody (open(2)).
fn serves(own: &OwnedFd, wanted: OFlag) -> Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(own, FcntlArg::F_GETFL).call("fcntl")?);
    let access = flags & OFlag::O_ACCMODE;
    if flags.contains(OFlag::O_PATH) || !(access == wanted || access == OFlag::O_RDWR) {
        return Err(Error::usage("is not open for reading (a secret) or for writing (a report)"));
    }
    match sys::file::stat(own.as_fd()).call("fstat")?.mode & libc::S_IFMT {
        libc::S_IFDIR => Err(Error::usage("is a directory")),
        _ => Ok(()),
    }
}
