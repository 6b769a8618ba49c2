//! Manifest, index and configuration of an image, as a registry or an archive would give them.

use pinfold::image::json;
use pinfold::image::spec::{Descriptor, Document, ImageConfig, Index, MOST_DESCRIPTORS, Manifest, Wanted};
use pinfold::types::Digest;

pub fn image(text: &[u8]) {
    json::value(text).ok();
    if let Ok(manifest) = Manifest::parse(text) {
        assert!(manifest.layers.len() <= MOST_DESCRIPTORS);
        manifest.layers.iter().chain([&manifest.config]).for_each(check);
    }
    if let Ok(index) = Index::parse(text) {
        assert!(index.manifests.len() <= MOST_DESCRIPTORS);
        index.manifests.iter().for_each(check);
        if let Ok(chosen) = Wanted::here().choose(&index) {
            assert!(index.manifests.iter().any(|entry| std::ptr::eq(entry, chosen)));
        }
    }
    if let Ok(config) = ImageConfig::parse(text) {
        let chain = config.chain();
        assert_eq!(chain.len(), config.rootfs.diff_ids.len());
        assert!(chain.len() <= MOST_DESCRIPTORS && chain.first() == config.rootfs.diff_ids.first());
        let texts = config.config.env.iter().chain(&config.config.entrypoint).chain(&config.config.cmd);
        assert!(texts.chain([&config.config.user]).all(|text| !text.contains('\0')));
    }
    if let Ok(document) = Document::guess(text) {
        // What a document is taken for does not hang on who asks.
        let is_index = matches!(document, Document::Index(_));
        assert_eq!(Index::parse(text).is_ok(), is_index);
        assert_eq!(Manifest::parse(text).is_ok(), !is_index);
    }
}

/// Its digest may name a file of the store.
fn check(descriptor: &Descriptor) {
    let digest: Digest = descriptor.digest.as_str().parse().unwrap();
    assert!(digest.hex().len() == 64 && digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
    descriptor.kind().ok();
    descriptor.compression().ok();
    descriptor.ref_name();
}
