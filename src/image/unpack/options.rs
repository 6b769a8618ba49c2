//! What a caller of the unpacker decides. All of it crosses to the confined child as JSON.

use serde::{Deserialize, Serialize};

/// How a layer is compressed: what its media type says. The content has to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952; members one after the other are one stream.
    Gzip,
    /// RFC 8878; frames one after the other are one stream, skippable ones are skipped.
    Zstd,
}

/// What one layer may cost. A layer that costs more is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of the blob as it is stored.
    pub blob_bytes: u64,
    /// Bytes of the decompressed stream, and, counted apart, of all files as stat(2) shows them.
    pub total_bytes: u64,
    /// Bytes of one file as stat(2) shows it, holes included.
    pub single_file: u64,
    /// Entries of the archive, and, counted apart, directories that it only implies.
    pub entries: u64,
    /// Components of a name.
    pub depth: usize,
    /// Bytes of a name or of a link's target.
    pub name_bytes: usize,
    /// Bytes of one extended header.
    pub header_bytes: usize,
    /// Decompressed bytes per compressed byte, asked once 64 MiB are decompressed.
    pub ratio: u64,
    /// Seconds until the unpacker is killed.
    pub seconds: u64,
    /// Bytes of memory (address space) of the unpacker.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob_bytes: 16 << 30,
            total_bytes: 64 << 30,
            single_file: 32 << 30,
            entries: 1 << 20,
            depth: 128,
            name_bytes: 4095,
            header_bytes: 1 << 20,
            ratio: 400,
            seconds: 1800,
            memory: 1 << 30,
        }
    }
}

/// What becomes of device nodes. A character device 0:0 is a whiteout and always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Devices {
    /// The layer is refused.
    Refuse,
    /// They are left out, and counted: a runtime makes its own /dev.
    Skip,
    /// They are made. Only root can; the unpacker then keeps the host's user namespace.
    Make,
}

/// What becomes of something that a layer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Treatment {
    /// The tree has it.
    Keep,
    /// The tree has the file without it.
    Strip,
    /// The layer is refused.
    Refuse,
}

/// One range of a user namespace's map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// First id as the layer says it.
    pub inside: u32,
    /// First id on disk.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Who owns the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owners {
    /// The ids that the layer says. Only root can.
    Keep,
    /// The ids that the layer says, through maps; an id outside of them is an error. For a
    /// caller without privilege the first range is its own id, and the others come from
    /// /etc/subuid and /etc/subgid (newuidmap(1) must agree).
    Map {
        /// Users.
        uids: Vec<IdMap>,
        /// Groups.
        gids: Vec<IdMap>,
    },
    /// Everything belongs to the caller, whatever the layer says.
    Caller,
}

/// What a layer takes away from the layers below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whiteouts {
    /// The tree is a lower directory of overlayfs: a whiteout is a character device 0:0, an
    /// opaque directory has the xattr `trusted.overlay.opaque` or `user.overlay.opaque`.
    Overlay {
        /// Whether it is the user's, for a mount with `userxattr`.
        userxattr: bool,
    },
    /// The tree holds the layers below; what the layer takes away is removed from it.
    Apply,
}

/// Everything that is decided about one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// What it may cost.
    pub limits: Limits,
    /// Device nodes.
    pub devices: Devices,
    /// Named pipes: a fifo is made, left out or refused.
    pub fifos: Treatment,
    /// Set-user-ID and set-group-ID bits of what is no directory.
    pub setuid: Treatment,
    /// `security.capability`.
    pub file_capabilities: Treatment,
    /// Owners.
    pub owners: Owners,
    /// Whiteouts.
    pub whiteouts: Whiteouts,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            devices: Devices::Skip,
            fifos: Treatment::Keep,
            setuid: Treatment::Keep,
            file_capabilities: Treatment::Keep,
            owners: Owners::Keep,
            whiteouts: Whiteouts::Overlay { userxattr: false },
        }
    }
}

impl Options {
    /// Whether `security.capability` is written.
    pub(super) fn keeps_capabilities(&self) -> bool {
        self.file_capabilities == Treatment::Keep
    }
}

/// What a layer came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// SHA-256 of the decompressed stream: the layer's diffID.
    pub diff_id: [u8; 32],
    /// SHA-256 of the blob as it was read.
    pub blob_digest: [u8; 32],
    /// Bytes of the blob.
    pub blob_bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of all files as stat(2) shows them.
    pub bytes: u64,
    /// Device nodes and fifos that were left out.
    pub skipped: u64,
    /// Directories that the layer does not describe and only has entries in (`` is the root).
    /// Theirs should be the attributes of the directory below; here they are 0755 and root's.
    pub implied: Vec<std::path::PathBuf>,
    /// Means of confinement that this kernel lacks (Landlock).
    pub degraded: Vec<String>,
}
