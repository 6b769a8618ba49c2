//! The blob as the stream that it is said to hold: RFC 1952 (gzip), RFC 8878 (zstd).

use std::io::{self, BufRead, BufReader, Read};

use super::{Compression, Limits};

/// Bytes read from the blob at once.
const BUFFER: usize = 256 << 10;
/// The most memory that a zstd frame may ask for, as a power of two: what `zstd --ultra` uses.
const WINDOW_LOG: u32 = 27;
/// From where the ratio is asked: a small layer may well be all zeros.
const RATIO_FROM: u64 = 64 << 20;

/// The decompressed stream, within its limits.
pub(super) struct Decompressed<R: Read> {
    decoder: Decoder<R>,
    limits: Limits,
    given: u64,
}

enum Decoder<R: Read> {
    Plain(Blob<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Blob<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Blob<R>>),
}

/// The compressed bytes, counted.
struct Blob<R> {
    inner: BufReader<R>,
    taken: u64,
    most: u64,
}

impl<R: Read> Decompressed<R> {
    /// Looks at the first bytes: what they are must be what the media type said.
    pub(super) fn new(blob: R, compression: Compression, limits: Limits) -> io::Result<Self> {
        let inner = BufReader::with_capacity(BUFFER, blob);
        let mut blob = Blob { inner, taken: 0, most: limits.blob_bytes };
        let found = found(blob.fill_buf()?);
        if found != name(compression) {
            return Err(damaged(format!(
                "the media type says {}, the content is {found}",
                name(compression)
            )));
        }
        let decoder = match compression {
            Compression::None => Decoder::Plain(blob),
            Compression::Gzip => Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(blob))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(blob)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Decoder::Zstd(decoder)
            }
        };
        Ok(Self { decoder, limits, given: 0 })
    }

    /// Fills the buffer as far as the stream goes.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let read = match self.decoder.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|error| damaged(format!("after {} bytes: {error}", self.given)))?,
            };
            if read == 0 {
                break;
            }
            filled += read;
            self.given += read as u64;
        }
        self.within_limits()?;
        Ok(filled)
    }

    fn within_limits(&self) -> io::Result<()> {
        let Limits { total_bytes, ratio, .. } = self.limits;
        if self.given > total_bytes {
            return Err(damaged(format!("it has more than {total_bytes} bytes decompressed")));
        }
        let taken = self.decoder.taken().max(1);
        match self.given > RATIO_FROM && self.given / taken > ratio {
            true => Err(damaged(format!("it decompresses to more than {ratio} times its size"))),
            false => Ok(()),
        }
    }
}

impl<R: Read> Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(blob) => blob.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }

    fn taken(&self) -> u64 {
        match self {
            // A plain stream is its own size.
            Self::Plain(_) => u64::MAX,
            Self::Gzip(decoder) => decoder.get_ref().taken,
            Self::Zstd(decoder) => decoder.get_ref().taken,
        }
    }
}

impl<R: Read> Read for Blob<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count(read)?;
        Ok(read)
    }
}

impl<R: Read> BufRead for Blob<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.taken > self.most {
            true => Err(damaged(format!("the blob has more than {} bytes", self.most))),
            false => self.inner.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount as u64;
        self.inner.consume(amount);
    }
}

impl<R> Blob<R> {
    fn count(&mut self, read: usize) -> io::Result<()> {
        self.taken += read as u64;
        match self.taken > self.most {
            true => Err(damaged(format!("the blob has more than {} bytes", self.most))),
            false => Ok(()),
        }
    }
}

fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "plain",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    }
}

/// What content begins like this. No tar header does: its checksum would be wrong.
fn found(start: &[u8]) -> &'static str {
    match start {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => "zstd",
        [b'B', b'Z', b'h', ..] => "bzip2",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        _ => "plain",
    }
}

fn damaged(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
