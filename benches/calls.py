"""Where the time of one launch goes, call by call: who makes which system call how often, and how long it takes.

perf(1) writes down when each call begins and ends (raw_syscalls of tracefs); that costs each of them about half
a microsecond, so the sum is above what `compare.py` measures. A call that waits for another process takes as long as the
wait. What lies between the calls is what the process computes, its page faults, and the time in which another has the
processor. Started by namespace.sh.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

import compare
from compare import name_of

EVENTS = ["raw_syscalls:sys_enter", "raw_syscalls:sys_exit"]
# Their time is another process's.
WAITING = {"wait4", "waitid", "poll", "ppoll", "epoll_wait", "epoll_pwait", "futex", "recvmsg", "pause"}
SHOWN = 14


def names():
    """The system calls of this machine by their numbers."""
    text = subprocess.run(["cc", "-E", "-dM", "-"], input="#include <sys/syscall.h>\n", capture_output=True, text=True, check=True)
    words = [line.split() for line in text.stdout.splitlines() if line.startswith("#define __NR_")]
    return {int(word[2]): word[1].removeprefix("__NR_") for word in words if len(word) == 3 and word[2].isdigit()}


def tasks():
    """What is looked at; the last word of each is what runs in the container."""
    return {
        "run": [*compare.PINFOLD, "run", "--bundle", "/bundle", "bench"],
        "sandbox": [*compare.PINFOLD, "sandbox", "--", "true"],
        "exec": [*compare.PINFOLD, "exec", compare.sleeper_of(compare.PINFOLD), "true"],
        "state": [*compare.PINFOLD, "state", compare.sleeper_of(compare.PINFOLD)],
        "floor": compare.FLOOR,
    }


def inside(root, task, rounds, marks):
    """Runs one of them so often; writes down the ids of the processes that were started."""
    compare.call("prctl", compare.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    output = os.open(marks, os.O_WRONLY | os.O_CLOEXEC)
    compare.enter(root)
    compare.write_bundle("/bundle", ["true"])
    command = tasks()[task]
    with compare.Sleeping([compare.PINFOLD] if task in ("exec", "state") else []):
        null = os.open("/dev/null", os.O_RDWR)
        for _ in range(rounds):
            child = compare.spawn(command, null, null)
            os.write(output, f"{child}\n".encode())
            while os.wait4(-1, 0)[0] != child:
                pass


class Thread:
    """What one process did, over its whole life."""

    def __init__(self):
        self.comms, self.calls = set(), collections.defaultdict(lambda: [0, 0.0])
        self.first, self.last, self.begun = None, None, None


def read(data, known, own):
    """What the threads did while they had one of these names, from perf's own text. What execve(2) took counts for
    the name that it gave."""
    threads = collections.defaultdict(Thread)
    script = subprocess.Popen(
        ["perf", "script", "-i", data, "-F", "comm,tid,time,event,trace"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in script.stdout:
        before, _, after = line.partition("raw_syscalls:sys_")
        head = before.rsplit(None, 2)
        comm, tid, time = head[0].strip(), int(head[1]), float(head[2].rstrip(":"))
        kind, _, rest = after.partition(":")
        number = int(rest.split()[1])
        thread = threads[tid]
        is_own = comm.startswith(own)
        begun, thread.begun = thread.begun, (number, time) if kind == "enter" else None
        if not is_own:
            continue
        thread.comms.add(comm)
        thread.last = time
        if thread.first is None:
            thread.first = begun[1] if begun else time
        if begun and begun[0] == number and kind == "exit":
            row = thread.calls[known.get(number, str(number))]
            row[0] += 1
            row[1] += time - begun[1]
    script.wait()
    return threads


def roles(threads, started):
    """parent: what was started; watcher: by its name; child: the others."""
    found = collections.defaultdict(list)
    for tid, thread in threads.items():
        # What made the container that is joined was there before.
        if tid < min(started):
            continue
        if tid in started:
            found["parent"].append(thread)
        elif any(comm.endswith("-watcher") for comm in thread.comms):
            found["watcher"].append(thread)
        elif thread.comms:
            found["child"].append(thread)
    return found


def summed(threads, rounds):
    calls = collections.defaultdict(lambda: [0.0, 0.0])
    for thread in threads:
        for name, (times, seconds) in thread.calls.items():
            calls[name][0] += times / rounds
            calls[name][1] += seconds * 1e6 / rounds
    spans = sum(thread.last - thread.first for thread in threads) * 1e6 / rounds
    between = spans - sum(row[1] for row in calls.values())
    return {"calls": {name: {"times": row[0], "us": row[1]} for name, row in calls.items()}, "life_us": spans, "between_us": between}


def show(task, who, row):
    calls = sorted(row["calls"].items(), key=lambda one: -one[1]["us"])
    times = sum(one["times"] for _, one in calls)
    print(f"{task}, {who}: lives {row['life_us']:.0f} us, {times:.0f} calls, {row['between_us']:.0f} us between them")
    for name, one in calls[:SHOWN]:
        waits = "  waits" if name in WAITING else ""
        print(f"  {name:<20}{one['times']:8.1f}{one['us']:9.1f}{waits}")
    rest = calls[SHOWN:]
    if rest:
        print(f"  {f'{len(rest)} others':<20}{sum(one['times'] for _, one in rest):8.1f}{sum(one['us'] for _, one in rest):9.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", required=True)
    parser.add_argument("--inside")
    parser.add_argument("--marks")
    options = parser.parse_args()
    if options.inside:
        return inside(options.root, options.inside, options.rounds, options.marks)
    known, report = names(), {}
    with open(options.json, "w") as output, tempfile.TemporaryDirectory() as place:
        for task in tasks():
            data, marks = f"{place}/{task}.data", f"{place}/{task}"
            open(marks, "w").close()
            again = [sys.executable, __file__, options.root, "--json", options.json, "--inside", task, "--marks", marks]
            # In a mount namespace of its own: it pivots.
            command = ["unshare", "--mount", *again, "--rounds", str(options.rounds)]
            events = [word for event in EVENTS for word in ("-e", event)]
            subprocess.run(["perf", "record", "-q", "-m", "4M", *events, "-o", data, "--", *command], check=True)
            with open(marks) as file:
                started = {int(line) for line in file}
            report[task] = {}
            for who, threads in sorted(roles(read(data, known, name_of(tasks()[task])), started).items(), reverse=True):
                report[task][who] = summed(threads, options.rounds)
                show(task, who, report[task][who])
        json.dump(report, output, indent=2)


if __name__ == "__main__":
    sys.exit(main())
