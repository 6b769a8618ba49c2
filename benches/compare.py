"""Measures contenders for the same task as whole processes, and prints medians and ratios.

In every round each contender runs once, the order turning from round to round, so that whatever else
the machine does meets all of them alike. CPU time is that of the process and of all its descendants:
the driver is their reaper (PR_SET_CHILD_SUBREAPER), so nothing that daemonises escapes the account.
Started by namespace.sh; pivots into the tree that was built there before it measures.
"""

import argparse
import ctypes
import itertools
import json
import os
import platform
import resource  # noqa: F401 (os.wait4 needs it, and it cannot be found after the pivot)
import signal
import statistics
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
MNT_DETACH = 2
ENVIRONMENT = {"PATH": "/usr/bin:/usr/sbin"}

PINFOLD = ["/opt/pinfold"]
# Seconds after which a contender is ended, and takes no further part.
PATIENCE = 30
# The same container by bare system calls: benches/floor.c.
FLOOR = ["/opt/floor", "/bundle/rootfs", "/bin/true"]
# Not where it was not built. In `run` alone: now and then it does not come back.
YOUKI = []
# What `pinfold sandbox` shows by default, as far as bwrap has it: no limits, no seccomp, no Landlock.
BWRAP = (
    "bwrap --unshare-all --new-session --die-with-parent --cap-drop ALL --clearenv --ro-bind /usr /usr "
    "--symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev "
    "--tmpfs /tmp"
).split()


class Failed(Exception):
    """A contender's command ended with another code than 0."""


def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def enter(root):
    """Makes `root` this process's root. chroot would not do: it forbids new user namespaces."""
    os.chdir(root)
    call("syscall", SYS_PIVOT_ROOT[platform.machine()], b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def spawn(command, null, errors):
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
    return os.posix_spawnp(command[0], command, ENVIRONMENT, file_actions=actions)


def measure(command, leaves_container=False):
    """Runs it to its end and that of all descendants; (wall s, CPU s, page faults)."""
    errors = os.memfd_create("stderr")
    null = os.open("/dev/null", os.O_RDWR)
    begin = time.perf_counter()
    child = spawn(command, null, errors)
    cpu, faults, status = 0.0, 0, None
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(PATIENCE)
    while status is None:
        # Orphans are reaped at once, as an init does: who waits for their end does not wait for this program.
        pid, ended, usage = os.wait4(-1, 0)
        cpu, faults = cpu + cpu_of(usage), faults + usage.ru_minflt
        status = ended if pid == child else None
    signal.alarm(0)
    wall = time.perf_counter() - begin
    late = reap_orphans(os.WNOHANG if leaves_container else 0)
    text = os.pread(errors, 4096, 0).decode(errors="replace")
    os.close(errors)
    os.close(null)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise Failed(f"{' '.join(command)}: exit code {code}\n{text}")
    return wall, cpu + late[0], faults + late[1]


def cpu_of(usage):
    return usage.ru_utime + usage.ru_stime


def reap_orphans(flags):
    cpu, faults = 0.0, 0
    while True:
        try:
            pid, _, usage = os.wait4(-1, flags)
        except ChildProcessError:
            return cpu, faults
        if pid == 0:
            return cpu, faults
        cpu, faults = cpu + cpu_of(usage), faults + usage.ru_minflt


def write_bundle(folder, arguments, change=lambda config: None):
    """runc's default configuration, on which every client builds, without its terminal."""
    if os.path.lexists(f"{folder}/config.json"):
        os.unlink(f"{folder}/config.json")
    measure(["runc", "spec", "--bundle", folder])
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    config["process"]["terminal"] = False
    config["process"]["args"] = arguments
    change(config)
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)


class Sleeping:
    """A container of each runtime that can, asleep while it is joined or asked for its state."""

    def __init__(self, runtimes):
        self.runtimes = runtimes
        self.able, self.failures = [], {}

    def __enter__(self):
        write_bundle("/sleeping", ["sleep", "100000"])
        for runtime in self.runtimes:
            try:
                measure([*runtime, "create", "--bundle", "/sleeping", sleeper_of(runtime)], True)
                measure([*runtime, "start", sleeper_of(runtime)], True)
                self.able.append(runtime)
            except (Failed, OSError) as error:
                self.failures[name_of(runtime)] = str(error)
        return self

    def __exit__(self, *_):
        for runtime in self.able:
            measure([*runtime, "delete", "--force", sleeper_of(runtime)], True)


def sleeper_of(runtime):
    return "sleeping-" + name_of(runtime)


def name_of(command):
    return os.path.basename(command[0])


def contest(contenders, rounds, leaves_container=False):
    """Each contender's samples, by name; or why it could not take part."""
    samples, failures = {}, {}
    for command in contenders:
        try:
            measure(command, leaves_container)  # warms the caches, and is not counted
            samples[name_of(command)] = []
        except (Failed, OSError) as error:
            failures[name_of(command)] = str(error)
    taking_part = [command for command in contenders if name_of(command) in samples]
    for turn in range(rounds):
        for place in range(len(taking_part)):
            command = taking_part[(turn + place) % len(taking_part)]
            name = name_of(command)
            if name not in samples:
                continue
            try:
                samples[name].append(measure(command, leaves_container))
            except Failed as error:
                failures[name] = f"round {turn}: {error}"
                del samples[name]
    return {"samples": samples, "failures": failures}


def lives(runtimes, rounds):
    """create, start and delete of one container after the other: each verb's contest."""
    verbs = {"create": ["--bundle", "/sleeping"], "start": [], "delete": ["--force"]}
    outcomes = {verb: {"samples": {}, "failures": {}} for verb in verbs}

    def live(runtime):
        return {verb: measure([*runtime, verb, *tail, "life"], True) for verb, tail in verbs.items()}

    able = []
    for runtime in runtimes:
        try:
            live(runtime)  # warms the caches, and is not counted
            able.append(runtime)
        except (Failed, OSError) as error:
            for outcome in outcomes.values():
                outcome["failures"][name_of(runtime)] = str(error)
    for outcome in outcomes.values():
        # In the order of the contenders, which decides who is compared with whom.
        outcome["samples"] = {name_of(runtime): [] for runtime in able}
    for turn in range(rounds):
        for place in range(len(able)):
            runtime = able[(turn + place) % len(able)]
            for verb, sample in live(runtime).items():
                outcomes[verb]["samples"][name_of(runtime)].append(sample)
    return outcomes


def listed(runtimes, rounds, containers):
    """`list` of so many containers, which wait for `start`."""
    made = {name_of(runtime): [] for runtime in runtimes}
    try:
        for runtime in runtimes:
            for number in range(containers):
                name = f"{name_of(runtime)}-{number}"
                measure([*runtime, "create", "--bundle", "/sleeping", name], True)
                made[name_of(runtime)].append(name)
        return contest([[*runtime, "list", "--quiet"] for runtime in runtimes], rounds, True)
    finally:
        for runtime in runtimes:
            for container in made[name_of(runtime)]:
                measure([*runtime, "delete", "--force", container], True)


def side_by_side(command, number):
    """Seconds of so many launches one after the other, and at once; `{}` stands for their names."""
    lines = [[word.format(f"beside-{turn}") for word in command] for turn in range(number)]
    begin = time.perf_counter()
    for line in lines:
        measure(line)
    middle = time.perf_counter()
    null = os.open("/dev/null", os.O_RDWR)
    running = {spawn(line, null, null) for line in lines}
    failed = 0
    while running:
        pid, status = os.wait4(-1, 0)[:2]
        failed += pid in running and status != 0
        running.discard(pid)
    end = time.perf_counter()
    reap_orphans(0)
    os.close(null)
    return {"sequence_s": middle - begin, "parallel_s": end - middle, "failed": failed}


def show_side_by_side(rows, number):
    print(f"{number} runs   in sequence ms  at once ms  times")
    for name, row in rows.items():
        sequence, parallel = row["sequence_s"] * 1e3, row["parallel_s"] * 1e3
        failed = f"  {row['failed']} failed" if row["failed"] else ""
        print(f"  {name:<8}{sequence:17.0f}{parallel:12.0f}{sequence / parallel:7.2f}{failed}")


def memory(runtimes):
    """KiB: the most that `create` had, and what its child has while it waits for `start`."""
    rows = {}
    for runtime in runtimes:
        # busybox forks: this program's own size would count as that of a process that it executes itself.
        timed = ["busybox", "time", "-f", "%M", "-o", "/tmp/peak"]
        try:
            measure([*timed, *runtime, "create", "--bundle", "/sleeping", "waiting"], True)
        except (Failed, OSError):
            rows[name_of(runtime)] = None
            continue
        with open("/tmp/peak") as file:
            # It takes what wait4(2) says in KiB for pages.
            peak = int(file.read().split()[-1]) * 1024 // os.sysconf("SC_PAGE_SIZE")
        state = subprocess.run([*runtime, "state", "waiting"], env=ENVIRONMENT, capture_output=True, check=True)
        row = {"peak": peak, **waiting(json.loads(state.stdout)["pid"])}
        measure([*runtime, "delete", "--force", "waiting"], True)
        rows[name_of(runtime)] = row
    return rows


def waiting(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith(" kB\n")}
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"rss": sizes["Rss"], "pss": sizes["Pss"], "private": own, "dirty": sizes["Private_Dirty"]}


def show_memory(rows):
    print(f"{'memory KiB':<10}{'create':>9}{'waiting: rss':>14}{'pss':>7}{'private':>9}{'dirty':>7}")
    for name, row in rows.items():
        if row is None:
            print(f"  {name:<8} could not take part")
        else:
            print(f"  {name:<8}{row['peak']:9}{row['rss']:14}{row['pss']:7}{row['private']:9}{row['dirty']:7}")


POLICY = """version = 1
[root]
directories = ["/bundle"]
[user]
uids = ["0"]
gids = ["0"]
[namespaces]
new = ["mount", "pid", "ipc", "uts", "cgroup"]
[capabilities]
bounding = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
effective = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
permitted = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
ambient = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
[seccomp]
required = false
deny = []
[limits]
memory = "unlimited"
swap = "unlimited"
pids = "unlimited"
cpu = "unlimited"
[rlimits]
max = { NOFILE = 1024 }
[sysctls]
allow = ["net.ipv4.ip_unprivileged_port_start"]
"""
# With these and a bind that the last of them grants, 200 rules are in force.
GRANTS = 180


def policy_text():
    grants = [f'[[bind]]\npath = "/srv/{number:03}"\naccess = "rw"\ndestinations = ["/work"]\n' for number in range(GRANTS)]
    return POLICY + "".join(grants)


def write_policed_bundle():
    """A container that the last of the policy's grants lets in."""
    for folder in ("/etc/pinfold", "/var/log", f"/srv/{GRANTS - 1:03}"):
        os.makedirs(folder, 0o755, exist_ok=True)

    def change(config):
        config["mounts"].append({"destination": "/work", "type": "bind", "source": f"/srv/{GRANTS - 1:03}",
                                 "options": ["rbind", "rw", "nosuid", "nodev"]})

    write_bundle("/bundle", ["true"], change)


def policed(rounds):
    """The same launch without a policy, under one, under what it compiles to, and with the audit log too: seconds, in
    every order."""
    write_policed_bundle()

    def ready(state, text, compiled):
        """Writes, for later, the files of a state."""
        with open("/etc/pinfold/policy.toml", "w") as file:
            file.write(text)
        if compiled:
            subprocess.run([*PINFOLD, "policy", "compile"], check=True, stdout=subprocess.DEVNULL)
        names = ["policy.toml", *(["policy.compiled"] if compiled else [])]
        for name in names:
            os.rename(f"/etc/pinfold/{name}", f"/etc/pinfold/{state}.{name}")
        return names

    command = [*PINFOLD, "run", "--bundle", "/bundle", "bench"]
    states = {
        "absent": [],
        "text": ready("text", policy_text(), False),
        "compiled": ready("compiled", policy_text(), True),
        "audited": ready("audited", policy_text() + "[audit]\n", True),
    }
    samples = {state: [] for state in states}

    def once(state):
        for name in states[state]:
            os.rename(f"/etc/pinfold/{state}.{name}", f"/etc/pinfold/{name}")
        try:
            return measure(command)
        finally:
            for name in states[state]:
                os.rename(f"/etc/pinfold/{name}", f"/etc/pinfold/{state}.{name}")

    # Each order in its turn: a launch that reads the text leaves the next one colder caches.
    orders = list(itertools.permutations(states))
    for turn in range(rounds + 1):
        round_ = {state: once(state) for state in orders[turn % len(orders)]}
        if turn:  # the first warms the caches
            for state, sample in round_.items():
                samples[state].append(sample)
    if not os.path.exists("/var/log/pinfold/audit.jsonl"):
        raise Failed("the audit log was not written")
    return samples


def show_policy(samples):
    def median(state, column):
        return statistics.median(sample[column] for sample in samples[state])

    print(f"policy of 200 rules, {len(samples['absent'])} rounds; audited: compiled, and the audit log")
    for state in ("text", "compiled", "audited"):
        for column, name in enumerate(("wall", "cpu")):
            pairs = zip(samples["absent"], samples[state])
            ratio = statistics.median(pair[1][column] / pair[0][column] for pair in pairs)
            without, under = median("absent", column) * 1e3, median(state, column) * 1e3
            print(f"  {state:<9}{name:<5}{without:9.2f} ms without, {under:.2f} ms under it: {100 * (ratio - 1):+.1f} %")


def where(command, rounds, environment=None):
    """What the contender itself tells of the time that its parts took: medians of (begins, takes) in microseconds."""
    rows, order = {}, []
    for _ in range(rounds):
        ran = subprocess.run(command, env={**ENVIRONMENT, **(environment or {})}, capture_output=True, text=True, check=True)
        seen = {}
        for line in ran.stderr.splitlines():
            word, who, begins, takes, what = (line.split(None, 4) + [""] * 5)[:5]
            if word != "timing:":
                continue
            # Steps of one kind count together: a launch has many mounts.
            key = (who, what.split()[0]) if who == "child" and environment is None else (who, what)
            begun, taken, times = seen.get(key, (float(begins), 0.0, 0))
            seen[key] = (begun, taken + float(takes), times + 1)
        for key, row in seen.items():
            if key not in rows:
                order.append(key)
            rows.setdefault(key, []).append(row)
    return [{"who": who, "what": what, "times": rows[who, what][0][2],
             "begins_us": statistics.median(row[0] for row in rows[who, what]),
             "takes_us": statistics.median(row[1] for row in rows[who, what])} for who, what in order]


def show_where(title, rows):
    print(f"where the time of {title} goes, microseconds: begins, takes")
    for row in rows:
        times = f" x{row['times']}" if row["times"] > 1 else ""
        print(f"  {row['who']:<7}{row['begins_us']:9.1f}{row['takes_us']:9.1f}  {row['what']}{times}")


def contests(rounds, containers):
    runtimes = [PINFOLD, ["crun"], ["runc"]]
    write_bundle("/bundle", ["true"])
    yield "run", contest([*([*r, "run", "--bundle", "/bundle", "bench"] for r in [*runtimes, *YOUKI]), FLOOR], rounds)
    write_bundle("/sleeping", ["sleep", "100000"])
    yield from lives(runtimes, rounds).items()
    with Sleeping(runtimes) as sleeping:
        for verb, tail in (("exec", ["true"]), ("state", [])):
            outcome = contest([[*r, verb, sleeper_of(r), *tail] for r in sleeping.able], rounds, True)
            outcome["failures"].update(sleeping.failures)
            yield verb, outcome
    if containers:
        yield f"list {containers}", listed(runtimes, rounds, containers)
    yield "sandbox", contest([[*PINFOLD, "sandbox", "--", "true"], [*BWRAP, "true"]], rounds)


def summary(samples):
    """Medians; the ratio is the median of the rounds' own ratios to the first contender that is not pinfold."""
    peer = next((name for name in samples if name != name_of(PINFOLD)), None)
    rows = {}
    for name, rounds in samples.items():
        wall, cpu, faults = (statistics.median(column) for column in zip(*rounds))
        rows[name] = {"wall_ms": wall * 1e3, "cpu_ms": cpu * 1e3, "page_faults": faults}
        if peer is not None:
            pairs = list(zip(rounds, samples[peer]))
            rows[name]["wall_ratio"] = statistics.median(mine[0] / theirs[0] for mine, theirs in pairs)
            rows[name]["cpu_ratio"] = statistics.median(mine[1] / theirs[1] for mine, theirs in pairs)
    return {"reference": peer, "rows": rows}


def show(title, result):
    print(f"{title:<10}{'wall ms':>9}{'cpu ms':>9}{'wall':>7}{'cpu':>7}{'faults':>8}  ratios to {result['reference']}")
    for name, row in result["rows"].items():
        print(f"  {name:<8}{row['wall_ms']:9.2f}{row['cpu_ms']:9.2f}", end="")
        print(f"{row.get('wall_ratio', 1):7.2f}{row.get('cpu_ratio', 1):7.2f}{row['page_faults']:8.0f}")
    for name, reason in result["failures"].items():
        print(f"  {name:<8} could not take part: {': '.join(reason.splitlines()[:2])}")


def machine():
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": models[0] if models else "unknown",
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "load": os.getloadavg(),
        "versions": {name_of(c): version(c) for c in (PINFOLD, ["crun"], ["runc"], ["bwrap"], *YOUKI)},
    }


def version(command):
    try:
        output = subprocess.run([command[0], "--version"], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return output.stdout.splitlines()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=200, help="launches without a policy and under one")
    parser.add_argument("--containers", type=int, default=1000, help="that `list` shows; 0: leave it out")
    parser.add_argument("--beside", type=int, default=100, help="runs in sequence, and as many at once")
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    # Opened before the machine's files are out of sight.
    output = open(options.json, "w")
    call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    enter(options.root)
    YOUKI.extend([["youki"]] if os.path.exists("/usr/bin/youki") else [])
    report = {"machine": machine(), "rounds": options.rounds, "contests": {}}
    print(f"{report['machine']['cpu']}, {report['machine']['cpus']} processors, Linux {report['machine']['kernel']}")
    for title, outcome in contests(options.rounds, options.containers):
        result = {**summary(outcome["samples"]), **outcome}
        report["contests"][title] = result
        show(title, result)
    write_bundle("/bundle", ["true"])
    commands = [*([*r, "run", "--bundle", "/bundle", "{}"] for r in (PINFOLD, ["crun"], ["runc"])), FLOOR]
    beside = {name_of(command): side_by_side(command, options.beside) for command in commands}
    report["side_by_side"] = beside
    show_side_by_side(beside, options.beside)
    report["memory_kib"] = memory([PINFOLD, ["crun"], ["runc"]])
    show_memory(report["memory_kib"])
    write_bundle("/bundle", ["true"])
    timed = [*PINFOLD, "--trace-timing"]
    report["where"] = {
        "run": where([*timed, "run", "--bundle", "/bundle", "bench"], options.rounds),
        "sandbox": where([*timed, "sandbox", "--", "true"], options.rounds),
        "floor": where(FLOOR, options.rounds, {"FLOOR_TIMING": "1"}),
    }
    for title, rows in report["where"].items():
        show_where(title, rows)
    report["policy"] = policed(max(options.rounds, options.pairs))
    show_policy(report["policy"])
    json.dump(report, output, indent=2)
    return any(name_of(PINFOLD) in result["failures"] for result in report["contests"].values())


if __name__ == "__main__":
    sys.exit(main())
