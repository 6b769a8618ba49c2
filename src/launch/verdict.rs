//! How a launch ended, and why: pure. The order is fixed: policy, set-up, what pinfold
//! itself did, out of memory, seccomp, a signal, the program's own code.

use serde::Serialize;

use super::Cause;
use crate::cgroup::Counters;
use crate::error::{ExitCode, Kind};

/// `outcome.kind` of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/report.schema.json describes each")]
pub enum OutcomeKind {
    Exited,
    Signaled,
    Timeout,
    Oom,
    PidsLimit,
    OutputLimit,
    SeccompKilled,
    Killed,
    PolicyRefused,
    IdentityChanged,
    SetupFailed,
    HookFailed,
    ImageFailed,
    ExecNotFound,
    ExecNotExecutable,
    CallerDied,
    UsageError,
    InternalError,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Which of the kinds.
    pub kind: OutcomeKind,
    /// The program's exit code, when it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    pub signal: Option<i32>,
}

/// What the verdict rests on.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What pinfold did, recorded before it did it.
    pub cause: Option<Cause>,
    /// wait(2) status of the main program; `None` when its init died with it.
    pub main_status: Option<i32>,
    /// The cgroup's counters before the program ran.
    pub before: Counters,
    /// The counters after the end, before the cgroup is removed.
    pub after: Counters,
    /// A filter that kills was in force.
    pub killing_filter: bool,
}

const SIGKILL_STATUS: i32 = libc::SIGKILL;

/// The verdict on a launch whose program ran.
pub fn outcome(evidence: &Evidence) -> Outcome {
    // An init that died without a record was killed with everything else.
    let status = evidence.main_status.unwrap_or(SIGKILL_STATUS);
    let exit_code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    let kind = match evidence.cause {
        Some(Cause::Timeout) => OutcomeKind::Timeout,
        Some(Cause::OutputLimit) => OutcomeKind::OutputLimit,
        Some(Cause::CallerDied) => OutcomeKind::CallerDied,
        Some(Cause::Killed(sent))
            if signal.is_some_and(|signal| signal == sent || signal == libc::SIGKILL) =>
        {
            OutcomeKind::Killed
        }
        _ => by_status(evidence, signal, exit_code),
    };
    Outcome { kind, exit_code, signal }
}

fn by_status(evidence: &Evidence, signal: Option<i32>, exit_code: Option<i32>) -> OutcomeKind {
    let rose = |counter: fn(&Counters) -> Option<u64>| counter(&evidence.after) > counter(&evidence.before);
    match signal {
        Some(libc::SIGKILL) if rose(|counters| counters.oom_kill) => OutcomeKind::Oom,
        Some(libc::SIGSYS) if evidence.killing_filter => OutcomeKind::SeccompKilled,
        Some(_) if rose(|counters| counters.pids_max_events) => OutcomeKind::PidsLimit,
        Some(_) => OutcomeKind::Signaled,
        None if exit_code != Some(0) && rose(|counters| counters.pids_max_events) => OutcomeKind::PidsLimit,
        None => OutcomeKind::Exited,
    }
}

impl Outcome {
    /// A launch that failed before its program ran.
    pub fn of_failure(kind: Kind) -> Self {
        let kind = match kind {
            Kind::Usage => OutcomeKind::UsageError,
            Kind::Internal => OutcomeKind::InternalError,
            Kind::PolicyRefused => OutcomeKind::PolicyRefused,
            Kind::IdentityChanged => OutcomeKind::IdentityChanged,
            Kind::SetupFailed => OutcomeKind::SetupFailed,
            Kind::HookFailed => OutcomeKind::HookFailed,
            Kind::ImageFailed => OutcomeKind::ImageFailed,
            Kind::ExecNotFound => OutcomeKind::ExecNotFound,
            Kind::ExecNotExecutable => OutcomeKind::ExecNotExecutable,
        };
        Self { kind, exit_code: None, signal: None }
    }

    /// The exit code of `pinfold sandbox`.
    pub fn sandbox_code(&self) -> ExitCode {
        match self.kind {
            OutcomeKind::Timeout => ExitCode::TIMEOUT,
            OutcomeKind::Oom => ExitCode::OUT_OF_MEMORY,
            OutcomeKind::OutputLimit => ExitCode::OUTPUT_LIMIT,
            _ => self.own_code(),
        }
    }

    /// The program's own code, 128+N for a signal: what the OCI verbs return.
    pub fn own_code(&self) -> ExitCode {
        match (self.exit_code, self.signal) {
            (Some(code), _) => ExitCode(u8::try_from(code).unwrap_or(255)),
            (None, Some(signal)) => ExitCode::for_signal(signal),
            (None, None) => ExitCode::SETUP_FAILED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(oom_kill: u64, pids_max_events: u64) -> Counters {
        Counters { oom_kill: Some(oom_kill), pids_max_events: Some(pids_max_events), ..Counters::default() }
    }

    #[test]
    fn the_first_reason_in_the_order_wins() {
        let exited = |code: i32| Some(code << 8);
        let died = Some;
        let rows = [
            (None, exited(0), counters(0, 0), OutcomeKind::Exited),
            (None, exited(3), counters(0, 0), OutcomeKind::Exited),
            (None, died(libc::SIGKILL), counters(0, 0), OutcomeKind::Signaled),
            (None, died(libc::SIGKILL), counters(1, 0), OutcomeKind::Oom),
            (None, None, counters(1, 0), OutcomeKind::Oom),
            (None, None, counters(0, 0), OutcomeKind::Signaled),
            (None, exited(0), counters(1, 0), OutcomeKind::Exited),
            (None, exited(1), counters(0, 1), OutcomeKind::PidsLimit),
            (None, exited(0), counters(0, 1), OutcomeKind::Exited),
            (None, died(libc::SIGSYS), counters(0, 0), OutcomeKind::SeccompKilled),
            (Some(Cause::Timeout), died(libc::SIGKILL), counters(1, 0), OutcomeKind::Timeout),
            (Some(Cause::OutputLimit), died(libc::SIGKILL), counters(0, 0), OutcomeKind::OutputLimit),
            (Some(Cause::Killed(libc::SIGTERM)), died(libc::SIGTERM), counters(0, 0), OutcomeKind::Killed),
            (Some(Cause::Killed(libc::SIGTERM)), exited(0), counters(0, 0), OutcomeKind::Exited),
        ];
        for (cause, main_status, after, kind) in rows {
            let before = counters(0, 0);
            let evidence = Evidence { cause, main_status, before, after, killing_filter: true };
            assert_eq!(outcome(&evidence).kind, kind, "{evidence:?}");
        }
    }
}
