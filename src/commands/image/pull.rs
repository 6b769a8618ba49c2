//! `image pull`: from a registry into the store.

use std::path::Path;

use super::super::host::Host;
use super::super::{output, text_file};
use super::progress::Progress;
use crate::cli::{Global, PullArgs};
use crate::error::{Context, Error, ExitCode, Kind, Result};
use crate::image::spec::Wanted;
use crate::image::store::{Entry, Hold};
use crate::policy::trusted;
use crate::registry::{self, Accounts, Ask, CONFIG_FILE, Line, Registries};
use crate::signature::Key;
use crate::state::{StateRoot, id_range, rfc3339};

/// A public key is a few lines.
const LARGEST_KEY: usize = 4096;

/// Pulls one image.
///
/// # Errors
/// Kind `ImageFailed`: the registry does not give it, or gives something else.
pub(super) fn run(global: &Global, args: &PullArgs) -> Result<ExitCode> {
    let registries = Registries::read()?;
    let image = registries.complete(args.image.clone())?;
    let host = image.registry().ok_or_else(|| Error::internal("a reference without a registry"))?;
    if !args.insecure_registry.is_empty() && trusted::read()?.is_some() {
        return Err(Error::new(
            Kind::PolicyRefused,
            "plain HTTP is the owner's to allow while a policy stands",
        )
        .field("--insecure-registry")
        .hint(format!("see `insecure` in {CONFIG_FILE}")));
    }
    let key = args.verify_key.as_ref().map(|path| key(path.as_path())).transpose()?;
    let accounts = Accounts::open(args.authfile.as_ref().map(crate::types::HostPath::as_path))?;
    let range = nobody()?;
    let endpoints = registries.endpoints(host, &args.insecure_registry);
    let id = range.as_ref().map(id_range::IdRange::base);
    let mut line = Line::new(endpoints, image.path(), &accounts, registries.limits(), id);
    let store = super::open(global, Hold::Shared)?;
    let platform = args.platform.clone().unwrap_or_else(Wanted::here);
    let progress = Progress::new(args.quiet);
    let pulled =
        registry::pull(&Ask { image: &image, platform: &platform }, &mut line, &store, &mut |seen| {
            progress.seen(seen)
        })?;
    if let Some(key) = &key {
        registry::signed_by(key, &image, &pulled.resolved, &mut line)?;
    }
    store.add(Entry {
        name: image.name(),
        digest: pulled.manifest,
        indexes: pulled.indexes,
        added: rfc3339::now(),
    })?;
    output::print(&format!("{}@{}\n", image.repository(), pulled.resolved))?;
    Ok(ExitCode::SUCCESS)
}

fn key(path: &Path) -> Result<Key> {
    let text = text_file::read(path, LARGEST_KEY)?;
    String::from_utf8_lossy(&text).parse().on(path.display())
}

/// A user that nothing else is, for the processes that talk to registries; none where the
/// caller cannot become another.
fn nobody() -> Result<Option<id_range::IdRange>> {
    match Host::read()?.facts.rootless {
        true => Ok(None),
        false => id_range::take(&StateRoot::open(None)?).map(Some),
    }
}
