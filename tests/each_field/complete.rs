//! A configuration with every field that any machine can honour, and the fields that need more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use crate::support::Bundle;

/// Valid as it is.
pub fn config(bundle: &Bundle) -> Value {
    let mut config = bundle.config.clone();
    config["process"] = process();
    config["root"] = json!({"path": "rootfs", "readonly": true});
    config["hostname"] = json!("inner");
    config["domainname"] = json!("example.org");
    config["annotations"] = json!({"org.example.key": "value"});
    config["hooks"] = hooks();
    let mounts = config["mounts"].as_array_mut().unwrap();
    // The others differ in nothing but their names.
    mounts.retain(|mount| !["/dev/shm", "/dev/mqueue"].contains(&mount["destination"].as_str().unwrap()));
    mounts.push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
                       "options": ["nosuid", "size=64k", "mode=1777"]}));
    mounts.push(
        json!({"destination": "/etc", "type": "bind", "source": "rootfs/etc", "options": ["rbind", "ro"]}),
    );
    config["linux"] = linux();
    config
}

fn process() -> Value {
    json!({
        "terminal": false,
        "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5, 6]},
        "args": ["/bin/true", "argument"],
        "env": ["PATH=/bin", "A=b"],
        "cwd": "/",
        "capabilities": {
            "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
        },
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        "noNewPrivileges": true,
        "oomScoreAdj": 100,
    })
}

fn hooks() -> Value {
    let hook = json!([{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}]);
    json!({"prestart": hook, "createRuntime": hook, "poststart": hook, "poststop": hook})
}

fn linux() -> Value {
    json!({
        "namespaces": [
            {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
            {"type": "cgroup"},
        ],
        "devices": [{
            "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0,
        }],
        "resources": {
            "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
            "memory": {"limit": 268_435_456, "reservation": 134_217_728},
            "cpu": {"shares": 512, "quota": 100_000, "period": 100_000},
            "pids": {"limit": 64},
        },
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [{
                "names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
                "args": [{"index": 0, "value": 5, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
            }],
        },
        "rootfsPropagation": "slave",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "personality": {"domain": "LINUX", "flags": []},
    })
}

/// Sets a value, and the objects above it where they are missing.
pub fn set(config: &mut Value, pointer: &str, value: Value) {
    let mut at = config;
    for key in pointer.split('/').skip(1) {
        at = at.as_object_mut().unwrap().entry(key).or_insert_with(|| json!({}));
    }
    *at = value;
}

/// Each by itself, where it belongs.
pub fn elsewhere() -> Vec<(&'static str, Value)> {
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let throttle = json!([{"major": 8, "minor": 0, "rate": 600}]);
    vec![
        (
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "nice": 1, "priority": 0, "flags": [], "runtime": 0,
                                      "deadline": 0, "period": 0}),
        ),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 4})),
        ("/process/execCPUAffinity", json!({"initial": "0", "final": "0"})),
        ("/process/apparmorProfile", json!("profile")),
        ("/process/selinuxLabel", json!("label")),
        ("/linux/mountLabel", json!("label")),
        ("/linux/cgroupsPath", json!("/path")),
        ("/linux/uidMappings", ids.clone()),
        ("/linux/gidMappings", ids),
        ("/linux/timeOffsets", json!({"monotonic": {"secs": 1, "nanosecs": 2}})),
        ("/linux/netDevices", json!({"eth0": {"name": "eth1"}})),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_DEFAULT", "nodes": "", "flags": []})),
        (
            "/linux/intelRdt",
            json!({"closID": "a", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=10",
                                   "schemata": ["L3:0=f"], "enableMonitoring": true}),
        ),
        (
            "/linux/resources/memory",
            json!({"swap": 1, "kernel": 1, "kernelTCP": 1, "swappiness": 1,
                                           "disableOOMKiller": false, "useHierarchy": false,
                                           "checkBeforeUpdate": false}),
        ),
        (
            "/linux/resources/cpu",
            json!({"realtimeRuntime": 1, "realtimePeriod": 1, "cpus": "0", "mems": "0",
                                        "burst": 1, "idle": 0}),
        ),
        (
            "/linux/resources/blockIO",
            json!({
                "weight": 100, "leafWeight": 100,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 100, "leafWeight": 100}],
                "throttleReadBpsDevice": throttle, "throttleWriteBpsDevice": throttle,
                "throttleReadIOPSDevice": throttle, "throttleWriteIOPSDevice": throttle,
            }),
        ),
        ("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 0}])),
        ("/linux/resources/network", json!({"classID": 1, "priorities": [{"name": "lo", "priority": 1}]})),
        ("/linux/resources/rdma", json!({"mlx5_0": {"hcaHandles": 1, "hcaObjects": 1}})),
        ("/linux/resources/unified", json!({"memory.high": "1"})),
        (
            "/hooks/createContainer",
            json!([{"path": "/bin/true", "args": ["a"], "env": ["A=b"], "timeout": 1}]),
        ),
        (
            "/hooks/startContainer",
            json!([{"path": "/bin/true", "args": ["a"], "env": ["A=b"], "timeout": 1}]),
        ),
    ]
}
