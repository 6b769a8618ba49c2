//! The parent's half: gives the blob, takes the report, ends what takes too long.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use sha2::{Digest, Sha256};

use super::start::Started;
use super::{Report, report};
use crate::error::{Call, Error, Kind, Result};
use crate::image::unpack::Limits;
use crate::sys::poll::{POLLIN, POLLOUT, PollFd, ppoll};
use crate::sys::{clock, file, pidfd, wait};

/// Bytes read from the blob at once.
const PIECE: usize = 256 << 10;

/// What was read of the blob.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// SHA-256.
    pub digest: [u8; 32],
    /// Bytes.
    pub bytes: u64,
}

/// Feeds the process until it has reported and ended. It is gone when this returns.
pub(super) fn feed(started: Started, blob: &mut dyn Read, limits: Limits) -> Result<(Report, Fed)> {
    let until = clock::monotonic_ms().saturating_add(limits.seconds.saturating_mul(1000));
    let Started { pidfd, blob: to, report } = started;
    let mut talk = Talk { to: Some(to), from: report, report: vec![], until };
    let fed = talk.whole(blob, limits.blob_bytes);
    let fed = match fed {
        Ok(fed) => fed,
        Err(error) => {
            end(pidfd.as_fd())?;
            return Err(error);
        }
    };
    let ended = reap(pidfd.as_fd(), until)?;
    match report::read(&talk.report) {
        Ok(report) if ended.0 == libc::CLD_EXITED && ended.1 == 0 => Ok((report, fed)),
        Err(error) if !talk.report.is_empty() => Err(error),
        _ => Err(died(ended)),
    }
}

/// Ends a process that was not fed.
pub(super) fn kill(started: &Started) -> Result<()> {
    end(started.pidfd.as_fd())
}

struct Talk {
    to: Option<OwnedFd>,
    from: OwnedFd,
    report: Vec<u8>,
    until: u64,
}

impl Talk {
    /// The whole blob goes in, until end of file comes out.
    fn whole(&mut self, blob: &mut dyn Read, most: u64) -> Result<Fed> {
        let mut digest = Sha256::new();
        let mut fed = Fed::default();
        let mut piece = vec![0; PIECE];
        while self.to.is_some() {
            // A blob that comes slowly never makes the pipe wait.
            if clock::monotonic_ms() > self.until {
                return Err(too_long());
            }
            let length = match blob.read(&mut piece) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => {
                    read.call("read").map_err(|error| error.object("the blob").kind(Kind::ImageFailed))?
                }
            };
            let read = piece.get(..length).unwrap_or_default();
            digest.update(read);
            fed.bytes += length as u64;
            if fed.bytes > most {
                return Err(Error::new(Kind::ImageFailed, format!("the blob has more than {most} bytes")));
            }
            match length {
                0 => self.to = None,
                _ => self.write(read)?,
            }
        }
        while self.exchange(false)? != Exchange::Ended {}
        fed.digest = digest.finalize().into();
        Ok(fed)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(to) = self.to.as_ref().filter(|_| !bytes.is_empty()) {
            match nix::unistd::write(to, bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    // It may say why it wants no more.
                    if self.exchange(true)? == Exchange::Ended {
                        self.to = None;
                    }
                }
                Err(Errno::EPIPE) => self.to = None,
                Err(errno) => return Err(Error::call("write", errno)),
            }
        }
        Ok(())
    }

    /// Waits until it takes more, or says something.
    fn exchange(&mut self, writing: bool) -> Result<Exchange> {
        let from = PollFd::new(self.from.as_fd(), POLLIN);
        let to = match self.to.as_ref().filter(|_| writing) {
            Some(to) => PollFd::new(to.as_fd(), POLLOUT),
            None => PollFd::nothing(),
        };
        let mut fds = [from, to];
        let left = self.until.saturating_sub(clock::monotonic_ms());
        match ppoll(&mut fds, Some(left)) {
            Ok(0) => return Err(too_long()),
            Err(Errno::EINTR) => return Ok(Exchange::Goes),
            polled => polled.call("ppoll")?,
        };
        let [from, _] = fds;
        if from.readable() { self.read() } else { Ok(Exchange::Goes) }
    }

    fn read(&mut self) -> Result<Exchange> {
        let mut buffer = [0; 16 << 10];
        let length = file::read(self.from.as_fd(), &mut buffer).call("read")?;
        self.report.extend_from_slice(buffer.get(..length).unwrap_or_default());
        match (length, self.report.len() > report::LONGEST) {
            (_, true) => Err(Error::internal("the unpacker's report has no end")),
            (0, _) => Ok(Exchange::Ended),
            _ => Ok(Exchange::Goes),
        }
    }
}

fn too_long() -> Error {
    Error::new(Kind::ImageFailed, "unpacking takes longer than it may")
}

#[derive(PartialEq, Eq)]
enum Exchange {
    Goes,
    Ended,
}

/// `si_code` and `si_status` of the process, which closed its report.
fn reap(process: BorrowedFd<'_>, until: u64) -> Result<(i32, i32)> {
    let left = until.saturating_sub(clock::monotonic_ms());
    let mut fds = [PollFd::new(process, POLLIN)];
    if matches!(ppoll(&mut fds, Some(left)), Ok(0)) {
        pidfd::pidfd_send_signal(process, libc::SIGKILL).call("pidfd_send_signal")?;
    }
    match wait::waitid_pidfd(process, libc::WEXITED).call("waitid")? {
        Some(info) => Ok((info.code, info.status)),
        None => Err(Error::internal("the unpacker's end is unknown")),
    }
}

fn end(process: BorrowedFd<'_>) -> Result<()> {
    pidfd::pidfd_send_signal(process, libc::SIGKILL).call("pidfd_send_signal")?;
    wait::waitid_pidfd(process, libc::WEXITED).call("waitid").map(drop)
}

fn died((code, status): (i32, i32)) -> Error {
    let text = match code {
        libc::CLD_EXITED => {
            format!("the unpacker could not begin: {}", Errno::from_raw(status).desc())
        }
        _ => format!("the unpacker ended by signal {status}"),
    };
    Error::new(Kind::ImageFailed, text).hint("it may have reached its limit of memory")
}
