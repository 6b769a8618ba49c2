//! `--user` and `--group-add`: names are looked up in the sandbox's own passwd and group,
//! never in the host's. passwd(5), group(5).

use super::accounts::{Accounts, ImageUser};
use crate::cli::SandboxArgs;
use crate::error::Result;
use crate::rootfs::{TOOL_GID, TOOL_UID};

/// Who the program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub name: String,
    pub home: String,
}

/// Resolves the options. An image may say who its program is; one that says nothing does not
/// make it root.
pub(super) fn user(args: &SandboxArgs, accounts: &Accounts, image: Option<&ImageUser>) -> Result<User> {
    let mut user = match &args.identity.user {
        None if image.is_some() => of_image(accounts, image),
        None => User {
            uid: TOOL_UID,
            gid: TOOL_GID,
            groups: vec![],
            name: accounts.user_name(TOOL_UID).unwrap_or_else(|| "tool".to_owned()),
            home: "/home/tool".to_owned(),
        },
        Some(asked) => {
            let entry = accounts.user(&asked.user)?;
            let gid = match &asked.group {
                Some(group) => accounts.group(group)?,
                None => entry.gid,
            };
            User { uid: entry.uid, gid, groups: vec![], name: entry.name, home: entry.home }
        }
    };
    for group in &args.identity.group_add {
        user.groups.push(accounts.group(group).map_err(|error| error.field("--group-add"))?);
    }
    Ok(user)
}

fn of_image(accounts: &Accounts, image: Option<&ImageUser>) -> User {
    let ImageUser { uid, gid, groups } =
        image.cloned().unwrap_or(ImageUser { uid: TOOL_UID, gid: TOOL_GID, groups: vec![] });
    let entry = accounts.by_id(uid);
    User { uid, gid, groups, name: entry.name, home: entry.home }
}
