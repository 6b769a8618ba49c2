//! `update`: new limits for a container. Flags and `--resources` are read as the same
//! `linux.resources` that `create` reads, and stay known: a later update of one limit that
//! depends on another finds it.

use std::os::fd::AsFd;

use serde_json::{Map, Value, json};

use super::host::Host;
use super::judge::Judge;
use super::trail::Need;
use super::{entry, rdt, resources, text_file};
use crate::cgroup::Limits;
use crate::cli::{Global, UpdateArgs};
use crate::error::{Context, Error, ExitCode, Result};
use crate::policy::{Request, Verb, lockdown};
use crate::state::{Action, Status};
use crate::sys;
use crate::systemd::{self, Systemd};
use crate::types::InputFile;

const LIMIT: usize = 1 << 20;

/// Changes the limits of a container that is not stopped.
///
/// # Errors
/// A limit that cannot be applied; the container has no cgroup.
pub fn run(global: &Global, args: &UpdateArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let dir = root.open_container(&args.id.to_string())?;
    let changes = dir.lock_changes()?;
    let mut state = changes.load()?;
    Status::observe(&state)?.may(Action::Update, dir.id())?;
    let host = Host::read()?;
    let cgroup = entry::open_cgroup(&host, &state)?
        .ok_or_else(|| Error::setup("the container has no cgroup whose limits could be changed"))?;
    let mut config: Value = document(&dir.load_config()?)?;
    let asked = resources::merge(&mut config, asked(args)?)?;
    let limits = serde_json::from_value(asked.clone())
        .map_err(|error| Error::usage(error.to_string()).field("--resources"))?;
    let limits = Limits::from_oci(&limits)?;
    let judge = Judge::of_container(global, &state)?;
    let mut trail = judge.trail(Verb::Update, Some(dir.id()))?;
    trail.asks("changes", asked.clone());
    let request = Request {
        rdt: args.l3_cache_schema.is_some() || args.mem_bw_schema.is_some(),
        ..judge.request(Verb::Update, state.bundle.clone().into())?
    };
    let allowed = lockdown::check()
        .and_then(|()| judge.update(&limits, &request, &mut trail))
        .and_then(|()| trail.intent(None, Need::AsRequired));
    let updated = allowed.and_then(|_| {
        if asked.as_object().is_some_and(|asked| !asked.is_empty()) {
            if let Some(unit) = &state.unit {
                // Before the files: whatever systemd rounds, they have the last word.
                Systemd::connect(unit.instance())?.set(unit, &systemd::properties(&limits)?)?;
            }
            cgroup.update(&limits)?;
        }
        rdt::update(args, &mut state, (&cgroup, &mut config), &|state| changes.save(state))?;
        changes.save(&state)?;
        let text = serde_json::to_vec(&config).map_err(|error| Error::internal(error.to_string()))?;
        changes.save_config(&text)
    });
    trail.end(updated)?;
    Ok(ExitCode::SUCCESS)
}

/// What the caller asks for, as `linux.resources`.
fn asked(args: &UpdateArgs) -> Result<Value> {
    for (given, option) in
        [(&args.kernel_memory, "--kernel-memory"), (&args.kernel_memory_tcp, "--kernel-memory-tcp")]
    {
        if given.is_some() {
            crate::error::warn(format_args!("{option} is ignored: kernels since 5.11 have no such limit"));
        }
    }
    match &args.resources {
        Some(InputFile::Stdin) => {
            document(&text_file::read_all(sys::file::borrow_stdio(0).as_fd(), LIMIT).at("--resources")?)
        }
        Some(InputFile::File(path)) => document(&text_file::read(path.as_path(), LIMIT).at("--resources")?),
        None => Ok(from_flags(args)),
    }
}

fn document(text: &[u8]) -> Result<Value> {
    serde_json::from_slice(text).map_err(|error| Error::usage(error.to_string()).field("--resources"))
}

fn from_flags(args: &UpdateArgs) -> Value {
    let given = |pairs: Vec<(&str, Option<Value>)>| -> Map<String, Value> {
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    };
    let memory = given(vec![
        ("limit", args.memory.map(|size| json!(size.value()))),
        ("reservation", args.memory_reservation.map(|size| json!(size.value()))),
        ("swap", args.memory_swap.map(|size| json!(size.value()))),
    ]);
    let cpu = given(vec![
        ("quota", args.cpu_quota.map(|quota| json!(quota))),
        ("period", args.cpu_period.map(|period| json!(period))),
        ("burst", args.cpu_burst.map(|burst| json!(burst))),
        ("shares", args.cpu_share.map(|shares| json!(shares))),
        ("idle", args.cpu_idle.map(|idle| json!(idle))),
        ("realtimePeriod", args.cpu_rt_period.map(|period| json!(period))),
        ("realtimeRuntime", args.cpu_rt_runtime.map(|runtime| json!(runtime))),
        ("cpus", args.cpuset_cpus.as_ref().map(|list| json!(list))),
        ("mems", args.cpuset_mems.as_ref().map(|list| json!(list))),
    ]);
    let mut all = Map::new();
    for (key, part) in [("memory", memory), ("cpu", cpu)] {
        if !part.is_empty() {
            all.insert(key.to_owned(), Value::Object(part));
        }
    }
    if let Some(limit) = args.pids_limit {
        all.insert("pids".to_owned(), json!({ "limit": limit }));
    }
    if let Some(weight) = args.blkio_weight {
        all.insert("blockIO".to_owned(), json!({ "weight": weight }));
    }
    Value::Object(all)
}
