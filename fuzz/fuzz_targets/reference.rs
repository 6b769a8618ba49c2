//! `pinfold_fuzz::reference`, from libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_fuzz::reference(data));
