# shellcheck shell=bash
# What the suites inside the tree share: `cases FUNCTION...` runs each function in a shell of its own
# with `set -e` and a deadline, and prints one line of the TAP words for each.

suite=$(basename "$0" .sh)/$HIERARCHY
passed=0 failed=0 skipped=0 elsewhere=0

# equal WHAT WANTED GOT
equal() {
    [ "$2" = "$3" ] && return
    printf '%s: wanted\n%s\ngot\n%s\n' "$1" "$2" "$3"
    return 1
}

# has REGEX: in all of stdin; `grep -q` would end early and the writer with SIGPIPE.
has() {
    local text
    text=$(cat)
    grep -E -- "$1" >/dev/null <<<"$text" && return
    printf 'wanted: %s\ngot:\n%s\n' "$1" "$text"
    return 1
}

# within SECONDS COMMAND...: until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || {
            echo "not in time: $*"
            return 1
        }
        sleep 0.1
    done
}

# code WANTED COMMAND...: its exit code.
code() {
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    equal "exit code of $*" "$wanted" "$got"
}

# Ends the case: it holds nowhere in this hierarchy. The other one must run it.
only_on() {
    [ "$HIERARCHY" = "$1" ] || {
        echo "needs $1: ${*:2}"
        exit 77
    }
}

# Ends the case: it cannot hold yet, and TODO.md says why.
not_yet() {
    echo "$*"
    exit 78
}

cases() {
    local name log=/tmp/case.log got
    for name in "$@"; do
        [[ $name == *"${FILTER:-}"* ]] || continue
        # Not behind `||`: there `set -e` has no effect.
        (
            set -eo pipefail
            "$name"
        ) >"$log" 2>&1 </dev/null
        got=$?
        case $got in
        0) passed=$((passed + 1)) && echo "ok $suite::$name" ;;
        77) elsewhere=$((elsewhere + 1)) && echo "elsewhere $suite::$name: $(tail -n 1 "$log")" ;;
        78) skipped=$((skipped + 1)) && echo "skip $suite::$name: $(tail -n 1 "$log")" ;;
        *)
            failed=$((failed + 1))
            echo "not ok $suite::$name"
            sed 's/^/    /' "$log"
            ;;
        esac
    done
}

finish() {
    echo "$suite: $passed passed, $failed failed, $skipped skipped, $elsewhere elsewhere"
    [ $failed = 0 ] && [ $passed -gt 0 ]
}

# A root file system with every applet of busybox, and two users.
busybox_root() {
    local applet
    mkdir -p "$1"/{bin,proc,sys,dev,tmp,etc,root,run,home/user}
    cp /usr/bin/busybox "$1/bin/"
    for applet in $(/usr/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"; done
    printf '%s\n' root:x:0:0:root:/root:/bin/sh user:x:1000:1000:user:/home/user:/bin/sh >"$1/etc/passwd"
    printf '%s\n' root:x:0: user:x:1000: extra:x:2000:user >"$1/etc/group"
    chown 1000:1000 "$1/home/user"
    chmod 1777 "$1/tmp"
}
