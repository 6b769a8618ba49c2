//! `[namespaces]`, `[network]`, `[[join]]`.

use super::Bench;
use crate::draft::Draft;
use crate::policy::read::NAMESPACES;
use crate::policy::request::odd;
use crate::policy::rules::{At, Network};
use crate::policy::select::joinable;
use crate::resolve::Facts;
use crate::sys::clone::CLONE_NEWNET;

const FIELD: &str = "/linux/namespaces";

pub(super) fn namespaces(bench: &mut Bench<'_>, draft: &Draft, facts: &Facts) {
    let layer = bench.layer;
    let joined = |bit: u64| draft.join.iter().any(|join| join.nstype == bit);
    for bit in layer.rules.namespaces.new.iter().flat_map(|at| &at.value) {
        let line = layer.rules.namespaces.new.as_ref().map_or(0, |at| at.line);
        let name = NAMESPACES.iter().find(|(_, one)| one == bit).map_or("", |(name, _)| *name);
        let (kept, whose) = match (draft.new_namespaces & bit != 0, joined(*bit)) {
            (true, _) => (true, "a new"),
            (false, true) => (true, "a joined"),
            (false, false) => (false, "the host's"),
        };
        bench.decide(kept, line, "namespaces.new", FIELD, format!("{whose} {name} namespace"), "a new one");
    }
    if let Some(modes) = &layer.rules.namespaces.network {
        let mode = match (draft.new_namespaces & CLONE_NEWNET != 0, joined(CLONE_NEWNET)) {
            (true, _) => Network::None,
            (false, true) => Network::Joined,
            (false, false) => Network::Host,
        };
        network(bench, modes, mode);
    }
    if let Some(names) = &layer.rules.namespaces.net_devices {
        for device in &draft.net_devices {
            let kept = names.value.hold(&device.host_name);
            bench.decide(kept, names.line, "network.devices", &device.field, &device.host_name, &names.value);
        }
    }
    join(bench, draft, facts);
}

fn network(bench: &mut Bench<'_>, modes: &At<Vec<Network>>, mode: Network) {
    let word = |mode: &Network| match mode {
        Network::None => "none",
        Network::Host => "host",
        Network::Joined => "joined",
    };
    let allowed: Vec<_> = modes.value.iter().map(word).collect();
    let kept = modes.value.contains(&mode);
    bench.decide(kept, modes.line, "network.modes", FIELD, word(&mode), allowed.join(", "));
}

fn join(bench: &mut Bench<'_>, draft: &Draft, facts: &Facts) {
    let Some(grants) = &bench.layer.rules.namespaces.join else { return };
    for (index, join) in draft.join.iter().enumerate() {
        let grant = joinable(&grants.value, &join.path, join.nstype).filter(|_| odd(&join.path).is_none());
        let Some(grant) = grant else {
            let places: Vec<_> = grants.value.iter().map(|grant| grant.path.display().to_string()).collect();
            let allowed = if places.is_empty() { "none".to_owned() } else { places.join(", ") };
            bench.refuse(grants.line, "join.path", &join.field, join.path.display(), allowed);
            continue;
        };
        bench.decide(true, grant.line, "join.path", &join.field, join.path.display(), grant.path.display());
        if let Some(barred) = facts.barred.iter().find(|barred| barred.field == join.field) {
            let asked = format!("{}: {}", join.path.display(), barred.errno.desc());
            bench.refuse(
                grant.line,
                "join.link",
                &join.field,
                asked,
                "a path through no link, beneath the grant",
            );
        }
        if bench.first && facts.of_the_host.contains(&index) {
            let asked = format!("{} is the host's own", join.path.display());
            bench.refuse(0, "join.host", &join.field, asked, "a namespace of a container");
        }
    }
}
