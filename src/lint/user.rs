//! Who the program is, inside and on the host.

use super::Severity::{High, Low, Medium, Note};
use super::{Bench, Rule, rule};
use crate::draft::Draft;
use crate::plan::IdRange;

pub(super) const RULES: &[&Rule] = &[&ROOT, &NO_NAMESPACE, &HOST_ROOT, &ROOT_GROUP];

const ROOT: Rule = rule(
    "user.root",
    High,
    Note,
    "the program is root",
    "add a user namespace with mappings of ids that nothing else uses, and run the program as another uid",
);
const NO_NAMESPACE: Rule = rule(
    "user.no_namespace",
    Medium,
    Medium,
    "ids inside are ids of the host",
    "add {\"type\": \"user\"} to linux.namespaces, with uidMappings and gidMappings",
);
const HOST_ROOT: Rule = rule(
    "user.host_root",
    High,
    High,
    "root of the host is mapped",
    "map ranges that begin far above the ids of the host, such as 100000",
);
const ROOT_GROUP: Rule = rule(
    "user.root_group",
    Low,
    Note,
    "the program is in the group root",
    "leave 0 out of additionalGids, and set a gid of the program's own",
);

pub(super) fn user(bench: &mut Bench<'_>) {
    let draft = bench.subject.draft;
    if maps_host_root(draft) {
        let uids = draft.id_maps.as_ref().is_some_and(|maps| holds_zero(&maps.uids));
        let field = if uids { "/linux/uidMappings" } else { "/linux/gidMappings" };
        bench.find(&HOST_ROOT, field, "id 0 of the host is mapped: the user namespace is no wall");
    }
    let Some(process) = &draft.process else { return };
    let own = draft.has_user_namespace();
    match (process.uid, own) {
        (0, false) => bench.find(&ROOT, "/process/user/uid", "uid 0 inside is root of the host"),
        (0, true) => bench.find(&ROOT, "/process/user/uid", "uid 0 owns what is inside"),
        (uid, false) => {
            let text = format!("uid {uid} is the host's: it may signal and read what is that user's");
            bench.find(&NO_NAMESPACE, "/linux/namespaces", text);
        }
        (_, true) => {}
    }
    if process.uid != 0 {
        groups(bench, process.gid, &process.groups);
    }
}

fn groups(bench: &mut Bench<'_>, gid: u32, groups: &[u32]) {
    if gid == 0 {
        bench.find(&ROOT_GROUP, "/process/user/gid", "gid 0 may write what is writable by the group root");
    }
    for (index, _) in groups.iter().enumerate().filter(|(_, group)| **group == 0) {
        let field = format!("/process/user/additionalGids/{index}");
        bench.find(&ROOT_GROUP, field, "group 0 may write what is writable by the group root");
    }
}

/// Whether a new user namespace has an id of the host's root in it.
pub(super) fn maps_host_root(draft: &Draft) -> bool {
    draft.id_maps.as_ref().is_some_and(|maps| holds_zero(&maps.uids) || holds_zero(&maps.gids))
}

fn holds_zero(ranges: &[IdRange]) -> bool {
    ranges.iter().any(|range| range.outside == 0)
}
