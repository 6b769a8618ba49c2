//! The name of an image: `[REGISTRY/]PATH[:TAG][@DIGEST]`, in the grammar of distribution-spec
//! ("Pulling manifests") and of Docker's references.
//!
//! A registry is the first component where that has a dot or a colon, or is `localhost`. None is
//! a default: a name without one stays as it is in the store, and who pulls it says from where.
//! Docker Hub has a rule of its own: `docker.io/NAME` is `docker.io/library/NAME`.

use std::fmt;
use std::str::FromStr;

use super::{Digest, refused};
use crate::error::{Error, Result};

/// The tag of a name that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// NAME_MAX of Docker's references: registry and path together.
const LONGEST_NAME: usize = 255;
/// Before a colon these name a place ([`super::ImageSource`]): with a tag such a name would be one.
const PLACES: [&str; 4] = ["oci", "archive", "rootfs", "dir"];
/// Docker Hub, and where it keeps what has no owner in its name (Docker's reference/normalize.go).
const DOCKER_HUB: &str = "docker.io";
const OFFICIAL: &str = "library/";
/// The longest tag (distribution-spec).
const LONGEST_TAG: usize = 128;

/// A name of an image. Two that mean the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    registry: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// Host, and port where one is given.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The repository in its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; `latest` where neither tag nor digest are given.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (None, None) => Some(DEFAULT_TAG),
            (tag, _) => tag.as_deref(),
        }
    }

    /// The digest that the image must have.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and path.
    pub fn repository(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The name under which the store keeps it: a digest chooses no other image then, it says
    /// which one it must be. `None` where it is chosen by digest alone.
    pub fn name(&self) -> Option<String> {
        self.tag().map(|tag| format!("{}:{tag}", self.repository()))
    }

    /// The same in this registry, where it has none of its own.
    #[must_use]
    pub fn with_registry(mut self, registry: &str) -> Self {
        let registry = self.registry.get_or_insert_with(|| registry.to_owned());
        self.path = in_registry(registry, &self.path);
        self
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |words: &str| refused(text, words);
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|_what| wrong("behind @ stands sha256: and 64 lower-case hexadecimal digits"))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (name, None),
        };
        if name.len() > LONGEST_NAME {
            return Err(wrong("a name of an image has at most 255 letters"));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong(
                "a tag has 1 to 128 letters, digits, '_', '.' or '-', and starts with none of the last two",
            ));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(first.to_owned()), rest),
            _ => (None, name),
        };
        if registry.as_deref().is_some_and(|host| !is_sound_host(host)) {
            return Err(wrong("the registry in front of the first '/' is HOST or HOST:PORT"));
        }
        if registry.is_none() && PLACES.contains(&path) {
            return Err(wrong("an image cannot have the name of a kind of place: oci, archive, rootfs, dir"));
        }
        if !path.split('/').all(is_component) {
            return Err(wrong(
                "a name of an image is lower-case letters and digits, with single '.', '_', '__' or '-' between, in parts between '/'",
            ));
        }
        let path =
            registry.as_deref().map_or_else(|| path.to_owned(), |registry| in_registry(registry, path));
        Ok(Self { registry, path, tag, digest })
    }
}

/// What a path means in a registry.
fn in_registry(registry: &str, path: &str) -> String {
    match registry == DOCKER_HUB && !path.contains('/') {
        true => format!("{OFFICIAL}{path}"),
        false => path.to_owned(),
    }
}

/// Docker's rule: what else could it be but a host.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

fn is_sound_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        // An address of IPv6 stands in brackets.
        Some((name, port)) if !name.starts_with('[') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let sound_port = port.is_none_or(|port| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    let sound_name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_label),
    };
    sound_port && sound_name
}

/// One part of a host name (RFC 1123).
fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !label.is_empty() && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec).
fn is_component(component: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let sound =
        |between: &str| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-');
    let ends = [component.bytes().next(), component.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(letter)) && separators.into_iter().all(sound)
}

fn is_tag(tag: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=LONGEST_TAG).contains(&tag.len()) && tag.bytes().all(plain) && !tag.starts_with(['.', '-'])
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository())?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_registry_is_told_from_a_path() {
        table::accepts(
            &[
                ("busybox", (None, "busybox", Some("latest"))),
                ("library/busybox:1.37", (None, "library/busybox", Some("1.37"))),
                ("example.org/a/b", (Some("example.org"), "a/b", Some("latest"))),
                ("localhost/a", (Some("localhost"), "a", Some("latest"))),
                ("localhost:5000/a:b", (Some("localhost:5000"), "a", Some("b"))),
                ("127.0.0.1:5000/a", (Some("127.0.0.1:5000"), "a", Some("latest"))),
                ("[::1]:5000/a", (Some("[::1]:5000"), "a", Some("latest"))),
                ("a/b.c_d__e---f", (None, "a/b.c_d__e---f", Some("latest"))),
                ("docker.io/a:1", (Some("docker.io"), "library/a", Some("1"))),
                ("docker.io/b/a", (Some("docker.io"), "b/a", Some("latest"))),
                ("other.docker.io/a", (Some("other.docker.io"), "a", Some("latest"))),
            ]
            .map(|(text, (registry, path, tag))| {
                (text, (registry.map(str::to_owned), path.to_owned(), tag.map(str::to_owned)))
            }),
            |image: ImageRef| {
                (image.registry().map(str::to_owned), image.path().to_owned(), image.tag().map(str::to_owned))
            },
        );
    }

    #[test]
    fn a_digest_alone_has_no_tag() {
        let digest = Digest::of(b"");
        let image: ImageRef = format!("a@{digest}").parse().unwrap();
        assert_eq!((image.tag(), image.name(), image.digest()), (None, None, Some(&digest)));
        let both: ImageRef = format!("a:b@{digest}").parse().unwrap();
        assert_eq!(both.name().as_deref(), Some("a:b"));
        assert_eq!(both.to_string(), format!("a:b@{digest}"));
        let named: ImageRef = "a".parse().unwrap();
        assert_eq!(named.clone().with_registry("r.example").to_string(), "r.example/a:latest");
        assert_eq!(named.with_registry("docker.io").to_string(), "docker.io/library/a:latest");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let name = "lower-case";
        let long = "a".repeat(256);
        let tag = format!("a:{}", "b".repeat(129));
        table::refuses::<ImageRef>(&[
            ("", name),
            ("/", name),
            ("dir", "kind of place"),
            ("oci:latest", "kind of place"),
            ("/a", name),
            ("a/", name),
            ("a//b", name),
            ("A", name),
            ("..", name),
            ("a/../b", name),
            ("a..b", name),
            ("a___b", name),
            ("-a", name),
            ("a b", name),
            ("a\n", name),
            ("ä", name),
            (&long, "at most 255"),
            ("a:", "a tag"),
            ("a:.b", "a tag"),
            ("a:b c", "a tag"),
            (&tag, "a tag"),
            ("a@", "behind @"),
            ("a@sha256:00", "behind @"),
            ("a@b@c", "behind @"),
            ("-.example/a", "the registry"),
            ("example.org:x/a", "the registry"),
            ("example.org:99999/a", "the registry"),
            ("[::1/a", "the registry"),
            ("a.b/", name),
        ]);
    }
}
