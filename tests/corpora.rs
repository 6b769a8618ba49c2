//! Promise: no input of the fuzz corpora, and none near them, breaks a parser. Each seed below
//! `fuzz/corpus/TARGET` goes through the function that libFuzzer drives (`fuzz/src`), and then
//! mutations of the seeds for a short time: `PINFOLD_TEST_COUNT` times a second.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use targets::{TARGETS, Target};

/// Longer inputs cost time and find little more.
const LONGEST: usize = 16 << 10;

fn fuzz(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Mutations in the place of a second: a faster machine tries no others than the one on which they were tried.
const MOST: u64 = 20_000;

fn budget() -> Duration {
    let count = std::env::var("PINFOLD_TEST_COUNT").ok().and_then(|count| count.parse().ok());
    Duration::from_secs(count.unwrap_or(3))
}

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(fuzz("corpus").join(target)).unwrap().map(Result::unwrap);
    let mut seeds: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// The words of a dictionary: `"WORD"` or `NAME="WORD"`, with `\xNN`, `\\` and `\"` (libFuzzer's form).
fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fuzz("dictionaries").join(format!("{target}.dict"))).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let quoted = line.split_once('"').and_then(|(_, rest)| rest.strip_suffix('"'));
            word(quoted.unwrap_or_else(|| panic!("{target}.dict: {line}")))
        })
        .collect()
}

fn word(quoted: &str) -> Vec<u8> {
    let mut word = vec![];
    let mut bytes = quoted.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        match bytes.next().unwrap() {
            b'x' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            escaped => word.push(escaped),
        }
    }
    word
}

/// xorshift64*: a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides.max(1)
    }
}

/// One to four changes: bits, bytes, words of the dictionary in their places, pieces cut, doubled or of another seed.
fn mutate(dice: &mut Dice, seeds: &[(String, Vec<u8>)], words: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].1.clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let end = (at + 1 + dice.below(32)).min(input.len());
        match dice.below(8) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 if at < input.len() => {
                input[at] = [0, 1, 9, b'0', b'9', b'/', b'"', 0x7f, 0x80, 0xff][dice.below(10)]
            }
            2 => drop(input.drain(at.min(end)..end)),
            3 => {
                let piece = input[at.min(end)..end].to_vec();
                input.splice(at..at, piece);
            }
            4 if !words.is_empty() => {
                input.splice(at..at, words[dice.below(words.len())].iter().copied());
            }
            5 if !words.is_empty() => {
                input.splice(at.min(end)..end, words[dice.below(words.len())].iter().copied());
            }
            6 => replace_quoted(dice, &mut input, words),
            _ => {
                let other = &seeds[dice.below(seeds.len())].1;
                let from = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// A text between quotes becomes another one of the dictionary's.
fn replace_quoted(dice: &mut Dice, input: &mut Vec<u8>, words: &[Vec<u8>]) {
    let quotes: Vec<_> = (0..input.len()).filter(|at| input[*at] == b'"').collect();
    let quoted: Vec<_> = words.iter().filter(|word| word.first() == Some(&b'"')).collect();
    if let (Some(pair), false) = (quotes.chunks_exact(2).nth(dice.below(quotes.len() / 2)), quoted.is_empty())
    {
        input.splice(pair[0]..=pair[1], quoted[dice.below(quoted.len())].iter().copied());
    }
}

/// The first input that `body` panics at: a seed, or a mutation that is found within the time.
fn broken(target: &str, body: impl Fn(&[u8]), time: Duration) -> Option<Vec<u8>> {
    let (seeds, words) = (seeds(target), dictionary(target));
    assert!(!seeds.is_empty() && !words.is_empty(), "{target} has no seeds or no words");
    let panics = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| body(input))).is_err();
    if let Some((name, input)) = seeds.iter().find(|(_, input)| panics(input)) {
        eprintln!("fuzz/corpus/{target}/{name}");
        return Some(input.clone());
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let begun = Instant::now();
    let mut count = 0_u64;
    while begun.elapsed() < time && count < MOST * time.as_secs() {
        let input = mutate(&mut dice, &seeds, &words);
        count += 1;
        if panics(&input) {
            return Some(input);
        }
    }
    println!("{target}: {} seeds, {count} mutations", seeds.len());
    None
}

fn replay(target: &str) {
    let body: Target = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    let Some(input) = broken(target, body, budget()) else { return };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{target}"));
    fs::write(&kept, &input).unwrap();
    panic!("{target} breaks by the input in {}; docs/fuzzing.md tells what to do with it", kept.display());
}

macro_rules! replays {
    ($($target:ident)*) => { $(
        #[test]
        fn $target() {
            replay(stringify!($target));
        }
    )* };
}

replays!(audit config idmaps image judge layer messages policy process records reference resolver seccomp state values);

/// The directories of fuzz/ and the list agree: nothing stands there and is never run.
#[test]
fn every_target_is_replayed() {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (directory, end) in [("corpus", ""), ("dictionaries", ".dict"), ("fuzz_targets", ".rs")] {
        let entries = fs::read_dir(fuzz(directory)).unwrap();
        let mut there: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        there.sort();
        let wanted: Vec<_> = names.iter().map(|name| format!("{name}{end}")).collect();
        assert_eq!(there, wanted, "{directory}");
    }
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    let listed: Vec<_> =
        manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(listed, names);
}

/// Whether an input meets it.
type Bug = fn(&[u8]) -> bool;

/// Bugs that no seed meets, planted behind a target: mutations come to them within the time.
#[test]
fn a_planted_bug_is_found() {
    let planted: [(&str, Target, Bug); 3] = [
        ("state", targets::state, |input| {
            serde_json::from_slice::<serde_json::Value>(input).is_ok_and(|state| state["phase"] == "created")
        }),
        ("reference", targets::reference, |input| {
            std::str::from_utf8(input)
                .is_ok_and(|text| text.parse::<pinfold::types::ImageRef>().is_ok() && text.contains("__"))
        }),
        ("seccomp", targets::seccomp, |input| {
            let text = std::str::from_utf8(input).unwrap_or_default();
            let profile = pinfold::seccomp::Profile::from_json(text);
            profile.is_ok_and(|profile| {
                profile.rules.iter().any(|rule| rule.action == pinfold::seccomp::Action::Trap)
            })
        }),
    ];
    for (target, body, bug) in planted {
        assert!(seeds(target).iter().all(|(_, input)| !bug(input)), "{target}: a seed meets the bug");
        let with_bug = |input: &[u8]| {
            body(input);
            assert!(!bug(input), "planted");
        };
        assert!(broken(target, with_bug, Duration::from_secs(20)).is_some(), "{target}");
    }
}
