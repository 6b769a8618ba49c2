//! Intel RDT: the container's class of service and its monitoring group, from create to delete.

use nix::errno::Errno;
use serde_json::{Map, Value, json};

use super::entry::Entry;
use crate::cgroup::{Cgroup, Rdt, RdtRecord, RdtTasks, Resctrl};
use crate::cli::UpdateArgs;
use crate::draft::Draft;
use crate::error::{Error, Result};
use crate::state::State;

/// Makes what the configuration asks for; the first process then enters it by the `tasks` files.
///
/// # Errors
/// As [`Resctrl::make_recorded`].
pub fn make(draft: &Draft, entry: &Entry) -> Result<RdtTasks> {
    let Some(rdt) = &draft.rdt else { return Ok(RdtTasks::default()) };
    let resctrl = Resctrl::open()?;
    let keep = |record| {
        entry.update(|state| {
            state.rdt = record;
            Ok(())
        })
    };
    resctrl.make_recorded(rdt, entry.id(), keep)
}

/// For a further process of a container.
///
/// # Errors
/// Its group is gone.
pub fn join(state: &State) -> Result<RdtTasks> {
    match made(state) {
        None => Ok(RdtTasks::default()),
        Some(record) => Resctrl::open()?.tasks(record),
    }
}

/// A group that is there: an `update` may have been killed while it made one.
fn made(state: &State) -> Option<&RdtRecord> {
    state.rdt.as_ref().filter(|record| !record.begun)
}

/// Removes what create made; a filesystem that is not mounted any more has nothing of it.
///
/// # Errors
/// rmdir(2).
pub fn remove(state: &State) -> Result<()> {
    let Some(record) = &state.rdt else { return Ok(()) };
    match Resctrl::open_if_mounted()? {
        Some(resctrl) => resctrl.remove(record),
        None => Ok(()),
    }
}

/// Keeps the record of a container.
type Save<'s> = dyn Fn(&State) -> Result<()> + 's;

/// `update`: changes the schemata; a container without a group gets one with all its processes.
///
/// # Errors
/// The machine has no RDT, in runc's words; what the kernel says.
pub fn update(
    args: &UpdateArgs,
    state: &mut State,
    (cgroup, config): (&Cgroup, &mut Value),
    save: &Save<'_>,
) -> Result<()> {
    let schemas = [
        (&args.l3_cache_schema, "l3CacheSchema", "Intel RDT/CAT: l3 cache schema is not enabled"),
        (&args.mem_bw_schema, "memBwSchema", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
    ];
    let Some((.., refusal)) = schemas.iter().find(|(schema, ..)| schema.is_some()) else { return Ok(()) };
    let resctrl = Resctrl::open_if_mounted()?.ok_or_else(|| Error::setup(*refusal))?;
    let rdt = Rdt::of_schemas(args.l3_cache_schema.as_deref(), args.mem_bw_schema.as_deref())?;
    match made(state) {
        Some(record) => resctrl.update(record, &rdt)?,
        None => enter(&resctrl, &rdt, (state, save), cgroup)?,
    }
    let linux = config.as_object_mut().map(|config| config.entry("linux").or_insert_with(|| json!({})));
    if let Some(Value::Object(linux)) = linux {
        let kept = linux.entry("intelRdt").or_insert_with(|| json!({}));
        for (schema, name, _) in schemas {
            if let (Some(schema), Some(kept)) = (schema, kept.as_object_mut()) {
                kept.insert(name.to_owned(), json!(schema));
            }
        }
    }
    Ok(())
}

fn enter(
    resctrl: &Resctrl,
    rdt: &Rdt,
    (state, save): (&mut State, &Save<'_>),
    cgroup: &Cgroup,
) -> Result<()> {
    remove(state)?;
    let id = state.id.clone();
    let mut keep = |record| {
        state.rdt = record;
        save(state)
    };
    let tasks = resctrl.make_recorded(rdt, &id, &mut keep)?;
    frozen(cgroup, || all_into(&tasks, cgroup)).or_else(|error| {
        resctrl.remove(&rdt.record(&id))?;
        keep(None).and(Err(error))
    })
}

/// Nobody forks while the processes are listed and moved: a child is born where its parent is.
fn frozen(cgroup: &Cgroup, act: impl FnOnce() -> Result<()>) -> Result<()> {
    if cgroup.is_frozen()? {
        return act();
    }
    cgroup.freeze()?;
    let acted = act();
    cgroup.thaw().and(acted)
}

fn all_into(tasks: &RdtTasks, cgroup: &Cgroup) -> Result<()> {
    for pid in cgroup.processes()? {
        match tasks.add(pid.as_raw()) {
            // It has ended.
            Err(error) if error.errno() == Some(Errno::ESRCH) => {}
            added => added?,
        }
    }
    Ok(())
}

/// `intel_rdt` of `events`: the lines in force for the container and for the default class.
///
/// # Errors
/// A file that cannot be read.
pub fn statistics(state: &State) -> Result<Map<String, Value>> {
    let mut told = Map::new();
    let Some(record) = made(state) else { return Ok(told) };
    let Some(resctrl) = Resctrl::open_if_mounted()? else { return Ok(told) };
    let [own, root] = resctrl.schemata(record)?;
    for (schemata, end) in [(root, "_root"), (own, "")] {
        for (resource, name) in [("L3", "l3_cache_schema"), ("MB", "mem_bw_schema")] {
            if let Some(line) = schemata.line(resource) {
                told.insert(format!("{name}{end}"), json!(line));
            }
        }
    }
    Ok(told)
}
