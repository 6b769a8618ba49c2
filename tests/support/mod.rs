//! What the promises' tests share: the built binary under a deadline, private directories,
//! bundles with a static busybox, and the search for what a launch left behind.

// The lints' exceptions for tests do not reach shared functions, and no test uses all of them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub mod programs;

/// The binary under test.
pub const PINFOLD: &str = env!("CARGO_BIN_EXE_pinfold");
/// No single launch of these tests takes longer, even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);
const BUSYBOX: &str = "/usr/bin/busybox";

/// How often everything is done: `PINFOLD_TEST_COUNT`, by default once.
pub fn count() -> usize {
    std::env::var("PINFOLD_TEST_COUNT").map_or(1, |text| text.parse().expect("PINFOLD_TEST_COUNT"))
}

/// These tests need root: they must not pass by doing nothing.
pub fn need_root() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: run it as root, or in the VM (make vm)");
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The exit code; a signal is a failure of the test.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by signal {:?}: {self:?}", self.status.signal()))
    }

    /// Its stdout, if it ended well.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code(), 0, "{self:?}");
        &self.out
    }
}

/// A started program with its output in files: a descendant that keeps a pipe open can
/// then not hold the test up.
pub struct Running {
    child: Child,
    out: File,
    err: File,
    line: String,
}

/// Starts a program in a process group of its own.
pub fn start(command: &mut Command) -> Running {
    let (out, err) = (unnamed(), unnamed());
    command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap()).process_group(0);
    let line = format!("{command:?}");
    let child = command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    Running { child, out, err, line }
}

/// An executable file. Another process writes it: a descriptor of this one's is in every child that another
/// thread starts meanwhile, until that executes, and execve(2) of a file that is open for writing is ETXTBSY.
#[track_caller]
pub fn executable(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let mut from = unnamed();
    from.write_all(content.as_ref()).unwrap();
    from.rewind().unwrap();
    let mut command = Command::new("sh");
    command.args(["-euc", "cat >\"$1\"; chmod 755 \"$1\"", "sh"]).arg(path.as_ref()).stdin(from);
    assert!(command.status().unwrap().success(), "{}", path.as_ref().display());
}

/// A copy of a program, by another process as well.
#[track_caller]
pub fn copy_executable(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let status = Command::new("cp").arg(from.as_ref()).arg(to.as_ref()).status().unwrap();
    assert!(status.success(), "{}", to.as_ref().display());
}

fn unnamed() -> File {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE).open(std::env::temp_dir()).unwrap()
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and reaped.
    pub fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends, however that is.
    pub fn end(mut self) {
        self.child.wait().unwrap();
    }

    /// Waits until it ends; nothing if it had to be killed at the deadline.
    pub fn wait_or_kill(mut self) -> Option<Ran> {
        let until = Instant::now() + DEADLINE;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                self.kill_9();
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(self.wait())
    }

    /// Waits until it ends; at the deadline its process group is killed and the test fails.
    #[track_caller]
    pub fn wait(mut self) -> Ran {
        let until = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
                nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).ok();
                self.child.wait().unwrap();
                let (out, err) = (text(&mut self.out), text(&mut self.err));
                panic!("still running after {DEADLINE:?}: {}\nstdout: {out}\nstderr: {err}", self.line);
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        Ran { status, out: text(&mut self.out), err: text(&mut self.err) }
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = vec![];
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a program under the deadline.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    start(command).wait()
}

/// Runs a shell script in a mount namespace of its own, which nothing leaves.
#[track_caller]
pub fn in_own_mounts(dir: &Dir, script: &str) -> Ran {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", script]).current_dir(dir.path());
    run(command.env("PINFOLD", PINFOLD).env("ROOT", dir.state_root()))
}

/// Waits until something holds.
#[track_caller]
pub fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < until, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A private directory whose name is a marker that nothing else on the machine has. It
/// holds the state root, so no test sees another's containers.
pub struct Dir {
    path: PathBuf,
    name: String,
}

impl Dir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        need_root();
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pinfold-test-{}-{serial}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { path, name }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A path as an argument.
    pub fn text(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    pub fn state_root(&self) -> PathBuf {
        self.join("state")
    }

    /// A container id that is also the name of its cgroup.
    pub fn id(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn mkdir(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// `pinfold --root PRIVATE ARGS`, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PINFOLD);
        command.current_dir(&self.path).arg("--root").arg(self.state_root()).args(args);
        command
    }

    #[track_caller]
    pub fn pinfold(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// The pid of a container that lives.
    #[track_caller]
    pub fn pid_of(&self, id: &str) -> i32 {
        let state: Value = serde_json::from_str(self.pinfold(&["state", id]).ok()).unwrap();
        let pid = i32::try_from(state["pid"].as_i64().unwrap()).unwrap();
        // A stopped one has 0, which to kill(2) is the test itself.
        assert!(pid > 1, "not alive: {state}");
        pid
    }

    /// `pinfold sandbox --report FILE ARGS` with the report that it wrote.
    #[track_caller]
    pub fn sandbox(&self, args: &[&str]) -> (Ran, Value) {
        let report = self.text("report.json");
        fs::remove_file(&report).ok();
        let mut all = vec!["sandbox", "--report", &report];
        all.extend_from_slice(args);
        let ran = self.pinfold(&all);
        let written = fs::read(&report).unwrap_or_else(|error| panic!("no report ({error}): {ran:?}"));
        (ran, serde_json::from_slice(&written).unwrap())
    }

    /// Nothing of this test is left: no process that names its directory, no container, no
    /// cgroup with its name, no mount below it.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        if let Some(left) = self.what_is_left() {
            panic!("left behind: {left}");
        }
    }

    /// The same as an answer.
    pub fn what_is_left(&self) -> Option<String> {
        stays(|| self.left())
    }

    /// Only the processes.
    pub fn processes_left(&self) -> Option<String> {
        stays(|| processes_naming(&self.name))
    }

    fn left(&self) -> Vec<String> {
        let mut left = processes_naming(&self.name);
        left.extend(cgroups(Path::new("/sys/fs/cgroup"), 4, &|name| name.contains(&self.name)));
        left.extend(containers(&self.state_root()));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(&self.name)).map(str::to_owned));
        left
    }
}

/// What is still there when the kernel has had its time: it removes a killed tree a moment after the last wait.
fn stays(look: impl Fn() -> Vec<String>) -> Option<String> {
    let mut left = vec![];
    for _ in 0..200 {
        left = look();
        if left.is_empty() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(format!("{left:#?}"))
}

impl Drop for Dir {
    fn drop(&mut self) {
        for id in containers(&self.state_root()) {
            if let Some(id) = Path::new(&id).file_name().and_then(|name| name.to_str()) {
                self.command(&["delete", "--force", id]).stderr(Stdio::null()).status().ok();
            }
        }
        fs::remove_dir_all(&self.path).ok();
    }
}

/// Containers have a state.json; the root itself also holds locks.
fn containers(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let is_container =
        |path: &PathBuf| path.is_dir() && path.file_name().is_some_and(|name| !is_reserved(name));
    entries.map(|entry| entry.path()).filter(is_container).map(|path| path.display().to_string()).collect()
}

fn is_reserved(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Command lines of the processes, other than this one, that contain `marker`.
pub fn processes_naming(marker: &str) -> Vec<String> {
    let numbers = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let of = |path: PathBuf| {
        let own = path.file_name()?.to_str()? == std::process::id().to_string();
        let line = fs::read(path.join("cmdline")).ok().filter(|_| !own)?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(marker).then(|| format!("process {}: {line}", path.display()))
    };
    numbers.filter_map(of).collect()
}

/// Cgroup directories, to a depth, whose name is wanted.
fn cgroups(below: &Path, depth: u32, wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if wanted(&entry.file_name().to_string_lossy()) {
            found.push(entry.path().display().to_string());
        } else if depth > 1 {
            found.extend(cgroups(&entry.path(), depth - 1, wanted));
        }
    }
    found
}

/// The cgroups of sandboxes, whose names are drawn at random.
pub struct SandboxCgroups(BTreeSet<String>);

impl SandboxCgroups {
    pub fn now() -> Self {
        let found = cgroups(Path::new("/sys/fs/cgroup"), 4, &|name| name.starts_with("sandbox-"));
        Self(found.into_iter().collect())
    }

    /// No cgroup was added that has no process in it and stays. A sandbox that another test
    /// runs just now has processes, or goes away.
    #[track_caller]
    pub fn assert_none_added(&self) {
        let mut added: BTreeSet<_> = Self::now().0.difference(&self.0).cloned().collect();
        for _ in 0..300 {
            let deserted = |path: &String| {
                fs::read_to_string(Path::new(path).join("cgroup.procs")).is_ok_and(|procs| procs.is_empty())
            };
            added.retain(deserted);
            if added.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("cgroups left behind: {added:#?}");
    }
}

/// A bundle whose root holds a static busybox.
pub struct Bundle {
    pub path: PathBuf,
    pub config: Value,
}

const APPLETS: &str = "cat chmod cp dd env false grep head hostname id kill ln ls mkdir mknod mount ps \
    pwd readlink rm sh sleep stat tail touch true umount wc";

impl Bundle {
    /// `pinfold spec`, without a terminal, in DIR/NAME.
    #[track_caller]
    pub fn new(dir: &Dir, name: &str, args: &[&str]) -> Self {
        let path = dir.mkdir(name);
        let rootfs = path.join("rootfs");
        for directory in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs::create_dir_all(rootfs.join(directory)).unwrap();
        }
        fs::metadata(BUSYBOX).expect("busybox-static is needed (apt-get install busybox-static)");
        copy_executable(BUSYBOX, rootfs.join("bin/busybox"));
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        dir.pinfold(&["spec", "--bundle", path.to_str().unwrap()]).ok();
        let text = fs::read(path.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(args);
        let bundle = Self { path, config };
        bundle.save();
        bundle
    }

    /// One that runs a script.
    #[track_caller]
    pub fn script(dir: &Dir, name: &str, script: &str) -> Self {
        Self::new(dir, name, &["/bin/sh", "-c", script])
    }

    pub fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// Changes the configuration on disk.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) -> &Self {
        change(&mut self.config);
        self.save();
        self
    }

    pub fn mount(&mut self, mount: Value) {
        self.edit(|config| config["mounts"].as_array_mut().unwrap().push(mount));
    }

    /// Adds namespaces of its own that `spec` leaves out.
    pub fn new_namespaces(&mut self, types: &[&str]) {
        self.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            for name in
                types.iter().filter(|name| !list.iter().any(|one| one["type"] == **name)).collect::<Vec<_>>()
            {
                list.push(json!({"type": name}));
            }
        });
    }

    fn save(&self) {
        fs::write(self.path.join("config.json"), serde_json::to_vec_pretty(&self.config).unwrap()).unwrap();
    }

    pub fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// `pinfold run` of it.
    #[track_caller]
    pub fn run(&self, dir: &Dir, id: &str) -> Ran {
        dir.pinfold(&["run", "--bundle", self.text(), id])
    }
}
