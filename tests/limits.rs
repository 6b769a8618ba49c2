//! Promise: limits are in force, and what hit one has a reason that a program can read. Each row
//! has its control: the same program without the limit, within a bound of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod launching;

use launching::{Place, Ran};

/// At most this much is ever asked for.
const HOG: &str = "import sys\nkept = []\nfor part in range(int(sys.argv[1])):\n    kept.append(b'x' * (1 << 20))\nprint('held', len(kept))";

fn hog(place: &Place, options: &[&str], megabytes: u32) -> Ran {
    assert!(megabytes <= 700);
    place.finish(place.sandbox(options, &["/usr/bin/python3", "-I", "-S", "-c", HOG, &megabytes.to_string()]))
}

fn counter(ran: &Ran, when: &str, name: &str) -> u64 {
    ran.report["evidence"][when][name].as_u64().unwrap_or_else(|| panic!("no {when} {name}: {ran:?}"))
}

#[track_caller]
fn assert_oom(ran: &Ran) {
    ran.expect(122, "oom");
    assert!(counter(ran, "cgroup_after", "oom_kill") > counter(ran, "cgroup_before", "oom_kill"), "{ran:?}");
    assert!(!ran.stdout.contains("held"), "{ran:?}");
}

#[test]
fn memory_ends_with_its_own_code_and_evidence() {
    let place = Place::new();
    let ran = hog(&place, &["--memory", "64m"], 200);
    assert_oom(&ran);
    let peak = ran.report["peaks"]["memory_bytes"].as_u64().unwrap();
    assert!(peak > 48 << 20 && peak <= 64 << 20, "peak {peak}");

    let control = hog(&place, &["--memory", "400m"], 200);
    control.expect_success();
    assert_eq!(control.stdout, "held 200\n");
    assert_eq!(counter(&control, "cgroup_after", "oom_kill"), 0);
}

#[test]
fn memory_of_tmpfs_counts() {
    let place = Place::new();
    let fill = "head -c 60m /dev/zero > /tmp/filled && echo filled";
    let ran = place.script(&["--memory", "32m"], fill);
    assert!(ran.code() == Some(122) || !ran.stdout.contains("filled"), "{ran:?}");
    assert!(counter(&ran, "cgroup_after", "oom_kill") > 0, "{ran:?}");
    place.script(&["--memory", "128m"], fill).expect_success();
}

#[test]
fn memory_is_limited_without_being_asked() {
    let place = Place::new();
    assert_oom(&hog(&place, &[], 600));
    hog(&place, &[], 400).expect_success();
    hog(&place, &["--memory", "800m"], 600).expect_success();
}

/// Forks at most 60 sleepers; fails when it could not have them all.
const FORKS: &str = "import os, time\nmade = 0\nfor _ in range(60):\n    try:\n        pid = os.fork()\n    except OSError:\n        break\n    \
                     if pid == 0:\n        time.sleep(3)\n        os._exit(0)\n    made += 1\nprint('made', made, flush=True)\n\
                     os._exit(0 if made == 60 else 1)";

#[test]
fn pids_are_limited_and_a_failure_of_it_has_its_name() {
    let place = Place::new();
    let ran = place.python(&["--pids-limit", "20"], FORKS);
    ran.expect(1, "pids_limit");
    assert_eq!(ran.stdout, "made 19\n", "the program itself is one of the 20, the init is not");
    assert!(
        counter(&ran, "cgroup_after", "pids_max_events") > counter(&ran, "cgroup_before", "pids_max_events")
    );

    let tolerant = place.python(&["--pids-limit", "20"], &FORKS.replace("if made == 60 else 1", ""));
    tolerant.expect(0, "exited");

    let control = place.python(&[], FORKS);
    control.expect_success();
    assert_eq!(control.stdout, "made 60\n");
    assert_eq!(counter(&control, "cgroup_after", "pids_max_events"), 0);
}

#[test]
fn pids_are_limited_without_being_asked() {
    let place = Place::new();
    let ran = place.python(&[], &FORKS.replace("60", "300"));
    ran.expect(1, "pids_limit");
    assert_eq!(ran.stdout, "made 255\n");
}

/// CPU time over wall time of two busy processes, one second of wall time each.
const BUSY: &str = "import os, time\nstart = time.monotonic()\npid = os.fork()\nwhile time.monotonic() - start < 1.5:\n    pass\n\
                    if pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)\nused = sum(os.times()[:4])\n\
                    print(used / (time.monotonic() - start))";

/// The share, and the time that the kernel held it back for its quota.
fn share(place: &Place, options: &[&str]) -> (f64, u64) {
    let ran = place.python(options, BUSY);
    ran.expect_success();
    (ran.stdout.trim().parse().unwrap(), counter(&ran, "cgroup_after", "cpu_throttled_us"))
}

/// How much an unlimited program gets depends on who else is busy; whether the kernel held it back
/// does not.
#[test]
fn cpus_are_a_share_of_the_wall_clock() {
    let place = Place::new();
    let (limited, throttled) = share(&place, &["--cpus", "0.2"]);
    assert!(limited < 0.35 && throttled > 0, "--cpus 0.2 took {limited}, held back {throttled} us");
    let (whole, _) = share(&place, &[]);
    assert!(whole < 1.2, "the default of one processor took {whole}");
    let (free, throttled) = share(&place, &["--cpus", "2"]);
    assert!(throttled < 10_000, "--cpus 2 took {free}, held back {throttled} us");
}

#[test]
fn output_passes_up_to_its_limit_and_then_everything_ends() {
    let place = Place::new();
    // Bounded by itself: 2 MiB at most.
    let write = "for i in $(seq 2048); do head -c 1024 /dev/zero | tr '\\0' x; done; sleep 5";
    for (option, redirect) in [("--stdout-max", ""), ("--stderr-max", ">&2")] {
        for size in [1_usize, 1000, 4096, 65536, 100_000] {
            let ran = place.script(&[option, &size.to_string()], &format!("{{ {write}; }} {redirect}"));
            ran.expect(123, "output_limit");
            let (limited, other) =
                if redirect.is_empty() { (&ran.stdout, &ran.stderr) } else { (&ran.stderr, &ran.stdout) };
            assert_eq!((limited.len(), other.len()), (size, 0), "{option} {size}");
            assert!(ran.wall.as_secs() < 5, "it was not ended: {:?}", ran.wall);
        }
    }
    for (size, fits) in [("9", false), ("10", true), ("11", true)] {
        let ran = place.script(&["--stdout-max", size], "printf 0123456789");
        assert_eq!(ran.kind(), if fits { "exited" } else { "output_limit" }, "{size}: {ran:?}");
        assert_eq!(ran.stdout, if fits { "0123456789" } else { "012345678" });
    }
}

#[test]
fn temporary_places_are_full_at_their_size() {
    let place = Place::new();
    let rows = [
        (&["--memory", "400m"][..], "/tmp", 64),
        (&["--memory", "400m"], "/home/tool", 64),
        (&["--memory", "400m"], "/dev/shm", 64),
        (&["--shm-size", "2m"], "/dev/shm", 2),
        (&["--tmpfs", "/scratch:3m"], "/scratch", 3),
    ];
    for (options, directory, megabytes) in rows {
        let fill = |size: u32| format!("head -c {size}m /dev/zero > {directory}/filled");
        place.script(options, &fill(megabytes)).expect_success();
        let ran = place.script(options, &fill(megabytes + 1));
        assert!(
            ran.code() != Some(0) && ran.stderr.contains("No space left on device"),
            "{directory}: {ran:?}"
        );
    }
    // Nothing else is writable that could be filled.
    let ran = place.script(
        &[],
        "for at in / /usr /etc /run /dev /var /proc; do touch $at/x 2>/dev/null && echo $at; done; true",
    );
    assert_eq!(ran.stdout, "", "{ran:?}");
}

#[test]
fn each_process_has_its_rlimits() {
    let place = Place::new();
    let shown = "ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc";
    assert_eq!(place.script(&[], shown).stdout, "1024\n1024\n0\n0\n");
    assert_eq!(place.script(&["--ulimit", "nofile=100:200"], shown).stdout, "100\n200\n0\n0\n");
    let ran =
        place.script(&["--ulimit", "fsize=4096"], "head -c 8192 /dev/zero > /tmp/big; stat -c %s /tmp/big");
    assert_eq!(ran.stdout, "4096\n", "{ran:?}");
    let opened = "import os\nopened = []\ntry:\n    for _ in range(2000):\n        opened.append(os.dup(0))\nexcept OSError as error:\n    print(len(opened), error.errno)";
    let ran = place.python(&[], opened);
    assert_eq!(ran.stdout, "1021 24\n", "three streams and 1021 make 1024, then EMFILE: {ran:?}");
}
