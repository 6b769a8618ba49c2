//! `linux.sysctl`: only keys that belong to a namespace of the container's own.

use std::collections::HashMap;
use std::ffi::CString;

use crate::error::{Error, Result};
use crate::sys::clone::{CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS};

const IPC_KEYS: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// One sysctl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftSysctl {
    /// As the configuration names it, with dots.
    pub name: String,
    /// Its path below /proc.
    pub path: CString,
    /// What is written.
    pub value: CString,
    /// The configuration field.
    pub field: String,
    /// CLONE_NEW* of the namespace that it belongs to.
    pub namespace: u64,
}

impl DraftSysctl {
    /// It would change the host. The words are runc's.
    pub fn of_host(&self) -> Error {
        of_host(&self.name, self.namespace, &self.field)
    }
}

fn of_host(name: &str, namespace: u64, field: &str) -> Error {
    let kind = match namespace {
        CLONE_NEWIPC => "ipc",
        CLONE_NEWNET => "network",
        _ => "uts",
    };
    Error::usage(format!("sysctl {name:?} is not allowed in the hosts {kind} namespace")).field(field)
}

/// Each sysctl as a path below /proc, its value, and its field. A key of the host's own
/// would change the host: it is refused, as runc does.
pub(super) fn sysctls(map: &HashMap<String, String>, own: u64) -> Result<Vec<DraftSysctl>> {
    let mut keys: Vec<_> = map.iter().collect();
    keys.sort();
    keys.into_iter().map(|(key, value)| one(key, value, own)).collect()
}

fn one(key: &str, value: &str, own: u64) -> Result<DraftSysctl> {
    let field = format!("/linux/sysctl/{key}");
    let name = key.replace('/', ".");
    let namespace = namespace_of(&name).ok_or_else(|| {
        Error::usage(format!("sysctl {name:?} is not in a separate kernel namespace")).field(field.clone())
    })?;
    if name == "kernel.hostname" {
        return Err(Error::usage(format!(
            "sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field"
        ))
        .field(field));
    }
    if own & namespace == 0 {
        return Err(of_host(&name, namespace, &field));
    }
    // `net/ipv4/...` and `net.ipv4....` are both in use (sysctl(8)); a slash form keeps its dots.
    let path = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
    let sound = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !sound {
        return Err(Error::usage("not a sysctl name").field(field));
    }
    let c_string = |text: String| {
        CString::new(text).map_err(|error| Error::usage(error.to_string()).field(field.clone()))
    };
    let (path, value) = (c_string(format!("sys/{path}"))?, c_string(value.to_owned())?);
    Ok(DraftSysctl { name, path, value, field, namespace })
}

fn namespace_of(dotted: &str) -> Option<u64> {
    match dotted {
        name if IPC_KEYS.contains(&name) || name.starts_with("fs.mqueue.") => Some(CLONE_NEWIPC),
        "kernel.domainname" | "kernel.hostname" => Some(CLONE_NEWUTS),
        name if name.starts_with("net.") => Some(CLONE_NEWNET),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaced_keys_pass() {
        let all = CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS;
        let rows = [
            ("net.ipv4.ip_forward", all, true),
            ("net.ipv4.ip_forward", CLONE_NEWIPC, false),
            ("kernel.shmmax", all, true),
            ("fs.mqueue.msg_max", all, true),
            ("kernel.core_pattern", all, false),
            ("vm.overcommit_memory", all, false),
            ("net.../../../kernel/core_pattern", all, false),
            ("net/ipv4/conf/eth0.1/forwarding", all, true),
            ("net/../kernel/core_pattern", all, false),
            ("kernel.hostname", all, false),
            ("kernel.domainname", all, true),
            ("kernel.domainname", CLONE_NEWNET, false),
        ];
        for (key, own, passes) in rows {
            assert_eq!(one(key, "1", own).is_ok(), passes, "{key}");
        }
    }
}
