//! The configuration of an image: image-spec, config.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MOST_DESCRIPTORS, Platform};
use crate::error::Result;
use crate::image::{failed, json};
use crate::types::Digest;

/// The whole document. Keys that are not used are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// For which machine.
    #[serde(flatten)]
    pub platform: Platform,
    /// How its program is started.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: Config,
    /// The layers.
    pub rootfs: RootFs,
    /// How it was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub history: Vec<Value>,
}

/// How the program is started. Docker writes `null` for what is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// User and group, by name or number.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub user: String,
    /// `PORT/PROTOCOL`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `KEY=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// In front of the command.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// The command, or what follows the entry point.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// Places that the program writes to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub volumes: BTreeMap<String, Value>,
    /// Where it starts.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub working_dir: String,
    /// Free words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that ends it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub stop_signal: String,
}

/// The layers, by the digests of their archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// SHA-256 of each archive, uncompressed, the lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl ImageConfig {
    /// Reads one.
    ///
    /// # Errors
    /// Not JSON, or not of this form; a NUL byte in a text.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let config: Self = json::parse(text)?;
        if config.rootfs.kind != "layers" {
            return Err(failed("must be `layers`").field("/rootfs/type"));
        }
        if config.rootfs.diff_ids.len() > MOST_DESCRIPTORS {
            return Err(failed(format!("more than {MOST_DESCRIPTORS} entries")).field("/rootfs/diff_ids"));
        }
        if config.config.texts().any(|text| text.contains('\0')) {
            return Err(failed("contains a NUL byte").field("/config"));
        }
        Ok(config)
    }

    /// The chain of each layer: what lies below it and itself (config.md, "Layer ChainID").
    pub fn chain(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = vec![];
        for diff_id in &self.rootfs.diff_ids {
            let next = match chain.last() {
                None => diff_id.clone(),
                Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
            };
            chain.push(next);
        }
        chain
    }
}

impl Config {
    fn texts(&self) -> impl Iterator<Item = &String> {
        let lists = self.env.iter().chain(&self.entrypoint).chain(&self.cmd);
        let words = [&self.user, &self.working_dir, &self.stop_signal];
        let keys = self.exposed_ports.keys().chain(self.volumes.keys());
        lists.chain(words).chain(keys).chain(self.labels.iter().flat_map(|(key, value)| [key, value]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_writes_is_read() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"User":"","Env":null,"Cmd":["sh"],
            "Volumes":{"/data":{}},"OnBuild":null,"Entrypoint":null},
            "rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.config.cmd, ["sh"]);
        assert!(config.config.volumes.contains_key("/data") && config.chain().is_empty());
    }

    #[test]
    fn the_chain_is_that_of_the_specification() {
        let id = |letter: &str| Digest::of(letter.as_bytes());
        let config = ImageConfig {
            created: None,
            author: None,
            platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
            config: Config::default(),
            rootfs: RootFs { kind: "layers".into(), diff_ids: vec![id("a"), id("b"), id("c")] },
            history: vec![],
        };
        let two = Digest::of(format!("{} {}", id("a"), id("b")).as_bytes());
        let three = Digest::of(format!("{two} {}", id("c")).as_bytes());
        assert_eq!(config.chain(), [id("a"), two, three]);
    }

    #[test]
    fn a_nul_byte_in_a_text_is_refused() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":["a\u0000b"]},"rootfs":{"type":"layers"}}"#;
        assert!(ImageConfig::parse(text.as_bytes()).unwrap_err().to_string().contains("NUL"));
    }
}
