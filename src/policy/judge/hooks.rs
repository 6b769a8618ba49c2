//! `[[hook]]`. A hook is run by its path, and what lies there when it runs need not be what
//! was hashed: until it can be run from the very file that was hashed, none is allowed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Bench;
use crate::draft::Draft;

pub(super) fn hooks(bench: &mut Bench<'_>, draft: &Draft) {
    let Some(grants) = &bench.layer.rules.hook else { return };
    for hook in &draft.hooks {
        let path = Path::new(std::ffi::OsStr::from_bytes(hook.path.as_bytes()));
        let field = format!("{}/path", hook.field);
        match grants.value.iter().find(|grant| grant.path == path) {
            None => bench.refuse(grants.line, "hook.path", field, path.display(), "none but those listed"),
            Some(grant) => {
                let asked = format!("{} cannot be run from the file that was hashed", path.display());
                bench.refuse(grant.line, "hook.sha256", field, asked, "no hook in this version");
            }
        }
    }
}
