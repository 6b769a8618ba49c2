//! Every limit, shown by exceeding it; and streams that are damaged or packed to explode.

use std::io::Write;

use pinfold::image::unpack::{Compression, Limits, Options};

use crate::Case;
use crate::tar::{Header, Tar};
use crate::world::Place;

pub const CASES: &[Case] = &[
    ("each_limit_is_one", each_limit_is_one),
    ("compressed_streams", compressed_streams),
    ("bombs", bombs),
    ("a_million_entries", a_million_entries),
    ("time_and_memory", time_and_memory),
    ("sparse_files_are_holes", sparse_files_are_holes),
];

fn with(change: impl FnOnce(&mut Limits)) -> Options {
    let mut options = Options::default();
    change(&mut options.limits);
    options
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Sets one limit.
type SetLimit = fn(&mut Limits, u64);
/// Compresses.
type Pack = fn(&[u8]) -> Vec<u8>;

/// Exactly at the limit it is a tree, one further an error.
fn each_limit_is_one() {
    let place = Place::new();
    let tar = Tar::new().dir("a").file("a/b", &[b'x'; 1000]).file("a/c", &[b'x'; 500]).end();
    let all = tar.len() as u64;
    let cases: [(SetLimit, u64, &str); 6] = [
        (|limits, value| limits.entries = value, 3, "more than 2 entries"),
        (|limits, value| limits.single_file = value, 1000, "more than 999 bytes"),
        (|limits, value| limits.total_bytes = value, all, "decompressed"),
        (|limits, value| limits.depth = usize::try_from(value).unwrap(), 2, "more than 1 components"),
        (|limits, value| limits.name_bytes = usize::try_from(value).unwrap(), 3, "more than 2 bytes"),
        (|limits, value| limits.blob_bytes = value, all, "the blob has more than"),
    ];
    for (set, value, words) in cases {
        place.tree(&tar, &with(|limits| set(limits, value)));
        let place = Place::new();
        place.refused(&tar, &with(|limits| set(limits, value - 1)), words);
    }
    // All files together, though the stream is small.
    let two = Tar::new().pax(&[("GNU.sparse.size", b"600000"), ("GNU.sparse.map", b"0,1")]).file("a", b"1");
    let two = two.pax(&[("GNU.sparse.size", b"600000"), ("GNU.sparse.map", b"0,1")]).file("b", b"1").end();
    place.refused_elsewhere(
        &two,
        &with(|limits| limits.total_bytes = 1_000_000),
        "files have more than 1000000",
    );
    let implied = Tar::new().file("a/b/c/d", b"").end();
    place.refused_elsewhere(&implied, &with(|limits| limits.entries = 2), "implies more than 2");
    let header = Tar::new().pax(&[("comment", &[b'x'; 600])]).file("f", b"").end();
    place.refused_elsewhere(&header, &with(|limits| limits.header_bytes = 600), "more than 600 bytes");
}

fn compressed_streams() {
    let first = Tar::new().file("f", &[b'x'; 3000]).cut();
    let second = Tar::new().file("g", &[b'y'; 3000]).end();
    let whole = [first.as_slice(), &second].concat();
    let kinds: [(Compression, Pack); 2] = [(Compression::Gzip, gzip), (Compression::Zstd, zstd)];
    for (compression, pack) in kinds {
        let place = Place::new();
        let packed = pack(&whole);
        let one = place.unpack_as(&packed, compression, &Options::default()).unwrap();
        use sha2::{Digest, Sha256};
        let digest = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
        assert_eq!((one.diff_id, one.blob_digest), (digest(&whole), digest(&packed)));
        assert_eq!((one.blob_bytes, one.entries, one.bytes), (packed.len() as u64, 2, 6000));
        // Members one after the other, also in the middle of a header, are one stream.
        for cut in [1, 100, first.len(), whole.len() - 1] {
            let members = [pack(&whole[..cut]), pack(b""), pack(&whole[cut..])].concat();
            let place = Place::new();
            let unpacked = place.unpack_as(&members, compression, &Options::default()).unwrap();
            assert_eq!((unpacked.diff_id, place.show().names().len()), (one.diff_id, 3));
        }
        let place = Place::new();
        for cut in [4, packed.len() / 2, packed.len() - 1] {
            place.refused_as(&packed[..cut], compression, "");
        }
        for tail in [b"garbage".as_slice(), b"\0", b"\x1f", b"\x1f\x8b\x08"] {
            place.refused_as(&[packed.as_slice(), tail].concat(), compression, "");
        }
        let mut damaged = packed.clone();
        let middle = damaged.len() - 6;
        damaged[middle] ^= 0x55;
        place.refused_as(&damaged, compression, "");
        // What it is said to be, and is not.
        place.refused_as(&whole, compression, "the content is plain");
        place.refused_as(&packed, Compression::None, "the media type says plain");
        let other = if compression == Compression::Gzip { Compression::Zstd } else { Compression::Gzip };
        place.refused_as(&packed, other, "the content is");
    }
    // A skippable frame holds what it likes.
    let skipped = [b"\x50\x2a\x4d\x18\x04\0\0\0abcd".as_slice(), &zstd(&whole)].concat();
    Place::new().unpack_as(&skipped, Compression::Zstd, &Options::default()).unwrap();
    // A frame that wants 2 GiB of memory.
    Place::new().refused_as(b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", Compression::Zstd, "");
}

fn bombs() {
    // 512 MiB of zeros in half a megabyte, as one file and as nothing.
    let zeros = vec![0; 1 << 20];
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(&Tar::new().raw(Header::new(b'0', b"f").size(512 << 20), b"").cut()).unwrap();
    for _ in 0..512 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    Place::new().refused_as(&bomb, Compression::Gzip, "more than 400 times its size");
    let mut encoder = zstd::stream::write::Encoder::new(vec![], 1).unwrap();
    for _ in 0..512 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    Place::new().refused_as(&bomb, Compression::Zstd, "more than 400 times its size");
    let place = Place::new();
    let options = with(|limits| {
        limits.total_bytes = 100 << 20;
        limits.ratio = u64::MAX;
    });
    let error = place.unpack_as(&bomb, Compression::Zstd, &options).unwrap_err().to_string();
    assert!(error.contains("more than 104857600 bytes"), "{error}");
}

/// A tree of many entries, a million of them with PINFOLD_TEST_COUNT=10; and one entry more
/// than may be.
fn a_million_entries() {
    let most = 1 << 20;
    let count =
        if std::env::var("PINFOLD_TEST_COUNT").is_ok_and(|count| count == "10") { most - 1 } else { 30_000 };
    let mut tar = Tar::new().dir("./");
    for number in 0..count {
        tar = tar.symlink(&format!("{number}"), "t");
    }
    let place = Place::new();
    let unpacked = place.unpack(&tar.end(), &Options::default()).unwrap();
    assert_eq!(unpacked.entries, count + 1);
    assert_eq!(std::fs::read_dir(place.staging()).unwrap().count() as u64, count);
    let place = Place::new();
    // A device, which is only counted.
    let node = Tar::new().raw(Header::new(b'3', b"node").device(1, 3), b"").cut();
    let again = |times: u64| Repeated { header: node.clone(), at: 0, left: times * 512 };
    let unpacked = place.unpack_from(again(most), Compression::None, &Options::default()).unwrap();
    assert_eq!((unpacked.entries, unpacked.skipped), (most, most));
    let error = place.unpack_from(again(most + 1), Compression::None, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("more than 1048576 entries"), "{error}");
}

/// The same header again and again.
struct Repeated {
    header: Vec<u8>,
    at: usize,
    left: u64,
}

impl std::io::Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap().min(buffer.len());
        for byte in &mut buffer[..most] {
            *byte = self.header[self.at];
            self.at = (self.at + 1) % self.header.len();
        }
        self.left -= most as u64;
        Ok(most)
    }
}

fn time_and_memory() {
    struct Slow;
    impl std::io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_millis(100));
            buffer[..512].copy_from_slice(&Tar::new().dir("d").cut());
            Ok(512)
        }
    }
    let place = Place::new();
    let start = std::time::Instant::now();
    let error = place.unpack_from(Slow, Compression::None, &with(|limits| limits.seconds = 1)).unwrap_err();
    assert!(error.to_string().contains("longer than it may"), "{error}");
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    place.assert_empty();
    // Too little to begin with: the process ends, and that is an error.
    let place = Place::new();
    let tar = Tar::new().file("f", b"").end();
    let error = place.unpack(&tar, &with(|limits| limits.memory = 1 << 20)).unwrap_err();
    assert!(error.to_string().contains("unpacker"), "{error}");
    place.assert_empty();
}

fn sparse_files_are_holes() {
    let size = 1_u64 << 33;
    let at = (size - 4).to_string();
    let text = size.to_string();
    let map = format!("0,4,{at},4");
    let one = format!("2\n0\n4\n{at}\n4\n");
    let mut content = one.into_bytes();
    content.resize(512, 0);
    content.extend_from_slice(b"headtail");
    let mut old = Header::new(b'S', b"old");
    old.put(257, b"ustar  \0")
        .size(8)
        .octal(386, 12, 0)
        .octal(398, 12, 4)
        .octal(422, 12, 4)
        .octal(483, 12, size);
    old.octal(410, 12, size - 4);
    let tar = Tar::new()
        .raw(&old, b"headtail")
        .pax(&[
            ("GNU.sparse.size", text.as_bytes()),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"4"),
            ("GNU.sparse.offset", at.as_bytes()),
            ("GNU.sparse.numbytes", b"4"),
        ])
        .file("v0.0", b"headtail")
        .pax(&[
            ("GNU.sparse.size", text.as_bytes()),
            ("GNU.sparse.name", b"v0.1"),
            ("GNU.sparse.map", map.as_bytes()),
        ])
        .file("x", b"headtail")
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"v1.0"),
            ("GNU.sparse.realsize", text.as_bytes()),
        ])
        .file("x", &content)
        .end();
    let place = Place::new();
    let tree = place.tree(&tar, &Options::default());
    for name in ["old", "v0.0", "v0.1", "v1.0"] {
        tree.assert_line(name, &format!("file {size} sparse"));
        assert_eq!(place.ends_of(name), (b"head".to_vec(), b"tail".to_vec()), "{name}");
    }
}
