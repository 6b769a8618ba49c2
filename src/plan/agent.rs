//! Who decides about the calls that a filter asks about: seccomp_unotify(2), config-linux.md
//! "Seccomp", "The Container Process State".

use std::path::PathBuf;

use serde_json::Value;

/// Where the listener goes, and what is said with it.
#[derive(Debug, Clone)]
pub struct Agent {
    /// `listenerPath`: a stream socket of the host.
    pub path: PathBuf,
    /// The container process state. Pids that are null in it are the child's, which is not known yet.
    pub state: Value,
}

impl Agent {
    /// The container process state of this process.
    pub fn message(&self, pid: i32) -> String {
        let mut state = self.state.clone();
        for pointer in ["/pid", "/state/pid"] {
            if let Some(null @ Value::Null) = state.pointer_mut(pointer) {
                *null = pid.into();
            }
        }
        state.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_pids_that_are_open_are_filled_in() {
        let agent = |state| Agent { path: PathBuf::new(), state };
        let created = agent(json!({"pid": null, "state": {"pid": null}}));
        assert_eq!(created.message(7), r#"{"pid":7,"state":{"pid":7}}"#);
        let further = agent(json!({"pid": null, "state": {"pid": 5}}));
        assert_eq!(further.message(7), r#"{"pid":7,"state":{"pid":5}}"#);
    }
}
