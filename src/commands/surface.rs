//! `surface`: what can be reached, from inside; and pinfold as the program of a bundle or a sandbox that
//! tells it.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::{Value, json};

use super::{bundle, caller, output, text_file};
use crate::cli::{Global, SurfaceArgs};
use crate::error::{Call, Context, Error, ExitCode, Result};
use crate::selftest::surface::{Difference, Surface};
use crate::sys;
use crate::types::HostPath;

/// A report has some ten thousand bytes.
const LARGEST: usize = 16 << 20;
/// A profile may want a time limit. A look takes less than a second.
const TIME: &str = "10s";
/// Where pinfold is, inside.
const NAME: &str = "pinfold-surface";

/// Looks, or compares.
///
/// # Errors
/// A report that cannot be read; a launch that fails.
pub fn run(global: &Global, args: &SurfaceArgs) -> Result<ExitCode> {
    // It launches by pinfold's own command line.
    caller::roots_alone("surface is")?;
    if let [one, other] = args.diff.as_slice() {
        return compare(one, other, args.json);
    }
    let surface = match (&args.bundle, &args.profile) {
        (Some(bundle), _) => of_bundle(global, bundle.as_path())?,
        (None, Some(profile)) => of_profile(global, profile)?,
        (None, None) => Surface::look()?,
    };
    output::print(&if args.json { surface.to_json()? } else { surface.text() })?;
    Ok(ExitCode::SUCCESS)
}

fn compare(one: &HostPath, other: &HostPath, as_json: bool) -> Result<ExitCode> {
    let read = |path: &HostPath| {
        let text = text_file::read(path.as_path(), LARGEST).at("--diff")?;
        Surface::parse(&text).on(path.as_path().display()).at("--diff")
    };
    let difference = Difference::of(&read(one)?, &read(other)?);
    let text = match as_json {
        true => serde_json::to_string_pretty(&difference)
            .map_err(|error| Error::internal(error.to_string()))
            .map(|text| text + "\n")?,
        false => difference.text(),
    };
    output::print(&text)?;
    Ok(if difference.is_empty() { ExitCode::SUCCESS } else { ExitCode(1) })
}

/// The bundle's own configuration, but for its program, and a bind of pinfold on one of its tmpfs: nothing
/// is made in the bundle.
fn of_bundle(global: &Global, path: &Path) -> Result<Surface> {
    let dir = bundle::open_directory(path).on(path.display()).at("--bundle")?;
    let text = text_file::read_in_root(dir.as_fd(), Path::new("config.json"), bundle::CONFIG_LIMIT)?;
    let text = text.ok_or_else(|| Error::usage("there is no config.json").object(path.display()))?;
    bundle::parse(&text)?;
    let mut config: Value = serde_json::from_slice(&text)
        .map_err(|error| Error::usage(error.to_string()).object("config.json"))?;
    replace_program(&mut config, &own_binary()?)?;
    let sealed =
        sys::shared::sealed_file(c"config.json", &[config.to_string().as_bytes()]).call("memfd_create")?;
    let inherited = FcntlArg::F_SETFD(FdFlag::empty());
    fcntl(&sealed, inherited).call("fcntl")?;
    report(pinfold(global)?.args(of_run(path, sealed.as_fd())))
}

/// By a descriptor: no name is there, that another could open or exchange.
fn of_run(bundle: &Path, config: BorrowedFd<'_>) -> [OsString; 6] {
    let id = format!("surface-{}", std::process::id());
    let number = config.as_raw_fd().to_string();
    ["run".into(), "--bundle".into(), bundle.into(), "--config-fd".into(), number.into(), id.into()]
}

fn replace_program(config: &mut Value, binary: &Path) -> Result<()> {
    let mounts = config.get_mut("mounts").and_then(Value::as_array_mut);
    let mounts = mounts.ok_or_else(no_place)?;
    let is_tmpfs = |mount: &&Value| mount.get("type").and_then(Value::as_str) == Some("tmpfs");
    let tmpfs = mounts.iter().find(is_tmpfs).and_then(|mount| mount.get("destination")?.as_str());
    let place = Path::new(tmpfs.ok_or_else(no_place)?).join(NAME);
    mounts.push(json!({
        "destination": place, "type": "bind", "source": binary, "options": ["bind", "ro", "nosuid", "nodev"],
    }));
    let process = config.get_mut("process").and_then(Value::as_object_mut);
    let process = process.ok_or_else(|| Error::usage("the configuration has none").field("/process"))?;
    process.insert("args".to_owned(), json!([place, "surface", "--json"]));
    process.insert("terminal".to_owned(), json!(false));
    process.remove("consoleSize");
    Ok(())
}

fn no_place() -> Error {
    Error::usage("no tmpfs to show pinfold on")
        .field("/mounts")
        .hint("mount pinfold's binary read-only in the container, and run `pinfold surface --json` there")
}

/// A sandbox shows the host's /usr; from elsewhere the binary is bound, which the policy must allow.
fn of_profile(global: &Global, profile: &str) -> Result<Surface> {
    let binary = own_binary()?;
    let mut command = pinfold(global)?;
    command.args(["sandbox", "--profile", profile, "--timeout", TIME]);
    let inside = match binary.starts_with("/usr") {
        true => binary,
        false => {
            let place = Path::new("/run").join(NAME);
            let mut bind = binary.into_os_string();
            bind.push(":");
            bind.push(&place);
            command.arg("--ro").arg(bind);
            place
        }
    };
    report(command.arg("--").arg(inside).args(["surface", "--json"]))
}

/// pinfold with the options in front of the verb that decide what a launch is.
fn pinfold(global: &Global) -> Result<Command> {
    let mut command = Command::new(own_binary()?);
    for (option, value) in [("--root", &global.root), ("--policy", &global.policy)] {
        command.args(value.iter().flat_map(|value| [option.into(), value.as_path().as_os_str().to_owned()]));
    }
    if global.systemd_cgroup {
        command.arg("--systemd-cgroup");
    }
    Ok(command)
}

fn own_binary() -> Result<PathBuf> {
    nix::fcntl::readlink("/proc/self/exe").map(PathBuf::from).call("readlink").on("/proc/self/exe")
}

fn report(command: &mut Command) -> Result<Surface> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().call("execve")?;
    match output.status.success() {
        true => Surface::parse(&output.stdout),
        false => Err(Error::setup(format!("the launch failed: {}", output.status))
            .hint("its own message stands above; the filter may deny what pinfold needs to look around")),
    }
}
