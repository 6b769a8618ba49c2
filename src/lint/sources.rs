//! Paths of the host that another user can point elsewhere. What the host has there is looked
//! up by the caller of [`super::lint`]; a path that is not there is not judged.

use std::path::PathBuf;

use super::Severity::{Low, Medium};
use super::{Bench, Rule, rule};

pub(super) const RULES: &[&Rule] = &[&WORLD_WRITABLE, &LINK];

const WORLD_WRITABLE: Rule = rule(
    "source.world_writable",
    Medium,
    Medium,
    "everyone can put something else there",
    "keep sources in directories that their owner alone can write",
);
const LINK: Rule = rule(
    "source.link",
    Low,
    Low,
    "a symbolic link on the way",
    "name the place itself: a link that is changed between create and start leads elsewhere",
);

/// What the host has at a path of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// The field that names the path.
    pub field: String,
    /// The first symbolic link on the way.
    pub link: Option<PathBuf>,
    /// A directory on the way in which everyone can make and replace names.
    pub world_writable: Option<PathBuf>,
    /// It is a socket.
    pub is_socket: bool,
    /// How others than root can change the file, for programs that root runs.
    pub writable: Option<String>,
}

pub(super) fn sources(bench: &mut Bench<'_>) {
    for looked in bench.subject.looked {
        if let Some(link) = &looked.link {
            bench.find(&LINK, &looked.field, format!("{} is a symbolic link", link.display()));
        }
        if let Some(directory) = &looked.world_writable {
            let text = format!("everyone may write in {}", directory.display());
            bench.find(&WORLD_WRITABLE, &looked.field, text);
        }
    }
}
