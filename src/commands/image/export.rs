//! `image export`: an OCI layout as a directory or as an archive, for skopeo and others.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};

use super::open_directory;
use crate::error::{Call, Context, Error, ExitCode, Result};
use crate::image::Image;
use crate::image::pack::{Entry, Kind, pad, write_end, write_entry};
use crate::image::spec::{Descriptor, Index, MediaType, REF_NAME};
use crate::image::store::Store;
use crate::types::{Digest, ImageRef, ImageSource};

const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

pub(super) fn run(store: &Store, image: &ImageRef, target: &ImageSource) -> Result<ExitCode> {
    let entry = store.resolve(image)?;
    let image = Image::open(store, &entry.digest)?;
    let index = index(store, &image, entry.name.as_deref())?;
    let mut blobs = vec![image.digest.clone(), image.manifest.config.digest.clone()];
    blobs.extend(image.manifest.layers.iter().map(|layer| layer.digest.clone()));
    blobs.sort();
    blobs.dedup();
    match target {
        ImageSource::Layout(path) => {
            directory(store, &blobs, &index, path.as_path()).on(path.as_path().display())?
        }
        ImageSource::Archive(path) => {
            archive(store, &blobs, &index, path.as_path()).on(path.as_path().display())?
        }
        ImageSource::RootFs(_) | ImageSource::Directory(_) => {
            return Err(Error::usage("an image is written to oci:DIR or archive:FILE")
                .hint("`pinfold image bundle` makes a directory of its files"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn index(store: &Store, image: &Image, name: Option<&str>) -> Result<Vec<u8>> {
    let text = store.document(&image.digest)?;
    let mut descriptor = Descriptor::of(MediaType::Manifest, &text);
    descriptor.media_type = image.manifest.media_type.clone().unwrap_or(descriptor.media_type);
    descriptor.platform = Some(image.config.platform.clone());
    if let Some(name) = name {
        descriptor.annotations.insert(REF_NAME.to_owned(), name.to_owned());
    }
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::Index.oci().to_owned()),
        manifests: vec![descriptor],
        annotations: Default::default(),
    };
    serde_json::to_vec(&index).map_err(|error| Error::internal(error.to_string()))
}

fn directory(store: &Store, blobs: &[Digest], index: &[u8], path: &Path) -> Result<()> {
    let mode = Mode::from_bits_truncate(0o755);
    mkdirat(AT_FDCWD, path, mode).call("mkdirat")?;
    let top = open_directory(path)?;
    mkdirat(&top, "blobs", mode).call("mkdirat")?;
    mkdirat(&top, "blobs/sha256", mode).call("mkdirat")?;
    for digest in blobs {
        store.verify_blob(digest)?;
        let mut to = create(&top, Path::new("blobs/sha256").join(digest.hex()).as_path())?;
        std::io::copy(&mut store.blob(digest)?, &mut to).call("write").on(digest)?;
    }
    create(&top, Path::new("index.json"))?.write_all(index).call("write")?;
    // Last: until then it is no layout.
    create(&top, Path::new("oci-layout"))?.write_all(MARKER).call("write")
}

fn create(dir: &OwnedFd, name: &Path) -> Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::from_bits_truncate(0o644))
        .map(File::from)
        .call("openat")
        .on(name.display())
}

fn archive(store: &Store, blobs: &[Digest], index: &[u8], path: &Path) -> Result<()> {
    if path == Path::new("-") {
        let mut stdout = std::io::stdout().lock();
        return write_archive(store, blobs, index, &mut stdout);
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file =
        openat(AT_FDCWD, path, flags, Mode::from_bits_truncate(0o644)).map(File::from).call("openat")?;
    let mut buffered = std::io::BufWriter::with_capacity(1 << 18, file);
    write_archive(store, blobs, index, &mut buffered)?;
    buffered.flush().call("write")
}

fn write_archive(store: &Store, blobs: &[Digest], index: &[u8], to: &mut dyn Write) -> Result<()> {
    small(to, "oci-layout", MARKER)?;
    small(to, "index.json", index)?;
    for digest in blobs {
        let size = store.verify_blob(digest)?;
        head(to, &format!("blobs/sha256/{}", digest.hex()), size)?;
        let copied = std::io::copy(&mut std::io::Read::take(store.blob(digest)?, size), to)
            .call("write")
            .on(digest)?;
        if copied != size {
            return Err(Error::setup("became shorter while it was read").object(digest));
        }
        pad(to, size)?;
    }
    write_end(to)?;
    to.flush().call("write")
}

fn small(to: &mut dyn Write, name: &str, content: &[u8]) -> Result<()> {
    head(to, name, content.len() as u64)?;
    to.write_all(content).call("write")?;
    pad(to, content.len() as u64)
}

fn head(to: &mut dyn Write, name: &str, size: u64) -> Result<()> {
    let kind = Kind::File(size);
    write_entry(
        to,
        &Entry { name: name.as_bytes(), kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: &[] },
    )
}
