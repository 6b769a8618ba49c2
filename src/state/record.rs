//! state.json: what a later call of pinfold needs to know of a container.
//!
//! The status is not in it: it is computed from the phase and from what lives (`status`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::cgroup::RdtRecord;
use crate::error::{Error, Result};
use crate::systemd::Unit;

/// The format of state.json that this binary writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// A container's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The container's id.
    pub id: String,
    /// `ociVersion` of its configuration.
    pub oci_version: String,
    /// Its first process, once it was cloned.
    pub init: Option<Process>,
    /// The program beside a sandbox's init: signals are for it.
    #[serde(default)]
    pub program: Option<Process>,
    /// The process of pinfold's own that ends it in time and tells how it ended.
    #[serde(default)]
    pub keeper: Option<Process>,
    /// When it was made (`rfc3339::now`).
    pub created: String,
    /// The bundle directory, absolute.
    pub bundle: String,
    /// The root filesystem, absolute.
    pub rootfs: String,
    /// The name of the user who made it (`owner::name`).
    pub owner: String,
    /// The annotations of its configuration.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// How far the launch has come.
    pub phase: Phase,
    /// Which door it came through.
    pub kind: ContainerKind,
    /// Its cgroup, as the cgroup module names it; empty where it has none of its own.
    pub cgroup: String,
    /// systemd's unit that the cgroup belongs to, where systemd made it.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// The digest of the configuration as it was judged.
    pub config_digest: String,
    /// The identity of every bind source, compared again before a later use.
    #[serde(default)]
    pub binds: Vec<BindIdentity>,
    /// The identity of the root directory, where it is one of the host's.
    #[serde(default)]
    pub root: Option<BindIdentity>,
    /// Removed by the next sweep when its launcher and its first process are gone.
    pub ephemeral: bool,
    /// The slot of its host id range (`id_range`).
    pub id_range: Option<u32>,
    /// Its Intel RDT groups.
    #[serde(default)]
    pub rdt: Option<RdtRecord>,
    /// The process that launched it.
    pub launcher: Process,
    /// The name of the call that made it, in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
}

/// How far a launch has come; everything else about the status is seen, not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being set up by its launcher.
    Creating,
    /// Complete, waiting for `start`.
    Created,
    /// `start` has let it go.
    Started,
}

/// The door a container came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerKind {
    /// An OCI verb.
    Oci,
    /// `pinfold sandbox`.
    Sandbox,
}

/// Which object a bind mount showed when it was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindIdentity {
    /// Where it is in the container.
    pub destination: String,
    /// The path as it was resolved.
    pub source: String,
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
    /// The mount that it was opened on (statx(2), `stx_mnt_id`).
    pub mnt_id: u64,
    /// Its type.
    pub kind: BindKind,
    /// Its owner on the host.
    pub uid: u32,
    /// Its group on the host.
    pub gid: u32,
}

/// The type of a bind source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BindKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A socket, device, fifo or link.
    Other,
}

/// What is written: the format's number stands first, so that a reader meets it first.
#[derive(Serialize)]
struct Written<'s> {
    version: u32,
    #[serde(flatten)]
    state: &'s State,
}

/// What every version of the format has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl State {
    /// state.json's text.
    ///
    /// # Errors
    /// None in practice: serde_json.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let written = Written { version: FORMAT_VERSION, state: self };
        serde_json::to_vec(&written).map_err(|error| Error::internal(format!("state.json: {error}")))
    }

    /// Reads state.json's text; a newer format is refused by name.
    ///
    /// # Errors
    /// Not a record, or one of a newer format.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let Versioned { version } = serde_json::from_slice(text).map_err(not_ours)?;
        if version == 0 || version > FORMAT_VERSION {
            let refused =
                format!("state.json has format {version}, this pinfold reads up to {FORMAT_VERSION}");
            return Err(Error::setup(refused).hint("use the newer pinfold that made this container"));
        }
        serde_json::from_slice(text).map_err(not_ours)
    }
}

fn not_ours(error: serde_json::Error) -> Error {
    Error::setup(format!("state.json cannot be understood: {error}"))
}

#[cfg(test)]
pub(super) fn sample(id: &str) -> State {
    State {
        id: id.to_owned(),
        oci_version: "1.2.0".to_owned(),
        init: None,
        program: None,
        keeper: None,
        created: "2026-11-23T00:00:00Z".to_owned(),
        bundle: "/b".to_owned(),
        rootfs: "/b/rootfs".to_owned(),
        owner: "root".to_owned(),
        annotations: BTreeMap::new(),
        phase: Phase::Creating,
        kind: ContainerKind::Oci,
        cgroup: "/pinfold/a".to_owned(),
        unit: None,
        config_digest: "sha256:00".to_owned(),
        binds: vec![],
        root: None,
        ephemeral: false,
        id_range: None,
        rdt: None,
        launcher: Process { pid: i32::MAX, start_time: 1 },
        audit: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> State {
        let bind = BindIdentity {
            destination: "/data".to_owned(),
            source: "/srv/data".to_owned(),
            dev: u64::MAX,
            ino: 2,
            mnt_id: 3,
            kind: BindKind::Directory,
            uid: 4,
            gid: 5,
        };
        State {
            init: Some(Process { pid: 7, start_time: u64::MAX }),
            annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            binds: vec![bind],
            id_range: Some(0x2000),
            phase: Phase::Started,
            kind: ContainerKind::Sandbox,
            ephemeral: true,
            unit: Some(Unit { name: "p-a.scope".to_owned(), slice: "a.slice".to_owned(), user: true }),
            ..sample("a")
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for state in [sample("a"), full()] {
            assert_eq!(State::from_json(&state.to_json().unwrap()).unwrap(), state);
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_name_even_when_it_looks_different() {
        let text = String::from_utf8(full().to_json().unwrap()).unwrap();
        assert!(text.starts_with("{\"version\":1,"), "{text}");
        let newer = [text.replacen("\"version\":1", "\"version\":2", 1), "{\"version\":2}".to_owned()];
        for text in newer {
            let error = State::from_json(text.as_bytes()).unwrap_err().to_string();
            assert_eq!(error, "state.json has format 2, this pinfold reads up to 1");
        }
    }

    #[test]
    fn what_is_not_a_record_is_an_error() {
        for text in ["", "{}", "null", "{\"version\":0}", "{\"version\":1}", "{\"version\":-1}", "[1]"] {
            State::from_json(text.as_bytes()).expect_err(text);
        }
    }
}
