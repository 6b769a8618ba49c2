//! The cases, one promise each.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::errno::Errno;
use pinfold::cgroup::{
    Amount, Cgroup, CgroupPath, Control, DeviceAccess, DeviceKind, DeviceRule, Hierarchies, IoMax, Limits,
    Mode,
};
use pinfold::sys::clone::{CloneArgs, Cloned, clone3, exit_now};

use crate::group::{Group, MIB, Process, none, of, path, until};
use crate::world::World::{self, Hybrid, Legacy, Unified};

pub struct Case {
    pub name: &'static str,
    pub worlds: &'static [World],
    pub needs: &'static [Control],
    pub run: fn(&Hierarchies),
}

const EVERY: &[World] = &[Hybrid, Unified, Legacy];

macro_rules! cases {
    ($($name:ident in $worlds:expr, needs $needs:expr;)*) => {
        &[$(Case { name: stringify!($name), worlds: $worlds, needs: &$needs, run: $name }),*]
    };
}

pub const CASES: &[Case] = cases! {
    a_memory_limit_kills_a_hog in EVERY, needs [Control::Memory];
    a_swap_limit_is_for_swap_alone in EVERY, needs [Control::Memory, Control::Swap];
    memory_limits_move_both_ways in EVERY, needs [Control::Memory, Control::Swap];
    a_group_dies_as_a_whole in &[Unified], needs [Control::OomGroup];
    a_pids_limit_stops_forks in EVERY, needs [Control::Pids];
    a_cpu_quota_throttles in EVERY, needs [Control::Cpu];
    cpu_settings_move_both_ways in EVERY, needs [Control::Cpu];
    a_cpuset_confines in EVERY, needs [Control::Cpuset];
    an_io_limit_is_set in EVERY, needs [Control::Io];
    a_fork_bomb_is_killed in EVERY, needs [Control::Pids];
    a_kill_leaves_nobody in EVERY, needs [Control::Freeze];
    a_frozen_group_stands_still in EVERY, needs [Control::Freeze];
    a_frozen_group_can_be_killed in EVERY, needs [Control::Freeze];
    device_rules_hold_and_are_replaced in EVERY, needs [Control::Devices];
    nested_groups_are_removed in EVERY, needs [];
    a_group_in_use_is_refused in EVERY, needs [];
    a_frozen_group_is_refused in EVERY, needs [Control::Freeze];
    a_failed_create_leaves_nothing in EVERY, needs [];
    what_cannot_be_applied_is_an_error in EVERY, needs [];
    a_group_is_found_again in EVERY, needs [];
    a_child_is_born_in_the_group in EVERY, needs [];
    a_part_of_a_group_is_killed_alone in EVERY, needs [Control::Freeze];
    counters_count in EVERY, needs [];
    a_group_is_delegated in EVERY, needs [];
    a_delegated_part_is_enough in &[Unified], needs [];
    controllers_are_enabled_as_needed in &[Unified], needs [Control::Pids, Control::Cpu];
    processes_above_keep_controllers_away in &[Unified], needs [Control::Memory];
};

fn killed(process: &mut Process) {
    assert_eq!(process.wait().signal(), Some(nix::libc::SIGKILL));
}

fn without_swap(hierarchies: &Hierarchies, bytes: u64) -> Limits {
    let swap = hierarchies.supports(Control::Swap).then_some(Amount::Value(0));
    Limits { memory_max: of(bytes), memory_swap_max: swap, ..none() }
}

fn a_memory_limit_kills_a_hog(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &without_swap(hierarchies, 32 * MIB));
    assert_eq!(group.counters().unwrap().oom_kill, Some(0));
    let small = (8 * MIB).to_string();
    assert_eq!(group.start(&["hog", &small]).line(), small);
    killed(&mut group.start(&["hog", &(256 * MIB).to_string()]));
    let counters = group.counters().unwrap();
    assert_eq!(counters.oom_kill, Some(1));
    let counts = hierarchies.mode() == Mode::Unified;
    assert!(counters.memory_max_events > counts.then_some(0), "{counters:?}");
    assert!(counters.memory_peak.is_none_or(|peak| (31 * MIB..=32 * MIB).contains(&peak)), "{counters:?}");
}

fn a_swap_limit_is_for_swap_alone(hierarchies: &Hierarchies) {
    let limits = Limits { memory_max: of(32 * MIB), memory_swap_max: of(16 * MIB), ..none() };
    let group = Group::new(hierarchies, "", &limits);
    let (file, bytes) = match hierarchies.mode() {
        Mode::Unified => ("memory.swap.max", 16 * MIB),
        _ => ("memory.memsw.limit_in_bytes", 48 * MIB),
    };
    assert_eq!(group.read("memory", file).unwrap().unwrap().trim(), bytes.to_string());
}

fn memory_limits_move_both_ways(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let limits = |memory, swap| Limits { memory_max: of(memory), memory_swap_max: of(swap), ..none() };
    for (memory, swap) in [(64, 0), (32, 0), (128, 64), (96, 0), (16, 16)] {
        group.update(&limits(memory * MIB, swap * MIB)).unwrap();
        let file = if hierarchies.mode() == Mode::Unified { "memory.max" } else { "memory.limit_in_bytes" };
        assert_eq!(group.read("memory", file).unwrap().unwrap().trim(), (memory * MIB).to_string());
    }
    group
        .update(&Limits { memory_max: Some(Amount::Max), memory_swap_max: Some(Amount::Max), ..none() })
        .unwrap();
    let checked = Limits { memory_max: of(4096), memory_check: true, ..none() };
    let mut resident = group.start(&["open"]);
    assert_eq!(resident.ask("/dev/null"), "true");
    let error = group.update(&checked).unwrap_err();
    assert_eq!(error.field_name(), Some("/linux/resources/memory/limit"), "{error}");
}

fn a_group_dies_as_a_whole(hierarchies: &Hierarchies) {
    let limits = Limits { oom_group: true, ..without_swap(hierarchies, 32 * MIB) };
    let group = Group::new(hierarchies, "", &limits);
    let mut bystander = group.start(&["sleep"]);
    killed(&mut group.start(&["hog", &(256 * MIB).to_string()]));
    killed(&mut bystander);
}

fn a_pids_limit_stops_forks(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &Limits { pids_max: of(8), ..none() });
    assert_eq!(group.start(&["forks", "20"]).line(), "7");
    let counters = group.counters().unwrap();
    assert!(counters.pids_max_events > Some(0), "{counters:?}");
    assert!(counters.pids_peak.is_none_or(|peak| peak == 8), "{counters:?}");
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(5)).unwrap());
    // None at all: the process that is there may live, and make no other.
    group.update(&Limits { pids_max: of(0), ..none() }).unwrap();
    assert_eq!(group.start(&["forks", "3"]).line(), "0");
    group.update(&Limits { pids_max: Some(Amount::Max), ..none() }).unwrap();
    assert_eq!(group.start(&["forks", "20"]).line(), "20");
}

fn a_cpu_quota_throttles(hierarchies: &Hierarchies) {
    let limits = Limits { cpu_quota_us: of(10_000), cpu_period_us: Some(100_000), ..none() };
    let group = Group::new(hierarchies, "", &limits);
    group.start(&["spin", "1000"]).wait();
    let counters = group.counters().unwrap();
    assert!(counters.cpu_usage_us.unwrap() < 400_000, "{counters:?}");
    assert!(counters.cpu_usage_us.unwrap() > 20_000, "{counters:?}");
    assert!(counters.cpu_throttled_us.unwrap() > 200_000, "{counters:?}");
}

fn cpu_settings_move_both_ways(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let read = |v2: &str, v1: &str| {
        let file = if hierarchies.mode() == Mode::Unified { v2 } else { v1 };
        group.read("cpu", file).unwrap().unwrap().trim().to_owned()
    };
    let quota = |quota, period| Limits { cpu_quota_us: of(quota), cpu_period_us: Some(period), ..none() };
    for (one, period) in [(50_000, 100_000), (5_000, 10_000), (900_000, 1_000_000), (20_000, 20_000)] {
        group.update(&quota(one, period)).unwrap();
        let (both, alone) = (format!("{one} {period}"), one.to_string());
        let expected = if hierarchies.mode() == Mode::Unified { both } else { alone };
        assert_eq!(read("cpu.max", "cpu.cfs_quota_us"), expected);
    }
    group.update(&Limits { cpu_period_us: Some(40_000), ..none() }).unwrap();
    let expected = if hierarchies.mode() == Mode::Unified { "20000 40000" } else { "40000" };
    assert_eq!(read("cpu.max", "cpu.cfs_period_us"), expected);
    // A burst may not be above the quota, on the way up as on the way down.
    group.update(&Limits { cpu_burst_us: Some(50_000), ..quota(60_000, 100_000) }).unwrap();
    group.update(&Limits { cpu_burst_us: Some(5_000), ..quota(10_000, 100_000) }).unwrap();
    assert_eq!(read("cpu.max.burst", "cpu.cfs_burst_us"), "5000");
    group.update(&Limits { cpu_burst_us: Some(0), cpu_quota_us: Some(Amount::Max), ..none() }).unwrap();
    // The default weight is the default number of shares.
    group.update(&Limits { cpu_weight: Some(200), cpu_shares: Some(2048), ..none() }).unwrap();
    assert!(["200", "2048"].contains(&read("cpu.weight", "cpu.shares").as_str()));
    group.update(&Limits { cpu_weight: Some(50), cpu_idle: Some(true), ..none() }).unwrap();
    assert_eq!(read("cpu.idle", "cpu.idle"), "1");
    group.update(&Limits { cpu_weight: Some(60), cpu_idle: Some(false), ..none() }).unwrap();
    assert_eq!(read("cpu.idle", "cpu.idle"), "0");
}

fn a_cpuset_confines(hierarchies: &Hierarchies) {
    let limits = Limits { cpuset_cpus: Some("0".into()), cpuset_mems: Some("0".into()), ..none() };
    let group = Group::new(hierarchies, "/nested", &limits);
    assert_eq!(group.start(&["cpus"]).line(), "[0]");
    for cpus in ["900", "0,900"] {
        let error = group.update(&Limits { cpuset_cpus: Some(cpus.into()), ..none() }).unwrap_err();
        assert_eq!(error.field_name(), Some("/linux/resources/cpu/cpus"), "{error}");
    }
    // A set that the group above does not have: v2 takes it and goes on with another one.
    let below = group.path().child("below").unwrap();
    let error =
        Cgroup::create(hierarchies, &below, &Limits { cpuset_cpus: Some("1".into()), ..none() }).unwrap_err();
    assert_eq!(error.field_name(), Some("/linux/resources/cpu/cpus"), "{error}");
    drop(group);
    Cgroup::open(hierarchies, &path("")).unwrap().unwrap().remove().unwrap();
}

fn an_io_limit_is_set(hierarchies: &Hierarchies) {
    let partitions = std::fs::read_to_string("/proc/partitions").unwrap();
    let disk = partitions.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let Some(disk) = disk.into_iter().find(|words| words[2] != "0") else { panic!("no disk") };
    let (major, minor) = (disk[0].parse().unwrap(), disk[1].parse().unwrap());
    let io = IoMax { major, minor, rbps: of(MIB), wiops: of(100), ..IoMax::default() };
    let group = Group::new(hierarchies, "", &Limits { io_max: vec![io], ..none() });
    let read = |file| group.read("blkio", file).unwrap().unwrap_or_default();
    let unified = hierarchies.mode() == Mode::Unified;
    let text = if unified { read("io.max") } else { read("blkio.throttle.read_bps_device") };
    assert!(text.contains("1048576"), "{text}");
    let unbounded = IoMax { rbps: Some(Amount::Max), wiops: Some(Amount::Max), ..io };
    group.update(&Limits { io_max: vec![unbounded], ..none() }).unwrap();
    let text = if unified { read("io.max") } else { read("blkio.throttle.read_bps_device") };
    assert!(!text.contains("1048576"), "{text}");
    let nowhere = IoMax { major: 4000, minor: 7, rbps: of(1), ..IoMax::default() };
    let error = group.update(&Limits { io_max: vec![nowhere], ..none() }).unwrap_err();
    assert_eq!(error.field_name(), Some("/linux/resources/blockIO"), "{error}");
}

fn a_fork_bomb_is_killed(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &Limits { pids_max: of(50), ..none() });
    // Without this the bomb would hit the machine.
    assert_eq!(group.read("pids", "pids.max").unwrap().unwrap(), "50\n");
    let mut bomb = group.start(&["bomb"]);
    until("the bomb going off", || group.counters().unwrap().pids_max_events > Some(20));
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(10)).unwrap());
    assert_eq!(group.processes().unwrap(), []);
    // The first shell may have given up before, when it could not fork.
    bomb.wait();
}

fn a_kill_leaves_nobody(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    group.kill().unwrap();
    let mut processes = [group.start(&["forks", "50"]), group.start(&["sleep"]), group.start(&["tick"])];
    assert_eq!(processes[0].line(), "50");
    let nested = group.sub("nested").unwrap();
    let mut deep = Process::start(&["sleep"]);
    nested.attach(deep.pid()).unwrap();
    processes[0].wait();
    assert_eq!(group.processes().unwrap().len(), 53);
    assert!(group.is_populated().unwrap());
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(10)).unwrap());
    assert_eq!(group.processes().unwrap(), []);
    assert!(!group.is_populated().unwrap());
    killed(&mut deep);
}

fn ticks(process: &mut Process) -> usize {
    std::thread::sleep(Duration::from_millis(30));
    let stdout = process.stdout.get_mut();
    let mut pending = [0; 65536];
    let ready = nix::poll::PollFd::new(stdout.as_fd(), nix::poll::PollFlags::POLLIN);
    match nix::poll::poll(&mut [ready], 0_u8).unwrap() {
        0 => 0,
        _ => stdout.read(&mut pending).unwrap(),
    }
}

fn a_frozen_group_stands_still(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let mut clock = group.start(&["tick"]);
    until("a tick", || ticks(&mut clock) > 0);
    assert!(!group.is_frozen().unwrap());
    for _ in 0..3 {
        group.freeze().unwrap();
        assert!(group.is_frozen().unwrap());
        ticks(&mut clock);
        assert_eq!((ticks(&mut clock), ticks(&mut clock)), (0, 0));
        group.thaw().unwrap();
        assert!(!group.is_frozen().unwrap());
        until("a tick", || ticks(&mut clock) > 0);
    }
}

fn a_frozen_group_can_be_killed(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let mut sleeper = group.start(&["sleep"]);
    group.freeze().unwrap();
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(5)).unwrap());
    killed(&mut sleeper);
    // A process that only the v1 freezer holds.
    let state = "/sys/fs/cgroup/freezer".to_owned() + &group.path().to_string() + "/freezer.state";
    if hierarchies.mode() == Mode::Hybrid && std::fs::metadata(&state).is_ok() {
        let mut sleeper = group.start(&["sleep"]);
        std::fs::write(&state, "FROZEN").unwrap();
        until("the freeze", || group.is_frozen().unwrap());
        group.kill().unwrap();
        let ended = group.wait_empty(Duration::from_secs(5)).unwrap();
        std::fs::write(&state, "THAWED").unwrap();
        assert!(ended);
        killed(&mut sleeper);
    }
}

fn device(minor: u64) -> DeviceRule {
    DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(1),
        minor: Some(minor),
        access: DeviceAccess::ALL,
    }
}

fn device_rules_hold_and_are_replaced(hierarchies: &Hierarchies) {
    const NULL: u64 = 3;
    const ZERO: u64 = 5;
    let rules = |rules: Vec<DeviceRule>| Limits { devices: Some(rules), ..none() };
    let group = Group::new(hierarchies, "", &rules(vec![device(NULL)]));
    let mut opener = group.start(&["open"]);
    let mut seen = |limits: Option<Limits>| {
        if let Some(limits) = limits {
            group.update(&limits).unwrap();
        }
        [opener.ask("/dev/null"), opener.ask("/dev/zero"), opener.ask("/dev/full")]
            .map(|answer| answer == "true")
    };
    assert_eq!(seen(None), [true, false, false]);
    assert_eq!(seen(Some(rules(vec![device(ZERO)]))), [false, true, false]);
    assert_eq!(seen(Some(rules(vec![]))), [false, false, false]);
    assert_eq!(seen(Some(rules(DeviceRule::defaults()))), [true, true, true]);
    let everything = DeviceRule { kind: DeviceKind::All, major: None, minor: None, ..device(0) };
    let no_zero = DeviceRule { allow: false, ..device(ZERO) };
    assert_eq!(seen(Some(rules(vec![everything, no_zero]))), [true, false, true]);
    // Limits that say nothing about devices leave them alone.
    assert_eq!(seen(Some(none())), [true, false, true]);
}

fn nested_groups_are_removed(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "/a/b", &none());
    let roots: Vec<String> = mounts().into_iter().map(|root| format!("{root}{}", group.path())).collect();
    assert!(!roots.is_empty());
    for root in &roots {
        std::fs::create_dir_all(format!("{root}{}", "/d".repeat(60))).unwrap();
        std::fs::create_dir(OsStr::from_bytes(&[root.as_bytes(), b"/\xff"].concat())).unwrap();
        for wide in 0..40 {
            std::fs::create_dir_all(format!("{root}/w{wide}/x")).unwrap();
        }
    }
    // Deeper than a process may have descriptors.
    std::fs::create_dir_all(format!("{}{}", roots[0], "/e".repeat(1500))).unwrap();
    let mut dying = group.start(&["sleep"]);
    group.kill().unwrap();
    group.remove().unwrap();
    killed(&mut dying);
    for root in &roots {
        assert!(std::fs::metadata(root).is_err(), "{root}");
        // What lies above stays.
        assert!(std::fs::metadata(root.trim_end_matches("/b")).is_ok(), "{root}");
    }
    assert!(Cgroup::open(hierarchies, group.path()).unwrap().is_none());
    group.remove().unwrap();
    for above in ["/a", ""] {
        Cgroup::open(hierarchies, &path(above)).unwrap().unwrap().remove().unwrap();
    }
}

/// The mount points of what a group is made in.
pub fn mounts() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cgroups = text.lines().filter(|line| line.contains(" - cgroup2 ") || line.contains(" - cgroup "));
    cgroups.map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect()
}

fn a_group_in_use_is_refused(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    // Empty: it is taken, whoever made it, and a failure does not take it away.
    Cgroup::create(hierarchies, group.path(), &none()).unwrap();
    let impossible = Limits { cpuset_cpus: Some("900".into()), ..none() };
    Cgroup::create(hierarchies, group.path(), &impossible).unwrap_err();
    assert!(Cgroup::open(hierarchies, group.path()).unwrap().is_some());
    let nested = group.sub("nested").unwrap();
    let mut sleeper = Process::start(&["sleep"]);
    nested.attach(sleeper.pid()).unwrap();
    let error = Cgroup::create(hierarchies, group.path(), &none()).unwrap_err();
    assert!(error.to_string().contains("not empty: 1 process"), "{error}");
    assert!(sleeper.is_running());
}

fn a_frozen_group_is_refused(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    group.freeze().unwrap();
    let error = Cgroup::create(hierarchies, group.path(), &none()).unwrap_err();
    assert!(error.to_string().contains("unexpectedly frozen"), "{error}");
}

fn a_failed_create_leaves_nothing(hierarchies: &Hierarchies) {
    let impossible = [
        (Limits { cpuset_cpus: Some("900".into()), ..none() }, "/linux/resources/cpu/cpus"),
        (Limits { hugetlb: vec![("3MB".into(), 0)], ..none() }, "/linux/resources/hugepageLimits"),
    ];
    for (limits, field) in impossible {
        let error = Cgroup::create(hierarchies, &path("/a/b"), &limits).unwrap_err();
        assert!(error.field_name().unwrap().starts_with(field), "{error}");
        assert!(error.hint_text().is_none_or(|hint| !hint.contains("left behind")), "{error}");
        assert!(Cgroup::open(hierarchies, &path("")).unwrap().is_none());
    }
    // Nor does it take away what was there before.
    let above = Group::new(hierarchies, "", &none());
    let limits = Limits { cpuset_cpus: Some("900".into()), ..none() };
    Cgroup::create(hierarchies, &path("/a/b"), &limits).unwrap_err();
    assert!(Cgroup::open(hierarchies, above.path()).unwrap().is_some());
    assert!(Cgroup::open(hierarchies, &path("/a")).unwrap().is_none());
}

fn what_cannot_be_applied_is_an_error(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let unified = |file: &str, value: &str| Limits { unified: vec![(file.into(), value.into())], ..none() };
    let rows: Vec<(Limits, &str)> = match hierarchies.mode() {
        Mode::Unified => vec![
            (Limits { swappiness: Some(1), ..none() }, "memory/swappiness"),
            (Limits { cpu_rt_runtime_us: Some(1), ..none() }, "cpu/realtimeRuntime"),
            (Limits { net_class_id: Some(1), ..none() }, "network/classID"),
            (unified("nosuch.max", "1"), "unified/nosuch.max"),
            (unified("cgroup.nosuch", "1"), "unified/cgroup.nosuch"),
            (unified("cgroup.max.depth", "x"), "unified/cgroup.max.depth"),
        ],
        _ => vec![
            (Limits { oom_group: true, ..none() }, "unified/memory.oom.group"),
            (Limits { memory_high: of(1), ..none() }, "unified/memory.high"),
            (Limits { kernel_memory: of(1 << 30), ..none() }, "memory/kernel"),
            (Limits { cpu_shares: Some(1), ..none() }, "cpu/shares"),
            (unified("cgroup.max.depth", "1"), "unified"),
        ],
    };
    for (limits, field) in rows {
        let Err(error) = group.update(&limits) else { panic!("{field} was taken") };
        // Without a controller that is what is said first.
        assert!(error.field_name().unwrap().starts_with("/linux/resources/"), "{error}");
        if error.errno() != Some(Errno::ENOENT) {
            assert_eq!(error.field_name(), Some(format!("/linux/resources/{field}").as_str()), "{error}");
        }
    }
    if hierarchies.mode() == Mode::Unified {
        group.update(&unified("cgroup.max.depth", "3")).unwrap();
        assert_eq!(group.read("", "cgroup.max.depth").unwrap().unwrap(), "3\n");
    }
}

fn a_group_is_found_again(hierarchies: &Hierarchies) {
    assert!(Cgroup::open(hierarchies, &path("")).unwrap().is_none());
    let group = Group::new(hierarchies, "", &none());
    let sleeper = group.start(&["sleep"]);
    let again = Cgroup::open(hierarchies, group.path()).unwrap().unwrap();
    assert_eq!(again.processes().unwrap(), [sleeper.pid()]);
    let everywhere = std::fs::read_to_string(format!("/proc/{}/cgroup", sleeper.pid())).unwrap();
    let inside = everywhere.lines().filter(|line| line.ends_with(&group.path().to_string())).count();
    let expected = mounts().len();
    assert_eq!(inside, expected, "{everywhere}");
    again.kill().unwrap();
    again.remove().unwrap();
    assert!(Cgroup::open(hierarchies, group.path()).unwrap().is_none());
    assert_eq!(group.processes().unwrap(), []);
    assert_eq!(group.counters().unwrap(), pinfold::cgroup::Counters::default());
}

fn a_child_is_born_in_the_group(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    assert_eq!(group.clone_fd().is_some(), hierarchies.mode() == Mode::Unified);
    let files = group.join_files().unwrap();
    let (reading, mut writing) = std::io::pipe().unwrap();
    let args =
        CloneArgs { exit_signal: nix::libc::SIGCHLD, cgroup: group.unified_fd(), ..CloneArgs::default() };
    match clone3(&args).unwrap() {
        Cloned::Child => {
            let joined = files.iter().all(|file| nix::unistd::write(file, b"0") == Ok(1));
            let told = writing.write_all(&[u8::from(joined)]).is_ok();
            loop {
                if !told || nix::sys::signal::kill(nix::unistd::Pid::parent(), None).is_err() {
                    exit_now(1);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Cloned::Parent { pid, .. } => {
            let mut joined = [0];
            (&reading).read_exact(&mut joined).unwrap();
            assert_eq!(joined, [1]);
            let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            let inside = text.lines().filter(|line| line.ends_with(&group.path().to_string())).count();
            assert_eq!(inside, mounts().len(), "{text}");
            group.kill().unwrap();
            nix::sys::wait::waitpid(pid, None).unwrap();
        }
    }
}

fn a_part_of_a_group_is_killed_alone(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let mut main = group.start(&["tick"]);
    let part = group.sub("exec").unwrap();
    assert_eq!(group.sub("exec").unwrap_err().errno(), Some(Errno::EEXIST));
    let mut extra = Process::start(&["forks", "5"]);
    part.attach(extra.pid()).unwrap();
    extra.go();
    assert_eq!(extra.line(), "5");
    extra.wait();
    assert_eq!((part.processes().unwrap().len(), group.processes().unwrap().len()), (5, 6));
    part.freeze().unwrap();
    assert!(part.is_frozen().unwrap());
    until("a tick", || ticks(&mut main) > 0);
    part.thaw().unwrap();
    part.kill().unwrap();
    assert!(part.wait_empty(Duration::from_secs(5)).unwrap());
    part.remove().unwrap();
    assert_eq!(group.processes().unwrap(), [main.pid()]);
    assert!(main.is_running());
    until("a tick", || ticks(&mut main) > 0);
}

fn counters_count(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &Limits { accounting: true, ..none() });
    group.start(&["spin", "200"]).wait();
    let sleeper = group.start(&["sleep"]);
    let counters = group.counters().unwrap();
    // Other programs want CPU time too, so only the order of magnitude is known.
    assert!((5_000..2_000_000).contains(&counters.cpu_usage_us.unwrap()), "{counters:?}");
    assert!(counters.cpu_user_us.is_some() && counters.cpu_system_us.is_some());
    assert_eq!(counters.pids_current, hierarchies.supports(Control::Pids).then_some(1));
    assert_eq!(counters.memory_current.is_some(), hierarchies.supports(Control::Memory));
    drop(sleeper);
}

fn a_group_is_delegated(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let given = group.delegate(1234.into(), 2345.into());
    if hierarchies.mode() != Mode::Unified {
        assert!(given.is_err());
        return;
    }
    given.unwrap();
    let directory = format!("/sys/fs/cgroup{}", group.path());
    for (file, owner) in
        [("", 1234), ("/cgroup.procs", 1234), ("/cgroup.subtree_control", 1234), ("/cgroup.freeze", 0)]
    {
        assert_eq!(std::fs::metadata(format!("{directory}{file}")).unwrap().uid(), owner, "{file}");
    }
}

/// Without any right in the rest of the tree; see `delegated` in child.rs.
fn a_delegated_part_is_enough(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    group.delegate(1234.into(), 2345.into()).unwrap();
    let own = group.sub("own").unwrap();
    let mut user = Process::start(&["delegated", &group.path().to_string()]);
    own.attach(user.pid()).unwrap();
    user.go();
    assert_eq!(user.line(), "done");
    assert!(user.wait().success());
}

fn controllers_are_enabled_as_needed(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "/a/b", &Limits { pids_max: of(5), ..none() });
    let above = Cgroup::open(hierarchies, &path("/a")).unwrap().unwrap();
    let handed_down =
        |group: &Cgroup| group.read("", "cgroup.subtree_control").unwrap().unwrap().trim().to_owned();
    assert_eq!((handed_down(&above), handed_down(&group)), ("pids".into(), String::new()));
    group.update(&Limits { cpu_weight: Some(50), ..none() }).unwrap();
    assert_eq!((handed_down(&above), handed_down(&group)), ("cpu pids".into(), String::new()));
    drop(group);
    above.remove().unwrap();
    Cgroup::open(hierarchies, &path("")).unwrap().unwrap().remove().unwrap();
}

/// The no-internal-process rule; it is about controllers that cannot count threads, such as memory.
fn processes_above_keep_controllers_away(hierarchies: &Hierarchies) {
    let above = Group::new(hierarchies, "", &none());
    let _inside = above.start(&["sleep"]);
    let below: CgroupPath = above.path().child("below").unwrap();
    let error = Cgroup::create(hierarchies, &below, &Limits { memory_max: of(MIB), ..none() }).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EBUSY), "{error}");
    assert!(error.hint_text().unwrap().contains("holds processes itself"), "{error}");
    assert!(Cgroup::open(hierarchies, &below).unwrap().is_none());
}
