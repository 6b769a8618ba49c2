//! Which cgroup hierarchies there are, and what of them this process may use: as a launch
//! sees it.

use crate::cgroup::{Control, Hierarchies, Mode};
use crate::error::Error;

/// What is asked of each controller.
const CONTROLS: &[(Control, &str)] = &[
    (Control::Memory, "memory"),
    (Control::Pids, "pids"),
    (Control::Cpu, "cpu"),
    (Control::Cpuset, "cpuset"),
    (Control::Io, "io"),
    (Control::Hugetlb, "hugetlb"),
];

/// What is known of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroups {
    /// How they are mounted.
    pub mode: Mode,
    /// The controllers that can limit what this process starts.
    pub controllers: Vec<&'static str>,
    /// Whether this process may make cgroups.
    pub writable: bool,
    /// What keeps them from being read.
    pub unreadable: Option<String>,
}

/// Asks what a launch would ask.
pub(super) fn examine() -> Cgroups {
    match Hierarchies::open() {
        Ok(hierarchies) => {
            let writable = hierarchies.writable();
            let usable = CONTROLS.iter().filter(|(control, _)| writable && hierarchies.supports(*control));
            let controllers = usable.map(|(_, name)| *name).collect();
            Cgroups { mode: hierarchies.mode(), controllers, writable, unreadable: None }
        }
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &Error) -> Cgroups {
    Cgroups { mode: Mode::None, controllers: vec![], writable: false, unreadable: Some(error.to_string()) }
}
