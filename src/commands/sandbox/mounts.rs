//! The mounts of a sandbox: the kernel's filesystems, private temporary places, and what
//! the options bring in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::users::User;
use crate::cli::{DEFAULT_SHM, MountRequest, SandboxArgs};
use crate::error::{Error, Result};
use crate::types::{Access, NetworkMode, SECRETS};

/// Size of /tmp, of the home directory and of a `--tmpfs` without a size.
const TMP_SIZE: u64 = 64 << 20;

/// The mounts with the indexes of those whose owner is shown as the user.
pub(super) struct Mounts {
    pub list: Vec<Value>,
    pub owner_mapped: Vec<usize>,
    /// Those that no option asks for.
    pub own: Vec<usize>,
}

/// What is decided before.
pub(super) struct Given {
    /// Mounts in front of all others.
    pub first: Vec<Value>,
    /// Places that an image wants to write to.
    pub volumes: BTreeSet<String>,
    /// Whether the sandbox has one user and one group.
    pub one_id: bool,
}

/// All mounts, in order, after the first ones.
pub(super) fn mounts(args: &SandboxArgs, user: &User, given: Given) -> Result<Mounts> {
    let Given { first, volumes, one_id } = given;
    let mut mounts = Mounts { list: first, owner_mapped: vec![], own: vec![] };
    mounts.list.extend(kernel_filesystems(args, one_id));
    mounts.list.push(tmpfs("/tmp", &[format!("size={TMP_SIZE}"), "mode=1777".to_owned()]));
    if is_plain_home(&user.home) {
        let home = format!("uid={},gid={},mode=0700,size={TMP_SIZE}", user.uid, user.gid);
        mounts.list.push(tmpfs(&user.home, &home.split(',').map(str::to_owned).collect::<Vec<_>>()));
    }
    // What is given a place by an option, or has one already, is no volume.
    let taken = |place: &String| {
        let mut typed = args.files.mounts.0.iter().map(|mount| mount.destination().as_path());
        place == "/tmp" || *place == user.home || typed.any(|other| other == Path::new(place))
    };
    for volume in volumes.iter().filter(|place| !taken(place)) {
        let options = format!("uid={},gid={},mode=0755,size={TMP_SIZE}", user.uid, user.gid);
        mounts.list.push(tmpfs(volume, &options.split(',').map(str::to_owned).collect::<Vec<_>>()));
    }
    if !args.process.secret.is_empty() {
        mounts
            .list
            .push(tmpfs(SECRETS, &["size=16m".to_owned(), "mode=0755".to_owned(), "noexec".to_owned()]));
    }
    if args.identity.network == Some(NetworkMode::Host) && args.files.rootfs.is_none() {
        // The names of the host's network are looked up where the host does.
        mounts.list.push(bind(
            "/etc/resolv.conf".into(),
            "/etc/resolv.conf".into(),
            &["ro", "nosuid", "nodev", "noexec"],
        )?);
    }
    mounts.own = (0..mounts.list.len()).collect();
    for request in &args.files.mounts.0 {
        mounts.add(request)?;
    }
    // A device keeps its owner: devtmpfs cannot be id-mapped, and who may open it is the
    // host's word.
    for device in &args.privileges.device {
        let source = device.source.as_path().to_owned();
        let access = if device.access.write { "rw" } else { "ro" };
        mounts.list.push(bind(
            source,
            device.destination.as_path().to_owned(),
            &["nosuid", "noexec", "dev", access],
        )?);
    }
    Ok(mounts)
}

/// The image says where its users are at home: only a place below /home is given a tmpfs,
/// and nothing that leads out of there again.
fn is_plain_home(home: &str) -> bool {
    home.strip_prefix("/home/")
        .is_some_and(|rest| rest.split('/').all(|name| !matches!(name, "" | "." | "..")))
}

fn kernel_filesystems(args: &SandboxArgs, one_id: bool) -> Vec<Value> {
    let shm = args.limits.shm_size.unwrap_or(DEFAULT_SHM).bytes();
    // Group 5 (tty) exists only where a range of ids is mapped.
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if !one_id {
        pts.push("gid=5");
    }
    vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "nodev", "noexec"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
               "options": ["nosuid", "nodev", "noexec", "mode=1777", format!("size={shm}")]}),
    ]
}

fn tmpfs(destination: &str, options: &[String]) -> Value {
    let mut all = vec!["nosuid".to_owned(), "nodev".to_owned()];
    all.extend_from_slice(options);
    json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": all})
}

fn bind(source: PathBuf, destination: PathBuf, options: &[&str]) -> Result<Value> {
    let text = |path: PathBuf| {
        path.into_os_string().into_string().map_err(|raw| {
            Error::usage("not UTF-8, which the runtime specification needs").object(raw.to_string_lossy())
        })
    };
    let mut all = vec!["rbind"];
    all.extend_from_slice(options);
    Ok(json!({"destination": text(destination)?, "source": text(source)?, "type": "bind", "options": all}))
}

impl Mounts {
    fn add(&mut self, request: &MountRequest) -> Result<()> {
        match request {
            MountRequest::Bind { source, destination, access } => {
                let access = if *access == Access::ReadOnly { "ro" } else { "rw" };
                self.owner_mapped.push(self.list.len());
                let (from, to) = (source.as_path().to_owned(), destination.as_path().to_owned());
                self.list.push(bind(from, to, &["nosuid", "nodev", access])?);
            }
            MountRequest::Tmpfs(asked) => {
                let mut options = vec![format!("size={}", asked.size.map_or(TMP_SIZE, |size| size.bytes()))];
                options.push(format!("mode={:o}", asked.mode.map_or(0o1777, |mode| mode.bits())));
                if asked.access == Access::ReadOnly {
                    options.push("ro".to_owned());
                }
                if asked.noexec {
                    options.push("noexec".to_owned());
                }
                self.list.push(tmpfs(&asked.destination.as_path().to_string_lossy(), &options));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_leads_elsewhere_is_given_nothing() {
        let rows = [
            ("/home/tool", true),
            ("/home/a/b", true),
            ("/home/", false),
            ("/home/..", false),
            ("/home/../proc", false),
            ("/home/a/../../dev", false),
            ("/home/a/", false),
            ("/homes/a", false),
            ("/", false),
        ];
        for (home, plain) in rows {
            assert_eq!(is_plain_home(home), plain, "{home}");
        }
    }
}
