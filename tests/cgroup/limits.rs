//! What is asked for is in force, or an error.

use std::time::Duration;

use nix::errno::Errno;
use pinfold::cgroup::{
    Amount, Cgroup, CgroupPath, Control, DeviceAccess, DeviceKind, DeviceRule, Hierarchies, IoMax, Limits,
    Mode,
};

use crate::group::{Group, MIB, killed, none, of, path};

fn without_swap(hierarchies: &Hierarchies, bytes: u64) -> Limits {
    let swap = hierarchies.supports(Control::Swap).then_some(Amount::Value(0));
    Limits { memory_max: of(bytes), memory_swap_max: swap, ..none() }
}

pub fn a_memory_limit_kills_a_hog(hierarchies: &Hierarchies) {
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

pub fn a_swap_limit_is_for_swap_alone(hierarchies: &Hierarchies) {
    let limits = Limits { memory_max: of(32 * MIB), memory_swap_max: of(16 * MIB), ..none() };
    let group = Group::new(hierarchies, "", &limits);
    let (file, bytes) = match hierarchies.mode() {
        Mode::Unified => ("memory.swap.max", 16 * MIB),
        _ => ("memory.memsw.limit_in_bytes", 48 * MIB),
    };
    assert_eq!(group.read("memory", file).unwrap().unwrap().trim(), bytes.to_string());
}

pub fn memory_limits_move_both_ways(hierarchies: &Hierarchies) {
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

pub fn a_group_dies_as_a_whole(hierarchies: &Hierarchies) {
    let limits = Limits { oom_group: true, ..without_swap(hierarchies, 32 * MIB) };
    let group = Group::new(hierarchies, "", &limits);
    let mut bystander = group.start(&["sleep"]);
    killed(&mut group.start(&["hog", &(256 * MIB).to_string()]));
    killed(&mut bystander);
}

pub fn a_pids_limit_stops_forks(hierarchies: &Hierarchies) {
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

pub fn a_cpu_quota_throttles(hierarchies: &Hierarchies) {
    let limits = Limits { cpu_quota_us: of(10_000), cpu_period_us: Some(100_000), ..none() };
    let group = Group::new(hierarchies, "", &limits);
    group.start(&["spin", "1000"]).wait();
    let counters = group.counters().unwrap();
    assert!(counters.cpu_usage_us.unwrap() < 400_000, "{counters:?}");
    assert!(counters.cpu_usage_us.unwrap() > 20_000, "{counters:?}");
    assert!(counters.cpu_throttled_us.unwrap() > 200_000, "{counters:?}");
}

pub fn cpu_settings_move_both_ways(hierarchies: &Hierarchies) {
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
    // It is idle already, and refuses the weight that its configuration still has.
    group.update(&Limits { cpu_weight: Some(50), cpu_idle: Some(true), ..none() }).unwrap();
    group.update(&Limits { cpu_weight: Some(60), cpu_idle: Some(false), ..none() }).unwrap();
    assert_eq!(read("cpu.idle", "cpu.idle"), "0");
}

pub fn a_cpuset_confines(hierarchies: &Hierarchies) {
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

pub fn an_io_limit_is_set(hierarchies: &Hierarchies) {
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

fn device(minor: u64) -> DeviceRule {
    DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(1),
        minor: Some(minor),
        access: DeviceAccess::ALL,
    }
}

pub fn device_rules_hold_and_are_replaced(hierarchies: &Hierarchies) {
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

pub fn what_cannot_be_applied_is_an_error(hierarchies: &Hierarchies) {
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

pub fn counters_count(hierarchies: &Hierarchies) {
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

pub fn controllers_are_enabled_as_needed(hierarchies: &Hierarchies) {
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
pub fn processes_above_keep_controllers_away(hierarchies: &Hierarchies) {
    let above = Group::new(hierarchies, "", &none());
    let _inside = above.start(&["sleep"]);
    let below: CgroupPath = above.path().child("below").unwrap();
    let error = Cgroup::create(hierarchies, &below, &Limits { memory_max: of(MIB), ..none() }).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EBUSY), "{error}");
    assert!(error.hint_text().unwrap().contains("holds processes itself"), "{error}");
    assert!(Cgroup::open(hierarchies, &below).unwrap().is_none());
}
