//! `pinfold spec`: a config.json to start from, the one that `runc spec` writes.
//!
//! Scripts edit it with jq, so keys, their order and their values are runc 1.3's.

mod template;

pub use template::{Flavour, template};

use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::{getegid, geteuid};
use serde_json::Value;
use serde_json::ser::PrettyFormatter;

use super::output::{Existing, write_file};
use crate::cli::SpecArgs;
use crate::error::{Error, ExitCode, Result};
use crate::types::HostPath;

const FILE: &str = "config.json";

/// Writes the template into the bundle directory.
///
/// # Errors
/// A config.json that is there already, and what openat(2) and write(2) say.
pub fn run(args: &SpecArgs) -> Result<ExitCode> {
    let flavour = match args.rootless {
        true => Flavour::Rootless { uid: geteuid().as_raw(), gid: getegid().as_raw() },
        false => Flavour::Root,
    };
    let directory = args.bundle.as_ref().map_or(Path::new("."), HostPath::as_path);
    let text = indented(&template(flavour, unified_cgroups()))?;
    write_file(directory, FILE, &text, Existing::Refuse).map_err(|error| match error.errno() {
        Some(Errno::EEXIST) => error.hint("remove it first, or choose another directory with --bundle"),
        _ => error,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The template for the caller's own privilege.
pub(super) fn for_caller() -> Value {
    let flavour = match geteuid().is_root() {
        true => Flavour::Root,
        false => Flavour::Rootless { uid: geteuid().as_raw(), gid: getegid().as_raw() },
    };
    template(flavour, unified_cgroups())
}

/// Whether /sys/fs/cgroup is version 2: only then runc asks for a cgroup namespace.
fn unified_cgroups() -> bool {
    statfs("/sys/fs/cgroup").is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// JSON with tabs and without a final newline, as Go's `json.MarshalIndent` has it.
fn indented(value: &Value) -> Result<Vec<u8>> {
    let mut text = vec![];
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
    serde::Serialize::serialize(value, &mut serializer)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_indented_as_go_does() {
        let text = String::from_utf8(indented(&template(Flavour::Root, true)).unwrap()).unwrap();
        assert!(
            text.starts_with("{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n")
        );
        assert!(text.ends_with("]\n\t}\n}"), "{}", &text[text.len() - 20..]);
        assert!(!text.contains("  "));
    }

    #[test]
    fn the_template_is_valid_for_the_specification_s_own_types() {
        for flavour in [Flavour::Root, Flavour::Rootless { uid: 1000, gid: 100 }] {
            let text = indented(&template(flavour, true)).unwrap();
            let spec: oci_spec::runtime::Spec = serde_json::from_slice(&text).unwrap();
            assert_eq!(spec.version(), "1.3.0");
        }
    }
}
