//! `image pull`: from a registry into the store.

use super::super::host::Host;
use super::super::output;
use super::demanded::Demands;
use super::progress::Progress;
use crate::cli::{Global, PullArgs};
use crate::error::{Error, ExitCode, Kind, Result};
use crate::image::spec::Wanted;
use crate::image::store::{Entry, Hold};
use crate::policy::trusted;
use crate::registry::{self, Accounts, Ask, CONFIG_FILE, Line, Registries};
use crate::state::{StateRoot, id_range, rfc3339};
use crate::types::HostPath;

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
    let demands = Demands::of(&image, args.verify_key.as_ref().map(HostPath::as_path))?;
    let accounts = Accounts::open(args.authfile.as_ref().map(HostPath::as_path))?;
    let range = nobody()?;
    let endpoints = registries.endpoints(host, &args.insecure_registry)?;
    let id = range.as_ref().map(id_range::IdRange::base);
    let mut line = Line::new(endpoints, image.path(), &accounts, registries.limits(), id);
    let store = super::open(global, Hold::Shared)?;
    let platform = args.platform.clone().unwrap_or_else(Wanted::here);
    let progress = Progress::new(args.quiet);
    let pulled =
        registry::pull(&Ask { image: &image, platform: &platform }, &mut line, &store, &mut |seen| {
            progress.seen(seen)
        })?;
    let signatures = demands.verify(&image, &pulled.resolved, &mut line)?;
    store.add(Entry {
        name: image.name(),
        digest: pulled.manifest,
        indexes: pulled.indexes,
        added: rfc3339::now(),
        signatures,
    })?;
    output::print(&format!("{}@{}\n", image.repository(), pulled.resolved))?;
    Ok(ExitCode::SUCCESS)
}

/// A user that nothing else is, for the processes that talk to registries; none where the
/// caller cannot become another.
fn nobody() -> Result<Option<id_range::IdRange>> {
    match Host::read()?.facts.rootless {
        true => Ok(None),
        false => id_range::take(&StateRoot::open(None)?).map(Some),
    }
}
