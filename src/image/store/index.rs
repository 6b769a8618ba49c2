//! index.json: which images there are, by name and by the digest of their manifest.

use serde::{Deserialize, Serialize};

use super::lock::{self, Hold};
use super::{Store, failed, files};
use crate::error::{Context, Error, Result};
use crate::image::json;
use crate::types::{Digest, ImageRef};

const INDEX: &str = "index.json";
const FORMAT_VERSION: u32 = 1;
/// Larger than any store: some ten thousand names.
const LARGEST: usize = json::LARGEST;

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `REPOSITORY:TAG`; none where it was brought in without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of its manifest.
    pub digest: Digest,
    /// When it got this name (RFC 3339).
    pub added: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Names {
    version: u32,
    images: Vec<Entry>,
}

impl Store {
    /// All images, sorted by name.
    ///
    /// # Errors
    /// An index that is damaged or of a newer version.
    pub fn images(&self) -> Result<Vec<Entry>> {
        let Some(mut file) = files::open_file(&self.dir, INDEX)? else { return Ok(vec![]) };
        let names: Names = json::parse(&files::read(&mut file, LARGEST)?).on(INDEX)?;
        match names.version {
            FORMAT_VERSION => Ok(names.images),
            newer => Err(Error::setup(format!(
                "is of version {newer}, made by a newer pinfold; this one knows {FORMAT_VERSION}"
            ))
            .object(INDEX)),
        }
    }

    /// Names an image, whose blobs are all there. Another image loses the name.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn add(&self, entry: Entry) -> Result<()> {
        self.change(|images| {
            images.retain(|known| match &entry.name {
                Some(name) => known.name.as_ref() != Some(name),
                None => known.digest != entry.digest,
            });
            images.push(entry);
            Ok(())
        })
    }

    /// Takes names away.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn forget(&self, unwanted: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>> {
        let mut gone = vec![];
        self.change(|images| {
            gone = images.extract_if(.., |entry| unwanted(entry)).collect();
            Ok(())
        })?;
        Ok(gone)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Entry>) -> Result<()>) -> Result<()> {
        let guard = lock::open(&self.dir, "index.lock")?;
        lock::take(&guard, Hold::Exclusive)?;
        let mut images = self.images()?;
        change(&mut images)?;
        images.sort_by(|one, other| (&one.name, &one.digest).cmp(&(&other.name, &other.digest)));
        let names = Names { version: FORMAT_VERSION, images };
        let content = serde_json::to_vec(&names).map_err(|error| Error::internal(error.to_string()))?;
        if content.len() > LARGEST {
            return Err(failed("holds too many images").object(INDEX));
        }
        files::replace(&self.dir, INDEX, &content)
    }

    /// The image that a reference means: by name, and by digest where one is given.
    ///
    /// # Errors
    /// There is none, or it is another one than the digest says.
    pub fn resolve(&self, image: &ImageRef) -> Result<Entry> {
        let images = self.images()?;
        let missing = || {
            failed("there is no such image in the store")
                .object(image)
                .hint("`pinfold image list` shows what there is; `pinfold image import` brings one in")
        };
        let Some(name) = image.name() else {
            let found = images.into_iter().find(|entry| Some(&entry.digest) == image.digest());
            return found.ok_or_else(missing);
        };
        let entry =
            images.into_iter().find(|entry| entry.name.as_ref() == Some(&name)).ok_or_else(missing)?;
        match image.digest() {
            Some(digest) if *digest != entry.digest => {
                Err(failed(format!("is another image in the store: {}", entry.digest)).object(image))
            }
            _ => Ok(entry),
        }
    }
}
