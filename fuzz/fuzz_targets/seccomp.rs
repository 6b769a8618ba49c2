//! `pinfold_fuzz::seccomp`, from libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_fuzz::seccomp(data));
