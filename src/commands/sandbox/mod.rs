//! `pinfold sandbox`: one untrusted program, secure defaults, everything ends with it.

pub mod accounts;
mod environment;
mod ids;
mod image;
mod inherited;
mod keep;
mod mounts;
mod oom_score;
mod refused;
mod report_target;
mod request_file;
mod rlimits;
mod root;
mod rootless;
mod run;
mod seccomp;
mod secrets;
mod spec;
mod users;

pub use keep::kept_extras;
pub use refused::report_refused;

use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::cli::{Global, SandboxArgs};
use crate::draft::{self, Draft};
use crate::error::{Context, Error, ExitCode, Kind, Result};
use crate::policy;
use crate::resolve::Facts;
use crate::state::id_range::IdRange;
use crate::timing;
use crate::types::ReportTarget;

use super::bundle;
use super::explain;
use super::gate::Gate;
use super::host::Host;
use super::judge::{Judge, Judged};
use super::report::Reporter;
use super::trail::Trail;
use image::RunImage;
use inherited::Inherited;

/// What was asked for, decided.
struct Asked {
    draft: Draft,
    /// The objects that were judged; the Plan takes them.
    facts: Facts,
    /// The configuration that a further program of the sandbox goes by, where one can come.
    kept: Option<Vec<u8>>,
    id_range: Option<IdRange>,
    image: Option<RunImage>,
    degraded: Vec<String>,
    /// What the policy says of each part, for `explain`.
    decided: explain::Decided,
}

/// Runs one sandbox. The exit code is the program's own, or the documented one.
///
/// # Errors
/// Everything that kept the program from running; the report tells it too.
pub fn run(global: &Global, args: &SandboxArgs) -> Result<ExitCode> {
    super::protect::own_binary_without_landlock()?;
    match &args.life.spec {
        None => run_options(global, args),
        Some(file) => {
            let typed: Vec<_> = crate::sys::program::arguments();
            match request_file::together(file, &typed) {
                Ok(args) => run_options(global, &args),
                Err(error) => {
                    wanted_report(args).map_or(Ok(()), |target| refused::tell(target, &error))?;
                    Err(error)
                }
            }
        }
    }
}

/// What is only explained has no end to report.
fn wanted_report(args: &SandboxArgs) -> Option<&ReportTarget> {
    args.life.report.as_ref().filter(|_| !args.life.explain)
}

fn run_options(global: &Global, args: &SandboxArgs) -> Result<ExitCode> {
    let mut inherited = Inherited::take(wanted_report(args), &args.process.secret)?;
    let target = wanted_report(args).map(|target| report_target::open(target, &mut inherited));
    let mut reporter = Reporter::new(target.transpose().at("--report")?);
    let host = Host::read()?;
    timing::ended("host");
    let secrets = secrets::read(args, &mut inherited);
    let judge = Judge::for_launch(global, args.life.profile.as_deref(), "--profile");
    let ran = judge.and_then(|judge| {
        let mut trail = trail(args, &judge)?;
        let ran = gate(args, &judge).and_then(|gate| {
            let asked = decide(global, args, &host, secrets?, (&judge, &mut trail))?;
            if let Some(image) = &asked.image {
                reporter.image(image.reference.clone(), image.root.digest.clone());
            }
            match gate {
                None => explain(args, asked, &host),
                Some(gate) => run::run(args, &host, asked, &judge, (&mut reporter, &mut trail, gate)),
            }
        });
        if let Err(error) = &ran {
            trail.failed(error);
        }
        ran
    });
    if let Err(error) = &ran {
        reporter.failed(error);
    }
    reporter.write().at("--report")?;
    ran
}

/// What is only explained passes none.
fn gate(args: &SandboxArgs, judge: &Judge<'_>) -> Result<Option<Gate>> {
    (!args.life.explain).then(|| Gate::enter(judge.policy())).transpose()
}

/// What is only explained leaves nothing.
fn trail(args: &SandboxArgs, judge: &Judge<'_>) -> Result<Trail> {
    let name = args.life.name.as_ref().map(crate::types::ContainerId::as_str);
    match args.life.explain {
        true => Ok(Trail::nothing("explain", name)),
        false => judge.trail(policy::Verb::Sandbox, name),
    }
}

fn decide(
    global: &Global,
    args: &SandboxArgs,
    host: &Host,
    secrets: Vec<secrets::Secret>,
    (judge, trail): (&Judge<'_>, &mut Trail),
) -> Result<Asked> {
    refuse_own_store(global, args, judge)?;
    let mut request = spec::request(global, args, host, secrets)?;
    timing::ended("configuration");
    let mut draft = draft::build(&request.spec, &request.extras, &host.facts)?;
    timing::ended("draft");
    let mut degraded = request.degraded;
    draft.limits = spec::limits(args, host, &mut degraded);
    refuse_degraded(args, &degraded)?;
    let kept = (args.life.name.is_some() || args.life.detach)
        .then(|| keep::configuration(&request.spec, request.filter.as_deref()))
        .transpose()?;
    let cwd = super::host::open_cwd()?;
    let asked = asks(args, host, judge, bundle::absolute(cwd.as_fd())?, &degraded)?;
    let (Judged { draft, mut facts }, decided) = match args.life.explain {
        true => explain::judged(judge, draft, cwd.as_fd(), &asked, form(args))?,
        false => (judge.launch(draft, cwd.as_fd(), &asked, trail)?, explain::Decided::default()),
    };
    timing::ended("objects, policy");
    if let Some(image) = &mut request.image {
        facts.layers = std::mem::take(&mut image.layers);
    }
    Ok(Asked { draft, facts, kept, id_range: request.id_range, degraded, image: request.image, decided })
}

/// What the policy must know beside the Draft.
fn asks(
    args: &SandboxArgs,
    host: &Host,
    judge: &Judge<'_>,
    base: PathBuf,
    degraded: &[String],
) -> Result<policy::Request> {
    Ok(policy::Request {
        timeout: args.limits.timeout.map(|span| span.duration()),
        stdout_max: args.limits.stdout_max.map(|size| size.bytes()),
        stderr_max: args.limits.stderr_max.map(|size| size.bytes()),
        degraded: degraded.to_vec(),
        has_cgroup: host.hierarchies.writable(),
        running: judge.running()? + 1,
        ..judge.request(policy::Verb::Sandbox, base)?
    })
}

/// A store of the caller's choice could hold anything under any digest.
fn refuse_own_store(global: &Global, args: &SandboxArgs, judge: &Judge<'_>) -> Result<()> {
    match judge.stands() && args.files.image.is_some() && global.store.is_some() {
        true => {
            Err(Error::new(Kind::PolicyRefused, "refused by policy: images come from the host's own store")
                .field("--store"))
        }
        false => Ok(()),
    }
}

/// `--strict` turns a default that this host cannot give into an error.
fn refuse_degraded(args: &SandboxArgs, degraded: &[String]) -> Result<()> {
    match (args.life.strict, degraded.first()) {
        (true, Some(first)) => Err(Error::setup(format!("--strict: this host cannot give: {first}"))
            .hint("`pinfold doctor` says what to change on the host")),
        _ => Ok(()),
    }
}

fn form(args: &SandboxArgs) -> explain::Form {
    if args.life.explain_json { explain::Form::Json } else { explain::Form::Text }
}

/// Prints the very Plan that a launch would use, and launches nothing.
fn explain(args: &SandboxArgs, mut asked: Asked, host: &Host) -> Result<ExitCode> {
    let finished = run::plan(&mut asked, host, None)?;
    explain::print(&finished.plan, &asked.degraded, &asked.decided, form(args))?;
    Ok(ExitCode::SUCCESS)
}
