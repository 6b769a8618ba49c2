//! The root of `pinfold sandbox` when it shows the host's programs: a skeleton of
//! our own, the host's /usr beside it, and the few files of /etc that programs
//! cannot do without. rootfs/README.md tells the reason for every entry.
//!
//! Rule: there is no empty directory where a host keeps data. A scan of /var/log
//! fails with "No such file or directory"; it does not find nothing.

mod facts;
mod skeleton;

pub use facts::{HostObject, HostRootFacts};
pub use skeleton::{Entry, HOSTNAME, HostBind, TOOL_GID, TOOL_UID, host_binds, skeleton};

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// One thing to make in the empty root, in the order in which it can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// A directory.
    Dir {
        /// Absolute, in the root.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A file; without content it is a mount point.
    File {
        /// Absolute, in the root.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Its text.
        content: &'static str,
    },
    /// A symbolic link.
    Link {
        /// Absolute, in the root.
        path: PathBuf,
        /// What the link says.
        target: PathBuf,
    },
}

/// A read-only bind of a host object on a mount point that [`RootPlan::made`] provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host, absolute and without links.
    pub source: PathBuf,
    /// In the root.
    pub destination: PathBuf,
}

/// How the root is put together on one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootPlan {
    /// Directories, files and links; each after its parent.
    pub made: Vec<Made>,
    /// Binds, to be attached in this order.
    pub binds: Vec<Bind>,
}

/// Puts the root together for a host of which `facts` are known. Pure.
///
/// # Errors
/// A required part is missing on the host.
pub fn plan(facts: &HostRootFacts) -> Result<RootPlan> {
    let mut draft = Drafting::default();
    for entry in skeleton() {
        draft.make(entry.to_made());
    }
    for bind in host_binds() {
        match facts.object(bind.source) {
            HostObject::Absent if bind.optional => {}
            HostObject::Absent => {
                let missing = Error::setup("is missing on the host").object(bind.source);
                return Err(missing.hint("--image or --rootfs brings programs of its own"));
            }
            object => draft.show(bind.destination, object),
        }
    }
    Ok(draft.plan)
}

#[derive(Default)]
struct Drafting {
    plan: RootPlan,
    dirs: BTreeSet<PathBuf>,
}

impl Drafting {
    fn make(&mut self, made: Made) {
        let path = match &made {
            Made::Dir { path, .. } | Made::File { path, .. } | Made::Link { path, .. } => path,
        };
        let parents: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
        for parent in parents.into_iter().rev() {
            self.make_dir(parent, 0o755);
        }
        match made {
            Made::Dir { path, mode } => self.make_dir(path, mode),
            made => self.plan.made.push(made),
        }
    }

    /// The root itself is there already.
    fn make_dir(&mut self, path: PathBuf, mode: u32) {
        if path != Path::new("/") && self.dirs.insert(path.clone()) {
            self.plan.made.push(Made::Dir { path, mode });
        }
    }

    fn show(&mut self, destination: &str, object: &HostObject) {
        let path = PathBuf::from(destination);
        match object {
            HostObject::Absent => {}
            HostObject::Dir { real } => self.bind(Made::Dir { path, mode: 0o755 }, real),
            HostObject::File { real } => self.bind(Made::File { path, mode: 0o444, content: "" }, real),
            // A link into /usr says the same inside, and programs read what it says:
            // /bin tells that /usr is merged, /etc/localtime names the time zone.
            HostObject::Link { target, .. } if leads_into_usr(&path, target) => {
                self.make(Made::Link { path, target: target.clone() });
            }
            // Any other link would dangle: what it leads to takes its place.
            HostObject::Link { leads_to, .. } => self.show(destination, leads_to),
        }
    }

    fn bind(&mut self, mount_point: Made, source: &Path) {
        let destination = match &mount_point {
            Made::Dir { path, .. } | Made::File { path, .. } | Made::Link { path, .. } => path.clone(),
        };
        self.make(mount_point);
        self.plan.binds.push(Bind { source: source.to_owned(), destination });
    }
}

/// Whether the link's own words, without any other link's help, end below /usr.
fn leads_into_usr(link: &Path, target: &Path) -> bool {
    let mut reached = PathBuf::new();
    for component in link.parent().unwrap_or(Path::new("/")).join(target).components() {
        match component {
            Component::ParentDir => {
                reached.pop();
            }
            Component::Normal(name) => reached.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    reached.starts_with("usr")
}

#[cfg(test)]
mod tests;
