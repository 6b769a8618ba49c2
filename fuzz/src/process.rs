//! process.json of `exec --process` → Process: what the file does not say never means less than the
//! container's own process has.

use pinfold::commands::bundle;
use pinfold::commands::exec::inherit;
use pinfold::draft::{self, Draft, Extras, HostFacts};
use serde_json::Value;

const CONTAINER: &str = r#"{"ociVersion":"1.2.0","root":{"path":"rootfs"},"process":{"args":["a"],"cwd":"/",
    "user":{"uid":1000,"gid":1000},"noNewPrivileges":true,"oomScoreAdj":100,
    "capabilities":{"bounding":["CAP_KILL"],"permitted":[],"effective":[],"inheritable":[],"ambient":[]},
    "rlimits":[{"type":"RLIMIT_NOFILE","soft":7,"hard":9}]},
    "linux":{"namespaces":[{"type":"mount"},{"type":"pid"}]}}"#;

pub fn process(text: &[u8]) {
    // Alone, as far as it goes without the container.
    bundle::parse_process(text).ok();
    let Ok(completed) = inherit::completed(text, CONTAINER.as_bytes()) else { return };
    let Ok((process, _)) = bundle::parse_process(&completed) else { return };
    let (mut spec, _) = bundle::parse(CONTAINER.as_bytes()).unwrap();
    let own = build(&spec).unwrap();
    spec.set_process(Some(process));
    let Some(draft) = build(&spec) else { return };
    let said: Value = serde_json::from_slice(text).unwrap();
    let says = |key: &str| said.get(key).is_some();
    let (own, further) = (own.process.unwrap(), draft.process.unwrap());
    assert!(says("noNewPrivileges") || further.no_new_privs);
    assert!(says("user") || (further.uid, further.gid) == (own.uid, own.gid));
    assert!(says("capabilities") || further.bounding == own.bounding && further.caps == own.caps);
    assert!(says("rlimits") || further.rlimits == own.rlimits);
    assert!(says("oomScoreAdj") || further.oom_score_adj == own.oom_score_adj);
}

fn build(spec: &oci_spec::runtime::Spec) -> Option<Draft> {
    let facts = HostFacts { last_cap: 40, grantable_caps: (1 << 41) - 1, ..HostFacts::default() };
    draft::build(spec, &Extras::oci(), &facts).ok()
}
