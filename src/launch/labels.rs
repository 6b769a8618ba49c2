//! What the security modules have been told of the waiting child, compared with the Plan: the word may
//! have gone elsewhere, or have meant something else to the module.

use crate::error::{Context, Result};
use crate::plan::Labels;
use crate::plan::labels::{APPARMOR_FIELD, SELINUX_FIELD};

/// The first label that is not in force for the next execve.
///
/// # Errors
/// Kind `SetupFailed`; what `read` says of a file of /proc/PID.
pub(super) fn check(labels: &Labels, read: impl Fn(&str) -> Result<String>) -> Result<()> {
    if let Some(planned) = &labels.apparmor {
        let found = read("attr/apparmor/exec")?;
        let (profile, mode) = with_mode(line(&found));
        compare("AppArmor profile", planned, profile).at(APPARMOR_FIELD)?;
        // In the others, `complain` and `unconfined`, a profile forbids nothing.
        if let Some(mode) = mode.filter(|mode| !matches!(*mode, "enforce" | "kill")) {
            return Err(super::inspect::differs("mode of the AppArmor profile", "enforce", mode))
                .at(APPARMOR_FIELD);
        }
    }
    if let Some(planned) = &labels.selinux {
        let found = read("attr/exec")?;
        if normal(planned) != normal(line(&found)) {
            compare("SELinux label", planned, line(&found)).at(SELINUX_FIELD)?;
        }
    }
    Ok(())
}

fn compare(control: &str, planned: &str, found: &str) -> Result<()> {
    match found {
        found if found == planned => Ok(()),
        "" => Err(super::inspect::differs(control, planned, "none")),
        found => Err(super::inspect::differs(control, planned, found)),
    }
}

fn line(text: &str) -> &str {
    text.trim_end_matches(['\0', '\n'])
}

/// AppArmor adds the mode of the profile, `name (enforce)`, but to `unconfined`, which is none.
fn with_mode(text: &str) -> (&str, Option<&str>) {
    let split = text.rsplit_once(" (").and_then(|(name, mode)| Some((name, mode.strip_suffix(')')?)));
    split.map_or((text, None), |(name, mode)| (name, Some(mode)))
}

/// SELinux writes categories in order, `c1,c0` as `c0,c1`, and runs as `c0.c2`; a range of one level is that level.
fn normal(context: &str) -> (Vec<&str>, Vec<(&str, Vec<u32>)>) {
    let mut parts: Vec<&str> = context.splitn(4, ':').collect();
    let range = if parts.len() == 4 { parts.pop() } else { None };
    let mut levels: Vec<_> = range.into_iter().flat_map(|range| range.split('-')).map(level).collect();
    levels.dedup();
    (parts, levels)
}

fn level(text: &str) -> (&str, Vec<u32>) {
    let Some((sensitivity, categories)) = text.split_once(':') else { return (text, vec![]) };
    let number =
        |category: &str| category.strip_prefix('c')?.parse::<u32>().ok().filter(|number| *number < 1 << 16);
    let mut all = vec![];
    for run in categories.split(',') {
        let (first, last) = run.split_once('.').unwrap_or((run, run));
        match (number(first), number(last)) {
            (Some(first), Some(last)) => all.extend(first..=last),
            // No number: the text itself must agree.
            _ => return (text, vec![]),
        }
    }
    all.sort_unstable();
    all.dedup();
    (sensitivity, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_compared_by_its_meaning() {
        let told = |labels: &Labels, text: &str| check(labels, |_| Ok(text.to_owned())).is_ok();
        let apparmor = Labels { apparmor: Some("a (b)".to_owned()), selinux: None };
        for (text, same) in [
            ("a (b) (enforce)\n", true),
            ("a (b)", false),
            ("a (b) (kill)\n", true),
            ("a (b) (complain)\n", false),
            ("a (b) (unconfined)\n", false),
            ("", false),
            ("a (enforce)\n", false),
        ] {
            assert_eq!(told(&apparmor, text), same, "{text:?}");
        }
        let unconfined = Labels { apparmor: Some("unconfined".to_owned()), selinux: None };
        assert!(told(&unconfined, "unconfined\n"));
        for (planned, text, same) in [
            ("u:r:t:s0:c1,c0", "u:r:t:s0:c0,c1\0", true),
            ("u:r:t:s0:c0,c1,c2", "u:r:t:s0:c0.c2", true),
            ("u:r:t:s0-s0", "u:r:t:s0", true),
            ("u:r:t:s0-s0:c0.c1023", "u:r:t:s0-s0:c0.c1023\n", true),
            ("u:r:t", "u:r:t", true),
            ("u:r:t:s0:c1", "u:r:t:s0:c1,c2", false),
            ("u:r:t:s0:c1", "u:r:t:s0", false),
            ("u:r:t:s0", "u:r:v:s0", false),
            ("u:r:t:s0:x", "u:r:t:s0:y", false),
            ("u:r:t:s0", "", false),
            ("none", "", false),
        ] {
            let labels = Labels { apparmor: None, selinux: Some(planned.to_owned()) };
            assert_eq!(told(&labels, text), same, "{planned:?} {text:?}");
        }
        assert!(told(&Labels::default(), "anything"));
    }
}
