//! Leases: the layers that a running sandbox stands on stay while it lives. A lease is a file
//! that its holder locks; of a sandbox that outlives pinfold it names the first process.

use std::fs::File;

use serde::{Deserialize, Serialize};

use super::lock::{self, Hold};
use super::{Store, files};
use crate::error::{Call, Context, Error, Result};
use crate::image::json;
use crate::state::Process;
use crate::types::Digest;

/// What a lease says.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    version: u32,
    manifest: Digest,
    layers: Vec<Digest>,
    process: Option<Process>,
}

/// A lease that is held.
#[derive(Debug)]
pub struct Lease {
    dir: std::os::fd::OwnedFd,
    name: String,
    file: File,
    held: Held,
}

impl Store {
    /// Keeps these layers, and the blobs of this image, as long as the lease is held.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn lease(&self, manifest: &Digest, layers: Vec<Digest>) -> Result<Lease> {
        let name = files::random_name("")?;
        let file = lock::open(&self.leases, &name)?;
        lock::take(&file, Hold::Shared)?;
        let held = Held { version: 1, manifest: manifest.clone(), layers, process: None };
        let lease = Lease { dir: self.leases.try_clone().call("fcntl")?, name, file, held };
        lease.write()?;
        Ok(lease)
    }

    /// What is leased now. Leases that ended are removed: the caller has the store alone.
    pub(super) fn leased(&self) -> Result<(Vec<Digest>, Vec<Digest>)> {
        let (mut manifests, mut layers) = (vec![], vec![]);
        for name in files::names(&self.leases)? {
            let Some(mut file) = files::open_file(&self.leases, &name)? else { continue };
            let ended = lock::try_take(&file, Hold::Exclusive)?;
            let held: Option<Held> = json::parse(&files::read(&mut file, json::LARGEST)?).ok();
            let lives = match held.as_ref().and_then(|held| held.process.as_ref()) {
                Some(process) => process.lives()?,
                None => false,
            };
            match (ended && !lives, held) {
                (true, _) => files::unlink(&self.leases, &name)?,
                (false, Some(held)) => {
                    manifests.push(held.manifest);
                    layers.extend(held.layers);
                }
                (false, None) => {
                    return Err(Error::setup("a lease of a running sandbox cannot be read")
                        .object(files::shown(&name)));
                }
            }
        }
        Ok((manifests, layers))
    }
}

impl Lease {
    fn write(&self) -> Result<()> {
        let content = serde_json::to_vec(&self.held).map_err(|error| Error::internal(error.to_string()))?;
        self.file.set_len(0).call("ftruncate").on(&self.name)?;
        nix::sys::uio::pwrite(&self.file, &content, 0).call("pwrite").on(&self.name).map(drop)
    }

    /// Holds on after pinfold has ended, as long as this process lives.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn keep(mut self, process: &Process) -> Result<()> {
        self.held.process = Some(*process);
        self.write()
    }
}

/// What cannot be removed now is removed by `image gc`, which sees that nobody holds it.
impl Drop for Lease {
    fn drop(&mut self) {
        if self.held.process.is_none() {
            files::unlink(&self.dir, &self.name).ok();
        }
    }
}
