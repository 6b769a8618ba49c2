//! Reading: what is understood, what is refused and on which line.

use super::*;
use crate::policy::rules::Ids;

fn refused(text: &str) -> String {
    Document::parse("p.toml", text).unwrap_err().to_string()
}

#[test]
fn what_is_not_understood_is_an_error_with_its_line() {
    let rows = [
        ("", "line 1: `version` is missing"),
        ("version = 2", "line 1: version 2 is not known"),
        ("version = 1\nmods = 1", "line 2: `mods` is no key"),
        ("version = 1\nmode = \"permissive\"", "line 2: `mode` has \"permissive\""),
        ("version = 1\nversion = 1", "line 2: duplicate key"),
        ("version = 1\n[limits]\nmemory = \"lots\"", "line 3: `limits.memory` must be a size"),
        ("version = 1\n[limits]\nmemory = -1", "line 3: `limits.memory` must be a size"),
        ("version = 1\n[limits]\ncpu = 1.0001", "line 3: `limits.cpu` must be a number of CPUs"),
        ("version = 1\n[limits]\nio = 5", "line 3: `limits.io` must be \"set\""),
        ("version = 1\n[limits]\n\nmemroy = 1", "line 4: `limits.memroy` is no key"),
        ("version = 1\n[[bind]]\naccess = \"ro\"", "line 2: `bind`: `path` is missing"),
        ("version = 1\n[[bind]]\npath = \"relative\"", "line 3: `bind.path` must be an absolute path"),
        ("version = 1\n[[bind]]\npath = \"/a/../b\"", "line 3: `bind.path` must be an absolute path"),
        ("version = 1\n[[bind]]\npath = \"/a\"\nacces = \"rw\"", "line 4: `bind.acces` is no key"),
        ("version = 1\n[bind]\npath = \"/a\"", "line 2: `bind` must be a list of tables"),
        ("version = 1\n[user]\nuids = [\"5-4\"]", "line 3: `user.uids` has \"5-4\""),
        ("version = 1\n[user]\nuids = [\"4294967295\"]", "line 3: `user.uids` has \"4294967295\""),
        (
            "version = 1\n[capabilities]\nbounding = [\"KILL\"]",
            "line 3: `capabilities.bounding` has \"KILL\"",
        ),
        ("version = 1\n[seccomp]\ndeny = [\"no_such_call\"]", "which is no system call"),
        ("version = 1\n[seccomp]\nprofiles = [\"sha256:1\"]", "is no digest"),
        (
            "version = 1\n[mounts]\nfilesystems = [\"overlay\"]",
            "line 3: `mounts.filesystems` has \"overlay\"",
        ),
        ("version = 1\n[devices]\nallow = [\"c 1:3\"]", "line 3: `devices.allow` has \"c 1:3\""),
        ("version = 1\n[process]\nenvironment = [\"A*B\"]", "a `*` at the end"),
        (
            "version = 1\n[process]\nno_new_privs = \"yes\"",
            "line 3: `process.no_new_privs` must be true or false",
        ),
        ("version = 1\n[rlimits]\nmax = { FILES = 1 }", "is no resource"),
        ("version = 1\ndefault_profile = \"x\"", "there is no [profile.x]"),
        ("version = 1\n[profile.x]\nmode = \"audit\"", "line 3: `profile.x.mode` is no key"),
        ("version = 1\n[profile.x.running]\nmax = 1", "`profile.x.running` is no key"),
        ("version = 1\n[audit]\nrequird = true", "line 3: `audit.requird` is no key"),
        ("version = 1\n[audit]\nrequired = 1", "line 3: `audit.required` must be true or false"),
        ("version = 1\n[audit]\npath = \"a\"", "line 3: `audit.path` must be an absolute path"),
        ("version = 1\n[audit]\npath = \"/a\"", "line 2: `audit`: `path` must name a file in a directory"),
        ("version = 1\n[audit]\ndestinations = []", "line 2: `audit`: `destinations` names none"),
        ("version = 1\n[audit]\ndestinations = [\"syslog\"]", "line 3: `audit.destinations` has \"syslog\""),
        ("version = 1\n[audit]\ndestinations = [\"journald\"]\ndurable = true", "are about a file"),
        ("version = 1\n[profile.x.audit]\nrequired = true", "`profile.x.audit` is no key"),
        ("version = 1\n[profile.\"a b\"]\ndoors = []", "a profile's name"),
        ("version = 1\n[[hook]]\npath = \"/h\"\nsha256 = \"00\"", "`sha256` must be 64"),
        ("version = 1\n[[join]]\ntype = \"net\"\npath = \"/run/netns\"", "`type` has \"net\""),
        ("version = 1\nnot toml", "line 2: "),
    ];
    for (text, told) in rows {
        let error = refused(text);
        assert!(error.starts_with("p.toml: ") && error.contains(told), "{text:?}: {error}");
    }
}

#[test]
fn a_rule_knows_its_line_and_a_default_has_none() {
    let text = "version = 1\n[limits]\npids = 5\n\n[profile.p.limits]\npids = 3\n";
    let document = Document::parse("p", text).unwrap();
    let line = |rules: &Rules| rules.limits.pids.as_ref().map(|at| at.line);
    assert_eq!((line(&document.rules), line(&document.profiles["p"])), (Some(3), Some(6)));
    assert_eq!(document.rules.limits.memory.as_ref().map(|at| at.line), Some(0));
    assert_eq!(document.profiles["p"].limits.memory, None, "a profile says nothing of what it leaves out");
}

#[test]
fn a_profile_is_one_more_layer_and_an_unknown_one_is_remembered() {
    let text = "version = 1\ndefault_profile = \"a\"\n[profile.a]\ndoors = []\n[profile.b]\ndoors = []\n";
    let policy = |profile| Document::parse("p", text).unwrap().for_launch(profile);
    assert_eq!((policy(None).layers.len(), policy(None).profile.as_deref()), (2, Some("a")));
    assert_eq!(policy(Some("b")).profile.as_deref(), Some("b"));
    assert_eq!(policy(Some("c")).unknown_profile.as_deref(), Some("c"));
    assert_eq!(policy(Some("c")).layers.len(), 1);
}

#[test]
fn the_callers_own_policy_has_neither_mode_nor_profiles() {
    let mut policy = Document::parse("p", "version = 1").unwrap().for_launch(None);
    for text in [
        "version = 1\nmode = \"audit\"",
        "version = 1\n[profile.a]\ndoors = []",
        "version = 1\n[running]",
        "version = 1\n[audit]",
    ] {
        assert!(policy.narrow("own", text).is_err(), "{text}");
    }
    assert!(policy.narrow("own", "version = 1\ndoors = [\"run\"]").is_ok());
    assert_eq!(policy.layers.len(), 2);
}

#[test]
fn ranges_that_touch_count_as_one() {
    let ids = Ids(vec![(10, 19), (0, 4), (20, 29)]);
    let rows = [(10, 29, true), (0, 4, true), (4, 5, false), (5, 9, false), (9, 10, false), (29, 30, false)];
    for (first, last, held) in rows {
        assert_eq!(ids.hold_all(first, last), held, "{first}-{last}");
    }
    assert!(Ids(vec![(0, u32::MAX - 1)]).hold_all(u32::MAX - 1, u32::MAX - 1));
}

/// The TOML of docs/policy.md and of the example is what this reads.
#[test]
fn the_documents_own_examples_are_understood() {
    let text = include_str!("../../docs/policy.md");
    let blocks: Vec<_> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() > 12, "{}", blocks.len());
    for block in blocks {
        let whole =
            if block.contains("version = 1") { block.to_owned() } else { format!("version = 1\n{block}") };
        Document::parse("docs/policy.md", &whole).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
    let example = include_str!("../../examples/policy/gateway.toml");
    let document = Document::parse("gateway.toml", example).unwrap();
    assert_eq!(lint(&document), [], "the example has nothing to find");
}

#[test]
fn what_gives_the_host_away_is_found() {
    let found = |text: &str| {
        let document = Document::parse("p", &format!("version = 1\n{text}")).unwrap();
        lint(&document).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let rows = [
        ("mode = \"audit\"", "nothing is refused"),
        ("[[bind]]\npath = \"/\"", "the whole host"),
        ("[[bind]]\npath = \"/etc/ssl\"", "passwords"),
        ("[[bind]]\npath = \"/var\"", "services"),
        ("[[bind]]\npath = \"/home/a\"", "a home"),
        ("[[bind]]\npath = \"/run/docker.sock\"", "docker.sock is the host"),
        ("[[bind]]\npath = \"/srv\"\naccess = \"rw\"\nfloor = []", "lacks nosuid"),
        ("[[bind]]\npath = \"/srv\"\n[[bind]]\npath = \"/srv\"", "already"),
        ("[capabilities]\nbounding = [\"CAP_SYS_ADMIN\"]", "that is the host"),
        ("[exec]\ncapabilities = [\"CAP_KILL\"]", "useless"),
        ("[limits]\nmemory = \"unlimited\"", "all memory"),
        ("[limits]\nmemory = 5\n[profile.p.limits]\nmemory = 6", "useless: the host's rules allow at most 5"),
        ("[profile.p]\n[[profile.p.bind]]\npath = \"/srv\"", "not granted by the host's rules"),
        ("[process]\nenvironment = [\"*\"]", "every variable"),
        ("[network]\nmodes = [\"host\"]", "loopback"),
        ("[devices]\nallow = [\"c 10:* rw\"]", "a whole class"),
        ("[user]\nhost_uids = [\"0-10\"]", "no wall"),
        ("[[join]]\ntype = \"network\"\npath = \"/proc\"", "every process"),
    ];
    for (text, told) in rows {
        assert!(found(text).contains(told), "{text}: {}", found(text));
    }
    assert_eq!(found("[[bind]]\npath = \"/srv/agents\"\naccess = \"rw\""), "");
}
