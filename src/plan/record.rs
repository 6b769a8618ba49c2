//! The records by which the child tells how far it came: stores into a page that it
//! shares with the parent. A store is no system call, so a record still works behind a
//! filter that denies everything, and what runs after execve cannot reach the page.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use crate::sys::shared::SharedPage;

const ENTERED: usize = 0;
const FAILED: usize = 1;
const MAIN_STATUS: usize = 2;
const TOOL_FAILED: usize = 3;
const MAIN_PID: usize = 4;
const FINISH: usize = 5;
const STAGE_PID: usize = 6;
const TIMED: usize = 7;
/// When each step was entered, as far as the page has room.
const ENTERED_AT: usize = 8;
const SET: u64 = 1 << 63;

/// The shared page, seen as records.
#[derive(Debug)]
pub struct Records {
    page: SharedPage,
}

/// A step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Index into the Plan's steps.
    pub index: usize,
    /// What the kernel said.
    pub errno: Errno,
    /// Whether it failed in the program's own process, beside the init.
    pub in_tool: bool,
}

impl Records {
    /// A new page, and the memfd by which another process can map it.
    ///
    /// # Errors
    /// memfd_create(2), ftruncate(2), mmap(2).
    pub fn create() -> Result<(Self, OwnedFd), Errno> {
        let (page, fd) = SharedPage::create(c"pinfold-records")?;
        Ok((Self { page }, fd))
    }

    /// The page behind a memfd that another process made.
    ///
    /// # Errors
    /// mmap(2); EINVAL when it is not such a page.
    pub fn map(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        Ok(Self { page: SharedPage::map(fd)? })
    }

    pub(super) fn store(&self, word: usize, value: u64) {
        if let Some(cell) = self.page.word(word) {
            cell.store(value, Ordering::SeqCst);
        }
    }

    pub(super) fn load(&self, word: usize) -> u64 {
        self.page.word(word).map_or(0, |cell| cell.load(Ordering::SeqCst))
    }

    /// The child enters step `index`.
    pub fn enter(&self, index: usize) {
        self.store(ENTERED, index as u64 + 1);
    }

    /// The child is to write down when it enters each step: set by the parent before the clone.
    pub fn time_steps(&self) {
        self.store(TIMED, 1);
    }

    /// \[child\] Whether it is.
    pub fn is_timed(&self) -> bool {
        self.load(TIMED) != 0
    }

    /// \[child\] Step `index` is entered at this time.
    pub fn entered_at(&self, index: usize, nanoseconds: u64) {
        self.store(ENTERED_AT + index, nanoseconds);
    }

    /// When each step was entered; nothing for those that were not, or not any more for the last ones.
    pub fn times(&self, steps: usize) -> impl Iterator<Item = (usize, u64)> {
        (0..steps).map(|index| (index, self.load(ENTERED_AT + index))).filter(|(_, at)| *at != 0)
    }

    /// The child failed in step `index`.
    pub fn fail(&self, failure: Failure) {
        let word = if failure.in_tool { TOOL_FAILED } else { FAILED };
        self.store(word, SET | ((failure.index as u64) << 32) | u64::from(failure.errno as i32 as u32));
    }

    /// Which step is the last: set by the parent before the clone, so that another process
    /// can tell an execve from an early end.
    pub fn finish_line(&self, index: usize) {
        self.store(FINISH, index as u64 + 1);
    }

    /// Whether the child came to its last step and did not fail there.
    pub fn executed(&self) -> bool {
        let finish = self.load(FINISH);
        self.failure().is_none() && finish != 0 && self.load(ENTERED) == finish
    }

    /// Whether the child failed in its last step: in execve itself.
    pub fn failed_last(&self) -> bool {
        self.failure().is_some_and(|failure| failure.index as u64 + 1 == self.load(FINISH))
    }

    /// The init saw its main program end with this wait(2) status.
    pub fn main_ended(&self, raw_status: i32) {
        self.store(MAIN_STATUS, SET | u64::from(raw_status.cast_unsigned()));
    }

    /// The program's pid, as its own pid namespace counts, or the stage's word for it.
    pub fn main_started(&self, pid: i32) {
        self.store(MAIN_PID, u64::from(pid.cast_unsigned()));
    }

    /// The pid of the child that the stage before the namespaces cloned.
    pub fn stage_cloned(&self, pid: i32) {
        self.store(STAGE_PID, u64::from(pid.cast_unsigned()));
    }

    /// The pid stored by [`Records::stage_cloned`].
    pub fn stage_pid(&self) -> Option<i32> {
        i32::try_from(self.load(STAGE_PID)).ok().filter(|pid| *pid > 0)
    }

    /// The pid stored by [`Records::main_started`].
    pub fn main_pid(&self) -> Option<i32> {
        i32::try_from(self.load(MAIN_PID)).ok().filter(|pid| *pid > 0)
    }

    /// The index of the last step entered.
    pub fn entered(&self) -> Option<usize> {
        usize::try_from(self.load(ENTERED)).ok()?.checked_sub(1)
    }

    /// The failure, when there was one.
    pub fn failure(&self) -> Option<Failure> {
        let read = |word, in_tool| {
            let value = self.load(word);
            let errno = Errno::from_raw(i32::try_from(value & 0xffff).unwrap_or(0));
            let index = usize::try_from((value & !SET) >> 32).unwrap_or(0);
            (value & SET != 0).then_some(Failure { index, errno, in_tool })
        };
        read(FAILED, false).or_else(|| read(TOOL_FAILED, true))
    }

    /// The wait(2) status of the main program, once the init has seen it end.
    pub fn main_status(&self) -> Option<i32> {
        let value = self.load(MAIN_STATUS);
        let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        (value & SET != 0).then_some(low.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_recorded_at_first() {
        let (records, _fd) = Records::create().unwrap();
        assert_eq!((records.entered(), records.failure(), records.main_status()), (None, None, None));
    }

    #[test]
    fn a_failure_comes_back_as_it_was_stored() {
        let (records, _fd) = Records::create().unwrap();
        let failure = Failure { index: 7, errno: Errno::EPERM, in_tool: true };
        records.enter(7);
        records.fail(failure);
        assert_eq!((records.entered(), records.failure()), (Some(7), Some(failure)));
    }

    /// The end of a child's socket says nothing: only the last step's record does.
    #[test]
    fn only_the_last_step_without_a_failure_is_an_execve() {
        let rows = [
            (None, None, false, false),
            (Some(8), None, false, false),
            (Some(8), Some(7), false, false),
            (Some(8), Some(8), false, true),
            (Some(8), Some(8), true, false),
            (None, Some(8), false, false),
        ];
        for (finish, entered, failed, executed) in rows {
            let (records, _fd) = Records::create().unwrap();
            finish.into_iter().for_each(|index| records.finish_line(index));
            entered.into_iter().for_each(|index| records.enter(index));
            if failed {
                records.fail(Failure { index: 8, errno: Errno::ENOENT, in_tool: false });
            }
            assert_eq!(records.executed(), executed, "{finish:?} {entered:?} {failed}");
        }
    }

    #[test]
    fn a_status_of_zero_is_not_an_absent_status() {
        let (records, _fd) = Records::create().unwrap();
        records.main_ended(0);
        assert_eq!(records.main_status(), Some(0));
    }
}
