//! AppArmor profile and SELinux label of the program: config.md, "Linux Process". Asked for where the
//! kernel has no such module in force, they are errors, in runc's words.

use super::HostFacts;
use crate::error::{Error, Result};
use crate::plan::Labels;
use crate::plan::labels::{APPARMOR_FIELD, LONGEST, SELINUX_FIELD};

const NO_APPARMOR: &str = "apparmor is not enabled on this kernel";
const NO_SELINUX: &str = "selinux label is specified in config, but selinux is disabled or not supported";

/// Reads both; an empty one is none.
pub(super) fn labels(process: &oci_spec::runtime::Process, facts: &HostFacts) -> Result<Labels> {
    let apparmor = label(process.apparmor_profile(), (facts.apparmor, NO_APPARMOR), APPARMOR_FIELD)?;
    let selinux = label(process.selinux_label(), (facts.selinux, NO_SELINUX), SELINUX_FIELD)?;
    Ok(Labels { apparmor, selinux })
}

fn label(text: &Option<String>, (in_force, missing): (bool, &str), field: &str) -> Result<Option<String>> {
    let Some(text) = text.as_ref().filter(|text| !text.is_empty()) else { return Ok(None) };
    if !in_force {
        return Err(Error::usage(missing).field(field));
    }
    // The kernel takes what stands before a line break.
    if text.contains(['\n', '\0']) {
        return Err(Error::usage("contains a line break").field(field));
    }
    if text.len() > LONGEST {
        return Err(Error::usage(format!("is longer than {LONGEST} bytes")).field(field));
    }
    Ok(Some(text.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_needs_its_module_and_is_one_short_line() {
        let of = |apparmor: &str, selinux: &str, in_force: (bool, bool)| {
            let mut process = oci_spec::runtime::Process::default();
            process.set_apparmor_profile(Some(apparmor.to_owned()));
            process.set_selinux_label(Some(selinux.to_owned()));
            let facts = HostFacts { apparmor: in_force.0, selinux: in_force.1, ..HostFacts::default() };
            labels(&process, &facts).map_err(|error| error.field_name().unwrap_or_default().to_owned())
        };
        let (long, longest) = ("l".repeat(LONGEST + 1), "l".repeat(LONGEST));
        assert_eq!(of("", "", (false, false)), Ok(Labels::default()));
        assert_eq!(of("p", "", (true, false)).unwrap().apparmor.as_deref(), Some("p"));
        assert_eq!(of("", &longest, (false, true)).unwrap().selinux, Some(longest.clone()));
        for (apparmor, selinux, in_force, field) in [
            ("p", "", (false, true), APPARMOR_FIELD),
            ("", "l", (true, false), SELINUX_FIELD),
            ("p\nq", "", (true, true), APPARMOR_FIELD),
            ("", "l\n", (true, true), SELINUX_FIELD),
            ("", "l\0", (true, true), SELINUX_FIELD),
            (&long, "", (true, true), APPARMOR_FIELD),
            ("", &long, (true, true), SELINUX_FIELD),
        ] {
            assert_eq!(of(apparmor, selinux, in_force), Err(field.to_owned()), "{apparmor:?} {selinux:?}");
        }
    }
}
