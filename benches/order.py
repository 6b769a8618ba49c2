"""Which functions the launching verbs execute, in the order of their first time: a linker script for build.rs.

Every verb runs once under steps.c, in the tree and on the pure cgroup2 mount of namespace.sh. What is written names
sections of functions, without the hashes at the end of their names: another compiler has others.
"""

import argparse
import bisect
import collections
import os
import re
import subprocess
import sys
import tempfile

import compare

# The legacy mangling's end of a name; the crate's number in the v0 mangling.
HASHES = ((re.compile(r"17h[0-9a-f]{16}E(?=$|\.)"), "17h*"), (re.compile(r"Cs[0-9A-Za-z]+_(?=\d)"), "Cs*_"))
HEAD = """\
/* The functions of a launch in the order in which they run, next to each other: what a start of the program reads
   of its own code is some hundred pages then, and not one here and one there of a thousand.

   Made by `benches/run.sh BINARY --order`. It is an addition to the linker's own script: a name that a build
   has not is nothing, and a function that is not named here lies where it always lay. */
SECTIONS
{
  .text.launch :
  {
"""
TAIL = """\
  }
}
INSERT BEFORE .text;
"""


def executed(command, null):
    """Offsets into the program, in the order of their first time."""
    with tempfile.TemporaryFile("w+") as out:
        ran = subprocess.run(["/opt/steps", *command], env=compare.ENVIRONMENT, stdin=null, stdout=out, stderr=null)
        if ran.returncode != 0:
            raise compare.Failed(f"{' '.join(command)}: exit code {ran.returncode}")
        out.seek(0)
        return [int(line, 16) for line in out]


def plainly(*words):
    subprocess.run([*compare.PINFOLD, *words], env=compare.ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def lives():
    """The verbs, from the one that is asked for most."""
    compare.write_bundle("/bundle", ["true"])
    compare.write_bundle("/sleeping", ["sleep", "100000"])
    program = compare.PINFOLD
    yield [*program, "run", "--bundle", "/bundle", "order"]
    with compare.Sleeping([program]):
        yield [*program, "exec", compare.sleeper_of(program), "true"]
        yield [*program, "state", compare.sleeper_of(program)]
    yield [*program, "sandbox", "--", "true"]
    yield [*program, "create", "--bundle", "/sleeping", "order"]
    # What waits has a step of the tracer's before it, and would end by that.
    plainly("delete", "--force", "order")
    plainly("create", "--bundle", "/sleeping", "order")
    yield [*program, "start", "order"]
    yield [*program, "kill", "order", "KILL"]
    yield [*program, "delete", "--force", "order"]
    compare.write_policed_bundle()
    with open("/etc/pinfold/policy.toml", "w") as policy:
        policy.write(compare.policy_text() + "[audit]\n")
    plainly("policy", "compile")
    yield [*program, "run", "--bundle", "/bundle", "order"]


def functions(symbols):
    """Beginnings, and for each the end and the name, of nm(1)'s lines with sizes."""
    rows = sorted((int(words[0], 16), int(words[1], 16), words[3]) for words in symbols if len(words) == 4 and words[2] in "tTwW")
    return [row[0] for row in rows], [(row[0] + row[1], row[2]) for row in rows]


def lasting(name):
    """The name without what another compiler makes differently."""
    for pattern, instead in HASHES:
        name = pattern.sub(instead, name)
    return name


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--json", required=True, help="where the linker script goes")
    options = parser.parse_args()
    output = open(options.json, "w")
    program = os.path.join(options.root, compare.PINFOLD[0].lstrip("/"))
    symbols = subprocess.run(["nm", "--print-size", program], capture_output=True, text=True, check=True).stdout
    begins, rows = functions(line.split() for line in symbols.splitlines())
    if not begins:
        sys.exit("order: the binary has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=none")
    compare.call("prctl", compare.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    compare.enter(options.root)
    null = open("/dev/null", "r+")
    order, unknown = {}, collections.Counter()
    for command in lives():
        offsets = executed(command, null)
        for offset in offsets:
            at = bisect.bisect_right(begins, offset) - 1
            end, name = rows[at] if at >= 0 else (0, "")
            if offset < end:
                order.setdefault(lasting(name), None)
            else:
                unknown[offset >> 12] += 1
        print(f"{' '.join(command[1:2])}: {len(offsets)} instructions, {len(order)} functions so far")
    print(f"{sum(unknown.values())} instructions of no function")
    lines = [f"    *(.text.{name})\n" for name in order]
    output.write(HEAD + "".join(lines) + TAIL)


if __name__ == "__main__":
    sys.exit(main())
