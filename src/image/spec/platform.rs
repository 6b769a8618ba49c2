//! Which machine an image is for: image-spec, image-index.md "platform"; GOOS and GOARCH.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Index;
use crate::error::{Error, Result};
use crate::image::failed;
use crate::image::spec::{Descriptor, MediaType};

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// GOOS.
    pub os: String,
    /// GOARCH.
    pub architecture: String,
    /// The version of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The machine that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted(Platform);

impl Wanted {
    /// The machine that pinfold was built for.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self(Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None })
    }

    /// The machine.
    pub fn platform(&self) -> &Platform {
        &self.0
    }

    /// How well an image fits: `None` where it cannot run, more is better.
    fn fit(&self, given: &Platform) -> Option<u32> {
        if (&given.os, &given.architecture) != (&self.0.os, &self.0.architecture) {
            return None;
        }
        match (&self.0.variant, &given.variant) {
            (Some(wanted), Some(given)) if wanted == given => Some(3),
            (Some(_), Some(_)) => None,
            (Some(_), None) | (None, None) => Some(2),
            // The processor's own version is not known: the plainest image runs everywhere.
            (None, Some(_)) => Some(1),
        }
    }

    /// The entry of an index that is for this machine; the first of those that fit best. One
    /// without a platform is taken where it is the only image.
    ///
    /// # Errors
    /// None is, with what there is.
    pub fn choose<'i>(&self, index: &'i Index) -> Result<&'i Descriptor> {
        let images: Vec<_> = index.manifests.iter().filter(|entry| is_image(entry)).collect();
        let mut best: Option<(u32, &Descriptor)> = None;
        for entry in &images {
            let fit = entry.platform.as_ref().and_then(|platform| self.fit(platform));
            if let Some(fit) = fit.filter(|fit| best.is_none_or(|(so_far, _)| *fit > so_far)) {
                best = Some((fit, entry));
            }
        }
        match (best, images.as_slice()) {
            (Some((_, entry)), _) => Ok(entry),
            (None, [only]) if only.platform.is_none() => Ok(only),
            (None, _) => {
                let there: Vec<_> = images
                    .iter()
                    .filter_map(|entry| entry.platform.as_ref())
                    .map(ToString::to_string)
                    .collect();
                Err(failed(format!("has no image for {}, only for: {}", self.0, there.join(", "))))
            }
        }
    }

    /// Whether a configuration that names no variant, or this one, can run here.
    ///
    /// # Errors
    /// It is for another machine.
    pub fn accept(&self, given: &Platform) -> Result<()> {
        match self.fit(given) {
            Some(_) => Ok(()),
            None => Err(failed(format!("is for {given}, not for {}", self.0))
                .hint("--platform OS/ARCH names another machine than this one")),
        }
    }
}

/// Signatures and attestations stand in an index as well, for a platform that no machine has.
fn is_image(entry: &Descriptor) -> bool {
    let unknown = |platform: &Platform| platform.os == "unknown" || platform.architecture == "unknown";
    matches!(entry.kind(), Ok(MediaType::Manifest | MediaType::Index))
        && !entry.platform.as_ref().is_some_and(unknown)
}

impl FromStr for Wanted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.split('/').collect();
        let sound = |part: &&str| {
            !part.is_empty()
                && part.len() <= 32
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        };
        match parts.as_slice() {
            [os, architecture, rest @ ..] if rest.len() <= 1 && parts.iter().all(sound) => {
                Ok(Self(Platform {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: rest.first().map(|variant| (*variant).to_owned()),
                }))
            }
            _ => Err(Error::usage("a platform is OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64/v8")),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Digest;

    fn index(platforms: &[&str]) -> Index {
        let entry = |(number, text): (usize, &&str)| {
            let platform = text.parse::<Wanted>().ok().map(|wanted| wanted.0);
            let digest = Digest::of(&[u8::try_from(number).unwrap()]);
            Descriptor { platform, ..Descriptor::new(MediaType::Manifest, digest, 1) }
        };
        let manifests = platforms.iter().enumerate().map(entry).collect();
        Index { schema_version: 2, media_type: None, manifests, annotations: Default::default() }
    }

    #[test]
    fn the_entry_that_fits_best_is_chosen() {
        let rows: &[(&str, &[&str], Option<usize>)] = &[
            ("linux/amd64", &["linux/arm64/v8", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/amd64/v3", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/amd64/v3"], Some(0)),
            ("linux/arm64/v8", &["linux/arm64", "linux/arm64/v8"], Some(1)),
            ("linux/arm64/v8", &["linux/arm64/v9"], None),
            ("linux/amd64", &["windows/amd64", "linux/arm64"], None),
            ("linux/amd64", &[""], Some(0)),
            ("linux/amd64", &["", ""], None),
            ("linux/amd64", &["unknown/unknown", "linux/amd64"], Some(1)),
            ("linux/amd64", &[], None),
        ];
        for (wanted, platforms, chosen) in rows {
            let index = index(platforms);
            let found = wanted.parse::<Wanted>().unwrap().choose(&index).ok();
            let expected = chosen.map(|number| &index.manifests[number]);
            assert_eq!(found, expected, "{wanted} {platforms:?}");
        }
    }

    #[test]
    fn a_platform_has_two_or_three_parts() {
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            text.parse::<Wanted>().unwrap_err();
        }
        assert_eq!("linux/arm64/v8".parse::<Wanted>().unwrap().platform().to_string(), "linux/arm64/v8");
    }
}
