//! `pinfold_fuzz::values`, from libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_fuzz::values(data));
