//! Promise: the judge says what docs/policy.md says. Random policies and launches are judged by
//! pinfold and by a reference that was written from that document alone; both must name the same
//! rules at the same fields.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::too_many_lines)]

#[path = "policy_reference/model.rs"]
mod model;

use std::os::fd::OwnedFd;

use model::{Dice, apply, expected, launch, layer, modest, of_violations, plain, request, whole};
use pinfold::draft::Draft;
use pinfold::policy::{
    Around, Document, Log, Policy, Recorded, Replayed, Request, compiled, explain, judge, select,
};
use pinfold::resolve::Facts;

const POLICIES: u32 = 1000;
const LAUNCHES: u32 = 100;

/// Nearly everything.
const LENIENT: &str = r#"
version = 1
root.directories = ["/image"]
bind = [{ path = "/", access = "rw", floor = [], hard_links = true,
    types = ["directory", "file", "socket", "fifo"] }]
namespaces.new = []
network.modes = ["none", "host", "joined"]
user = { uids = ["0-4294967294"], gids = ["0-4294967294"], host_uids = ["0-4294967294"], host_gids = ["0-4294967294"] }
capabilities.bounding = ["CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN"]
capabilities.permitted = ["CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN"]
process = { no_new_privs = false, environment = ["*"], oom_score_adj = -1000, labels = ["*"] }
seccomp = { required = false, deny = [] }
limits = { memory = "unlimited", swap = "unlimited", pids = "unlimited", cpu = "unlimited" }
cgroups.path = ["/"]
annotations = { allow = ["*", "org.systemd.property.*"], reports = ["/"] }
profile.p.doors = ["create", "run"]
profile.q.doors = ["create", "run"]
"#;

/// Launches that were judged again by another policy, on what a record of them says.
#[derive(Debug, Default)]
struct Again {
    same: u32,
    changed: u32,
    now_allowed: u32,
    unknown: u32,
}

impl Again {
    /// Recorded under one policy; the other says of the record what it says of the launch, or that it cannot.
    fn judged(
        &mut self,
        then: &Policy,
        now: &Document,
        (draft, facts, request): (&Draft, &Facts, &Request),
        null: &OwnedFd,
    ) {
        let profile = then.profile.as_deref();
        let grants = select(draft, request, then);
        let around = Around { policy: then, grants: &grants, profile, sudo_unseen: false, hides_args: false };
        let recorded = Recorded::of(draft, facts, request, around).unwrap();
        let json = recorded.to_json().unwrap();
        assert!(json.len() < 8192, "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let read = Recorded::from_value(&value).unwrap();
        assert_eq!(read, recorded);
        let names: Vec<_> = draft
            .process
            .iter()
            .flat_map(|process| &process.env)
            .map(|one| one.to_str().unwrap().to_owned())
            .collect();
        let log = Log { environment: Some(&names), policies: 1, ..Log::default() };
        let direct = judge(draft, facts, request, Some(&now.clone().for_launch(profile)));
        let old = of_violations(judge(draft, facts, request, Some(then)).violations());
        let told = of_violations(direct.violations());
        match read.judge(now, log, null).unwrap() {
            Replayed::Judged(word, violations) => {
                let said = of_violations(&violations);
                assert_eq!(word, direct.name(), "{said:?}\n{told:?}\n{value:#}");
                // The object of a bind that the host's rules hold back is not opened: what a profile says of it is not told.
                assert!(said.is_subset(&told), "{said:?}\n{told:?}\n{value:#}");
                assert!(
                    told.difference(&said).all(|(rule, _)| rule.starts_with("bind.")),
                    "{said:?}\n{told:?}"
                );
                let count = if old == told { &mut self.same } else { &mut self.changed };
                *count += 1;
                self.now_allowed += u32::from(word == "allowed" && !old.is_empty());
            }
            Replayed::Unknown(why) => {
                // Only what would pass may hang on what is not known.
                assert!(told.is_empty(), "{why:?}: {told:?}");
                self.unknown += 1;
            }
        }
    }
}

#[test]
fn the_judge_says_what_the_document_says() {
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15, &[]);
    let mut draft = plain();
    let (mut allowed, mut cases) = (0_u32, 0_u32);
    let (mut before, mut again) = (None, Again::default());
    let lenient = Document::parse("lenient", LENIENT).unwrap();
    for _ in 0..POLICIES {
        let (host, profile) = (layer(&mut dice), layer(&mut dice));
        let required = dice.below(4) == 0;
        let text = whole(&host, &profile, required);
        let document = Document::parse("p", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let compiled = compiled::encode(&document, &text).unwrap();
        assert_eq!(compiled::decode(&compiled, &text).as_ref(), Some(&document), "{text}");
        let policies = ["p", "q"].map(|name| document.clone().for_launch(Some(name)));
        for _ in 0..LAUNCHES {
            let launch = launch(&mut dice);
            let launch = if dice.below(4) == 0 { modest(launch) } else { launch };
            let with_profile = dice.coin();
            let policy = &policies[usize::from(with_profile)];
            let facts = apply(&launch, &mut draft, &null);
            let request = request(&launch);
            let verdict = judge(&draft, &facts, &request, Some(policy));
            let said = of_violations(verdict.violations());
            let expected = expected(&host, with_profile.then_some(&profile), required, &launch);
            assert_eq!(said, expected, "policy:\n{text}");
            if cases % 10 == 0 {
                // What is explained is what is enforced.
                let (decisions, explained) = explain(&draft, &facts, &request, Some(policy));
                assert_eq!(explained, verdict);
                assert!(decisions.iter().any(|decision| decision.kept));
            }
            if cases % 5 == 0 {
                let other = before.as_ref().filter(|_| cases % 2 == 0).unwrap_or(&lenient);
                again.judged(policy, other, (&draft, &facts, &request), &null);
            }
            allowed += u32::from(said.is_empty());
            cases += 1;
        }
        before = Some(document);
    }
    assert!(again.changed > 10_000 && again.now_allowed > 1000, "{again:?}");
    assert!(cases >= 100_000 && allowed > 50, "{cases} cases, {allowed} of them allowed");
}
