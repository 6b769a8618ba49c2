//! Blobs: what comes in is hashed while it streams, and gets its name only when digest and
//! size are those that were promised.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat};
use sha2::{Digest as _, Sha256};

use super::lock::{self, Hold};
use super::{Store, failed, files};
use crate::error::{Call, Context, Error, Result};
use crate::image::spec::Descriptor;
use crate::types::Digest;

const CHUNK: usize = 1 << 18;

/// What a blob has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its digest, where it is known before.
    pub digest: Option<Digest>,
    /// Its size, where it is known before.
    pub size: Option<u64>,
    /// The most bytes that it may have.
    pub limit: u64,
}

impl Expected {
    /// What a descriptor promises.
    pub fn by(descriptor: &Descriptor) -> Self {
        Self { digest: Some(descriptor.digest.clone()), size: Some(descriptor.size), limit: descriptor.size }
    }
}

/// A blob of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// A blob that is wanted.
#[derive(Debug)]
pub enum Begun<'s> {
    /// It is there.
    Present(Stored),
    /// It is to be written, from [`Ingest::offset`] on.
    Missing(Ingest<'s>),
}

/// A blob that comes in. Dropped before [`Ingest::finish`], what came stays, for somebody
/// who goes on with it or sweeps it.
#[derive(Debug)]
pub struct Ingest<'s> {
    store: &'s Store,
    file: File,
    name: String,
    hash: Sha256,
    written: u64,
    expected: Expected,
}

impl Store {
    /// Begins a blob, or goes on where somebody was interrupted. Waits for one who brings the
    /// same in.
    ///
    /// # Errors
    /// A file of tmp/ that cannot be made, read or locked.
    pub fn begin(&self, expected: Expected) -> Result<Begun<'_>> {
        let name = match &expected.digest {
            Some(digest) => format!("blob-{}", digest.hex()),
            None => files::random_name("new-")?,
        };
        loop {
            if let Some(stored) =
                expected.digest.as_ref().map(|digest| self.find(digest)).transpose()?.flatten()
            {
                return Ok(Begun::Present(stored));
            }
            let file = lock::open(&self.tmp, &name)?;
            lock::take(&file, Hold::Exclusive)?;
            // Its maker may have finished it, or a sweep taken it away, before the lock came.
            if self.still_named(&file, &name)? {
                return Ingest::resume(self, file, name, expected).map(Begun::Missing);
            }
        }
    }

    fn still_named(&self, file: &File, name: &str) -> Result<bool> {
        let own = fstat(file).call("fstat")?;
        match files::open_file(&self.tmp, name)? {
            Some(named) => Ok(fstat(&named).call("fstat")?.st_ino == own.st_ino),
            None => Ok(false),
        }
    }

    /// Brings a blob in from the beginning.
    ///
    /// # Errors
    /// It is not what was expected, the source cannot be read, the disk is full.
    pub fn ingest(&self, expected: Expected, source: &mut dyn Read) -> Result<Stored> {
        let mut ingest = match self.begin(expected)? {
            Begun::Present(stored) => return Ok(stored),
            Begun::Missing(ingest) => ingest,
        };
        ingest.restart()?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return ingest.finish(),
                Ok(count) => ingest.write(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(error)
                        .call("read")
                        .map_err(|error| error.kind(crate::error::Kind::ImageFailed));
                }
            }
        }
    }

    /// Brings some bytes in.
    ///
    /// # Errors
    /// As [`Self::ingest`].
    pub fn ingest_bytes(&self, bytes: &[u8]) -> Result<Stored> {
        let size = bytes.len() as u64;
        let expected = Expected { digest: Some(Digest::of(bytes)), size: Some(size), limit: size };
        self.ingest(expected, &mut &*bytes)
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// Something that is no blob has its name.
    pub fn find(&self, digest: &Digest) -> Result<Option<Stored>> {
        let Some(file) = files::open_file(&self.blobs, digest.hex())? else { return Ok(None) };
        let stat = fstat(&file).call("fstat").on(digest)?;
        Ok(Some(Stored { digest: digest.clone(), size: size_of(stat.st_size) }))
    }

    /// Opens a blob to read.
    ///
    /// # Errors
    /// There is none.
    pub fn blob(&self, digest: &Digest) -> Result<File> {
        let missing = || failed("is missing in the store").object(digest);
        files::open_file(&self.blobs, digest.hex())?.ok_or_else(missing)
    }

    /// Reads a small blob as a whole, and verifies it again.
    ///
    /// # Errors
    /// There is none, it is larger than any document, or it was changed.
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let content = files::read(&mut self.blob(digest)?, crate::image::json::LARGEST).on(digest)?;
        match Digest::of(&content) == *digest {
            true => Ok(content),
            false => Err(failed("the blob of this digest was changed in the store").object(digest)),
        }
    }

    /// Reads a whole blob and compares its digest.
    ///
    /// # Errors
    /// There is none; it was changed.
    pub fn verify_blob(&self, digest: &Digest) -> Result<u64> {
        let mut file = self.blob(digest)?;
        let (hash, size) = hash_to_end(&mut file).on(digest)?;
        match Digest::of_hash(hash.finalize()) == *digest {
            true => Ok(size),
            false => Err(failed("the blob of this digest was changed in the store").object(digest)),
        }
    }

    /// All blobs.
    ///
    /// # Errors
    /// A name that is no digest's.
    pub fn blobs(&self) -> Result<Vec<Digest>> {
        let names = files::names(&self.blobs)?;
        let digest = |name: &std::ffi::OsString| {
            let digits = name.to_str().unwrap_or_default();
            Digest::from_hex(digits).map_err(|_what| failed("is no blob").object(files::shown(name)))
        };
        names.iter().map(digest).collect()
    }
}

fn size_of(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

fn hash_to_end(file: &mut File) -> Result<(Sha256, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hash, size)),
            Ok(count) => {
                hash.update(buffer.get(..count).unwrap_or_default());
                size += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).call("read"),
        }
    }
}

impl<'s> Ingest<'s> {
    fn resume(store: &'s Store, mut file: File, name: String, expected: Expected) -> Result<Self> {
        let (hash, written) = hash_to_end(&mut file).on(&name)?;
        let mut ingest = Self { store, file, name, hash, written, expected };
        if written > ingest.expected.limit {
            ingest.restart()?;
        }
        Ok(ingest)
    }

    /// How much of it is there already.
    pub fn offset(&self) -> u64 {
        self.written
    }

    /// Forgets what is there.
    ///
    /// # Errors
    /// ftruncate(2).
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).call("ftruncate").on(&self.name)?;
        self.file.seek(SeekFrom::Start(0)).call("lseek").on(&self.name)?;
        self.hash = Sha256::new();
        self.written = 0;
        Ok(())
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// It is larger than it may be: nothing of it stays. The disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > self.expected.limit {
            self.discard()?;
            return Err(self.about(failed(format!("is larger than {} bytes", self.expected.limit))));
        }
        self.file.write_all(bytes).call("write").map_err(|error| self.about(error))?;
        self.hash.update(bytes);
        self.written = written;
        Ok(())
    }

    /// Gives it its name, when it is what was promised; otherwise nothing of it stays.
    ///
    /// # Errors
    /// Another digest or size.
    pub fn finish(mut self) -> Result<Stored> {
        let digest = Digest::of_hash(std::mem::take(&mut self.hash).finalize());
        if let Some(size) = self.expected.size.filter(|size| *size != self.written) {
            self.discard()?;
            return Err(self.about(failed(format!("has {} bytes, and {size} were promised", self.written))));
        }
        if let Some(expected) = self.expected.digest.as_ref().filter(|expected| **expected != digest) {
            let error = failed(format!("has the digest {digest}")).object(expected);
            self.discard()?;
            return Err(error);
        }
        let stored = Stored { digest, size: self.written };
        self.publish(&stored)?;
        Ok(stored)
    }

    /// On disk before it has its name: a crash leaves no name without its bytes.
    fn publish(&self, stored: &Stored) -> Result<()> {
        let store = self.store;
        let readonly = Mode::S_IRUSR;
        fchmodat(&store.tmp, self.name.as_str(), readonly, FchmodatFlags::FollowSymlink)
            .call("fchmodat")
            .on(&self.name)?;
        nix::unistd::fsync(&self.file).call("fsync").on(&self.name)?;
        if !files::rename_new(&store.tmp, &self.name, &store.blobs, stored.digest.hex())? {
            files::unlink(&store.tmp, &self.name)?;
        }
        nix::unistd::fsync(&store.blobs).call("fsync").on("blobs/sha256")
    }

    /// Removes what came.
    ///
    /// # Errors
    /// unlinkat(2).
    pub fn abandon(self) -> Result<()> {
        self.discard()
    }

    fn discard(&self) -> Result<()> {
        files::unlink(&self.store.tmp, &self.name)
    }

    fn about(&self, error: Error) -> Error {
        match &self.expected.digest {
            Some(digest) => error.object(digest),
            None => error,
        }
    }
}
