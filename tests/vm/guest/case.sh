# What test scripts in the guest use: `. /lib/vm/case.sh`. A check that does not hold ends the test.
set -u

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() {
    echo "$*"
    exit 77
}

# check WHAT COMMAND...: the command succeeds.
check() {
    what=$1
    shift
    "$@" || fail "$what: $*"
}

# exits CODE COMMAND...: the command ends with that code. Its output is in ./out and ./err.
exits() {
    wanted=$1
    shift
    "$@" >out 2>err
    got=$?
    [ "$got" = "$wanted" ] && return
    cat out err
    fail "exit code $got instead of $wanted: $*"
}

# report FILTER: the jq filter is true for the report ./report.json.
report() {
    [ -s report.json ] || fail "no report"
    jq -e "$1" report.json >/dev/null && return
    jq . report.json
    fail "the report says otherwise: $1"
}

# running COMMAND: there is a process with exactly this command line, in whatever namespace.
running() {
    busybox ps -o args | grep -qxF -- "$1"
}

gone() {
    ! running "$1"
}

# one_cgroup_with FILE LINE: exactly one cgroup has this line in that interface file.
one_cgroup_with() {
    [ "$(find /sys/fs/cgroup -name "$1" -exec grep -lxF -- "$2" {} + | wc -l)" = 1 ]
}

seconds() {
    read -r uptime _ </proc/uptime
    echo "${uptime%.*}"
}

# eventually SECONDS COMMAND...: the command succeeds within that time.
eventually() {
    until=$(($(seconds) + $1))
    shift
    until "$@"; do
        [ "$(seconds)" -lt "$until" ] || return 1
        usleep 100000
    done
}

# bundle DIR [JQ-FILTER]: an OCI bundle with busybox as its root and the runtime's own default
# configuration without a terminal, changed by the filter.
bundle() {
    mkdir -p "$1"/rootfs/bin "$1"/rootfs/proc "$1"/rootfs/sys "$1"/rootfs/dev "$1"/rootfs/tmp
    cp /usr/bin/busybox "$1/rootfs/bin/"
    for applet in sh true false sleep cat echo id dd ls mount touch kill mknod test grep head mkdir ps usleep; do
        ln -s busybox "$1/rootfs/bin/$applet"
    done
    (cd "$1" && pinfold spec) || fail "pinfold spec"
    configure "$1" "(.process.terminal = false) | ${2:-.}"
}

# configure DIR JQ-FILTER: changes the bundle's config.json.
configure() {
    jq "$2" "$1/config.json" >"$1/config.new" || fail "jq: $2"
    mv "$1/config.new" "$1/config.json"
}

# Runs one test of a cargo test binary, and makes sure that it was run: a name that no longer exists
# is a success to the test harness.
rust_test() {
    "$1" --ignored --exact "$2" --test-threads 1 --nocapture >out 2>&1
    code=$?
    cat out
    grep -q 'test result: ok. 1 passed' out || exit 1
    exit "$code"
}
