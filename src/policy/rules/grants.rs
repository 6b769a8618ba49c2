//! What a rule grants, one table of the file each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::values::{Access, Ids, Names, Places};

/// `[[bind]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindGrant {
    /// Where it stands.
    pub line: u32,
    /// The place.
    pub path: PathBuf,
    /// `access`.
    pub access: Access,
    /// `owner`.
    pub owner: Option<Ids>,
    /// `destinations`.
    pub destinations: Option<Places>,
    /// `types`: S_IFMT values.
    pub types: Vec<u32>,
    /// `floor`: MOUNT_ATTR_*.
    pub floor: u64,
    /// `hard_links`.
    pub hard_links: bool,
    /// `cross_mounts`.
    pub cross_mounts: bool,
    /// `idmap`.
    pub idmap: bool,
}

/// `[[join]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinGrant {
    /// Where it stands.
    pub line: u32,
    /// CLONE_NEW*.
    pub nstype: u64,
    /// The place.
    pub path: PathBuf,
}

/// `[[hook]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookGrant {
    /// Where it stands.
    pub line: u32,
    /// The program.
    pub path: PathBuf,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// `args`: those after the first.
    pub args: Vec<String>,
    /// `env`: whole entries.
    pub env: Vec<String>,
}

/// `[[signature]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureGrant {
    /// Where it stands.
    pub line: u32,
    /// `images`: names of those that it is about.
    pub images: Names,
    /// `keys`: any of them may have signed.
    pub keys: Vec<SignatureKey>,
}

/// A public key of [`SignatureGrant`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureKey {
    /// The file, which `image pull` reads.
    pub path: PathBuf,
    /// Of the file, 64 hexadecimal digits.
    pub sha256: String,
}

impl SignatureGrant {
    /// Whether it is about an image of this name, `REPOSITORY[:TAG]`. What has no name is about `*` alone.
    pub fn is_about(&self, name: &str) -> bool {
        self.images.hold(name) || self.images.hold(repository(name))
    }
}

/// A name without its tag. A colon before the last slash belongs to the registry's port.
pub fn repository(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// An entry of `devices.allow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceGrant(pub crate::cgroup::DeviceRule);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_demanded_by_name() {
        let rows = [
            ("r.example/tools/*", "r.example/tools/a:1", true),
            ("r.example/tools/*", "r.example/tools", false),
            ("r.example/tools/*", "r.example/toolsmith/a:1", false),
            ("r.example/a", "r.example/a:1", true),
            ("r.example/a", "r.example/a", true),
            ("r.example/a:1", "r.example/a:2", false),
            ("r.example:443/a", "r.example:443/a", true),
            ("r.example", "r.example:443/a", false),
            ("*", "", true),
            ("r*", "", false),
        ];
        for (images, name, about) in rows {
            let grant = SignatureGrant { line: 1, images: Names::of(&[images]), keys: vec![] };
            assert_eq!(grant.is_about(name), about, "{images}: {name}");
        }
    }
}
