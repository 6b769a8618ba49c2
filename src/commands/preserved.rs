//! Descriptors that the caller hands on to the program: `--preserve-fds`, and the sockets of
//! systemd's activation (sd_listen_fds(3)), which come first, from 3 on.

use oci_spec::runtime::Spec;

use crate::error::{Error, Result};

const FIRST: u32 = 3;

/// How many there are with the ones of the activation.
///
/// # Errors
/// More than there can be descriptors.
pub fn count(asked: u16) -> Result<u16> {
    let too_many = || Error::usage("too many descriptors together with $LISTEN_FDS").field("--preserve-fds");
    listening().checked_add(asked).ok_or_else(too_many)
}

/// The descriptors must be open. Asked before pinfold opens anything: the numbers that the
/// caller left free would be those of pinfold's own, and would be kept in the container up to
/// execve (CVE-2024-21626).
///
/// # Errors
/// The first number that is not open.
pub fn check(count: u16) -> Result<()> {
    for number in FIRST..FIRST + u32::from(count) {
        let raw =
            i32::try_from(number).map_err(|error| Error::usage(error.to_string()).field("--preserve-fds"))?;
        if !crate::sys::file::is_open(raw) {
            return Err(Error::usage(format!("descriptor {number} is not open")).field("--preserve-fds"));
        }
    }
    Ok(())
}

/// Tells the program of its sockets, in runc's words: it is pid 1.
pub fn tell(spec: &mut Spec) {
    let Some(process) = spec.process_mut().as_mut().filter(|_| listening() > 0) else { return };
    let mut env = process.env().clone().unwrap_or_default();
    env.extend([format!("LISTEN_FDS={}", listening()), "LISTEN_PID=1".to_owned()]);
    process.set_env(Some(env));
}

/// The sockets that are meant for this process.
fn listening() -> u16 {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    match number("LISTEN_PID") == Some(std::process::id()) {
        true => number("LISTEN_FDS").and_then(|count| u16::try_from(count).ok()).unwrap_or(0),
        false => 0,
    }
}
