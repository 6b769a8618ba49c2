//! Pipes between a program and pinfold's own streams, where the output is bounded.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;

use crate::error::{Call, Result};
use crate::launch::Stream;
use crate::plan::{Plan, Step};
use crate::sys;

/// Pipes for the streams whose output is bounded.
pub struct Pipes {
    program: [Option<OwnedFd>; 3],
    /// The ends to read from.
    pub streams: Vec<Stream>,
}

impl Pipes {
    /// Makes them: `limits` are the bytes of stdout and stderr that may pass.
    ///
    /// # Errors
    /// pipe2(2).
    pub fn open(limits: [Option<u64>; 2]) -> Result<Self> {
        let mut pipes = Self { program: [None, None, None], streams: vec![] };
        for (number, limit) in [1_u8, 2].into_iter().zip(limits) {
            let Some(limit) = limit else { continue };
            let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).call("pipe2")?;
            sys::file::set_nonblocking(&read, true).call("fcntl")?;
            if let Some(slot) = pipes.program.get_mut(usize::from(number)) {
                *slot = Some(write);
            }
            pipes.streams.push(Stream { number, pipe: read, limit: Some(limit) });
        }
        Ok(pipes)
    }

    /// The ends that the program writes to.
    pub fn take_program_ends(&mut self) -> [Option<OwnedFd>; 3] {
        std::mem::take(&mut self.program)
    }
}

/// From here on the program's ends live on in the child alone.
pub fn close_streams(plan: &mut Plan) {
    for planned in &mut plan.steps {
        if let Step::RedirectStdio(streams) = &mut planned.step {
            *streams = [None, None, None];
        }
    }
}
