//! `[cgroups]`: where the containers of a gateway are, so that none lies beside the group that bounds it.

use std::path::Path;

use super::Bench;
use crate::draft::Draft;

pub(super) fn place(bench: &mut Bench<'_>, draft: &Draft) {
    let (Some(places), Some(path)) = (&bench.layer.rules.cgroups, &draft.cgroup_path) else { return };
    let path = path.to_string();
    if places.value.cover(Path::new(&path)).is_none() {
        bench.refuse(places.line, "cgroups.path", "/linux/cgroupsPath", path, &places.value);
    }
}
