//! Files of /proc and /sys that may be written, devices, mounts and descriptors. access(2) is asked:
//! nothing is opened.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use super::Section;
use crate::error::{Call, Context, Result};

/// Directories below /proc and /sys that are entered, and names that are told, at most.
const MOST_DIRECTORIES: usize = 20_000;
const MOST_NAMES: usize = 2_000;
const DEEPEST: usize = 8;

/// What may be written below /proc, but for processes' own directories, and /sys.
pub(super) fn writable() -> Section {
    let mut found = Section::new();
    let mut directories = 0;
    for top in ["/proc", "/sys"] {
        let mut waiting = vec![(Path::new(top).to_owned(), 0)];
        while let Some((directory, depth)) = waiting.pop() {
            directories += 1;
            if directories > MOST_DIRECTORIES || found.len() >= MOST_NAMES {
                found.insert("...".to_owned(), "and more: not all was looked at".to_owned());
                return found;
            }
            for (path, metadata) in entries(&directory) {
                let of_a_process = top == "/proc" && depth == 0 && is_process(&path);
                if metadata.is_symlink() || of_a_process {
                    continue;
                }
                // A device in a file's place is a mask.
                let is_device = metadata.file_type().is_char_device();
                if !is_device && may(&path, AccessFlags::W_OK) {
                    let kind = if metadata.is_dir() { "directory" } else { "file" };
                    found.insert(path.display().to_string(), kind.to_owned());
                }
                if metadata.is_dir() && depth < DEEPEST {
                    waiting.push((path, depth + 1));
                }
            }
        }
    }
    found
}

/// Devices in /dev, with their numbers and what may be done.
pub(super) fn devices() -> Section {
    let mut found = Section::new();
    let mut waiting = vec![(Path::new("/dev").to_owned(), 0)];
    while let Some((directory, depth)) = waiting.pop() {
        for (path, metadata) in entries(&directory) {
            let kind = metadata.file_type();
            if kind.is_dir() && depth < DEEPEST {
                waiting.push((path, depth + 1));
            } else if kind.is_char_device() || kind.is_block_device() {
                let kind = if kind.is_block_device() { "block" } else { "char" };
                let (major, minor) = (libc::major(metadata.rdev()), libc::minor(metadata.rdev()));
                let read = if may(&path, AccessFlags::R_OK) { "r" } else { "" };
                let write = if may(&path, AccessFlags::W_OK) { "w" } else { "" };
                let word = format!("{kind} {major}:{minor} {read}{write}");
                found.insert(path.display().to_string(), word.trim_end().to_owned());
            }
        }
    }
    found
}

/// proc(5), mountinfo: each mount with its type, whether it may be written, its flags and propagation.
pub(super) fn mounts() -> Result<Section> {
    let file = "/proc/self/mountinfo";
    let text = fs::read_to_string(file).call("read").on(file)?;
    Ok(text.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<(String, String)> {
    let (front, back) = line.split_once(" - ")?;
    let fields: Vec<_> = front.split(' ').collect();
    let (place, options) = (fields.get(4)?, fields.get(5)?);
    let mut words = vec![back.split(' ').next()?];
    words.extend(
        options.split(',').filter(|option| matches!(*option, "rw" | "ro" | "nosuid" | "nodev" | "noexec")),
    );
    // shared:N, master:N: the number is the kernel's own.
    let propagation = fields.get(6..).unwrap_or_default().iter().filter_map(|tag| tag.split(':').next());
    words.extend(propagation);
    Some(((*place).to_owned(), words.join(" ")))
}

/// What is open beside stdio, by number, and the kind of it: numbers of pipes and sockets differ each time.
pub(super) fn descriptors() -> Result<Section> {
    let directory = "/proc/self/fd";
    let mut found = Section::new();
    for entry in fs::read_dir(directory).call("open").on(directory)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.to_string_lossy();
        let own = target.starts_with("/proc/") && target.ends_with("/fd");
        if matches!(name.as_str(), "0" | "1" | "2") || own {
            continue;
        }
        let word = target.split_once(":[").map_or(target.as_ref(), |(kind, _)| kind);
        found.insert(name, super::diff::printable(word));
    }
    Ok(found)
}

fn entries(directory: &Path) -> Vec<(std::path::PathBuf, Metadata)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).collect()
}

fn is_process(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    matches!(name.as_str(), "self" | "thread-self") || name.bytes().all(|byte| byte.is_ascii_digit())
}

fn may(path: &Path, access: AccessFlags) -> bool {
    faccessat(AT_FDCWD, path, access, AtFlags::AT_EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_told_without_numbers() {
        let rows = [
            (
                "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
                Some(("/mnt2", "ext3 rw master")),
            ),
            (
                "1 2 0:5 / / ro,nosuid,nodev shared:7 master:2 - tmpfs x rw",
                Some(("/", "tmpfs ro nosuid nodev shared master")),
            ),
            ("1 2 0:5 / /proc rw - proc proc rw", Some(("/proc", "proc rw"))),
            ("nonsense", None),
        ];
        for (line, wanted) in rows {
            let wanted = wanted.map(|(place, words)| (place.to_owned(), words.to_owned()));
            assert_eq!(mount(line), wanted, "{line}");
        }
    }
}
