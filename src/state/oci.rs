//! How a container is told to callers: `state`, the standard input of hooks, and `list`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::process::Process;
use super::record::State;
use super::status::Status;
use crate::error::{Error, Result};

/// What `state` prints: runtime-spec, runtime.md, "State", with runc's additions in runc's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState {
    /// The version of the specification that the container follows.
    pub oci_version: String,
    /// Its id.
    pub id: String,
    /// Its first process; 0 where there is none.
    pub pid: i32,
    /// Its status.
    pub status: String,
    /// Its bundle.
    pub bundle: String,
    /// Its root filesystem.
    pub rootfs: String,
    /// When it was made.
    pub created: String,
    /// The annotations of its configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who made it.
    pub owner: String,
}

impl OciState {
    /// What is told of `state` in `status`.
    pub fn new(state: &State, status: Status) -> Self {
        let init = state.init.filter(|_| status != Status::Stopped);
        Self {
            oci_version: state.oci_version.clone(),
            id: state.id.clone(),
            pid: init.map_or(0, |init| init.pid),
            status: status.to_string(),
            bundle: state.bundle.clone(),
            rootfs: state.rootfs.clone(),
            created: state.created.clone(),
            annotations: state.annotations.clone(),
            owner: state.owner.clone(),
        }
    }

    /// `state`: indented, without a newline at its end, as runc prints it.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(unwritable)
    }
}

/// The standard input of a hook: the specification's fields only, on one line.
pub fn hook_input(state: &State, status: Status) -> Result<String> {
    let told = OciState::new(state, status);
    let hook = HookState {
        oci_version: &told.oci_version,
        id: &told.id,
        status: &told.status,
        pid: Some(told.pid).filter(|pid| *pid != 0),
        bundle: &told.bundle,
        annotations: &told.annotations,
    };
    serde_json::to_string(&hook).map_err(unwritable)
}

/// The same for a hook of the container's namespaces, before and after the pid: in there it
/// is the number that the container sees (runtime.md, "State").
pub fn hook_input_around_pid(state: &State, status: Status) -> Result<(String, String)> {
    let placeholder = Process { pid: i32::MAX, start_time: 0 };
    let text = hook_input(&State { init: Some(placeholder), ..state.clone() }, status)?;
    // What stands before it is escaped, so that no name can hold these quotes.
    let key = "\"pid\":";
    let cut = text.split_once(&format!("{key}{}", i32::MAX));
    let (head, tail) = cut.ok_or_else(|| Error::internal("the state has no pid"))?;
    Ok((format!("{head}{key}"), tail.to_owned()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HookState<'s> {
    oci_version: &'s str,
    id: &'s str,
    status: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: &'s str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'s BTreeMap<String, String>,
}

/// `list --format json`: one line. Without containers an empty list, where runc prints `null`:
/// every reader of the one takes the other, and `jq '.[]'` does not fail on it.
pub fn list_json(rows: &[OciState]) -> Result<String> {
    serde_json::to_string(rows).map_err(unwritable)
}

/// `list`: runc's table, its lines with a newline each.
pub fn list_table(rows: &[OciState]) -> String {
    let titles = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = rows.iter().map(|row| {
        let cells = [&row.id, &row.pid.to_string(), &row.status, &row.bundle, &row.created, &row.owner];
        cells.map(String::clone)
    });
    let lines: Vec<[String; 6]> = std::iter::once(titles).chain(rows).collect();
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    lines.iter().map(|line| render(line, &widths)).collect()
}

/// Go's tabwriter(12, 1, 3): a column is three wider than its widest cell, and at least twelve
/// wide; the last one is not filled up.
fn render(cells: &[String; 6], widths: &[usize; 6]) -> String {
    let [columns @ .., last] = cells;
    let filled = columns.iter().zip(widths).map(|(cell, width)| {
        let width = (width + 3).max(12);
        format!("{cell:width$}")
    });
    filled.chain([format!("{last}\n")]).collect()
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::internal(format!("the state cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::record::sample;

    fn running() -> State {
        State { init: Some(Process { pid: 4242, start_time: 1 }), ..sample("web") }
    }

    #[test]
    fn state_is_told_as_runc_tells_it() {
        let annotations = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let told = OciState::new(&State { annotations, ..running() }, Status::Running).to_json().unwrap();
        let text = r#"{
  "ociVersion": "1.2.0",
  "id": "web",
  "pid": 4242,
  "status": "running",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-11-23T00:00:00Z",
  "annotations": {
    "k": "v"
  },
  "owner": "root"
}"#;
        assert_eq!(told, text);
    }

    #[test]
    fn the_pid_of_a_stopped_container_is_not_told() {
        assert_eq!(OciState::new(&running(), Status::Stopped).pid, 0);
        for status in [Status::Creating, Status::Created, Status::Running, Status::Paused] {
            assert_eq!(OciState::new(&running(), status).pid, 4242);
        }
    }

    #[test]
    fn a_hook_reads_one_line_with_the_fields_of_the_specification() {
        let line = r#"{"ociVersion":"1.2.0","id":"web","status":"creating","pid":4242,"bundle":"/b"}"#;
        assert_eq!(hook_input(&running(), Status::Creating).unwrap(), line);
        let line = r#"{"ociVersion":"1.2.0","id":"web","status":"stopped","bundle":"/b"}"#;
        assert_eq!(hook_input(&running(), Status::Stopped).unwrap(), line);
    }

    #[test]
    fn the_pid_can_be_put_in_later() {
        let hostile = "\"pid\":2147483647".to_owned();
        let annotations = BTreeMap::from([(hostile.clone(), hostile.clone())]);
        let state = State { oci_version: hostile, annotations, ..sample("web") };
        let (head, tail) = hook_input_around_pid(&state, Status::Created).unwrap();
        let told: serde_json::Value = serde_json::from_str(&format!("{head}7{tail}")).unwrap();
        assert_eq!((&told["pid"], &told["status"]), (&serde_json::json!(7), &serde_json::json!("created")));
        assert_eq!(told["ociVersion"], state.oci_version);
    }

    #[test]
    fn the_table_has_runcs_columns() {
        let long =
            State { id: "a-rather-long-id".to_owned(), bundle: "/srv/bündel".to_owned(), ..sample("") };
        let rows = [OciState::new(&running(), Status::Running), OciState::new(&long, Status::Stopped)];
        let table = "\
ID                 PID         STATUS      BUNDLE        CREATED                OWNER
web                4242        running     /b            2026-11-23T00:00:00Z   root
a-rather-long-id   0           stopped     /srv/bündel   2026-11-23T00:00:00Z   root
";
        assert_eq!(list_table(&rows), table);
        assert_eq!(list_table(&[]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    }

    #[test]
    fn json_lists_are_one_line() {
        assert_eq!(list_json(&[]).unwrap(), "[]");
        let line = list_json(&[OciState::new(&running(), Status::Running)]).unwrap();
        assert!(line.starts_with("[{\"ociVersion\":") && !line.contains('\n'), "{line}");
    }
}
