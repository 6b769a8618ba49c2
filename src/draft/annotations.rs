//! What a caller of the OCI verbs asks for by annotation. Annotations carry no authority: they only narrow.

use std::collections::HashMap;

use super::HostFacts;
use crate::error::{Error, Result};

/// What all of ours begin with.
pub const OURS: &str = "io.pinfold.";
const LANDLOCK: &str = "io.pinfold.landlock";
/// The name of the time limit.
pub const TIMEOUT: &str = "io.pinfold.timeout";
/// The name of the limit on stdout.
pub const STDOUT_MAX: &str = "io.pinfold.stdout-max";
/// The name of the limit on stderr.
pub const STDERR_MAX: &str = "io.pinfold.stderr-max";
/// Where the report goes.
pub const REPORT: &str = "io.pinfold.report";
/// By which a launch chooses its profile, and a container remembers it; the policy's business.
pub const PROFILE: &str = "io.pinfold.profile";

/// Whether Landlock is asked for.
///
/// # Errors
/// A kernel without Landlock, a value that is neither `on` nor `off`, and a key under `io.pinfold.` that means
/// nothing here: what somebody relies on must not be passed over.
pub(super) fn landlock(annotations: Option<&HashMap<String, String>>, facts: &HostFacts) -> Result<bool> {
    let mut asked = false;
    for (key, value) in annotations.into_iter().flatten().filter(|(key, _)| key.starts_with(OURS)) {
        let field = format!("/annotations/{key}");
        asked |= match (key.as_str(), value.as_str()) {
            (LANDLOCK, "on") if facts.landlock_abi == 0 => {
                return Err(Error::setup("this kernel has no Landlock").field(field));
            }
            (LANDLOCK, "on") => true,
            (LANDLOCK, "off") => false,
            // How the launch ends is the verb's business.
            (PROFILE | TIMEOUT | STDOUT_MAX | STDERR_MAX | REPORT, _) => false,
            (LANDLOCK, _) => return Err(Error::usage("`on` or `off`").object(value).field(field)),
            _ => return Err(Error::usage("no annotation that this version knows").field(field)),
        };
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, value: &str, abi: u32) -> std::result::Result<bool, String> {
        let facts = HostFacts { landlock_abi: abi, ..HostFacts::default() };
        let annotations = HashMap::from([(key.to_owned(), value.to_owned())]);
        landlock(Some(&annotations), &facts).map_err(|error| error.to_string())
    }

    #[test]
    fn landlock_is_on_or_off_or_an_error() {
        assert_eq!(of(LANDLOCK, "on", 7), Ok(true));
        assert_eq!(of(LANDLOCK, "off", 7), Ok(false));
        assert_eq!(of(PROFILE, "build", 0), Ok(false));
        assert_eq!(of(TIMEOUT, "1s", 0), Ok(false));
        assert_eq!(of("org.example/io.pinfold.x", "on", 7), Ok(false));
        let rows =
            [(LANDLOCK, "on", 0), (LANDLOCK, "yes", 7), (LANDLOCK, "", 7), ("io.pinfold.time", "1s", 7)];
        for (key, value, abi) in rows {
            assert!(
                of(key, value, abi).unwrap_err().starts_with("/annotations/io.pinfold."),
                "{key} {value}"
            );
        }
    }
}
