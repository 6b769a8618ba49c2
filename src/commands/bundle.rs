//! A bundle: a directory with config.json. runtime-spec, bundle.md, config.md.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use oci_spec::runtime::Spec;
use serde_json::Value;

use super::{caller, json_shape, text_file};
use crate::cli::LaunchArgs;
use crate::error::{Call, Context, Error, Result};

const CONFIG: &str = "config.json";
pub(super) const CONFIG_LIMIT: usize = 16 << 20;

/// An opened bundle.
#[derive(Debug)]
pub struct Bundle {
    /// The directory: relative paths begin here.
    pub dir: OwnedFd,
    /// Its absolute path, for `state`.
    pub path: PathBuf,
    /// The configuration.
    pub spec: Spec,
    /// Its text as it was read: later edits of the file do not matter.
    pub text: Vec<u8>,
    /// What the caller should know and runc only warns of.
    pub warnings: Vec<String>,
}

impl Bundle {
    /// Opens the bundle that a launch names.
    ///
    /// # Errors
    /// A missing bundle or config.json; JSON that is not a configuration, with its field.
    pub fn open(args: &LaunchArgs) -> Result<Self> {
        let path = args.bundle.as_ref().map_or(Path::new("."), |path| path.as_path());
        let dir = open_directory(path).on(path.display()).at("--bundle")?;
        let text = match (&args.config, args.config_fd) {
            (Some(file), _) => text_file::read(file.as_path(), CONFIG_LIMIT).at("--config")?,
            (None, Some(number)) => text_file::read_sealed(number, CONFIG_LIMIT).at("--config-fd")?,
            (None, None) => read_config(dir.as_fd())?,
        };
        let (spec, warnings) = parse(&text)?;
        let path = absolute(dir.as_fd())?;
        Ok(Self { dir, path, spec, text, warnings })
    }
}

/// Opens a directory that the caller named.
///
/// # Errors
/// openat2(2).
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = caller::rights()?;
    nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2")
}

fn read_config(dir: BorrowedFd<'_>) -> Result<Vec<u8>> {
    text_file::read_in_root(dir, Path::new(CONFIG), CONFIG_LIMIT)?.ok_or_else(|| {
        Error::call("openat2", nix::errno::Errno::ENOENT)
            .object(CONFIG)
            .field("--bundle")
            .hint("a bundle is a directory with a config.json; `pinfold spec` writes one")
    })
}

/// The absolute path of an opened directory.
///
/// # Errors
/// readlink(2) of /proc/self/fd.
pub fn absolute(dir: BorrowedFd<'_>) -> Result<PathBuf> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    nix::fcntl::readlink(link.as_str()).map(PathBuf::from).call("readlink").on(link)
}

/// Reads a configuration.
///
/// # Errors
/// The place in the JSON text, or the JSON pointer of the value that is wrong.
pub fn parse(text: &[u8]) -> Result<(Spec, Vec<String>)> {
    let mut value: Value =
        serde_json::from_slice(text).map_err(|error| Error::usage(error.to_string()).object(CONFIG))?;
    let mut warnings = vec![];
    json_shape::check(&value, "")?;
    drop_unknown_capabilities(&mut value, &mut warnings);
    drop_unreachable_ambient(&mut value, &mut warnings);
    complete(&mut value);
    spell(&mut value)?;
    let spec = serde_path_to_error::deserialize(&value).map_err(|error| {
        let field = pointer(error.path());
        Error::usage(error.into_inner().to_string()).object(CONFIG).field(field)
    })?;
    Ok((spec, warnings))
}

/// A process object of its own, as `exec --process` gives it.
///
/// # Errors
/// As [`parse`].
pub fn parse_process(text: &[u8]) -> Result<(oci_spec::runtime::Process, Vec<String>)> {
    let process: Value =
        serde_json::from_slice(text).map_err(|error| Error::usage(error.to_string()).field("--process"))?;
    let mut whole = serde_json::json!({ "process": process });
    let mut warnings = vec![];
    json_shape::check(&whole, "")?;
    drop_unknown_capabilities(&mut whole, &mut warnings);
    drop_unreachable_ambient(&mut whole, &mut warnings);
    complete(&mut whole);
    spell(&mut whole)?;
    let process = whole.get("process").cloned().unwrap_or_default();
    let process = serde_path_to_error::deserialize(&process).map_err(|error| {
        let field = format!("/process{}", pointer(error.path()));
        Error::usage(error.into_inner().to_string()).field(field)
    })?;
    Ok((process, warnings))
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{key}"),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

/// config.md: what cannot be mapped is logged as a warning and left out.
fn drop_unknown_capabilities(value: &mut Value, warnings: &mut Vec<String>) {
    let sets = value.pointer_mut("/process/capabilities").and_then(Value::as_object_mut);
    for (set, list) in sets.into_iter().flatten() {
        let Some(list) = list.as_array_mut() else { continue };
        list.retain(|name| {
            let known = name.as_str().is_none_or(|name| name.parse::<caps::Capability>().is_ok());
            if !known {
                warnings.push(format!(
                    "/process/capabilities/{set}: {name} is no capability known here, left out"
                ));
            }
            known
        });
    }
}

/// The kernel raises in the ambient set only what is permitted and inheritable (capabilities(7)): the rest
/// is left out with a warning, as config.md wants for what cannot be granted.
fn drop_unreachable_ambient(value: &mut Value, warnings: &mut Vec<String>) {
    let Some(sets) = value.pointer_mut("/process/capabilities").and_then(Value::as_object_mut) else {
        return;
    };
    let listed = |set: &str| sets.get(set).and_then(Value::as_array).cloned().unwrap_or_default();
    let (permitted, inheritable) = (listed("permitted"), listed("inheritable"));
    let Some(ambient) = sets.get_mut("ambient").and_then(Value::as_array_mut) else { return };
    ambient.retain(|name| {
        // What is no name at all is told as such when it is parsed.
        let reachable = !name.is_string() || permitted.contains(name) && inheritable.contains(name);
        if !reachable {
            let name = name.as_str().unwrap_or_default();
            warnings.push(format!(
                "/process/capabilities/ambient: can't raise ambient capability {name}: not both permitted and inheritable, left out"
            ));
        }
        reachable
    });
}

/// Fields that runc takes as empty and the crate's types demand.
fn complete(value: &mut Value) {
    let Some(process) = value.get_mut("process").and_then(Value::as_object_mut) else { return };
    process.entry("user").or_insert_with(|| serde_json::json!({"uid": 0, "gid": 0}));
    process.entry("cwd").or_insert_with(|| Value::String(String::new()));
    if let Some(user) = process.get_mut("user").and_then(Value::as_object_mut) {
        user.entry("uid").or_insert_with(|| 0.into());
        user.entry("gid").or_insert_with(|| 0.into());
    }
}

/// config.md's word, and the one that the crate's type reads.
const SCHEDULER_FLAGS: &[(&str, &str)] = &[
    ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
    ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
];

/// Words that the crate spells in its own way, and lists of CPUs that it refuses: an empty one is
/// none, and spaces are let pass as in runc.
fn spell(value: &mut Value) -> Result<()> {
    let flags = value.pointer_mut("/process/scheduler/flags").and_then(Value::as_array_mut);
    for (index, flag) in flags.into_iter().flatten().enumerate() {
        let Some(word) = flag.as_str() else { continue };
        if SCHEDULER_FLAGS.iter().any(|(_, misspelt)| *misspelt == word) {
            let field = format!("/process/scheduler/flags/{index}");
            return Err(Error::usage("unknown scheduler flag").field(field).object(format!("`{word}`")));
        }
        if let Some((_, misspelt)) = SCHEDULER_FLAGS.iter().find(|(right, _)| *right == word) {
            *flag = Value::from(*misspelt);
        }
    }
    if let Some(lists) = value.pointer_mut("/process/execCPUAffinity").and_then(Value::as_object_mut) {
        for list in lists.values_mut() {
            if let Value::String(text) = list {
                text.retain(|letter| letter != ' ');
            }
        }
        lists.retain(|_, list| list.as_str() != Some(""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_place() {
        assert!(refused("{").contains("config.json"));
        let wrong = refused(r#"{"ociVersion":"1.0.2","mounts":[{"destination":"/a"},{"destination":5}]}"#);
        assert!(wrong.starts_with("/mounts/1/destination config.json"), "{wrong}");
    }

    #[test]
    fn a_nul_byte_is_refused_wherever_it_stands() {
        let wrong = refused(r#"{"ociVersion":"1.0.2","process":{"args":["a","b\u0000c"],"cwd":"/"}}"#);
        assert!(wrong.starts_with("/process/args/1"), "{wrong}");
    }

    #[test]
    fn scheduler_flags_are_read_by_the_specification_s_names_alone() {
        let with = |flag: &str| {
            let text = format!(
                r#"{{"ociVersion":"1.0.2","process":{{"args":["a"],"cwd":"/","scheduler":{{"policy":"SCHED_OTHER","flags":["{flag}"]}}}}}}"#
            );
            parse(text.as_bytes()).map(drop).map_err(|error| error.to_string())
        };
        let names = [
            "RESET_ON_FORK",
            "RECLAIM",
            "DL_OVERRUN",
            "KEEP_POLICY",
            "KEEP_PARAMS",
            "UTIL_CLAMP_MIN",
            "UTIL_CLAMP_MAX",
        ];
        for name in names {
            assert_eq!(with(&format!("SCHED_FLAG_{name}")), Ok(()));
        }
        for name in ["SCHED_RESET_ON_FORK", "SCHED_FLAG_D_L_OVERRUN", "SCHED_FLAG_NEW"] {
            assert!(with(name).unwrap_err().starts_with("/process/scheduler/flags/0"), "{name}");
        }
    }

    #[test]
    fn an_empty_list_of_cpus_is_none() {
        let text = r#"{"args":["a"],"cwd":"/","execCPUAffinity":{"initial":"","final":"0-1, 3"}}"#;
        let (process, _) = parse_process(text.as_bytes()).unwrap();
        let affinity = process.exec_cpu_affinity().as_ref().unwrap();
        assert_eq!((affinity.initial(), affinity.cpu_affinity_final().as_deref()), (&None, Some("0-1,3")));
        let text = r#"{"args":["a"],"cwd":"/","execCPUAffinity":{"final":"x"}}"#;
        let refused = parse_process(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with("/process/execCPUAffinity/final"), "{refused}");
    }

    #[test]
    fn an_ambient_capability_that_cannot_be_raised_is_a_warning() {
        let text = r#"{"ociVersion":"1.0.2","process":{"args":["a"],"cwd":"/","capabilities":{
            "permitted":["CAP_KILL","CAP_CHOWN"],"inheritable":["CAP_KILL"],"ambient":["CAP_KILL","CAP_CHOWN"]}}}"#;
        let (spec, warnings) = parse(text.as_bytes()).unwrap();
        assert_eq!(
            warnings,
            [
                "/process/capabilities/ambient: can't raise ambient capability CAP_CHOWN: not both permitted and inheritable, left out"
            ]
        );
        let capabilities = spec.process().clone().unwrap().capabilities().clone().unwrap();
        assert_eq!(capabilities.ambient().as_ref().unwrap().len(), 1);
    }

    #[test]
    fn an_unknown_capability_is_a_warning() {
        let text = r#"{"ociVersion":"1.0.2","process":{"args":["a"],"cwd":"/","capabilities":{"bounding":["CAP_KILL","CAP_NEW"]}}}"#;
        let (spec, warnings) = parse(text.as_bytes()).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(spec.process().is_some());
    }
}
