//! Which system calls the program may make.

use super::super::text_file;
use crate::cli::SandboxArgs;
use crate::error::{Context, Error, Result};
use crate::seccomp::{Profile, builtin};
use crate::types::{SeccompChoice, SecurityOpt};

const PROFILE_LIMIT: usize = 4 << 20;

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

/// Reads a profile's text.
pub(super) fn profile(text: &str) -> Result<Profile> {
    Profile::from_json(text).map_err(|error| error.object("--security-opt seccomp"))
}

/// Whether no_new_privs stays on.
pub(super) fn no_new_privs(args: &SandboxArgs) -> bool {
    !args.privileges.security_opt.contains(&SecurityOpt::NoNewPrivileges(false))
}
