//! `--image`: the image that a sandbox stands on. Its configuration fills in what the options
//! leave open, and decides nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use super::accounts::{Accounts, ImageUser, LARGEST};
use crate::cli::Global;
use crate::commands::image as images;
use crate::draft::{ImageName, ImageRoot};
use crate::error::{Context, Error, Result};
use crate::image::merged::Merged;
use crate::image::source::Imported;
use crate::image::spec::{Config, Wanted};
use crate::image::store::{Entry, Hold, Layer, Lease, Store};
use crate::image::subordinate::Subordinate;
use crate::image::{Image, trees};
use crate::policy::repository;
use crate::resolve::{Pinned, pin_layer};
use crate::state::rfc3339;
use crate::types::{Digest, FromOsStr, ImageArg, RootPath};

/// An image that is ready to run.
#[derive(Debug)]
pub(super) struct RunImage {
    /// As it was asked for.
    pub reference: String,
    pub root: ImageRoot,
    pub config: Config,
    pub accounts: Accounts,
    pub user: Option<ImageUser>,
    digest: Digest,
    pub layers: Vec<Pinned>,
    /// Its layers stay while this is held.
    pub lease: Lease,
}

/// Finds the image, brings it in where it is not in the store yet, unpacks what is missing.
pub(super) fn open(global: &Global, asked: &ImageArg) -> Result<RunImage> {
    let store = images::open(global, Hold::Shared)?;
    let (image, names) = match asked {
        ImageArg::Named(name) => {
            let entry = store.resolve(name)?;
            let asked = name.name().unwrap_or_else(|| name.repository());
            (Image::open(&store, &entry.digest)?, entry.name.into_iter().chain([asked]).collect())
        }
        ImageArg::From(source) => {
            let imported = images::bring_in(&store, source, None, &Wanted::here())?;
            (kept(&store, imported)?, BTreeSet::from([String::new()]))
        }
    };
    let names = signed(&store, &image.digest, names)?;
    Wanted::here().accept(&image.config.platform)?;
    let lease = store.lease(&image.digest, image.chain.clone())?;
    let layers = trees::layers(&store, &image)?;
    let accounts = accounts(&layers)?;
    let user = accounts.of_image(&image.config.config.user)?;
    let root = ImageRoot { digest: image.digest.to_string(), layers: layers.len(), names };
    let layers = pinned(layers)?;
    Ok(RunImage {
        reference: asked.to_string(),
        digest: image.digest,
        root,
        config: image.config.config,
        accounts,
        user,
        layers,
        lease,
    })
}

fn pinned(layers: Vec<Layer>) -> Result<Vec<Pinned>> {
    layers.into_iter().map(|layer| pin_layer(layer.tree)).collect()
}

/// Without a name: it stays until `image remove`, so that the next run finds it.
fn kept(store: &Store, imported: Imported) -> Result<Image> {
    let Imported { image, indexes, .. } = imported;
    store.add(Entry {
        name: None,
        digest: image.digest.clone(),
        indexes,
        added: rfc3339::now(),
        signatures: vec![],
    })?;
    Ok(image)
}

/// Each name with the keys that signed the image by it.
fn signed(store: &Store, image: &Digest, names: BTreeSet<String>) -> Result<Vec<ImageName>> {
    let one = |name: String| {
        let signed_by = store.signed_by(image, repository(&name))?;
        Ok(ImageName { name, signed_by })
    };
    names.into_iter().map(one).collect()
}

fn accounts(layers: &[Layer]) -> Result<Accounts> {
    let merged = Merged::of(layers.iter().rev().map(|layer| &layer.tree))?;
    let text = |name: &str| -> Result<String> {
        let content = merged.read(name, LARGEST).on(name)?;
        Ok(String::from_utf8_lossy(&content.unwrap_or_default()).into_owned())
    };
    Ok(Accounts { passwd: text("etc/passwd")?, group: text("etc/group")? })
}

impl RunImage {
    /// The same on trees whose files have the owners that the image names, as ids of this caller. Its
    /// lease holds what they are made of.
    ///
    /// # Errors
    /// As [`trees::mapped`].
    pub(super) fn stand_on(&mut self, global: &Global, ids: &Subordinate) -> Result<()> {
        let store = images::open(global, Hold::Shared)?;
        let image = Image::open(&store, &self.digest)?;
        self.layers = pinned(trees::mapped(&store, &image, ids)?)?;
        Ok(())
    }

    /// The program, where the command line names none, or what stands in front of it.
    pub(super) fn command(&self, entrypoint: bool, typed: &[String]) -> Vec<String> {
        let own = if entrypoint { &[] } else { self.config.entrypoint.as_slice() };
        // An entry point of the command line takes the image's command away, as in Docker.
        let rest = match typed.is_empty() && !entrypoint {
            true => self.config.cmd.as_slice(),
            false => typed,
        };
        own.iter().chain(rest).cloned().collect()
    }

    /// `KEY=VALUE` entries.
    ///
    /// # Errors
    /// One without a key.
    pub(super) fn environment(&self) -> Result<Vec<(String, String)>> {
        let split = |entry: &String| {
            let pair = entry.split_once('=').filter(|(key, _)| !key.is_empty());
            let pair = pair.map(|(key, value)| (key.to_owned(), value.to_owned()));
            pair.ok_or_else(|| {
                Error::usage("is no variable").field("the image's environment").object(format!("{entry:?}"))
            })
        };
        self.config.env.iter().map(split).collect()
    }

    /// Where the program starts.
    ///
    /// # Errors
    /// It is no absolute path.
    pub(super) fn working_directory(&self) -> Result<Option<String>> {
        let own = &self.config.working_dir;
        match own.is_empty() {
            true => Ok(None),
            false => place(own).at("the image's working directory").map(Some),
        }
    }

    /// Places that the program writes to.
    ///
    /// # Errors
    /// One that is no absolute path, or the root itself.
    pub(super) fn volumes(&self) -> Result<BTreeSet<String>> {
        let volumes: BTreeSet<String> = self
            .config
            .volumes
            .keys()
            .map(|volume| place(volume).at("the image's volume"))
            .collect::<Result<_>>()?;
        // The kernel's filesystems are not the image's to cover.
        let odd = |volume: &&String| {
            ["/proc", "/sys", "/dev"].iter().any(|own| Path::new(volume.as_str()).starts_with(own))
                || volume.as_str() == "/"
        };
        match volumes.iter().find(odd) {
            Some(volume) => {
                Err(Error::usage("is no place for a volume").field("the image's volume").object(volume))
            }
            None => Ok(volumes),
        }
    }
}

fn place(path: &str) -> Result<String> {
    let path = RootPath::from_os_str(path.as_ref())?;
    Ok(path.as_path().to_string_lossy().into_owned())
}
