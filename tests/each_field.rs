//! Promise: each field of the configuration wrong in turn ends in an error that names it, never in a
//! panic, and leaves nothing behind. The fields are those of a configuration that has all of them
//! (config.md, config-linux.md); from the type of each its wrong values are made.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "each_field/complete.rs"]
mod complete;
mod support;

use serde_json::{Value, json};
use support::{Bundle, Dir, Ran};

/// A value of another type than any of the specification has at its place, and values beyond what
/// the kernel or the specification allows; and what they are called in the lists below.
fn wrong_values(good: &Value) -> Vec<(&'static str, Value)> {
    match good {
        Value::Bool(_) => vec![("type", json!("yes")), ("number", json!(1)), ("list", json!([true]))],
        Value::Number(_) => vec![
            ("type", json!("1")),
            ("negative", json!(-1)),
            ("fraction", json!(1.5)),
            ("u32", json!(4_294_967_296_u64)),
            ("i64", json!(9_223_372_036_854_775_808_u64)),
            ("huge", json!(1e300)),
            ("list", json!([1])),
            ("bool", json!(true)),
        ],
        Value::String(_) => vec![
            ("type", json!(7)),
            ("nul", json!("/a\u{0}b")),
            ("empty", json!("")),
            ("nonsense", json!("no/such\nthing")),
            ("long", json!("x".repeat(5000))),
            ("list", json!(["x"])),
            ("object", json!({"x": "y"})),
        ],
        Value::Array(_) => {
            vec![("type", json!("x")), ("object", json!({"a": 1})), ("inside", json!([{"a": [1]}]))]
        }
        Value::Object(_) => vec![("type", json!("x")), ("list", json!([1])), ("number", json!(3))],
        Value::Null => vec![],
    }
}

/// The JSON pointers of all values, the outer ones first.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    if !at.is_empty() {
        found.push(at.to_owned());
    }
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{}", escaped(key)), found));
        }
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// What is no error, and why: fields (`*` is one name), values.
const LEGAL: &[(&str, &[&str], &str)] = &[
    ("/process/consoleSize/*", &["u32", "i64"], "ignored without a terminal"),
    ("/process/args/1", &["empty", "nonsense", "long"], "an argument is any text"),
    ("/process/capabilities/*/0", &["empty", "nonsense", "long"], "an unknown one is a warning (config.md)"),
    ("/process/rlimits/0/hard", &["u32", "i64"], "as high as it may be"),
    ("/hostname", &["empty", "nonsense"], "empty is absent; the kernel takes any text"),
    ("/domainname", &["empty", "nonsense"], "empty is absent; the kernel takes any text"),
    ("/annotations/*", &["empty", "nonsense", "long"], "an annotation is any text"),
    ("/hooks/*/0/args/0", &["empty", "nonsense", "long"], "an argument is any text"),
    ("/hooks/*/0/env/0", &["empty", "nonsense", "long"], "a hook's environment is the caller's"),
    ("/hooks/*/0/timeout", &["u32"], "a long time"),
    ("/mounts/*/destination", &["nonsense"], "a relative one is below `/` (config.md)"),
    ("/mounts/*/source", &["empty", "nonsense"], "the name of a filesystem without a device is any text"),
    ("/mounts/4/source", &["long"], "the same; v1 hierarchies are mounted without it"),
    ("/mounts/*/options/*", &["empty"], "an empty option asks for nothing"),
    ("/mounts/4/options/*", &["nonsense", "long"], "cgroup takes no data, as with runc"),
    ("/mounts/6/options/*", &["nonsense", "long"], "a bind mount takes no data (mount(2)), as with runc"),
    ("/mounts/6/type", &["empty", "nonsense", "long"], "a bind mount has none (config.md)"),
    ("/linux/devices/0/path", &["nonsense"], "a relative one is below `/`, as with runc"),
    ("/linux/resources/devices", &["inside"], "a rule that denies nothing"),
    ("/linux/resources/devices/0/access", &["empty"], "the same"),
    ("/linux/resources/devices/1/*", &["negative"], "-1 is every number"),
    ("/linux/resources/*/*", &["negative"], "-1 is no limit"),
    ("/linux/resources/memory/*", &["u32"], "4 GiB"),
    ("/linux/resources/cpu/quota", &["u32"], "4294 CPUs"),
    ("/linux/sysctl/*", &["empty"], "the kernel takes an empty write"),
    ("/linux/seccomp/syscalls/0/names/0", &["nonsense", "long"], "an unknown call is left out, as with runc"),
    ("/linux/seccomp/syscalls/0/args/0/*", &["u32", "i64"], "64 bits are compared"),
    ("/linux/rootfsPropagation", &["empty"], "empty is absent"),
];

fn covers(pattern: &str, field: &str) -> bool {
    let (mut names, mut given) = (pattern.split('/'), field.split('/'));
    loop {
        match (names.next(), given.next()) {
            (None, None) => return true,
            (Some(name), Some(given)) if name == "*" || name == given => {}
            _ => return false,
        }
    }
}

fn legal(field: &str, what: &str) -> bool {
    LEGAL.iter().any(|(pattern, values, _)| covers(pattern, field) && values.contains(&what))
}

/// The error says which field: its whole pointer, or that of what it is a part of and the value.
fn names(ran: &Ran, field: &str) -> bool {
    let mut at = field;
    for _ in 0..3 {
        if ran.err.contains(at) && at.len() > 1 {
            return true;
        }
        at = at.rsplit_once('/').map_or("", |(above, _)| above);
    }
    false
}

/// Whether it was refused as it should be; else what is wrong.
fn judge(ran: &Ran, field: &str, what: &str) -> Result<(), String> {
    let told = |text: &str| Err(format!("{field} ({what}): {text}: code {:?} {}", ran.status, ran.err));
    match ran.status.code() {
        Some(0) if legal(field, what) => Ok(()),
        Some(0) => told("accepted"),
        _ if ran.err.contains("panicked") => told("it panicked"),
        Some(1 | 120 | 121 | 125 | 126 | 127) if names(ran, field) => Ok(()),
        Some(1 | 120 | 121 | 125 | 126 | 127) => told("does not name the field"),
        _ => told("ended otherwise"),
    }
}

#[test]
fn each_field_wrong_in_turn_is_an_error_that_names_it() {
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    let good = complete::config(&bundle);
    bundle.edit(|config| *config = good.clone());
    let id = dir.id("field");
    dir.pinfold(&["explain", bundle.text()]).ok();
    dir.pinfold(&["run", "--bundle", bundle.text(), &id]).ok();
    let mut fields = vec![];
    pointers(&good, "", &mut fields);
    assert!(fields.len() > 120, "{}", fields.len());
    let mut faults = vec![];
    for field in &fields {
        for (what, value) in wrong_values(good.pointer(field).unwrap()) {
            bundle.edit(|config| {
                *config = good.clone();
                *config.pointer_mut(field).unwrap() = value;
            });
            let mut ran = dir.pinfold(&["explain", bundle.text()]);
            if ran.status.success() && !legal(field, what) {
                // Some things only the kernel knows.
                ran = dir.pinfold(&["run", "--bundle", bundle.text(), &id]);
            }
            faults.extend(judge(&ran, field, what).err());
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    dir.assert_nothing_left();
}

/// What a machine may lack, one after the other: of another type it is an error everywhere.
#[test]
fn what_other_machines_have_is_typed_too() {
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    let base = bundle.config.clone();
    let never = ["type", "list", "object", "bool", "fraction", "nul", "huge"];
    let mut faults = vec![];
    for (at, good) in complete::elsewhere() {
        let mut fields = vec![];
        pointers(&good, at, &mut fields);
        for field in fields {
            let inner = field.strip_prefix(at).unwrap();
            let wrong = wrong_values(good.pointer(inner).unwrap());
            for (what, value) in wrong.into_iter().filter(|(what, _)| never.contains(what)) {
                let mut section = good.clone();
                *section.pointer_mut(inner).unwrap() = value;
                bundle.edit(|config| {
                    *config = base.clone();
                    complete::set(config, at, section);
                });
                faults.extend(judge(&dir.pinfold(&["explain", bundle.text()]), &field, what).err());
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    dir.assert_nothing_left();
}
