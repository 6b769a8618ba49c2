//! Promise: no process of a container can write what pinfold is executed from, whatever it is
//! given to look at (CVE-2019-5736, and its kin: an entrypoint that is /proc/self/exe).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::{FcntlArg, fcntl};
use serde_json::json;
use support::{Bundle, Dir, PINFOLD, Ran, await_that, copy_executable, executable, run};

/// A copy of the program under attack, and a container that has every right that helps.
struct Attack {
    dir: Dir,
    copy: PathBuf,
    before: Vec<u8>,
    bundle: Bundle,
    id: String,
}

/// Opens the executable of the first process that is not the container's own, and keeps it
/// open until that process has ended: a file that is being executed cannot be written
/// (ETXTBSY), but a descriptor of it can be opened again later.
const ATTACKER: &str = "
    tries=0
    while [ $tries -lt 20000 ]; do
        tries=$((tries + 1))
        for exe in /proc/[0-9]*/exe; do
            case $(readlink $exe) in /bin/busybox | '') continue ;; esac
            (: <$exe) 2>/dev/null || continue
            # Without `command` a process that is gone by now would end the shell.
            command exec 3<$exe || continue
            echo held >/tmp/held
            while sleep 0.02; do
                if (echo broken >>/proc/$$/fd/3) 2>/tmp/error; then echo written >/tmp/result; exec sleep 60; fi
                grep -q busy /tmp/error || { mv /tmp/error /tmp/result; exec sleep 60; }
            done
        done
    done";

impl Attack {
    fn new() -> Self {
        let dir = Dir::new();
        let copy = dir.join("pinfold-copy");
        copy_executable(PINFOLD, &copy);
        let mut bundle = Bundle::script(&dir, "bundle", &format!("{ATTACKER}\nsleep 60"));
        std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/mv")).unwrap();
        bundle.edit(|config| {
            config["root"]["readonly"] = json!(false);
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] =
                    json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_KILL"]);
            }
        });
        let (before, id) = (fs::read(&copy).unwrap(), dir.id("attack"));
        let attack = Self { dir, copy, before, bundle, id };
        attack.pinfold(&["create", "--bundle", attack.bundle.text(), &attack.id]).ok();
        attack.pinfold(&["start", &attack.id]).ok();
        attack
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.copy);
        command.arg("--root").arg(self.dir.state_root()).args(args).current_dir(self.dir.path());
        command
    }

    fn pinfold(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    fn said(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.bundle.rootfs().join("tmp").join(name)).ok().filter(|text| !text.is_empty())
    }

    #[track_caller]
    fn holds(&self) {
        await_that("the attacker holds pinfold's executable", || self.said("held").is_some());
    }

    /// The end of what it holds, and of the attack.
    #[track_caller]
    fn fails(self) {
        await_that("the attacker tries to write", || self.said("result").is_some());
        let result = self.said("result").unwrap();
        assert!(result.contains("Read-only file system"), "{result}");
        self.ends();
    }

    #[track_caller]
    fn ends(self) {
        self.pinfold(&["delete", "--force", &self.id]).ok();
        assert!(fs::read(&self.copy).unwrap() == self.before, "the binary was changed");
        self.dir.assert_nothing_left();
    }
}

/// The first process of another container, which waits for `start` in a shared pid namespace.
#[test]
fn the_child_that_waits_for_start_gives_nothing_away() {
    let attack = Attack::new();
    let path = format!("/proc/{}/ns/pid", attack.dir.pid_of(&attack.id));
    let mut waiting = Bundle::new(&attack.dir, "waiting", &["/bin/true"]);
    waiting.edit(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.iter_mut().find(|one| one["type"] == "pid").unwrap()["path"] = json!(path);
    });
    let id = attack.dir.id("waiting");
    attack.pinfold(&["create", "--bundle", waiting.text(), &id]).ok();
    attack.holds();
    attack.pinfold(&["delete", "--force", &id]).ok();
    attack.fails();
}

/// The program of `exec` is pinfold itself: nothing hides it there.
#[test]
fn exec_of_proc_self_exe_gives_nothing_away() {
    let attack = Attack::new();
    // More than the pipe takes, so that it stays until it is read.
    let (mut reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = attack.command(&["exec", &attack.id, "/proc/self/exe", "completion", "bash"]);
    let mut running = command.stdout(writer).spawn().unwrap();
    // The command keeps the writing end.
    drop(command);
    attack.holds();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(running.wait().unwrap().success() && text.len() > 4096, "{} bytes", text.len());
    attack.fails();
}

/// `exec` while it joins: it hides itself, and what could be seen of it is read-only.
#[test]
fn exec_on_its_way_in_gives_nothing_away() {
    let attack = Attack::new();
    for _ in 0..10 * support::count() {
        attack.pinfold(&["exec", &attack.id, "/bin/true"]).ok();
    }
    attack.ends();
}

#[test]
fn an_entrypoint_that_is_proc_self_exe_gives_nothing_away() {
    let attack = Attack::new();
    let mut bundle = Bundle::new(&attack.dir, "entrypoint", &["/bin/itself"]);
    let itself = bundle.rootfs().join("bin/itself");
    // The interpreter writes to what it is executed from.
    executable(&itself, "#!/proc/self/exe\n");
    for args in [json!(["/bin/itself"]), json!(["/proc/self/exe", "--version"])] {
        bundle.edit(|config| config["process"]["args"] = args);
        attack.pinfold(&["run", "--bundle", bundle.text(), &attack.dir.id("entry")]);
    }
    attack.ends();
}
