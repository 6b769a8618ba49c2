//! One row per rule: its id, what to put into the quiet configuration so that it fires, the field
//! that it names, and what to put in that is close and breaks nothing of this rule.

use serde_json::{Value, json};

/// A JSON pointer and the JSON that goes there; `null` takes away, `-` is the end of a list.
pub type Patch = (&'static str, &'static str);
type Row = (&'static str, &'static [Patch], &'static str, &'static [Patch]);

/// A configuration in which nothing is found.
pub fn quiet() -> Value {
    let flags = ["nosuid", "noexec", "nodev"];
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 1000, "gid": 1000},
            "args": ["sh"],
            "env": ["PATH=/bin", "TOKEN_FILE=/run/secrets/token", "LANG=C"],
            "cwd": "/",
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
            "apparmorProfile": "confined",
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [flags[0], flags[1], flags[2], "size=64m"]},
        ],
        "linux": {
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "namespaces": [
                {"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "cgroup"}, {"type": "user"}, {"type": "time"},
            ],
            "resources": {
                "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
                "memory": {"limit": 67_108_864, "swap": 67_108_864},
                "pids": {"limit": 64},
                "cpu": {"quota": 100_000, "period": 100_000},
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
                "syscalls": [
                    {"names": ["read", "write", "execve", "exit_group"], "action": "SCMP_ACT_ALLOW"},
                    {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
                ],
            },
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

const NAMESPACES: &str = "/linux/namespaces";
const MOUNT: &str = "/mounts/-";
const RULES: &str = "/linux/seccomp/syscalls/-";
const CAPS: &str = "/process/capabilities/effective";
const PERMITTED: &str = "/process/capabilities/permitted";
const BOUNDING: &str = "/process/capabilities/bounding";
const ONE: &str = "/linux/seccomp/syscalls/2/names/0";

/// All namespaces but the one that is left out are in the list.
macro_rules! namespaces {
    ($($kind:literal)*) => {
        concat!("[{\"type\":\"mount\"}", $(",{\"type\":\"", $kind, "\"}",)* "]")
    };
}
macro_rules! capability {
    ($id:literal, $name:literal) => {
        (
            concat!("capability.", $id),
            &[(BOUNDING, concat!("[\"CAP_KILL\",\"CAP_", $name, "\"]"))],
            "/process/capabilities/bounding/1",
            &[
                (BOUNDING, "[\"CAP_KILL\",\"CAP_CHOWN\"]"),
                (CAPS, "[\"CAP_KILL\"]"),
                (PERMITTED, "[\"CAP_KILL\"]"),
            ],
        )
    };
}
macro_rules! call {
    ($id:literal, $name:literal, $near:literal) => {
        (
            concat!("seccomp.", $id),
            &[(RULES, concat!("{\"names\":[\"", $name, "\"],\"action\":\"SCMP_ACT_ALLOW\"}"))],
            ONE,
            &[(RULES, concat!("{\"names\":[\"", $near, "\"],\"action\":\"SCMP_ACT_ALLOW\"}"))],
        )
    };
}
macro_rules! bind {
    ($id:literal, $source:literal, $near:literal) => {
        (
            concat!("bind.", $id),
            &[(
                MOUNT,
                concat!(
                    "{\"destination\":\"/b\",\"source\":\"",
                    $source,
                    "\",\"options\":[\"rbind\",\"nosuid\",\"nodev\"]}"
                ),
            )],
            "/mounts/5/source",
            &[(
                MOUNT,
                concat!(
                    "{\"destination\":\"/b\",\"source\":\"",
                    $near,
                    "\",\"options\":[\"rbind\",\"nosuid\",\"nodev\"]}"
                ),
            )],
        )
    };
}
macro_rules! mount {
    ($id:literal, $fires:literal, $field:literal, $near:literal) => {
        (concat!("mount.", $id), &[(MOUNT, $fires)], concat!("/mounts/5/", $field), &[(MOUNT, $near)])
    };
}
macro_rules! device {
    ($id:literal, $fires:literal, $near:literal) => {
        (
            concat!("device.", $id),
            &[("/linux/resources/devices/-", $fires)],
            "/linux/resources/devices/2",
            &[("/linux/resources/devices/-", $near)],
        )
    };
}

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("user.root", &[("/process/user/uid", "0")], "/process/user/uid", &[("/process/user/uid", "1")]),
    ("user.no_namespace", &[(NAMESPACES, namespaces!("pid" "network" "ipc" "uts" "cgroup" "time")), ("/linux/uidMappings", "null"), ("/linux/gidMappings", "null")], NAMESPACES, &[]),
    ("user.host_root", &[("/linux/gidMappings/0/hostID", "0")], "/linux/gidMappings", &[("/linux/gidMappings/0/hostID", "1")]),
    ("user.root_group", &[("/process/user/additionalGids", "[5, 0]")], "/process/user/additionalGids/1", &[("/process/user/additionalGids", "[5]")]),
    capability!("sys_admin", "SYS_ADMIN"),
    capability!("sys_module", "SYS_MODULE"),
    capability!("sys_rawio", "SYS_RAWIO"),
    capability!("sys_ptrace", "SYS_PTRACE"),
    capability!("sys_boot", "SYS_BOOT"),
    capability!("dac_read_search", "DAC_READ_SEARCH"),
    capability!("bpf", "BPF"),
    capability!("perfmon", "PERFMON"),
    capability!("net_admin", "NET_ADMIN"),
    capability!("mknod", "MKNOD"),
    capability!("checkpoint_restore", "CHECKPOINT_RESTORE"),
    capability!("mac_admin", "MAC_ADMIN"),
    capability!("mac_override", "MAC_OVERRIDE"),
    capability!("audit_control", "AUDIT_CONTROL"),
    capability!("sys_time", "SYS_TIME"),
    capability!("syslog", "SYSLOG"),
    capability!("sys_resource", "SYS_RESOURCE"),
    capability!("net_raw", "NET_RAW"),
    capability!("dac_override", "DAC_OVERRIDE"),
    capability!("setfcap", "SETFCAP"),
    ("capability.inheritable", &[(BOUNDING, "[\"CAP_KILL\"]"), ("/process/capabilities/inheritable", "[\"CAP_KILL\"]")], "/process/capabilities/inheritable", &[(BOUNDING, "[\"CAP_KILL\"]"), ("/process/capabilities/inheritable", "[]")]),
    ("capability.ambient", &[(BOUNDING, "[\"CAP_KILL\"]"), (PERMITTED, "[\"CAP_KILL\"]"), ("/process/capabilities/inheritable", "[\"CAP_KILL\"]"), ("/process/capabilities/ambient", "[\"CAP_KILL\"]")], "/process/capabilities/ambient", &[(BOUNDING, "[\"CAP_KILL\"]"), (PERMITTED, "[\"CAP_KILL\"]")]),
    ("capability.absent", &[("/process/capabilities", "null")], "/process/capabilities", &[("/process/capabilities", "{}")]),
    ("process.no_new_privs", &[("/process/noNewPrivileges", "null")], "/process/noNewPrivileges", &[]),
    ("process.secret", &[("/process/env/-", "\"MY_API_KEY=x\"")], "/process/env/3", &[("/process/env/-", "\"MY_TOKENIZER=x\"")]),
    ("process.loader", &[("/process/env/-", "\"LD_PRELOAD=/x.so\"")], "/process/env/3", &[("/process/env/-", "\"LD_BIND_NOW=1\"")]),
    ("process.lsm", &[("/process/apparmorProfile", "\"\"")], "/process", &[("/process/apparmorProfile", "null"), ("/process/selinuxLabel", "\"system_u:system_r:container_t:s0\"")]),
    ("process.lsm_off", &[("/process/apparmorProfile", "\"unconfined\"")], "/process/apparmorProfile", &[("/process/selinuxLabel", "\"system_u:system_r:container_t:s0\"")]),
    ("process.oom_score", &[("/process/oomScoreAdj", "-1")], "/process/oomScoreAdj", &[("/process/oomScoreAdj", "0")]),
    ("process.priority", &[("/process/scheduler", "{\"policy\":\"SCHED_FIFO\",\"priority\":1}")], "/process/scheduler", &[("/process/scheduler", "{\"policy\":\"SCHED_BATCH\"}"), ("/process/ioPriority", "{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":4}")]),
    ("process.personality", &[("/linux/personality", "{\"domain\":\"LINUX32\"}")], "/linux/personality", &[("/linux/personality", "{\"domain\":\"LINUX\"}")]),
    ("process.cwd", &[("/process/cwd", "\"/proc/self/fd/7\"")], "/process/cwd", &[("/process/cwd", "\"/process\"")]),
    ("seccomp.missing", &[("/linux/seccomp", "null")], "/linux/seccomp", &[]),
    ("seccomp.default", &[("/linux/seccomp/defaultAction", "\"SCMP_ACT_LOG\"")], "/linux/seccomp/defaultAction", &[("/linux/seccomp/defaultAction", "\"SCMP_ACT_KILL\"")]),
    ("seccomp.foreign_abi", &[("/linux/seccomp/architectures", "[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_AARCH64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_ARM\"]")], FOREIGN, &[("/linux/seccomp/architectures", "[\"SCMP_ARCH_RISCV64\"]")]),
    ("seccomp.listener", &[("/linux/seccomp/listenerPath", "\"/run/s\""), (RULES, "{\"names\":[\"uname\"],\"action\":\"SCMP_ACT_NOTIFY\"}")], "/linux/seccomp/listenerPath", &[("/linux/seccomp/listenerPath", "\"/run/s\"")]),
    ("seccomp.mitigations", &[("/linux/seccomp/flags", "[\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"]")], "/linux/seccomp/flags/1", &[("/linux/seccomp/flags", "[\"SECCOMP_FILTER_FLAG_LOG\"]")]),
    call!("modules", "finit_module", "fadvise64"),
    call!("mounts", "move_mount", "statx"),
    call!("namespaces", "unshare", "fork"),
    call!("bpf", "bpf", "brk"),
    call!("perf", "perf_event_open", "pipe"),
    call!("io_uring", "io_uring_setup", "io_setup"),
    call!("userfaultfd", "userfaultfd", "eventfd"),
    call!("keys", "keyctl", "kill"),
    call!("handles", "open_by_handle_at", "name_to_handle_at"),
    call!("tracing", "process_vm_writev", "pwritev"),
    call!("hardware", "acct", "access"),
    call!("clock", "clock_settime", "clock_gettime"),
    ("seccomp.sockets", &[(RULES, "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":38,\"op\":\"SCMP_CMP_EQ\"}]}")], "/linux/seccomp/syscalls/1/names/0", &[(RULES, "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}")]),
    ("namespace.mount", &[(NAMESPACES, "[{\"type\":\"pid\"},{\"type\":\"user\"}]")], NAMESPACES, &[]),
    ("namespace.pid", &[(NAMESPACES, namespaces!("network" "ipc" "uts" "cgroup" "user" "time"))], NAMESPACES, &[]),
    ("namespace.network", &[(NAMESPACES, namespaces!("pid" "ipc" "uts" "cgroup" "user" "time"))], NAMESPACES, &[]),
    ("namespace.ipc", &[(NAMESPACES, namespaces!("pid" "network" "uts" "cgroup" "user" "time"))], NAMESPACES, &[]),
    ("namespace.uts", &[(NAMESPACES, namespaces!("pid" "network" "ipc" "cgroup" "user" "time"))], NAMESPACES, &[]),
    ("namespace.cgroup", &[(NAMESPACES, namespaces!("pid" "network" "ipc" "uts" "user" "time"))], NAMESPACES, &[]),
    ("namespace.time", &[(NAMESPACES, namespaces!("pid" "network" "ipc" "uts" "cgroup" "user"))], NAMESPACES, &[]),
    ("namespace.of_host", &[("/linux/namespaces/1", "{\"type\":\"pid\",\"path\":\"/proc/1/ns/pid\"}")], "/linux/namespaces/1/path", &[("/linux/namespaces/1", "{\"type\":\"pid\",\"path\":\"/run/ns/one\"}")]),
    ("namespace.joined", &[("/linux/namespaces/2", "{\"type\":\"network\",\"path\":\"/run/ns/one\"}")], "/linux/namespaces/2/path", &[]),
    ("sysctl.host", &[("/linux/sysctl", "{\"kernel.core_pattern\":\"|/x\"}")], "/linux/sysctl/kernel.core_pattern", &[("/linux/sysctl", "{\"kernel.shmmax\":\"1\"}")]),
    ("sysctl.set", &[("/linux/sysctl", "{\"net/ipv4/ip_forward\":\"1\"}")], "/linux/sysctl/net~1ipv4~1ip_forward", &[("/linux/sysctl", "{}")]),
    ("network.device", &[("/linux/netDevices", "{\"eth7\":{\"name\":\"a\"}}")], "/linux/netDevices/eth7", &[("/linux/netDevices", "{}")]),
    ("root.writable", &[("/root/readonly", "null")], "/root/readonly", &[]),
    ("root.host", &[("/root/path", "\"/\"")], "/root/path", &[("/root/path", "\"/srv/bundle/rootfs\"")]),
    ("root.propagation", &[("/linux/rootfsPropagation", "\"shared\"")], "/linux/rootfsPropagation", &[("/linux/rootfsPropagation", "\"private\"")]),
    ("root.masked_paths", &[("/linux/maskedPaths", "[\"/proc/acpi\"]")], "/linux/maskedPaths", &[("/linux/maskedPaths", "[\"/proc\",\"/sys\"]")]),
    ("root.readonly_paths", &[("/linux/readonlyPaths", "[\"/proc/sys/net\"]")], "/linux/readonlyPaths", &[("/linux/readonlyPaths", "[]"), ("/linux/maskedPaths", "[\"/proc\",\"/sys/firmware\"]")]),
    ("config.refused", &[("/process/oomScoreAdj", "5000")], "/process/oomScoreAdj", &[("/process/oomScoreAdj", "500")]),
    bind!("host_root", "/", "/srv/data"),
    bind!("etc", "/etc/ssh", "/etc/hosts"),
    bind!("runtime_socket", "/var/run/docker.sock", "/srv/docker.socket"),
    bind!("home", "/home/someone", "/home/someone/project/src"),
    bind!("proc", "/srv/../proc/1/root", "/process"),
    bind!("sys", "/sys/kernel", "/system"),
    bind!("dev", "/dev/sda", "/dev/null"),
    bind!("cgroup", "/sys/fs/cgroup", "/sys/fs/cgroups"),
    bind!("host_directory", "/var/lib", "/var/lib/one-service"),
    ("mount.cgroup", &[("/mounts/3/options", "[\"rw\"]")], "/mounts/3/options", &[]),
    ("mount.sysfs", &[("/mounts/2/options", "[\"ro\",\"rw\"]")], "/mounts/2/options", &[]),
    mount!("kernel", r#"{"destination":"/d","type":"debugfs","source":"debugfs"}"#, "type", r#"{"destination":"/d","type":"mqueue","source":"mqueue"}"#),
    mount!("disk", r#"{"destination":"/d","type":"ext4","source":"/dev/sda1"}"#, "type", r#"{"destination":"/d","type":"overlay","source":"overlay"}"#),
    mount!("devtmpfs", r#"{"destination":"/d","type":"devtmpfs","source":"devtmpfs"}"#, "type", r#"{"destination":"/d","type":"tmpfs","source":"tmpfs"}"#),
    mount!("propagation", r#"{"destination":"/d","source":"/srv/d","options":["rbind","nosuid","nodev","rshared"]}"#, "options", r#"{"destination":"/d","source":"/srv/d","options":["rbind","nosuid","nodev","rprivate"]}"#),
    mount!("nosuid", r#"{"destination":"/d","source":"/srv/d","options":["rbind","nodev"]}"#, "options", r#"{"destination":"/d","source":"/srv/d","options":["rbind","rnosuid"]}"#),
    mount!("nodev", r#"{"destination":"/d","source":"/srv/d","options":["rbind","nosuid"]}"#, "options", r#"{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","size=1m"]}"#),
    mount!("over_proc", r#"{"destination":"/proc/self/attr","type":"tmpfs","source":"t"}"#, "destination", r#"{"destination":"/process","type":"tmpfs","source":"t"}"#),
    mount!("size", r#"{"destination":"/d","type":"tmpfs","source":"t","options":["nosuid","nodev"]}"#, "options", r#"{"destination":"/d","type":"tmpfs","source":"t","options":["nosuid","nodev","size=1m"]}"#),
    mount!("idmap", r#"{"destination":"/d","source":"/srv/d","options":["rbind","nosuid","nodev"],"uidMappings":[{"containerID":0,"hostID":0,"size":9}],"gidMappings":[{"containerID":0,"hostID":1,"size":9}]}"#, "uidMappings", r#"{"destination":"/d","source":"/srv/d","options":["rbind","nosuid","nodev"],"uidMappings":[{"containerID":0,"hostID":1,"size":9}],"gidMappings":[{"containerID":0,"hostID":1,"size":9}]}"#),
    device!("all", r#"{"allow":true,"access":"rwm"}"#, r#"{"allow":true,"access":"m"}"#),
    device!("class", r#"{"allow":true,"type":"c","major":10,"access":"rw"}"#, r#"{"allow":true,"type":"c","major":136,"access":"rw"}"#),
    device!("disk", r#"{"allow":true,"type":"b","major":8,"minor":0,"access":"r"}"#, r#"{"allow":true,"type":"b","major":8,"minor":0,"access":"m"}"#),
    device!("memory", r#"{"allow":true,"type":"c","major":1,"minor":1,"access":"r"}"#, r#"{"allow":true,"type":"c","major":1,"minor":5,"access":"r"}"#),
    device!("other", r#"{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}"#, r#"{"allow":true,"type":"c","major":5,"minor":2,"access":"rw"}"#),
    ("limits.memory", &[("/linux/resources/memory", "null")], "/linux/resources/memory/limit", &[]),
    ("limits.swap", &[("/linux/resources/memory/swap", "null")], "/linux/resources/memory/swap", &[("/linux/resources/memory", "null")]),
    ("limits.pids", &[("/linux/resources/pids/limit", "-1")], "/linux/resources/pids/limit", &[("/linux/resources/pids/limit", "1")]),
    ("limits.cpu", &[("/linux/resources/cpu/quota", "0")], "/linux/resources/cpu/quota", &[]),
    ("limits.oom_kill", &[("/linux/resources/memory/disableOOMKiller", "true")], "/linux/resources/memory/disableOOMKiller", &[("/linux/resources/memory/disableOOMKiller", "false")]),
    ("limits.realtime", &[("/linux/resources/cpu/realtimeRuntime", "5000")], "/linux/resources/cpu/realtimeRuntime", &[("/linux/resources/cpu/realtimeRuntime", "0")]),
    ("limits.unified", &[("/linux/resources/unified", "{\"memory.high\":\"1\"}")], "/linux/resources/unified", &[("/linux/resources/unified", "{}")]),
    ("limits.rdt", &[("/linux/intelRdt", "{\"closID\":\"one\"}")], "/linux/intelRdt", &[]),
    ("limits.rlimit", &[("/process/rlimits/-", "{\"type\":\"RLIMIT_MEMLOCK\",\"soft\":1,\"hard\":18446744073709551615}")], "/process/rlimits/1", &[("/process/rlimits/-", "{\"type\":\"RLIMIT_FSIZE\",\"soft\":1,\"hard\":18446744073709551615}")]),
    ("limits.nofile", &[("/process/rlimits", "[]")], "/process/rlimits", &[]),
    ("hook.any", &[("/hooks", "{\"poststop\":[{\"path\":\"/nonexistent/hook\"}]}")], "/hooks/poststop/0/path", &[("/hooks", "{}")]),
    ("hook.of_container", &[("/root/readonly", "false"), ("/root/path", "\"/srv/r\""), ("/hooks", "{\"poststart\":[{\"path\":\"/srv/r/hook\"}]}")], "/hooks/poststart/0/path", &[("/root/path", "\"/srv/r\""), ("/hooks", "{\"startContainer\":[{\"path\":\"/srv/r/hook\"}],\"poststart\":[{\"path\":\"/srv/rr/hook\"}]}")]),
];

#[cfg(target_arch = "x86_64")]
const FOREIGN: &str = "/linux/seccomp/architectures/2";
#[cfg(not(target_arch = "x86_64"))]
const FOREIGN: &str = "/linux/seccomp/architectures/3";
