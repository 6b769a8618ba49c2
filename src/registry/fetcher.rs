//! One `pinfold-fetch`, which talks to one registry: started, asked, listened to, ended.
//!
//! It gets a socket as its stdin and the caller's other two replaced by /dev/null; no other
//! descriptor, no environment, no argument.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::config::{Endpoint, Limits};
use super::wire::{Failed, LARGEST_REPLY, LARGEST_REQUEST, Login, Reply, Request, Start, What, Why};
use super::{binary, failed};
use crate::error::{Call, Context, Error, Result};
use crate::policy::trusted;
use crate::sys;
use crate::sys::close_range::{CLOSE_RANGE_CLOEXEC, close_range};
use crate::sys::poll::{POLLIN, PollFd, ppoll};

/// It confines itself in milliseconds.
const TO_BE_READY_MS: u64 = 10_000;

/// A started client. Dropping it ends it.
#[derive(Debug)]
pub struct Fetcher {
    socket: OwnedFd,
    child: Child,
    next: u64,
}

impl Fetcher {
    /// Starts one for this address; `id` is the user that it becomes, where the caller can.
    ///
    /// # Errors
    /// It is not installed, cannot be executed, or could not be confined.
    pub fn start(at: &Endpoint, login: Option<Login>, id: Option<u32>, limits: &Limits) -> Result<Self> {
        let authorities = at.ca.as_deref().map(authorities).transpose()?;
        let start = Start {
            location: at.location.clone(),
            plain_http: at.insecure,
            login,
            proxy: at.proxy.clone(),
            has_authorities: authorities.is_some(),
            become_id: id,
            stall_ms: u64::try_from(limits.stall.as_millis()).unwrap_or(u64::MAX),
            ports: at.ports.iter().copied().chain([at.port()]).chain(port_of(at.proxy.as_deref())).collect(),
        };
        let mut fetcher = Self::execute()?;
        fetcher.send(&start, authorities.as_ref().map(AsFd::as_fd))?;
        let mut ready = [PollFd::new(fetcher.socket.as_fd(), POLLIN)];
        if ppoll(&mut ready, Some(TO_BE_READY_MS)).call("ppoll")? == 0 {
            return Err(failed("is not ready in time").object("pinfold-fetch"));
        }
        match fetcher.receive()? {
            Some(Reply { id: 0, failed: None, note }) => {
                if let Some(note) = note {
                    crate::error::warn(format_args!("{note}"));
                }
                Ok(fetcher)
            }
            Some(Reply { failed: Some(what), .. }) => Err(failed(what.text).object("pinfold-fetch")),
            _ => Err(fetcher.ended()),
        }
    }

    fn execute() -> Result<Self> {
        let binary = binary::open()?;
        let kind = SockType::SeqPacket;
        let (socket, theirs) =
            socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).call("socketpair")?;
        // Of what the caller left open the fetcher gets nothing.
        close_range(3, u32::MAX, CLOSE_RANGE_CLOEXEC).call("close_range")?;
        // Resolved by the child before its descriptors close (execve(2)).
        let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
        command
            .arg0("pinfold-fetch")
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().call("execve").on("pinfold-fetch")?;
        Ok(Self { socket, child, next: 1 })
    }

    /// Asks; what comes is read from the descriptor, its end told by [`Self::receive`].
    ///
    /// # Errors
    /// It is gone.
    pub fn ask(&mut self, repository: &str, what: What) -> Result<(u64, File)> {
        let (ours, theirs) = sys::file::pipe().call("pipe2")?;
        let id = self.next;
        self.next += 1;
        self.send(&Request { id, repository: repository.to_owned(), what }, Some(theirs.as_fd()))?;
        sys::file::set_nonblocking(&ours, true).call("fcntl")?;
        Ok((id, File::from(ours)))
    }

    /// Where replies come in.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next reply; `None` where there is none yet.
    ///
    /// # Errors
    /// It is gone, or says what no client of ours would.
    pub fn receive(&mut self) -> Result<Option<Reply>> {
        let mut buffer = [0; LARGEST_REPLY];
        let length = match sys::socket::recv_fd(self.socket.as_fd(), &mut buffer) {
            Ok((0, _)) | Err(Errno::ECONNRESET) => return Err(self.ended()),
            Err(Errno::EAGAIN) => return Ok(None),
            Ok((length, None)) => length,
            Ok((_, Some(_))) => return Err(failed("sent a descriptor").object("pinfold-fetch")),
            other => other.map(|(length, _)| length).call("recvmsg").on("pinfold-fetch")?,
        };
        let reply = serde_json::from_slice(buffer.get(..length).unwrap_or_default());
        let reply: Reply = reply.map_err(|error| failed(error.to_string()).object("pinfold-fetch"))?;
        let sound = |failed: &Failed| !failed.text.chars().any(char::is_control);
        match reply.failed.as_ref().is_none_or(sound) {
            true => Ok(Some(reply)),
            false => Err(failed("sent control characters").object("pinfold-fetch")),
        }
    }

    fn send(&mut self, packet: &impl serde::Serialize, fd: Option<BorrowedFd<'_>>) -> Result<()> {
        let bytes = serde_json::to_vec(packet).map_err(|error| Error::internal(error.to_string()))?;
        if bytes.len() > LARGEST_REQUEST {
            return Err(Error::usage("is too long for pinfold-fetch"));
        }
        match sys::socket::send_fd(self.socket.as_fd(), &bytes, fd) {
            Ok(_) => Ok(()),
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(self.ended()),
            Err(errno) => Err(Error::call("sendmsg", errno).object("pinfold-fetch")),
        }
    }

    /// How it ended, when it should not have.
    fn ended(&mut self) -> Error {
        self.child.kill().ok();
        let how = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        failed(format!("ended by itself: {how}"))
            .object("pinfold-fetch")
            .hint("its memory is limited, which an endless answer exceeds")
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        // It keeps nothing that could be lost.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The owner's file of certificate authorities, which nobody else can have written.
fn authorities(path: &str) -> Result<OwnedFd> {
    let text = trusted::read_at(path).on(path)?.ok_or_else(|| Error::setup("is not there").object(path))?;
    sys::shared::sealed_file(c"authorities", &[text.as_bytes()]).call("memfd_create")
}

fn port_of(url: Option<&str>) -> Option<u16> {
    url?.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
}

/// What went wrong, as an error.
pub fn error_of(failed_: &Failed) -> Error {
    let error = failed(failed_.text.clone());
    match failed_.why {
        Why::Unauthorized => error.hint("the account is not good enough, or one is needed: see --authfile"),
        Why::NotFound | Why::Refused | Why::Broken => error,
    }
}
