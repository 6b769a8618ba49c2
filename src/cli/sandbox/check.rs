//! Options that contradict each other: refused, for whichever of them won would surprise somebody.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use super::{DEFAULT_MEMORY, SandboxArgs};
use crate::types::{FdNumber, ReportTarget, SECRETS, SecretSource, SecurityOpt};

type Verdict = Result<(), String>;

pub(super) fn contradictions(args: &SandboxArgs) -> Verdict {
    swap_holds_memory(args)?;
    writable_root_is_an_image(args)?;
    no_capability_both_ways(args)?;
    one_word_per_security_opt(args)?;
    once("mount destination", args.files.mounts.0.iter().map(|mount| mount.destination()))?;
    once("--device destination", args.privileges.device.iter().map(|device| &device.destination))?;
    once("--ulimit", args.limits.ulimit.iter().map(|limit| limit.resource))?;
    once("--secret", args.process.secret.iter().map(|secret| &secret.name))?;
    once("fd", descriptors(args))?;
    secrets_alone_in_their_place(args)
}

/// Each descriptor of the caller's is for one thing: it is read to its end, or written to.
fn descriptors(args: &SandboxArgs) -> impl Iterator<Item = FdNumber> {
    let report = match &args.life.report {
        Some(ReportTarget::Fd(number)) => Some(*number),
        _ => None,
    };
    let secrets = args.process.secret.iter().filter_map(|secret| match secret.source {
        SecretSource::Fd(number) => Some(number),
        SecretSource::File(_) => None,
    });
    report.into_iter().chain(secrets)
}

/// A mount there or above would put the secrets into what is mounted: onto the host's disk.
fn secrets_alone_in_their_place(args: &SandboxArgs) -> Verdict {
    let place = Path::new(SECRETS);
    let destinations = args.files.mounts.0.iter().map(|mount| mount.destination().as_path());
    let mut meets = destinations.filter(|path| place.starts_with(path) || path.starts_with(place));
    match meets.next() {
        Some(path) if !args.process.secret.is_empty() => {
            Err(format!("--secret has {SECRETS} to itself: nothing can be mounted at {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Any other root is the host's own.
fn writable_root_is_an_image(args: &SandboxArgs) -> Verdict {
    match args.files.read_only == Some(false) && args.files.image.is_none() {
        true => Err("--read-only=false needs --image: any other root is the host's own".to_owned()),
        false => Ok(()),
    }
}

/// `--memory-swap` is the sum of both, as in Docker.
fn swap_holds_memory(args: &SandboxArgs) -> Verdict {
    let memory = args.limits.memory.unwrap_or(DEFAULT_MEMORY);
    match args.limits.memory_swap {
        Some(total) if total < memory => Err(format!(
            "--memory-swap {total} is memory and swap together: it must not be below --memory {memory}"
        )),
        _ => Ok(()),
    }
}

fn no_capability_both_ways(args: &SandboxArgs) -> Verdict {
    let both = args.privileges.cap_add.iter().find(|cap| args.privileges.cap_drop.contains(cap));
    both.map_or(Ok(()), |cap| Err(format!("{cap} is in both --cap-add and --cap-drop")))
}

fn one_word_per_security_opt(args: &SandboxArgs) -> Verdict {
    once(
        "--security-opt",
        args.privileges.security_opt.iter().map(|option| match option {
            SecurityOpt::NoNewPrivileges(_) => "no-new-privileges",
            SecurityOpt::Seccomp(_) => "seccomp",
        }),
    )
}

fn once<T: Ord + Display>(what: &str, values: impl Iterator<Item = T>) -> Verdict {
    let mut seen = BTreeSet::new();
    for value in values {
        if seen.contains(&value) {
            return Err(format!("{what} {value} is given twice"));
        }
        seen.insert(value);
    }
    Ok(())
}
