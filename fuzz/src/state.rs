//! state.json → State, and what `state`, `list` and hooks are told of it.

use pinfold::cgroup::CgroupPath;
use pinfold::state::oci::{self, OciState};
use pinfold::state::{Action, State, Status};
use serde_json::Value;

pub fn state(text: &[u8]) {
    let Ok(state) = State::from_json(text) else { return };
    let written = state.to_json().unwrap();
    assert_eq!(State::from_json(&written).unwrap(), state);
    CgroupPath::parse(&state.cgroup).ok();
    for status in [Status::Created, Status::Running, Status::Stopped] {
        let told: Value = serde_json::from_str(&OciState::new(&state, status).to_json().unwrap()).unwrap();
        assert_eq!(told["id"], state.id.as_str());
        oci::list_table(&[OciState::new(&state, status)]);
        status.may(Action::Exec, &state.id).ok();
        let input: Value = serde_json::from_str(&oci::hook_input(&state, status).unwrap()).unwrap();
        assert!(input.is_object());
        // The child puts a number between the two pieces; after its end there is none.
        if status == Status::Stopped {
            continue;
        }
        let (before, after) = oci::hook_input_around_pid(&state, status).unwrap();
        let whole: Value = serde_json::from_str(&format!("{before}7{after}")).unwrap();
        assert_eq!((&whole["pid"], &whole["id"]), (&Value::from(7), &input["id"]));
    }
}
