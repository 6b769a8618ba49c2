//! The socket to pinfold, which is this process's stdin: unix(7), SOCK_SEQPACKET.

use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::received::own;
use crate::wire::{Failed, LARGEST_REPLY, LARGEST_REQUEST, LONGEST_TEXT, Reply, Request, Start};

/// The pair's end.
pub struct Talk {
    socket: OwnedFd,
}

impl Talk {
    /// What stdin is.
    pub fn on_stdin() -> Result<Self, std::io::Error> {
        Ok(Self { socket: std::io::stdin().as_fd().try_clone_to_owned()? })
    }

    /// The first packet.
    pub fn start(&self) -> Result<(Start, Option<File>), Box<dyn Error>> {
        let (bytes, fd) = receive(&self.socket, MsgFlags::empty())?;
        Ok((serde_json::from_slice(&bytes)?, fd.map(File::from)))
    }

    /// The further packets, one after the other.
    pub fn requests(&self) -> Result<Requests, Box<dyn Error>> {
        let socket = std::os::unix::net::UnixDatagram::from(self.socket.try_clone()?);
        socket.set_nonblocking(true)?;
        Ok(Requests { socket: UnixDatagram::from_std(socket)? })
    }

    /// Tells the end of a request.
    pub fn reply(&self, id: u64, failed: Option<Failed>, note: Option<String>) -> Result<(), Box<dyn Error>> {
        let failed = failed.map(|failed| Failed { text: plain(&failed.text), ..failed });
        let bytes = serde_json::to_vec(&Reply { id, failed, note })?;
        if bytes.len() > LARGEST_REPLY {
            return Err("a reply is too long".into());
        }
        let iov = [IoSlice::new(&bytes)];
        sendmsg::<()>(self.socket.as_raw_fd(), &iov, &[], MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }
}

/// One line of at most [`LONGEST_TEXT`] bytes.
fn plain(text: &str) -> String {
    let mut line = String::new();
    for letter in text.chars() {
        let letter = if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
        if line.len() >= LONGEST_TEXT {
            break;
        }
        line.push(letter);
    }
    line
}

/// The requests.
pub struct Requests {
    socket: UnixDatagram,
}

impl Requests {
    /// The next one with its pipe; `None` when pinfold is gone or done.
    pub async fn next(&mut self) -> Result<Option<(Request, OwnedFd)>, Box<dyn Error>> {
        loop {
            self.socket.readable().await?;
            let packet =
                self.socket.try_io(Interest::READABLE, || Ok(receive(&self.socket, MsgFlags::MSG_DONTWAIT)?));
            match packet {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok((bytes, _)) if bytes.is_empty() => return Ok(None),
                Ok((bytes, Some(pipe))) => return Ok(Some((serde_json::from_slice(&bytes)?, pipe))),
                Ok((_, None)) => return Err("a request without a pipe".into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn receive(socket: &impl AsRawFd, flags: MsgFlags) -> Result<(Vec<u8>, Option<OwnedFd>), Errno> {
    let mut bytes = vec![0; LARGEST_REQUEST];
    let mut control = nix::cmsg_space!(std::os::fd::RawFd);
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut control), flags)?;
    let length = message.bytes;
    let mut fd = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part {
            fd = fds.into_iter().next();
        }
    }
    bytes.truncate(length);
    Ok((bytes, fd.map(own)))
}
