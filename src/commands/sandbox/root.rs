//! Which root the program sees, and the accounts that names are looked up in.

use std::os::fd::AsFd;
use std::path::Path;

use serde_json::{Value, json};

use super::super::{bundle, text_file};
use crate::cli::SandboxArgs;
use crate::draft::{DraftEntry, DraftFile};
use crate::error::{Context, Result};
use crate::rootfs::{self, HostRootFacts, Made};

const ACCOUNT_FILE_LIMIT: usize = 1 << 20;

/// The passwd and group of the root.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub passwd: String,
    pub group: String,
}

/// What the root is made of.
pub(super) struct Root {
    /// Things to make in a fresh root; empty for `--rootfs`.
    pub skeleton: Vec<DraftEntry>,
    /// Mounts in front of all others.
    pub mounts: Vec<Value>,
    pub accounts: Accounts,
}

/// The root for these options; `owner` has the files that are made for it.
pub(super) fn root(args: &SandboxArgs, owner: (u32, u32)) -> Result<Root> {
    match &args.files.rootfs {
        Some(directory) => from_directory(directory.as_path()),
        None => from_host(args, owner),
    }
}

fn from_directory(directory: &Path) -> Result<Root> {
    let root = bundle::open_directory(directory).on(directory.display()).at("--rootfs")?;
    let text = |name: &str| -> Result<String> {
        let content = text_file::read_in_root(root.as_fd(), Path::new(name), ACCOUNT_FILE_LIMIT)?;
        Ok(String::from_utf8_lossy(&content.unwrap_or_default()).into_owned())
    };
    let accounts = Accounts { passwd: text("etc/passwd")?, group: text("etc/group")? };
    Ok(Root { skeleton: vec![], mounts: vec![], accounts })
}

fn from_host(args: &SandboxArgs, owner: (u32, u32)) -> Result<Root> {
    let plan = rootfs::plan(&HostRootFacts::read()?)?;
    let mut accounts = Accounts::default();
    let mut skeleton = vec![];
    for made in plan.made {
        skeleton.push(match made {
            Made::Dir { path, mode } => DraftEntry::Directory(path, mode),
            Made::Link { path, target } => DraftEntry::Link(path, target),
            Made::File { path, mode, content } => {
                match path.to_str() {
                    Some("/etc/passwd") => accounts.passwd = content.to_owned(),
                    Some("/etc/group") => accounts.group = content.to_owned(),
                    _ => {}
                }
                let content = completed(&path, content, args);
                DraftEntry::File(DraftFile { path, content: content.into_bytes(), mode, owner })
            }
        });
    }
    let mounts = plan.binds.iter().map(|bind| {
        json!({
            "destination": bind.destination,
            "source": bind.source,
            "type": "bind",
            "options": ["rbind", "ro", "nosuid", "nodev"],
        })
    });
    Ok(Root { skeleton, mounts: mounts.collect(), accounts })
}

/// The skeleton's file with what the options add to it.
fn completed(path: &Path, content: &str, args: &SandboxArgs) -> String {
    let mut content = content.to_owned();
    match path.to_str() {
        Some("/etc/hosts") => {
            for host in &args.identity.add_host {
                content.push_str(&format!("{} {}\n", host.address, host.name));
            }
        }
        Some("/etc/hostname") => {
            if let Some(name) = &args.identity.hostname {
                content = format!("{}\n", name.as_str());
            }
        }
        _ => {}
    }
    content
}
