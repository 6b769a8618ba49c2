//! What pinfold and `pinfold-fetch` say to each other: one JSON object per packet of a
//! SOCK_SEQPACKET pair. Content never travels here, only through the pipe that came with a
//! request.
//!
//! Both programs compile this file. What comes from the fetcher is a stranger's word: a hostile
//! registry may have taken it over.

use serde::{Deserialize, Serialize};

/// Largest packet to the fetcher.
pub const LARGEST_REQUEST: usize = 16384;
/// Largest packet from it.
pub const LARGEST_REPLY: usize = 4096;
/// Most characters of a registry's words that are passed on.
pub const LONGEST_TEXT: usize = 512;

/// The first packet; the file of certificate authorities comes with it where one is named.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// HOST or HOST:PORT that is spoken to.
    pub location: String,
    /// Whether that is done in plain HTTP.
    pub plain_http: bool,
    /// The account there.
    pub login: Option<Login>,
    /// `http://HOST:PORT` of a proxy for https.
    pub proxy: Option<String>,
    /// Whether a file of certificate authorities is attached, which alone count then.
    pub has_authorities: bool,
    /// The user and group to become; `None`: the caller's own.
    pub become_id: Option<u32>,
    /// Without a byte for this long a connection counts as broken.
    pub stall_ms: u64,
    /// Ports besides 443 and 53 that may be connected to.
    pub ports: Vec<u16>,
}

/// An account.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password or token.
    pub secret: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// Every further packet to the fetcher; the pipe for the content comes with it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Repeated in the reply.
    pub id: u64,
    /// Repository in the registry.
    pub repository: String,
    /// What is wanted.
    pub what: What,
}

/// What is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// The manifest or index with this tag.
    Tag(String),
    /// The manifest or index with this digest.
    Manifest(String),
    /// A blob, from a byte on.
    Blob {
        /// Which.
        digest: String,
        /// Bytes that are there already.
        offset: u64,
    },
}

/// A packet from the fetcher: a request is over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Of the request; 0 of the start.
    pub id: u64,
    /// `None`: all of it is in the pipe.
    pub failed: Option<Failed>,
    /// What the kernel could not give, told at the start.
    pub note: Option<String>,
}

/// Why there is no more.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Its class.
    pub why: Why,
    /// The words for a person.
    pub text: String,
}

/// Classes of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The account is not good enough, or one is needed.
    Unauthorized,
    /// It is not there.
    NotFound,
    /// It will not get better by trying again.
    Refused,
    /// The network, or the registry for the moment.
    Broken,
}
