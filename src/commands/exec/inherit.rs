//! What a process file (`exec --process`) does not say, as far as it confines: it comes from
//! the container's own process, as what the flags do not say does. A key that is there is
//! taken as it is. Go's clients leave out what is empty or false, so an absent key must never
//! mean less than the container has.

use serde_json::Value;

use crate::error::{Error, Result};

/// Who the program is and what it may: config.md "Process".
const CONFINING: [&str; 10] = [
    "user",
    "noNewPrivileges",
    "capabilities",
    "rlimits",
    "oomScoreAdj",
    "apparmorProfile",
    "selinuxLabel",
    "scheduler",
    "ioPriority",
    "execCPUAffinity",
];

/// The text of the process file, completed from the container's configuration.
///
/// # Errors
/// One of them is no JSON.
pub fn completed(file: &[u8], configuration: &[u8]) -> Result<Vec<u8>> {
    let read = |text: &[u8], field: &str| {
        serde_json::from_slice::<Value>(text).map_err(|error| Error::usage(error.to_string()).field(field))
    };
    let mut process = read(file, "--process")?;
    let configuration = read(configuration, "/")?;
    if let Some(container) = configuration.get("process") {
        // No label is what an empty one means, and an empty one is what Go has for one that was not said.
        for key in ["apparmorProfile", "selinuxLabel"] {
            if process.get(key).and_then(Value::as_str) == Some("") {
                process.as_object_mut().and_then(|file| file.remove(key));
            }
        }
        for key in CONFINING {
            inherit(&mut process, container, key);
        }
        if let (Some(user), Some(own)) = (process.get_mut("user"), container.get("user")) {
            inherit(user, own, "umask");
        }
    }
    serde_json::to_vec(&process).map_err(|error| Error::internal(error.to_string()))
}

fn inherit(into: &mut Value, from: &Value, key: &str) {
    let Some(into) = into.as_object_mut() else { return };
    if into.get(key).is_none_or(Value::is_null)
        && let Some(value) = from.get(key)
    {
        into.insert(key.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(file: &Value, container: &Value) -> Value {
        let configuration = json!({"process": container}).to_string();
        let text = completed(file.to_string().as_bytes(), configuration.as_bytes()).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn what_is_said_counts_and_what_is_not_is_the_containers() {
        let container = json!({
            "args": ["own"], "env": ["A=b"], "cwd": "/own", "terminal": true,
            "user": {"uid": 7, "gid": 8, "umask": 63, "additionalGids": [9]},
            "noNewPrivileges": true, "capabilities": {"bounding": []}, "rlimits": [], "oomScoreAdj": 5,
        });
        let least = of(&json!({"args": ["a"], "cwd": "/"}), &container);
        assert_eq!(
            least,
            json!({
                "args": ["a"], "cwd": "/", "user": {"uid": 7, "gid": 8, "umask": 63, "additionalGids": [9]},
                "noNewPrivileges": true, "capabilities": {"bounding": []}, "rlimits": [], "oomScoreAdj": 5,
            })
        );
        let said = json!({
            "args": ["a"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": false,
            "capabilities": {"bounding": ["CAP_KILL"]}, "rlimits": null,
        });
        let all = of(&said, &container);
        assert_eq!(all["user"], json!({"uid": 0, "gid": 0, "umask": 63}));
        assert_eq!(all["noNewPrivileges"], json!(false));
        assert_eq!(all["capabilities"], json!({"bounding": ["CAP_KILL"]}));
        assert_eq!((&all["rlimits"], &all["oomScoreAdj"]), (&json!([]), &json!(5)));
    }

    #[test]
    fn what_is_no_object_is_left_to_the_parser() {
        assert_eq!(of(&json!([1]), &json!({"user": {}})), json!([1]));
        assert!(completed(b"{", b"{}").is_err());
    }
}
