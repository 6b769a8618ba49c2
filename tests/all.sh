#!/bin/bash
# Every test: cargo's on this machine, then the ones that need another kernel or cgroup hierarchy in the
# virtual machine, then the clients in their tree. Ends with one line: "tests: N passed, N failed, N skipped".
#
# A #[ignore] test is not skipped when the virtual machine runs it; a test counts as skipped only when it
# ran nowhere. One profile serves all: the library is compiled once for the binary and the tests. What the
# guests and the clients run aborts on a panic, as the shipped one does.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=release-fast
target=${CARGO_TARGET_DIR:-target}
binary=$target/$(rustc -vV | sed -n 's/^host: //p')/$profile/pinfold
log=$(mktemp -d)
beside=
trap '[ -z "$beside" ] || kill "$beside"; rm -rf "$log"' EXIT

# sum FILE WORD: of the numbers before WORD in cargo's "test result:" lines.
sum() {
    sed -n 's/^test result: .* \([0-9]*\) '"$2"'.*/\1/p' "$1" | awk '{ n += $1 } END { print n + 0 }'
}

# counted FILE WORD: the number before WORD in a summary line of the virtual machine or of the clients,
# 0 without one.
counted() {
    sed -n 's/^\(vm\|clients\):.* \([0-9]*\) '"$2"'.*/\2/p' "$1" | awk '{ n = $1 } END { print n + 0 }'
}

# The machines that systemd runs and that enforce SELinux. They end with the shell that started them.
other_guests() {
    local failed=0
    VM_DEADLINE=1200 setpriv --pdeathsig KILL tests/vm/run.sh --systemd "$shipped" >"$log/systemd" 2>&1 || failed=1
    setpriv --pdeathsig KILL tests/vm/run.sh --selinux "$shipped" >"$log/selinux" 2>&1 || failed=1
    return $failed
}

tests/setup.sh host vm guest clients peers registry
cargo build --profile $profile --locked
# Compiled once: no test runs inside it.
cargo build --profile $profile --locked --package pinfold-fetch
cargo test --profile $profile --locked --no-run --message-format json-render-diagnostics >"$log/build"

# What is installed is built with musl where the compiler has it (Makefile): the guests and the clients run that one.
musl=$(uname -m)-unknown-linux-musl
shipped=$binary
if rustup target add "$musl" >/dev/null 2>&1; then
    CARGO_PROFILE_RELEASE_FAST_PANIC=abort cargo build --profile $profile --locked --target "$musl"
    shipped=$target/$musl/$profile/pinfold
fi

failures=0
cargo test --profile $profile --locked --no-fail-fast 2>&1 | tee "$log/cargo" || failures=1
cargo test --profile $profile --locked --package pinfold-fetch 2>&1 | tee -a "$log/cargo" || failures=1

# The soak tests take their time; `make soak` runs them.
mapfile -t executables < <(jq -r 'select(.profile.test? and .executable) | select(.target.name != "soak") | .executable' "$log/build")
rust=()
for executable in "${executables[@]}"; do rust+=(--rust "$executable"); done

# Each virtual machine is one thread of the emulator, so two lanes of them go side by side.
other_guests &
beside=$!
tests/vm/run.sh --selftest || failures=1
tests/vm/run.sh "${rust[@]}" "$shipped" | tee "$log/vm" || failures=1
tests/clients/run.sh "$shipped" | tee "$log/clients" || failures=1
wait "$beside" || failures=1
beside=
cat "$log/systemd" "$log/selinux"

passed=$(($(sum "$log/cargo" passed) + $(counted "$log/vm" passed) + $(counted "$log/systemd" passed) + $(counted "$log/selinux" passed) + $(counted "$log/clients" passed)))
failed=$(($(sum "$log/cargo" failed) + $(counted "$log/vm" failed) + $(counted "$log/systemd" failed) + $(counted "$log/selinux" failed) + $(counted "$log/clients" failed)))
elsewhere=$(grep -c -E '^(ok|not ok|skip) [^ ]*::' "$log/vm" || true)
skipped=$(($(sum "$log/cargo" ignored) - elsewhere + $(counted "$log/vm" skipped) + $(counted "$log/systemd" skipped) + $(counted "$log/selinux" skipped) + $(counted "$log/clients" skipped)))
# A test binary that died has no result line; cargo's exit code tells.
[ "$failed" -gt 0 ] || failed=$failures
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$failures" = 0 ]
