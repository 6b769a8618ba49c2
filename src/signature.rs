//! Signatures of images: a public key, cosign's "simple signing" payload, and whether one is
//! about this image. Pure. (sigstore/cosign, specs/SIGNATURE_SPEC.md; containers-signature(5).)
//!
//! A key is a SubjectPublicKeyInfo in PEM (RFC 7468, RFC 5480, RFC 8410): ECDSA on P-256 with
//! SHA-256, or Ed25519.

use std::str::FromStr;

use p256::ecdsa::signature::Verifier;
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::types::{Base64, Digest, ImageRef};

/// The annotation of a layer that holds its signature, in base64.
pub const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// The media type of such a layer: a payload.
pub const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// `critical.type` of a payload.
const TYPE: &str = "cosign container image signature";
/// A payload is a few hundred bytes.
pub const LARGEST_PAYLOAD: usize = 65536;

/// DER in front of an uncompressed point of P-256, and in front of 32 bytes of Ed25519.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// ECDSA with SHA-256.
    P256(p256::ecdsa::VerifyingKey),
    /// Ed25519, verified strictly.
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// A signature with what it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The payload, as it was signed.
    pub payload: Vec<u8>,
    /// The signature of it.
    pub signature: Vec<u8>,
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |text: &str| Error::new(Kind::Usage, text);
        let inside = text
            .trim()
            .strip_prefix("-----BEGIN PUBLIC KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
            .ok_or_else(|| wrong("is not one public key in PEM"))?;
        let digits: String = inside.split_ascii_whitespace().collect();
        let der = digits.parse::<Base64>().map_err(|_what| wrong("is not base64 between its lines"))?.0;
        if let Some(point) = der.strip_prefix(&P256) {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
            return key.map(Self::P256).map_err(|_what| wrong("is no point of P-256"));
        }
        let bytes = der.strip_prefix(&ED25519).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| wrong("is neither ECDSA on P-256 nor Ed25519"))?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes);
        key.map(Self::Ed25519).map_err(|_what| wrong("is no point of Ed25519"))
    }
}

impl Key {
    fn verifies(&self, signed: &Signed) -> bool {
        match self {
            Self::P256(key) => p256::ecdsa::Signature::from_der(&signed.signature)
                .is_ok_and(|signature| key.verify(&signed.payload, &signature).is_ok()),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(&signed.signature)
                .is_ok_and(|signature| key.verify_strict(&signed.payload, &signature).is_ok()),
        }
    }
}

impl Signed {
    /// Whether `key` signed that the image with this digest has this name.
    ///
    /// The payload is read only when the key is behind it. Its `docker-reference` must be the
    /// repository of `image`; with a tag, that tag too.
    ///
    /// # Errors
    /// Which of it does not hold.
    pub fn verify(&self, key: &Key, image: &ImageRef, digest: &Digest) -> Result<()> {
        let wrong = |text: &str| Error::new(Kind::ImageFailed, text).object(image);
        if self.payload.len() > LARGEST_PAYLOAD {
            return Err(wrong("the signature's payload is too large"));
        }
        if !key.verifies(self) {
            return Err(wrong("the key did not make the signature"));
        }
        let payload: Value = serde_json::from_slice(&self.payload)
            .map_err(|_what| wrong("the signature's payload is no JSON"))?;
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
        if text("/critical/type") != Some(TYPE) {
            return Err(wrong("the signature is of another type"));
        }
        if text("/critical/image/docker-manifest-digest") != Some(digest.as_str()) {
            return Err(wrong("the signature is about another digest"));
        }
        let named = text("/critical/identity/docker-reference").unwrap_or_default();
        match names(named, image) {
            true => Ok(()),
            false => Err(wrong("the signature is about another name")),
        }
    }
}

/// Whether a `docker-reference` is the name of this image.
fn names(reference: &str, image: &ImageRef) -> bool {
    let Ok(named) = reference.parse::<ImageRef>() else { return false };
    let tagged = reference.rsplit('/').next().is_some_and(|last| last.contains(':'));
    named.repository() == image.repository()
        && named.digest().is_none()
        && (!tagged || named.tag() == image.tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by `openssl genpkey`, `openssl dgst -sha256 -sign` and `openssl pkeyutl -sign -rawin`;
    // the private keys are gone.
    const P256_PEM: &str = include_str!("../tests/registry/p256.pem");
    const ED25519_PEM: &str = include_str!("../tests/registry/ed25519.pem");
    const PAYLOAD: &str = include_str!("../tests/registry/payload.json");
    const P256_SIGNATURE: &str = include_str!("../tests/registry/p256.sig");
    const ED25519_SIGNATURE: &str = include_str!("../tests/registry/ed25519.sig");

    fn signed(signature: &str) -> Signed {
        let signature = signature.trim().parse::<Base64>().unwrap().0;
        Signed { payload: PAYLOAD.trim_end().as_bytes().to_vec(), signature }
    }

    fn image(name: &str) -> ImageRef {
        name.parse().unwrap()
    }

    #[test]
    fn both_kinds_of_keys_verify_and_only_their_own() {
        let (p256, ed25519): (Key, Key) = (P256_PEM.parse().unwrap(), ED25519_PEM.parse().unwrap());
        let (name, digest) = (image("registry.example/tools/a:1"), Digest::of(b""));
        for (key, own, other) in
            [(&p256, P256_SIGNATURE, ED25519_SIGNATURE), (&ed25519, ED25519_SIGNATURE, P256_SIGNATURE)]
        {
            signed(own).verify(key, &name, &digest).unwrap();
            signed(other).verify(key, &name, &digest).unwrap_err();
            for place in 0..signed(own).signature.len() {
                let mut changed = signed(own);
                changed.signature[place] ^= 1;
                changed.verify(key, &name, &digest).unwrap_err();
            }
            let mut changed = signed(own);
            changed.payload[5] ^= 1;
            changed.verify(key, &name, &digest).unwrap_err();
            let none = Signed { signature: vec![], ..signed(own) };
            none.verify(key, &name, &digest).unwrap_err();
        }
    }

    #[test]
    fn a_signature_is_about_one_digest_and_one_name() {
        let key: Key = P256_PEM.parse().unwrap();
        let verify = |name: &str, digest: &[u8]| {
            let done = signed(P256_SIGNATURE).verify(&key, &image(name), &Digest::of(digest));
            done.map_err(|error| error.to_string())
        };
        verify("registry.example/tools/a", b"").unwrap();
        assert!(verify("registry.example/tools/a", b"x").unwrap_err().contains("another digest"));
        for name in
            ["registry.example/tools/b", "other.example/tools/a", "registry.example:443/tools/a", "tools/a"]
        {
            assert!(verify(name, b"").unwrap_err().contains("another name"), "{name}");
        }
    }

    #[test]
    fn a_tag_in_the_name_counts() {
        let name = image("r.example/a:1");
        let rows = [
            ("r.example/a", true),
            ("r.example/a:1", true),
            ("r.example/a:2", false),
            ("r.example/a:latest", false),
            ("r.example/A", false),
            ("", false),
        ];
        for (text, same) in rows {
            assert_eq!(names(text, &name), same, "{text}");
        }
        assert!(!names(&format!("r.example/a@{}", Digest::of(b"")), &name));
    }

    #[test]
    fn only_one_public_key_is_a_key() {
        let cut = P256_PEM.replace("MFkw", "MFkx");
        for text in [
            "",
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
            &format!("{P256_PEM}{P256_PEM}"),
            &cut,
        ] {
            text.parse::<Key>().unwrap_err();
        }
    }
}
