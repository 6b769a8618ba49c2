#!/bin/bash -eu
# Builds the targets as OSS-Fuzz wants them: programs, seed corpora and dictionaries of one name in $OUT.
# $SRC, $OUT and the sanitizer come from its image of Rust (Dockerfile beside this).

cd "$SRC/pinfold/fuzz"
# The flags of .cargo/config.toml make static binaries, which sanitizers cannot be: RUSTFLAGS is in their place.
export RUSTFLAGS="${RUSTFLAGS:-}"
cargo fuzz build -O --debug-assertions

for source in fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp "target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
    (cd "corpus/$target" && zip -q -r "$OUT/${target}_seed_corpus.zip" .)
    cp "dictionaries/$target.dict" "$OUT/"
done
