//! Reading a tar stream: POSIX.1-2001 pax, ustar, GNU and V7 (tar(5), GNU tar manual
//! "Basic Tar Format").
//!
//! Strict: where two readers of this field understand the same bytes differently, the stream
//! is refused. Where Go's archive/tar, which made most images, reads in one way only, so does
//! this. Nothing here touches the file system.

mod archive;
mod header;
mod name;
mod number;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;

pub use archive::Archive;
pub use name::escaped;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its content follows in the stream.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, with its target.
    Symlink(Vec<u8>),
    /// A hard link, with the cleaned name of its target.
    Link(Vec<u8>),
    /// A character device: major, minor.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// A part of a file that is stored; what lies between parts is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// One entry, as all its headers together say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where its first header is in the stream.
    pub offset: u64,
    /// Components joined by `/`, none of them empty, `.` or `..`; empty is the root.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds and nanoseconds since the epoch.
    pub mtime: (i64, i64),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of a file as stat(2) shows it.
    pub size: u64,
    /// The stored parts of a file, ascending.
    pub parts: Vec<Part>,
}
