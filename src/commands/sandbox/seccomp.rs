//! Which system calls the program may make.

use super::super::text_file;
use crate::cli::SandboxArgs;
use crate::error::{Call, Context, Error, Result};
use crate::seccomp::{Arch, Host, Profile, builtin, table};
use crate::types::{CapName, SeccompChoice, SecurityOpt};

const PROFILE_LIMIT: usize = 4 << 20;

/// What pinfold's own processes call between the filter and the program, and the init for as
/// long as it lives: a profile that denies one of them could start nothing.
const NEEDED: &[&str] = &[
    "clock_gettime",
    "clone",
    "close",
    "close_range",
    "execve",
    "exit_group",
    "kill",
    "ppoll",
    "prctl",
    "read",
    "recvmsg",
    "rt_sigaction",
    "rt_sigprocmask",
    "setsid",
    "signalfd4",
    "wait4",
];

/// The text of the `tool` profile, or of the one that `--security-opt seccomp=` names;
/// `None` for `unconfined`.
pub(super) fn text(args: &SandboxArgs) -> Result<Option<String>> {
    let choice = args.privileges.security_opt.iter().find_map(|option| match option {
        SecurityOpt::Seccomp(choice) => Some(choice),
        SecurityOpt::NoNewPrivileges(_) => None,
    });
    match choice {
        None => {
            let text = builtin("tool").ok_or_else(|| Error::internal("the built-in profile is missing"))?;
            Ok(Some(text.to_owned()))
        }
        Some(SeccompChoice::Unconfined) => Ok(None),
        Some(SeccompChoice::File(path)) => {
            let content = text_file::read(path.as_path(), PROFILE_LIMIT).at("--security-opt")?;
            Ok(Some(String::from_utf8_lossy(&content).into_owned()))
        }
    }
}

/// Reads a profile's text: the OCI form, or Docker's and Podman's, whose conditions are
/// resolved for this bounding set and kernel.
pub(super) fn profile(text: &str, bounding: &[CapName]) -> Result<Profile> {
    let names: Vec<String> = bounding.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let read = Profile::from_docker_json(text, &Host { capabilities: &names, kernel: kernel_version()? });
    let profile = read.map_err(|error| error.object("--security-opt seccomp"))?;
    match denied(&profile) {
        None => Ok(profile),
        Some(call) => Err(Error::setup(format!("the profile denies {call}, which every launch needs"))
            .field("--security-opt seccomp")
            .hint(format!("a profile must allow: {}", NEEDED.join(", ")))),
    }
}

/// The first of the needed calls that the profile does not let run with plain arguments.
fn denied(profile: &Profile) -> Option<&'static str> {
    let native = Arch::NATIVE?;
    let runs = |name: &str| {
        let number = table::Call::named(name).and_then(|call| call.number(native));
        number.is_none_or(|number| profile.verdict(native, native.audit_value(), number, &[0; 6]).lets_run())
    };
    NEEDED.iter().copied().find(|name| !runs(name))
}

/// Major and minor number of the running kernel (proc_sys_kernel(5), osrelease).
fn kernel_version() -> Result<(u32, u32)> {
    let path = "/proc/sys/kernel/osrelease";
    let text = std::fs::read_to_string(path).call("read").on(path)?;
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(Error::setup("has no version number in front").object(path)),
    }
}
