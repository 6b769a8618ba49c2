//! Which root the program sees, and the accounts that names are looked up in.

use std::os::fd::AsFd;
use std::path::Path;

use serde_json::{Value, json};

use super::super::bundle;
use super::accounts::Accounts;
use super::image::{self, RunImage};
use crate::cli::{Global, SandboxArgs};
use crate::draft::{DraftEntry, DraftFile};
use crate::error::{Context, Result};
use crate::rootfs::{self, HostRootFacts, Made};

/// What the root is made of.
pub(super) struct Root {
    /// Things to make in a fresh root; empty for `--rootfs`.
    pub skeleton: Vec<DraftEntry>,
    /// Mounts in front of all others.
    pub mounts: Vec<Value>,
    pub accounts: Accounts,
    /// The image, for `--image`.
    pub image: Option<RunImage>,
}

/// The root for these options; `owner` has the files that are made for it.
pub(super) fn root(global: &Global, args: &SandboxArgs, owner: (u32, u32)) -> Result<Root> {
    match (&args.files.rootfs, &args.files.image) {
        (Some(directory), _) => from_directory(directory.as_path()),
        (None, Some(asked)) => {
            let image = image::open(global, asked).at("--image")?;
            let accounts = image.accounts.clone();
            Ok(Root { skeleton: vec![], mounts: vec![], accounts, image: Some(image) })
        }
        (None, None) => from_host(args, owner),
    }
}

fn from_directory(directory: &Path) -> Result<Root> {
    let root = bundle::open_directory(directory).on(directory.display()).at("--rootfs")?;
    let accounts = Accounts::of_root(root.as_fd())?;
    Ok(Root { skeleton: vec![], mounts: vec![], accounts, image: None })
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
    Ok(Root { skeleton, mounts: mounts.collect(), accounts, image: None })
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
