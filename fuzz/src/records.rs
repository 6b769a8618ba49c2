//! The page of step records, written by who took the child over: each reading is a sane claim, and a
//! failure can be told whatever it names.

use std::cell::OnceCell;
use std::io::Write;

use pinfold::commands::bundle;
use pinfold::draft::{self, Extras, HostFacts};
use pinfold::launch::describe_failure;
use pinfold::plan::{Plan, Records};
use pinfold::sys::shared::PAGE;

use super::config;
use super::jail::Jail;

const CONFIG: &[u8] = br#"{"ociVersion":"1.2.0","root":{"path":"."},"process":{"args":["/bin/a"],"cwd":"/",
    "user":{"uid":1,"gid":1},"noNewPrivileges":true},"linux":{"namespaces":[{"type":"mount"},{"type":"pid"}]}}"#;

thread_local! {
    static PLAN: OnceCell<Option<Plan>> = const { OnceCell::new() };
}

pub fn records(bytes: &[u8]) {
    let (records, fd) = Records::create().unwrap();
    let mut page = std::fs::File::from(fd);
    page.write_all(&bytes[..bytes.len().min(PAGE)]).unwrap();
    let failure = records.failure();
    assert!(!(records.executed() && failure.is_some()));
    assert!(!records.failed_last() || failure.is_some());
    for pid in [records.main_pid(), records.stage_pid()].into_iter().flatten() {
        assert!(pid > 0, "kill(2) means more than one process by {pid}");
    }
    records.entered();
    records.main_status();
    records.hook_errno();
    records.hook_end();
    let Some(failure) = failure else { return };
    PLAN.with(|plan| {
        if let Some(plan) = plan.get_or_init(some_plan) {
            assert!(!describe_failure(plan, &records, failure).to_string().is_empty());
        }
    });
}

/// `None` where this process may not make one.
fn some_plan() -> Option<Plan> {
    let (spec, _) = bundle::parse(CONFIG).unwrap();
    let facts = HostFacts { last_cap: 40, grantable_caps: (1 << 41) - 1, ..HostFacts::default() };
    let draft = draft::build(&spec, &Extras::oci(), &facts).unwrap();
    config::plan(&draft, &facts, &Jail::new())
}
