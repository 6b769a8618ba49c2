//! What pinfold makes itself, and what it shows of the host: data, no decisions.

use std::path::PathBuf;

use super::Made;

/// The user id of the tool inside.
pub const TOOL_UID: u32 = 1000;
/// The group id of the tool inside.
pub const TOOL_GID: u32 = 1000;
/// The host name inside, as /etc/hostname and /etc/hosts have it.
pub const HOSTNAME: &str = "sandbox";

/// A part of the skeleton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Dir {
        /// Absolute, in the root.
        path: &'static str,
        /// Permission bits.
        mode: u32,
    },
    /// A file of the project's rootfs/ directory.
    File {
        /// Absolute, in the root.
        path: &'static str,
        /// Permission bits.
        mode: u32,
        /// Its text.
        content: &'static str,
    },
    /// A symbolic link.
    Link {
        /// Absolute, in the root.
        path: &'static str,
        /// What the link says.
        target: &'static str,
    },
}

impl Entry {
    pub(super) fn to_made(self) -> Made {
        match self {
            Self::Dir { path, mode } => Made::Dir { path: PathBuf::from(path), mode },
            Self::File { path, mode, content } => Made::File { path: PathBuf::from(path), mode, content },
            Self::Link { path, target } => {
                Made::Link { path: PathBuf::from(path), target: PathBuf::from(target) }
            }
        }
    }
}

/// Host objects that are shown read-only at the same place inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostBind {
    /// On the host.
    pub source: &'static str,
    /// In the root.
    pub destination: &'static str,
    /// A host without it has a root without it.
    pub optional: bool,
}

const fn dir(path: &'static str, mode: u32) -> Entry {
    Entry::Dir { path, mode }
}

const fn link(path: &'static str, target: &'static str) -> Entry {
    Entry::Link { path, target }
}

macro_rules! file {
    ($path:literal) => {
        Entry::File { path: $path, mode: 0o644, content: include_str!(concat!("../../rootfs", $path)) }
    };
}

static SKELETON: &[Entry] = &[
    dir("/dev", 0o755),
    dir("/proc", 0o555),
    dir("/sys", 0o555),
    dir("/run", 0o755),
    dir("/tmp", 0o1777),
    dir("/etc", 0o755),
    dir("/home", 0o755),
    dir("/home/tool", 0o755),
    file!("/etc/passwd"),
    file!("/etc/group"),
    file!("/etc/hosts"),
    file!("/etc/hostname"),
    file!("/etc/nsswitch.conf"),
    file!("/etc/resolv.conf"),
    file!("/etc/machine-id"),
    link("/etc/mtab", "../proc/self/mounts"),
    link("/etc/os-release", "../usr/lib/os-release"),
];

const fn required(path: &'static str) -> HostBind {
    HostBind { source: path, destination: path, optional: false }
}

const fn optional(path: &'static str) -> HostBind {
    HostBind { source: path, destination: path, optional: true }
}

static HOST_BINDS: &[HostBind] = &[
    required("/usr"),
    // Links into /usr where it is merged, directories where it is not.
    required("/bin"),
    optional("/sbin"),
    required("/lib"),
    optional("/lib32"),
    optional("/lib64"),
    optional("/libx32"),
    // Which library and which of several programs a name means.
    optional("/etc/ld.so.cache"),
    optional("/etc/ld-musl-x86_64.path"),
    optional("/etc/ld-musl-aarch64.path"),
    optional("/etc/alternatives"),
    // Whom TLS trusts: Debian, Fedora, Arch, Alpine, openSUSE. No directory with private keys.
    optional("/etc/ssl/certs"),
    optional("/etc/ssl/cert.pem"),
    optional("/etc/ssl/openssl.cnf"),
    optional("/etc/pki/tls/certs"),
    optional("/etc/pki/tls/cert.pem"),
    optional("/etc/pki/tls/openssl.cnf"),
    optional("/etc/pki/ca-trust"),
    optional("/etc/ca-certificates/extracted"),
    optional("/etc/crypto-policies"),
    // Time zone, and the names of ports and protocols.
    optional("/etc/localtime"),
    optional("/etc/timezone"),
    optional("/etc/protocols"),
    optional("/etc/services"),
];

/// What pinfold makes itself. Parents stand before what is in them.
pub fn skeleton() -> &'static [Entry] {
    SKELETON
}

/// What is shown of the host, in the order of attaching.
pub fn host_binds() -> &'static [HostBind] {
    HOST_BINDS
}
