use serde_json::{Value, json};

use super::*;
use Amount::{Max, Value as Of};

fn parse(resources: Value) -> Result<Limits> {
    Limits::from_oci(&serde_json::from_value(resources).unwrap())
}

fn table(rows: Vec<(Value, Limits)>) {
    for (json, expected) in rows {
        assert_eq!(parse(json.clone()).unwrap(), expected, "{json}");
    }
}

const D: fn() -> Limits = Limits::default;

#[test]
fn nothing_is_asked() {
    table(vec![
        (json!({}), D()),
        (json!({"memory": {}, "cpu": {}, "blockIO": {}, "network": {}, "unified": {}, "rdma": {}}), D()),
        (json!({"memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0}}), D()),
        (json!({"memory": {"disableOOMKiller": false, "useHierarchy": true}}), D()),
        (json!({"cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}}), D()),
        (json!({"blockIO": {"weight": 0, "leafWeight": 0}}), D()),
    ]);
}

#[test]
fn memory() {
    let memory = |memory_max, memory_swap_max| Limits { memory_max, memory_swap_max, ..D() };
    table(vec![
        (json!({"memory": {"limit": 100}}), memory(Some(Of(100)), None)),
        (json!({"memory": {"limit": -1}}), memory(Some(Max), Some(Max))),
        (json!({"memory": {"limit": 100, "swap": 150}}), memory(Some(Of(100)), Some(Of(50)))),
        (json!({"memory": {"limit": 100, "swap": 100}}), memory(Some(Of(100)), Some(Of(0)))),
        (json!({"memory": {"limit": 100, "swap": -1}}), memory(Some(Of(100)), Some(Max))),
        (json!({"memory": {"swap": -1}}), memory(None, Some(Max))),
        (json!({"memory": {"limit": -1, "swap": -1}}), memory(Some(Max), Some(Max))),
        (json!({"memory": {"reservation": 7}}), Limits { memory_low: Some(Of(7)), ..D() }),
        (json!({"memory": {"kernel": 7}}), Limits { kernel_memory: Some(Of(7)), ..D() }),
        (json!({"memory": {"kernelTCP": -1}}), Limits { kernel_tcp: Some(Max), ..D() }),
        (json!({"memory": {"swappiness": 0}}), Limits { swappiness: Some(0), ..D() }),
        (json!({"memory": {"swappiness": u64::MAX}}), D()),
        (json!({"memory": {"disableOOMKiller": true}}), Limits { oom_kill_disable: true, ..D() }),
        (json!({"memory": {"checkBeforeUpdate": true}}), Limits { memory_check: true, ..D() }),
    ]);
}

#[test]
fn cpu_and_pids() {
    let shares = |shares, weight| Limits { cpu_shares: Some(shares), cpu_weight: Some(weight), ..D() };
    table(vec![
        (
            json!({"cpu": {"quota": 50000, "period": 100000}}),
            Limits { cpu_quota_us: Some(Of(50000)), cpu_period_us: Some(100000), ..D() },
        ),
        (json!({"cpu": {"quota": -1}}), Limits { cpu_quota_us: Some(Max), ..D() }),
        (json!({"cpu": {"burst": 0}}), Limits { cpu_burst_us: Some(0), ..D() }),
        (json!({"cpu": {"idle": 0}}), Limits { cpu_idle: Some(false), ..D() }),
        (json!({"cpu": {"idle": 1}}), Limits { cpu_idle: Some(true), ..D() }),
        (json!({"cpu": {"realtimeRuntime": -1}}), Limits { cpu_rt_runtime_us: Some(-1), ..D() }),
        (json!({"cpu": {"cpus": "0-3,7"}}), Limits { cpuset_cpus: Some("0-3,7".into()), ..D() }),
        (json!({"cpu": {"mems": " 0 "}}), Limits { cpuset_mems: Some("0".into()), ..D() }),
        // The first, the default and the last point of the curve, and runc's own test values.
        (json!({"cpu": {"shares": 1}}), shares(1, 1)),
        (json!({"cpu": {"shares": 2}}), shares(2, 1)),
        (json!({"cpu": {"shares": 1024}}), shares(1024, 100)),
        (json!({"cpu": {"shares": 262144}}), shares(262_144, 10_000)),
        (json!({"cpu": {"shares": 300000}}), shares(300_000, 10_000)),
        (json!({"pids": {"limit": 0}}), Limits { pids_max: Some(Of(0)), ..D() }),
        (json!({"pids": {"limit": 64}}), Limits { pids_max: Some(Of(64)), ..D() }),
        (json!({"pids": {"limit": -1}}), Limits { pids_max: Some(Max), ..D() }),
    ]);
}

#[test]
fn shares_and_weights_are_each_others_inverse() {
    let mut last = 0;
    for shares in (2..262_144).step_by(97).chain([262_144]) {
        let weight = weight_of_shares(shares);
        assert!(weight >= last && (1..=10_000).contains(&weight), "{shares}");
        last = weight;
    }
    for weight in 1..=10_000 {
        let shares = shares_of_weight(weight);
        assert!(weight_of_shares(shares) >= weight, "{weight}");
        assert!(shares == 2 || weight_of_shares(shares - 1) < weight, "{weight}");
    }
    assert!((900..=1024).contains(&shares_of_weight(100)), "{}", shares_of_weight(100));
}

#[test]
fn block_io() {
    let device = |major, minor| json!({"major": major, "minor": minor});
    let rate = |major, minor, rate| {
        let mut device = device(major, minor);
        device["rate"] = json!(rate);
        json!([device])
    };
    let io = |io| Limits { io_max: vec![io], ..D() };
    table(vec![
        (json!({"blockIO": {"weight": 10}}), Limits { io_weight: Some(10), ..D() }),
        (
            json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 500}]}}),
            Limits { io_device_weight: vec![IoDeviceWeight { major: 8, minor: 0, weight: 500 }], ..D() },
        ),
        (
            json!({"blockIO": {
                "throttleReadBpsDevice": rate(8, 0, 100), "throttleWriteBpsDevice": rate(8, 0, 200),
                "throttleReadIOPSDevice": rate(8, 0, 3), "throttleWriteIOPSDevice": rate(8, 0, 0)}}),
            io(IoMax {
                major: 8,
                minor: 0,
                rbps: Some(Of(100)),
                wbps: Some(Of(200)),
                riops: Some(Of(3)),
                wiops: Some(Max),
            }),
        ),
    ]);
}

#[test]
fn devices() {
    let list = |rules: &[&str]| Limits { devices: Some(super::super::device::tests::rules(rules)), ..D() };
    table(vec![
        (json!({"devices": []}), list(&[])),
        (json!({"devices": [{"allow": false, "access": "rwm"}]}), list(&["-a *:* rwm"])),
        (json!({"devices": [{"allow": false}]}), list(&["-a *:* rwm"])),
        (
            json!({"devices": [{"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
                {"allow": true, "type": "b", "major": 8, "minor": -1, "access": "m"},
                {"allow": true, "type": "u", "major": 5, "access": "r"}]}),
            list(&["-a *:* rwm", "+c 1:3 rw", "+b 8:* m", "+c 5:* r"]),
        ),
    ]);
}

#[test]
fn the_rest() {
    table(vec![
        (
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}),
            Limits { hugetlb: vec![("2MB".into(), 0)], ..D() },
        ),
        (
            json!({"network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 3}]}}),
            Limits { net_class_id: Some(7), net_priorities: vec![("eth0".into(), 3)], ..D() },
        ),
        (
            json!({"rdma": {"mlx5_1": {"hcaHandles": 3}}}),
            Limits {
                rdma: vec![RdmaMax { device: "mlx5_1".into(), hca_handles: Some(3), hca_objects: None }],
                ..D()
            },
        ),
        (
            json!({"unified": {"memory.high": "1000", "cgroup.max.depth": "3", "cpu.weight": "5"}}),
            Limits {
                unified: [("cgroup.max.depth", "3"), ("cpu.weight", "5"), ("memory.high", "1000")]
                    .map(|(file, value)| (file.to_owned(), value.to_owned()))
                    .to_vec(),
                ..D()
            },
        ),
    ]);
}

#[test]
fn what_means_nothing_is_refused_by_field() {
    for (json, field) in [
        (json!({"memory": {"limit": -2}}), "memory/limit"),
        (json!({"memory": {"limit": 100, "swap": 99}}), "memory/swap"),
        (json!({"memory": {"swap": 99}}), "memory/swap"),
        (json!({"memory": {"limit": -1, "swap": 99}}), "memory/swap"),
        (json!({"memory": {"reservation": -5}}), "memory/reservation"),
        (json!({"memory": {"swappiness": 101}}), "memory/swappiness"),
        (json!({"memory": {"useHierarchy": false}}), "memory/useHierarchy"),
        (json!({"cpu": {"quota": -2}}), "cpu/quota"),
        (json!({"cpu": {"idle": 2}}), "cpu/idle"),
        (json!({"cpu": {"cpus": "0\n1"}}), "cpu/cpus"),
        (json!({"cpu": {"mems": "all"}}), "cpu/mems"),
        (json!({"pids": {"limit": -7}}), "pids/limit"),
        (json!({"blockIO": {"weight": 9}}), "blockIO/weight"),
        (json!({"blockIO": {"weight": 1001}}), "blockIO/weight"),
        (json!({"blockIO": {"leafWeight": 10}}), "blockIO/leafWeight"),
        (
            json!({"blockIO": {"weightDevice": [{"major": -1, "minor": 0, "weight": 20}]}}),
            "blockIO/weightDevice/0",
        ),
        (
            json!({"blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": -1, "rate": 1}]}}),
            "blockIO/throttleReadIOPSDevice/0",
        ),
        (json!({"hugepageLimits": [{"pageSize": "2M/B", "limit": 1}]}), "hugepageLimits/0/pageSize"),
        (json!({"hugepageLimits": [{"pageSize": "MB", "limit": 1}]}), "hugepageLimits/0/pageSize"),
        (json!({"hugepageLimits": [{"pageSize": "2MB", "limit": -1}]}), "hugepageLimits/0/limit"),
        (json!({"rdma": {"mlx5_1": {}}}), "rdma/mlx5_1"),
        (json!({"rdma": {"a b": {"hcaHandles": 1}}}), "rdma"),
        (json!({"unified": {"cgroup.procs": "1"}}), "unified/cgroup.procs"),
        (json!({"unified": {"cgroup.kill": "1"}}), "unified/cgroup.kill"),
        (json!({"unified": {"cgroup.subtree_control": "+cpu"}}), "unified/cgroup.subtree_control"),
        (json!({"unified": {"../memory.max": "1"}}), "unified/..~1memory.max"),
        (json!({"unified": {"memory": "1"}}), "unified/memory"),
        (json!({"devices": [{"allow": true, "type": "c"}]}), "devices/0/access"),
        (json!({"devices": [{"allow": true, "access": "rx"}]}), "devices/0/access"),
        (
            json!({"devices": [{"allow": false}, {"allow": true, "type": "p", "access": "r"}]}),
            "devices/1/type",
        ),
        (json!({"devices": [{"allow": true, "major": -2, "access": "r"}]}), "devices/0/major"),
        (json!({"devices": [{"allow": true, "minor": 1_i64 << 40, "access": "r"}]}), "devices/0/minor"),
    ] {
        let error = parse(json.clone()).expect_err(&json.to_string());
        assert_eq!(error.field_name(), Some(format!("{ROOT}/{field}").as_str()), "{json}");
    }
}
