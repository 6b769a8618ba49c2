//! The formats of the kernel's files, on a tree of files that look like a group's.

use serde_json::{Value, json};

use super::super::dir::tests::fake;
use super::*;

fn told(read: impl Fn(&Dir, &mut Stats) -> Result<()>, files: &[(&str, &str)]) -> Value {
    let (_place, group) = fake(files);
    let mut stats = Stats::default();
    read(&group, &mut stats).unwrap();
    serde_json::to_value(&stats).unwrap()
}

#[test]
fn v1_memory_is_four_counters_and_the_raw_file() {
    let files = [
        ("memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory.usage_in_bytes", "5\n"),
        ("memory.max_usage_in_bytes", "6\n"),
        ("memory.failcnt", "7\n"),
        ("memory.memsw.usage_in_bytes", "8\n"),
        ("memory.kmem.tcp.failcnt", "9\n"),
        ("memory.stat", "cache 10\nrss 11\n"),
    ];
    let memory = &told(v1::memory, &files)["memory"];
    let wanted = json!({
        "cache": 10,
        "usage": {"limit": 9_223_372_036_854_771_712_u64, "usage": 5, "max": 6, "failcnt": 7},
        "swap": {"limit": 0, "usage": 8, "failcnt": 0},
        "kernel": {"limit": 0, "failcnt": 0},
        "kernelTCP": {"limit": 0, "failcnt": 9},
        "raw": {"cache": 10, "rss": 11},
    });
    assert_eq!(memory, &wanted);
}

#[test]
fn v2_swap_has_memory_in_it() {
    let files = [
        ("memory.max", "1000\n"),
        ("memory.current", "100\n"),
        ("memory.peak", "200\n"),
        ("memory.swap.max", "50\n"),
        ("memory.swap.current", "3\n"),
        ("memory.stat", "anon 1\nfile 2\n"),
        (
            "memory.pressure",
            "some avg10=0.50 avg60=1.00 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.25 total=5\n",
        ),
    ];
    let memory = &told(v2::memory, &files)["memory"];
    assert_eq!(memory["usage"], json!({"limit": 1000, "usage": 100, "max": 200, "failcnt": 0}));
    assert_eq!(memory["swap"], json!({"limit": 1050, "usage": 103, "failcnt": 0}));
    assert_eq!((&memory["cache"], &memory["raw"]["anon"]), (&json!(2), &json!(1)));
    assert_eq!(memory["psi"]["some"], json!({"avg10": 0.5, "avg60": 1.0, "avg300": 0.0, "total": 77}));
    assert_eq!(memory["psi"]["full"]["total"], 5);
    let unbounded = told(v2::memory, &[("memory.max", "max\n"), ("memory.swap.max", "max\n")]);
    assert_eq!(unbounded["memory"]["usage"]["limit"], u64::MAX);
    assert_eq!(unbounded["memory"]["swap"]["limit"], u64::MAX);
    assert_eq!(unbounded["memory"].get("psi"), None);
}

#[test]
fn cpu_is_nanoseconds() {
    let files = [
        ("cpuacct.usage", "123456\n"),
        ("cpuacct.stat", "user 3\nsystem 2\n"),
        ("cpuacct.usage_all", "cpu user system\n0 10 20\n1 30 40\n"),
    ];
    let usage = &told(v1::usage, &files)["cpu"]["usage"];
    let wanted = json!({
        "total": 123_456, "percpu": [30, 70], "percpu_user": [10, 30], "percpu_kernel": [20, 40],
        "user": 30_000_000, "kernel": 20_000_000,
    });
    assert_eq!(usage, &wanted);
    let files = [("cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 99\n")];
    let throttled = json!({"periods": 4, "throttledPeriods": 2, "throttledTime": 99});
    assert_eq!(told(v1::throttling, &files)["cpu"]["throttling"], throttled);
    let files = [(
        "cpu.stat",
        "usage_usec 7\nuser_usec 5\nsystem_usec 2\nnr_periods 4\nnr_throttled 2\nthrottled_usec 3\n",
    )];
    let cpu = &told(v2::core, &files)["cpu"];
    assert_eq!(cpu["usage"], json!({"total": 7000, "user": 5000, "kernel": 2000}));
    assert_eq!(cpu["throttling"], json!({"periods": 4, "throttledPeriods": 2, "throttledTime": 3000}));
}

#[test]
fn block_devices_are_tables() {
    let table = "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n";
    let files = [
        ("blkio.bfq.io_service_bytes_recursive", "Total 0\n"),
        ("blkio.throttle.io_service_bytes_recursive", table),
        ("blkio.bfq.io_serviced_recursive", "8:16 Read 1\n"),
    ];
    let blkio = &told(v1::blkio, &files)["blkio"];
    assert_eq!(blkio["ioServiceBytesRecursive"].as_array().unwrap().len(), 3);
    assert_eq!(blkio["ioServiceBytesRecursive"][1], json!({"major": 8, "op": "Write", "value": 6}));
    assert_eq!(blkio["ioServicedRecursive"], json!([{"major": 8, "minor": 16, "op": "Read", "value": 1}]));
    let files = [("io.stat", "254:1 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n")];
    let blkio = &told(v2::io, &files)["blkio"];
    let entry = |op: &str, value: u64| json!({"major": 254, "minor": 1, "op": op, "value": value});
    assert_eq!(blkio["ioServiceBytesRecursive"], json!([entry("Read", 1), entry("Write", 2)]));
    assert_eq!(blkio["ioServicedRecursive"], json!([entry("Read", 3), entry("Write", 4)]));
}

#[test]
fn the_small_ones() {
    assert_eq!(told(pids, &[("pids.current", "3\n"), ("pids.max", "max\n")])["pids"], json!({"current": 3}));
    assert_eq!(told(pids, &[("pids.max", "9\n")])["pids"], json!({"limit": 9}));
    let cpuset = &told(
        v1::cpuset,
        &[("cpuset.cpus", "0-2,5\n"), ("cpuset.sched_relax_domain_level", "-1\n")],
    )["cpuset"];
    assert_eq!((&cpuset["cpus"], &cpuset["sched_relax_domain_level"]), (&json!([0, 1, 2, 5]), &json!(-1)));
    for (name, size) in
        [("hugepages-2048kB", "2MB"), ("hugepages-1048576kB", "1GB"), ("hugepages-64kB", "64KB")]
    {
        assert_eq!(v2::page_size(name).as_deref(), Some(size));
    }
    assert_eq!(v2::page_size("other"), None);
}
