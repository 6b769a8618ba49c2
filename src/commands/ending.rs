//! How a container of the OCI verbs ends where its configuration wishes it (`wishes`): in the
//! foreground pinfold itself sees to it, otherwise a keeper.

use std::os::fd::OwnedFd;

use super::container::Life;
use super::pipes::{self, Pipes};
use super::report::{self, Reporter};
use super::report_place::Place;
use super::wishes::Wishes;
use crate::cgroup::{Cgroup, CgroupPath, Counters};
use crate::error::{Context, Error, ExitCode, Result};
use crate::launch::{self, Ended, Ending, Keeping, Outcome};
use crate::plan::Plan;
use crate::resolve::Finished;

/// What sees to it.
pub struct OciEnding {
    wishes: Wishes,
    pipes: Pipes,
    reporter: Reporter,
    before: Counters,
    /// What the outcome rests on beside the end itself.
    killing_filter: bool,
}

impl OciEnding {
    /// Makes the report's file and the pipes.
    ///
    /// # Errors
    /// The file exists; a kernel that tells a keeper nothing of the end.
    pub fn new(wishes: &Wishes, place: Option<&Place>, life: Life) -> Result<Self> {
        if place.is_some() && life != Life::Foreground {
            launch::require_exit_status().at(report::field())?;
        }
        Ok(Self {
            wishes: wishes.clone(),
            pipes: Pipes::open([wishes.stdout_max, wishes.stderr_max])?,
            reporter: Reporter::new(place.map(Place::make).transpose()?),
            before: Counters::default(),
            killing_filter: false,
        })
    }

    /// The program's ends of the pipes.
    pub fn streams(&mut self) -> [Option<OwnedFd>; 3] {
        self.pipes.take_program_ends()
    }

    /// What is in force, before anything of it runs.
    ///
    /// # Errors
    /// The cgroup's counters cannot be read.
    pub fn planned(
        &mut self,
        finished: &mut Finished,
        cgroup: Option<&Cgroup>,
        path: Option<&CgroupPath>,
        landlock: u32,
    ) -> Result<()> {
        self.before = counters(cgroup)?;
        self.killing_filter = report::has_killing_filter(&finished.plan);
        self.reporter.planned(&finished.plan, landlock);
        let name = path.map(ToString::to_string);
        self.reporter.surroundings(finished.bound.clone(), name, vec![]);
        Ok(())
    }

    /// Assembles by `assemble`, which is given what a keeper of this container does.
    ///
    /// # Errors
    /// What `assemble` says.
    pub fn with_keeper<T>(
        &mut self,
        life: Life,
        assemble: impl FnOnce(Option<Keeping<'_>>) -> Result<T>,
    ) -> Result<T> {
        if life == Life::Foreground || !self.wishes.any() {
            return assemble(None);
        }
        let (timeout, streams) = (self.wishes.timeout, std::mem::take(&mut self.pipes.streams));
        let target = self.reporter.descriptor();
        let mut tell = |kept| {
            // Nobody is left who could be told that the report cannot be written.
            let _told: Result<()> = self.tell(kept);
        };
        assemble(Some(Keeping { timeout, streams, target, tell: &mut tell }))
    }

    fn tell(&mut self, kept: Result<(Ended, Counters)>) -> Result<()> {
        match kept {
            Ok((ended, after)) => self.ended(&ended, after).map(drop),
            Err(error) => {
                self.reporter.failed(&error);
                self.reporter.write()
            }
        }
    }

    /// The program's ends of the pipes live on in the child alone.
    pub fn close_streams(plan: &mut Plan) {
        pipes::close_streams(plan);
    }

    /// How pinfold ends one in the foreground.
    pub fn foreground(&mut self, caller: Option<OwnedFd>) -> Ending {
        let streams = std::mem::take(&mut self.pipes.streams);
        Ending { timeout: self.wishes.timeout, caller, streams, ..Ending::default() }
    }

    /// Why it ended.
    pub fn outcome(&self, ended: &Ended, after: &Counters) -> Outcome {
        report::verdict(self.killing_filter, ended, (self.before, *after))
    }

    /// How it ended, and the program's own code.
    ///
    /// # Errors
    /// The report cannot be written.
    pub fn ended(&mut self, ended: &Ended, after: Counters) -> Result<ExitCode> {
        let outcome = self.outcome(ended, &after);
        let code = outcome.own_code();
        self.reporter.ended((&outcome, code), ended, (self.before, after));
        self.reporter.write().at(report::field())?;
        Ok(code)
    }

    /// Tells of a launch that failed; its keeper has ended by now.
    pub fn failed(&mut self, error: Error) -> Error {
        if let Err(unwritten) = self.reporter.write_failure(&error) {
            crate::error::warn(format_args!("{}: {unwritten}", report::field()));
        }
        error
    }
}

/// A cgroup's counters.
///
/// # Errors
/// A file that cannot be read.
pub fn counters(cgroup: Option<&Cgroup>) -> Result<Counters> {
    cgroup.map_or_else(|| Ok(Counters::default()), Cgroup::counters)
}
