//! `image commit`: an image, and what was changed over it, as a new image of one layer more.

use serde_json::{Value, json};

use super::packed::{self, source_date_epoch};
use crate::cli::CommitArgs;
use crate::commands::output;
use crate::error::{Context, Error, ExitCode, Kind, Result};
use crate::image::pack::Form;
use crate::image::store::{Entry, Store};
use crate::image::{Image, json, source, trees};
use crate::state::rfc3339;
use crate::types::Digest;

pub(super) fn run(store: &Store, args: &CommitArgs) -> Result<ExitCode> {
    let name = match (args.name.name(), args.name.digest()) {
        (Some(name), None) => name,
        _ => return Err(Error::usage("is a name, and no digest").field("--name").object(&args.name)),
    };
    let base = Image::open(store, &store.resolve(&args.image)?.digest)?;
    let (layer, diff_id) = packed::layer(store, &args.upper, Form::Upper, "commit")?;
    let created = source_date_epoch()?.map_or_else(rfc3339::now, |seconds| rfc3339::format(seconds, 0));
    let config = config(&store.document(&base.manifest.config.digest)?, &diff_id, &created)
        .on(&base.manifest.config.digest)?;
    let image = source::of_one_more(store, &base, &config, layer)?;
    // What the layer is shows when it is unpacked as anybody's.
    trees::layers(store, &image)?;
    let (digest, indexes, signatures) = (image.digest.clone(), vec![], vec![]);
    store.add(Entry { name: Some(name), digest, indexes, added: rfc3339::now(), signatures })?;
    output::print(&format!("{}\n", image.digest))?;
    Ok(ExitCode::SUCCESS)
}

/// The base's own configuration with everything that is in it, one layer and one line of history more.
fn config(text: &[u8], diff_id: &Digest, created: &str) -> Result<Vec<u8>> {
    let mut config = json::value(text)?;
    let odd = || Error::new(Kind::ImageFailed, "is no configuration of an image");
    let ids = config.pointer_mut("/rootfs/diff_ids").and_then(Value::as_array_mut).ok_or_else(odd)?;
    ids.push(json!(diff_id));
    let top = config.as_object_mut().ok_or_else(odd)?;
    top.insert("created".to_owned(), json!(created));
    let history = top.entry("history").or_insert(json!([]));
    if history.is_null() {
        *history = json!([]);
    }
    let line = json!({"created": created, "created_by": "pinfold image commit"});
    history.as_array_mut().ok_or_else(odd)?.push(line);
    serde_json::to_vec(&config).map_err(|error| Error::internal(error.to_string()))
}
