//! The lab: namespaces, a tmpfs, canaries of its own; then each attack, and its control.

use std::fs::{self, File, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::attacks::{ATTACKS, Attack, Way};
use super::case::{CANARY, Case, MARKER, WORDS, make};
use super::races;
use super::report::{Outcome, Report, Seen};
use crate::error::{Call, Context, Error, Result};
use crate::sys;

/// Where the host's owner has its policy.
const POLICIES: &str = "/etc/pinfold";
/// A key that nobody else uses in the lab's IPC namespace.
const SEGMENT: u32 = 0x7069_6e66;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The runtime; pinfold itself where none is named.
    pub runtime: Option<PathBuf>,
    /// These attacks alone.
    pub only: Vec<String>,
}

/// The lab.
#[derive(Debug)]
pub(super) struct Lab {
    dir: PathBuf,
    /// The program of the runtime, and the copy of it that is attacked.
    original: PathBuf,
    /// Open for as long as the lab is.
    _kept: (UnixListener, [OwnedFd; 2]),
}

/// Runs this program again in namespaces of its own, where [`inside`] goes on.
///
/// # Errors
/// unshare(2) and what it takes to start a program.
pub fn enter(arguments: &[&str]) -> Result<std::process::ExitStatus> {
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS;
    let own = std::env::current_exe().call("readlink").on("/proc/self/exe")?;
    nix::sched::unshare(flags).call("unshare").map_err(|error| error.hint("the lab needs root"))?;
    let dir = nix::unistd::mkdtemp("/tmp/pinfold-selftest-XXXXXX").call("mkdtemp")?;
    let status = Command::new(own).args(arguments).arg("--inside").arg(&dir).status().call("execve");
    // The lab's tmpfs went with its mount namespace.
    fs::remove_dir(&dir).call("rmdir").on(dir.display())?;
    status
}

/// The attacks, in the namespaces that [`enter`] made.
///
/// # Errors
/// Outside of them; what keeps the lab from being built.
pub fn inside(dir: &Path, options: &Options) -> Result<Report> {
    if std::process::id() != 1 {
        return Err(Error::usage("the lab is entered by `selftest escapes` alone").field("--inside"));
    }
    let lab = Lab::build(dir, options)?;
    let mut report = Report::new(lab.original.display().to_string(), lab.version());
    if let Some(unknown) =
        options.only.iter().find(|id| ATTACKS.iter().all(|attack| attack.id != id.as_str()))
    {
        let known: Vec<_> = ATTACKS.iter().map(|attack| attack.id).collect();
        let hint = format!("known are {}", known.join(", "));
        return Err(Error::usage(format!("{unknown:?} is no attack")).field("--only").hint(hint));
    }
    let asked = |attack: &&Attack| options.only.is_empty() || options.only.iter().any(|id| id == attack.id);
    for (number, attack) in ATTACKS.iter().enumerate().filter(|(_, attack)| asked(attack)) {
        let attacked = lab.carry_out(attack, number, false)?;
        let control = lab.carry_out(attack, number, true)?;
        report.add(attack, attacked, control);
    }
    Ok(report)
}

impl Lab {
    fn build(dir: &Path, options: &Options) -> Result<Self> {
        let own = std::env::current_exe().call("readlink").on("/proc/self/exe")?;
        let original = options.runtime.clone().unwrap_or_else(|| own.clone());
        // The process that waits stays in the mounts of the machine.
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).call("unshare")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None, Path::new("/"), None, private)?;
        mount(Some("proc"), Path::new("/proc"), Some("proc"), MsFlags::empty())?;
        mount(Some("lab"), dir, Some("tmpfs"), MsFlags::empty())?;
        // A policy of the host would refuse what the lab launches; what is attacked is the runtime.
        if fs::exists(POLICIES).call("stat").on(POLICIES)? {
            mount(Some("none"), Path::new(POLICIES), Some("tmpfs"), MsFlags::empty())?;
            // Others may write to a new tmpfs, and a policy's directory is root's.
            fs::set_permissions(POLICIES, Permissions::from_mode(0o755)).call("chmod").on(POLICIES)?;
        }
        for name in ["outside", "vol", "dev", "fake/sys/net/ipv4", "swap/source", "state"] {
            make(&dir.join(name))?;
        }
        write(&dir.join("outside/marker"), CANARY)?;
        let leaked = [leak(&dir.join("outside/marker"))?, leak(&dir.join("outside"))?];
        write(&dir.join(MARKER), WORDS)?;
        write(&dir.join("vol/file"), "")?;
        write(&dir.join("fake/sys/net/ipv4/ip_forward"), "0\n")?;
        symlink("/proc/sys/kernel/core_pattern", dir.join("dev/null")).call("symlink")?;
        let probe = dir.join("probe");
        fs::copy(&own, &probe).call("copy").on(probe.display())?;
        sys::attempt::make_segment(SEGMENT).call("shmget")?;
        let word = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = std::ffi::CString::new(word).map_err(|error| Error::internal(error.to_string()))?;
        // Without keyrings in the kernel nothing can leak.
        if let Err(errno) = sys::keyctl::join_named_keyring(&name)
            && errno != nix::errno::Errno::ENOSYS
        {
            return Err(Error::call("keyctl", errno));
        }
        let address = SocketAddr::from_abstract_name(word).call("bind")?;
        let listener = UnixListener::bind_addr(&address).call("bind")?;
        let lab = Self { dir: dir.to_owned(), original, _kept: (listener, leaked) };
        lab.renew_runtime()?;
        Ok(lab)
    }

    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn outside(&self) -> PathBuf {
        self.place("outside")
    }

    pub(super) fn runtime(&self) -> PathBuf {
        self.place("runtime")
    }

    pub(super) fn program(&self) -> PathBuf {
        self.place("program")
    }

    pub(super) fn original(&self) -> &Path {
        &self.original
    }

    fn word(&self) -> String {
        self.dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn version(&self) -> String {
        let output = Command::new(self.runtime()).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.unwrap_or_default().lines().next().unwrap_or("unknown").to_owned()
    }

    /// What is attacked is a copy, and so is the program of the host's that a control overwrites.
    fn renew_runtime(&self) -> Result<()> {
        renew(&self.original, &self.runtime())?;
        renew(&self.place("probe"), &self.program())
    }

    /// One attack, or its weakened control.
    fn carry_out(&self, attack: &Attack, number: usize, weakened: bool) -> Result<Seen> {
        let id = format!("{}-{number}{}", self.word(), if weakened { "w" } else { "a" });
        let program: Vec<String> = attack.program.iter().map(|word| self.fill(word)).collect();
        let program: Vec<&str> = program.iter().map(String::as_str).collect();
        let mut case = Case::new(self.place(&id), &self.place("probe"), &program)?;
        (attack.arm)(self, &mut case)?;
        if weakened {
            (attack.weaken)(self, &mut case)?;
        }
        case.write()?;
        let seen = races::carry_out(self, attack, &mut case, &id, weakened)?;
        let broken = self.broken(attack.way)?;
        self.mend(attack.way)?;
        fs::remove_dir_all(&case.bundle).call("rmdir").on(case.bundle.display())?;
        Ok(broken.unwrap_or(seen))
    }

    /// The lab's own words in a probe's arguments.
    fn fill(&self, word: &str) -> String {
        match word {
            "OUTSIDE" => self.outside().display().to_string(),
            "WORD" => self.word(),
            "SEGMENT" => SEGMENT.to_string(),
            "DISK" => disk(&self.place("node")),
            "DEVICE" => device(&self.place("node")),
            other => other.to_owned(),
        }
    }

    /// Whether a canary tells of an escape.
    fn broken(&self, way: Way) -> Result<Option<Seen>> {
        let mut signs = vec![];
        let names = fs::read_dir(self.outside()).call("getdents")?.flatten();
        let more = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let more: Vec<_> = more.filter(|name| name != "marker").collect();
        if !more.is_empty() {
            signs.push(format!("made outside: {}", more.join(" ")));
        }
        if read(&self.place("outside/marker"))? != CANARY {
            signs.push("the canary was written to".to_owned());
        }
        if read(&self.place("fake/sys/net/ipv4/ip_forward"))? != "0\n" {
            signs.push("a setting was written to a file of the attacker's".to_owned());
        }
        let same = || -> Result<bool> {
            Ok(fs::read(self.runtime()).call("read")? == fs::read(&self.original).call("read")?)
        };
        if way == Way::Overwrite && !same()? {
            signs.push("the runtime's program was changed".to_owned());
        }
        if way == Way::Overwrite
            && fs::read(self.program()).call("read")? != fs::read(self.place("probe")).call("read")?
        {
            signs.push("the program of a process that came in was changed".to_owned());
        }
        if fs::metadata(self.place("vol/file")).call("stat")?.uid() != 0 {
            signs.push("a file of the host has another owner".to_owned());
        }
        let escaped = |evidence| Seen { outcome: Outcome::Escaped, evidence };
        Ok((!signs.is_empty()).then(|| escaped(signs.join("; "))))
    }

    /// As it was before.
    fn mend(&self, way: Way) -> Result<()> {
        for entry in fs::read_dir(self.outside()).call("getdents")?.flatten() {
            let made = entry.path();
            let gone = match entry.file_type().call("getdents")?.is_dir() {
                true => fs::remove_dir_all(&made),
                false => fs::remove_file(&made),
            };
            gone.call("unlink").on(made.display())?;
        }
        write(&self.place("outside/marker"), CANARY)?;
        write(&self.place("fake/sys/net/ipv4/ip_forward"), "0\n")?;
        let file = self.place("vol/file");
        fs::remove_file(&file).call("unlink").on(file.display())?;
        write(&file, "")?;
        match way {
            Way::Overwrite => self.renew_runtime(),
            _ => Ok(()),
        }
    }

    /// The runtime with these words, its output in files of the lab.
    pub(super) fn call(&self, words: &[&str], log: &str) -> Result<Command> {
        self.call_with("state", words, log)
    }

    /// The same with another directory of states.
    pub(super) fn call_with(&self, state: &str, words: &[&str], log: &str) -> Result<Command> {
        let mut command = Command::new(self.runtime());
        command.arg("--root").arg(self.place(state)).args(words).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(self.log(log, "out")?).stderr(self.log(log, "err")?);
        Ok(command)
    }

    pub(super) fn log(&self, name: &str, end: &str) -> Result<File> {
        File::create(self.place(&format!("{name}.{end}"))).call("open")
    }
}

fn mount(source: Option<&str>, place: &Path, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    let none: Option<&str> = None;
    nix::mount::mount(source, place, kind, flags, none).call("mount").on(place.display())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).call("write").on(file.display())
}

fn renew(original: &Path, copy: &Path) -> Result<()> {
    match fs::remove_file(copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).call("unlink"),
        _ => {}
    }
    fs::copy(original, copy).call("copy").on(original.display()).map(drop)
}

pub(super) fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).call("read").on(file.display())
}

/// A descriptor of the host's that every runtime inherits: it is not close-on-exec. The file is the
/// first that is opened, so 3, and the directory 4.
fn leak(place: &Path) -> Result<OwnedFd> {
    let file = OwnedFd::from(File::open(place).call("open").on(place.display())?);
    let inherited = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(file.as_fd(), inherited).call("fcntl")?;
    Ok(file)
}

/// Numbers of the first disk (proc_partitions(5)); of none where not even the lab can open one.
fn disk(node: &Path) -> String {
    let text = fs::read_to_string("/proc/partitions").unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    });
    let first = lines.next().filter(|numbers| opens(node, SFlag::S_IFBLK, *numbers));
    first.map_or_else(String::new, |(major, minor)| format!("{major}:{minor}"))
}

/// A device that no container is given: fuse, loop-control, kmsg, mem (devices.txt).
fn device(node: &Path) -> String {
    let first =
        [(10, 229), (10, 237), (1, 11), (1, 1)].into_iter().find(|it| opens(node, SFlag::S_IFCHR, *it));
    first.map_or_else(String::new, |(major, minor)| format!("{major}:{minor}"))
}

fn opens(node: &Path, kind: SFlag, (major, minor): (u64, u64)) -> bool {
    let made = mknod(node, kind, Mode::S_IRUSR, makedev(major, minor)).is_ok();
    let opened = made && File::open(node).is_ok();
    let removed = !made || fs::remove_file(node).is_ok();
    opened && removed
}
