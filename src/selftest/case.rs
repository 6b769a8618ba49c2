//! One container of the lab: its root file system and its configuration, before an attack changes them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};

use crate::error::{Call, Context, Error, Result};

/// A file at the root of what belongs to the lab, and what is in it.
pub(super) const MARKER: &str = "pinfold-selftest";
pub(super) const WORDS: &str = "pinfold selftest: what is here may be attacked\n";
/// What is in the canary.
pub(super) const CANARY: &str = "outside of every container\n";
/// A line that only an attacker writes into a log.
pub(super) const FORGED: &str =
    r#"{"level":"info","msg":"forged by the container","time":"2026-01-01T00:00:00Z"}"#;

/// The filter that each container gets: deny by default.
const FILTER: &str = include_str!("../../seccomp-profiles/default.json");
/// Those of Docker's default that matter to no attack here.
const CAPABILITIES: [&str; 6] =
    ["CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD", "CAP_SETGID", "CAP_SETUID"];
const MASKED: [&str; 6] =
    ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A container that can be launched.
#[derive(Debug)]
pub(super) struct Case {
    /// The bundle.
    pub bundle: PathBuf,
    pub config: Value,
    /// Options of the runtime's verb.
    pub options: Vec<String>,
}

impl Case {
    /// A bundle in an empty directory, with the probe as its program.
    ///
    /// # Errors
    /// What cannot be written.
    pub(super) fn new(bundle: PathBuf, probe: &Path, program: &[&str]) -> Result<Self> {
        let rootfs = bundle.join("rootfs");
        for name in ["proc", "sys", "dev", "tmp", "given", "vol/a"] {
            make(&rootfs.join(name))?;
        }
        let file = rootfs.join(MARKER);
        fs::write(&file, WORDS).call("write").on(file.display())?;
        let link = rootfs.join("probe");
        fs::hard_link(probe, &link).call("link").on(link.display())?;
        if program.first() == Some(&"setuid") {
            let copy = rootfs.join("setuid");
            let mode = fs::Permissions::from_mode(0o4755);
            fs::copy(probe, &copy).call("copy").on(copy.display())?;
            fs::set_permissions(&copy, mode).call("chmod").on(copy.display())?;
        }
        let mut args = vec!["/probe", "selftest", "probe"];
        args.extend(program);
        Ok(Self { bundle, config: config(&args)?, options: vec![] })
    }

    /// Takes back what an attack has prepared.
    ///
    /// # Errors
    /// unlink(2), mkdir(2).
    pub(super) fn disarm(&mut self) -> Result<()> {
        let proc = self.rootfs().join("proc");
        if fs::symlink_metadata(&proc).is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(&proc).call("unlink").on(proc.display())?;
            make(&proc)?;
        }
        self.config = config(&[])?;
        Ok(())
    }

    /// The same, with the probe as it was.
    ///
    /// # Errors
    /// As [`Case::disarm`].
    pub(super) fn reset(&mut self) -> Result<()> {
        let args = self.config.pointer("/process/args").cloned().unwrap_or_default();
        self.disarm()?;
        self.set("/process/args", args);
        Ok(())
    }

    pub(super) fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// Writes config.json.
    ///
    /// # Errors
    /// write(2).
    pub(super) fn write(&self) -> Result<()> {
        let file = self.bundle.join("config.json");
        fs::write(&file, self.config.to_string()).call("write").on(file.display())
    }

    /// Sets the value at a JSON pointer whose object is there.
    pub(super) fn set(&mut self, pointer: &str, value: Value) {
        let (around, name) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(object) = self.config.pointer_mut(around).and_then(Value::as_object_mut) {
            object.insert(name.to_owned(), value);
        }
    }

    pub(super) fn without_filter(&mut self) {
        if let Some(linux) = self.config.pointer_mut("/linux").and_then(Value::as_object_mut) {
            linux.remove("seccomp");
        }
    }

    pub(super) fn capability(&mut self, name: &str) {
        for set in ["bounding", "effective", "permitted"] {
            let list = self.config.pointer_mut(&format!("/process/capabilities/{set}"));
            if let Some(list) = list.and_then(Value::as_array_mut) {
                list.push(json!(name));
            }
        }
    }

    pub(super) fn mount(&mut self, entry: Value) {
        if let Some(list) = self.config.pointer_mut("/mounts").and_then(Value::as_array_mut) {
            list.push(entry);
        }
    }

    /// A directory of the lab at /given, to be written.
    pub(super) fn give(&mut self, source: &Path) {
        self.mount(bind(source, "/given", &["rbind", "rw"]));
    }

    pub(super) fn without_namespace(&mut self, kind: &str) {
        self.drop_entries("/linux/namespaces", "type", kind);
    }

    pub(super) fn namespace(&mut self, kind: &str) {
        if let Some(list) = self.config.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut) {
            list.push(json!({ "type": kind }));
        }
    }

    pub(super) fn without_mount(&mut self, destination: &str) {
        self.drop_entries("/mounts", "destination", destination);
    }

    /// Adds an option to the mount at a place, and takes one away.
    pub(super) fn option(&mut self, destination: &str, add: &str, gone: &str) {
        let mounts = self.config.pointer_mut("/mounts").and_then(Value::as_array_mut).into_iter().flatten();
        for mount in mounts.filter(|mount| text(mount, "destination") == destination) {
            if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
                options.retain(|option| option.as_str() != Some(gone));
                options.push(json!(add));
            }
        }
    }

    fn drop_entries(&mut self, list: &str, key: &str, value: &str) {
        if let Some(list) = self.config.pointer_mut(list).and_then(Value::as_array_mut) {
            list.retain(|entry| text(entry, key) != value);
        }
    }

    /// Puts a link into the image.
    ///
    /// # Errors
    /// symlink(2).
    pub(super) fn link(&self, place: &str, target: &str) -> Result<()> {
        let place = self.rootfs().join(place);
        if fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
            fs::remove_dir(&place).call("rmdir").on(place.display())?;
        }
        around(&place)?;
        symlink(target, &place).call("symlink").on(place.display())
    }

    /// Puts a file into the image.
    ///
    /// # Errors
    /// mkdir(2), write(2).
    pub(super) fn file(&self, place: &str, text: &str) -> Result<()> {
        let place = self.rootfs().join(place);
        around(&place)?;
        fs::write(&place, text).call("write").on(place.display())
    }

    /// Puts a character device into the image.
    ///
    /// # Errors
    /// mknod(2).
    pub(super) fn node(&self, place: &str, major: u64, minor: u64) -> Result<()> {
        let place = self.rootfs().join(place);
        let mode = Mode::from_bits_truncate(0o666);
        mknod(&place, SFlag::S_IFCHR, mode, makedev(major, minor)).call("mknod").on(place.display())
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn make(place: &Path) -> Result<()> {
    fs::create_dir_all(place).call("mkdir").on(place.display())
}

fn around(place: &Path) -> Result<()> {
    place.parent().map_or(Ok(()), make)
}

pub(super) fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

fn filter() -> Result<Value> {
    let mut filter: Value =
        serde_json::from_str(FILTER).map_err(|error| Error::internal(error.to_string()))?;
    let lists = filter.get_mut("syscalls").and_then(Value::as_array_mut).into_iter().flatten();
    for object in lists.filter_map(Value::as_object_mut) {
        object.remove("comment");
    }
    if let Some(object) = filter.as_object_mut() {
        object.remove("comment");
    }
    Ok(filter)
}

/// As container engines write it, with all that a runtime can be asked to do against an attack but
/// a user namespace: behind one most attacks end at once, whatever the runtime does.
fn config(args: &[&str]) -> Result<Value> {
    let caps = json!(CAPABILITIES);
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": false },
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755", "size=64k"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/tmp", "tmpfs", &["nosuid", "nodev", "size=1m"]),
        ],
        "linux": {
            "namespaces": [
                { "type": "mount" }, { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
            ],
            "resources": {
                "devices": [{ "allow": false, "access": "rwm" }],
            },
            "seccomp": filter()?,
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
        },
    }))
}
