//! index.json: which images there are, by name and by the digest of their manifest.

use serde::{Deserialize, Serialize};

use super::lock::{self, Hold};
use super::{Store, failed, files};
use crate::error::{Context, Error, Result};
use crate::image::json;
use crate::image::spec::Index;
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
    /// Of the indexes that led to it, the outermost first: the reference meant the first one.
    /// Their documents are blobs of the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Digest>,
    /// When it got this name (RFC 3339).
    pub added: String,
    /// Which keys signed it, as they were found when it was pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

/// That a key signed an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// SHA-256 of the key's file, 64 hexadecimal digits.
    pub key: String,
    /// What it is called in the signature: registry and path.
    pub repository: String,
    /// Of the manifest, or of an index that led to it.
    pub digest: Digest,
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

    /// Names an image, whose blobs are all there. Another image loses the name; without a
    /// name the image is added where it is not there by this way yet.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn add(&self, entry: Entry) -> Result<()> {
        self.change(|images| {
            let same = |known: &Entry| {
                known.digest == entry.digest && (entry.indexes.is_empty() || known.indexes == entry.indexes)
            };
            match &entry.name {
                Some(name) => images.retain(|known| known.name.as_ref() != Some(name)),
                None => {
                    if let Some(known) = images.iter_mut().find(|known| same(known)) {
                        let new = entry.signatures.iter().filter(|one| !known.signatures.contains(one));
                        let new: Vec<_> = new.cloned().collect();
                        known.signatures.extend(new);
                        return Ok(());
                    }
                }
            }
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

    /// SHA-256 of the keys that signed an image as one of this repository, whatever it is called here.
    ///
    /// # Errors
    /// The index cannot be read; an index that was signed was changed.
    pub fn signed_by(&self, image: &Digest, repository: &str) -> Result<Vec<String>> {
        let mut keys = vec![];
        for entry in self.images()?.iter().filter(|entry| entry.digest == *image) {
            for one in entry.signatures.iter().filter(|one| one.repository == repository) {
                if self.is_meant(entry, &one.digest).on(&one.digest)? && !keys.contains(&one.key) {
                    keys.push(one.key.clone());
                }
            }
        }
        Ok(keys)
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
                .hint("`pinfold image list` shows what there is; `pinfold image pull HOST/NAME` and `image import` bring one in")
        };
        let Some(name) = image.name() else {
            let digest = image.digest().ok_or_else(missing)?;
            return self.by_digest(images, digest)?.ok_or_else(missing);
        };
        let entry =
            images.into_iter().find(|entry| entry.name.as_ref() == Some(&name)).ok_or_else(missing)?;
        match image.digest() {
            Some(digest) if !self.is_meant(&entry, digest).on(image)? => {
                Err(failed(format!("is another image in the store: {}", entry.digest)).object(image))
            }
            _ => Ok(entry),
        }
    }

    /// The image of a manifest, or the only one that came by an index.
    fn by_digest(&self, images: Vec<Entry>, digest: &Digest) -> Result<Option<Entry>> {
        if let Some(entry) = images.iter().find(|entry| entry.digest == *digest) {
            return Ok(Some(entry.clone()));
        }
        let mut found: Option<Entry> = None;
        for entry in images {
            if !self.is_meant(&entry, digest)? {
                continue;
            }
            if found.as_ref().is_some_and(|found| found.digest != entry.digest) {
                return Err(failed("is an index, and the store has several of its images")
                    .object(digest)
                    .hint("the digest of a manifest, or a name, says which"));
            }
            found = Some(entry);
        }
        Ok(found)
    }

    /// Whether a digest is that of the image, or of an index that led to it. The record is
    /// not believed: each index is read again, is what its digest says, and names the next.
    fn is_meant(&self, entry: &Entry, digest: &Digest) -> Result<bool> {
        if entry.digest == *digest {
            return Ok(true);
        }
        let Some(from) = entry.indexes.iter().position(|index| index == digest) else { return Ok(false) };
        self.check_indexes(entry, from).map(|()| true)
    }

    /// Compares the indexes that led to an image, from the one at `from` on.
    ///
    /// # Errors
    /// One is missing or was changed, or does not name what comes after it.
    pub fn check_indexes(&self, entry: &Entry, from: usize) -> Result<()> {
        let ways = entry.indexes.iter().skip(from);
        let nexts = entry.indexes.iter().skip(from + 1).chain([&entry.digest]);
        for (index, next) in ways.zip(nexts) {
            let named = Index::parse(&self.document(index)?).on(index)?;
            if !named.manifests.iter().any(|manifest| manifest.digest == *next) {
                return Err(failed(format!("does not name {next}")).object(index));
            }
        }
        Ok(())
    }
}
