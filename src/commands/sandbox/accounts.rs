//! The passwd and group of a root: names are looked up in these, never in the host's.
//! passwd(5), group(5). The files are the image's: whoever wrote them says who is who inside,
//! and nothing else.

use std::os::fd::BorrowedFd;
use std::path::Path;

use super::super::text_file;
use crate::error::{Context, Error, Result};
use crate::types::{Principal, UserArg};

/// Larger ones are refused.
pub(super) const LARGEST: usize = 1 << 20;

/// The passwd and group of the root.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// /etc/passwd.
    pub passwd: String,
    /// /etc/group.
    pub group: String,
}

/// Who an image says its program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// uid inside.
    pub uid: u32,
    /// gid inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
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
    /// Those of an opened root; links are followed inside it only.
    ///
    /// # Errors
    /// Something else than a file has the name, or it is too large.
    pub fn of_root(root: BorrowedFd<'_>) -> Result<Self> {
        let text = |name: &str| -> Result<String> {
            let content = text_file::read_in_root(root, Path::new(name), LARGEST)?;
            Ok(String::from_utf8_lossy(&content.unwrap_or_default()).into_owned())
        };
        Ok(Self { passwd: text("etc/passwd")?, group: text("etc/group")? })
    }

    /// Whom the configuration of an image names; none where it names nobody. A user without a
    /// group has those of the accounts (image-spec, config.md "User").
    ///
    /// # Errors
    /// A name that the image's own accounts do not have.
    pub fn of_image(&self, text: &str) -> Result<Option<ImageUser>> {
        if text.is_empty() {
            return Ok(None);
        }
        let asked: UserArg = text.parse().at("the image's user")?;
        let entry =
            self.user(&asked.user).map_err(|error| error.replace_field("the image's user".to_owned()))?;
        Ok(Some(match &asked.group {
            Some(group) => ImageUser { uid: entry.uid, gid: self.group(group)?, groups: vec![] },
            None => ImageUser { uid: entry.uid, gid: entry.gid, groups: self.groups_of(&entry) },
        }))
    }

    /// The account of an id; one without an entry lives in `/`.
    pub(super) fn by_id(&self, uid: u32) -> Entry {
        let found = self.passwd.lines().filter_map(parse).find(|entry| entry.uid == uid);
        found.unwrap_or_else(|| Entry { uid, gid: uid, name: uid.to_string(), home: "/".to_owned() })
    }

    fn groups_of(&self, entry: &Entry) -> Vec<u32> {
        let member = |line: &str| {
            let mut fields = line.split(':').skip(2);
            let gid = id(fields.next()?)?;
            fields.next()?.split(',').any(|name| name == entry.name).then_some(gid)
        };
        self.group.lines().filter_map(member).filter(|gid| *gid != entry.gid).collect()
    }

    pub(super) fn user(&self, asked: &Principal) -> Result<Entry> {
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

    pub(super) fn user_name(&self, uid: u32) -> Option<String> {
        self.passwd.lines().filter_map(parse).find(|entry| entry.uid == uid).map(|entry| entry.name)
    }

    pub(super) fn group(&self, asked: &Principal) -> Result<u32> {
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
    fn the_user_of_an_image_is_looked_up_in_its_own_accounts() {
        let accounts = Accounts {
            passwd: "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n".to_owned(),
            group: "root:x:0:\nweb:x:33:\nlogs:x:4:web,other\nbad:x:4294967295:web\n".to_owned(),
        };
        let user = |uid, gid, groups: &[u32]| Some(ImageUser { uid, gid, groups: groups.to_vec() });
        let rows = [
            ("", None),
            ("web", user(33, 33, &[4])),
            ("33", user(33, 33, &[4])),
            ("web:root", user(33, 0, &[])),
            ("web:7", user(33, 7, &[])),
            ("7", user(7, 7, &[])),
            ("0", user(0, 0, &[])),
        ];
        for (text, expected) in rows {
            assert_eq!(accounts.of_image(text).unwrap(), expected, "{text}");
        }
        for text in ["nobody", "web:nobody", "-1", "4294967295", "4294967296", "a b", "web:", ":0"] {
            accounts.of_image(text).unwrap_err();
        }
    }

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
