//! What the supervisor of a filter is told: config-linux.md "The Container Process State".

use serde::Serialize;
use serde_json::Value;

use crate::draft::Draft;
use crate::error::{Error, Result};
use crate::plan::Agent;
use crate::state::oci::hook_input;
use crate::state::{State, Status};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'s> {
    oci_version: &'s str,
    fds: [&'s str; 1],
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'s str>,
    state: Value,
}

/// Whether a process of this container has a supervisor, and what that is told. Of a container
/// that is being created the pid is not known yet.
///
/// # Errors
/// A state that cannot be rendered.
pub fn agent(draft: &Draft, state: &State, status: Status) -> Result<Option<Agent>> {
    let Some(profile) = draft.seccomp.as_ref().filter(|profile| profile.notifies()) else { return Ok(None) };
    let Some(path) = profile.listener_path.clone() else { return Ok(None) };
    let unwritable = |error: serde_json::Error| Error::internal(error.to_string());
    let mut told: Value = serde_json::from_str(&hook_input(state, status)?).map_err(unwritable)?;
    if status == Status::Creating
        && let Some(fields) = told.as_object_mut()
    {
        fields.insert("pid".to_owned(), Value::Null);
    }
    let told = ContainerProcessState {
        oci_version: &state.oci_version,
        fds: ["seccompFd"],
        pid: None,
        metadata: profile.listener_metadata.as_deref(),
        state: told,
    };
    Ok(Some(Agent { path, state: serde_json::to_value(&told).map_err(unwritable)? }))
}
