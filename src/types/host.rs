//! Host names: of the sandbox itself, and those that it can resolve.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::refused;
use crate::error::{Error, Result};

/// The kernel's limit (`__NEW_UTS_LEN`, uname(2)).
const LONGEST_HOSTNAME: usize = 64;
/// RFC 1035, section 2.3.4.
const LONGEST_NAME: usize = 253;

/// The host name of a sandbox: 1 to 64 letters, digits, `-`, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=longest).contains(&text.len()) && !text.starts_with(['-', '.']) && text.bytes().all(plain)
}

impl FromStr for Hostname {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match is_name(text, LONGEST_HOSTNAME) {
            true => Ok(Self(text.to_owned())),
            false => Err(refused(text, "a host name is 1 to 64 letters, digits, '-', '_' or '.'")),
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line of the sandbox's /etc/hosts: `NAME:IP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHost {
    /// The name: nothing in it can begin another line or another entry.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

impl FromStr for AddHost {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = || refused(text, "a host is NAME:IP, such as db:192.0.2.1 or db:2001:db8::1");
        let (name, address) = text.split_once([':', '=']).ok_or_else(form)?;
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address = bare.parse().ok().filter(|ip: &IpAddr| ip.is_ipv6() || bare == address);
        match (is_name(name, LONGEST_NAME), address) {
            (true, Some(address)) => Ok(Self { name: name.to_owned(), address }),
            _ => Err(form()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_hostname_is_what_the_kernel_takes() {
        let longest = "a".repeat(64);
        for text in ["a", "box-1", "a.b_c", longest.as_str()] {
            assert_eq!(text.parse::<Hostname>().unwrap().as_str(), text);
        }
        let long = "a".repeat(65);
        let bad = ["", "-a", ".a", "a b", "a\n", "a/b", "é", long.as_str()];
        table::refuses::<Hostname>(&bad.map(|text| (text, "a host name is")));
    }

    #[test]
    fn a_host_is_a_name_and_an_address() {
        let rows = [
            ("db:192.0.2.1", ("db", "192.0.2.1")),
            ("db.example:2001:db8::1", ("db.example", "2001:db8::1")),
            ("db:[2001:db8::1]", ("db", "2001:db8::1")),
            ("db=::1", ("db", "::1")),
        ];
        let rows = rows.map(|(text, (name, ip))| (text, (name.to_owned(), ip.parse::<IpAddr>().unwrap())));
        table::accepts::<AddHost, _>(&rows, |host| (host.name, host.address));
    }

    #[test]
    fn a_host_cannot_smuggle_in_another_line() {
        let bad = [
            "",
            "db",
            "db:",
            ":192.0.2.1",
            "db:host-gateway",
            "db:192.0.2",
            "db:192.0.2.1 x",
            "a b:192.0.2.1",
            "a\n192.0.2.2 c:192.0.2.1",
            "db:[192.0.2.1]",
            "db:[::1",
            "#:192.0.2.1",
        ];
        table::refuses::<AddHost>(&bad.map(|text| (text, "a host is NAME:IP")));
    }
}
