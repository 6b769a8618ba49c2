//! `image list`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::ImageFormat;
use crate::commands::output;
use crate::error::{Error, ExitCode, Result};
use crate::image::Image;
use crate::image::store::{Entry, Store};
use crate::types::Digest;

/// What an image costs on disk.
struct Use {
    /// Bytes of blobs and unpacked files that no other image has.
    own: u64,
    /// Bytes that others have too.
    shared: u64,
}

/// How an image is called.
pub(super) fn shown(entry: &Entry) -> &str {
    entry.name.as_deref().unwrap_or(entry.digest.as_str())
}

pub(super) fn list(store: &Store, format: ImageFormat) -> Result<ExitCode> {
    let entries = store.images()?;
    let images: Vec<Result<Image>> = entries.iter().map(|entry| Image::open(store, &entry.digest)).collect();
    let users = users(&images);
    let mut rows = vec![];
    for (entry, image) in entries.iter().zip(&images) {
        // A damaged image is listed, so that it can be removed.
        let used = image.as_ref().ok().map(|image| cost(store, image, &users)).transpose()?;
        rows.push((entry, used));
    }
    let text = match format {
        ImageFormat::Json => as_json(&rows)?,
        ImageFormat::Table => as_table(&rows),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// How many different images have each blob and each layer.
fn users(images: &[Result<Image>]) -> BTreeMap<Digest, usize> {
    let distinct: BTreeMap<_, _> = images.iter().flatten().map(|image| (&image.digest, image)).collect();
    let mut users = BTreeMap::new();
    for image in distinct.values() {
        let blobs = image.manifest.layers.iter().map(|layer| &layer.digest);
        let all: std::collections::BTreeSet<_> = blobs
            .chain([&image.manifest.config.digest])
            .map(|digest| (digest, "blob"))
            .chain(image.chain.iter().map(|chain| (chain, "tree")))
            .collect();
        for (digest, kind) in all {
            *users.entry(key(digest, kind)).or_insert(0) += 1;
        }
    }
    users
}

/// Of a layer that is not compressed the blob and the chain have one digest.
fn key(digest: &Digest, kind: &str) -> Digest {
    Digest::of(format!("{kind} {digest}").as_bytes())
}

fn cost(store: &Store, image: &Image, users: &BTreeMap<Digest, usize>) -> Result<Use> {
    let mut used = Use { own: 0, shared: 0 };
    let mut add = |digest: &Digest, kind: &str, bytes: u64| match users
        .get(&key(digest, kind))
        .is_some_and(|count| *count > 1)
    {
        true => used.shared = used.shared.saturating_add(bytes),
        false => used.own = used.own.saturating_add(bytes),
    };
    for blob in image.manifest.layers.iter().chain([&image.manifest.config]) {
        add(&blob.digest, "blob", blob.size);
    }
    for chain in &image.chain {
        add(chain, "tree", store.tree_bytes(chain)?);
    }
    Ok(used)
}

fn as_json(rows: &[(&Entry, Option<Use>)]) -> Result<String> {
    let row = |(entry, used): &(&Entry, Option<Use>)| {
        json!({
            "name": entry.name,
            "digest": entry.digest,
            "added": entry.added,
            "bytes": used.as_ref().map(|used| used.own),
            "shared_bytes": used.as_ref().map(|used| used.shared),
            "damaged": used.is_none(),
        })
    };
    pretty(&rows.iter().map(row).collect())
}

fn as_table(rows: &[(&Entry, Option<Use>)]) -> String {
    let mut lines = vec![["NAME", "DIGEST", "OWN", "SHARED", "ADDED"].map(str::to_owned).to_vec()];
    for (entry, used) in rows {
        let bytes = |count: fn(&Use) -> u64| {
            used.as_ref().map_or_else(|| "damaged".to_owned(), |used| size(count(used)))
        };
        lines.push(vec![
            entry.name.clone().unwrap_or_else(|| "-".to_owned()),
            entry.digest.to_string(),
            bytes(|used| used.own),
            bytes(|used| used.shared),
            entry.added.clone(),
        ]);
    }
    columns(&lines)
}

/// Lines of cells, one below the other.
pub(super) fn columns(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = vec![];
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        widths.iter_mut().zip(line).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
    }
    let line = |cells: &Vec<String>| {
        let cells: Vec<_> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..1_048_576 => format!("{}K", tenths(1 << 10)),
        1_048_576..1_073_741_824 => format!("{}M", tenths(1 << 20)),
        _ => format!("{}G", tenths(1 << 30)),
    }
}

pub(super) fn pretty(value: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::internal(error.to_string()))?;
    Ok(format!("{text}\n"))
}
