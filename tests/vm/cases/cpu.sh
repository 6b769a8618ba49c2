#!/bin/sh
# --cpus is a share of one processor's time, fractions included.
. /lib/vm/case.sh

# Four seconds of doing nothing but looking at the clock; prints what the shell itself consumed.
cat >busy <<'END'
now() { read -r up _ </proc/uptime; up=${up%.*}; }
now; end=$((up + 4)); while [ $up -lt $end ]; do now; done; times
END

# The consumed time in percent of the four seconds. `times` prints "0m0.81s 0m0.02s" for the shell first.
percent() {
    exits 0 pinfold sandbox "$@" -- sh -c "$(cat busy)"
    head -n 1 out | tr 'ms' '  ' | awk '{ print int(($1 * 60 + $2 + $3 * 60 + $4) * 25) }'
}

free=$(percent --cpus 1)
throttled=$(percent --cpus 0.2)
echo "of a processor's time: $free % with --cpus 1, $throttled % with --cpus 0.2"
[ "$free" -ge 60 ] || fail "the control had only $free %"
[ "$throttled" -le 35 ] || fail "--cpus 0.2 had $throttled %"
