//! Which system calls the program may make.

use super::super::text_file;
use crate::cli::SandboxArgs;
use crate::error::{Context, Error, Result};
use crate::seccomp::{Profile, builtin};
use crate::types::{SeccompChoice, SecurityOpt};

const PROFILE_LIMIT: usize = 4 << 20;

/// The `tool` profile, or what `--security-opt seccomp=` says; `None` for `unconfined`.
pub(super) fn profile(args: &SandboxArgs) -> Result<Option<Profile>> {
    let choice = args.privileges.security_opt.iter().find_map(|option| match option {
        SecurityOpt::Seccomp(choice) => Some(choice),
        SecurityOpt::NoNewPrivileges(_) => None,
    });
    match choice {
        None => {
            let text = builtin("tool").ok_or_else(|| Error::internal("the built-in profile is missing"))?;
            Profile::from_json(text).map(Some)
        }
        Some(SeccompChoice::Unconfined) => Ok(None),
        Some(SeccompChoice::File(path)) => {
            let content = text_file::read(path.as_path(), PROFILE_LIMIT).at("--security-opt")?;
            Profile::from_json(&String::from_utf8_lossy(&content)).on(path.as_path().display()).map(Some)
        }
    }
}

/// Whether no_new_privs stays on.
pub(super) fn no_new_privs(args: &SandboxArgs) -> bool {
    !args.privileges.security_opt.contains(&SecurityOpt::NoNewPrivileges(false))
}
