//! `ps`: the processes of a container's cgroup.

use std::process::Command;

use super::caller;
use super::entry;
use super::host::Host;
use super::output;
use crate::cli::{Global, ListFormat, PsArgs};
use crate::error::{Call, Context, Error, ExitCode, Result};
use crate::state::State;

/// Lists them: pids as JSON, or the host's ps(1) filtered by them.
///
/// # Errors
/// The container has no cgroup; ps cannot be run or has no PID column.
pub fn run(global: &Global, args: &PsArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let dir = root.open_container(&args.id.to_string())?;
    let state = dir.load()?;
    let host = Host::read()?;
    let cgroup = entry::open_cgroup(&host, &state)?.ok_or_else(|| without_cgroup(&state))?;
    let mut pids: Vec<i32> = cgroup.processes()?.into_iter().map(nix::unistd::Pid::as_raw).collect();
    pids.sort_unstable();
    let text = match args.format {
        ListFormat::Json => {
            let json = serde_json::to_string(&pids).map_err(|error| Error::internal(error.to_string()))?;
            format!("{json}\n")
        }
        ListFormat::Table => table(&pids, args)?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn without_cgroup(state: &State) -> Error {
    match state.cgroup.is_empty() {
        true => Error::setup("the container has no cgroup that would know its processes"),
        false => Error::usage("container not running"),
    }
}

fn table(pids: &[i32], args: &PsArgs) -> Result<String> {
    let mut command = Command::new("ps");
    match args.ps_args.is_empty() {
        true => command.arg("-ef"),
        false => command.args(&args.ps_args),
    };
    // Of processes that are not the caller's, ps would tell more than the caller may know.
    let as_caller = caller::rights()?;
    let output = command.output().call("execve").on("ps")?;
    drop(as_caller);
    if !output.status.success() {
        return Err(Error::setup(String::from_utf8_lossy(&output.stderr).trim().to_owned()).object("ps"));
    }
    filter(&String::from_utf8_lossy(&output.stdout), pids)
}

/// The heading and the lines whose PID column names one of `pids`.
fn filter(listing: &str, pids: &[i32]) -> Result<String> {
    let mut lines = listing.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading.split_whitespace().position(|word| word == "PID");
    let column = column.ok_or_else(|| Error::usage("couldn't find PID field in ps output").object("ps"))?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse::<i32>().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let rows: Vec<&str> = std::iter::once(heading).chain(lines.filter(ours)).collect();
    Ok(rows.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn only_the_containers_lines_stay() {
        let listing = "UID PID PPID CMD\nroot 1 0 init\nroot 22 1 sh\nroot 222 1 other\n";
        assert_eq!(filter(listing, &[22]).unwrap(), "UID PID PPID CMD\nroot 22 1 sh\n");
        assert!(filter("UID CMD\n", &[22]).is_err());
    }
}
