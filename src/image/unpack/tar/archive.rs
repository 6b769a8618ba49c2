//! The stream as a sequence of entries.

use std::io::BufRead;

use super::header::{BLOCK, Header};
use super::name::{clean, escaped};
use super::pax::{self, Records};
use super::sparse::{self, Form};
use super::{Entry, Kind, Part, number};
use crate::error::{Error, Kind as Class, Result};
use crate::image::unpack::Limits;

/// Reads entries from a decompressed stream.
pub struct Archive<R> {
    stream: R,
    limits: Limits,
    /// Bytes read so far.
    offset: u64,
    /// What is left of the present entry's content.
    content: u64,
    /// What fills its last block.
    padding: u64,
    /// Where the present entry begins, and its name as far as it is known.
    present: (u64, Vec<u8>),
}

/// What extended headers said before the entry that they are about.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Option<Records>,
}

impl<R: BufRead> Archive<R> {
    /// An archive that begins here.
    pub fn new(stream: R, limits: Limits) -> Self {
        Self { stream, limits, offset: 0, content: 0, padding: 0, present: (0, vec![]) }
    }

    /// An error about the present entry.
    pub fn fault(&self, text: impl Into<String>) -> Error {
        self.name_entry(Error::new(Class::ImageFailed, text))
    }

    /// The same error with the present entry's name and place.
    pub fn name_entry(&self, error: Error) -> Error {
        let (offset, name) = &self.present;
        let name = if name.is_empty() { "." } else { &escaped(name) };
        error.object(format!("entry \"{name}\" at offset {offset}")).kind(Class::ImageFailed)
    }

    /// The next entry; what is left of the content of the one before is passed over. After the
    /// last one the rest of the stream has been read, and is zeros.
    ///
    /// # Errors
    /// The stream is damaged, ends early, breaks a limit or a rule.
    pub fn entry(&mut self) -> Result<Option<Entry>> {
        self.pass_content()?;
        self.present = (self.offset, vec![]);
        let mut extended = Extended::default();
        loop {
            let at = self.offset;
            let Some(block) = self.header()? else {
                return match extended.is_empty() {
                    true => Ok(None),
                    false => Err(self.fault("the archive ends after an extended header")),
                };
            };
            let Some(header) = Header::new(&block) else {
                self.present.0 = at;
                return Err(self.fault("this is no tar header: its checksum is wrong"));
            };
            if self.present.1.is_empty() {
                self.present.1 = header.name();
            }
            match header.flag() {
                b'x' => self.extended_records(&header, &mut extended)?,
                b'g' => self.global(&header)?,
                b'L' => extended.name = Some(self.long(&header, extended.name.is_some())?),
                b'K' => extended.link = Some(self.long(&header, extended.link.is_some())?),
                _ => return self.finish(&header, extended).map(Some),
            }
        }
    }

    /// Gives the content of the entry that [`Archive::entry`] returned, piece by piece.
    ///
    /// # Errors
    /// The stream ends early; those of `take`.
    pub fn content(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while self.content > 0 {
            let length = self.piece(self.content, |piece| take(piece))?;
            if length == 0 {
                return Err(self.fault("the archive ends inside of its content"));
            }
            self.content -= length;
        }
        Ok(())
    }

    /// One piece of at most `most` bytes; 0 is the end of the stream.
    fn piece(&mut self, most: u64, take: impl FnOnce(&[u8]) -> Result<()>) -> Result<u64> {
        let available = match self.stream.fill_buf() {
            Ok(available) => available,
            Err(error) => return Err(self.fault(error.to_string())),
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let piece = available.get(..most).unwrap_or(available);
        let length = piece.len();
        if length > 0 {
            take(piece)?;
        }
        self.stream.consume(length);
        let length = length as u64;
        self.offset += length;
        Ok(length)
    }

    fn pass_content(&mut self) -> Result<()> {
        self.content += std::mem::take(&mut self.padding);
        self.content(|_| Ok(()))
    }

    /// `None`: the stream ends here.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let length = self.piece((BLOCK - filled) as u64, |piece| {
                if let Some(room) = block.get_mut(filled..filled + piece.len()) {
                    room.copy_from_slice(piece);
                }
                Ok(())
            })?;
            if length == 0 {
                return match filled {
                    0 => Ok(None),
                    _ => Err(self.fault("the archive ends inside of a header")),
                };
            }
            filled += usize::try_from(length).unwrap_or(BLOCK);
        }
        Ok(Some(block))
    }

    /// The next header block, `None` at the end: two blocks of zeros, or the end of the stream
    /// between two entries, as Go's reader has it.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        // What stands behind the end would be content that scanners of the tree never see.
        loop {
            match self.piece(u64::MAX, zeros) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(error.object(format!("offset {}", self.offset))),
            }
        }
    }

    fn extended_records(&mut self, header: &Header<'_>, extended: &mut Extended) -> Result<()> {
        let text = self.meta(header)?;
        let records = pax::read(&text).map_err(|flaw| self.fault(flaw))?;
        if extended.records.is_some() {
            return Err(self.fault("two pax headers for one entry"));
        }
        if let Some(path) = &records.path {
            self.present.1.clone_from(path);
        }
        extended.records = Some(records);
        Ok(())
    }

    /// A global header: Go's reader ignores it, GNU tar obeys it.
    fn global(&mut self, header: &Header<'_>) -> Result<()> {
        let text = self.meta(header)?;
        let records = pax::read(&text).map_err(|flaw| self.fault(flaw))?;
        match records.is_empty() {
            true => Ok(()),
            false => Err(self.fault("a global pax header changes entries")),
        }
    }

    /// GNU's long name, which ends with a NUL.
    fn long(&mut self, header: &Header<'_>, again: bool) -> Result<Vec<u8>> {
        if again {
            return Err(self.fault("two long names for one entry"));
        }
        let mut name = self.meta(header)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        if header.flag() == b'L' {
            self.present.1.clone_from(&name);
        }
        Ok(name)
    }

    /// The content of an extended header.
    fn meta(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let size = self.of(header.size(), "size")?;
        if size > self.limits.header_bytes as u64 {
            let text = format!("an extended header has more than {} bytes", self.limits.header_bytes);
            return Err(self.fault(text));
        }
        let mut content = vec![];
        (self.content, self.padding) = (size, padding(size));
        self.content(|piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        self.pass_content()?;
        Ok(content)
    }

    /// A number that must be there.
    fn of<T>(&self, number: Option<T>, what: &str) -> Result<T> {
        number.ok_or_else(|| self.fault(format!("its {what} is no number that can be")))
    }

    /// The entry that header and extended headers make together.
    fn finish(&mut self, header: &Header<'_>, extended: Extended) -> Result<Entry> {
        let records = extended.records.unwrap_or_default();
        let sparse_name = records.sparse.name.clone();
        let name = sparse_name.or(records.path).or(extended.name).unwrap_or_else(|| header.name());
        self.present.1.clone_from(&name);
        let link = records.linkpath.or(extended.link).unwrap_or_else(|| header.link_name().to_vec());
        let kind = self.kind(header, &name, link)?;
        let (uid, gid) = header.ids();
        let mut entry = Entry {
            offset: self.present.0,
            name: self.clean(&name)?,
            kind,
            mode: self.of(header.mode(), "mode")?,
            uid: self.of(records.uid.or(uid).and_then(number::id), "owner")?,
            gid: self.of(records.gid.or(gid).and_then(number::id), "group")?,
            mtime: (self.of(header.mtime(), "time")?, 0),
            xattrs: records.xattrs,
            size: 0,
            parts: vec![],
        };
        entry.mtime = records.mtime.unwrap_or(entry.mtime);
        let announced = self.of(header.size(), "size")?;
        let stored = records.size.unwrap_or(announced);
        if entry.kind == Kind::File {
            (self.content, self.padding) = (stored, padding(stored));
            self.file(header, stored, &records.sparse, &mut entry)?;
        } else if records.sparse != pax::Sparse::default() {
            return Err(self.fault("it is sparse and no file"));
        }
        // Go's reader: what is no file has no content, whatever its size says.
        Ok(entry)
    }

    fn clean(&self, name: &[u8]) -> Result<Vec<u8>> {
        if name.len() > self.limits.name_bytes {
            return Err(self.fault(format!("its name has more than {} bytes", self.limits.name_bytes)));
        }
        let clean = clean(name).ok_or_else(|| self.fault("its name has a component `..`"))?;
        let depth = clean.iter().filter(|byte| **byte == b'/').count() + 1;
        if depth > self.limits.depth {
            return Err(self.fault(format!("its name has more than {} components", self.limits.depth)));
        }
        match clean.split(|byte| *byte == b'/').any(|component| component.len() > 255) {
            true => Err(self.fault("a component of its name has more than 255 bytes")),
            false => Ok(clean),
        }
    }

    fn kind(&self, header: &Header<'_>, name: &[u8], link: Vec<u8>) -> Result<Kind> {
        if link.len() > self.limits.name_bytes {
            let text = format!("its target has more than {} bytes", self.limits.name_bytes);
            return Err(self.fault(text));
        }
        Ok(match header.flag() {
            // V7 knows a directory by the slash.
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::Link(self.clean(&link)?),
            b'2' => Kind::Symlink(link),
            b'3' | b'4' => {
                let (major, minor) = self.of(header.device(), "device number")?;
                if header.flag() == b'3' { Kind::Character(major, minor) } else { Kind::Block(major, minor) }
            }
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                let text = format!("its type `{}` is none of an image's", other.escape_ascii());
                return Err(self.fault(text));
            }
        })
    }

    /// Size and parts of a file, and its content's length once a map before it is read.
    fn file(
        &mut self,
        header: &Header<'_>,
        stored: u64,
        sparse: &pax::Sparse,
        entry: &mut Entry,
    ) -> Result<()> {
        let form = sparse.form().map_err(|flaw| self.fault(flaw))?;
        let old = header.flag() == b'S';
        match form {
            Form::Whole if old => {
                let (size, parts) = self.old_map(header)?;
                (entry.size, entry.parts) = (size, parts);
            }
            Form::Whole => {
                entry.size = stored;
                entry.parts = vec![Part { offset: 0, length: stored }];
                return Ok(());
            }
            _ if old => return Err(self.fault("it is sparse in two ways")),
            Form::InRecords => {
                entry.parts = sparse::parts(&sparse.map).map_err(|flaw| self.fault(flaw))?;
                entry.size = self.of(sparse.size, "sparse size")?;
            }
            Form::InContent => {
                entry.size = self.of(sparse.size, "sparse size")?;
                entry.parts = self.map_in_content()?;
            }
        }
        sparse::check(&entry.parts, self.content, entry.size).map_err(|flaw| self.fault(flaw))
    }

    /// The map of the old form: four parts in the header, more in blocks behind it.
    fn old_map(&mut self, header: &Header<'_>) -> Result<(u64, Vec<Part>)> {
        let map = header.sparse().filter(|_| header.is_gnu());
        let (first, mut more, size) = self.of(map, "sparse map")?;
        let mut parts = vec![];
        sparse::add_binary(first, &mut parts).map_err(|flaw| self.fault(flaw))?;
        let mut bytes = 0;
        while more {
            let block = self.block()?.ok_or_else(|| self.fault("the archive ends inside of a sparse map"))?;
            bytes += BLOCK;
            self.map_fits(bytes)?;
            let map = block.get(..504).unwrap_or_default();
            sparse::add_binary(map, &mut parts).map_err(|flaw| self.fault(flaw))?;
            more = block.get(504).is_some_and(|byte| *byte != 0);
        }
        Ok((size, parts))
    }

    /// The map of 1.0 is part of the content, in blocks of its own.
    fn map_in_content(&mut self) -> Result<Vec<Part>> {
        let mut map = sparse::TextMap::default();
        let mut bytes = 0;
        loop {
            bytes += BLOCK;
            self.map_fits(bytes)?;
            let left = self.content.checked_sub(BLOCK as u64);
            self.content = left.ok_or_else(|| self.fault("the sparse map is longer than the content"))?;
            let block = self.block()?.ok_or_else(|| self.fault("the archive ends inside of a sparse map"))?;
            if let Some(parts) = map.push(&block).map_err(|flaw| self.fault(flaw))? {
                return Ok(parts);
            }
        }
    }

    fn map_fits(&self, bytes: usize) -> Result<()> {
        match bytes > self.limits.header_bytes {
            true => {
                Err(self.fault(format!("its sparse map has more than {} bytes", self.limits.header_bytes)))
            }
            false => Ok(()),
        }
    }
}

impl Extended {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.records.is_none()
    }
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

fn zeros(piece: &[u8]) -> Result<()> {
    match piece.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(Error::new(Class::ImageFailed, "something follows the end of the archive")),
    }
}
