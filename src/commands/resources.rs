//! A change of `linux.resources` against what is in force, as the kept configuration says.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// Limits that `update` does not change, with a word why.
const LEFT_ALONE: [(&str, &str); 1] =
    [("devices", "the device list stays as it is, as with runc: others may have added to it")];

/// Takes `asked` over into the configuration and returns what has to be applied: every family
/// that is asked for something, with the values of it that depend on each other.
///
/// # Errors
/// `asked` is no object.
pub fn merge(config: &mut Value, asked: Value) -> Result<Value> {
    let Value::Object(mut asked) = asked else {
        return Err(
            Error::usage("an object of runtime-spec's linux.resources is expected").field("--resources")
        );
    };
    for (name, why) in LEFT_ALONE {
        if asked.remove(name).is_some() {
            crate::error::warn(format_args!("/linux/resources/{name} is not changed: {why}"));
        }
    }
    asked.retain(|_, value| !is_empty(value));
    lift_swap_with_memory(&mut asked);
    let config =
        config.as_object_mut().ok_or_else(|| Error::internal("the kept configuration is no object"))?;
    let in_force = object(object(config, "linux")?, "resources")?;
    let mut apply = Map::new();
    for (family, value) in asked {
        let mut whole = in_force.get(&family).cloned().unwrap_or(Value::Null);
        take_over(&mut whole, &value);
        in_force.insert(family.clone(), whole.clone());
        if family == "cpu" {
            leave_sets(&mut whole, &value);
        }
        apply.insert(family, whole);
    }
    Ok(Value::Object(apply))
}

/// Go's encoders write families that say nothing as `null`, `{}` or `[]`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Memory without bound and nothing said about swap: neither is bounded (runc-update(8)).
fn lift_swap_with_memory(asked: &mut Map<String, Value>) {
    let Some(memory) = asked.get_mut("memory").and_then(Value::as_object_mut) else { return };
    if memory.get("limit") == Some(&json!(-1)) && !memory.contains_key("swap") {
        memory.insert("swap".to_owned(), json!(-1));
    }
}

fn object<'v>(map: &'v mut Map<String, Value>, key: &str) -> Result<&'v mut Map<String, Value>> {
    let slot = map.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    slot.as_object_mut().ok_or_else(|| Error::internal("an object is none"))
}

/// Objects key by key, everything else as a whole; what says nothing changes nothing.
fn take_over(whole: &mut Value, change: &Value) {
    match (whole, change) {
        (Value::Object(whole), Value::Object(change)) => {
            for (key, value) in change.iter().filter(|(_, value)| !value.is_null()) {
                take_over(whole.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (whole, change) => *whole = change.clone(),
    }
}

/// CPU and node sets are written only when they are asked for: others, such as the CPU manager
/// of Kubernetes, set them in the cgroup itself.
fn leave_sets(whole: &mut Value, asked: &Value) {
    let Some(whole) = whole.as_object_mut() else { return };
    for set in ["cpus", "mems"] {
        if asked.get(set).is_none_or(Value::is_null) {
            whole.remove(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_applied_with_what_it_depends_on_and_kept() {
        let in_force = json!({
            "memory": {"limit": 100, "swap": 300, "checkBeforeUpdate": true},
            "cpu": {"quota": 5, "period": 10, "cpus": "0"},
            "pids": {"limit": 7},
            "devices": [{"allow": false}],
        });
        for (asked, applied, kept) in [
            (
                json!({"memory": {"limit": 200}}),
                json!({"memory": {"limit": 200, "swap": 300, "checkBeforeUpdate": true}}),
                "/linux/resources/memory/limit",
            ),
            (
                json!({"memory": {"limit": -1}}),
                json!({"memory": {"limit": -1, "swap": -1, "checkBeforeUpdate": true}}),
                "/linux/resources/memory/swap",
            ),
            (
                json!({"cpu": {"period": 20, "quota": null}, "memory": {}, "pids": null}),
                json!({"cpu": {"quota": 5, "period": 20}}),
                "/linux/resources/cpu/period",
            ),
            (
                json!({"cpu": {"cpus": "1"}}),
                json!({"cpu": {"quota": 5, "period": 10, "cpus": "1"}}),
                "/linux/resources/cpu/cpus",
            ),
            (
                json!({"unified": {"memory.high": "5"}}),
                json!({"unified": {"memory.high": "5"}}),
                "/linux/resources/unified/memory.high",
            ),
        ] {
            let mut config = json!({"linux": {"resources": in_force.clone()}});
            assert_eq!(merge(&mut config, asked.clone()).unwrap(), applied, "{asked}");
            let path = kept.trim_start_matches("/linux/resources");
            assert_eq!(config.pointer(kept), applied.pointer(path), "{asked}");
        }
    }

    #[test]
    fn the_device_list_is_left_alone() {
        let mut config = json!({"linux": {"resources": {"devices": [1]}}});
        assert_eq!(merge(&mut config, json!({"devices": [{"allow": true}]})).unwrap(), json!({}));
        assert_eq!(config, json!({"linux": {"resources": {"devices": [1]}}}));
    }

    #[test]
    fn a_configuration_without_resources_gets_them() {
        for mut config in [json!({}), json!({"linux": null}), json!({"linux": {"resources": null}})] {
            merge(&mut config, json!({"pids": {"limit": 3}})).unwrap();
            assert_eq!(config, json!({"linux": {"resources": {"pids": {"limit": 3}}}}));
        }
        assert!(merge(&mut json!({}), json!([])).is_err());
    }
}
