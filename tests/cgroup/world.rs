//! What the machine's hierarchies look like to a case.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use pinfold::cgroup::{Hierarchies, Mode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// v1 controllers beside a unified hierarchy.
    Hybrid,
    /// cgroup v2 alone.
    Unified,
    /// v1 alone.
    Legacy,
}

impl World {
    pub const ALL: [Self; 3] = [Self::Hybrid, Self::Unified, Self::Legacy];

    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Unified => "unified",
            Self::Legacy => "legacy",
        }
    }

    fn mode(self) -> Mode {
        match self {
            Self::Hybrid => Mode::Hybrid,
            Self::Unified => Mode::Unified,
            Self::Legacy => Mode::Legacy,
        }
    }

    /// Makes this world, in a mount namespace of its own where the machine is another one; the reason where that
    /// cannot be.
    pub fn enter(self) -> Result<(), String> {
        let mode = Hierarchies::open().map_err(|error| error.to_string())?.mode();
        match (self, mode) {
            (world, mode) if world.mode() == mode => return Ok(()),
            (Self::Unified, Mode::Hybrid) => {
                private_mounts();
                umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH).unwrap();
                let none: Option<&str> = None;
                mount(Some("cgroup2"), "/sys/fs/cgroup", Some("cgroup2"), MsFlags::empty(), none).unwrap();
            }
            (Self::Legacy, Mode::Hybrid) => {
                private_mounts();
                for line in std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
                    if line.contains(" - cgroup2 ") {
                        umount2(line.split(' ').nth(4).unwrap(), MntFlags::MNT_DETACH).unwrap();
                    }
                }
            }
            _ => {
                return Err(format!("the machine is {mode:?}"));
            }
        }
        let seen = Hierarchies::open().map_err(|error| error.to_string())?.mode();
        assert_eq!(seen, self.mode());
        Ok(())
    }
}

fn private_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}
