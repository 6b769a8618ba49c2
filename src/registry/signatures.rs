//! Signatures lie beside an image, under a tag made of its digest: sigstore/cosign,
//! specs/SIGNATURE_SPEC.md, "Tag-based discovery".

use serde::Deserialize;

use super::failed;
use super::line::Line;
use super::pull::{small_blob, tagged};
use crate::error::{Context, Result};
use crate::image::json;
use crate::image::spec::Descriptor;
use crate::signature::{ANNOTATION, Key, LARGEST_PAYLOAD, PAYLOAD_TYPE, Signed};
use crate::types::{Base64, Digest, ImageRef};

/// Whoever can push to the repository can add some.
const MOST: usize = 32;

/// The manifest of signatures, as far as it matters.
#[derive(Deserialize)]
struct Signatures {
    layers: Vec<Descriptor>,
}

/// A signature that the key made about this image and digest.
///
/// # Errors
/// There is none: for each one that is there, why it does not count.
pub fn signed_by(key: &Key, image: &ImageRef, digest: &Digest, line: &mut Line<'_>) -> Result<Signed> {
    let tag = format!("sha256-{}.sig", digest.hex());
    let bytes = tagged(&tag, line).map_err(|error| error.hint("an image without a signature"))?;
    let list: Signatures = json::parse(&bytes).on(&tag)?;
    if list.layers.len() > MOST {
        return Err(failed(format!("more than {MOST} signatures")).object(&tag));
    }
    let mut last = failed("there is no signature").object(image);
    for layer in list.layers.iter().filter(|layer| layer.media_type == PAYLOAD_TYPE) {
        let Some(signature) = layer.annotations.get(ANNOTATION) else { continue };
        let Ok(Base64(signature)) = signature.parse::<Base64>() else { continue };
        if layer.size > LARGEST_PAYLOAD as u64 {
            continue;
        }
        let signed = Signed { payload: small_blob(layer, line)?, signature };
        match signed.verify(key, image, digest) {
            Ok(()) => return Ok(signed),
            Err(error) => last = error,
        }
    }
    Err(last)
}
