//! The bundles: what each one changes in `pinfold spec`'s configuration, and in the files around it.
//!
//! A setup runs in the bundle's directory, /bundle, before each run; the root file system is rootfs/.

use serde_json::{Value, json};

/// One bundle.
pub struct Bundle {
    pub name: &'static str,
    pub setup: &'static str,
    pub cleanup: &'static str,
    /// Of the command line.
    pub options: &'static str,
    pub edit: fn(&mut Value),
}

const fn plain(name: &'static str, edit: fn(&mut Value)) -> Bundle {
    Bundle { name, setup: "", cleanup: "", options: "", edit }
}

const fn with(name: &'static str, setup: &'static str, edit: fn(&mut Value)) -> Bundle {
    Bundle { name, setup, cleanup: "", options: "", edit }
}

fn mount(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().unwrap().push(mount);
}

fn bind(config: &mut Value, source: &str, destination: &str, options: &[&str]) {
    mount(config, json!({"type": "bind", "source": source, "destination": destination, "options": options}));
}

fn fresh(config: &mut Value, fstype: &str, destination: &str, options: &[&str]) {
    mount(config, json!({"type": fstype, "source": fstype, "destination": destination, "options": options}));
}

fn without(config: &mut Value, object: &str, key: &str) {
    config.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(key);
}

fn namespaces(config: &mut Value) -> &mut Vec<Value> {
    config["linux"]["namespaces"].as_array_mut().unwrap()
}

fn leave_out(config: &mut Value, kind: &str) {
    namespaces(config).retain(|namespace| namespace["type"] != kind);
}

fn join(config: &mut Value, kind: &str, path: &str) {
    leave_out(config, kind);
    namespaces(config).push(json!({"type": kind, "path": path}));
}

fn mounts_without(config: &mut Value, destination: &str) {
    config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != destination);
}

fn writable(config: &mut Value) {
    config["root"]["readonly"] = json!(false);
}

fn args(config: &mut Value, args: &[&str]) {
    config["process"]["args"] = json!(args);
}

fn user(config: &mut Value, uid: u32, gid: u32, groups: &[u32]) {
    config["process"]["user"] = json!({"uid": uid, "gid": gid, "additionalGids": groups});
}

fn capabilities(config: &mut Value, names: &[&str]) {
    for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
        config["process"]["capabilities"][set] = json!(names);
    }
}

fn user_namespace(config: &mut Value, ranges: &[(u32, u32, u32)]) {
    namespaces(config).push(json!({"type": "user"}));
    let map: Vec<_> = ranges
        .iter()
        .map(|(inside, outside, size)| json!({"containerID": inside, "hostID": outside, "size": size}))
        .collect();
    config["linux"]["uidMappings"] = json!(map);
    config["linux"]["gidMappings"] = json!(map);
}

fn seccomp(config: &mut Value, names: &[&str], action: &str) {
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": names, "action": action}],
    });
}

/// 64 bytes, the most that sethostname(2) takes.
const LONGEST_NAME: &str = "a234567890123456789012345678901234567890123456789012345678901234";
const OWN_ROOT: &str = "chown -R 100000:100000 rootfs; chmod 755 .";

pub const BUNDLES: &[Bundle] = &[
    plain("default", |_| ()),
    plain("root-writable", writable),
    with("root-absolute", "", |c| c["root"]["path"] = json!("/bundle/rootfs")),
    with("root-by-dots", "", |c| c["root"]["path"] = json!("./rootfs/../rootfs/")),
    with("root-by-link", "mv rootfs real; ln -s real rootfs", |_| ()),
    plain("root-missing", |c| c["root"]["path"] = json!("nowhere")),
    with("root-a-file", "rm -rf rootfs; touch rootfs", |_| ()),
    // Who the program is.
    plain("no-capabilities-object", |c| without(c, "/process", "capabilities")),
    plain("capabilities-empty", |c| capabilities(c, &[])),
    plain("capabilities-all-five", |c| {
        capabilities(c, &["CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_SETUID"]);
    }),
    plain("capabilities-only-bounding", |c| {
        c["process"]["capabilities"] = json!({"bounding": ["CAP_CHOWN"]})
    }),
    plain("capabilities-unknown", |c| capabilities(c, &["CAP_CHOWN", "CAP_OF_TOMORROW"])),
    plain("capabilities-ambient-beyond-inheritable", |c| {
        c["process"]["capabilities"]["inheritable"] = json!([]);
        c["process"]["capabilities"]["ambient"] = json!(["CAP_CHOWN"]);
    }),
    plain("user-with-groups", |c| user(c, 1000, 1001, &[5, 6, 7])),
    plain("user-with-ambient", |c| {
        user(c, 1000, 1000, &[]);
        capabilities(c, &["CAP_NET_BIND_SERVICE", "CAP_NET_RAW"]);
    }),
    plain("user-with-repeated-groups", |c| user(c, 7, 8, &[9, 9, 8])),
    plain("user-without-name", |c| user(c, 4_000_000_000, 4_000_000_000, &[])),
    plain("user-beyond-all", |c| user(c, 4_294_967_295, 0, &[])),
    plain("umask-077", |c| c["process"]["user"]["umask"] = json!(0o77)),
    plain("umask-0", |c| c["process"]["user"]["umask"] = json!(0)),
    plain("privileges-may-grow", |c| c["process"]["noNewPrivileges"] = json!(false)),
    plain("rlimits", |c| {
        c["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_FSIZE", "soft": 1 << 20, "hard": 1 << 21}, {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 21},
            {"type": "RLIMIT_MEMLOCK", "soft": 1000, "hard": 2000}, {"type": "RLIMIT_MSGQUEUE", "soft": 1, "hard": 2},
        ]);
    }),
    plain("rlimits-of-a-user", |c| {
        user(c, 1000, 1000, &[]);
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NPROC", "soft": 300, "hard": 300}]);
    }),
    plain("rlimits-none", |c| without(c, "/process", "rlimits")),
    plain("rlimits-twice", |c| {
        let limit = json!({"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64});
        c["process"]["rlimits"] = json!([limit, limit]);
    }),
    plain("rlimits-soft-above-hard", |c| {
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 65, "hard": 64}]);
    }),
    plain("oom-score", |c| c["process"]["oomScoreAdj"] = json!(500)),
    plain("oom-score-out-of-range", |c| c["process"]["oomScoreAdj"] = json!(1001)),
    plain("personality-32", |c| c["linux"]["personality"] = json!({"domain": "LINUX32"})),
    // Where it runs, with what.
    plain("cwd-tmp", |c| c["process"]["cwd"] = json!("/tmp")),
    plain("cwd-made", |c| {
        writable(c);
        c["process"]["cwd"] = json!("/made/for/it");
    }),
    plain("cwd-made-in-a-read-only-root", |c| c["process"]["cwd"] = json!("/made/for/it")),
    plain("cwd-by-link", |c| c["process"]["cwd"] = json!("/link")),
    plain("cwd-with-dots", |c| c["process"]["cwd"] = json!("/tmp/../dev/./pts")),
    plain("cwd-out-of-the-root", |c| c["process"]["cwd"] = json!("/../../tmp")),
    plain("cwd-by-descriptor", |c| c["process"]["cwd"] = json!("/proc/self/fd/5")),
    plain("cwd-relative", |c| c["process"]["cwd"] = json!("tmp")),
    with("cwd-not-for-the-user", "mkdir -m 700 rootfs/closed", |c| {
        user(c, 1000, 1000, &[]);
        capabilities(c, &[]);
        c["process"]["cwd"] = json!("/closed");
    }),
    plain("env-empty", |c| c["process"]["env"] = json!([])),
    plain("env-odd", |c| c["process"]["env"] = json!(["A=1", "A=2", "EMPTY=", "WITH=a=b\nc", "PATH=/"])),
    plain("env-home", |c| c["process"]["env"] = json!(["HOME=/elsewhere", "PATH=/"])),
    plain("env-home-of-the-user", |c| user(c, 1000, 1000, &[])),
    plain("env-without-equals-sign", |c| c["process"]["env"] = json!(["NOVALUE", "PATH=/"])),
    plain("args-by-path-variable", |c| {
        args(c, &["probe", "one", "", "th ree"]);
        c["process"]["env"] = json!(["PATH=/nowhere:/"]);
    }),
    plain("args-without-path-variable", |c| {
        args(c, &["probe"]);
        c["process"]["env"] = json!(["A=1"]);
    }),
    plain("args-with-an-empty-path-entry", |c| {
        args(c, &["probe"]);
        c["process"]["env"] = json!(["PATH=:/nowhere"]);
    }),
    plain("args-relative", |c| {
        args(c, &["../probe"]);
        c["process"]["cwd"] = json!("/tmp");
    }),
    with("args-a-link", "ln -s probe rootfs/also", |c| args(c, &["/also"])),
    with("args-a-script", "printf '#!/probe word\\n' >rootfs/script; chmod +x rootfs/script", |c| {
        args(c, &["/script", "x"])
    }),
    plain("args-missing", |c| args(c, &["/no/such"])),
    plain("args-a-directory", |c| args(c, &["/tmp"])),
    plain("args-not-executable", |c| args(c, &["/etc/passwd"])),
    plain("args-empty", |c| args(c, &[])),
    plain("args-own-exe", |c| args(c, &["/proc/self/exe"])),
    plain("exit-code", |c| args(c, &["/probe", "exit=41"])),
    Bundle { options: "--preserve-fds 1", ..plain("descriptors-handed-on", |_| ()) },
    plain("terminal", |c| c["process"]["terminal"] = json!(true)),
    plain("terminal-of-a-user-with-size", |c| {
        c["process"]["terminal"] = json!(true);
        c["process"]["consoleSize"] = json!({"height": 33, "width": 99});
        user(c, 1000, 1000, &[]);
    }),
    // Namespaces.
    plain("names-absent", |c| {
        without(c, "", "hostname");
        c["domainname"] = json!("domain");
    }),
    plain("names-longest", |c| c["hostname"] = json!(LONGEST_NAME)),
    plain("names-of-the-caller", |c| {
        leave_out(c, "uts");
        without(c, "", "hostname");
    }),
    plain("names-of-the-caller-changed", |c| leave_out(c, "uts")),
    plain("network-of-the-caller", |c| leave_out(c, "network")),
    plain("pids-of-the-caller", |c| leave_out(c, "pid")),
    plain("ipc-of-the-caller", |c| {
        leave_out(c, "ipc");
        mounts_without(c, "/dev/mqueue");
    }),
    plain("cgroup-of-the-caller", |c| leave_out(c, "cgroup")),
    with("user-namespace-and-the-callers-cgroup", OWN_ROOT, |c| {
        user_namespace(c, &[(0, 100_000, 65536)]);
        leave_out(c, "cgroup");
    }),
    with("user-namespace-and-a-writable-cgroup", OWN_ROOT, |c| {
        user_namespace(c, &[(0, 100_000, 65536)]);
        mounts_without(c, "/sys/fs/cgroup");
        fresh(c, "cgroup", "/sys/fs/cgroup", &["nosuid", "rw"]);
    }),
    plain("mounts-of-the-caller", |c| leave_out(c, "mount")),
    plain("namespace-twice", |c| namespaces(c).push(json!({"type": "ipc"}))),
    plain("namespace-unknown", |c| namespaces(c).push(json!({"type": "colour"}))),
    Bundle {
        cleanup: "ip netns delete probe",
        ..with("network-joined", "ip netns add probe", |c| join(c, "network", "/run/netns/probe"))
    },
    with("namespace-joined-of-another-type", "", |c| join(c, "network", "/proc/self/ns/uts")),
    plain("namespace-joined-missing", |c| join(c, "network", "/run/no-such-namespace")),
    with("user-namespace", OWN_ROOT, |c| user_namespace(c, &[(0, 100_000, 65536)])),
    with("user-namespace-of-several-ranges", OWN_ROOT, |c| {
        user_namespace(c, &[(0, 100_000, 1000), (1000, 300_000, 1), (2000, 400_000, 100)]);
        user(c, 1000, 1000, &[2000]);
    }),
    with("user-namespace-without-the-user", OWN_ROOT, |c| {
        user_namespace(c, &[(0, 100_000, 10)]);
        user(c, 1000, 1000, &[]);
    }),
    with("user-namespace-and-the-callers-network", OWN_ROOT, |c| {
        user_namespace(c, &[(0, 100_000, 65536)]);
        leave_out(c, "network");
        mounts_without(c, "/sys");
        mounts_without(c, "/sys/fs/cgroup");
    }),
    plain("user-namespace-mapped-twice", |c| user_namespace(c, &[(0, 100_000, 10), (5, 200_000, 10)])),
    plain("user-namespace-without-maps", |c| namespaces(c).push(json!({"type": "user"}))),
    plain("sysctls", |c| {
        c["linux"]["sysctl"] = json!({"kernel.shmmax": "1048576", "net.ipv4.ip_forward": "1",
            "fs.mqueue.msg_max": "20", "net.ipv4.ping_group_range": "0 5"});
    }),
    plain("sysctl-of-the-host", |c| c["linux"]["sysctl"] = json!({"kernel.panic": "1"})),
    plain("sysctl-of-the-callers-network", |c| {
        leave_out(c, "network");
        c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    }),
    plain("sysctl-by-slashes", |c| c["linux"]["sysctl"] = json!({"net/core/somaxconn": "77"})),
    plain("sysctl-that-climbs", |c| c["linux"]["sysctl"] = json!({"net.ipv4/../../kernel.panic": "1"})),
    // Mounts.
    with("bind-directory", "mkdir source; echo x >source/file", |c| {
        bind(c, "/bundle/source", "/bind", &["bind", "rw"])
    }),
    with("bind-read-only", "mkdir source; echo x >source/file", |c| {
        bind(c, "/bundle/source", "/bind", &["bind", "ro", "nosuid", "nodev", "noexec"]);
    }),
    with("bind-file", "echo x >source", |c| bind(c, "/bundle/source", "/bind", &["bind"])),
    with("bind-file-into-a-new-directory", "echo x >source", |c| {
        writable(c);
        bind(c, "/bundle/source", "/target/new/file", &["rbind", "ro"]);
    }),
    with("bind-relative-source", "mkdir source; echo x >source/file", |c| {
        bind(c, "source", "/bind", &["bind"])
    }),
    with("bind-relative-destination", "mkdir source; echo x >source/file", |c| {
        bind(c, "/bundle/source", "bind", &["bind"])
    }),
    with(
        "bind-with-submount",
        "mkdir -p source/sub; mount -t tmpfs t source/sub; echo x >source/sub/file",
        |c| {
            bind(c, "/bundle/source", "/bind", &["rbind"]);
        },
    ),
    with(
        "bind-read-only-with-submount",
        "mkdir -p source/sub; mount -t tmpfs t source/sub; echo x >source/sub/file",
        |c| {
            bind(c, "/bundle/source", "/bind", &["rbind", "ro"]);
        },
    ),
    with(
        "bind-rro-with-submount",
        "mkdir -p source/sub; mount -t tmpfs t source/sub; echo x >source/sub/file",
        |c| {
            bind(c, "/bundle/source", "/bind", &["rbind", "rro", "rnosuid"]);
        },
    ),
    with(
        "bind-without-submount",
        "mkdir -p source/sub; mount -t tmpfs t source/sub; echo x >source/sub/file",
        |c| {
            bind(c, "/bundle/source", "/bind", &["bind"]);
        },
    ),
    with("bind-shared", "mkdir source; mount -t tmpfs --make-shared t source", |c| {
        bind(c, "/bundle/source", "/bind", &["bind", "rshared"])
    }),
    with("bind-slave", "mkdir source; mount -t tmpfs --make-shared t source", |c| {
        bind(c, "/bundle/source", "/bind", &["bind", "rslave"])
    }),
    with("bind-private", "mkdir source; mount -t tmpfs --make-shared t source", |c| {
        bind(c, "/bundle/source", "/bind", &["bind", "rprivate"])
    }),
    with("bind-by-type-none", "mkdir source", |c| {
        mount(
            c,
            json!({"type": "none", "source": "/bundle/source", "destination": "/bind", "options": ["rbind"]}),
        );
    }),
    with("bind-without-type", "mkdir source", |c| {
        mount(c, json!({"source": "/bundle/source", "destination": "/bind", "options": ["bind", "noatime"]}));
    }),
    with("bind-of-a-link", "mkdir source; echo x >source/file; ln -s source via", |c| {
        bind(c, "/bundle/via", "/bind", &["bind"])
    }),
    plain("bind-missing-source", |c| bind(c, "/bundle/nowhere", "/bind", &["bind"])),
    with("bind-a-directory-on-a-file", "mkdir source", |c| bind(c, "/bundle/source", "/masked", &["bind"])),
    with("bind-through-a-link-inside", "mkdir source; echo x >source/file", |c| {
        bind(c, "/bundle/source", "/link/sub", &["bind"])
    }),
    with(
        "bind-through-an-absolute-link",
        "mkdir source; echo x >source/file; ln -s /etc rootfs/absolute",
        |c| {
            bind(c, "/bundle/source", "/absolute", &["bind"]);
        },
    ),
    with("bind-through-a-climbing-link", "mkdir source; ln -s ../../../../target rootfs/climbing", |c| {
        bind(c, "/bundle/source", "/climbing/sub", &["bind"]);
    }),
    with("bind-to-dots", "mkdir source; echo x >source/file", |c| {
        bind(c, "/bundle/source", "/../../tmp/../bind", &["bind"])
    }),
    with("bind-on-the-root", "mkdir source; cp rootfs/probe source", |c| {
        bind(c, "/bundle/source", "/", &["bind"])
    }),
    with("bind-on-proc", "mkdir source", |c| bind(c, "/bundle/source", "/proc", &["bind"])),
    with("bind-below-proc", "mkdir source", |c| bind(c, "/bundle/source", "/proc/sys", &["bind"])),
    plain("bind-of-proc", |c| bind(c, "/proc", "/bind", &["rbind"])),
    plain("bind-unknown-option", |c| bind(c, "/tmp", "/bind", &["bind", "colour=blue"])),
    plain("tmpfs", |c| {
        fresh(
            c,
            "tmpfs",
            "/target",
            &["size=64k", "mode=1770", "uid=5", "gid=6", "noexec", "nosuid", "nodev"],
        )
    }),
    plain("tmpfs-without-options", |c| {
        mount(c, json!({"type": "tmpfs", "source": "tmpfs", "destination": "/target"}))
    }),
    plain("tmpfs-times", |c| fresh(c, "tmpfs", "/target", &["noatime", "nodiratime", "nosymfollow"])),
    plain("tmpfs-strict-times-read-only", |c| fresh(c, "tmpfs", "/target", &["strictatime", "ro"])),
    plain("tmpfs-synchronous", |c| fresh(c, "tmpfs", "/target", &["sync", "dirsync"])),
    plain("tmpfs-unknown-option", |c| fresh(c, "tmpfs", "/target", &["colour=blue"])),
    plain("tmpfs-in-a-tmpfs", |c| {
        fresh(c, "tmpfs", "/target", &["size=64k"]);
        fresh(c, "tmpfs", "/target/inner", &["size=32k"]);
    }),
    plain("tmpfs-over-itself", |c| {
        fresh(c, "tmpfs", "/target", &["size=64k"]);
        fresh(c, "tmpfs", "/target", &["size=32k"]);
    }),
    with("tmpfs-on-a-link", "", |c| fresh(c, "tmpfs", "/link", &["size=64k"])),
    plain("filesystem-unknown", |c| fresh(c, "nosuchfs", "/target", &[])),
    plain("proc-hidden", |c| fresh(c, "proc", "/target", &["hidepid=2", "nosuid"])),
    with("proc-a-link", "rmdir rootfs/proc; ln -s tmp rootfs/proc", |_| ()),
    with("sys-a-link", "rmdir rootfs/sys; ln -s tmp rootfs/sys", |_| ()),
    with("dev-a-link", "rmdir rootfs/dev; ln -s tmp rootfs/dev", |_| ()),
    with("dev-pts-a-link-outside", "ln -s /etc rootfs/dev/pts", |c| {
        mounts_without(c, "/dev");
        writable(c);
    }),
    plain("no-mounts", |c| c["mounts"] = json!([])),
    plain("no-dev", |c| {
        for destination in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            mounts_without(c, destination);
        }
    }),
    plain("sys-writable", |c| {
        mounts_without(c, "/sys");
        mounts_without(c, "/sys/fs/cgroup");
        fresh(c, "sysfs", "/sys", &["nosuid"]);
    }),
    plain("cgroup-writable", |c| {
        mounts_without(c, "/sys/fs/cgroup");
        fresh(c, "cgroup", "/sys/fs/cgroup", &["nosuid", "rw"]);
    }),
    plain("propagation-shared", |c| c["linux"]["rootfsPropagation"] = json!("shared")),
    plain("propagation-slave", |c| c["linux"]["rootfsPropagation"] = json!("rslave")),
    plain("propagation-unbindable", |c| c["linux"]["rootfsPropagation"] = json!("unbindable")),
    plain("propagation-unknown", |c| c["linux"]["rootfsPropagation"] = json!("colour")),
    plain("masked", |c| c["linux"]["maskedPaths"] = json!(["/masked", "/masked-dir", "/no/such", "/link"])),
    plain("masked-relative", |c| c["linux"]["maskedPaths"] = json!(["masked"])),
    with("masked-through-a-climbing-link", "ln -s ../../../../masked rootfs/climbing", |c| {
        c["linux"]["maskedPaths"] = json!(["/climbing"]);
    }),
    plain("read-only-paths", |c| {
        writable(c);
        c["linux"]["readonlyPaths"] = json!(["/readonly", "/masked", "/no/such", "/link"]);
    }),
    plain("nothing-masked", |c| {
        without(c, "/linux", "maskedPaths");
        without(c, "/linux", "readonlyPaths");
    }),
    // Devices.
    plain("devices", |c| {
        c["linux"]["devices"] = json!([
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 6},
            {"path": "/dev/extra", "type": "p", "fileMode": 0o600},
            {"path": "/dev/loop7", "type": "b", "major": 7, "minor": 7},
        ]);
        c["linux"]["resources"]["devices"] = json!([
            {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]);
    }),
    plain("device-outside-dev", |c| {
        writable(c);
        c["linux"]["devices"] = json!([{"path": "/target/null", "type": "c", "major": 1, "minor": 3}]);
    }),
    plain("device-over-a-default", |c| {
        c["linux"]["devices"] =
            json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600}]);
    }),
    plain("device-where-a-file-is", |c| {
        writable(c);
        c["linux"]["devices"] = json!([{"path": "/masked", "type": "c", "major": 1, "minor": 3}]);
    }),
    with("device-through-a-link", "ln -s /etc rootfs/outside", |c| {
        writable(c);
        c["linux"]["devices"] = json!([{"path": "/outside/null", "type": "c", "major": 1, "minor": 3}]);
    }),
    plain("devices-all-allowed", |c| {
        capabilities(c, &["CAP_MKNOD", "CAP_SYS_ADMIN"]);
        c["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
    }),
    plain("devices-to-make-and-not-to-open", |c| {
        capabilities(c, &["CAP_MKNOD"]);
        c["linux"]["resources"]["devices"] = json!([
            {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "m"}]);
    }),
    // Seccomp.
    plain("seccomp-errno", |c| seccomp(c, &["mkdir", "mkdirat"], "SCMP_ACT_ERRNO")),
    plain("seccomp-errno-given", |c| {
        seccomp(c, &["mkdir", "mkdirat"], "SCMP_ACT_ERRNO");
        c["linux"]["seccomp"]["syscalls"][0]["errnoRet"] = json!(38);
    }),
    plain("seccomp-kill", |c| seccomp(c, &["mkdir"], "SCMP_ACT_KILL_PROCESS")),
    plain("seccomp-trap", |c| seccomp(c, &["mkdir"], "SCMP_ACT_TRAP")),
    plain("seccomp-log", |c| seccomp(c, &["mkdir"], "SCMP_ACT_LOG")),
    plain("seccomp-arguments", |c| {
        seccomp(c, &["socket"], "SCMP_ACT_ERRNO");
        c["linux"]["seccomp"]["syscalls"][0]["args"] =
            json!([{"index": 0, "value": 17, "op": "SCMP_CMP_EQ"}]);
    }),
    plain("seccomp-of-a-user-that-may-grow", |c| {
        seccomp(c, &["mkdir"], "SCMP_ACT_ERRNO");
        user(c, 1000, 1000, &[]);
        c["process"]["noNewPrivileges"] = json!(false);
    }),
    plain("seccomp-unknown-call", |c| seccomp(c, &["mkdir", "call_of_tomorrow"], "SCMP_ACT_ERRNO")),
    plain("seccomp-unknown-action", |c| seccomp(c, &["mkdir"], "SCMP_ACT_COLOUR")),
    plain("seccomp-denies-everything-late", |c| seccomp(c, &["getcwd"], "SCMP_ACT_ERRNO")),
    // Cgroups.
    plain("cgroup-path", |c| c["linux"]["cgroupsPath"] = json!("/one/two/three")),
    plain("cgroup-path-relative", |c| c["linux"]["cgroupsPath"] = json!("one/two")),
    plain("cgroup-path-that-climbs", |c| c["linux"]["cgroupsPath"] = json!("/one/../../two")),
    plain("limit-without-its-controller", |c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 100_000_000})
    }),
    // The document itself.
    plain("version-1.0.0", |c| c["ociVersion"] = json!("1.0.0")),
    plain("version-2.0.0", |c| c["ociVersion"] = json!("2.0.0")),
    plain("version-odd", |c| c["ociVersion"] = json!("one")),
    plain("unknown-properties", |c| {
        c["colour"] = json!("blue");
        c["process"]["colour"] = json!({"of": "it"});
        c["linux"]["colour"] = json!([1]);
    }),
    plain("wrong-type", |c| c["process"]["args"] = json!("probe")),
    plain("annotations", |c| c["annotations"] = json!({"org.example/x": "y", "run.oci.colour": "1"})),
    with("hooks", "", |c| {
        let hook = json!([{"path": "/usr/bin/touch", "args": ["touch", "/bundle/rootfs/target/hook"]}]);
        c["hooks"] = json!({"createRuntime": hook, "prestart": hook});
    }),
    plain("hook-that-fails", |c| c["hooks"] = json!({"createRuntime": [{"path": "/usr/bin/false"}]})),
];
