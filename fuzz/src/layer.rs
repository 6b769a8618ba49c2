//! A layer → a tree in a jail with a canary: nothing outside changes, whatever came of it can be removed
//! again, and the tree stays within its limits.

use std::fs;
use std::os::fd::AsFd;

use pinfold::image::unpack::{Compression, Limits, Options, Owners, Whiteouts, here, tree};

use super::jail::Jail;

const ENTRIES: u64 = 200;

pub fn layer(blob: &[u8]) {
    let jail = Jail::new();
    let directory = jail.open_inside();
    // What the layer may want to take away, or to write through.
    std::os::unix::fs::symlink(jail.outside(), jail.inside().join("link")).unwrap();
    fs::create_dir(jail.inside().join("below")).unwrap();
    fs::write(jail.inside().join("below/file"), "of the layer below").unwrap();
    let limits = Limits {
        total_bytes: 1 << 20,
        single_file: 1 << 20,
        entries: ENTRIES,
        depth: 16,
        ..Limits::default()
    };
    for whiteouts in [Whiteouts::Apply, Whiteouts::Overlay { userxattr: true }] {
        let options = Options { limits, whiteouts, owners: Owners::Caller, ..Options::default() };
        let compression = match blob.first() {
            Some(0x1f) => Compression::Gzip,
            Some(0x28) => Compression::Zstd,
            _ => Compression::None,
        };
        // Refused or not: what stands there is below the directory.
        here::unpack(blob, compression, directory.as_fd(), &options).ok();
        jail.check();
    }
    tree::empty(directory.as_fd()).unwrap();
    assert_eq!(fs::read_dir(jail.inside()).unwrap().count(), 0);
    jail.check();
}
