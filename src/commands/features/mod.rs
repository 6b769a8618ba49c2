//! `pinfold features`: what this runtime implements (runtime-spec features.md, features-linux.md).
//!
//! It speaks of the program, not of the host: the same text everywhere.

pub mod known;

use serde_json::{Value, json};

use super::output;
use crate::cli::version;
use crate::error::{Error, ExitCode, Result};
use crate::types::CapName;

/// Prints the features document.
///
/// # Errors
/// What write(2) says of stdout.
pub fn run() -> Result<ExitCode> {
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut text = vec![];
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&document(), &mut serializer)
        .map_err(|error| Error::internal(error.to_string()))?;
    text.push(b'\n');
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// The features document, with the keys in the order of the specification.
pub fn document() -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": version::SPEC,
        "hooks": known::HOOKS,
        "mountOptions": known::MOUNT_OPTIONS,
        "linux": linux(),
        "annotations": {
            "io.pinfold.version": version::PINFOLD,
            "io.pinfold.commit": version::COMMIT,
        },
        "potentiallyUnsafeConfigAnnotations": known::UNSAFE_ANNOTATIONS,
    })
}

fn linux() -> Value {
    json!({
        "namespaces": known::NAMESPACES,
        "capabilities": CapName::all().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "cgroup": {
            "v1": known::CGROUP_V1,
            "v2": known::CGROUP_V2,
            "systemd": known::CGROUP_SYSTEMD,
            "systemdUser": known::CGROUP_SYSTEMD_USER,
            "rdma": known::CGROUP_RDMA,
        },
        "seccomp": {
            "enabled": true,
            "actions": known::SECCOMP_ACTIONS,
            "operators": known::SECCOMP_OPERATORS,
            "archs": known::SECCOMP_ARCHS,
            "knownFlags": known::SECCOMP_FLAGS,
            "supportedFlags": known::SECCOMP_FLAGS,
        },
        "apparmor": { "enabled": known::APPARMOR },
        "selinux": { "enabled": known::SELINUX },
        "intelRdt": {
            "enabled": known::INTEL_RDT,
            "schemata": known::INTEL_RDT,
            "monitoring": known::INTEL_RDT,
        },
        "memoryPolicy": { "modes": known::MEMORY_POLICY_MODES, "flags": known::MEMORY_POLICY_FLAGS },
        "mountExtensions": { "idmap": { "enabled": known::IDMAP } },
        "netDevices": { "enabled": known::NET_DEVICES },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_type_reads_every_field() {
        let text = document().to_string();
        let features: oci_spec::runtime::Features = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (features.oci_version_min().as_str(), features.oci_version_max().as_str()),
            ("1.0.0", "1.3.0")
        );
        assert_eq!(features.hooks().as_ref().map(Vec::len), Some(6));
        let linux = features.linux().as_ref().unwrap();
        assert_eq!(linux.capabilities().as_ref().map(Vec::len), Some(41));
        assert_eq!(linux.namespaces().as_ref().map(Vec::len), Some(8));
    }
}
