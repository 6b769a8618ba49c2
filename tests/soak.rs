//! Promise: launches do not wear the machine out. Many at once start, run and end; many after
//! each other leave no process, mount, cgroup, file or memory behind.
//!
//! PINFOLD_TEST_COUNT multiplies: `make soak` runs 2,000 in sequence.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;

use serde_json::Value;
use support::{Bundle, Dir, Running, await_that, count, start};

/// Together on one machine.
const AT_ONCE: usize = 200;
/// As many command lines run side by side as there is room for.
const SIDE_BY_SIDE: usize = 20;

/// The same verb for all, in groups.
fn all(dir: &Dir, ids: &[String], line: impl Fn(&str) -> Vec<String>) {
    for group in ids.chunks(SIDE_BY_SIDE) {
        let running: Vec<_> = group
            .iter()
            .map(|id| start(&mut dir.command(&line(id).iter().map(String::as_str).collect::<Vec<_>>())))
            .collect();
        running.into_iter().map(Running::wait).for_each(|ran| {
            ran.ok();
        });
    }
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn two_hundred_containers_live_at_once() {
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/sleep", "100"]);
    let ids: Vec<_> = (0..AT_ONCE).map(|number| dir.id(&number.to_string())).collect();
    let statuses = || -> Vec<String> {
        let list: Value = serde_json::from_str(dir.pinfold(&["list", "--format", "json"]).ok()).unwrap();
        list.as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
    };
    all(&dir, &ids, |id| words(&["create", "--bundle", bundle.text(), id]));
    assert_eq!(statuses(), vec!["created"; AT_ONCE]);
    all(&dir, &ids, |id| words(&["start", id]));
    assert_eq!(statuses(), vec!["running"; AT_ONCE]);
    all(&dir, &ids[..SIDE_BY_SIDE], |id| words(&["exec", id, "/bin/true"]));
    all(&dir, &ids, |id| words(&["kill", id, "KILL"]));
    await_that("all have stopped", || statuses().iter().all(|status| status == "stopped"));
    all(&dir, &ids, |id| words(&["delete", id]));
    assert_eq!(statuses(), Vec::<String>::new());
    dir.assert_nothing_left();
}

/// What a leak would make grow, of this test alone or of the whole machine.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    mounts: usize,
    /// KiB that the kernel holds for itself and cannot give back at once.
    kernel: u64,
}

impl Sizes {
    fn now() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let of = |name: &str| {
            let line = meminfo.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        Self {
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
            kernel: of("SUnreclaim:") + of("Percpu:") + of("KernelStack:"),
        }
    }

    /// Other tests run beside this one, and the kernel frees cgroups with a delay; a namespace or
    /// a cgroup that stays costs more than 32 KiB.
    #[track_caller]
    fn assert_not_grown(self, launches: usize) {
        const NOISE_KIB: u64 = 128 << 10;
        let mut now = Self::now();
        for _ in 0..100 {
            if now.kernel < self.kernel + NOISE_KIB && now.mounts == self.mounts {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            now = Self::now();
        }
        assert_eq!(now.mounts, self.mounts, "mounts");
        let limit = self.kernel + NOISE_KIB + 32 * u64::try_from(launches).unwrap();
        assert!(now.kernel < limit, "KiB of the kernel: {} before, {} after", self.kernel, now.kernel);
    }
}

#[test]
fn launches_in_sequence_leave_nothing() {
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    let launches = 200 * count();
    let before = Sizes::now();
    for number in 0..launches {
        let id = dir.id(&number.to_string());
        // Each kind of life.
        match number % 4 {
            0 => {
                dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
                dir.pinfold(&["start", &id]).ok();
                dir.pinfold(&["delete", "--force", &id]).ok();
            }
            1 => {
                dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
                dir.pinfold(&["delete", &id]).ok();
            }
            _ => {
                bundle.run(&dir, &id).ok();
            }
        }
    }
    assert_eq!(fs::read_dir(dir.state_root()).unwrap().flatten().filter(is_container).count(), 0);
    before.assert_not_grown(launches);
    dir.assert_nothing_left();
}

fn is_container(entry: &fs::DirEntry) -> bool {
    !entry.file_name().to_string_lossy().starts_with('.')
}

#[test]
fn execs_in_sequence_leave_the_container_as_it_was() {
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/sleep", "1000"]);
    let id = dir.id("exec");
    dir.pinfold(&["run", "--detach", "--bundle", bundle.text(), &id]).ok();
    let state: Value = serde_json::from_str(dir.pinfold(&["state", &id]).ok()).unwrap();
    let proc = format!("/proc/{}", state["pid"]);
    let look = || {
        let descriptors = fs::read_dir(format!("{proc}/fd")).unwrap().count();
        let mounts = fs::read_to_string(format!("{proc}/mountinfo")).unwrap().lines().count();
        let cgroup = fs::read_to_string(format!("{proc}/cgroup")).unwrap();
        (descriptors, mounts, cgroup, dir.pinfold(&["ps", "--format", "json", &id]).ok().to_owned())
    };
    let before = look();
    for number in 0..100 * count() {
        let user = (number % 3).to_string();
        dir.pinfold(&["exec", "--user", &user, &id, "/bin/true"]).ok();
    }
    await_that("the container is as it was", || look() == before);
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}
