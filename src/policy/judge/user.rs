//! `[user]`: who the program is, inside and on the host.

use super::Bench;
use crate::draft::Draft;
use crate::plan::IdRange;
use crate::policy::rules::Ids;
use crate::policy::rules::Key;
use crate::resolve::Facts;

/// Who it is inside.
pub(super) fn user(bench: &mut Bench<'_>, draft: &Draft) {
    let Some(process) = &draft.process else { return };
    let rules = &bench.layer.rules.user;
    if let Some(uids) = &rules.uids {
        let kept = uids.value.hold(process.uid);
        bench.decide(kept, uids.line, "user.uids", "/process/user/uid", process.uid, &uids.value);
    }
    let Some(gids) = &rules.gids else { return };
    let kept = gids.value.hold(process.gid);
    bench.decide(kept, gids.line, "user.gids", "/process/user/gid", process.gid, &gids.value);
    for (index, gid) in process.groups.iter().enumerate() {
        let field = format!("/process/user/additionalGids/{index}");
        bench.decide(gids.value.hold(*gid), gids.line, "user.gids", field, gid, &gids.value);
    }
}

/// Who that is on the host.
pub(super) fn maps(bench: &mut Bench<'_>, draft: &Draft, facts: &Facts) {
    // Of a namespace that is joined, what the kernel says and not what the configuration does.
    let Some(maps) = draft.id_maps.as_ref().or(facts.joined_maps.as_ref()) else { return };
    let rules = &bench.layer.rules.user;
    ranges(bench, &rules.host_uids, &maps.uids, ("user.host_uids", "/linux/uidMappings"));
    ranges(bench, &rules.host_gids, &maps.gids, ("user.host_gids", "/linux/gidMappings"));
}

fn ranges(
    bench: &mut Bench<'_>,
    allowed: &Key<Ids>,
    ranges: &[IdRange],
    (rule, field): (&'static str, &str),
) {
    let Some(allowed) = allowed else { return };
    for (index, range) in ranges.iter().enumerate() {
        let last = range.outside.saturating_add(range.size.saturating_sub(1));
        let asked = format!("{}-{last} of the host", range.outside);
        let kept = allowed.value.hold_all(range.outside, last);
        bench.decide(kept, allowed.line, rule, format!("{field}/{index}"), asked, &allowed.value);
    }
}
