//! What the probe printed, in a form in which two runtimes can be compared.

use std::collections::BTreeMap;
use std::path::Path;

/// Key and value of everything that was seen.
pub type View = BTreeMap<String, String>;

/// What came of one bundle under one runtime.
pub struct Seen {
    pub code: i32,
    /// Empty when the program did not run.
    pub view: View,
    pub err: String,
    /// What was still there afterwards.
    pub left: String,
}

impl Seen {
    pub fn read(results: &Path, bundle: &str, runtime: &str) -> Self {
        let read = |what: &str| {
            let path = results.join("out").join(format!("{bundle}.{runtime}.{what}"));
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let namespaces = std::fs::read_to_string(results.join("namespaces")).unwrap();
        let outside: BTreeMap<_, _> =
            namespaces.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (b, a)).collect();
        let code = read("code").trim().parse().unwrap();
        Self { code, view: view(&read("out"), &outside), err: read("err"), left: read("left") }
    }

    /// `ran`, with the program's exit code, or `refused`.
    pub fn outcome(&self) -> String {
        match self.view.is_empty() {
            true => "refused".to_owned(),
            false => format!("ran {}", self.code),
        }
    }
}

fn view(out: &str, outside: &BTreeMap<&str, &str>) -> View {
    let mut view = View::new();
    let mut mounts = vec![];
    for line in out.lines() {
        let Some((key, value)) = line.trim_end_matches('\r').split_once('\t') else { continue };
        let kind = key.split(' ').next().unwrap_or_default();
        match kind {
            // Their order is nobody's promise.
            "environ" => {
                let (name, value) = value.split_once('=').unwrap_or((value, "(no value)"));
                insert(&mut view, &format!("environment {name}"), value);
            }
            "mountinfo" if value.contains(" - ") => mounts.push(value),
            "namespace" => {
                let place = if outside.contains_key(value) { "the caller's" } else { "another" };
                insert(&mut view, key, place);
            }
            _ => insert(&mut view, key, value),
        }
    }
    add_mounts(&mut view, &mounts);
    view
}

/// A key that is there already gets a number.
fn insert(view: &mut View, key: &str, value: &str) {
    let mut name = key.to_owned();
    let mut number = 2;
    while view.contains_key(&name) {
        name = format!("{key} ({number})");
        number += 1;
    }
    view.insert(name, value.to_owned());
}

/// proc_pid_mountinfo(5), by mount point, each field by itself. A parent may stand after its child.
fn add_mounts(view: &mut View, lines: &[&str]) {
    let fields: Vec<Vec<_>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let points: BTreeMap<_, _> = fields.iter().map(|fields| (fields[0], fields[4])).collect();
    for fields in &fields {
        let [_id, parent, _device, root, point, options, rest @ ..] = fields.as_slice() else { continue };
        let dash = rest.iter().position(|field| *field == "-").unwrap();
        let (peers, [_, fstype, source, superblock]) = (&rest[..dash], &rest[dash..]) else { continue };
        let mut name = format!("mount {point}");
        let mut number = 2;
        while view.contains_key(&format!("{name} fstype")) {
            name = format!("mount {point} ({number})");
            number += 1;
        }
        // Which peer group it is differs from run to run.
        let peers: Vec<_> = peers.iter().map(|peer| peer.split(':').next().unwrap()).collect();
        let parts = [
            ("root", *root),
            ("options", *options),
            ("peers", &peers.join(" ")),
            ("fstype", *fstype),
            ("source", *source),
            ("superblock", *superblock),
            ("parent", points.get(parent).unwrap_or(&"none")),
        ];
        for (part, value) in parts {
            view.insert(format!("{name} {part}"), value.to_owned());
        }
    }
}
