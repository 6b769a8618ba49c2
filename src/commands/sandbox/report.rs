//! `--report`: one JSON object about what was asked, what was in force, and how it ended.
//! docs/report.schema.json is its schema. It never holds the value of a secret or of an
//! environment variable.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;
use serde::Serialize;

use super::inherited::Inherited;
use crate::cgroup::Counters;
use crate::error::{Call, Context, Error, Result};
use crate::launch::{Ended, Outcome};
use crate::plan::{Expected, Plan, Step};
use crate::policy;
use crate::resolve::Bound;
use crate::sys;
use crate::types::ReportTarget;

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

#[derive(Debug, Clone, Default, Serialize)]
struct Evidence {
    cgroup_before: Option<Counters>,
    cgroup_after: Option<Counters>,
    wait_status: Option<i32>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Peaks {
    memory_bytes: Option<u64>,
    max_rss_bytes: Option<u64>,
    pids: Option<u64>,
    cpu_us: Option<u64>,
    wall_us: Option<u64>,
    stdout_bytes: Option<u64>,
    stderr_bytes: Option<u64>,
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
    /// Opens the target.
    ///
    /// # Errors
    /// The file cannot be made, or is a link, or the descriptor is not open.
    pub fn open(target: Option<&ReportTarget>, inherited: &mut Inherited) -> Result<Self> {
        let target = target.map(|target| open_target(target, inherited)).transpose().at("--report")?;
        Ok(Self { target, report: Report::empty() })
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
    pub fn ended(&mut self, outcome: &Outcome, ended: &Ended, before: Counters, after: Counters) {
        let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.report.outcome = outcome.clone();
        self.report.exit_code = outcome.sandbox_code().0;
        self.report.peaks = Peaks {
            memory_bytes: after.memory_peak,
            max_rss_bytes: Some(ended.rusage.max_rss_kib.saturating_mul(1024)),
            pids: after.pids_peak,
            cpu_us: after.cpu_usage_us.or(Some(ended.rusage.user_us + ended.rusage.system_us)),
            wall_us: Some(micros(ended.wall)),
            stdout_bytes: ended.bytes.first().copied().flatten(),
            stderr_bytes: ended.bytes.last().copied().flatten(),
        };
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

    /// Writes it, once.
    ///
    /// # Errors
    /// write(2): a full disk, a closed pipe.
    pub fn write(&mut self) -> Result<()> {
        let Some(target) = self.target.take() else { return Ok(()) };
        let mut text =
            serde_json::to_vec(&self.report).map_err(|error| Error::internal(error.to_string()))?;
        text.push(b'\n');
        std::fs::File::from(target).write_all(&text).call("write").at("--report")
    }
}

/// The flags of mounts made in a new user namespace are not locked: who has CAP_SYS_ADMIN
/// there takes them off by mount_setattr(2), which Landlock does not govern.
fn can_loosen(expected: &Expected) -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    expected.new_namespaces.contains(&"user") && expected.bounding & 1 << CAP_SYS_ADMIN != 0
}

fn seccomp_digest(plan: &Plan) -> Option<String> {
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
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("sha256:{hex}"))
}

/// A regular file that is made or emptied, never through a link; or a descriptor of the caller's.
fn open_target(target: &ReportTarget, inherited: &mut Inherited) -> Result<OwnedFd> {
    match target {
        ReportTarget::Fd(number) => inherited.remove(*number),
        ReportTarget::File(path) => {
            let path = path.as_path();
            let how = OpenHow::new()
                .flags(
                    OFlag::O_WRONLY
                        | OFlag::O_CREAT
                        | OFlag::O_NOFOLLOW
                        | OFlag::O_NONBLOCK
                        | OFlag::O_NOCTTY
                        | OFlag::O_CLOEXEC,
                )
                .mode(Mode::S_IRUSR | Mode::S_IWUSR)
                .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
            let file =
                nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2").on(path.display())?;
            empty_regular(&file).on(path.display())?;
            Ok(file)
        }
    }
}

/// A file that was there before must be the caller's own, under this name alone: somebody
/// else's would be theirs to rewrite, and a hard link another file's content.
fn empty_regular(file: &OwnedFd) -> Result<()> {
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    let magic = sys::file::fstatfs_type(file.as_fd()).call("fstatfs")?;
    if stat.mode & libc::S_IFMT != libc::S_IFREG || policy::is_kernel_filesystem(magic) {
        return Err(Error::usage("not a regular file").hint("use fd:N for a pipe"));
    }
    match stat.nlink == 1 && stat.uid == nix::unistd::geteuid().as_raw() {
        true => nix::unistd::ftruncate(file, 0).call("ftruncate"),
        false => Err(Error::setup("exists, and is another user's or has another name (a hard link)")
            .hint("remove it, or name a file that does not exist")),
    }
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
            degraded: vec![],
            plan_digest: None,
        }
    }
}
