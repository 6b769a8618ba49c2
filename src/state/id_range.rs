//! Host id ranges for sandboxes that root starts: 65536 ids that nothing else uses.
//!
//! A slot is the upper half of its ids: slot 0x2000 is 0x2000_0000..=0x2000_ffff. It is claimed
//! by a file of its own, locked by flock(2) while its launcher lives; a detached sandbox is
//! named in the file instead. Claims of every `--root` meet in one directory: the caller passes
//! the same state root (/run/pinfold) each time.
//!
//! The region lies above what useradd(8) hands out first and below the ids with a meaning of
//! their own (systemd's uid.h, 0x7000_0000 and up). systemd-nspawn picks from the same region:
//! what it holds at the moment is left alone.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{ErrorKind, Read, Write};
use std::ops::RangeInclusive;

use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat, mkdirat};

use super::files::{self, LockMode};
use super::process::Process;
use super::reserved::Reserved;
use super::root::{StateRoot, names_in};
use crate::error::{Call, Context, Error, Result};

/// Ids in a range: as many as an image or /etc/subuid counts on.
pub const SIZE: u32 = 1 << 16;
const SLOTS: RangeInclusive<u32> = 0x2000..=0x6ffe;
/// No container id: `@` is not in their alphabet.
const DIRECTORY: &str = "@id-ranges";

/// A range of host ids, in use by one sandbox. Dropping it gives it back.
#[derive(Debug)]
pub struct IdRange {
    slot: u32,
    /// Locked; its content names the first process of a detached sandbox.
    claim: File,
    dir: File,
    on_drop: OnDrop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    GiveBack,
    Keep,
}

impl IdRange {
    /// Its number, for the record.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The first host id.
    pub fn base(&self) -> u32 {
        self.slot * SIZE
    }

    /// Leaves the range in use by a detached sandbox for as long as `init` lives.
    pub fn keep(mut self, init: &Process) -> Result<()> {
        let line = format!("{} {}\n", init.pid, init.start_time);
        self.claim.write_all(line.as_bytes()).call("write").on(name(self.slot))?;
        self.on_drop = OnDrop::Keep;
        Ok(())
    }
}

impl Drop for IdRange {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::GiveBack {
            // What stays behind has no lock any more: the next claim or sweep takes it.
            files::unlink(&self.dir, &name(self.slot)).ok();
        }
    }
}

/// Takes a range that nobody uses.
///
/// A failed attempt costs two calls; the first slot is random, so that launches side by side
/// rarely meet.
pub fn take(root: &StateRoot) -> Result<IdRange> {
    let reserved = Reserved::read()?;
    let first = random(SLOTS.end() - SLOTS.start() + 1) + SLOTS.start();
    take_from(root, &reserved, (first..=*SLOTS.end()).chain(*SLOTS.start()..first))
}

fn take_from(root: &StateRoot, reserved: &Reserved, slots: impl Iterator<Item = u32>) -> Result<IdRange> {
    let dir = open_dir(root)?;
    for slot in slots {
        let base = u64::from(slot * SIZE);
        if reserved.touches(&(base..=base + u64::from(SIZE) - 1)) || held_by_nspawn(base)? {
            continue;
        }
        if let Some(claim) = claim(&dir, slot)? {
            return Ok(IdRange { slot, claim, dir, on_drop: OnDrop::GiveBack });
        }
    }
    Err(Error::setup("every host id range is in use or reserved")
        .hint("see `pinfold list`, /etc/subuid and /etc/subgid"))
}

/// Gives back the range of a detached sandbox that has ended.
pub fn release(root: &StateRoot, slot: u32) -> Result<()> {
    let dir = open_dir(root)?;
    release_in(&dir, slot)
}

/// Gives back every range whose launcher, or whose detached sandbox, is gone.
pub fn sweep(root: &StateRoot) -> Result<()> {
    let dir = open_dir(root)?;
    let slots = names_in(&dir, |name, kind| kind != Some(Type::Directory) && name.parse::<u32>().is_ok())?;
    slots.iter().filter_map(|name| name.parse().ok()).try_for_each(|slot| release_in(&dir, slot))
}

fn release_in(dir: &File, slot: u32) -> Result<()> {
    match files::open(dir, &name(slot), OFlag::O_RDWR) {
        Err(Errno::ENOENT) => Ok(()),
        opened => match owned(opened.call("openat2").on(name(slot))?)? {
            Some(_locked) => files::unlink(dir, &name(slot)),
            None => Ok(()),
        },
    }
}

/// The locked file of `slot`, or `None` where somebody uses it.
fn claim(dir: &File, slot: u32) -> Result<Option<File>> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT;
    let file = match files::open(dir, &name(slot), flags | OFlag::O_EXCL) {
        Err(Errno::EEXIST) => files::open(dir, &name(slot), flags),
        opened => opened,
    };
    owned(file.call("openat2").on(name(slot))?)
}

/// The file with its lock, if nobody has it, nobody lives who is named in it, and it is still a claim.
fn owned(mut file: File) -> Result<Option<File>> {
    let Some(lock) = files::try_lock(&file, LockMode::Exclusive)? else { return Ok(None) };
    lock.keep();
    // Its last owner may have unlinked it between our openat2 and our lock.
    let stat = fstat(&file).call("fstat")?;
    if stat.st_nlink == 0 {
        return Ok(None);
    }
    if stat.st_size == 0 {
        return Ok(Some(file));
    }
    let mut named = String::new();
    file.read_to_string(&mut named).call("read")?;
    if named_process(&named).map_or(Ok(false), |init| init.lives())? {
        return Ok(None);
    }
    file.set_len(0).call("ftruncate")?;
    std::io::Seek::rewind(&mut file).call("lseek")?;
    Ok(Some(file))
}

fn named_process(line: &str) -> Option<Process> {
    let (pid, start_time) = line.trim_end().split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
}

fn open_dir(root: &StateRoot) -> Result<File> {
    let open = || files::open(root.dir(), DIRECTORY, OFlag::O_RDONLY | OFlag::O_DIRECTORY);
    let dir = match open() {
        Err(Errno::ENOENT) => {
            match mkdirat(root.dir(), DIRECTORY, Mode::S_IRWXU) {
                Err(Errno::EEXIST) => {}
                made => made.call("mkdirat").on(DIRECTORY)?,
            }
            open()
        }
        opened => opened,
    };
    let dir = dir.call("openat2").on(DIRECTORY)?;
    files::verify_private_dir(&dir).on(DIRECTORY)?;
    Ok(dir)
}

/// systemd-nspawn --private-users=pick locks a range by a file of this name.
fn held_by_nspawn(base: u64) -> Result<bool> {
    let path = format!("/run/systemd/nspawn-uid/{base}");
    match std::fs::symlink_metadata(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        found => found.call("stat").on(path).map(|_| true),
    }
}

fn name(slot: u32) -> String {
    slot.to_string()
}

/// A number below `end`. RandomState takes its keys from getrandom(2); nothing but the
/// spread of parallel launches depends on it.
fn random(end: u32) -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(0).to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d]) % end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testdir::TestDir;

    const FIRST: u32 = *SLOTS.start();

    fn from_first(root: &StateRoot, reserved: &Reserved) -> Result<IdRange> {
        take_from(root, reserved, FIRST..FIRST + 3)
    }

    fn files_in(test: &TestDir) -> usize {
        std::fs::read_dir(test.path().join(DIRECTORY)).unwrap().count()
    }

    fn root(test: &TestDir) -> StateRoot {
        StateRoot::open(Some(test.path())).unwrap()
    }

    #[test]
    fn ranges_do_not_overlap_and_are_given_back() {
        let test = TestDir::new();
        let root = root(&test);
        let none = Reserved::default();
        let a = from_first(&root, &none).unwrap();
        let b = from_first(&root, &none).unwrap();
        let c = from_first(&root, &none).unwrap();
        assert_eq!([a.base(), b.base(), c.base()], [0x2000_0000, 0x2001_0000, 0x2002_0000]);
        from_first(&root, &none).expect_err("all three are in use");
        drop(b);
        assert_eq!(from_first(&root, &none).unwrap().slot(), FIRST + 1);
        drop((a, c));
        assert_eq!(files_in(&test), 0);
    }

    #[test]
    fn what_the_host_gave_away_is_left_alone() {
        let test = TestDir::new();
        // The last id of the first slot, and the first of the second.
        let reserved = Reserved::of_subuid(&format!("a:{}:2", 0x2000_ffff_u32));
        assert_eq!(from_first(&root(&test), &reserved).unwrap().slot(), FIRST + 2);
        let all = Reserved::of_subuid("a:0:4294967295");
        from_first(&root(&test), &all).expect_err("everything is reserved");
        assert_eq!(files_in(&test), 0);
    }

    #[test]
    fn the_claim_of_a_dead_launcher_is_taken_over() {
        let test = TestDir::new();
        let root = root(&test);
        let mut crashed = from_first(&root, &Reserved::default()).unwrap();
        crashed.on_drop = OnDrop::Keep;
        drop(crashed);
        assert_eq!(files_in(&test), 1);
        assert_eq!(from_first(&root, &Reserved::default()).unwrap().slot(), FIRST);
    }

    #[test]
    fn a_detached_sandbox_keeps_its_range_while_it_lives() {
        let test = TestDir::new();
        let root = root(&test);
        let this = Process::current().unwrap();
        from_first(&root, &Reserved::default()).unwrap().keep(&this).unwrap();
        release(&root, FIRST).unwrap();
        sweep(&root).unwrap();
        assert_eq!(from_first(&root, &Reserved::default()).unwrap().slot(), FIRST + 1);
        let dead = Process { start_time: this.start_time + 1, ..this };
        std::fs::write(
            test.path().join(DIRECTORY).join(name(FIRST)),
            format!("{} {}\n", dead.pid, dead.start_time),
        )
        .unwrap();
        from_first(&root, &Reserved::default()).unwrap().keep(&this).unwrap();
        let line = std::fs::read_to_string(test.path().join(DIRECTORY).join(name(FIRST))).unwrap();
        assert_eq!(line, format!("{} {}\n", this.pid, this.start_time), "nothing of the dead one is left");
    }

    #[test]
    fn a_sweep_gives_back_what_is_dead_and_only_that() {
        let test = TestDir::new();
        let root = root(&test);
        let used = from_first(&root, &Reserved::default()).unwrap();
        let dead = Process { pid: i32::MAX, start_time: 1 };
        from_first(&root, &Reserved::default()).unwrap().keep(&dead).unwrap();
        assert_eq!(files_in(&test), 2);
        sweep(&root).unwrap();
        assert_eq!(files_in(&test), 1);
        assert_eq!(used.slot(), FIRST);
        release(&root, FIRST + 2).expect("a free range needs no release");
    }

    #[test]
    fn the_region_ends_where_it_says() {
        assert_eq!(SLOTS.start() * SIZE, 0x2000_0000);
        assert_eq!(SLOTS.end() * SIZE + (SIZE - 1), 0x6ffe_ffff);
        let test = TestDir::new();
        let taken = take(&root(&test)).unwrap();
        assert!(SLOTS.contains(&taken.slot()));
    }

    #[test]
    fn the_first_slot_is_spread() {
        let slots: std::collections::BTreeSet<u32> = (0..64).map(|_| random(20_000)).collect();
        assert!(slots.len() > 32, "{slots:?}");
        assert!(slots.iter().all(|slot| *slot < 20_000));
    }
}
