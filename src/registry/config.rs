//! `/etc/pinfold/registries.toml`: where registries are, and how they are spoken to. The word of
//! the host's owner, read as the policy is: docs/registries.md.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::error::{Context, Error, Kind, Result};
use crate::policy::trusted;
use crate::types::{ByteSize, ImageRef, Span};

/// A constant on purpose, as the policy's place is.
pub const CONFIG_FILE: &str = "/etc/pinfold/registries.toml";
/// The format that this version reads.
const VERSION: u32 = 1;
/// Transfers side by side.
const PARALLEL: usize = 3;
const MOST_PARALLEL: usize = 16;

/// What is known of registries.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registries {
    version: u32,
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    registry: Vec<Registry>,
}

/// What one pull may cost.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of all blobs of an image.
    #[serde(deserialize_with = "size")]
    pub image: u64,
    /// Bytes of one blob.
    #[serde(deserialize_with = "size")]
    pub blob: u64,
    /// From the beginning to the end.
    #[serde(deserialize_with = "time")]
    pub time: Duration,
    /// A transfer that brings less than [`Self::LEAST`] bytes in this time counts as broken.
    #[serde(deserialize_with = "time")]
    pub stall: Duration,
    /// Transfers side by side.
    pub parallel: usize,
}

impl Limits {
    /// See [`Self::stall`].
    pub const LEAST: u64 = 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            image: 32 << 30,
            blob: 16 << 30,
            time: Duration::from_secs(3600),
            stall: Duration::from_secs(30),
            parallel: PARALLEL,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    name: Spanned<String>,
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    ca: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    proxy: Option<String>,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    mirror: Vec<Mirror>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    ca: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    proxy: Option<String>,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    tags: bool,
}

/// One address that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// HOST or HOST:PORT.
    pub location: String,
    /// Whether plain HTTP is spoken.
    pub insecure: bool,
    /// The file of the certificate authorities that alone count for it.
    pub ca: Option<String>,
    /// The name that its account has in the file of accounts.
    pub account: String,
    /// A proxy for https.
    pub proxy: Option<String>,
    /// Further ports that it may send the client to.
    pub ports: Vec<u16>,
    /// Whether it may say what a tag means.
    pub tags: bool,
}

impl Registries {
    /// What the owner of the host wrote; nothing special where there is no such file.
    ///
    /// # Errors
    /// It cannot be trusted or read, or says what this version does not know.
    pub fn read() -> Result<Self> {
        let Some(text) = trusted::read_at(CONFIG_FILE).on(CONFIG_FILE)? else {
            return Ok(Self { version: VERSION, ..Self::default() });
        };
        Self::parse(&text).on(CONFIG_FILE)
    }

    fn parse(text: &str) -> Result<Self> {
        let wrong = |text: String| Error::new(Kind::Usage, text);
        let read: Self = toml::from_str(text).map_err(|error| wrong(error.to_string().trim().to_owned()))?;
        if read.version != VERSION {
            return Err(wrong(format!("is of version {}; this pinfold reads {VERSION}", read.version)));
        }
        if !(1..=MOST_PARALLEL).contains(&read.limits.parallel) {
            return Err(
                wrong(format!("1 to {MOST_PARALLEL} transfers side by side")).field("limits.parallel")
            );
        }
        let hosts = read.registry.iter().flat_map(|registry| {
            let own = [Some(registry.name.get_ref()), registry.location.as_ref()];
            own.into_iter().flatten().chain(registry.mirror.iter().map(|mirror| &mirror.location))
        });
        for host in hosts.chain(read.default.as_ref()) {
            check_host(host).map_err(wrong)?;
        }
        read.no_name_twice(text).map_err(wrong)?;
        Ok(read)
    }

    /// Whichever of two counted would surprise somebody.
    fn no_name_twice(&self, text: &str) -> std::result::Result<(), String> {
        let line = |name: &Spanned<String>| {
            let before = text.as_bytes().get(..name.span().start).unwrap_or_default();
            before.iter().filter(|byte| **byte == b'\n').count() + 1
        };
        let mut seen: Vec<&Spanned<String>> = vec![];
        for registry in &self.registry {
            let name = &registry.name;
            if let Some(first) = seen.iter().find(|seen| seen.get_ref().eq_ignore_ascii_case(name.get_ref()))
            {
                let (first, second) = (line(first), line(name));
                return Err(format!(
                    "{:?} has two tables [[registry]], at lines {first} and {second}",
                    name.get_ref()
                ));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// What one pull may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The reference with its registry.
    ///
    /// # Errors
    /// It names none, and the owner of the host neither.
    pub fn complete(&self, image: ImageRef) -> Result<ImageRef> {
        match (&self.default, image.registry()) {
            (_, Some(_)) => Ok(image),
            (Some(default), None) => Ok(image.with_registry(default)),
            (None, None) => Err(Error::usage("names no registry")
                .object(image)
                .hint(format!("write HOST/NAME, or set `default` in {CONFIG_FILE}"))),
        }
    }

    /// Whom to ask for images of a registry, in this order: its mirrors, and the registry itself.
    /// `insecure` are the addresses that the caller named.
    ///
    /// # Errors
    /// One that is not the registry's own: the caller would be told of a certificate instead.
    pub fn endpoints(&self, name: &str, insecure: &[String]) -> Result<Vec<Endpoint>> {
        let known = self.registry.iter().find(|registry| registry.name.get_ref() == name);
        let mirrors = known.into_iter().flat_map(|registry| &registry.mirror).map(|mirror| Endpoint {
            location: mirror.location.clone(),
            insecure: mirror.insecure,
            ca: mirror.ca.clone(),
            account: mirror.account.clone().unwrap_or_else(|| mirror.location.clone()),
            proxy: mirror.proxy.clone(),
            ports: mirror.ports.clone(),
            tags: mirror.tags,
        });
        let location = known.and_then(|registry| registry.location.as_deref()).unwrap_or(name);
        if let Some(other) = insecure.iter().find(|one| *one != location) {
            let text = format!("is not the address of this image's registry, which is {location}");
            return Err(Error::usage(text).field("--insecure-registry").object(format!("{other:?}")));
        }
        let own = Endpoint {
            location: location.to_owned(),
            insecure: known.is_some_and(|registry| registry.insecure) || !insecure.is_empty(),
            ca: known.and_then(|registry| registry.ca.clone()),
            account: known.and_then(|registry| registry.account.clone()).unwrap_or_else(|| name.to_owned()),
            proxy: known.and_then(|registry| registry.proxy.clone()),
            ports: known.map(|registry| registry.ports.clone()).unwrap_or_default(),
            tags: true,
        };
        Ok(mirrors.chain([own]).collect())
    }
}

impl Endpoint {
    /// The port that it is at.
    pub fn port(&self) -> u16 {
        let named = self.location.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        named.unwrap_or(if self.insecure { 80 } else { 443 })
    }
}

/// What is a registry in front of a name of an image.
fn check_host(host: &str) -> std::result::Result<(), String> {
    let parsed = format!("{host}/a").parse::<ImageRef>();
    match parsed.is_ok_and(|image| image.registry() == Some(host)) {
        true => Ok(()),
        false => Err(format!("{host:?} is not HOST or HOST:PORT")),
    }
}

fn from_text<'de, D: serde::Deserializer<'de>, T: std::str::FromStr<Err = Error>>(
    deserializer: D,
) -> std::result::Result<T, D::Error>
where
    String: DeserializeOwned,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    from_text::<D, ByteSize>(deserializer).map(ByteSize::bytes)
}

fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    from_text::<D, Span>(deserializer).map(Span::duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        version = 1
        default = "a.example"
        [limits]
        image = "1g"
        blob = "512m"
        time = "10m"
        stall = "5s"
        parallel = 2
        [[registry]]
        name = "a.example"
        location = "b.example:5000"
        ca = "/etc/pinfold/ca.pem"
        account = "c.example"
        proxy = "http://proxy.example:3128"
        ports = [5001]
        [[registry.mirror]]
        location = "127.0.0.1:5000"
        insecure = true
        tags = true
    "#;

    #[test]
    fn mirrors_come_first_and_are_spoken_to_in_their_own_way() {
        let read = Registries::parse(WHOLE).unwrap();
        let [mirror, own] = &read.endpoints("a.example", &[]).unwrap()[..] else { panic!() };
        assert_eq!(
            (mirror.location.as_str(), mirror.insecure, mirror.tags, mirror.port()),
            ("127.0.0.1:5000", true, true, 5000)
        );
        assert_eq!((own.location.as_str(), own.insecure, own.port()), ("b.example:5000", false, 5000));
        assert_eq!((own.account.as_str(), own.ca.as_deref()), ("c.example", Some("/etc/pinfold/ca.pem")));
        assert_eq!((mirror.account.as_str(), mirror.ca.as_deref()), ("127.0.0.1:5000", None));
        assert_eq!(read.complete("x:1".parse().unwrap()).unwrap().to_string(), "a.example/x:1");
        assert_eq!(read.limits().blob, 512 << 20);
    }

    #[test]
    fn plain_http_is_for_the_address_that_was_named() {
        let none = Registries { version: 1, ..Registries::default() };
        let insecure = |known: &Registries, name: &str, named: &str| {
            known.endpoints(name, &[named.to_owned()]).map(|all| all.last().unwrap().insecure)
        };
        assert!(insecure(&none, "a.example:5000", "a.example:5000").unwrap());
        assert!(!none.endpoints("a.example", &[]).unwrap()[0].insecure);
        let known = Registries::parse(WHOLE).unwrap();
        assert!(insecure(&known, "a.example", "b.example:5000").unwrap());
        for (known, name, named) in [
            (&none, "a.example", "a.example:5000"),
            (&none, "a.example:5000", "a.example"),
            (&known, "a.example", "a.example"),
            (&known, "a.example", "127.0.0.1:5000"),
        ] {
            let error = insecure(known, name, named).unwrap_err();
            assert_eq!((error.field_name(), error.class()), (Some("--insecure-registry"), Kind::Usage));
        }
        let both = ["a.example".to_owned(), "c.example".to_owned()];
        assert!(none.endpoints("a.example", &both).unwrap_err().to_string().contains("c.example"));
        assert!(none.complete("x".parse().unwrap()).is_err());
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        Registries::parse("version = 1").unwrap();
        for (text, words) in [
            ("", "version"),
            ("version = 2", "version 2"),
            ("version = 1\nother = 1", "other"),
            ("version = 1\ndefault = 'a/b'", "HOST"),
            ("version = 1\n[limits]\nparallel = 0", "side by side"),
            ("version = 1\n[limits]\ntime = 'x'", "line 3"),
            ("version = 1\n[[registry]]\nname = 'https://a.example'", "HOST"),
            ("version = 1\n[[registry]]\nname = 'a.example'\ntags = true", "tags"),
            (
                "version = 1\n[[registry]]\nname = 'a.example'\n[[registry]]\nname = 'b.example'\n\n[[registry]]\nname = 'A.example'",
                "at lines 3 and 8",
            ),
            ("version = 1\n[[registry]]\nname = 'a.example'\n[[registry.mirror]]\nlocation = ''", "HOST"),
        ] {
            let error = Registries::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
