//! Transfers side by side through one fetcher, in one thread: bytes from pipes into sinks,
//! again where a connection broke, and never more, slower or longer than the limits say.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use super::config::Limits;
use super::failed;
use super::fetcher::{Fetcher, error_of};
use super::wire::{Failed, What, Why};
use crate::error::{Call, Context, Error, Kind, Result};
use crate::sys::clock::monotonic_ms;
use crate::sys::poll::{POLLIN, PollFd, ppoll};

/// Attempts in a row that bring nothing.
const MOST_TRIES: u32 = 5;
const FIRST_PAUSE_MS: u64 = 200;
const TICK_MS: u64 = 200;
const CHUNK: usize = 1 << 17;

/// Where content goes. It refuses what is too much or not what it should be.
pub trait Sink {
    /// An attempt begins: from which byte on.
    ///
    /// # Errors
    /// What came so far cannot be kept or forgotten.
    fn begin(&mut self) -> Result<u64>;
    /// The next bytes.
    ///
    /// # Errors
    /// They are too many, or cannot be kept.
    fn take(&mut self, bytes: &[u8]) -> Result<()>;
    /// Whether all of it is there; `None` where nobody said how much it is.
    fn is_whole(&self) -> Option<bool>;
    /// All of it came in.
    ///
    /// # Errors
    /// It is not what it should be.
    fn end(&mut self) -> Result<End>;
}

/// What becomes of a thing that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is what it should be.
    Done,
    /// It is to come once more.
    Again,
}

/// One thing to bring in.
pub struct Job<'j> {
    /// What to ask for, from a byte on.
    pub what: Box<dyn Fn(u64) -> What + 'j>,
    /// Where it goes.
    pub sink: &'j mut dyn Sink,
}

/// Whose fault it is that something did not come.
#[derive(Debug)]
pub enum Trouble {
    /// Ours: no other address would help.
    Here(Error),
    /// That of whom was asked.
    There(Error),
}

impl Trouble {
    /// A failure of the set-up is ours; an image that is not what it should be is theirs.
    fn of(error: Error) -> Self {
        match error.class() {
            Kind::ImageFailed => Self::There(error),
            _ => Self::Here(error),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::of(error)
    }
}

/// What a progress display is told.
#[derive(Debug, Clone, Copy)]
pub enum Seen {
    /// So many bytes more are to come.
    Wanted(u64),
    /// So many came.
    Bytes(u64),
    /// All is over.
    Over,
}

enum State {
    Waiting { until: u64 },
    Open(Open),
    Done,
}

struct Open {
    id: u64,
    pipe: Option<File>,
    reply: Option<Option<Failed>>,
    /// Of the window in which it must bring something.
    since: u64,
    got: u64,
    /// Whether this attempt brought anything.
    moved: bool,
}

struct Slot {
    state: State,
    tries: u32,
}

impl Slot {
    fn end(&mut self, job: &mut Job<'_>) -> std::result::Result<(), Trouble> {
        self.state = match job.sink.end()? {
            End::Done => State::Done,
            End::Again => State::Waiting { until: 0 },
        };
        Ok(())
    }
}

/// One batch of jobs.
pub struct Batch<'b> {
    /// Who is asked.
    pub fetcher: &'b mut Fetcher,
    /// The repository there.
    pub repository: &'b str,
    /// How much, how slow.
    pub limits: &'b Limits,
    /// Until when ([`monotonic_ms`]).
    pub deadline: u64,
    /// Told of bytes.
    pub seen: &'b mut dyn FnMut(Seen),
}

impl Batch<'_> {
    /// Brings all of them in.
    ///
    /// # Errors
    /// The first that cannot be brought in; what the others have so far stays with their sinks.
    pub fn run(&mut self, jobs: &mut [Job<'_>]) -> std::result::Result<(), Trouble> {
        let mut slots: Vec<Slot> =
            jobs.iter().map(|_| Slot { state: State::Waiting { until: 0 }, tries: 0 }).collect();
        let mut buffer = vec![0; CHUNK];
        loop {
            if monotonic_ms() > self.deadline {
                return Err(Trouble::Here(failed(format!("takes longer than {:?}", self.limits.time))));
            }
            self.open_those_due(&mut slots, jobs)?;
            if slots.iter().all(|slot| matches!(slot.state, State::Done)) {
                return Ok(());
            }
            self.wait(&mut slots)?;
            for (slot, job) in slots.iter_mut().zip(jobs.iter_mut()) {
                self.drain(slot, job, &mut buffer)?;
                self.settle(slot, job)?;
            }
        }
    }

    fn open_those_due(
        &mut self,
        slots: &mut [Slot],
        jobs: &mut [Job<'_>],
    ) -> std::result::Result<(), Trouble> {
        let mut open = slots.iter().filter(|slot| matches!(slot.state, State::Open(_))).count();
        for (slot, job) in slots.iter_mut().zip(jobs) {
            let now = monotonic_ms();
            match slot.state {
                State::Waiting { until } if until <= now && open < self.limits.parallel => {
                    let offset = job.sink.begin()?;
                    if job.sink.is_whole() == Some(true) {
                        slot.end(job)?;
                        continue;
                    }
                    let (id, pipe) = self.fetcher.ask(self.repository, (job.what)(offset))?;
                    let pipe = Some(pipe);
                    slot.state =
                        State::Open(Open { id, pipe, reply: None, since: now, got: 0, moved: false });
                    open += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sleeps until something comes, and takes a reply in.
    fn wait(&mut self, slots: &mut [Slot]) -> std::result::Result<(), Trouble> {
        let pipes = slots.iter().filter_map(|slot| match &slot.state {
            State::Open(Open { pipe: Some(pipe), .. }) => Some(PollFd::new(pipe.as_fd(), POLLIN)),
            _ => None,
        });
        let socket = PollFd::new(self.fetcher.socket(), POLLIN);
        let mut watched: Vec<_> = [socket].into_iter().chain(pipes).collect();
        match ppoll(&mut watched, Some(TICK_MS)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(Error::call("ppoll", errno).into()),
        }
        if !watched.first().is_some_and(PollFd::readable) {
            return Ok(());
        }
        let Some(reply) = self.fetcher.receive()? else { return Ok(()) };
        let open = slots.iter_mut().find_map(|slot| match &mut slot.state {
            State::Open(open) if open.id == reply.id => Some(open),
            _ => None,
        });
        // The late word on an attempt that was given up has nobody to hear it.
        if let Some(open) = open {
            open.reply = Some(reply.failed);
        }
        Ok(())
    }

    fn drain(
        &mut self,
        slot: &mut Slot,
        job: &mut Job<'_>,
        buffer: &mut [u8],
    ) -> std::result::Result<(), Trouble> {
        let State::Open(open) = &mut slot.state else { return Ok(()) };
        let Some(pipe) = &mut open.pipe else { return Ok(()) };
        match pipe.read(buffer) {
            Ok(0) => open.pipe = None,
            Ok(count) => {
                job.sink.take(buffer.get(..count).unwrap_or_default())?;
                open.got += count as u64;
                open.moved = true;
                (self.seen)(Seen::Bytes(count as u64));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error).call("read").on("pipe").map_err(Trouble::Here),
        }
        Ok(())
    }

    /// Whether an attempt is over, and what becomes of it.
    fn settle(&self, slot: &mut Slot, job: &mut Job<'_>) -> std::result::Result<(), Trouble> {
        let State::Open(open) = &mut slot.state else { return Ok(()) };
        let now = monotonic_ms();
        let stall = u64::try_from(self.limits.stall.as_millis()).unwrap_or(u64::MAX);
        let broken = |text: String| Some(Failed { why: Why::Broken, text });
        let end = match (&open.pipe, open.reply.take()) {
            (None, Some(None)) if job.sink.is_whole() != Some(false) => return slot.end(job),
            (None, Some(None)) => broken("ended before its end".to_owned()),
            (None, Some(Some(failed))) => Some(failed),
            (_, reply) if now.saturating_sub(open.since) >= stall => {
                let enough = open.got >= Limits::LEAST;
                (open.since, open.got, open.reply) = (now, 0, reply);
                let text = format!("brings less than {} bytes in {:?}", Limits::LEAST, self.limits.stall);
                if enough { None } else { broken(text) }
            }
            (_, reply) => {
                open.reply = reply;
                None
            }
        };
        let Some(end) = end else { return Ok(()) };
        slot.tries = if open.moved { 1 } else { slot.tries + 1 };
        if end.why != Why::Broken || slot.tries >= MOST_TRIES {
            return Err(Trouble::There(error_of(&end)));
        }
        let pause = Duration::from_millis(FIRST_PAUSE_MS << slot.tries.min(8));
        slot.state = State::Waiting { until: now + u64::try_from(pause.as_millis()).unwrap_or(0) };
        Ok(())
    }
}
