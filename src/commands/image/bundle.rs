//! `image bundle`: all layers in one tree, and the configuration of the image as config.json.
//! image-spec, conversion.md.

use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, mkdirat};
use serde_json::{Map, Value, json};

use super::open_directory;
use crate::commands::output::{self, Existing};
use crate::commands::sandbox::accounts::{Accounts, ImageUser};
use crate::commands::spec;
use crate::error::{Call, Context, Error, ExitCode, Result};
use crate::image::store::Store;
use crate::image::{Image, trees};
use crate::types::{HostPath, ImageRef};

/// Annotations that change what a runtime does. An image has no say in that.
const OF_RUNTIMES: [&str; 6] =
    ["io.pinfold.", "org.systemd.property.", "run.oci.", "org.criu.", "io.kubernetes.", "io.katacontainers."];

pub(super) fn run(store: &Store, image: &ImageRef, directory: &HostPath) -> Result<ExitCode> {
    let entry = store.resolve(image)?;
    let image = Image::open(store, &entry.digest)?;
    let path = directory.as_path();
    // The files keep their owners and set-uid bits: nobody else may come near them.
    mkdirat(AT_FDCWD, path, Mode::S_IRWXU).call("mkdirat").on(path.display())?;
    let bundle = open_directory(path)?;
    mkdirat(&bundle, "rootfs", Mode::from_bits_truncate(0o755)).call("mkdirat").on("rootfs")?;
    let rootfs = open_directory(&path.join("rootfs"))?;
    trees::flatten(store, &image, &rootfs)?;
    let accounts = Accounts::of_root(rootfs.as_fd())?;
    let config = config(&image, &accounts)?;
    let text = serde_json::to_vec_pretty(&config).map_err(|error| Error::internal(error.to_string()))?;
    output::write_file(path, "config.json", &text, Existing::Refuse)?;
    Ok(ExitCode::SUCCESS)
}

fn config(image: &Image, accounts: &Accounts) -> Result<Value> {
    let own = &image.config.config;
    let mut config = spec::for_caller();
    let user = accounts.of_image(&own.user)?.unwrap_or(ImageUser { uid: 0, gid: 0, groups: vec![] });
    let args: Vec<_> = own.entrypoint.iter().chain(&own.cmd).collect();
    let process = entry(&mut config, "process")?;
    process.insert("terminal".to_owned(), json!(false));
    process
        .insert("user".to_owned(), json!({"uid": user.uid, "gid": user.gid, "additionalGids": user.groups}));
    process.insert("args".to_owned(), if args.is_empty() { json!(["sh"]) } else { json!(args) });
    process.insert("env".to_owned(), json!(environment(&own.env)));
    let cwd = if own.working_dir.is_empty() { "/" } else { own.working_dir.as_str() };
    if !Path::new(cwd).is_absolute() {
        return Err(Error::usage("is not absolute").field("/config/WorkingDir").object(cwd));
    }
    process.insert("cwd".to_owned(), json!(cwd));
    let root = entry(&mut config, "root")?;
    root.insert("path".to_owned(), json!("rootfs"));
    if let Some(mounts) = config.get_mut("mounts").and_then(Value::as_array_mut) {
        mounts.extend(own.volumes.keys().map(|place| {
            json!({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=0755"]})
        }));
    }
    let annotations = annotations(image);
    if let Some(top) = config.as_object_mut() {
        top.insert("annotations".to_owned(), Value::Object(annotations));
    }
    Ok(config)
}

fn environment(own: &[String]) -> Vec<String> {
    let mut all = own.to_vec();
    if !all.iter().any(|entry| entry.starts_with("PATH=")) {
        all.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    }
    all
}

fn entry<'v>(config: &'v mut Value, key: &str) -> Result<&'v mut Map<String, Value>> {
    let found = config.get_mut(key).and_then(Value::as_object_mut);
    found.ok_or_else(|| Error::internal(format!("the template has no {key}")))
}

/// conversion.md, "Annotation Fields".
fn annotations(image: &Image) -> Map<String, Value> {
    let config = &image.config;
    let ports: Vec<_> = config.config.exposed_ports.keys().cloned().collect();
    let fields = [
        ("os", Some(config.platform.os.clone())),
        ("architecture", Some(config.platform.architecture.clone())),
        ("variant", config.platform.variant.clone()),
        ("author", config.author.clone()),
        ("created", config.created.clone()),
        ("stopSignal", Some(config.config.stop_signal.clone())),
        ("exposedPorts", Some(ports.join(","))),
    ];
    let known = fields.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((format!("org.opencontainers.image.{name}"), Value::from(value)))
    });
    let mut annotations: Map<String, Value> = known.collect();
    // Labels win over what was derived (conversion.md).
    for (key, value) in &config.config.labels {
        match OF_RUNTIMES.iter().any(|prefix| key.starts_with(prefix)) {
            true => crate::error::warn(format_args!(
                "image bundle: the label {key:?} is left out: it would instruct a runtime"
            )),
            false => {
                annotations.insert(key.clone(), Value::from(value.clone()));
            }
        }
    }
    annotations
}
