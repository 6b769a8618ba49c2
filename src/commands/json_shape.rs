//! What the types of the configuration would let pass: a NUL byte in a text, and a list where
//! an object belongs, which serde reads as the object's fields in the order of their
//! declaration.

use serde_json::Value;

use crate::error::{Error, Result};

/// The names of config.md and config-linux.md whose value is an object.
const OBJECTS: [&str; 28] = [
    "annotations",
    "blockIO",
    "boottime",
    "capabilities",
    "consoleSize",
    "cpu",
    "execCPUAffinity",
    "hooks",
    "intelRdt",
    "ioPriority",
    "linux",
    "memory",
    "memoryPolicy",
    "monotonic",
    "netDevices",
    "network",
    "personality",
    "pids",
    "process",
    "rdma",
    "resources",
    "root",
    "scheduler",
    "seccomp",
    "sysctl",
    "timeOffsets",
    "unified",
    "user",
];

/// Objects whose keys are free and whose values are objects.
const MAPS_OF_OBJECTS: [&str; 2] = ["netDevices", "rdma"];

/// Parts that are another platform's: unknown to this one, and ignored (config.md,
/// "Extensibility").
const FOREIGN: [&str; 5] = ["/freebsd", "/solaris", "/vm", "/windows", "/zos"];

/// Looks through the whole text.
///
/// # Errors
/// The JSON pointer of the first fault.
pub fn check(value: &Value, path: &str) -> Result<()> {
    if FOREIGN.contains(&path) {
        return Ok(());
    }
    match value {
        // The kernel would see another string than the policy did.
        Value::String(text) if text.contains('\0') => Err(Error::usage("contains a NUL byte").field(path)),
        Value::Array(_) if is_object(path) => Err(Error::usage("must be an object, not a list").field(path)),
        Value::Array(list) => {
            list.iter().enumerate().try_for_each(|(index, value)| check(value, &format!("{path}/{index}")))
        }
        Value::Object(map) => map.iter().try_for_each(|(key, value)| match key.contains('\0') {
            true => Err(Error::usage("a key contains a NUL byte").field(path)),
            false => check(value, &format!("{path}/{key}")),
        }),
        _ => Ok(()),
    }
}

/// No list of the specification holds lists, so what stands in one is an object or a scalar.
fn is_object(path: &str) -> bool {
    let mut names = path.rsplit('/');
    let (name, above) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    let in_list = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    in_list || OBJECTS.contains(&name) || MAPS_OF_OBJECTS.contains(&above)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_no_object() {
        let rows = [
            (json!({"process": {"user": [0, 0]}}), "/process/user"),
            (json!({"process": []}), "/process"),
            (json!({"process": {"rlimits": [["RLIMIT_CORE", 0, 0]]}}), "/process/rlimits/0"),
            (json!({"linux": {"netDevices": {"eth0": ["eth1"]}}}), "/linux/netDevices/eth0"),
            (json!({"mounts": [{"destination": "/a\u{0}b"}]}), "/mounts/0/destination"),
            (json!({"linux": {"sysctl": {"a\u{0}": "1"}}}), "/linux/sysctl"),
        ];
        for (value, field) in rows {
            assert_eq!(check(&value, "").unwrap_err().field_name(), Some(field), "{value}");
        }
    }

    #[test]
    fn lists_and_what_is_ignored_pass() {
        let good = json!({
            "process": {"args": ["a", "b"], "user": {"additionalGids": [1]}},
            "mounts": [{"options": ["ro"]}],
            "linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB"}]}},
            "windows": {"network": [["x"]]},
        });
        check(&good, "").unwrap();
    }
}
