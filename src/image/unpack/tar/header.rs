//! One header block of 512 bytes.

use super::number;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// A header block whose checksum holds.
pub(super) struct Header<'b>(&'b [u8; BLOCK]);

/// Which fields lie behind the common ones.
enum Format {
    /// Nothing: the format of Unix V7.
    V7,
    /// POSIX: 155 bytes of prefix.
    Ustar,
    /// star: 131 bytes of prefix.
    Star,
    /// GNU: no prefix.
    Gnu,
}

impl<'b> Header<'b> {
    /// `None`: the checksum is another.
    pub(super) fn new(block: &'b [u8; BLOCK]) -> Option<Self> {
        let stored = number::field(block.get(148..156)?)?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (place, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&place) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            // Some old programs added signed characters.
            signed += i64::from(byte.cast_signed());
        }
        (stored == unsigned || stored == signed).then_some(Self(block))
    }

    fn bytes(&self, from: usize, to: usize) -> &'b [u8] {
        self.0.get(from..to).unwrap_or_default()
    }

    fn text(&self, from: usize, to: usize) -> &'b [u8] {
        let field = self.bytes(from, to);
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn format(&self) -> Format {
        match (self.bytes(257, 263), self.bytes(263, 265), self.bytes(508, 512)) {
            (b"ustar\0", _, b"tar\0") => Format::Star,
            (b"ustar\0", _, _) => Format::Ustar,
            (b"ustar ", b" \0", _) => Format::Gnu,
            _ => Format::V7,
        }
    }

    /// The type flag.
    pub(super) fn flag(&self) -> u8 {
        self.bytes(156, 157).first().copied().unwrap_or(0)
    }

    /// The name, with the prefix of the formats that have one.
    pub(super) fn name(&self) -> Vec<u8> {
        let prefix = match self.format() {
            Format::Ustar => self.text(345, 500),
            Format::Star => self.text(345, 476),
            Format::Gnu | Format::V7 => b"",
        };
        let name = self.text(0, 100);
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// The target of a link.
    pub(super) fn link_name(&self) -> &'b [u8] {
        self.text(157, 257)
    }

    /// Permission bits; some writers add the type's.
    pub(super) fn mode(&self) -> Option<u32> {
        let mode = number::field(self.bytes(100, 108))?;
        u32::try_from(mode & 0o7777).ok()
    }

    /// Owner and group, as numbers.
    pub(super) fn ids(&self) -> (Option<u64>, Option<u64>) {
        let id = |from, to| u64::try_from(number::field(self.bytes(from, to))?).ok();
        (id(108, 116), id(116, 124))
    }

    /// Bytes that follow.
    pub(super) fn size(&self) -> Option<u64> {
        u64::try_from(number::field(self.bytes(124, 136))?).ok()
    }

    /// Seconds since the epoch.
    pub(super) fn mtime(&self) -> Option<i64> {
        number::field(self.bytes(136, 148))
    }

    /// Major and minor number of a device.
    pub(super) fn device(&self) -> Option<(u32, u32)> {
        let (major, minor) = match self.format() {
            Format::V7 => (0, 0),
            _ => (number::field(self.bytes(329, 337))?, number::field(self.bytes(337, 345))?),
        };
        Some((u32::try_from(major).ok()?, u32::try_from(minor).ok()?))
    }

    /// Whether it has GNU's fields, where a sparse file's map stands.
    pub(super) fn is_gnu(&self) -> bool {
        matches!(self.format(), Format::Gnu)
    }

    /// The map of a sparse file in GNU's old form: four parts, whether more blocks follow, and
    /// the size of the file.
    pub(super) fn sparse(&self) -> Option<(&'b [u8], bool, u64)> {
        let more = self.bytes(482, 483).first().is_some_and(|byte| *byte != 0);
        let size = u64::try_from(number::field(self.bytes(483, 495))?).ok()?;
        Some((self.bytes(386, 482), more, size))
    }
}
