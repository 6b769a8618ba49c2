//! Device nodes and the links of /dev: config-linux.md "Devices", "Default Devices";
//! runtime-linux.md "Dev symbolic links".

use std::path::Path;

use super::steps::{List, c_string};
use super::{Pinned, trees};
use crate::draft::{Door, Draft, DraftDevice, MountOptions};
use crate::error::{Context, Result};
use crate::plan::{Made, Step, Target, TargetKind};

/// After the mounts: /dev may be one of them.
pub(super) fn make_devices(list: &mut List, draft: &Draft, nodes: Vec<Option<Pinned>>) -> Result<()> {
    for (device, node) in draft.devices.iter().zip(nodes) {
        match node {
            Some(pinned) => bind(list, draft, device, &pinned)?,
            None => make(list, device)?,
        }
    }
    if draft.brings_dev {
        return Ok(());
    }
    let more: &[_] = if draft.door == Door::Oci { OCI_LINKS } else { &[] };
    for (path, text) in DEV_LINKS.iter().chain(more) {
        let target = Target::new(Path::new(path), TargetKind::File)?;
        list.add("", Step::Make(Made::Link(target, c_string(text)?)));
    }
    let target = Target::new(Path::new(PTMX.0), TargetKind::File)?;
    list.add("", Step::Make(Made::OnlyLink(target, c_string(PTMX.1)?)));
    Ok(())
}

/// Where mknod(2) is refused, the host's node shows itself, with the host's owner and mode.
fn bind(list: &mut List, draft: &Draft, device: &DraftDevice, pinned: &Pinned) -> Result<()> {
    let options = MountOptions { bind: true, recursive: draft.rootless, ..MountOptions::default() };
    let wish = trees::Wish::plain(draft, &options);
    let rdev = libc::makedev(device.major, device.minor);
    let target = Target::new(&device.path, TargetKind::Node { file_type: device.file_type, rdev })?;
    let from = trees::source(pinned, &wish).at(device.field.clone())?;
    list.add(&device.field, Step::Mount { from, target, propagation: vec![] });
    Ok(())
}

fn make(list: &mut List, device: &DraftDevice) -> Result<()> {
    let made = Made::Device {
        target: Target::new(&device.path, TargetKind::File)?,
        file_type: device.file_type,
        rdev: libc::makedev(device.major, device.minor),
        mode: device.mode,
        owner: device.owner,
    };
    list.add(&device.field, Step::Make(made));
    Ok(())
}

/// runtime-linux.md "Dev symbolic links".
const DEV_LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// config-linux.md "Default Devices": whatever the root has there, pseudoterminals come from
/// the container's own devpts.
const PTMX: (&str, &str) = ("/dev/ptmx", "pts/ptmx");

/// runc has it, and names it in no document.
const OCI_LINKS: &[(&str, &str)] = &[("/dev/core", "/proc/kcore")];
