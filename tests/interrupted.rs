//! Promise: a launch that is held up while it is set up ends when somebody asks for it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use support::{Bundle, Dir, start};

/// A cgroup of the test's own whose processes do not run.
struct Frozen {
    name: String,
    file: PathBuf,
    thaw: &'static str,
}

impl Frozen {
    fn new(dir: &Dir) -> Self {
        let name = dir.id("frozen");
        let v1 = Path::new("/sys/fs/cgroup/freezer");
        let (parent, file, freeze, thaw) = match v1.is_dir() {
            true => (v1, "freezer.state", "FROZEN", "THAWED"),
            false => (Path::new("/sys/fs/cgroup"), "cgroup.freeze", "1", "0"),
        };
        fs::create_dir(parent.join(&name)).unwrap();
        let file = parent.join(&name).join(file);
        fs::write(&file, freeze).unwrap();
        Self { name, file, thaw }
    }

    fn thaw(&self) {
        fs::write(&self.file, self.thaw).unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw();
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let places = hierarchies.map(|entry| entry.path().join(&self.name));
        for place in places.chain([Path::new("/sys/fs/cgroup").join(&self.name)]) {
            fs::remove_dir(place).ok();
        }
    }
}

#[test]
fn a_signal_ends_a_launch_whose_child_cannot_go_on() {
    let dir = Dir::new();
    let frozen = Frozen::new(&dir);
    let mut bundle = Bundle::script(&dir, "bundle", "echo ran");
    let cgroup = format!("/{}/container", frozen.name);
    bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(cgroup));
    let running = start(&mut dir.command(&["run", "--bundle", bundle.text(), &dir.id("held-up")]));
    std::thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(i32::try_from(running.id()).unwrap()), Signal::SIGTERM).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    frozen.thaw();
    let ran = running.wait();
    assert_eq!((ran.code(), ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("ended by signal 15 before the program ran"), "{ran:?}");
    drop(frozen);
    dir.assert_nothing_left();
}

#[test]
fn what_one_launch_left_for_ever_does_not_hold_up_the_next() {
    let dir = Dir::new();
    let left = dir.mkdir("state/left");
    for private in ["state", "state/left"] {
        fs::set_permissions(dir.join(private), fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::write(left.join("not-pinfolds"), "").unwrap();
    let ran = dir.pinfold(&["sandbox", "--", "echo", "ran"]);
    assert_eq!(ran.ok(), "ran\n");
    let gc = dir.pinfold(&["gc"]);
    assert_eq!(gc.code(), 1, "{gc:?}");
    assert!(gc.err.contains("it holds files that pinfold did not make"), "{gc:?}");
    fs::remove_dir_all(left).unwrap();
}
