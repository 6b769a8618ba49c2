//! A group and its processes, gone when the case is over.

use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use pinfold::cgroup::{Amount, Cgroup, CgroupPath, Hierarchies, Limits};

pub const MIB: u64 = 1 << 20;

pub fn path(name: &str) -> CgroupPath {
    CgroupPath::parse(&format!("/pinfold-test-{}{name}", std::process::id())).unwrap()
}

pub struct Group(pub Cgroup);

impl Group {
    pub fn new(hierarchies: &Hierarchies, name: &str, limits: &Limits) -> Self {
        Self(Cgroup::create(hierarchies, &path(name), limits).unwrap())
    }

    /// A process of that role, attached and begun.
    pub fn start(&self, role: &[&str]) -> Process {
        let mut process = Process::start(role);
        self.attach(process.pid()).unwrap();
        process.go();
        process
    }
}

impl Deref for Group {
    type Target = Cgroup;
    fn deref(&self) -> &Cgroup {
        &self.0
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let ended = self.0.thaw().and_then(|()| self.0.kill()).and_then(|()| self.0.remove());
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

pub struct Process {
    child: Child,
    stdin: ChildStdin,
    pub stdout: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(role: &[&str]) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--child").args(role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    pub fn go(&mut self) {
        self.say("");
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line()
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

/// A process outlives the case only if its group does, which is what Group's end checks.
impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.child.kill().unwrap();
            self.wait();
        }
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not happen within 10 s");
}

pub fn of(value: u64) -> Option<Amount> {
    Some(Amount::Value(value))
}

pub fn none() -> Limits {
    Limits::default()
}

pub fn killed(process: &mut Process) {
    assert_eq!(process.wait().signal(), Some(nix::libc::SIGKILL));
}

/// The mount points of what a group is made in.
pub fn mounts() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cgroups = text.lines().filter(|line| line.contains(" - cgroup2 ") || line.contains(" - cgroup "));
    cgroups.map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect()
}
