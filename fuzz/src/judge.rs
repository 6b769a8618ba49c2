//! Bytes draw a policy and launches; the judge and the reference must name the same rules at the same
//! fields (tests/policy_reference).

use std::os::fd::OwnedFd;

use pinfold::policy::Document;

#[path = "../../tests/policy_reference/model.rs"]
pub mod model;

use model::{Dice, apply, expected, launch, layer, modest, of_violations, plain, request, whole};

pub fn judge(bytes: &[u8]) {
    let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15, bytes);
    let (host, profile) = (layer(&mut dice), layer(&mut dice));
    let required = dice.below(4) == 0;
    let text = whole(&host, &profile, required);
    let document = Document::parse("p", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let mut draft = plain();
    for _ in 0..8 {
        let launch = launch(&mut dice);
        let launch = if dice.below(4) == 0 { modest(launch) } else { launch };
        let with_profile = dice.coin();
        let policy = document.clone().for_launch(Some(if with_profile { "q" } else { "p" }));
        let facts = apply(&launch, &mut draft, &null);
        let verdict = pinfold::policy::judge(&draft, &facts, &request(&launch), Some(&policy));
        let expected = expected(&host, with_profile.then_some(&profile), required, &launch);
        assert_eq!(of_violations(verdict.violations()), expected, "policy:\n{text}");
    }
}
