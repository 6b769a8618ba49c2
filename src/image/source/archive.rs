//! An image in one file: an OCI layout as a tar archive, or what `docker save` writes. The
//! file is indexed once and read through the same descriptor.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::docker;
use super::layout::{INDEX, MARKER, blob_path, check_marker};
use super::tar_index::TarIndex;
use super::{LARGEST_BLOB, Source};
use crate::error::{Call, Context, Result};
use crate::image::spec::Index;
use crate::image::store::Store;
use crate::image::{failed, files, json};
use crate::types::Digest;

/// A layout in an archive.
struct LayoutArchive(TarIndex);

/// The source in an opened file; `None` where it is an archive of something else. What cannot
/// be read twice, such as a pipe, is kept in the store for as long as it is used.
///
/// # Errors
/// It is no archive, or a damaged or compressed one.
pub fn open_archive(store: &Store, file: File) -> Result<Option<Box<dyn Source + '_>>> {
    let file = seekable(store, file)?;
    refuse_compressed(&file)?;
    let index = TarIndex::read(file)?;
    if let Some(marker) = index.find(MARKER) {
        check_marker(&files::read(&mut index.open(marker), json::LARGEST)?)?;
        return Ok(Some(Box::new(LayoutArchive(index))));
    }
    match index.find(docker::MANIFEST) {
        Some(_) => Ok(Some(Box::new(docker::Saved::open(store, index)?))),
        None => Ok(None),
    }
}

/// A file as it is; of anything else a copy.
fn seekable(store: &Store, mut file: File) -> Result<File> {
    let stat = nix::sys::stat::fstat(&file).call("fstat")?;
    if files::file_type(&stat) == nix::sys::stat::SFlag::S_IFREG {
        return Ok(file);
    }
    let mut copy = store.nameless()?;
    let mut source = (&mut file).take(LARGEST_BLOB + 1);
    let copied = std::io::copy(&mut source, &mut copy).call("read")?;
    if copied > LARGEST_BLOB {
        return Err(failed(format!("is larger than {LARGEST_BLOB} bytes")));
    }
    copy.flush().and_then(|()| copy.seek(SeekFrom::Start(0))).call("lseek")?;
    Ok(copy)
}

fn refuse_compressed(file: &File) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 6];
    let read = file.read_at(&mut start, 0).call("pread")?;
    let begins = |magic: &[u8]| read >= magic.len() && start.starts_with(magic);
    let name = if begins(b"\x1f\x8b") {
        "gzip"
    } else if begins(b"\x28\xb5\x2f\xfd") {
        "zstd"
    } else if begins(b"\xfd7zXZ\0") {
        "xz"
    } else {
        return Ok(());
    };
    Err(failed(format!("is compressed by {name} as a whole"))
        .hint(format!("{name} -d makes an archive of it that can be read")))
}

impl Source for LayoutArchive {
    fn index(&mut self) -> Result<Index> {
        let span = self.0.find(INDEX).ok_or_else(|| failed("is missing in the archive").object(INDEX))?;
        Index::parse(&files::read(&mut self.0.open(span), json::LARGEST)?).on(INDEX)
    }

    fn blob(&mut self, digest: &Digest) -> Result<Box<dyn Read + '_>> {
        let missing = || failed("is missing in the archive").object(digest);
        let span = self.0.find(&blob_path(digest)).ok_or_else(missing)?;
        Ok(Box::new(self.0.open(span)))
    }
}
