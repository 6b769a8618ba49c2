//! From the text to a Draft of it, with the same reader as a launch. What that refuses is told
//! and taken out, so that the rest can be looked through; and no property of this host counts.

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::super::bundle;
use crate::draft::{self, Draft, Extras, HostFacts};
use crate::error::{Error, Result};

/// More refusals than any configuration has on purpose.
const MOST_REFUSED: usize = 64;
/// Of other runtimes, and no danger: pinfold refuses them as it could not apply them.
const PROTECTIONS: [(&str, &str); 3] =
    [("/process", "apparmorProfile"), ("/process", "selinuxLabel"), ("/linux", "mountLabel")];
/// CAP_CHECKPOINT_RESTORE (capabilities(7)).
const LAST_CAP: u8 = 40;

/// A configuration as it can be looked through.
#[derive(Debug)]
pub(super) struct Read {
    pub draft: Draft,
    /// As it was written.
    pub spec: Spec,
    pub json: Value,
    /// Field and reason of what was taken out.
    pub refused: Vec<(String, String)>,
}

pub(super) fn read(text: &str) -> Result<Read> {
    let json: Value =
        serde_json::from_str(text).map_err(|error| Error::usage(error.to_string()).object("config.json"))?;
    let (spec, _) = bundle::parse(text.as_bytes())?;
    let mut rest = json.clone();
    for (object, name) in PROTECTIONS {
        if let Some(object) = rest.pointer_mut(object).and_then(Value::as_object_mut) {
            object.shift_remove(name);
        }
    }
    add_mount_namespace(&mut rest);
    let mut taken = Taken::default();
    loop {
        match built(&rest) {
            Ok(draft) => return Ok(Read { draft, spec, json, refused: taken.refused }),
            Err(error) => taken.out_of(&mut rest, error)?,
        }
    }
}

fn built(value: &Value) -> Result<Draft> {
    let (spec, _) = bundle::parse(value.to_string().as_bytes())?;
    draft::build(&spec, &Extras::oci(), &any_host())
}

/// A host on which root may do everything.
fn any_host() -> HostFacts {
    HostFacts {
        last_cap: LAST_CAP,
        grantable_caps: u64::MAX,
        may_raise_limits: true,
        may_raise_priority: true,
        cgroup_unified: true,
        landlock_abi: 6,
        ..HostFacts::default()
    }
}

/// Without one there is nothing to be built; [`crate::lint`] looks at the configuration itself.
fn add_mount_namespace(value: &mut Value) {
    let Some(linux) = value.as_object_mut().map(|all| all.entry("linux").or_insert_with(|| json!({}))) else {
        return;
    };
    let Some(list) =
        linux.as_object_mut().map(|linux| linux.entry("namespaces").or_insert_with(|| json!([])))
    else {
        return;
    };
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|one| one.get("type").and_then(Value::as_str) == Some("mount"))
    {
        list.push(json!({ "type": "mount" }));
    }
}

#[derive(Default)]
struct Taken {
    refused: Vec<(String, String)>,
    /// List and index of each entry that is gone.
    entries: Vec<(String, usize)>,
}

impl Taken {
    /// Takes the smallest thing out that holds the field of an error.
    fn out_of(&mut self, value: &mut Value, error: Error) -> Result<()> {
        let Some(field) = error.field_name().filter(|field| field.starts_with('/')).map(str::to_owned) else {
            return Err(error);
        };
        let Some((around, name)) = holder(value, &field).filter(|_| self.refused.len() < MOST_REFUSED) else {
            return Err(error);
        };
        self.refused.push((self.as_written(&field), error.to_string()));
        match value.pointer_mut(&around) {
            Some(Value::Object(object)) => drop(object.shift_remove(&name)),
            Some(Value::Array(list)) => {
                let index = name.parse().unwrap_or(usize::MAX);
                if index >= list.len() {
                    return Err(error);
                }
                list.remove(index);
                self.entries.push((around, index));
            }
            _ => return Err(error),
        }
        Ok(())
    }

    /// The field with the numbers that it had before entries were taken out.
    fn as_written(&self, field: &str) -> String {
        let mut field = field.to_owned();
        for (list, gone) in self.entries.iter().rev() {
            let Some(rest) = field.strip_prefix(&format!("{list}/")) else { continue };
            let (number, below) = rest.split_once('/').map_or((rest, None), |(one, two)| (one, Some(two)));
            if let Ok(number) = number.parse::<usize>()
                && number >= *gone
            {
                let below = below.map_or(String::new(), |below| format!("/{below}"));
                field = format!("{list}/{}{below}", number + 1);
            }
        }
        field
    }
}

/// Where the field is, or the entry of a list around it: the holder's pointer, and the name in it.
fn holder(value: &Value, field: &str) -> Option<(String, String)> {
    let of_list = ["/mounts/", "/linux/devices/", "/linux/namespaces/", "/linux/resources/devices/"];
    if let Some(list) = of_list.iter().find(|list| field.starts_with(**list)) {
        let index = field.strip_prefix(list)?.split('/').next()?;
        return Some((list.trim_end_matches('/').to_owned(), index.to_owned()));
    }
    // A name of a map may have slashes of its own.
    for map in ["/linux/sysctl", "/annotations", "/linux/resources/unified"] {
        if let Some(name) = field.strip_prefix(map).and_then(|rest| rest.strip_prefix('/')) {
            return value.pointer(map)?.get(name).map(|_| (map.to_owned(), name.to_owned()));
        }
    }
    let mut path = field;
    while value.pointer(path).is_none() {
        path = path.get(..path.rfind('/')?)?;
    }
    let at = path.rfind('/')?;
    Some((path.get(..at)?.to_owned(), path.get(at + 1..)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_by_its_place_and_the_rest_is_read() {
        let text = json!({
            "ociVersion": "1.0.2",
            "root": {"path": "r"},
            "process": {"args": ["a"], "cwd": "/", "apparmorProfile": "x", "oomScoreAdj": 5000},
            "mounts": [
                {"destination": "/proc/a", "type": "tmpfs"}, {"destination": "/t", "type": "tmpfs"},
                {"destination": "/proc/b", "type": "tmpfs"}, {"destination": "/u", "type": "tmpfs"},
            ],
            "linux": {"sysctl": {"kernel.core_pattern": "x", "net/ipv4/ip_forward": "1"}},
        });
        let read = read(&text.to_string()).unwrap();
        let mut fields: Vec<_> = read.refused.iter().map(|(field, _)| field.as_str()).collect();
        fields.sort_unstable();
        let wanted = [
            "/linux/sysctl/kernel.core_pattern",
            "/linux/sysctl/net/ipv4/ip_forward",
            "/mounts/0/destination",
            "/mounts/2/destination",
            "/process/oomScoreAdj",
        ];
        assert_eq!(fields, wanted);
        assert_eq!(read.draft.mounts.len(), 2);
    }

    #[test]
    fn what_is_no_configuration_is_an_error() {
        for text in ["", "[]", "{}", r#"{"ociVersion":"2.0.0"}"#, r#"{"ociVersion":"1.0.2"}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
