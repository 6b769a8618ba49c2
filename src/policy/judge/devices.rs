//! `[devices]`: by number, never by name.

use super::Bench;
use crate::cgroup::{DeviceAccess, DeviceKind, DeviceRule, Limits};
use crate::draft::{Door, Draft, DraftMount};
use crate::policy::rules::{At, DeviceGrant};
use crate::policy::select::is_device;
use crate::resolve::{Facts, Pinned};

pub(super) fn devices(bench: &mut Bench<'_>, draft: &Draft, facts: &Facts) {
    let Some(allow) = &bench.layer.rules.devices else { return };
    for device in draft.devices.iter().filter(|device| !device.field.is_empty()) {
        // A fifo is no device of the host.
        let Some(kind) = kind(device.file_type) else { continue };
        node(bench, allow, &device.field, (kind, device.major, device.minor), true);
    }
    for (index, mount) in draft.mounts.iter().enumerate().filter(|(_, mount)| !mount.own && is_device(mount))
    {
        if let Some(pinned) = facts.binds.get(index).and_then(Option::as_ref) {
            bound(bench, allow, mount, pinned);
        }
    }
    match bench.request.has_cgroup {
        true => rules(bench, &draft.limits),
        false => without_rules(bench, allow, draft),
    }
}

/// No cgroup, no device rule in force: root of the host may make and use any, whoever else what is there.
/// The mounts of a sandbox have no devices, and a caller without privilege has its own rights.
fn without_rules(bench: &mut Bench<'_>, allow: &At<Vec<DeviceGrant>>, draft: &Draft) {
    let all = |kind| {
        let whole = |rule: &DeviceRule| rule.kind == kind && rule.major.is_none() && rule.minor.is_none();
        allow.value.iter().any(|DeviceGrant(rule)| whole(rule) && rule.access == DeviceAccess::ALL)
    };
    let everything = all(DeviceKind::Char) && all(DeviceKind::Block);
    if draft.door == Door::Oci && !draft.rootless && !everything {
        let asked = "no cgroup, and so no device rule";
        bench.refuse(allow.line, "devices.allow", "/linux/resources/devices", asked, "a cgroup");
    }
}

fn kind(file_type: u32) -> Option<DeviceKind> {
    match file_type {
        libc::S_IFCHR => Some(DeviceKind::Char),
        libc::S_IFBLK => Some(DeviceKind::Block),
        _ => None,
    }
}

/// A node that is bound from the host.
fn bound(bench: &mut Bench<'_>, allow: &At<Vec<DeviceGrant>>, mount: &DraftMount, pinned: &Pinned) {
    let (field, found) = (format!("{}/source", mount.field), &pinned.identity);
    match kind(found.file_type) {
        Some(kind) => {
            let numbers = (kind, libc::major(found.rdev), libc::minor(found.rdev));
            node(bench, allow, &field, numbers, !mount.options.readonly());
        }
        None => {
            let asked = format!("{} is no device", found.path.display());
            bench.refuse(
                allow.line,
                "devices.allow",
                field,
                asked,
                "a device, where the option `dev` is given",
            );
        }
    }
}

fn node(
    bench: &mut Bench<'_>,
    allow: &At<Vec<DeviceGrant>>,
    field: &str,
    (kind, major, minor): (DeviceKind, u32, u32),
    written: bool,
) {
    let access = if written { DeviceAccess::READ_WRITE } else { DeviceAccess::READ };
    let asked = DeviceRule {
        allow: true,
        kind,
        major: Some(u64::from(major)),
        minor: Some(u64::from(minor)),
        access,
    };
    permit(bench, allow, field, &asked);
}

/// The rules for the container's cgroup.
pub(super) fn rules(bench: &mut Bench<'_>, limits: &Limits) {
    let Some(allow) = &bench.layer.rules.devices else { return };
    for (index, rule) in limits.devices.iter().flatten().enumerate().filter(|(_, rule)| rule.allow) {
        permit(bench, allow, &format!("/linux/resources/devices/{index}"), rule);
    }
}

fn permit(bench: &mut Bench<'_>, allow: &At<Vec<DeviceGrant>>, field: &str, asked: &DeviceRule) {
    // Any node may be made: it cannot be opened without a rule that allows that.
    let Some(asked) = asked.of_open() else { return };
    let granted = allow.value.iter().any(|grant| grant.0.covers(&asked));
    let kept = granted || DeviceRule::defaults().iter().any(|known| known.covers(&asked));
    if bench.tells(kept) {
        let grants: Vec<_> = allow.value.iter().map(|grant| grant.0.to_string()).collect();
        let allowed = if grants.is_empty() { "the default devices".to_owned() } else { grants.join(", ") };
        bench.decide(kept, allow.line, "devices.allow", field, asked, allowed);
    }
}
