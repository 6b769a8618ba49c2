//! The content of `pinfold spec`, key by key in runc's order. Pure.

use serde_json::{Map, Value, json};

use crate::cli::version;

/// For whom the configuration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// For root: all namespaces but the user namespace.
    Root,
    /// For a caller without root: a user namespace in which the caller is root.
    Rootless {
        /// The caller's user id.
        uid: u32,
        /// The caller's group id.
        gid: u32,
    },
}

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// What shows or changes the host's kernel through procfs and sysfs.
const MASKED_PATHS: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The configuration. `unified` says whether the host has cgroup version 2 only.
pub fn template(flavour: Flavour, unified: bool) -> Value {
    json!({
        "ociVersion": version::SPEC,
        "process": process(),
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "pinfold",
        "mounts": mounts(flavour),
        "linux": linux(flavour, unified),
    })
}

fn process() -> Value {
    json!({
        "terminal": true,
        "user": { "uid": 0, "gid": 0 },
        "args": ["sh"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ],
        "cwd": "/",
        "capabilities": {
            "bounding": CAPABILITIES,
            "effective": CAPABILITIES,
            "permitted": CAPABILITIES,
        },
        "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
        "noNewPrivileges": true,
    })
}

fn mounts(flavour: Flavour) -> Vec<Value> {
    // A group id that is not mapped cannot own the terminals of a rootless container.
    let devpts: &[&str] = match flavour {
        Flavour::Root => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        Flavour::Rootless { .. } => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    };
    // A user namespace without its own network namespace may not mount sysfs.
    let sysfs = match flavour {
        Flavour::Root => mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        Flavour::Rootless { .. } => {
            mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
        }
    };
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"];
    vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", devpts),
        mount("/dev/shm", "tmpfs", "shm", &shm),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        sysfs,
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

fn linux(flavour: Flavour, unified: bool) -> Value {
    let mut linux = Map::new();
    let mut namespaces = match flavour {
        Flavour::Root => vec!["pid", "network", "ipc", "uts", "mount"],
        Flavour::Rootless { .. } => vec!["pid", "ipc", "uts", "mount"],
    };
    if unified {
        namespaces.push("cgroup");
    }
    match flavour {
        Flavour::Root => {
            linux.insert("resources".into(), json!({ "devices": [{ "allow": false, "access": "rwm" }] }));
        }
        Flavour::Rootless { uid, gid } => {
            namespaces.push("user");
            linux.insert("uidMappings".into(), json!([{ "containerID": 0, "hostID": uid, "size": 1 }]));
            linux.insert("gidMappings".into(), json!([{ "containerID": 0, "hostID": gid, "size": 1 }]));
        }
    }
    let namespaces = namespaces.into_iter().map(|kind| json!({ "type": kind })).collect();
    linux.insert("namespaces".into(), Value::Array(namespaces));
    linux.insert("maskedPaths".into(), json!(MASKED_PATHS));
    linux.insert("readonlyPaths".into(), json!(READONLY_PATHS));
    Value::Object(linux)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    fn namespaces(value: &Value) -> Vec<&str> {
        let list = value["linux"]["namespaces"].as_array().unwrap();
        list.iter().map(|namespace| namespace["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn the_keys_stand_in_runc_s_order() {
        let spec = template(Flavour::Root, true);
        assert_eq!(keys(&spec), ["ociVersion", "process", "root", "hostname", "mounts", "linux"]);
        let process =
            ["terminal", "user", "args", "env", "cwd", "capabilities", "rlimits", "noNewPrivileges"];
        assert_eq!(keys(&spec["process"]), process);
        assert_eq!(keys(&spec["process"]["capabilities"]), ["bounding", "effective", "permitted"]);
        assert_eq!(keys(&spec["linux"]), ["resources", "namespaces", "maskedPaths", "readonlyPaths"]);
        let rootless = template(Flavour::Rootless { uid: 1, gid: 2 }, true);
        let linux = ["uidMappings", "gidMappings", "namespaces", "maskedPaths", "readonlyPaths"];
        assert_eq!(keys(&rootless["linux"]), linux);
    }

    #[test]
    fn namespaces_depend_on_the_caller_and_on_the_cgroup_version() {
        let rootless = Flavour::Rootless { uid: 1000, gid: 100 };
        let rows = [
            (Flavour::Root, false, "pid network ipc uts mount"),
            (Flavour::Root, true, "pid network ipc uts mount cgroup"),
            (rootless, false, "pid ipc uts mount user"),
            (rootless, true, "pid ipc uts mount cgroup user"),
        ];
        for (flavour, unified, expected) in rows {
            assert_eq!(namespaces(&template(flavour, unified)).join(" "), expected);
        }
    }

    #[test]
    fn a_rootless_container_is_the_caller_s_and_needs_nothing_it_cannot_have() {
        let spec = template(Flavour::Rootless { uid: 1000, gid: 100 }, true);
        assert_eq!(spec["linux"]["uidMappings"][0]["hostID"], 1000);
        assert_eq!(spec["linux"]["gidMappings"][0]["hostID"], 100);
        assert!(spec["linux"].get("resources").is_none());
        let text = spec.to_string();
        assert!(!text.contains("gid=5") && !text.contains("\"sysfs\""));
        assert!(text.contains("\"rbind\""));
    }
}
