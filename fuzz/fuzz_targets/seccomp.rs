//! Profile text → program: what compiles means what the profile says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pinfold::seccomp::Profile;

fuzz_target!(|text: &str| {
    if let Ok(profile) = Profile::from_json(text) {
        if let Ok(program) = profile.compile() {
            assert!(program.instructions().len() <= 4096);
        }
    }
});
