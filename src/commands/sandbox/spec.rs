//! The options become an OCI configuration and the few things it cannot say. From there
//! the road is the one of every other launch.

use std::ffi::OsString;

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::super::caller;
use super::super::host::Host;
use super::image::RunImage;
use super::oom_score::oom_score;
use super::{environment, ids, mounts, rlimits, root, rootless, seccomp, secrets, users};
use crate::cgroup::{Amount, Control, Limits};
use crate::cli::{DEFAULT_CPUS, DEFAULT_MEMORY, DEFAULT_PIDS, Global, SandboxArgs};
use crate::draft::{Door, Extras};
use crate::error::{Context, Error, Result};
use crate::rootfs::HOSTNAME;
use crate::state::id_range;
use crate::types::{CapArg, CapName, NetworkMode, SecurityOpt};

/// Size of the fresh root, which holds nothing but the skeleton.
const ROOT_SIZE: u64 = 1 << 20;
/// Of one that may be written, where no option says otherwise.
const WRITABLE_SIZE: u64 = 64 << 20;

/// docker's masked and read-only parts of /proc, and what has appeared since.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
];
const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A sandbox, asked for.
pub(super) struct Request {
    pub spec: Spec,
    pub extras: Extras,
    pub id_range: Option<id_range::IdRange>,
    pub degraded: Vec<String>,
    /// The text of the seccomp profile.
    pub filter: Option<String>,
    /// The image that it stands on.
    pub image: Option<RunImage>,
}

/// What bounds each process by itself, beside the cgroup.
struct Bounds {
    rlimits: Vec<Value>,
    oom_score: Option<i32>,
}

/// Reads the options.
pub(super) fn request(
    global: &Global,
    args: &SandboxArgs,
    host: &Host,
    secrets: Vec<secrets::Secret>,
) -> Result<Request> {
    refuse_unsupported(args)?;
    let rootless = host.facts.rootless;
    let root = root::root(global, args, ids::owner_of_root(host))?;
    let mut image = root.image;
    let user = users::user(args, &root.accounts, image.as_ref().and_then(|image| image.user.as_ref()))?;
    let ids = ids::choose(host, args, &user)?;
    rootless::refuse_other_ids(args, &user, host, &ids)?;
    if let (Some(image), Some(ids)) = (&mut image, &ids.subordinate) {
        image.stand_on(global, ids).at("--image")?;
    }
    let volumes = image.as_ref().map(RunImage::volumes).transpose()?.unwrap_or_default();
    let mounts = mounts::mounts(
        args,
        &user,
        mounts::Given { first: root.mounts, volumes, one_id: ids.maps.has_one_id() },
    )?;
    let files = secrets::files(secrets, &user);
    let filter = seccomp::text(args)?;
    let bounding = capabilities(args);
    let profile = filter.as_deref().map(|text| seccomp::profile(text, &bounding)).transpose()?;
    let mut degraded = rootless::degraded(args, &user, host, &ids)?;
    let bounds =
        Bounds { rlimits: rlimits::rlimits(args, host)?, oom_score: oom_score(host, &mut degraded)? };
    let document = document(args, &user, &ids, mounts.list, (bounds, image.as_ref()))?;
    let spec = serde_json::from_value(document).map_err(|error| Error::internal(error.to_string()))?;
    if host.facts.landlock_abi == 0 {
        degraded.push("landlock: this kernel has none, or it is not enabled".to_owned());
    }
    let extras = Extras {
        door: Door::Sandbox,
        host_usr: args.files.rootfs.is_none() && image.is_none(),
        image: image.as_ref().map(|image| image.root.clone()),
        root_size: root_size(args),
        owner_mapped: if rootless { vec![] } else { mounts.owner_mapped },
        own: mounts.own,
        root_idmapped: !rootless && (args.files.rootfs.is_some() || image.is_some()),
        files,
        skeleton: root.skeleton,
        init: true,
        landlock: true,
        seccomp: profile,
        die_with_caller: !args.life.detach,
    };
    Ok(Request { spec, extras, id_range: ids.range, degraded, filter, image })
}

/// Of an image it has the mount points too, and what is written where that is allowed.
fn root_size(args: &SandboxArgs) -> u64 {
    match (args.files.read_only, args.files.storage_opt) {
        (Some(false), Some(option)) => option.size.bytes(),
        (Some(false), None) => WRITABLE_SIZE,
        _ => ROOT_SIZE,
    }
}

/// Options that this version does not have yet are refused, never passed over.
fn refuse_unsupported(args: &SandboxArgs) -> Result<()> {
    let own_root = args.files.rootfs.is_some() || args.files.image.is_some();
    let add_host = !args.identity.add_host.is_empty() && own_root;
    let asked = [
        (args.life.detach && args.life.report.is_some(), "--report with --detach"),
        (args.life.detach && args.process.tty, "--tty with --detach"),
        (args.life.detach && args.limits.stdout_max.is_some(), "--stdout-max with --detach"),
        (args.life.detach && args.limits.stderr_max.is_some(), "--stderr-max with --detach"),
        (add_host, "--add-host with --rootfs or --image"),
        // Landlock without it needs a capability that the program's user has not, and every
        // mount of a sandbox is nosuid: no program could gain anything.
        (
            args.privileges.security_opt.contains(&SecurityOpt::NoNewPrivileges(false)),
            "--security-opt no-new-privileges=false",
        ),
    ];
    match asked.iter().find(|(given, _)| *given) {
        Some((_, option)) => Err(Error::usage("not supported by this version of pinfold").field(*option)),
        None => Ok(()),
    }
}

fn document(
    args: &SandboxArgs,
    user: &users::User,
    ids: &ids::Ids,
    mounts: Vec<Value>,
    (bounds, image): (Bounds, Option<&RunImage>),
) -> Result<Value> {
    let host_network = args.identity.network == Some(NetworkMode::Host);
    let mut namespaces = vec!["pid", "ipc", "uts", "mount", "cgroup", "user"];
    if !host_network {
        namespaces.push("network");
    }
    let namespaces: Vec<_> = namespaces.iter().map(|name| json!({ "type": name })).collect();
    let ranges = |ranges: &[crate::plan::IdRange]| -> Vec<Value> {
        let one = |range: &crate::plan::IdRange| json!({"containerID": range.inside, "hostID": range.outside, "size": range.size});
        ranges.iter().map(one).collect()
    };
    let hostname = args.identity.hostname.as_ref().map_or(HOSTNAME, |name| name.as_str());
    let root = args
        .files
        .rootfs
        .as_ref()
        .map_or_else(|| "/".to_owned(), |path| path.as_path().to_string_lossy().into_owned());
    Ok(json!({
        "ociVersion": "1.3.0",
        "process": process(args, user, bounds, image)?,
        "root": {"path": root, "readonly": args.files.read_only != Some(false)},
        "hostname": hostname,
        "mounts": mounts,
        "linux": {
            "namespaces": namespaces,
            "uidMappings": ranges(&ids.maps.uids),
            "gidMappings": ranges(&ids.maps.gids),
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
            // What the caller has, such as no randomisation of addresses, stays outside.
            "personality": {"domain": "LINUX"},
        },
    }))
}

fn process(
    args: &SandboxArgs,
    user: &users::User,
    bounds: Bounds,
    image: Option<&RunImage>,
) -> Result<Value> {
    let caps: Vec<String> = capabilities(args).into_iter().map(|cap| cap.to_string()).collect();
    Ok(json!({
        "terminal": args.process.tty,
        "user": {"uid": user.uid, "gid": user.gid, "umask": 0o022, "additionalGids": user.groups},
        "args": command(args, image)?,
        "env": environment::environment(args, user, image)?,
        "cwd": working_directory(args, image)?,
        // A program that is not root has only what is ambient (capabilities(7)).
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps, "inheritable": caps, "ambient": caps},
        "rlimits": bounds.rlimits,
        "oomScoreAdj": bounds.oom_score,
        "noNewPrivileges": true,
    }))
}

fn command(args: &SandboxArgs, image: Option<&RunImage>) -> Result<Vec<String>> {
    let typed: Vec<String> = args.command.iter().map(text).collect::<Result<_>>()?;
    let entrypoint = args.process.entrypoint.as_ref().map(text).transpose()?;
    let rest = match image {
        Some(image) => image.command(entrypoint.is_some(), &typed),
        None => typed,
    };
    let command: Vec<String> = entrypoint.into_iter().chain(rest).collect();
    match command.is_empty() {
        true => Err(Error::usage("the image names no command, and none is given").field("CMD")),
        false => Ok(command),
    }
}

fn text(word: &OsString) -> Result<String> {
    word.to_str().map(str::to_owned).ok_or_else(|| {
        let shown = word.to_string_lossy().into_owned();
        Error::usage("not UTF-8, which the runtime specification needs").field("CMD").object(shown)
    })
}

/// The first writable place, or the image's own, or the root.
fn working_directory(args: &SandboxArgs, image: Option<&RunImage>) -> Result<String> {
    use crate::cli::MountRequest::Bind;
    let writable = args.files.mounts.0.iter().find_map(|mount| match mount {
        Bind { source, destination, access: crate::types::Access::ReadWrite } if is_directory(source) => {
            Some(destination)
        }
        _ => None,
    });
    let chosen = args.process.workdir.as_ref().or(writable);
    let chosen = chosen.map(|path| path.as_path().to_string_lossy().into_owned());
    let own = image.map(RunImage::working_directory).transpose()?.flatten();
    Ok(chosen.or(own).unwrap_or_else(|| "/".to_owned()))
}

/// Only to choose a default: what is mounted is what the pinned descriptor says.
fn is_directory(source: &crate::types::HostPath) -> bool {
    let Ok(_as_caller) = caller::rights() else { return false };
    nix::sys::stat::stat(source.as_c_str()).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// None by default; `--cap-drop` takes from what `--cap-add` gives.
fn capabilities(args: &SandboxArgs) -> Vec<CapName> {
    let spread = |list: &[CapArg]| -> Vec<CapName> {
        let one = |cap: &CapArg| match cap {
            CapArg::All => CapName::all(),
            CapArg::One(cap) => vec![*cap],
        };
        list.iter().flat_map(one).collect()
    };
    let dropped = spread(&args.privileges.cap_drop);
    let mut added = spread(&args.privileges.cap_add);
    added.retain(|cap| !dropped.contains(cap));
    added
}

/// The limits: what an option asks for is kept and must be applied; a default that this
/// host cannot give is left out and named.
pub(super) fn limits(args: &SandboxArgs, host: &Host, degraded: &mut Vec<String>) -> Limits {
    let memory = args.limits.memory.unwrap_or(DEFAULT_MEMORY).bytes();
    let swap = args.limits.memory_swap.map_or(0, |total| total.bytes().saturating_sub(memory));
    let cpus = args.limits.cpus.unwrap_or(DEFAULT_CPUS);
    let pids = args.limits.pids_limit.unwrap_or(DEFAULT_PIDS).count();
    let mut default = |asked: bool, control: Control, name: &str| {
        let given = asked || host.can_limit(control);
        if !given {
            degraded.push(format!("{name}: no cgroup controller that this caller may use"));
        }
        given
    };
    let limits = &args.limits;
    let mut chosen = Limits::default();
    if default(limits.memory.is_some(), Control::Memory, "memory limit") {
        chosen.memory_max = Some(Amount::Value(memory));
    }
    if default(limits.memory_swap.is_some(), Control::Swap, "swap limit") {
        chosen.memory_swap_max = Some(Amount::Value(swap));
    }
    if default(limits.pids_limit.is_some(), Control::Pids, "pids limit") {
        // The init is one of them, and not the program's.
        chosen.pids_max = Some(Amount::Value(u64::from(pids) + 1));
    }
    if default(limits.cpus.is_some(), Control::Cpu, "cpu limit") {
        chosen.cpu_quota_us = Some(Amount::Value(cpus.quota()));
        chosen.cpu_period_us = Some(cpus.period());
    }
    chosen.cpuset_cpus = limits.cpuset_cpus.as_ref().map(|set| set.as_str().to_owned());
    // Beside the memory limit where the kernel has it; the verdict works without it.
    chosen.oom_group = chosen.memory_max.is_some() && host.can_limit(Control::OomGroup);
    chosen
}
