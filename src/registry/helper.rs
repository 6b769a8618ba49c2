//! Credential helpers: `docker-credential-NAME get`, with the registry on stdin and JSON on
//! stdout (docker-credential-helpers, "Development").
//!
//! One runs as the caller, with the caller's environment, before anything of a registry has
//! come in. It is a program of root's or of the caller's that nobody else can write.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use serde::Deserialize;

use super::wire::Login;
use crate::error::{Call, Context, Error, Result};
use crate::sys;

/// A person may have to unlock a key ring.
const DEADLINE: Duration = Duration::from_secs(60);
const LARGEST: u64 = 65536;
/// What a helper says of a registry that it does not know.
const UNKNOWN: &str = "credentials not found";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Asks the helper of this name; `None` where it knows no account.
///
/// # Errors
/// It is not there, cannot be trusted, fails, or does not answer in time.
pub fn ask(name: &str, host: &str) -> Result<Option<Login>> {
    let program = format!("docker-credential-{name}");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(Error::setup(format!("{name:?} is no name of a credential helper")));
    }
    let file = find(&program)?;
    // A script's interpreter opens the descriptor again: it must outlive execve(2).
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).call("fcntl")?;
    let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    command.arg0(&program).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().call("execve").on(&program)?;
    let answered = answer(&mut child, host);
    child.kill().ok();
    child.wait().call("wait").on(&program)?;
    let text = answered.on(&program)?;
    if text.contains(UNKNOWN) {
        return Ok(None);
    }
    let answer: Answer =
        serde_json::from_str(&text).map_err(|_what| Error::setup("gave no account").object(&program))?;
    if answer.user == "<token>" {
        return Err(Error::setup("gave an identity token, which pinfold does not exchange").object(&program));
    }
    Ok(Some(Login { user: answer.user, secret: answer.secret }))
}

fn answer(child: &mut Child, host: &str) -> Result<String> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::internal("a child without pipes"));
    };
    match input.write_all(host.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.call("write")?,
    }
    drop(input);
    sys::file::set_nonblocking(&output, true).call("fcntl")?;
    let until = Instant::now() + DEADLINE;
    let mut output = output.take(LARGEST + 1);
    let mut text = vec![];
    loop {
        match output.read_to_end(&mut text) {
            Ok(_) if text.len() as u64 > LARGEST => return Err(Error::setup("says too much")),
            Ok(_) => return String::from_utf8(text).map_err(|error| Error::setup(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).call("read"),
        }
        if Instant::now() > until {
            return Err(Error::setup(format!("does not answer within {DEADLINE:?}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// In the absolute directories of PATH.
fn find(program: &str) -> Result<OwnedFd> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    for directory in std::env::split_paths(&path).filter(|directory| directory.is_absolute()) {
        let place: PathBuf = directory.join(program);
        let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK);
        let file = match openat2(AT_FDCWD, &place, how.resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS)) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => continue,
            opened => opened.call("openat2").on(place.display())?,
        };
        let stat = sys::file::stat(file.as_fd()).call("fstat").on(place.display())?;
        let trusted = stat.uid == 0 || stat.uid == nix::unistd::geteuid().as_raw();
        if stat.mode & libc::S_IFMT != libc::S_IFREG
            || !trusted
            || stat.mode & (libc::S_IWGRP | libc::S_IWOTH) != 0
        {
            let text = "is not a program of root's or of the caller's that nobody else can write";
            return Err(Error::setup(text).object(place.display()));
        }
        return Ok(file);
    }
    Err(Error::setup("is not in PATH").object(program))
}
