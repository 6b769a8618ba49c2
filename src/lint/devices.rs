//! `linux.devices`, and the device list of the cgroup.

use super::Severity::{Critical, High, Low, Medium};
use super::{Bench, Rule, rule};
use crate::cgroup::{DeviceKind, DeviceRule};

pub(super) const RULES: &[&Rule] = &[&ALL, &CLASS, &DISK, &MEMORY, &OTHER];

#[rustfmt::skip]
mod table {
    use super::*;

    pub(super) const ALL: Rule = rule("device.all", Critical, Medium, "every device of the host", "begin linux.resources.devices with {\"allow\": false, \"access\": \"rwm\"}, and allow single devices");
    pub(super) const CLASS: Rule = rule("device.class", High, Medium, "a whole class of devices", "name major and minor number of the one device");
    pub(super) const DISK: Rule = rule("device.disk", Critical, High, "a disk of the host", "leave it out: who reads a disk reads every file on it");
    pub(super) const MEMORY: Rule = rule("device.memory", Critical, High, "memory or ports of the host", "leave it out");
    pub(super) const OTHER: Rule = rule("device.other", Low, Low, "a device of the host", "leave it out unless the program needs it: its driver is kernel code");
}
use table::*;

/// char 1:1, 1:2, 1:4: mem, kmem, port.
const MEMORY_MAJOR: u64 = 1;
const MEMORY_MINORS: [u64; 3] = [1, 2, 4];

pub(super) fn devices(bench: &mut Bench<'_>) {
    let draft = bench.subject.draft;
    for device in draft.devices.iter().filter(|device| !device.field.is_empty()) {
        let is_block = device.file_type == libc::S_IFBLK;
        let (major, minor) = (u64::from(device.major), u64::from(device.minor));
        if device.file_type != libc::S_IFIFO && !is_default(is_block, Some(major), Some(minor)) {
            let rule = kind(is_block, Some(major), Some(minor));
            let text = format!("{} is {major}:{minor}", device.path.display());
            bench.find(rule, &device.field, text);
        }
    }
    let given = bench.subject.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let listed = given.and_then(|resources| resources.devices().as_ref()).map_or(0, Vec::len);
    let rules: Vec<_> = draft.limits.devices.iter().flatten().take(listed).enumerate().collect();
    // What stands before a rule that denies all counts for nothing.
    let last = rules.iter().rposition(|(_, rule)| is_denial(rule)).map_or(0, |at| at + 1);
    for (index, rule) in rules.into_iter().skip(last).filter(|(_, rule)| rule.allow) {
        if let Some(open) = rule.of_open() {
            allowed(bench, index, &open);
        }
    }
}

fn is_denial(rule: &DeviceRule) -> bool {
    !rule.allow && rule.kind == DeviceKind::All && rule.major.is_none() && rule.minor.is_none()
}

fn allowed(bench: &mut Bench<'_>, index: usize, open: &DeviceRule) {
    let field = format!("/linux/resources/devices/{index}");
    let text = format!("{open} is allowed");
    let is_block = open.kind == DeviceKind::Block;
    match (open.kind, open.major, open.minor) {
        (DeviceKind::All, None, _) | (_, None, None) => bench.find(&ALL, field, text),
        (DeviceKind::Char, Some(136), _) => {}
        (_, None, _) => bench.find(&CLASS, field, text),
        (DeviceKind::Char, Some(_), None) => bench.find(&CLASS, field, text),
        (_, major, minor) if is_default(is_block, major, minor) => {}
        (_, major, minor) => bench.find(kind(is_block, major, minor), field, text),
    }
}

/// config-linux.md "Default Devices", and the terminals of a devpts of the container's own.
fn is_default(is_block: bool, major: Option<u64>, minor: Option<u64>) -> bool {
    let plain = matches!((major, minor), (Some(1), Some(3 | 5 | 7 | 8 | 9)) | (Some(5), Some(0..=2)));
    !is_block && plain
}

fn kind(is_block: bool, major: Option<u64>, minor: Option<u64>) -> &'static Rule {
    let memory = major == Some(MEMORY_MAJOR) && minor.is_none_or(|minor| MEMORY_MINORS.contains(&minor));
    match is_block {
        true => &DISK,
        false if memory => &MEMORY,
        false => &OTHER,
    }
}
