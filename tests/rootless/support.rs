//! A place of one test's own, and pinfold started there by a real user without privilege.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nobody's id: not in /etc/passwd, without subordinate ids.
pub const UID: u32 = 12345;
/// A launch that takes longer hangs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A directory with a copy of the program that every user can reach, and a directory of the
/// user's own in it.
pub struct Place {
    dir: PathBuf,
}

/// A copy of a program. Another process writes it: a descriptor of this one's is in every child that another
/// thread starts meanwhile, and execve(2) of a file that is open for writing is ETXTBSY.
pub fn copy_executable(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success(), "{}", to.display());
}

impl Place {
    pub fn new(name: &str) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests drop to another user: run them as root");
        let dir = std::env::temp_dir().join(format!("pinfold-rootless-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self { dir };
        let (from, to) = (Path::new(env!("CARGO_BIN_EXE_pinfold")), place.program());
        if fs::hard_link(from, &to).is_err() {
            copy_executable(from, &to);
        }
        for name in ["own", "run"] {
            fs::create_dir(place.path(name)).unwrap();
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o700)).unwrap();
            place.give(name);
        }
        place
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    pub fn program(&self) -> PathBuf {
        self.path("pinfold")
    }

    /// Gives something in this place to the user.
    pub fn give(&self, name: impl AsRef<Path>) {
        chown(self.path(name), Some(UID), Some(UID)).unwrap();
    }

    /// A directory of the user's, for a bind.
    pub fn own_dir(&self, name: &str) -> PathBuf {
        let path = self.path("own").join(name);
        fs::create_dir(&path).unwrap();
        self.give(&path);
        path
    }

    /// `pinfold ARGS` as the user, whose runtime directory is its own.
    pub fn pinfold<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.as_user(self.program());
        command.args(args);
        command
    }

    /// Any program as the user: the standard library drops all supplementary groups with it.
    pub fn as_user(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.bare(program);
        command.uid(UID).gid(UID);
        command
    }

    /// A shell script as root, in which `$PINFOLD` is the program and `$USER_DO` starts what
    /// follows as the user.
    pub fn root_script(&self, prefix: &[&str], script: &str) -> Command {
        let words = [prefix, &["sh", "-euc", script]].concat();
        let mut command = self.bare(words[0]);
        command
            .args(&words[1..])
            .env("USER_DO", format!("setpriv --reuid {UID} --regid {UID} --clear-groups --"));
        command
    }

    fn bare(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path("own")).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("XDG_RUNTIME_DIR", self.path("run")).env("PINFOLD", self.program());
        command.env("PLACE", &self.dir).stdin(Stdio::null());
        command
    }

    /// The report of a sandbox that ran with `--report` [`Place::report_file`].
    pub fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.report_file()).unwrap()).unwrap()
    }

    pub fn report_file(&self) -> PathBuf {
        self.path("own").join("report.json")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// How a program ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs it to its end, at most for [`LIMIT`].
pub fn run(mut command: Command) -> Ran {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let watched = done.clone();
    let watch = std::thread::spawn(move || {
        let end = Instant::now() + LIMIT;
        while !watched.load(std::sync::atomic::Ordering::SeqCst) {
            if Instant::now() > end {
                nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    watch.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Ran {
    /// It ended with this code; otherwise everything that it said is shown.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// stderr has all these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in\n{}", self.err);
        }
        self
    }
}

/// The pids of all processes with this word in their command line.
pub fn processes_with(word: &str) -> Vec<u32> {
    let is_one = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|argument| argument == word)
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_one).collect()
}

/// Whether it becomes true within a few seconds.
pub fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    is_so()
}

/// What launches left in a state directory: not the lock that all of them share.
pub fn left_in(state: impl AsRef<Path>) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter(|name| name != "@gate").collect()
}
