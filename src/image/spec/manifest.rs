//! Manifests and indexes. What is both, or says to be the other, is refused: two parsers
//! would see two images behind one digest (CVE-2021-41190).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Descriptor, MOST_DESCRIPTORS, MediaType};
use crate::error::{Context, Result};
use crate::image::{failed, json};

/// image-spec, manifest.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// image-spec, image-index.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Manifests, or further indexes.
    pub manifests: Vec<Descriptor>,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a digest may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Document {
    /// Reads what a descriptor of this kind leads to.
    ///
    /// # Errors
    /// Not JSON, or not of this kind, or with more entries than an image can have.
    pub fn parse(text: &[u8], kind: MediaType) -> Result<Self> {
        match kind {
            MediaType::Manifest => Manifest::parse(text).map(Self::Manifest),
            MediaType::Index => Index::parse(text).map(Self::Index),
            MediaType::Config | MediaType::Layer(_) => Err(failed("is neither a manifest nor an index")),
        }
    }

    /// Reads what comes without a word on its kind.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn guess(text: &[u8]) -> Result<Self> {
        let value = json::value(text)?;
        let has = |key: &str| value.get(key).is_some();
        let kind = if has("manifests") { MediaType::Index } else { MediaType::Manifest };
        Self::parse(text, kind)
    }
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        let manifest: Self = one_kind(text, MediaType::Manifest, &["manifests", "fsLayers"])?;
        check(manifest.schema_version, manifest.media_type.as_deref(), MediaType::Manifest)?;
        if manifest.config.kind().at("/config/mediaType")? != MediaType::Config {
            return Err(failed("is no configuration of an image").field("/config/mediaType"));
        }
        few(&manifest.layers, "/layers")?;
        for (number, layer) in manifest.layers.iter().enumerate() {
            layer.compression().at(format!("/layers/{number}/mediaType"))?;
        }
        Ok(manifest)
    }
}

impl Index {
    /// Reads one. Entries of a kind that is no image's are left in: they are not chosen.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        let index: Self = one_kind(text, MediaType::Index, &["layers", "config", "fsLayers"])?;
        check(index.schema_version, index.media_type.as_deref(), MediaType::Index)?;
        few(&index.manifests, "/manifests")?;
        Ok(index)
    }
}

fn one_kind<T: serde::de::DeserializeOwned>(text: &[u8], kind: MediaType, foreign: &[&str]) -> Result<T> {
    if text.len() > json::LARGEST {
        return Err(failed(format!("is larger than {} bytes", json::LARGEST)));
    }
    let value = json::value(text)?;
    match foreign.iter().find(|key| value.get(**key).is_some()) {
        Some(key) => Err(failed(format!("has `{key}`, which is not a part of {}", kind.oci()))),
        None => json::parse(text),
    }
}

fn check(version: u32, said: Option<&str>, kind: MediaType) -> Result<()> {
    if version != 2 {
        return Err(failed(format!("is {version}, and pinfold reads 2")).field("/schemaVersion"));
    }
    match said.map(MediaType::parse).transpose().at("/mediaType")? {
        Some(said) if said != kind => {
            Err(failed("says to be something else than what it is taken for").field("/mediaType"))
        }
        _ => Ok(()),
    }
}

fn few(list: &[Descriptor], field: &str) -> Result<()> {
    match list.len() > MOST_DESCRIPTORS {
        true => Err(failed(format!("more than {MOST_DESCRIPTORS} entries")).field(field)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::types::Digest;

    fn blob(kind: &str) -> Value {
        json!({"mediaType": kind, "digest": Digest::of(b""), "size": 0})
    }

    fn manifest() -> Value {
        json!({
            "schemaVersion": 2,
            "config": blob("application/vnd.oci.image.config.v1+json"),
            "layers": [blob("application/vnd.oci.image.layer.v1.tar")],
        })
    }

    #[test]
    fn a_manifest_is_read_strictly() {
        let with = |change: &dyn Fn(&mut Value)| {
            let mut value = manifest();
            change(&mut value);
            Manifest::parse(value.to_string().as_bytes())
        };
        assert!(with(&|_| ()).is_ok());
        type Change<'a> = &'a dyn Fn(&mut Value);
        let rows: [(&str, Change<'_>); 10] = [
            ("/schemaVersion", &|value| value["schemaVersion"] = json!(1)),
            ("/mediaType", &|value| value["mediaType"] = json!(MediaType::Index.oci())),
            ("manifests", &|value| value["manifests"] = json!([])),
            ("fsLayers", &|value| value["fsLayers"] = json!([])),
            ("/config/mediaType", &|value| {
                value["config"]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar")
            }),
            ("/layers/0/mediaType", &|value| value["layers"][0]["mediaType"] = json!("x")),
            ("/layers/0/digest", &|value| value["layers"][0]["digest"] = json!("sha256:../../../etc")),
            ("/layers/0/size", &|value| value["layers"][0]["size"] = json!(-1)),
            ("more than", &|value| {
                value["layers"] =
                    json!(vec![blob("application/vnd.oci.image.layer.v1.tar"); MOST_DESCRIPTORS + 1])
            }),
            ("layers", &|value| value["layers"] = json!({})),
        ];
        for (words, change) in rows {
            let error = with(change).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn a_document_that_is_both_is_refused() {
        let mut both = manifest();
        both["manifests"] = json!([]);
        Document::guess(both.to_string().as_bytes()).unwrap_err();
        Document::parse(both.to_string().as_bytes(), MediaType::Manifest).unwrap_err();
        assert!(matches!(Document::guess(manifest().to_string().as_bytes()), Ok(Document::Manifest(_))));
        let index = json!({"schemaVersion": 2, "manifests": [blob("anything/else")]});
        assert!(matches!(Document::guess(index.to_string().as_bytes()), Ok(Document::Index(_))));
    }
}
