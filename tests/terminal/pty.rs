//! The tests' side of a terminal: the master of a pty, what came out of it, and the end of a
//! socket that receives one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::termios::{LocalFlags, OutputFlags, Termios, tcgetattr};
use pinfold::sys::{file, socket, tty};

/// A master, and everything that was read from it.
pub struct Terminal {
    master: File,
    /// What came out of it.
    pub seen: String,
}

impl Terminal {
    pub fn of(master: OwnedFd) -> Self {
        file::set_nonblocking(&master, true).unwrap();
        Self { master: master.into(), seen: String::new() }
    }

    /// A new pty of 24 to 80, and its slave.
    pub fn new() -> (Self, OwnedFd) {
        let pair = nix::pty::openpty(None, None).unwrap();
        let terminal = Self::of(pair.master);
        terminal.resize(24, 80);
        (terminal, pair.slave)
    }

    /// The size, as rows and columns; whoever holds the terminal gets SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = tty::Winsize { rows, columns, ..tty::Winsize::default() };
        tty::set_winsize(self.master.as_fd(), size).unwrap();
    }

    pub fn size(&self) -> (u16, u16) {
        let size = tty::get_winsize(self.master.as_fd()).unwrap();
        (size.rows, size.columns)
    }

    pub fn settings(&self) -> Termios {
        tcgetattr(&self.master).unwrap()
    }

    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until `text` has come out after what was awaited before.
    #[track_caller]
    pub fn await_text(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            self.read();
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(Instant::now() < until, "`{text}` never came: {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes what lies there.
    pub fn read(&mut self) {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = self.master.read(&mut chunk) {
            self.seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
    }
}

/// Whether typed characters go through as they are, and output is still processed.
pub fn is_raw(settings: &Termios) -> bool {
    let cooked = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
    !settings.local_flags.intersects(cooked) && settings.output_flags.contains(OutputFlags::OPOST)
}

/// Starts a command whose three streams and controlling terminal are this slave.
pub fn on(slave: OwnedFd, command: &Command) -> Child {
    let stream = || slave.try_clone().unwrap();
    let mut leader = Command::new("setsid");
    leader.arg("--ctty").arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        leader.current_dir(directory);
    }
    leader.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap()
}

/// Waits for the exit code.
#[track_caller]
pub fn exit_code(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A listening socket whose queue is full.
pub struct Full {
    listener: OwnedFd,
    _queued: Vec<OwnedFd>,
}

impl Full {
    pub fn at(path: &Path) -> Self {
        use nix::errno::Errno;
        use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
        let address = UnixAddr::new(path).unwrap();
        let new = |flags| socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        let listener = new(SockFlag::SOCK_CLOEXEC);
        socket::bind(listener.as_raw_fd(), &address).unwrap();
        socket::listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let mut queued = vec![];
        loop {
            let stream = new(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK);
            match socket::connect(stream.as_raw_fd(), &address) {
                Ok(()) => queued.push(stream),
                Err(errno) => break assert_eq!(errno, Errno::EAGAIN),
            }
        }
        Self { listener, _queued: queued }
    }

    /// Makes room for one.
    pub fn accept(&self) -> OwnedFd {
        socket::accept(self.listener.as_fd()).unwrap()
    }
}

/// A socket that waits for a descriptor.
pub struct Receiver(UnixListener);

impl Receiver {
    pub fn at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// The words and the descriptor that were sent.
    #[track_caller]
    pub fn receive(&self) -> (String, OwnedFd) {
        let until = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match self.0.accept() {
                Ok((stream, _)) => break stream,
                Err(error) => assert!(Instant::now() < until, "nobody connected: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.set_nonblocking(false).unwrap();
        let mut words = [0; 4096];
        let (length, fd) = socket::recv_fd(stream.as_fd(), &mut words).unwrap();
        (String::from_utf8_lossy(&words[..length]).into_owned(), fd.expect("no descriptor"))
    }
}
