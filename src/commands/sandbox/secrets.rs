//! `--secret`: a file on a tmpfs of its own, readable by the program's user alone. Its
//! value is in no environment, argv, state, report or log.

use std::os::fd::AsFd;
use std::path::Path;

use super::super::text_file;
use super::users::User;
use crate::cli::SandboxArgs;
use crate::draft::DraftFile;
use crate::error::{Context, Result};
use crate::sys;
use crate::types::{SECRETS, SecretSource};

const LIMIT: usize = 1 << 20;

/// Reads every secret once.
pub(super) fn files(args: &SandboxArgs, user: &User) -> Result<Vec<DraftFile>> {
    let mut files = vec![];
    for secret in &args.process.secret {
        let content = match &secret.source {
            SecretSource::File(path) => text_file::read(path.as_path(), LIMIT).at("--secret")?,
            SecretSource::Fd(number) => {
                let owned = sys::file::take_inherited(number.number()).map_err(|errno| {
                    crate::error::Error::call("fcntl", errno)
                        .field("--secret")
                        .object(format!("fd:{}", number.number()))
                })?;
                text_file::read_all(owned.as_fd(), LIMIT).at("--secret")?
            }
        };
        let path = Path::new(SECRETS).join(secret.name.as_str());
        files.push(DraftFile { path, content, mode: 0o400, owner: (user.uid, user.gid) });
    }
    Ok(files)
}
