//! What runs inside the container: one attempt, and a line on stdout that begins with `escaped: `,
//! `held: ` or, where the kernel has no such thing, `absent: `. Without the marker of the lab at its root it does nothing.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::case::{CANARY, FORGED, MARKER, WORDS};
use super::{terminals, watch};
use crate::sys;
use crate::sys::attempt::{Attempt, attempt};

/// What an attempt came to.
pub(super) type Found = std::result::Result<String, String>;

/// Runs the probe of this name.
pub fn run(name: &str, args: &[String]) -> String {
    let place = match place(name, args) {
        Some(place) => place,
        None => return "refused: outside of the lab".to_owned(),
    };
    let words = fs::read_to_string(Path::new(place).join(MARKER)).unwrap_or_default();
    if words != WORDS {
        return "refused: this is no container of the lab".to_owned();
    }
    let arg = args.first().map(String::as_str).unwrap_or_default();
    let found = match name {
        "write" => writable(args),
        "read" => readable(args),
        "calls" => calls(arg),
        "node" => device(arg, args.get(1).map(String::as_str).unwrap_or_default()),
        "setuid" => setuid(),
        "euid" => euid(),
        "sees" => sees(arg),
        "connects" => connects(arg),
        "fds" => descriptors(),
        "climbs" => climbs(arg),
        "touch" => touch(arg),
        "forks" => forks(),
        "eats" => eats(),
        "fills" => fills(arg),
        "inheritable" => inheritable(),
        "masked" => masked(args),
        "overwrite" => watch::overwrite(),
        "borrow" => watch::borrow(arg),
        "signals" => watch::signals(),
        "inodes" => inodes(arg),
        "console" => console(),
        "pushes" => pushes(),
        "stdin" => stdin(),
        "chown" => chown(arg),
        "rw" => writable_cgroups(arg),
        "forge" => forge(arg),
        "launched" => Ok("it was launched".to_owned()),
        "keys" => keys(arg),
        "witness" => {
            std::thread::sleep(Duration::from_secs(30));
            Err("slept".to_owned())
        }
        "hook" => touch(arg),
        "terminal" => terminals::become_the_runtime(args.get(1..).unwrap_or_default())
            .map(|_| String::new())
            .map_err(|error| error.to_string()),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(
                args.first().and_then(|text| text.parse().ok()).unwrap_or(1),
            ));
            Err("slept".to_owned())
        }
        "exchange" => exchange(args),
        other => Err(format!("no probe {other}")),
    };
    match found {
        Ok(text) => format!("escaped: {text}"),
        Err(text) if text.starts_with("absent: ") => text,
        Err(text) => format!("held: {text}"),
    }
}

/// Where the marker must be. What is in no container stays below the lab's directory.
fn place<'a>(name: &str, args: &'a [String]) -> Option<&'a str> {
    let lab = match (name, args) {
        ("exchange", [_, _, lab]) | ("hook", [_, lab]) | ("witness", [lab]) => lab,
        ("terminal", [lab, ..]) => lab,
        ("exchange" | "hook" | "witness" | "terminal", _) => return None,
        _ => return Some("/"),
    };
    let below = |name: &String| name.starts_with(lab.as_str());
    let named = if name == "terminal" { args.get(..2)? } else { args };
    named.iter().all(below).then_some(lab.as_str())
}

/// Opens each for writing, and writes nothing.
fn writable(paths: &[String]) -> Found {
    let opened = |path: &&String| OpenOptions::new().write(true).open(path).is_ok();
    let open: Vec<_> = paths.iter().filter(opened).cloned().collect();
    if paths.iter().all(|path| fs::symlink_metadata(path).is_err()) {
        return Err(format!("absent: no {}", paths.join(" ")));
    }
    match open.is_empty() {
        false => Ok(format!("can be written: {}", open.join(" "))),
        true => Err(format!("{} files cannot be written", paths.len())),
    }
}

/// Reads a byte of each, or the names of a directory.
fn readable(paths: &[String]) -> Found {
    let has = |path: &&String| match fs::metadata(path) {
        Ok(found) if found.is_dir() => fs::read_dir(path).is_ok_and(|mut names| names.next().is_some()),
        Ok(found) if found.file_type().is_char_device() => false,
        Ok(_) => File::open(path).is_ok_and(|mut file| file.read(&mut [0]).is_ok_and(|count| count > 0)),
        Err(_) => false,
    };
    let read: Vec<_> = paths.iter().filter(has).cloned().collect();
    match read.is_empty() {
        false => Ok(format!("can be read: {}", read.join(" "))),
        true => Err(format!("{} places show nothing", paths.len())),
    }
}

/// A call that ends with another errno than that of a denial was reached.
fn calls(name: &str) -> Found {
    let call = match name {
        "bpf" => Attempt::Bpf,
        "perf_event_open" => Attempt::PerfEventOpen,
        "io_uring" => Attempt::IoUringSetup,
        "userfaultfd" => Attempt::Userfaultfd,
        "add_key" => Attempt::AddKey,
        "open_by_handle_at" => Attempt::OpenByHandleAt,
        "init_module" => Attempt::InitModule,
        "fsopen" => Attempt::Fsopen,
        "setns" => Attempt::Setns,
        "unshare" => Attempt::UnshareUser,
        "swapon" => Attempt::Swapon,
        "syslog" => Attempt::Syslog,
        "alg" => Attempt::Socket(38, 5),
        "vsock" => Attempt::Socket(40, 1),
        "packet" => Attempt::Socket(17, 3),
        "clock_settime" => Attempt::ClockSettime,
        segment => Attempt::Shmget(segment.parse().unwrap_or_default()),
    };
    match attempt(call) {
        Ok(()) => Ok(format!("{name} succeeds")),
        Err(errno @ (Errno::ENOSYS | Errno::EAFNOSUPPORT)) => Err(format!("absent: {name}: {errno}")),
        Err(errno @ (Errno::EPERM | Errno::EACCES | Errno::ENOENT)) => Err(format!("{name}: {errno}")),
        Err(errno) => Ok(format!("{name} is reached: {errno}")),
    }
}

/// A node of a disk, or of another device of the host's, opened for reading, and read not at all.
fn device(name: &str, numbers: &str) -> Found {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let mut numbers = numbers.split(':').filter_map(|number| number.parse::<u64>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return Err(format!("absent: no {name} that the lab can open"));
    };
    let place = Path::new("/tmp/node");
    let kind = if name == "disk" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    if let Err(errno) = mknod(place, kind, Mode::from_bits_truncate(0o600), makedev(major, minor)) {
        return Err(format!("mknod: {errno}"));
    }
    match File::open(place) {
        Ok(_) => Ok(format!("the {name} {major}:{minor} can be opened")),
        Err(error) => Err(format!("open: {error}")),
    }
}

/// A copy of the probe that belongs to root and is setuid tells what it is.
fn setuid() -> Found {
    let output = std::process::Command::new("/setuid").args(["selftest", "probe", "euid"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match text {
        Ok(text) if text.starts_with("escaped: ") => Ok("a setuid file gave root".to_owned()),
        Ok(text) => Err(text),
        Err(error) => Err(error.to_string()),
    }
}

fn euid() -> Found {
    match nix::unistd::geteuid().as_raw() {
        0 => Ok("uid 0".to_owned()),
        other => Err(format!("uid {other}")),
    }
}

/// A process of the host, by a word in its command line.
fn sees(word: &str) -> Found {
    let own = std::process::id();
    for pid in pids().into_iter().filter(|pid| *pid != own) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(word) {
            let target = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or(-1));
            let signalled = nix::sys::signal::kill(target, None).is_ok();
            return Ok(format!("process {pid} of the host; signals reach it: {signalled}"));
        }
    }
    Err("no process of the host".to_owned())
}

pub(super) fn pids() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// An abstract socket of the host.
fn connects(name: &str) -> Found {
    use std::os::linux::net::SocketAddrExt;
    let address =
        std::os::unix::net::SocketAddr::from_abstract_name(name).map_err(|error| error.to_string())?;
    match std::os::unix::net::UnixStream::connect_addr(&address) {
        Ok(_) => Ok("an abstract socket of the host answers".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What is open beside stdio and the list itself.
fn descriptors() -> Found {
    let entries = fs::read_dir("/proc/self/fd").map_err(|error| error.to_string())?.flatten();
    let own = |target: &str| target.starts_with("/proc/") && target.ends_with("/fd");
    let numbers = entries.filter_map(|entry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        (number > 2 && !own(&target)).then(|| format!("{number} is {target}"))
    });
    let open: Vec<_> = numbers.collect();
    match open.is_empty() {
        false => Ok(open.join(", ")),
        true => Err("0 1 2 alone".to_owned()),
    }
}

/// From the working directory up to the canary outside.
fn climbs(outside: &str) -> Found {
    let below = outside.trim_start_matches('/');
    for up in 0..12 {
        let dots = "../".repeat(up);
        for place in [format!("{dots}marker"), format!("{dots}{below}/marker")] {
            if fs::read_to_string(&place).is_ok_and(|text| text == CANARY) {
                return Ok(format!("{place} is the host's"));
            }
        }
    }
    let cwd = nix::unistd::getcwd().map_or_else(|errno| errno.to_string(), |path| path.display().to_string());
    Err(format!("the working directory is {cwd}"))
}

/// What an image could do to a place that it was given.
fn touch(path: &str) -> Found {
    match File::create(path) {
        Ok(_) => Err(format!("{path} made")),
        Err(error) => Err(error.to_string()),
    }
}

/// A bomb that stops by itself.
fn forks() -> Found {
    const MOST: usize = 150;
    let mut children = vec![];
    while children.len() < MOST {
        let mut child = std::process::Command::new("/probe");
        child.args(["selftest", "probe", "sleep", "5"]);
        match child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn() {
            Ok(child) => children.push(child),
            Err(_) => break,
        }
    }
    let count = children.len();
    for mut child in children {
        if child.kill().and_then(|()| child.wait().map(drop)).is_err() {
            return Err("a child could not be ended".to_owned());
        }
    }
    match count {
        MOST => Ok(format!("{MOST} processes")),
        count => Err(format!("{count} processes and no more")),
    }
}

/// Twice what the container may have, page by page.
fn eats() -> Found {
    const PAGE: usize = 4096;
    let mut held: Vec<Vec<u8>> = vec![];
    for _ in 0..128 {
        let mut block = vec![0_u8; 1 << 20];
        block.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        held.push(block);
    }
    Ok(format!("{} MiB of memory", held.len()))
}

/// Sixteen times what the tmpfs may hold.
fn fills(place: &str) -> Found {
    let mut file = File::create(Path::new(place).join("fill")).map_err(|error| error.to_string())?;
    let block = vec![1_u8; 1 << 20];
    for written in 0..16 {
        if let Err(error) = file.write_all(&block) {
            return Err(format!("{written} MiB, then: {error}"));
        }
    }
    Ok("16 MiB in a tmpfs of 1 MiB".to_owned())
}

/// Sixteen times as many files as the tmpfs may hold.
fn inodes(place: &str) -> Found {
    for made in 0..1024 {
        if let Err(error) = File::create(Path::new(place).join(format!("file{made}"))) {
            return Err(format!("{made} files, then: {error}"));
        }
    }
    Ok("1024 files in a tmpfs of 64".to_owned())
}

/// /dev/console is the container's terminal, or nothing; a link of the image's making leads to what it led to.
fn console() -> Found {
    let place = "/dev/console";
    let is_terminal = |found: &fs::Metadata| {
        // 136 to 143 (Documentation/admin-guide/devices.txt).
        found.file_type().is_char_device() && (136..144).contains(&nix::sys::stat::major(found.rdev()))
    };
    match fs::symlink_metadata(place) {
        Err(error) => Err(format!("no console: {error}")),
        Ok(found) if found.is_symlink() => match fs::metadata(place) {
            Ok(found) if is_terminal(&found) => Ok("the terminal is bound over what a link names".to_owned()),
            _ => Err("the console is a link, and no terminal".to_owned()),
        },
        Ok(found) if is_terminal(&found) => Err("the console is a terminal".to_owned()),
        Ok(found) => Ok(format!("the console is no terminal (mode {:o})", found.permissions().mode())),
    }
}

/// CVE-2017-5226: a character into the input of the caller's terminal.
fn pushes() -> Found {
    use std::os::fd::AsFd;
    match sys::attempt::push(std::io::stdin().as_fd()) {
        Ok(()) => Ok("a character was typed on the caller's terminal".to_owned()),
        Err(Errno::ENOTTY) => Err("stdin is no terminal".to_owned()),
        Err(errno) => Err(errno.to_string()),
    }
}

/// The runtime was started with the null device.
fn stdin() -> Found {
    let found = fs::metadata("/proc/self/fd/0").map_err(|error| error.to_string())?;
    let null = found.file_type().is_char_device() && found.rdev() == nix::sys::stat::makedev(1, 3);
    if null {
        Err("stdin is the null device".to_owned())
    } else {
        Ok(format!("stdin has mode {:o}", found.mode()))
    }
}

fn chown(path: &str) -> Found {
    match std::os::unix::fs::chown(path, Some(1000), None) {
        Ok(()) => Err(format!("{path} is another's")),
        Err(error) => Err(error.to_string()),
    }
}

/// Cgroups at or below a place that are not mounted read-only (proc(5), mountinfo).
fn writable_cgroups(place: &str) -> Found {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    let (mut some, mut open) = (0, vec![]);
    for line in text.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let (Some(point), Some(options)) = (fields.get(4), fields.get(5)) else { continue };
        let is_cgroup = line.split_once(" - ").is_some_and(|(_, back)| back.starts_with("cgroup"));
        if is_cgroup && Path::new(point).starts_with(place) {
            some += 1;
            open.extend((!options.split(',').any(|option| option == "ro")).then_some(*point));
        }
    }
    match open.first() {
        Some(first) => Ok(format!("{first} is mounted rw")),
        None => Err(format!("{some} mounts, all of them ro")),
    }
}

/// Writes the line that is looked for into what should be the runtime's log.
fn forge(path: &str) -> Found {
    let mut file = OpenOptions::new().append(true).open(path).map_err(|error| error.to_string())?;
    file.write_all(format!("{FORGED}\n").as_bytes()).map_err(|error| error.to_string())?;
    Err("written".to_owned())
}

fn inheritable() -> Found {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapInh:")).unwrap_or_default().trim();
    match u64::from_str_radix(set, 16) {
        Ok(0) => Err("no inheritable capabilities".to_owned()),
        _ => Ok(format!("inheritable: {set}")),
    }
}

/// A masked file is the null device or shows nothing.
fn masked(paths: &[String]) -> Found {
    for path in paths {
        let Ok(found) = fs::metadata(path) else { continue };
        let null = found.file_type().is_char_device() && found.rdev() == nix::sys::stat::makedev(1, 3);
        let empty = found.is_dir() && fs::read_dir(path).is_ok_and(|mut names| names.next().is_none());
        if !null && !empty {
            let written = OpenOptions::new().write(true).open(path).is_ok();
            return Ok(format!(
                "{path} is not masked (mode {:o}, writable: {written})",
                found.permissions().mode()
            ));
        }
    }
    Err("masked".to_owned())
}

/// The session keyring is the lab's.
fn keys(word: &str) -> Found {
    let mut buffer = [0; 256];
    let length = sys::keyctl::describe_session_keyring(&mut buffer).map_err(|errno| errno.to_string())?;
    let text = String::from_utf8_lossy(buffer.get(..length.min(256)).unwrap_or_default()).into_owned();
    // A keyring of the container's own may be named after its id, which the word begins.
    let name = text.trim_end_matches('\0').rsplit(';').next().unwrap_or_default();
    match name == word {
        true => Ok("the session keyring is the caller's".to_owned()),
        false => Err("the session keyring is the container's own".to_owned()),
    }
}

/// Not in a container: the attacker beside a launch, who exchanges two names until it is killed.
fn exchange(names: &[String]) -> Found {
    let [one, other, _lab] = names else { return Err("two names and the lab are needed".to_owned()) };
    let c_string = |name: &String| CString::new(name.as_str()).map_err(|error| error.to_string());
    let (one, other) = (c_string(one)?, c_string(other)?);
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        crate::sys::rename::rename_exchange(&one, &other).map_err(|errno| errno.to_string())?;
    }
    Err("the time is over".to_owned())
}
