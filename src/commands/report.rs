//! The report: one JSON object about what was asked, what was in force, and how it ended.
//! docs/report.schema.json is its schema. It never holds the value of a secret or of an
//! environment variable.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use serde::Serialize;

use crate::cgroup::Counters;
use crate::commands::trail::Peaks;
use crate::error::{Call, Error, ExitCode, Result};
use crate::launch::{Ended, Outcome};
use crate::plan::{Expected, Plan, Step};
use crate::resolve::Bound;
use crate::sys;

/// The version of the schema.
const VERSION: u32 = 1;

/// The document.
#[derive(Debug, Clone, Serialize)]
struct Report {
    version: u32,
    pinfold: &'static str,
    outcome: Outcome,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    evidence: Evidence,
    peaks: Peaks,
    controls: Controls,
    binds: Vec<Bound>,
    image: Option<ImageReport>,
    degraded: Vec<String>,
    plan_digest: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Failure {
    message: String,
    step: Option<String>,
    field: Option<String>,
    path: Option<String>,
    errno: Option<String>,
    hint: Option<String>,
}

/// The image, as it was asked for and as it was verified.
#[derive(Debug, Clone, Serialize)]
struct ImageReport {
    reference: String,
    digest: String,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Evidence {
    cgroup_before: Option<Counters>,
    cgroup_after: Option<Counters>,
    wait_status: Option<i32>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Controls {
    namespaces: Vec<&'static str>,
    uid: Option<u32>,
    gid: Option<u32>,
    capabilities: Option<String>,
    no_new_privs: Option<bool>,
    seccomp_digest: Option<String>,
    landlock_abi: Option<u32>,
    apparmor_profile: Option<String>,
    selinux_label: Option<String>,
    readonly_root: Option<bool>,
    cgroup: Option<String>,
}

/// Collects the report on the way. The target is opened before anything else, so that a
/// report that cannot be written is known at once.
pub struct Reporter {
    target: Option<OwnedFd>,
    report: Report,
}

impl Reporter {
    /// For a target that is open, if there is one.
    pub fn new(target: Option<OwnedFd>) -> Self {
        Self { target, report: Report::empty() }
    }

    /// The target's number, for a process that keeps it and closes all else.
    pub fn descriptor(&self) -> Option<u32> {
        self.target.as_ref().map(|target| target.as_raw_fd().cast_unsigned())
    }

    /// The image that the root is made of.
    pub fn image(&mut self, reference: String, digest: String) {
        self.report.image = Some(ImageReport { reference, digest });
    }

    /// What is in force from the Plan on.
    pub fn planned(&mut self, plan: &Plan, landlock_abi: u32) {
        let expected = &plan.expected;
        let has = |wanted: fn(&Step) -> bool| plan.steps.iter().any(|planned| wanted(&planned.step));
        self.report.plan_digest = Some(crate::plan::digest(plan));
        self.report.controls = Controls {
            namespaces: expected.new_namespaces.clone(),
            uid: Some(expected.uid),
            gid: Some(expected.gid),
            capabilities: Some(format!("{:016x}", expected.caps.permitted)),
            no_new_privs: Some(expected.no_new_privs),
            seccomp_digest: seccomp_digest(plan),
            landlock_abi: has(|step| matches!(step, Step::Landlock { .. })).then_some(landlock_abi),
            apparmor_profile: expected.labels.apparmor.clone(),
            selinux_label: expected.labels.selinux.clone(),
            readonly_root: Some(has(|step| matches!(step, Step::ReadonlyRoot)) && !can_loosen(expected)),
            cgroup: None,
        };
    }

    /// The binds, the cgroup, and what this host cannot give.
    pub fn surroundings(&mut self, binds: Vec<Bound>, cgroup: Option<String>, degraded: Vec<String>) {
        self.report.binds = binds;
        self.report.controls.cgroup = cgroup;
        self.report.degraded = degraded;
    }

    /// How the program ended.
    pub fn ended(
        &mut self,
        (outcome, code): (&Outcome, ExitCode),
        ended: &Ended,
        (before, after): (Counters, Counters),
    ) {
        self.report.outcome = outcome.clone();
        self.report.exit_code = code.0;
        self.report.peaks = Peaks::measured(ended, &after);
        self.report.evidence = Evidence {
            cgroup_before: Some(before),
            cgroup_after: Some(after),
            wait_status: ended.main_status,
        };
    }

    /// Why the program did not run.
    pub fn failed(&mut self, error: &Error) {
        self.report.outcome = Outcome::of_failure(error.class());
        self.report.exit_code = error.exit_code().0;
        self.report.error = Some(Failure {
            message: error.to_string(),
            step: error.step_name().map(str::to_owned),
            field: error.field_name().map(str::to_owned),
            path: error.object_name().map(str::to_owned),
            errno: error.errno().map(|errno| format!("{errno:?}")),
            hint: error.hint_text(),
        });
    }

    /// Writes it.
    ///
    /// # Errors
    /// write(2): a full disk, a closed pipe.
    pub fn write(&self) -> Result<()> {
        let Some(target) = &self.target else { return Ok(()) };
        let mut text =
            serde_json::to_vec(&self.report).map_err(|error| Error::internal(error.to_string()))?;
        text.push(b'\n');
        sys::file::write_all(target.as_fd(), &text).call("write")
    }

    /// Why a launch failed, unless its keeper, which has ended, told that already.
    ///
    /// # Errors
    /// As [`Self::write`]; fstat(2).
    pub fn write_failure(&mut self, error: &Error) -> Result<()> {
        let Some(target) = &self.target else { return Ok(()) };
        match sys::file::stat(target.as_fd()).call("fstat")?.size {
            0 => {
                self.failed(error);
                self.write()
            }
            _ => Ok(()),
        }
    }
}

/// The configuration's field that names it.
pub fn field() -> String {
    format!("/annotations/{}", crate::draft::REPORT)
}

/// Whether a filter is in force under which a program may die of SIGSYS.
pub fn has_killing_filter(plan: &Plan) -> bool {
    let filters = |step: &Step| matches!(step, Step::LateSeccomp(..) | Step::EarlySeccomp(..));
    plan.steps.iter().any(|planned| filters(&planned.step))
}

/// The verdict on a launch whose program ran.
pub fn verdict(killing_filter: bool, ended: &Ended, (before, after): (Counters, Counters)) -> Outcome {
    let (cause, main_status) = (ended.cause, ended.main_status);
    crate::launch::outcome(&crate::launch::Evidence { cause, main_status, before, after, killing_filter })
}

/// The flags of mounts made in a new user namespace are not locked: who has CAP_SYS_ADMIN
/// there takes them off by mount_setattr(2), which Landlock does not govern.
fn can_loosen(expected: &Expected) -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    expected.new_namespaces.contains(&"user") && expected.bounding & 1 << CAP_SYS_ADMIN != 0
}

/// Of the filter that the program is under.
pub fn seccomp_digest(plan: &Plan) -> Option<String> {
    use sha2::{Digest, Sha256};
    let filter = plan.steps.iter().find_map(|planned| match &planned.step {
        Step::EarlySeccomp(filter, _) | Step::LateSeccomp(filter, _) => Some(filter),
        _ => None,
    })?;
    let mut hasher = Sha256::new();
    for instruction in filter {
        hasher.update(instruction.code.to_le_bytes());
        hasher.update([instruction.jt, instruction.jf]);
        hasher.update(instruction.k.to_le_bytes());
    }
    Some(crate::types::Digest::of_hash(hasher.finalize()).to_string())
}

impl Report {
    fn empty() -> Self {
        Self {
            version: VERSION,
            pinfold: env!("CARGO_PKG_VERSION"),
            outcome: Outcome::of_failure(crate::error::Kind::Internal),
            exit_code: crate::error::ExitCode::USAGE.0,
            error: None,
            evidence: Evidence::default(),
            peaks: Peaks::default(),
            controls: Controls::default(),
            binds: vec![],
            image: None,
            degraded: vec![],
            plan_digest: None,
        }
    }
}
