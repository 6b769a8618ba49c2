//! config.json → Spec → Draft: never a panic, and what is refused is refused with an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pinfold::commands::bundle;
use pinfold::draft::{self, Extras, HostFacts};

fuzz_target!(|text: &[u8]| {
    if let Ok((spec, _)) = bundle::parse(text) {
        let facts = HostFacts { last_cap: 40, landlock_abi: 6, ..HostFacts::default() };
        if let Ok(draft) = draft::build(&spec, &Extras::oci(), &facts) {
            for mount in &draft.mounts {
                assert!(mount.destination.is_absolute());
            }
        }
    }
});
