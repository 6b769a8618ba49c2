//! What is written, byte by byte, into the files of controllers, on a tree of files that look
//! like a group's: many machines lack one or the other of them.

use serde_json::{Value, json};

use super::dir::Dir;
use super::dir::tests::fake;
use super::family::Family;
use super::limits::Limits;
use super::{v1, v2};

type Apply = fn(Family, &Dir, &Limits) -> crate::error::Result<()>;

/// Applies `resources` where these files are, all empty; returns what stands in them.
fn written(apply: Apply, resources: &Value, files: &[&str]) -> Vec<String> {
    let resources = serde_json::from_value(resources.clone()).unwrap();
    let limits = Limits::from_oci(&resources).unwrap();
    let empty: Vec<_> = files.iter().map(|file| (*file, "")).collect();
    let (_place, group) = fake(&empty);
    for family in Family::ALL {
        if family.asked(&limits).is_some() {
            apply(family, &group, &limits).unwrap();
        }
    }
    files.iter().map(|file| group.read(file).unwrap()).collect()
}

#[test]
fn v1_files() {
    for (resources, files) in [
        (json!({"network": {"classID": 1_048_577}}), &[("net_cls.classid", "0x100001")][..]),
        (
            json!({"network": {"priorities": [{"name": "eth0", "priority": 7}]}}),
            &[("net_prio.ifpriomap", "eth0 7")],
        ),
        (
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]}),
            &[("hugetlb.2MB.limit_in_bytes", "4194304"), ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304")],
        ),
        (
            json!({"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10_000}}}),
            &[("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000")],
        ),
        (
            json!({"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 300}]}}),
            &[("blkio.weight", "500"), ("blkio.weight_device", "8:0 300")],
        ),
        (json!({"blockIO": {"weight": 500}}), &[("blkio.bfq.weight", "500")]),
        (
            json!({"blockIO": {
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 4}]}}),
            &[
                ("blkio.throttle.read_bps_device", "8:0 1"),
                ("blkio.throttle.write_bps_device", "8:0 2"),
                ("blkio.throttle.read_iops_device", "8:0 3"),
                ("blkio.throttle.write_iops_device", "8:16 4"),
            ],
        ),
        (json!({"memory": {"swappiness": 0}}), &[("memory.swappiness", "0")]),
        (json!({"memory": {"disableOOMKiller": true}}), &[("memory.oom_control", "1")]),
        (json!({"memory": {"kernelTCP": 4096}}), &[("memory.kmem.tcp.limit_in_bytes", "4096")]),
        (json!({"memory": {"reservation": 4096}}), &[("memory.soft_limit_in_bytes", "4096")]),
        (
            json!({"cpu": {"realtimeRuntime": 5, "realtimePeriod": 10}}),
            &[("cpu.rt_runtime_us", "5"), ("cpu.rt_period_us", "10")],
        ),
        // A group that is idle refuses a weight.
        (json!({"cpu": {"shares": 512, "idle": 1}}), &[("cpu.shares", ""), ("cpu.idle", "1")]),
        (json!({"cpu": {"shares": 512, "idle": 0}}), &[("cpu.shares", "512"), ("cpu.idle", "0")]),
        (
            json!({"cpu": {"quota": 1000, "period": 5000, "burst": 500}}),
            &[("cpu.cfs_quota_us", "1000"), ("cpu.cfs_period_us", "5000"), ("cpu.cfs_burst_us", "500")],
        ),
        (json!({"pids": {"limit": 0}}), &[("pids.max", "1")]),
    ] {
        let (names, wanted): (Vec<_>, Vec<_>) = files.iter().copied().unzip();
        assert_eq!(written(v1::apply, &resources, &names), wanted, "{resources}");
    }
}

#[test]
fn v2_files() {
    for (resources, files) in [
        (
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]}),
            &[("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")][..],
        ),
        (json!({"hugepageLimits": [{"pageSize": "1GB", "limit": 0}]}), &[("hugetlb.1GB.max", "0")]),
        (json!({"rdma": {"mlx5_1": {"hcaObjects": 2}}}), &[("rdma.max", "mlx5_1 hca_object=2")]),
        (json!({"blockIO": {"weight": 500}}), &[("io.bfq.weight", "500")]),
        (json!({"blockIO": {"weight": 500}}), &[("io.weight", "4950")]),
        (
            json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}]}}),
            &[("io.weight", "8:0 10000")],
        ),
        (
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                               "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}]}}),
            &[("io.max", "8:0 rbps=1 wiops=max")],
        ),
        (
            json!({"memory": {"limit": 100, "swap": 300, "reservation": 50}}),
            &[("memory.max", "100"), ("memory.swap.max", "200"), ("memory.low", "50")],
        ),
        (
            json!({"cpu": {"quota": 1000, "period": 5000, "burst": 500}}),
            &[("cpu.max", "1000 5000"), ("cpu.max.burst", "500")],
        ),
        (json!({"cpu": {"shares": 1024, "idle": 1}}), &[("cpu.weight", ""), ("cpu.idle", "1")]),
        (json!({"cpu": {"shares": 1024, "idle": 0}}), &[("cpu.weight", "100"), ("cpu.idle", "0")]),
        (
            json!({"cpu": {"shares": 1024}, "unified": {"cpu.idle": "1"}}),
            &[("cpu.weight", ""), ("cpu.idle", "1")],
        ),
        (
            json!({"cpu": {"shares": 1024}, "unified": {"cpu.idle": "0"}}),
            &[("cpu.weight", "100"), ("cpu.idle", "0")],
        ),
        (json!({"pids": {"limit": -1}}), &[("pids.max", "max")]),
    ] {
        let (names, wanted): (Vec<_>, Vec<_>) = files.iter().copied().unzip();
        assert_eq!(written(v2::apply, &resources, &names), wanted, "{resources}");
    }
}
