//! The text of a policy → Document: an error, or layers that each only take away.

use pinfold::policy::{Document, Policy, Request, Verb, compiled, judge, lint};

use super::judge::model;

pub fn policy(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(document) = Document::parse("policy.toml", text) else { return };
    assert_eq!(Document::parse("policy.toml", text).unwrap(), document);
    let compiled = compiled::encode(&document, text).unwrap();
    assert_eq!(compiled::decode(&compiled, text).as_ref(), Some(&document));
    lint(&document);
    let draft = model::plain();
    let facts = Default::default();
    let request = Request::new(Verb::Create, "/".into(), "/run/pinfold".into());
    let refused = |policy: &Policy| !judge(&draft, &facts, &request, Some(policy)).violations().is_empty();
    let names = document.profiles.keys().map(String::as_str).map(Some);
    for profile in names.chain([None, Some("no such profile")]) {
        let mut policy = document.clone().for_launch(profile);
        let before = refused(&policy);
        assert!(before || policy.unknown_profile.is_none(), "an unknown profile is refused");
        if policy.narrow("narrow.toml", text).is_ok() {
            assert!(refused(&policy) || !before, "one layer more never allows more");
        }
    }
}
