//! `--secret`: a file on a tmpfs of its own, readable by the program's user alone. Its
//! value is in no environment, argv, state, report or log.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::super::text_file;
use super::inherited::Inherited;
use super::users::User;
use crate::cli::SandboxArgs;
use crate::draft::DraftFile;
use crate::error::{Context, Result};
use crate::types::{SECRETS, SecretArg, SecretSource};

const LIMIT: usize = 1 << 20;

/// A secret's place and its value.
pub(super) struct Secret {
    path: PathBuf,
    content: Vec<u8>,
}

/// Reads every secret once.
pub(super) fn read(args: &SandboxArgs, inherited: &mut Inherited) -> Result<Vec<Secret>> {
    let one = |secret: &SecretArg| {
        let content = match &secret.source {
            SecretSource::File(path) => text_file::read(path.as_path(), LIMIT)?,
            SecretSource::Fd(number) => text_file::read_all(inherited.remove(*number)?.as_fd(), LIMIT)?,
        };
        Ok(Secret { path: Path::new(SECRETS).join(secret.name.as_str()), content })
    };
    args.process.secret.iter().map(one).collect::<Result<_>>().at("--secret")
}

/// The files that the program's user alone can read.
pub(super) fn files(secrets: Vec<Secret>, user: &User) -> Vec<DraftFile> {
    let owner = (user.uid, user.gid);
    secrets
        .into_iter()
        .map(|Secret { path, content }| DraftFile { path, content, mode: 0o400, owner })
        .collect()
}
