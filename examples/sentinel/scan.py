#!/usr/bin/python3
"""Counts failed ssh logins per ten minutes in log files, or in all log files of directories.

usage: scan.py PATH...

Reads syslog's own time stamps ("Nov 14 02:11:09") and RFC 3339 ones, plain or gzip. A file or
directory that cannot be read is named on stderr, and the exit code is 1: no result is better
than half of one that looks whole.
"""

import gzip
import os
import re
import sys
from collections import Counter

# The stamp up to the tens of minutes, then a failed attempt to log in.
FAILED = re.compile(
    r"^(?P<stamp>\w{3} [ \d]\d \d\d:\d|\d{4}-\d\d-\d\dT\d\d:\d)\d\S* .*\bsshd(?:-session)?\[\d+\]: Failed "
)
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def files_below(path, problems):
    """The files at `path`: itself, or everything below it, in a fixed order."""
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=problems.append):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            if os.path.isfile(file) and not os.path.islink(file):
                yield file


def count(file):
    """Failed logins per ten minutes in one file."""
    opener = gzip.open if file.endswith(".gz") else open
    with opener(file, "rt", encoding="utf-8", errors="replace") as lines:
        found = (FAILED.match(line) for line in lines)
        return Counter(match["stamp"] + "0" for match in found if match)


def in_time(stamp):
    """A sort key; syslog's stamps have no year and their months are words."""
    month = stamp[:3]
    return (stamp, "") if month not in MONTHS else (f"{MONTHS.index(month):02}", stamp[4:])


def main(paths):
    if not paths:
        sys.exit(__doc__)
    total, files, problems = Counter(), 0, []
    for path in paths:
        for file in files_below(path, problems):
            try:
                total += count(file)
                files += 1
            except OSError as problem:
                problems.append(problem)
            except EOFError as problem:
                problems.append(f"{file}: {problem}")
    for problem in problems:
        print(f"scan.py: {problem}", file=sys.stderr)
    if files == 0:
        sys.exit("scan.py: no file was read")
    for stamp in sorted(total, key=in_time):
        print(f"{total[stamp]:5}  {stamp}")
    print(f"{total.total():5}  failed logins in {files} file{'s' * (files != 1)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
