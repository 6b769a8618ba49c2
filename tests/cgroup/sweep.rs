//! Ends what a failed case has left behind, without the code that it tests: a fork bomb that nobody kills would
//! take the machine with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The groups that were left by the case that ran as `pid`; they are gone then.
pub fn sweep(pid: u32) -> Vec<PathBuf> {
    let name = format!("pinfold-test-{pid}");
    let roots = crate::group::mounts().into_iter().map(|root| Path::new(&root).join(&name));
    let left: Vec<PathBuf> = roots.filter(|group| group.is_dir()).collect();
    for _ in 0..100 {
        left.iter().for_each(|group| end(group));
        if !left.iter().any(|group| group.is_dir()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    left
}

/// Each step may fail, because the file or the process is not there (any more): the next round shows.
fn end(group: &Path) {
    for (file, value) in [("freezer.state", "THAWED"), ("cgroup.kill", "1")] {
        if group.join(file).is_file() {
            fs::write(group.join(file), value).ok();
        }
    }
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            end(&below.path());
        }
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
    fs::remove_dir(group).ok();
}
