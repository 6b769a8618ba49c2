//! `linux.netDevices`: config-linux.md "Network Devices".

use oci_spec::runtime::Linux;

use super::{HostFacts, Join};
use crate::error::{Error, Result};
use crate::plan::NetDevice;
use crate::sys::clone::CLONE_NEWNET;

/// IFNAMSIZ without the NUL (linux/if.h).
const LONGEST: usize = 15;

/// The devices in the order of their names. The refusals are runc's.
pub(super) fn net_devices(
    linux: &Linux,
    new: u64,
    join: &[Join],
    facts: &HostFacts,
) -> Result<Vec<NetDevice>> {
    let Some(map) = linux.net_devices().as_ref().filter(|map| !map.is_empty()) else { return Ok(vec![]) };
    let refused = |text: &str| Err(Error::usage(text).field("/linux/netDevices"));
    if new & CLONE_NEWNET == 0 && !join.iter().any(|one| one.nstype == CLONE_NEWNET) {
        return refused("unable to move network devices without a NET namespace");
    }
    if facts.rootless {
        return refused("network devices are not supported for rootless containers");
    }
    let mut devices = vec![];
    for (host_name, device) in map {
        let field = format!("/linux/netDevices/{host_name}");
        let name = device.name().clone().filter(|name| !name.is_empty());
        if !is_name(host_name) || host_name.contains('%') {
            return Err(Error::usage(format!("invalid network device name {host_name:?}")).field(field));
        }
        if let Some(name) = name.as_ref().filter(|name| !is_name(name)) {
            return Err(
                Error::usage(format!("invalid network device name {name:?}")).field(format!("{field}/name"))
            );
        }
        devices.push(NetDevice { host_name: host_name.clone(), name, field });
    }
    devices.sort_by(|one, other| one.host_name.cmp(&other.host_name));
    Ok(devices)
}

/// dev_valid_name (net/core/dev.c); of patterns the kernel knows one `%d` (dev_alloc_name).
fn is_name(name: &str) -> bool {
    let plain = |letter: char| !letter.is_whitespace() && !matches!(letter, '/' | ':' | '\0');
    let pattern = match name.split_once('%') {
        None => true,
        Some((_, rest)) => rest.starts_with('d') && !rest.contains('%'),
    };
    !name.is_empty()
        && name.len() <= LONGEST
        && name != "."
        && name != ".."
        && name.chars().all(plain)
        && pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels() {
        let rows = [
            ("eth0", true),
            ("eth%d", true),
            ("a.b", true),
            ("fifteen-letters", true),
            ("sixteen-letters-", false),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a:b", false),
            ("a b", false),
            ("a\u{a0}b", false),
            ("%s", false),
            ("%d%d", false),
            ("eth%", false),
        ];
        for (name, sound) in rows {
            assert_eq!(is_name(name), sound, "{name:?}");
        }
    }

    #[test]
    fn a_device_needs_a_namespace_and_the_rights_to_move_it() {
        let linux = |text: &str| serde_json::from_str::<Linux>(text).unwrap();
        let root = HostFacts::default();
        let rootless = HostFacts { rootless: true, ..HostFacts::default() };
        let two = r#"{"netDevices":{"eth1":{"name":"b"},"eth0":{}}}"#;
        let found = net_devices(&linux(two), CLONE_NEWNET, &[], &root).unwrap();
        let names: Vec<_> = found.iter().map(|one| (one.host_name.as_str(), one.name.as_deref())).collect();
        assert_eq!(names, [("eth0", None), ("eth1", Some("b"))]);
        let refused = |text: &str, new, facts: &HostFacts| {
            net_devices(&linux(text), new, &[], facts).unwrap_err().field_name().unwrap().to_owned()
        };
        assert_eq!(refused(two, 0, &root), "/linux/netDevices");
        assert_eq!(refused(two, CLONE_NEWNET, &rootless), "/linux/netDevices");
        assert_eq!(refused(r#"{"netDevices":{"a/b":{}}}"#, CLONE_NEWNET, &root), "/linux/netDevices/a/b");
        assert_eq!(
            refused(r#"{"netDevices":{"a":{"name":".."}}}"#, CLONE_NEWNET, &root),
            "/linux/netDevices/a/name"
        );
        assert!(net_devices(&linux(r#"{"netDevices":{}}"#), 0, &[], &rootless).unwrap().is_empty());
    }
}
