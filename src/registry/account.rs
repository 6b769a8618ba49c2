//! The caller's accounts at registries: containers-auth.json(5), and Docker's config.json.
//!
//! The files are the caller's own. What they say gives a registry a name and a secret, and
//! nothing else follows from it; the environment may therefore name them. One registry's
//! account is all that a fetcher gets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use serde::Deserialize;

use super::helper;
use super::wire::Login;
use crate::error::{Call, Context, Error, Result};
use crate::sys;
use crate::types::Base64;

const LARGEST: u64 = 1 << 20;
/// Docker Hub, and what Docker calls it where it keeps an account.
const DOCKER_HUB: (&str, &str) = ("docker.io", "https://index.docker.io/v1/");

/// The files, the first of which that knows a registry decides.
#[derive(Debug, Default)]
pub struct Accounts {
    files: Vec<(PathBuf, Content)>,
}

#[derive(Debug, Default, Deserialize)]
struct Content {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

impl Accounts {
    /// The file that was named, which must be there; or those at podman's and Docker's places.
    ///
    /// # Errors
    /// A file that cannot be read, that others can write, or that is no such file.
    pub fn open(named: Option<&Path>) -> Result<Self> {
        if let Some(path) = named.map(Path::to_owned).or_else(|| variable("REGISTRY_AUTH_FILE")) {
            let content = read(&path).on(path.display())?;
            let content = content.ok_or_else(|| Error::usage("is not there").object(path.display()))?;
            return Ok(Self { files: vec![(path, content)] });
        }
        let mut files = vec![];
        for path in places(variable) {
            if let Some(content) = read(&path).on(path.display())? {
                files.push((path, content));
            }
        }
        Ok(Self { files })
    }

    /// The account at `host` for a repository; `None`: nobody is asked who we are.
    ///
    /// # Errors
    /// An entry or a helper's answer that cannot be used.
    pub fn login(&self, host: &str, repository: &str) -> Result<Option<Login>> {
        for (path, content) in &self.files {
            if let Some(login) = content.login(host, repository).on(path.display())? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

impl Content {
    /// The most exact name first (containers-auth.json(5)); a helper before what is written down.
    fn login(&self, host: &str, repository: &str) -> Result<Option<Login>> {
        let (hub, name_for_helpers) = DOCKER_HUB;
        let asked = if host == hub { name_for_helpers } else { host };
        if let Some((_, helper)) = self.helpers.iter().find(|(key, _)| bare(key) == host) {
            return helper::ask(helper, asked);
        }
        let mut name = format!("{host}/{repository}");
        let entry = loop {
            let found = self.auths.iter().find(|(key, _)| bare(key) == name);
            match (found, name.rsplit_once('/')) {
                (Some((_, entry)), _) => break Some(entry),
                (None, Some((shorter, _))) => name = shorter.to_owned(),
                (None, None) => break None,
            }
        };
        match (entry, &self.store) {
            (Some(entry), None) => entry.login().on(name),
            (Some(entry), _) if !entry.auth.is_empty() => entry.login().on(name),
            (_, Some(helper)) => helper::ask(helper, asked),
            (None, None) => Ok(None),
        }
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>> {
        if !self.identitytoken.is_empty() {
            return Err(Error::setup("is an identity token, which pinfold does not exchange"));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let wrong = || Error::setup("`auth` is not the base64 of USER:PASSWORD");
        let bytes = self.auth.parse::<Base64>().map_err(|_what| wrong())?;
        let text = String::from_utf8(bytes.0).map_err(|_what| wrong())?;
        let (user, secret) = text.split_once(':').ok_or_else(wrong)?;
        // Docker pads what it writes.
        Ok(Some(Login { user: user.to_owned(), secret: secret.trim_end_matches('\0').to_owned() }))
    }
}

/// A key as Docker may have written it: with a scheme, and `/v1/` or `/v2/` behind the host; Docker Hub by
/// the name of its index.
fn bare(key: &str) -> &str {
    let has_scheme = key.contains("://");
    let key = key.split_once("://").map_or(key, |(_, rest)| rest).trim_end_matches('/');
    let plain = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2"));
    let key = if has_scheme { plain.unwrap_or(key) } else { key };
    let (hub, _) = DOCKER_HUB;
    let of_hub = key.strip_prefix("index.").filter(|rest| rest.split('/').next() == Some(hub));
    of_hub.unwrap_or(key)
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from)
}

fn places(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let home = variable("HOME");
    let below = |place: Option<PathBuf>, rest: &str| place.map(|place| place.join(rest));
    let config = variable("XDG_CONFIG_HOME").or_else(|| below(home.clone(), ".config"));
    let docker = variable("DOCKER_CONFIG").or_else(|| below(home, ".docker"));
    let places = [
        below(variable("XDG_RUNTIME_DIR"), "containers/auth.json"),
        below(config, "containers/auth.json"),
        below(docker, "config.json"),
    ];
    places.into_iter().flatten().filter(|path| path.is_absolute()).collect()
}

fn read(path: &Path) -> Result<Option<Content>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(AT_FDCWD, path, how) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        opened => opened.call("openat2")?,
    };
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    if stat.mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Error::setup("is not a regular file"));
    }
    if stat.uid != 0 && stat.uid != nix::unistd::geteuid().as_raw() {
        return Err(Error::setup(format!("belongs to user {}, not to the caller", stat.uid)));
    }
    if stat.mode & (libc::S_IWGRP | libc::S_IWOTH) != 0 {
        return Err(Error::setup("can be written by its group or by others"));
    }
    let mut text = vec![];
    std::io::Read::read_to_end(&mut std::io::Read::take(File::from(file), LARGEST + 1), &mut text)
        .call("read")?;
    if text.len() as u64 > LARGEST {
        return Err(Error::setup(format!("is larger than {LARGEST} bytes")));
    }
    content(&text).map(Some)
}

/// The words of serde would quote what stands in a wrong place, such as a password.
fn content(text: &[u8]) -> Result<Content> {
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::setup(format!("line {line} column {column} is not as containers-auth.json(5) has it"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, host: &str, repository: &str) -> Option<(String, String)> {
        let content: Content = serde_json::from_str(text).unwrap();
        content.login(host, repository).unwrap().map(|login| (login.user, login.secret))
    }

    #[test]
    fn what_is_wrong_is_not_quoted() {
        let told = content(br#"{"auths": {"r.example": "dXNlcjpwYXNz"}}"#).unwrap_err().to_string();
        assert!(told.contains("line 1 column 38") && !told.contains("dXNl"), "{told}");
    }

    #[test]
    fn the_most_exact_entry_counts() {
        // u:host, u:part and u:whole.
        let text = r#"{"auths": {"a.example": {"auth": "dTpob3N0"}, "a.example/x": {"auth": "dTpwYXJ0"},
            "a.example/x/y": {"auth": "dTp3aG9sZQ=="}, "https://b.example/v1/": {"auth": "dTpob3N0AAA="},
            "https://index.docker.io/v1/": {"auth": "dTpodWI="}}}"#;
        let secret = |host, repository| of(text, host, repository).map(|(_, secret)| secret);
        assert_eq!(secret("a.example", "x/y").as_deref(), Some("whole"));
        assert_eq!(secret("a.example", "x/z").as_deref(), Some("part"));
        assert_eq!(secret("a.example", "xy").as_deref(), Some("host"));
        assert_eq!(secret("b.example", "x").as_deref(), Some("host"));
        assert_eq!(secret("docker.io", "library/x").as_deref(), Some("hub"));
        assert_eq!(secret("index.docker.io.example", "x"), None);
        assert_eq!(secret("a.example:5000", "x"), None);
        assert_eq!(secret("example", "x"), None);
        assert_eq!(of("{}", "a.example", "x"), None);
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        for entry in [r#"{"auth": "***"}"#, r#"{"auth": "dQ=="}"#, r#"{"identitytoken": "t"}"#] {
            let content: Content =
                serde_json::from_str(&format!(r#"{{"auths": {{"a.b": {entry}}}}}"#)).unwrap();
            content.login("a.b", "x").unwrap_err();
        }
    }

    #[test]
    fn the_places_are_podman_s_and_docker_s() {
        let variable = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/a"));
        let shown: Vec<_> = places(variable).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(shown, ["/home/a/.config/containers/auth.json", "/home/a/.docker/config.json"]);
    }
}
