//! From the child's records to an error that names field, object and call.

use nix::errno::Errno;

use crate::error::{Error, Kind};
use crate::plan::{Failure, MountFrom, Plan, Planned, Records, RootFrom, Step};

/// The error that the records tell of; a child that ended without a word is one too.
pub fn failed(plan: &Plan, records: &Records) -> Error {
    match records.failure() {
        Some(failure) => describe_failure(plan, records, failure),
        None => silent(plan, records),
    }
}

/// Ended in the middle of a step without a record: killed from outside, or by its own filter.
fn silent(plan: &Plan, records: &Records) -> Error {
    let step = records.entered().and_then(|index| plan.steps.get(index)).map_or("clone", |at| at.step.name());
    Error::setup(format!("the process ended during `{step}` without a word")).step(step).hint(
        "it was killed: out of memory below the limit, or a seccomp profile denies what pinfold needs there",
    )
}

/// The error for one recorded failure.
pub fn describe_failure(plan: &Plan, records: &Records, failure: Failure) -> Error {
    match plan.steps.get(failure.index) {
        None => Error::internal("the child recorded a step that the plan does not have"),
        Some(planned) => match planned.step {
            Step::FindProgram | Step::Exec => program_error(plan, planned, failure.errno),
            Step::CreateContainerHook(ref hook, _) | Step::StartContainerHook(ref hook, _)
                if failure.errno == Errno::ECANCELED =>
            {
                super::failed_hook(records, Some(hook)).step(planned.step.name())
            }
            _ => step_error(planned, failure.errno),
        },
    }
}

fn step_error(planned: &Planned, errno: Errno) -> Error {
    let step = planned.step.name();
    let mut error = Error::call(step, errno).step(step);
    let object = planned.step.object();
    if !object.is_empty() {
        error = error.object(object);
    }
    if !planned.field.is_empty() {
        error = error.field(planned.field.clone());
    }
    if is_swap(&planned.step, errno) {
        error = error.kind(Kind::IdentityChanged);
    }
    match hint(&planned.step, errno) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Only the child's own comparison says so: a network filesystem answers ESTALE to a tree
/// that the parent made.
fn is_swap(step: &Step, errno: Errno) -> bool {
    let compared = matches!(
        step,
        Step::Mount { from: MountFrom::Path(..), .. }
            | Step::AttachRoot { from: RootFrom::Path(_) | RootFrom::Overlay(_), .. }
            | Step::AttachRoot { onto: Some(_), .. }
    );
    compared && errno == Errno::ESTALE
}

fn hint(step: &Step, errno: Errno) -> Option<&'static str> {
    Some(match (step, errno) {
        (step, errno) if is_swap(step, errno) => {
            "the source is no longer the object that was checked: it was swapped meanwhile"
        }
        (Step::Mount { .. } | Step::MakeCwd(_) | Step::Make(_), Errno::EROFS) => {
            "the place does not exist and the root is read-only: create it in the root file system"
        }
        (Step::Mount { .. }, Errno::ELOOP | Errno::ENOTDIR) => {
            "must be mounted on ordinary directory: a symbolic link or a file stands there"
        }
        (Step::Mount { .. }, Errno::EXDEV) => {
            "a link of the root leads to nothing, and what it names is made on the root itself or a tmpfs, not in a bind: make it there"
        }
        (Step::Mount { from: MountFrom::Fresh(fresh), .. }, Errno::EPERM)
            if matches!(fresh.fstype.to_bytes(), b"proc" | b"sysfs") =>
        {
            "the kernel gives a fresh one only to who sees the host's whole: inside another container parts of it are covered; `pinfold doctor` says how to uncover them"
        }
        (Step::Mount { .. }, Errno::EPERM) => {
            "the kernel refuses this mount here; `pinfold doctor` says what is missing"
        }
        (Step::Mount { .. } | Step::Make(_) | Step::MakeCwd(_), Errno::EACCES) => {
            "this caller may not reach the source, or may not make the place: create it in the root file system"
        }
        (
            Step::CutPropagation { .. } | Step::LoopbackUp | Step::Hostname(_),
            Errno::EPERM | Errno::EACCES,
        ) => {
            "the new user namespace has no rights here, as under Ubuntu's AppArmor restriction; `pinfold doctor` names the setting"
        }
        (
            Step::ConsolePty { .. },
            Errno::ENOENT | Errno::ENODEV | Errno::ENOTDIR | Errno::EXDEV | Errno::ELOOP,
        ) => {
            "a terminal is made in the container's own devpts: mount one at /dev/pts, and nothing over its ptmx"
        }
        (Step::ProveCwd, Errno::EXDEV) => {
            "the working directory lies outside the container: an escape attempt"
        }
        (Step::Chdir(_), Errno::EACCES) => "the user may not enter this directory",
        (Step::Landlock { .. }, Errno::EPERM) => "Landlock without no_new_privs needs CAP_SYS_ADMIN",
        (Step::EarlySeccomp(..), Errno::EACCES) => "a filter without noNewPrivileges needs CAP_SYS_ADMIN",
        (Step::SetUid(_) | Step::SetGid(_) | Step::SetGroups(_), Errno::EINVAL) => {
            "the container's user namespace has no such id"
        }
        (Step::Make(_) | Step::Mount { .. }, Errno::EEXIST) => "another file is at this path",
        (Step::Make(_), Errno::EBUSY) => "something is mounted at this path, where a link has to be",
        (Step::Make(_), Errno::ENOTEMPTY) => "a directory with files is at this path, where a link has to be",
        (Step::ExecLabel { .. }, Errno::ENOENT) => {
            "no such AppArmor profile is loaded, or the kernel has no such module"
        }
        (Step::ExecLabel { .. }, Errno::EINVAL) => "the loaded SELinux policy has no such context",
        (Step::MemoryPolicy(_), Errno::EINVAL) => {
            "the mode does not go with these nodes or flags, or none of the nodes is one of this machine's"
        }
        _ => return None,
    })
}

/// What the records of a child say that another process assembled: of its steps only those
/// after the word to start can have failed.
pub fn failed_at_start(records: &Records, program: &str) -> Error {
    match records.failure().map(|failure| failure.errno) {
        Some(Errno::ECANCELED) => super::failed_hook(records, None),
        Some(errno) if records.failed_last() => {
            program_text(program, true, errno).field("/process/args/0").step(Step::Exec.name())
        }
        Some(errno) => {
            Error::call("late_seccomp", errno).step("late_seccomp").field("/linux/seccomp").object(program)
        }
        None => Error::setup(format!("exec: \"{program}\": the process ended before it executed it"))
            .field("/process/args/0")
            .hint("a seccomp profile may deny execve itself, or it was killed"),
    }
}

fn program_error(plan: &Plan, planned: &Planned, errno: Errno) -> Error {
    let found = matches!(planned.step, Step::Exec);
    program_text(&plan.program.name, found, errno).field(planned.field.clone()).step(planned.step.name())
}

/// The texts that callers of runc match.
fn program_text(name: &str, found: bool, errno: Errno) -> Error {
    let (kind, text, hint) = match errno {
        Errno::ENOENT if found => (
            Kind::ExecNotFound,
            format!("exec: \"{name}\": no such file or directory"),
            "the file exists, but its interpreter (the `#!` line) or its ELF loader does not exist inside",
        ),
        Errno::ENOENT | Errno::ENOTDIR if name.contains('/') => (
            Kind::ExecNotFound,
            format!("exec: \"{name}\": stat {name}: no such file or directory"),
            "the path is looked up inside the sandbox",
        ),
        Errno::ENOENT | Errno::ENOTDIR => (
            Kind::ExecNotFound,
            format!("exec: \"{name}\": executable file not found in $PATH"),
            "the PATH that counts is the one of process.env, inside the root",
        ),
        Errno::ENOEXEC => (
            Kind::ExecNotExecutable,
            format!("exec: \"{name}\": exec format error"),
            "not a program of this architecture, or a script without a `#!` line",
        ),
        Errno::EISDIR => {
            (Kind::ExecNotExecutable, format!("exec: \"{name}\": is a directory"), "a program is a file")
        }
        Errno::EACCES => (
            Kind::ExecNotExecutable,
            format!("exec: \"{name}\": permission denied"),
            "the file is not executable for this user, or lies on a noexec mount",
        ),
        other => return Error::call("execve", other).object(name),
    };
    Error::new(kind, text).hint(hint)
}
