//! Starting the built binary, always with a deadline, and looking for what it leaves behind.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// The rule against threads is for the process that clones the child.
#![allow(clippy::disallowed_methods)]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that one launch may take; on a busy machine a launch is slow, never this slow.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// The longest that a killed tree may take to disappear.
pub const GONE_WITHIN: Duration = Duration::from_secs(2);

/// These tests need ids, cgroups and mounts of their own.
pub fn require_root() {
    assert!(nix::unistd::geteuid().is_root(), "this test starts sandboxes as root: run it as root");
}

/// `base`, times PINFOLD_TEST_COUNT.
pub fn count(base: u32) -> u32 {
    let factor =
        std::env::var("PINFOLD_TEST_COUNT").map_or(1, |text| text.parse().expect("PINFOLD_TEST_COUNT"));
    base * factor
}

/// A word that no other process of the machine has in its command line or environment.
pub fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("pinfold-mark-{}-{}-end", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The processes that carry the mark, whoever they are.
pub fn alive(mark: &str) -> Vec<i32> {
    let carries = |pid: &i32| {
        ["cmdline", "environ"].iter().any(|file| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
        })
    };
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(carries).collect()
}

/// Those of them that are in another pid namespace than the test.
pub fn inside(mark: &str) -> Vec<i32> {
    let own = fs::read_link("/proc/self/ns/pid").unwrap();
    let mut found = alive(mark);
    found.retain(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|theirs| theirs != own));
    found
}

/// Waits until `ready` holds; false when it does not in time.
pub fn within(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Fails when anything with the mark lives on; what does is ended first.
#[track_caller]
pub fn assert_gone(mark: &str, when: &str) {
    if within(GONE_WITHIN, || alive(mark).is_empty()) {
        return;
    }
    let left = alive(mark);
    let names: Vec<String> = left.iter().map(|pid| comm(*pid)).collect();
    for pid in &left {
        kill(*pid, libc::SIGKILL);
    }
    panic!("{when}: still alive: {left:?} {names:?}");
}

fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// kill(2) of one process that the test or its sandbox started.
pub fn kill(pid: i32, signal: i32) {
    assert!(pid > 1);
    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).ok();
}

/// The pid of a child.
pub fn pid_of(child: &Child) -> i32 {
    child.id().cast_signed()
}

/// The cgroup directories, in all hierarchies, that bear one of the names.
pub fn cgroups_named(names: &[String]) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut todo = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = todo.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.filter_map(Result::ok) {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name();
            // Under a delegated cgroup the name has a prefix.
            if names.iter().any(|wanted| name.to_string_lossy().ends_with(wanted.as_str())) {
                found.push(entry.path());
            }
            todo.push(entry.path());
        }
    }
    found
}

/// The same numbers in every run, or others by PINFOLD_TEST_SEED.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let seed =
            std::env::var("PINFOLD_TEST_SEED").map_or(0x9e37_79b9_7f4a_7c15, |text| text.parse().unwrap());
        Self(seed | 1)
    }

    /// Below `bound`: xorshift64*.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }
}

/// How a command ended.
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The report; null where there is none.
    pub report: Value,
    pub wall: Duration,
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?} after {:?}", self.status, self.wall)?;
        writeln!(f, "stdout: {}\nstderr: {}", self.stdout, self.stderr)?;
        ["outcome", "error", "evidence"]
            .iter()
            .try_for_each(|part| writeln!(f, "{part}: {}", self.report[part]))
    }
}

impl Ran {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn kind(&self) -> &str {
        self.report["outcome"]["kind"].as_str().unwrap_or_default()
    }

    /// Code and kind at once; everything else is in the message.
    #[track_caller]
    pub fn expect(&self, code: i32, kind: &str) -> &Self {
        assert!(self.code() == Some(code) && self.kind() == kind, "wanted {code} {kind}: {self:#?}");
        self
    }

    /// The program ran and did what it should.
    #[track_caller]
    pub fn expect_success(&self) -> &Self {
        self.expect(0, "exited")
    }
}

/// A fresh directory with the state root in it, removed at the end.
pub struct Place {
    pub path: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        require_root();
        let path = std::env::temp_dir().join(mark());
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    pub fn root(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The ids of the launches that have an entry.
    pub fn entries(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root()) else { return vec![] };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// pinfold with this state root.
    pub fn pinfold<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
        command.arg("--root").arg(self.root()).args(args).current_dir(&self.path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `pinfold sandbox`, with a report of its own.
    pub fn sandbox(&self, options: &[&str], program: &[&str]) -> Command {
        let mut command = self.pinfold(&["sandbox", "--report"]);
        command.arg(self.path.join(mark() + ".report")).args(options).arg("--").args(program);
        command
    }

    /// A shell script in a sandbox, to its end.
    pub fn script(&self, options: &[&str], script: &str) -> Ran {
        self.finish(self.sandbox(options, &["/bin/sh", "-c", script]))
    }

    /// A Python script in a sandbox, to its end.
    pub fn python(&self, options: &[&str], script: &str) -> Ran {
        self.finish(self.sandbox(options, &["/usr/bin/python3", "-I", "-S", "-c", script]))
    }

    pub fn finish(&self, command: Command) -> Ran {
        let running = self.start(command);
        self.wait(running)
    }

    /// Starts it with nothing on stdin unless the command says otherwise.
    pub fn start(&self, mut command: Command) -> Running {
        let after = command.get_args().skip_while(|word| *word != "--report").nth(1);
        let report = after.map(PathBuf::from);
        Running { child: command.spawn().unwrap(), started: Instant::now(), report }
    }

    /// Waits for it, and for the end of its output.
    #[track_caller]
    pub fn wait(&self, mut running: Running) -> Ran {
        let stdout = collect(running.child.stdout.take());
        let stderr = collect(running.child.stderr.take());
        let mut status = None;
        let ended = within(DEADLINE, || {
            status = running.child.try_wait().unwrap();
            status.is_some() && stdout.is_finished() && stderr.is_finished()
        });
        if !ended {
            running.child.kill().ok();
            running.child.wait().ok();
            panic!("not over after {DEADLINE:?}: status {status:?}");
        }
        Ran {
            status: status.unwrap_or_else(|| ExitStatus::from_raw(0)),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
            report: running.report(),
            wall: running.started.elapsed(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// A command under way.
pub struct Running {
    pub child: Child,
    started: Instant,
    report: Option<PathBuf>,
}

impl Running {
    /// Null where there is none.
    pub fn report(&self) -> Value {
        let text = self.report.as_ref().and_then(|path| fs::read(path).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub fn pid(&self) -> i32 {
        pid_of(&self.child)
    }

    /// Gives it this on stdin, and its end.
    pub fn feed(&mut self, text: &str) {
        self.child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// kill -9, and reaped.
    pub fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = vec![];
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).unwrap();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs in the child before it becomes pinfold: only calls that are safe after fork(2).
pub fn before_exec(command: &mut Command, act: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the closures of these tests call the kernel and touch nothing that is shared.
    #[expect(unsafe_code, reason = "the caller's hostile state can only be made between fork and exec")]
    unsafe {
        command.pre_exec(act);
    }
}

/// An OCI bundle whose root has the host's /usr, and `args` as its program.
pub fn bundle(place: &Place, args: &[&str]) -> PathBuf {
    let bundle = place.path.join("bundle");
    let rootfs = bundle.join("rootfs");
    for directory in ["usr", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(rootfs.join(directory)).unwrap();
    }
    for link in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(Path::new("usr").join(link), rootfs.join(link)).unwrap();
    }
    let made = place.finish(place.pinfold(&["spec", "--bundle", bundle.to_str().unwrap()]));
    assert_eq!(made.code(), Some(0), "{made:?}");
    let config = bundle.join("config.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    document["process"]["terminal"] = false.into();
    document["process"]["args"] = args.into();
    let usr = serde_json::json!({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]});
    document["mounts"].as_array_mut().unwrap().push(usr);
    fs::write(&config, document.to_string()).unwrap();
    bundle
}
