//! `image inspect`: what the documents of an image say, and what its files show.

use serde_json::{Map, Value, json};

use super::list::{columns, pretty};
use crate::cli::{ImageFormat, InspectArgs};
use crate::commands::output;
use crate::error::{ExitCode, Result, warn};
use crate::image::merged::Merged;
use crate::image::scan::{self, Finding, Scan};
use crate::image::store::{Entry, Layer, Store};
use crate::image::{Image, packages, spdx, trees};
use crate::types::{Digest, hex};

pub(super) fn run(store: &Store, args: &InspectArgs) -> Result<ExitCode> {
    let entry = store.resolve(&args.image)?;
    let image = Image::open(store, &entry.digest)?;
    let text = match (args.scan, args.spdx) {
        (true, _) => scanned(store, &image, args.format)?,
        (_, true) => listed(store, &image)?,
        _ => documents(store, &entry, &image)?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn documents(store: &Store, entry: &Entry, image: &Image) -> Result<String> {
    let mut layers = vec![];
    for ((chain, blob), diff_id) in
        image.chain.iter().zip(&image.manifest.layers).zip(&image.config.rootfs.diff_ids)
    {
        let tree = store.layer(chain)?;
        layers.push(json!({
            "digest": blob.digest,
            "diff_id": diff_id,
            "chain_id": chain,
            "media_type": blob.media_type,
            "size": blob.size,
            "unpacked_bytes": tree.as_ref().map(|tree| tree.info.bytes),
            "unpacked_entries": tree.as_ref().map(|tree| tree.info.entries),
        }));
    }
    let document = json!({
        "name": entry.name,
        "digest": entry.digest,
        "indexes": entry.indexes,
        "added": entry.added,
        "signatures": entry.signatures,
        "created": image.config.created,
        "platform": image.config.platform,
        "config_digest": image.manifest.config.digest,
        "config": image.config.config,
        "layers": layers,
        "annotations": image.manifest.annotations,
    });
    pretty(&document)
}

fn scanned(store: &Store, image: &Image, format: ImageFormat) -> Result<String> {
    let layers = trees::layers(store, image)?;
    let left_out = layers.iter().map(|layer| layer.info.devices_left_out).sum::<Option<u64>>();
    let scan = scan::scan(&merged(&layers)?)?;
    match format {
        ImageFormat::Table => Ok(as_table(&scan, left_out)),
        ImageFormat::Json => as_json(&image.digest, &scan, left_out),
    }
}

fn listed(store: &Store, image: &Image) -> Result<String> {
    let layers = trees::layers(store, image)?;
    let found = packages::find(&merged(&layers)?)?;
    if found.rpm {
        warn(format_args!("{}: {}", image.digest, spdx::RPM_IS_NOT_READ));
    }
    pretty(&spdx::document(image, &found))
}

fn merged(layers: &[Layer]) -> Result<Merged> {
    Merged::of(layers.iter().rev().map(|layer| &layer.tree))
}

fn as_json(digest: &Digest, scan: &Scan, left_out: Option<u64>) -> Result<String> {
    let counts: Map<_, _> =
        scan.counts.iter().map(|(what, count)| (what.name().to_owned(), json!(count))).collect();
    pretty(&json!({
        "digest": digest,
        "entries": scan.entries,
        "counts": counts,
        "devices_left_out": left_out,
        "findings": scan.findings.iter().map(finding).collect::<Vec<_>>(),
        "unlisted": scan.unlisted,
    }))
}

fn finding(finding: &Finding) -> Value {
    let text = std::str::from_utf8(&finding.path).ok();
    let hex = || hex(&finding.path);
    let (mode, uid, gid) = finding.owned.map_or((None, None, None), |(mode, uid, gid)| {
        (Some(format!("{:04o}", mode & 0o7777)), Some(uid), Some(gid))
    });
    json!({
        "kind": finding.what.name(),
        "path": text.map(|text| format!("/{text}")),
        // Of a name that is not UTF-8, with no slash in front.
        "path_hex": text.is_none().then(hex),
        "mode": mode,
        "uid": uid,
        "gid": gid,
        "detail": finding.detail,
    })
}

fn as_table(scan: &Scan, left_out: Option<u64>) -> String {
    let mut lines = vec![["KIND", "MODE", "OWNER", "PATH", "DETAIL"].map(str::to_owned).to_vec()];
    for finding in &scan.findings {
        let none = || "-".to_owned();
        lines.push(vec![
            finding.what.name().to_owned(),
            finding.owned.map_or_else(none, |(mode, ..)| format!("{:04o}", mode & 0o7777)),
            finding.owned.map_or_else(none, |(_, uid, gid)| format!("{uid}:{gid}")),
            scan::shown(&finding.path),
            finding.detail.clone(),
        ]);
    }
    let mut text = if scan.findings.is_empty() { String::new() } else { columns(&lines) };
    if scan.unlisted > 0 {
        text.push_str(&format!("and {} more; the counts have all\n", scan.unlisted));
    }
    match left_out {
        Some(0) => {}
        Some(count) => text.push_str(&format!("{count} device nodes of its layers were left out\n")),
        None => {
            text.push_str("whether its layers have device nodes is not known: unpacked by an older pinfold\n")
        }
    }
    let counts = scan.counts.iter().map(|(what, count)| format!("{count} {}", what.name()));
    let counts: Vec<_> = counts.collect();
    let counts = if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") };
    text.push_str(&format!("{} entries: {counts}\n", scan.entries));
    text
}
