//! How the paths of a launch may be resolved: what the policy's roots leave to the
//! resolver. Without a policy every path is resolved as it is named.

use std::path::PathBuf;

/// The way to one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Way {
    /// As it is named.
    #[default]
    AsNamed,
    /// Beneath a place of the host, through no link at all.
    Beneath {
        /// The place, absolute.
        place: PathBuf,
        /// The rest of the path; empty for the place itself.
        rest: PathBuf,
    },
    /// Nowhere: no grant covers it, and it is not opened.
    Withheld,
}

/// The ways to the objects of a Draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// A policy judges: what it needs to know of the objects is found out.
    pub judged: bool,
    /// What cannot be reached by its way is reached as it is named: the verdict is only told.
    pub audit: bool,
    /// To the root directory.
    pub root: Way,
    /// To the source of each mount.
    pub binds: Vec<Way>,
    /// To each namespace that is joined.
    pub joins: Vec<Way>,
    /// Whether each hook's path is granted, so that its file is read.
    pub hooks: Vec<bool>,
}
