//! What `exec` must know of a named sandbox that no OCI configuration can say: its
//! system call filter and that Landlock confines it. Kept in the entry's own copy of the
//! configuration, which only pinfold writes.

use std::collections::HashMap;

use oci_spec::runtime::Spec;

use crate::draft::{Door, Extras};
use crate::error::{Error, Result};
use crate::types::CapName;

const SECCOMP: &str = "io.pinfold.sandbox.seccomp";

/// The configuration with what it cannot say, as text.
pub(super) fn configuration(spec: &Spec, seccomp: Option<&str>) -> Result<Vec<u8>> {
    let mut spec = spec.clone();
    let mut annotations: HashMap<String, String> = HashMap::new();
    if let Some(text) = seccomp {
        annotations.insert(SECCOMP.to_owned(), text.to_owned());
    }
    spec.set_annotations(Some(annotations));
    serde_json::to_vec(&spec).map_err(|error| Error::internal(error.to_string()))
}

/// What a further program of the sandbox is confined by.
///
/// # Errors
/// A kept profile that cannot be read.
pub fn kept_extras(spec: &Spec) -> Result<Extras> {
    let text = spec.annotations().as_ref().and_then(|annotations| annotations.get(SECCOMP));
    let bounding = bounding(spec)?;
    let seccomp = text.map(|text| super::seccomp::profile(text, &bounding)).transpose()?;
    Ok(Extras { door: Door::Sandbox, landlock: true, seccomp, ..Extras::oci() })
}

/// The sandbox's own bounding set, on which the conditions of a profile depend: what `exec`
/// asks for changes no rule.
fn bounding(spec: &Spec) -> Result<Vec<CapName>> {
    let capabilities = spec.process().as_ref().and_then(|process| process.capabilities().as_ref());
    let bounding = capabilities.and_then(|sets| sets.bounding().as_ref());
    bounding.into_iter().flatten().map(|name| name.to_string().parse()).collect()
}
