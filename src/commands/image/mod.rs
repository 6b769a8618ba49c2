//! `pinfold image`: images in, out, and what there is to see of them.

mod bundle;
mod commit;
mod demanded;
mod export;
mod import;
mod inspect;
mod list;
mod packed;
mod progress;
mod pull;

pub use import::bring_in;

use std::path::Path;

use super::{caller, output};
use crate::cli::{Global, ImageArgs, ImageWhat};
use crate::error::{Error, ExitCode, Result};
use crate::image::Image;
use crate::image::store::{Hold, Store};
use crate::types::{HostPath, ImageRef};

/// Does it.
///
/// # Errors
/// Kind `ImageFailed`: an image that cannot be read, verified or unpacked.
pub fn run(global: &Global, args: &ImageArgs) -> Result<ExitCode> {
    caller::roots_alone("images are")?;
    match &args.what {
        ImageWhat::Import(args) => import::run(global, args),
        ImageWhat::List { format } => list::list(&open(global, Hold::Shared)?, *format),
        ImageWhat::Inspect(args) => inspect::run(&open(global, Hold::Shared)?, args),
        ImageWhat::Commit(args) => commit::run(&open(global, Hold::Shared)?, args),
        ImageWhat::Verify { image } => verify(&open(global, Hold::Shared)?, image.as_ref()),
        ImageWhat::Remove { images } => remove(&open(global, Hold::Shared)?, images),
        ImageWhat::Gc => gc(&open(global, Hold::Exclusive)?),
        ImageWhat::Export { image, target } => export::run(&open(global, Hold::Shared)?, image, target),
        ImageWhat::Bundle { image, directory } => bundle::run(&open(global, Hold::Shared)?, image, directory),
        ImageWhat::Pull(args) => pull::run(global, args),
    }
}

/// The store that the command line means.
///
/// # Errors
/// Kind `PolicyRefused`: for who came by sudo. The store is root's, and so is what would be read and written by path.
pub fn open(global: &Global, hold: Hold) -> Result<Store> {
    caller::roots_alone("images are")?;
    Store::open(global.store.as_ref().map(HostPath::as_path), hold)
}

fn remove(store: &Store, images: &[ImageRef]) -> Result<ExitCode> {
    for image in images {
        let entry = store.resolve(image)?;
        // By digest alone: under whatever name.
        let by_name = image.name().is_some();
        let gone =
            store.forget(|known| known.digest == entry.digest && (!by_name || known.name == entry.name))?;
        for entry in gone {
            output::print(&format!("{}\n", entry.name.unwrap_or_else(|| entry.digest.to_string())))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn gc(store: &Store) -> Result<ExitCode> {
    let collected = store.collect()?;
    output::print(&format!(
        "removed {} blobs ({} bytes), {} unpacked layers, {} unfinished\n",
        collected.blobs, collected.blob_bytes, collected.layers, collected.unfinished
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Names everything that is damaged.
fn verify(store: &Store, image: Option<&ImageRef>) -> Result<ExitCode> {
    let entries = match image {
        Some(image) => vec![store.resolve(image)?],
        None => store.images()?,
    };
    let mut damaged = vec![];
    for entry in &entries {
        let checked = Image::open(store, &entry.digest).and_then(|image| {
            store.check_indexes(entry, 0)?;
            verify_image(store, &image)
        });
        damaged.extend(checked.err().map(|error| format!("{}: {error}", list::shown(entry))));
    }
    if image.is_none() {
        let blobs = store.blobs()?;
        damaged.extend(
            blobs.iter().filter_map(|digest| store.verify_blob(digest).err()).map(|error| error.to_string()),
        );
    }
    damaged.sort();
    damaged.dedup();
    for line in &damaged {
        output::print(&format!("damaged: {line}\n"))?;
    }
    match damaged.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode(1)),
    }
}

fn verify_image(store: &Store, image: &Image) -> Result<()> {
    for layer in &image.manifest.layers {
        store.verify_blob(&layer.digest)?;
    }
    for (chain, diff_id) in image.chain.iter().zip(&image.config.rootfs.diff_ids) {
        match store.layer(chain)? {
            Some(layer) if layer.info.diff_id != *diff_id => {
                return Err(Error::setup("the unpacked layer is another one").object(chain));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A directory of the caller's.
fn open_directory(path: &Path) -> Result<std::os::fd::OwnedFd> {
    use crate::error::{Call, Context};
    let how = nix::fcntl::OpenHow::new()
        .flags(nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC)
        .resolve(nix::fcntl::ResolveFlag::RESOLVE_NO_MAGICLINKS);
    nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2").on(path.display())
}
