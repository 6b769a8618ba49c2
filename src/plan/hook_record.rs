//! How a hook ended and what it printed, stored by whoever ran it into the shared page.

use nix::errno::Errno;

use super::{Hook, HookKind, Records};

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// Its time was up, and it was killed.
    TimedOut,
    /// It was killed because the launch ended.
    Interrupted,
    /// It could not be executed.
    NotExecuted(Errno),
}

/// A stream of a hook that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// stdout.
    Out,
    /// stderr.
    Err,
}

/// What the page says of the last hook that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookEnd {
    /// Its kind.
    pub kind: HookKind,
    /// Its place among those of its kind.
    pub index: u16,
    /// How.
    pub how: How,
    /// The beginning of what it wrote to stdout.
    pub out: String,
    /// The beginning of what it wrote to stderr.
    pub err: String,
}

const END: usize = 8;
const NOT_EXECUTED: usize = 9;
/// Each text is a word with its length in bytes, and then its bytes.
const OUT: usize = 16;
const ERR: usize = 96;
const OUT_BYTES: usize = (ERR - OUT - 1) * 8;
const ERR_BYTES: usize = 255 * 8;
const SET: u64 = 1 << 63;

fn place(stream: Stream) -> (usize, usize) {
    match stream {
        Stream::Out => (OUT, OUT_BYTES),
        Stream::Err => (ERR, ERR_BYTES),
    }
}

impl Records {
    /// \[child\] A hook begins: what the one before it said is forgotten.
    pub fn hook_begins(&self) {
        [END, NOT_EXECUTED, OUT, ERR].into_iter().for_each(|word| self.store(word, 0));
    }

    /// \[child\] The process of a hook could not execute it.
    pub fn hook_not_executed(&self, errno: Errno) {
        self.store(NOT_EXECUTED, SET | u64::from((errno as i32).unsigned_abs()));
    }

    /// \[child\] A hook wrote this; what is beyond the page is dropped.
    pub fn hook_said(&self, stream: Stream, bytes: &[u8]) {
        let (start, room) = place(stream);
        let mut length = self.load(start);
        for byte in bytes {
            let Ok(at) = usize::try_from(length) else { return };
            if at >= room {
                return;
            }
            let (word, shift) = (start + 1 + at / 8, at % 8 * 8);
            let before = if shift == 0 { 0 } else { self.load(word) };
            self.store(word, before | u64::from(*byte) << shift);
            length += 1;
            self.store(start, length);
        }
    }

    /// \[child\] A hook ended so.
    pub fn hook_ended(&self, hook: &Hook, how: How) {
        let (code, value) = match how {
            How::Exited(code) => (1, code),
            How::Signaled(signal) => (2, signal),
            How::TimedOut => (3, 0),
            How::Interrupted => (4, 0),
            How::NotExecuted(errno) => (5, errno as i32),
        };
        let name = u64::from(hook.kind as u8) << 48 | u64::from(hook.index) << 32;
        self.store(END, SET | name | code << 56 | u64::from(value.unsigned_abs() & 0xffff));
    }

    /// \[child\] Why the process of a hook could not execute it.
    pub fn hook_errno(&self) -> Option<Errno> {
        let value = self.load(NOT_EXECUTED);
        (value & SET != 0).then(|| Errno::from_raw(low(value)))
    }

    /// The last hook that ended.
    pub fn hook_end(&self) -> Option<HookEnd> {
        let value = self.load(END);
        let kind = HookKind::ALL.into_iter().find(|kind| *kind as u64 == value >> 48 & 0xff)?;
        let how = match value >> 56 & 0x7f {
            1 => How::Exited(low(value)),
            2 => How::Signaled(low(value)),
            3 => How::TimedOut,
            4 => How::Interrupted,
            _ => How::NotExecuted(Errno::from_raw(low(value))),
        };
        let index = u16::try_from(value >> 32 & 0xffff).unwrap_or(u16::MAX);
        Some(HookEnd { kind, index, how, out: self.text(Stream::Out), err: self.text(Stream::Err) })
    }

    /// The page is a claim of whoever maps it: no length is believed beyond its room.
    fn text(&self, stream: Stream) -> String {
        let (start, room) = place(stream);
        let length = usize::try_from(self.load(start)).map_or(room, |length| length.min(room));
        let words = (0..length.div_ceil(8)).map(|word| self.load(start + 1 + word).to_le_bytes());
        let bytes: Vec<u8> = words.flatten().take(length).collect();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }
}

fn low(value: u64) -> i32 {
    i32::try_from(value & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::exec::CStringArray;

    fn hook(kind: HookKind, index: u16) -> Hook {
        let none = || CStringArray::new(vec![]);
        Hook {
            kind,
            index,
            path: c"/h".to_owned(),
            program: None,
            argv: none(),
            envp: none(),
            timeout_ms: None,
        }
    }

    #[test]
    fn an_end_comes_back_as_it_was_stored() {
        let (records, _fd) = Records::create().unwrap();
        assert_eq!(records.hook_end(), None);
        let all = [
            How::Exited(0),
            How::Exited(255),
            How::Signaled(9),
            How::TimedOut,
            How::Interrupted,
            How::NotExecuted(Errno::ENOENT),
        ];
        for (kind, how) in HookKind::ALL.into_iter().zip(all) {
            records.hook_begins();
            records.hook_said(Stream::Out, b"out");
            records.hook_said(Stream::Out, "püt and more".as_bytes());
            records.hook_said(Stream::Err, b"err\n");
            records.hook_ended(&hook(kind, 65535), how);
            let (out, err) = ("outpüt and more".to_owned(), "err".to_owned());
            assert_eq!(records.hook_end(), Some(HookEnd { kind, index: 65535, how, out, err }));
        }
        records.hook_begins();
        assert_eq!(records.hook_end(), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room() {
        let (records, _fd) = Records::create().unwrap();
        (0..600).for_each(|_| records.hook_said(Stream::Err, b"0123456789"));
        (0..600).for_each(|_| records.hook_said(Stream::Out, b"abc"));
        records.hook_ended(&hook(HookKind::Poststop, 0), How::TimedOut);
        let end = records.hook_end().unwrap();
        assert_eq!((end.err.len(), end.out.len()), (ERR_BYTES, OUT_BYTES));
        assert!(end.err.starts_with("0123456789012") && end.out.starts_with("abcabc"));
        assert!(records.failure().is_none() && records.entered().is_none(), "the other records are whole");
    }
}
