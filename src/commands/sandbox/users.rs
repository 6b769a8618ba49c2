//! `--user` and `--group-add`: names are looked up in the sandbox's own passwd and group,
//! never in the host's. passwd(5), group(5).

use super::root::Accounts;
use crate::cli::SandboxArgs;
use crate::error::{Error, Result};
use crate::rootfs::{TOOL_GID, TOOL_UID};
use crate::types::Principal;

/// Who the program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub name: String,
    pub home: String,
}

/// Resolves the options.
pub(super) fn user(args: &SandboxArgs, accounts: &Accounts) -> Result<User> {
    let mut user = match &args.identity.user {
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

/// One line of passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub uid: u32,
    pub gid: u32,
    pub name: String,
    pub home: String,
}

impl Accounts {
    fn user(&self, asked: &Principal) -> Result<Entry> {
        let found = self.passwd.lines().filter_map(parse).find(|entry| match asked {
            Principal::Id(id) => entry.uid == id.raw(),
            Principal::Name(name) => entry.name == *name,
        });
        match (found, asked) {
            (Some(entry), _) => Ok(entry),
            (None, Principal::Id(id)) => {
                Ok(Entry { uid: id.raw(), gid: id.raw(), name: id.raw().to_string(), home: "/".to_owned() })
            }
            (None, Principal::Name(name)) => {
                Err(Error::usage("no such user in the sandbox's /etc/passwd").field("--user").object(name))
            }
        }
    }

    fn user_name(&self, uid: u32) -> Option<String> {
        self.passwd.lines().filter_map(parse).find(|entry| entry.uid == uid).map(|entry| entry.name)
    }

    fn group(&self, asked: &Principal) -> Result<u32> {
        let name = match asked {
            Principal::Id(id) => return Ok(id.raw()),
            Principal::Name(name) => name,
        };
        let found = self.group.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            id(fields.nth(1)?)
        });
        found.ok_or_else(|| {
            Error::usage("no such group in the sandbox's /etc/group").field("--user").object(name)
        })
    }
}

fn parse(line: &str) -> Option<Entry> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = id(fields.nth(1)?)?;
    let gid = id(fields.next()?)?;
    let home = fields.nth(1).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned();
    Some(Entry { uid, gid, name, home })
}

/// Strictly decimal, and never the "no change" id.
fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_strictly() {
        let rows = [
            ("a:x:5:6:g:/home/a:/bin/sh", Some((5, 6, "/home/a"))),
            ("a:x:-1:6:g:/h:/s", None),
            ("a:x:4294967295:6:g:/h:/s", None),
            ("a:x: 5:6:g:/h:/s", None),
            ("a:x:5", None),
            ("a:x:5:6:g:relative:/s", Some((5, 6, "/"))),
        ];
        for (line, expected) in rows {
            let found = parse(line);
            let found = found.as_ref().map(|entry| (entry.uid, entry.gid, entry.home.as_str()));
            assert_eq!(found, expected, "{line}");
        }
    }
}
