//! `policy compile`: what the host's policy says, written beside it.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::commands::{caller, output};
use crate::error::{Call, Context, Error, ExitCode, Kind, Result};
use crate::policy::{Document, compiled, trusted};
use crate::sys;

/// Appears whole, under its own name.
const BEGUN: &str = "policy.compiled.new";

/// Checks the host's policy, and writes what it says.
pub(super) fn run() -> Result<ExitCode> {
    caller::roots_alone("the policy is")?;
    let absent = || Error::usage("there is no such file").object(trusted::POLICY_FILE);
    let text = trusted::read()?.ok_or_else(absent)?;
    let document =
        Document::parse(trusted::POLICY_FILE, &text).map_err(|error| error.kind(Kind::PolicyRefused))?;
    write(&compiled::encode(&document, &text)?).on(trusted::COMPILED_FILE)?;
    output::print(&format!("{}\n", trusted::COMPILED_FILE))?;
    Ok(ExitCode::SUCCESS)
}

fn write(content: &[u8]) -> Result<()> {
    let dir = trusted::directory()?;
    match unlinkat(&dir, BEGUN, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        failed => failed.call("unlinkat")?,
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&dir, BEGUN, flags, Mode::S_IRUSR | Mode::S_IWUSR).call("openat")?;
    sys::file::write_all(file.as_fd(), content).call("write")?;
    // Whoever launches reads it, as the policy itself.
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
    fchmod(&file, mode).call("fchmod")?;
    renameat(&dir, BEGUN, &dir, trusted::COMPILED_NAME).call("renameat")
}
