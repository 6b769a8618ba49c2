//! `image import`, and what `sandbox --image oci:DIR` brings in first.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use super::open_directory;
use super::packed::{self, LARGEST_LAYER, source_date_epoch};
use crate::cli::{Global, ImportArgs};
use crate::commands::output;
use crate::error::{Call, Context, Error, ExitCode, Kind, Result};
use crate::image::pack::Form;
use crate::image::source::{self, Imported, LayoutDir, Source};
use crate::image::spec::{Config, Descriptor, ImageConfig, LayerCompression, MediaType, RootFs, Wanted};
use crate::image::store::{Entry, Expected, Hold, Store};
use crate::image::{Image, trees};
use crate::state::rfc3339;
use crate::sys;
use crate::types::{Digest, HostPath, ImageRef, ImageSource};

pub(super) fn run(global: &Global, args: &ImportArgs) -> Result<ExitCode> {
    refuse_foreign_options(args)?;
    let store = super::open(global, Hold::Shared)?;
    let wanted = args.platform.clone().unwrap_or_else(Wanted::here);
    let imported = match &args.source {
        ImageSource::Layout(_) | ImageSource::Archive(_) => {
            bring_in(&store, &args.source, args.select.as_deref(), &wanted)?
        }
        ImageSource::RootFs(path) => {
            let layer = archive_layer(&store, path)?;
            Imported { image: make(&store, args, &wanted, layer)?, name: None, indexes: vec![] }
        }
        ImageSource::Directory(path) => {
            let layer = packed::layer(&store, path, Form::Whole, "import")?;
            Imported { image: make(&store, args, &wanted, layer)?, name: None, indexes: vec![] }
        }
    };
    if !args.no_unpack {
        trees::layers(&store, &imported.image)?;
    }
    let digest = imported.image.digest.clone();
    let name = name(&store, args.name.as_ref(), &imported)?;
    store.add(Entry {
        name,
        digest: digest.clone(),
        indexes: imported.indexes,
        added: rfc3339::now(),
        signatures: vec![],
    })?;
    output::print(&format!("{digest}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Brings an image in from a layout or an archive, without giving it a name.
///
/// # Errors
/// Kind `ImageFailed`.
pub fn bring_in(
    store: &Store,
    from: &ImageSource,
    select: Option<&str>,
    wanted: &Wanted,
) -> Result<Imported> {
    let (path, mut source): (&HostPath, Box<dyn Source + '_>) = match from {
        ImageSource::Layout(path) => {
            let layout = LayoutDir::open(open_directory(path.as_path())?).on(path.as_path().display())?;
            let layout =
                layout.ok_or_else(|| no_image("is no OCI layout: it has no file oci-layout", path))?;
            (path, Box::new(layout))
        }
        ImageSource::Archive(path) => {
            let archive = source::open_archive(store, open_input(path)?).on(path.as_path().display())?;
            let archive = archive.ok_or_else(|| no_image("is no archive of images", path))?;
            (path, archive)
        }
        ImageSource::RootFs(_) | ImageSource::Directory(_) => {
            return Err(Error::internal("a root file system is no image"));
        }
    };
    source::bring_in(store, source.as_mut(), select, wanted).on(path.as_path().display())
}

fn no_image(words: &str, path: &HostPath) -> Error {
    Error::new(Kind::ImageFailed, words)
        .object(path.as_path().display())
        .hint("rootfs:FILE and dir:DIR bring in a root file system")
}

/// A file of the caller's, or stdin. It may be a pipe: the caller chose it.
fn open_input(path: &HostPath) -> Result<File> {
    if path.as_path() == Path::new("-") {
        return sys::file::duplicate(sys::file::borrow_stdio(0)).call("fcntl").map(File::from);
    }
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let shown = path.as_path().display();
    nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path.as_path(), how).map(File::from).call("openat2").on(shown)
}

/// A name that the source chose must not take the place of another image.
fn name(store: &Store, asked: Option<&ImageRef>, imported: &Imported) -> Result<Option<String>> {
    if let Some(asked) = asked {
        return match (asked.name(), asked.digest()) {
            (Some(name), None) => Ok(Some(name)),
            (Some(name), Some(digest))
                if *digest == imported.image.digest || imported.indexes.contains(digest) =>
            {
                Ok(Some(name))
            }
            _ => Err(Error::new(Kind::ImageFailed, format!("is {}", imported.image.digest))
                .field("--name")
                .object(asked)),
        };
    }
    // A tag alone, as many layouts have it, is no name.
    let own = imported.name.as_ref().filter(|name| name.contains([':', '/']));
    let Some(name) = own.and_then(|name| name.parse::<ImageRef>().ok()).and_then(|name| name.name()) else {
        return Ok(None);
    };
    let images = store.images()?;
    match images.iter().find(|known| known.name.as_ref() == Some(&name)) {
        Some(known) if known.digest != imported.image.digest => Err(Error::new(
            Kind::ImageFailed,
            "is the source's own name for its image, and another image has it",
        )
        .object(name)
        .hint("--name gives it a name of your choice, also this one")),
        _ => Ok(Some(name)),
    }
}

fn refuse_foreign_options(args: &ImportArgs) -> Result<()> {
    let is_image = matches!(args.source, ImageSource::Layout(_) | ImageSource::Archive(_));
    let of_a_root = [
        ("--cmd", !args.cmd.is_empty()),
        ("--entrypoint", !args.entrypoint.is_empty()),
        ("--env", !args.env.is_empty()),
        ("--user", args.user.is_some()),
        ("--workdir", args.workdir.is_some()),
    ];
    let refused = of_a_root.iter().find(|(_, given)| is_image && *given);
    let refused = refused
        .or([("--select", args.select.is_some())]
            .iter()
            .find(|(_, given)| !is_image && *given)
            .copied()
            .as_ref())
        .map(|(option, _)| *option);
    match refused {
        Some(option) if is_image => Err(Error::usage("is for rootfs: and dir: alone").field(option)),
        Some(option) => Err(Error::usage("is for oci: and archive: alone").field(option)),
        None => Ok(()),
    }
}

/// A root file system in an archive becomes a layer as it is.
fn archive_layer(store: &Store, path: &HostPath) -> Result<(Descriptor, Digest)> {
    let mut file = open_input(path)?;
    let mut start = vec![];
    (&mut file).take(4).read_to_end(&mut start).call("read").on(path.as_path().display())?;
    let compression = if start.starts_with(b"\x1f\x8b") {
        LayerCompression::Gzip
    } else if start.starts_with(b"\x28\xb5\x2f\xfd") {
        LayerCompression::Zstd
    } else {
        LayerCompression::Plain
    };
    let unknown = Expected { digest: None, size: None, limit: LARGEST_LAYER };
    let stored = store.ingest(unknown, &mut start.as_slice().chain(file)).on(path.as_path().display())?;
    let layer = Descriptor::new(MediaType::Layer(compression), stored.digest, stored.size);
    let diff_id = trees::first_layer(store, &layer).on(path.as_path().display())?.info.diff_id;
    Ok((layer, diff_id))
}

/// An image of one layer.
fn make(
    store: &Store,
    args: &ImportArgs,
    wanted: &Wanted,
    (layer, diff_id): (Descriptor, Digest),
) -> Result<Image> {
    let created = source_date_epoch()?.map_or_else(rfc3339::now, |seconds| rfc3339::format(seconds, 0));
    let config = ImageConfig {
        created: Some(created),
        author: None,
        platform: wanted.platform().clone(),
        config: Config {
            user: args.user.clone().unwrap_or_default(),
            env: args.env.clone(),
            entrypoint: args.entrypoint.clone(),
            cmd: args.cmd.clone(),
            working_dir: args.workdir.clone().unwrap_or_default(),
            ..Config::default()
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
        history: vec![],
    };
    source::of_one_layer(store, &config, layer)
}
