//! tar → tree, in a directory of its own beside a canary: never a panic, nothing outside changes,
//! and the tree can be removed again.
#![no_main]

use std::fs::{self, File};
use std::os::fd::AsFd;

use libfuzzer_sys::fuzz_target;
use pinfold::image::unpack::{Compression, Limits, Options, Owners, Whiteouts, here, tree};

fuzz_target!(|blob: &[u8]| {
    let top = std::env::temp_dir().join(format!("pinfold-fuzz-{}", std::process::id()));
    let staging = top.join("staging");
    fs::create_dir_all(&staging).unwrap();
    fs::write(top.join("canary"), "untouched").unwrap();
    let directory = File::open(&staging).unwrap();
    let limits = Limits { total_bytes: 1 << 20, single_file: 1 << 20, entries: 1000, ..Limits::default() };
    for whiteouts in [Whiteouts::Apply, Whiteouts::Overlay { userxattr: true }] {
        let options = Options { limits, whiteouts, owners: Owners::Caller, ..Options::default() };
        let first = blob.first().copied().unwrap_or(0);
        let compression = match first {
            0x1f => Compression::Gzip,
            0x28 => Compression::Zstd,
            _ => Compression::None,
        };
        // Refused or not: what stands there is below the directory.
        here::unpack(blob, compression, directory.as_fd(), &options).ok();
        assert_eq!(fs::read_to_string(top.join("canary")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(&top).unwrap().count(), 2);
    }
    tree::empty(directory.as_fd()).unwrap();
});
