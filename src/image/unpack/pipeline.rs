//! Decompressing and hashing beside the writing of files: two threads hand buffers on, the
//! caller's reads the stream out of them. The buffers go round, so memory is bounded.
//!
//! Threads are fine here: this is the unpacker's own process, confined before the first one
//! starts, and no clone3 follows.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use sha2::{Digest, Sha256};

use super::decompress::Decompressed;

/// Bytes of one buffer: large enough that handing it on costs nothing, small enough for a cache.
const BUFFER: usize = 256 << 10;
/// Buffers on their way.
const BUFFERS: usize = 8;

/// A piece of the stream, or why it ends; an empty piece is its end.
type Piece = io::Result<(Vec<u8>, usize)>;

/// The decompressed stream, to be read in the calling thread.
pub(super) struct Stream {
    pieces: Receiver<Piece>,
    /// Where emptied buffers go.
    empty: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    filled: usize,
    used: usize,
    ended: bool,
}

/// Starts the threads. The handle gives the digest of the stream, once it was read to its end.
pub(super) fn start<'scope, R: Read + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    stream: Decompressed<R>,
) -> io::Result<(Stream, ScopedJoinHandle<'scope, [u8; 32]>)> {
    let (empty, emptied) = channel();
    let (to_hasher, from_decoder) = sync_channel::<Piece>(BUFFERS);
    let (to_reader, pieces) = sync_channel::<Piece>(BUFFERS);
    for _ in 0..BUFFERS {
        empty.send(vec![0; BUFFER]).map_err(io::Error::other)?;
    }
    #[cfg(target_env = "musl")]
    crate::sys::heap::share();
    named("decompress").spawn_scoped(scope, move || decompress(stream, &emptied, &to_hasher))?;
    let hasher = named("hash").spawn_scoped(scope, move || hash(&from_decoder, &to_reader))?;
    let stream = Stream { pieces, empty, buffer: vec![], filled: 0, used: 0, ended: false };
    Ok((stream, hasher))
}

fn named(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned()).stack_size(512 << 10)
}

/// Ends with the stream, or when nobody takes its pieces any more.
fn decompress<R: Read>(mut stream: Decompressed<R>, emptied: &Receiver<Vec<u8>>, to: &SyncSender<Piece>) {
    while let Ok(mut buffer) = emptied.recv() {
        let piece = stream.fill(&mut buffer).map(|length| (buffer, length));
        let last = !matches!(&piece, Ok((_, length)) if *length > 0);
        if to.send(piece).is_err() || last {
            return;
        }
    }
}

fn hash(from: &Receiver<Piece>, to: &SyncSender<Piece>) -> [u8; 32] {
    let mut digest = Sha256::new();
    while let Ok(piece) = from.recv() {
        if let Ok((buffer, length)) = &piece {
            digest.update(buffer.get(..*length).unwrap_or_default());
        }
        if to.send(piece).is_err() {
            break;
        }
    }
    digest.finalize().into()
}

impl Stream {
    fn next(&mut self) -> io::Result<()> {
        let piece = self.pieces.recv().map_err(|_gone| io::Error::other("the decompressor is gone"))?;
        let (buffer, filled) = piece.inspect_err(|_| self.ended = true)?;
        let old = std::mem::replace(&mut self.buffer, buffer);
        (self.filled, self.used) = (filled, 0);
        self.ended = filled == 0;
        if !old.is_empty() {
            // At the end of the stream nobody takes it.
            self.empty.send(old).ok();
        }
        Ok(())
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.filled && !self.ended {
            self.next()?;
        }
        Ok(self.buffer.get(self.used..self.filled).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.used = (self.used + amount).min(self.filled);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        match (buffer.get_mut(..length), available.get(..length)) {
            (Some(room), Some(bytes)) => room.copy_from_slice(bytes),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        self.consume(length);
        Ok(length)
    }
}
