#!/bin/bash
# Runs fuzz targets by libFuzzer, two at once: docs/fuzzing.md.
#
#   [FUZZ_JOBS=2] fuzz/run.sh SECONDS [TARGET...]      (none: all)
#
# New inputs go to fuzz/found/TARGET, what breaks to fuzz/artifacts/TARGET; a line for each run to
# fuzz/found/runs.tsv. A target that breaks does not keep the others from running. Ends with 1 if one broke.
set -euo pipefail

# Another version may build with other flags.
cargo_fuzz=0.13.1

cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:?fuzz/run.sh SECONDS [TARGET...]}
jobs=${FUZZ_JOBS:-2}
shift

if ! rustup run nightly rustc --version >/dev/null 2>&1 && ! rustup toolchain install nightly --profile minimal; then
    echo 'fuzz: sanitizers want a nightly compiler, and there is none: rustup toolchain install nightly' >&2
    echo 'fuzz: without one, `cargo test --test corpora` replays the corpora and mutates them' >&2
    exit 2
fi
if [ "$(cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $cargo_fuzz" ]; then
    cargo install --locked --version "$cargo_fuzz" cargo-fuzz
fi

[ $# -gt 0 ] || mapfile -t -O 1 targets < <(cargo +nightly fuzz list)
[ $# -eq 0 ] || targets=("$@")
cargo +nightly fuzz build

# last NAME LOG: the number after NAME in the last line of libFuzzer's that has one.
last() {
    sed -n 's/.* '"$1"': \([0-9]*\).*/\1/p' "$2" | tail -n 1
}

one() {
    local target=$1 log=found/$1.log begun=$SECONDS result=held
    mkdir -p "found/$target" "artifacts/$target"
    # A thread of the standard library's scope can still be freeing its own when LeakSanitizer looks.
    ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=0 "$programs/$target" "found/$target" "corpus/$target" \
        -dict="dictionaries/$target.dict" -artifact_prefix="artifacts/$target/" \
        -max_total_time="$seconds" -max_len=16384 -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 \
        >"$log" 2>&1 </dev/null || result=BROKEN
    local executions
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    printf '%s\t%s\t%d s\t%s executions\t%s edges\t%s features\n' "$target" "$result" $((SECONDS - begun)) \
        "${executions:-0}" "$(last cov "$log")" "$(last ft "$log")" | tee -a found/runs.tsv
    [ "$result" = held ] || touch "found/$target.broken"
}

programs=${CARGO_TARGET_DIR:-target}/$(rustc +nightly -vV | sed -n 's/^host: //p')/release
mkdir -p found
rm -f found/*.broken
for target in "${targets[@]}"; do
    [ "$(jobs -rp | wc -l)" -lt "$jobs" ] || wait -n
    one "$target" &
done
wait
broken=$(cd found && echo *.broken)
[ "$broken" = '*.broken' ] || { echo "fuzz: ${broken//.broken/}: the inputs are in fuzz/artifacts" >&2; exit 1; }
