//! The name of the user who made a container, as `list` shows it.

use nix::errno::Errno;

use crate::error::{Call, Context, Result};
use crate::sys;

/// The user's name in the host's /etc/passwd, or `#UID` as runc writes it.
pub fn name(uid: u32) -> Result<String> {
    let passwd = match sys::file::whole("/etc/passwd") {
        Err(Errno::ENOENT) => vec![],
        read => read.call("read").on("/etc/passwd")?,
    };
    Ok(name_in(&passwd, uid).unwrap_or_else(|| format!("#{uid}")))
}

fn name_in(passwd: &[u8], uid: u32) -> Option<String> {
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = std::str::from_utf8(line).ok()?.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_user_with_the_id_is_named() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n\nbad\xff:x:7:7\n:x:8:8\nx:x:9\ntoor:x:0:0::/:\n+nis\nno:x:a:b\n";
        let table = [(0, Some("root")), (7, None), (8, None), (9, Some("x")), (10, None)];
        for (uid, name) in table {
            assert_eq!(name_in(passwd, uid).as_deref(), name, "{uid}");
        }
    }

    #[test]
    fn an_unknown_user_is_a_number() {
        assert_eq!(name(u32::MAX - 7).unwrap(), format!("#{}", u32::MAX - 7));
    }
}
