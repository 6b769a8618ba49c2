//! Writes tar streams, also those that no tar program would write.

/// A stream in the making.
#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

/// A header before its checksum.
#[derive(Clone)]
pub struct Header(pub [u8; 512]);

impl Header {
    pub fn new(flag: u8, name: &[u8]) -> Self {
        let mut header = Self([0; 512]);
        header.put(0, &name[..name.len().min(100)]);
        header.put(257, b"ustar\x0000");
        header.0[156] = flag;
        header.octal(100, 8, 0o644).octal(108, 8, 0).octal(116, 8, 0).octal(124, 12, 0).octal(
            136,
            12,
            1_000_000_000,
        );
        header
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn octal(&mut self, at: usize, width: usize, value: u64) -> &mut Self {
        let text = format!("{value:0width$o}\0", width = width - 1);
        self.put(at, text.as_bytes())
    }

    pub fn mode(&mut self, mode: u64) -> &mut Self {
        self.octal(100, 8, mode)
    }

    pub fn ids(&mut self, uid: u64, gid: u64) -> &mut Self {
        self.octal(108, 8, uid).octal(116, 8, gid)
    }

    pub fn size(&mut self, size: u64) -> &mut Self {
        self.octal(124, 12, size)
    }

    pub fn target(&mut self, target: &[u8]) -> &mut Self {
        self.put(157, target)
    }

    pub fn device(&mut self, major: u64, minor: u64) -> &mut Self {
        self.octal(329, 8, major).octal(337, 8, minor)
    }

    fn sealed(&self) -> [u8; 512] {
        let mut block = self.0;
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    /// A header as it is, and content with its padding.
    pub fn raw(mut self, header: &Header, content: &[u8]) -> Self {
        self.0.extend_from_slice(&header.sealed());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn dir(self, name: &str) -> Self {
        self.raw(Header::new(b'5', name.as_bytes()).mode(0o755), b"")
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(Header::new(b'0', name.as_bytes()).size(content.len() as u64), content)
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(Header::new(b'2', name.as_bytes()).mode(0o777).target(target.as_bytes()), b"")
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.raw(Header::new(b'1', name.as_bytes()).target(target.as_bytes()), b"")
    }

    /// A pax header for the entry that follows.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', &records_text(records))
    }

    /// An extended header of any type with any content.
    pub fn extended(self, flag: u8, content: &[u8]) -> Self {
        self.raw(Header::new(flag, b"extended").size(content.len() as u64), content)
    }

    /// With the two blocks of zeros.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// Without them.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }
}

pub fn records_text(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = vec![];
    for (keyword, value) in records {
        let body = 1 + keyword.len() + 1 + value.len() + 1;
        let mut length = body + 1;
        while length != body + length.to_string().len() {
            length = body + length.to_string().len();
        }
        text.extend_from_slice(format!("{length} {keyword}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text
}
