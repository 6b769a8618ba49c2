//! `[root]`.

use super::Bench;
use super::binds::state;
use crate::draft::{Draft, ImageRoot};
use crate::policy::builtin;
use crate::policy::request::odd;
use crate::policy::select::root_path;
use crate::resolve::Facts;

const FIELD: &str = "/root/path";

pub(super) fn root(bench: &mut Bench<'_>, draft: &Draft, facts: &Facts) {
    let rules = &bench.layer.rules.root;
    if let Some(at) = &rules.readonly {
        let asked = if draft.root.readonly { "true" } else { "a root that can be written" };
        let kept = draft.root.readonly || !at.value;
        bench.decide(kept, at.line, "root.readonly", "/root/readonly", asked, at.value);
    }
    if bench.first && !bench.request.pivot {
        let asked = "the host's mounts below the root";
        bench.refuse(0, "root.pivot", "--no-pivot", asked, "pivot_root(2)");
    }
    if let Some(image) = &draft.root.image {
        return of_an_image(bench, image);
    }
    match root_path(draft, bench.request) {
        None => {
            if let Some(at) = &rules.host_usr {
                let allowed = if at.value { "true" } else { "a root directory" };
                bench.decide(at.value, at.line, "root.host_usr", "/root", "the host's /usr", allowed);
            }
        }
        Some(path) => directory(bench, &path, facts),
    }
}

/// Only a digest that pinfold itself verified comes here. Who lists directories and no images
/// meant no images.
fn of_an_image(bench: &mut Bench<'_>, image: &ImageRoot) {
    let signed = signatures(bench, image);
    let (rules, digest) = (&bench.layer.rules.root, image.digest.as_str());
    match (&rules.images, &rules.directories) {
        (Some(images), _) => {
            let kept = images.value.iter().any(|known| known == digest);
            bench.decide(kept, images.line, "root.images", "--image", digest, images.value.join(", "));
        }
        (None, Some(directories)) if !signed => {
            bench.refuse(directories.line, "root.directories", "--image", digest, &directories.value);
        }
        (None, _) => {}
    }
}

/// Whether the layer has a rule about an image of one of these names; each such rule must be kept.
/// What is believed is the store's record of `image pull`, under the name that was signed.
fn signatures(bench: &mut Bench<'_>, image: &ImageRoot) -> bool {
    let mut about = false;
    for grant in bench.layer.rules.signature.iter().flat_map(|grants| &grants.value) {
        for named in image.names.iter().filter(|named| grant.is_about(&named.name)) {
            about = true;
            let kept = grant.keys.iter().any(|key| named.signed_by.contains(&key.sha256));
            let by = match named.signed_by.is_empty() {
                true => "no key".to_owned(),
                false => named.signed_by.join(", "),
            };
            let name = if named.name.is_empty() { "an image without a name" } else { named.name.as_str() };
            let asked = format!("{name} signed by {by}");
            let keys: Vec<_> = grant.keys.iter().map(|key| key.sha256.as_str()).collect();
            bench.decide(kept, grant.line, "signature.keys", "--image", asked, keys.join(", "));
        }
    }
    about
}

fn directory(bench: &mut Bench<'_>, path: &std::path::Path, facts: &Facts) {
    let rules = &bench.layer.rules.root;
    if let Some(images) = &rules.images {
        let asked = "a directory, no verified image";
        bench.refuse(images.line, "root.images", FIELD, asked, images.value.join(", "));
    }
    let Some(directories) = &rules.directories else { return };
    if let Some(what) = odd(path) {
        let asked = format!("{} has {what}", path.display());
        bench.refuse(directories.line, "root.path", FIELD, asked, "a path that can be compared");
        return;
    }
    let kept = directories.value.cover(path).is_some();
    bench.decide(kept, directories.line, "root.directories", FIELD, path.display(), &directories.value);
    if !kept {
        return;
    }
    if let Some(barred) = facts.barred.iter().find(|barred| barred.field == FIELD) {
        let asked = format!("{}: {}", path.display(), barred.errno.desc());
        bench.refuse(
            directories.line,
            "root.link",
            FIELD,
            asked,
            "a path through no link, beneath the grant",
        );
    }
    if let Some(root) = &facts.root {
        state(bench, FIELD, "root.state", root);
    }
    if let Some(root) = &facts.root
        && let Some(kernel) = builtin::kernel_filesystem(root)
    {
        let allowed = "files and directories of ordinary file systems";
        bench.refuse(directories.line, "root.kernel_fs", FIELD, kernel, allowed);
    }
}
