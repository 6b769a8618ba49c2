//! The options of the command line, and how each that names something of the host is tried.

/// What an option's value is.
#[derive(Debug)]
pub enum Option_ {
    /// Names nothing of the host that a file's rights would guard.
    Plain(&'static str, &'static [&'static str]),
    /// Names something that is read, written or connected to.
    Names(&'static str, &'static [&'static str]),
}

impl Option_ {
    pub fn names(&self) -> Vec<String> {
        let (Self::Plain(verb, options) | Self::Names(verb, options)) = self;
        options.iter().map(|option| format!("{verb} {option}").trim().to_owned()).collect()
    }

    pub fn names_something(&self) -> bool {
        matches!(self, Self::Names(..))
    }
}

use Option_::{Names, Plain};

pub const OPTIONS: &[Option_] = &[
    Names("", &["root", "policy", "log", "report-dir"]),
    // `criu` is taken and never looked at.
    Plain(
        "",
        &["log-format", "debug", "systemd-cgroup", "cgroup-manager", "rootless", "trace-timing", "criu"],
    ),
    Names("create", &["bundle", "config", "console-socket", "pid-file", "pidfd-socket"]),
    // `config-fd` is open already, and a sealed file in memory or nothing.
    Plain("create", &["id", "config-fd", "preserve-fds", "no-pivot", "no-new-keyring"]),
    Names("run", &["bundle", "config", "console-socket", "pid-file", "pidfd-socket"]),
    Plain(
        "run",
        &["id", "config-fd", "preserve-fds", "no-pivot", "no-new-keyring", "detach", "keep", "no-subreaper"],
    ),
    Names("exec", &["process", "pid-file", "console-socket", "pidfd-socket"]),
    // `cwd` and `cgroup` are of the container.
    Plain(
        "exec",
        &[
            "id",
            "command",
            "cwd",
            "env",
            "user",
            "additional-gids",
            "tty",
            "detach",
            "preserve-fds",
            "no-new-privs",
            "cap",
            "process-label",
            "apparmor",
            "cgroup",
            "ignore-paused",
        ],
    ),
    Names("update", &["resources"]),
    Plain(
        "update",
        &[
            "id",
            "memory",
            "memory-reservation",
            "memory-swap",
            "pids-limit",
            "cpu-quota",
            "cpu-period",
            "cpu-burst",
            "cpu-share",
            "cpu-idle",
            "cpu-rt-period",
            "cpu-rt-runtime",
            "cpuset-cpus",
            "cpuset-mems",
            "blkio-weight",
            "l3-cache-schema",
            "mem-bw-schema",
            "kernel-memory",
            "kernel-memory-tcp",
        ],
    ),
    Names("spec", &["bundle"]),
    Plain("spec", &["rootless"]),
    Names(
        "sandbox",
        &[
            "rootfs",
            "ro",
            "rw",
            "mount",
            "volume",
            "env-file",
            "secret",
            "device",
            "security-opt",
            "report",
            "spec",
        ],
    ),
    Plain(
        "sandbox",
        &[
            "tmpfs",
            "read-only",
            "memory",
            "memory-swap",
            "cpus",
            "cpuset-cpus",
            "pids-limit",
            "ulimit",
            "shm-size",
            "timeout",
            "grace",
            "stdout-max",
            "stderr-max",
            "env",
            "workdir",
            "entrypoint",
            "tty",
            "interactive",
            "init",
            "user",
            "group-add",
            "hostname",
            "add-host",
            "network",
            "cap-add",
            "cap-drop",
            "name",
            "detach",
            "rm",
            "profile",
            "strict",
            "explain",
            "command",
        ],
    ),
    Names("policy lint", &["file"]),
    Names("policy check", &["bundle"]),
    Names("policy test", &["file", "against"]),
    Plain("policy test", &["json"]),
    Names("explain", &["bundle"]),
    Names("man", &["directory"]),
    Names("lint", &["path"]),
    Plain("lint", &["json", "sarif", "fail-on"]),
    // The arguments of ps(1), which runs with the caller's rights.
    Names("ps", &["ps_args"]),
    Plain("ps", &["id", "format"]),
    Plain("start", &["id"]),
    Plain("state", &["id"]),
    Plain("pause", &["id"]),
    Plain("resume", &["id"]),
    Plain("kill", &["id", "signal", "all", "regex", "all-sandboxes", "profile"]),
    Plain("lockdown", &["lift", "status", "reason"]),
    Plain("delete", &["id", "force", "regex"]),
    Plain("events", &["id", "interval", "stats"]),
    Plain("list", &["format", "quiet"]),
    Plain("explain", &["json"]),
    Plain("policy check", &["json", "explain"]),
    Plain("doctor", &["json"]),
    Plain("completion", &["shell"]),
    // Refused as a whole: `images_and_the_audit_log_are_roots_alone`.
    Plain("audit export", &["file", "id", "lines", "op", "refused", "since", "verb"]),
    Plain("selftest escapes", &["inside", "json", "only", "runtime"]),
    Plain("selftest probe", &["args", "name"]),
    Plain("surface", &["bundle", "diff", "json", "profile"]),
    Plain("audit head", &["file", "journald"]),
    Plain("audit show", &["file", "id", "op", "refused", "since", "verb"]),
    Plain("audit verify", &["files", "head", "json"]),
    Plain("", &["store"]),
    Plain("sandbox", &["image", "storage-opt"]),
    Plain("image bundle", &["directory", "image"]),
    Plain("image export", &["image", "target"]),
    Plain(
        "image import",
        &["cmd", "entrypoint", "env", "name", "no-unpack", "platform", "select", "source", "user", "workdir"],
    ),
    Plain("image commit", &["image", "name", "upper"]),
    Plain("image inspect", &["format", "image", "scan", "spdx"]),
    Plain("image list", &["format"]),
    Plain("image pull", &["image", "platform", "authfile", "insecure-registry", "verify-key", "quiet"]),
    Plain("image remove", &["images"]),
    Plain("image verify", &["image"]),
    Plain("checkpoint", &["rest"]),
    Plain("restore", &["rest"]),
];

/// One way to something of root's. The script runs in the caller's home.
#[derive(Debug)]
pub struct Attempt {
    pub option: &'static str,
    pub what: &'static str,
    pub script: &'static str,
}

const fn by(option: &'static str, what: &'static str, script: &'static str) -> Attempt {
    Attempt { option, what, script }
}

pub const ATTEMPTS: &[Attempt] = &[
    by("root", "a state directory", r#"$P --root "$ROOTS/state" list"#),
    by("policy", "a policy that is quoted", r#"$P --policy "$ROOTS/toml" policy check bundle"#),
    by("log", "a log", r#"$P --log "$ROOTS/w/log" state none"#),
    by("log", "a log that is there", r#"$P --log "$ROOTS/secret" state none"#),
    // Its files ask for the effective uid, not for that of file systems.
    by(
        "log",
        "a log in /proc/sys",
        r#"$P --log /proc/sys/kernel/domainname state none
        grep -q time= /proc/sys/kernel/domainname && echo $REACHED"#,
    ),
    by(
        "report-dir",
        "a report of a bundle",
        r#"jq '.annotations = {"io.pinfold.report": "'$ROOTS/w/report'"}' bundle/config.json >c.json
        $P --report-dir "$ROOTS/w" run -b bundle -f c.json $ID; false"#,
    ),
    by(
        "create bundle",
        "a bundle",
        r#"$P create -b "$ROOTS/hidden/bundle" $ID && echo $REACHED; $P delete -f $ID"#,
    ),
    by(
        "create config",
        "a configuration",
        r#"$P create -b bundle -f "$ROOTS/config.json" $ID && echo $REACHED
        $P delete -f $ID"#,
    ),
    by(
        "create pid-file",
        "a pid file",
        r#"$P create -b bundle --pid-file "$ROOTS/w/pid" $ID; $P delete -f $ID"#,
    ),
    by(
        "create pid-file",
        "a pid file that is there",
        r#"$P create -b bundle --pid-file "$ROOTS/shared/file" $ID
        $P delete -f $ID"#,
    ),
    by("run bundle", "a bundle", r#"$P run -b "$ROOTS/hidden/bundle" $ID"#),
    by("run config", "a configuration", r#"$P run -b bundle -f "$ROOTS/config.json" $ID"#),
    by(
        "run config",
        "an error that quotes a configuration",
        r#"$P run -b bundle -f "$ROOTS/action.json" $ID"#,
    ),
    by(
        "run config",
        "the same through a link",
        r#"ln -s "$ROOTS/action.json" link; $P run -b bundle -f link $ID"#,
    ),
    by("run config", "an error in --log", r#"$P --log log run -b bundle -f "$ROOTS/action.json" $ID"#),
    by("run pid-file", "a pid file", r#"$P run -b bundle --pid-file "$ROOTS/w/pid" $ID"#),
    by(
        "exec process",
        "a process",
        r#"$P sandbox -d --name $ID sleep 20 >/dev/null
        $P exec -p "$ROOTS/process.json" $ID; $P delete -f $ID"#,
    ),
    by(
        "exec pid-file",
        "a pid file",
        r#"$P sandbox -d --name $ID sleep 20 >/dev/null
        $P exec --pid-file "$ROOTS/w/pid" $ID true; $P delete -f $ID"#,
    ),
    by(
        "update resources",
        "limits",
        r#"$P sandbox -d --name $ID sleep 20 >/dev/null
        $P update -r "$ROOTS/limits.json" $ID && echo $REACHED; $P delete -f $ID"#,
    ),
    by("spec bundle", "a directory", r#"$P spec -b "$ROOTS/w""#),
    by("man directory", "a directory", r#"$P man "$ROOTS/w""#),
    by(
        "policy test file",
        "a policy that is quoted",
        r#"$P policy test "$ROOTS/toml" --against "$ROOTS/toml""#,
    ),
    by(
        "policy test against",
        "a log",
        r#"{ $P policy test --against "$ROOTS/secret" || test $? = 3; } && echo $REACHED"#,
    ),
    by("policy lint file", "a policy that is quoted", r#"$P policy lint "$ROOTS/toml""#),
    by("lint path", "a bundle", r#"$P lint --fail-on never "$ROOTS/hidden/bundle" && echo $REACHED"#),
    by("policy check bundle", "a bundle", r#"$P policy check "$ROOTS/hidden/bundle" && echo $REACHED"#),
    by("explain bundle", "a bundle", r#"$P explain "$ROOTS/hidden/bundle" && echo $REACHED"#),
    by(
        "sandbox rootfs",
        "a root that nobody enters",
        r#"$P sandbox --rootfs "$ROOTS/hidden/bundle/rootfs" -- /bin/sh -c "echo $REACHED""#,
    ),
    by(
        "sandbox rootfs",
        "a file of a root, by root inside",
        r#"$P sandbox --rootfs "$ROOTS/image/rootfs" --user 0 --cap-add DAC_OVERRIDE -- /bin/cat /etc/shadow"#,
    ),
    by("sandbox ro", "a file", r#"$P sandbox --ro "$ROOTS/secret:/s" -- cat /s"#),
    by(
        "sandbox ro",
        "a file in a directory that everybody reads",
        r#"$P sandbox --ro "$ROOTS/readable:/r" -- cat /r/shadow"#,
    ),
    by(
        "sandbox ro",
        "a file in a directory that nobody enters",
        r#"$P sandbox --ro "$ROOTS/hidden/file:/s" -- cat /s"#,
    ),
    by(
        "sandbox ro",
        "a socket that everybody sees",
        r#"$P sandbox --ro "$ROOTS/shared:/s" -- python3 -c "
import socket
socket.socket(socket.AF_UNIX).connect('/s/socket')
print('$REACHED')""#,
    ),
    by("sandbox rw", "a directory", r#"$P sandbox --rw "$ROOTS/w:/w" -- touch /w/new"#),
    by(
        "sandbox rw",
        "a file in a directory that everybody writes",
        r#"$P sandbox --rw "$ROOTS/shared:/s" -- sh -c 'echo x >>/s/file'"#,
    ),
    by("sandbox mount", "a file", r#"$P sandbox --mount "type=bind,src=$ROOTS/secret,dst=/s,ro" -- cat /s"#),
    by("sandbox volume", "a file", r#"$P sandbox -v "$ROOTS/secret:/s:ro" -- cat /s"#),
    by("sandbox env-file", "variables", r#"$P sandbox --env-file "$ROOTS/env" -- env"#),
    by(
        "sandbox env-file",
        "the variables of another process",
        r#"$P sandbox --env-file /proc/$PPID/environ -- echo $REACHED"#,
    ),
    by("sandbox secret", "a file", r#"$P sandbox --secret "t=file:$ROOTS/secret" -- cat /run/secrets/t"#),
    // Everybody may read the file by its mode, and CAP_SYS_PTRACE decides.
    by(
        "sandbox secret",
        "the maps of another process",
        r#"$P sandbox --secret t=file:/proc/$PPID/maps -- echo $REACHED"#,
    ),
    by("sandbox device", "a device", r#"$P sandbox --device /dev/loop-control -- echo $REACHED"#),
    by(
        "sandbox security-opt",
        "a filter",
        r#"$P sandbox --security-opt "seccomp=$ROOTS/filter.json" -- echo $REACHED"#,
    ),
    by("sandbox report", "a report", r#"$P sandbox --report "$ROOTS/w/report" -- true"#),
    by(
        "sandbox report",
        "a report in a home that leads out",
        r#"ln -s "$ROOTS/w" w; $P sandbox --report w/report -- true"#,
    ),
    by(
        "sandbox report",
        "a report of a line that is refused",
        r#"$P sandbox --report "$ROOTS/w/report" --memory 0 -- true"#,
    ),
    by(
        "sandbox report",
        "a report of options that are refused",
        r#"echo "{" >bad.json; $P sandbox --report "$ROOTS/w/report" --spec bad.json"#,
    ),
    by("sandbox spec", "options", r#"$P sandbox --spec "$ROOTS/spec.json""#),
    by(
        "ps ps_args",
        "the variables of another process",
        r#"$P sandbox -d --name $ID sleep 20 >/dev/null
        $P state $ID | jq .pid >pid; sleep 0.5; $P ps $ID -- e -eo gid=PID,args; $P delete -f $ID; false"#,
    ),
    // Fields of a bundle.
    by(
        "field",
        "a source in a directory that nobody enters",
        r#"
        jq '.mounts += [{"destination": "/m", "type": "bind", "source": "'$ROOTS/hidden/file'", "options": ["bind"]}]
            | .process.args = ["/bin/cat", "/m"]' bundle/config.json >c.json; $P run -b bundle -f c.json $ID"#,
    ),
    by(
        "field",
        "a source that is written",
        r#"
        jq '.mounts += [{"destination": "/m", "type": "bind", "source": "'$ROOTS/hidden/open'", "options": ["bind"]}]
            | .process.args = ["/bin/sh", "-c", "echo x >/m"]' bundle/config.json >c.json; $P run -b bundle -f c.json $ID"#,
    ),
    by(
        "field",
        "a root",
        r#"jq '.root.path = "'$ROOTS/hidden/bundle/rootfs'" | .process.args = ["/bin/sh", "-c", "echo '$REACHED'"]' \
        bundle/config.json >bundle.json; $P run -b bundle -f bundle.json $ID"#,
    ),
    by(
        "field",
        "root of the host, without a user namespace",
        r#"
        jq '.mounts += [{"destination": "/tmp", "type": "bind", "source": "'$ROOTS/readable'", "options": ["bind"]}]
            | del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces -= [{"type": "user"}]
            | .process.args = ["/bin/cat", "/tmp/shadow"]' bundle/config.json >c.json; $P run -b bundle -f c.json $ID"#,
    ),
    by(
        "field",
        "root of the host, mapped",
        r#"
        jq '.mounts += [{"destination": "/tmp", "type": "bind", "source": "'$ROOTS/readable'", "options": ["bind"]}]
            | .linux.uidMappings[0].hostID = 0 | .linux.gidMappings[0].hostID = 0
            | .process.args = ["/bin/cat", "/tmp/shadow"]' bundle/config.json >c.json; $P run -b bundle -f c.json $ID"#,
    ),
    by(
        "field",
        "root of the host, by an id map of the mount",
        r#"
        jq '.mounts += [{"destination": "/tmp", "type": "bind", "source": "'$ROOTS/readable'", "options": ["bind", "idmap"],
                "uidMappings": [{"containerID": 0, "hostID": 200000, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 1}]}]
            | .process.args = ["/bin/cat", "/tmp/shadow"]' bundle/config.json >c.json; $P run -b bundle -f c.json $ID"#,
    ),
    by(
        "field",
        "a group of another's",
        r#"jq '.linux.cgroupsPath = "/'$ID-other'" | .process.args = ["/bin/sh", "-c", "echo '$REACHED'"]' \
        bundle/config.json >bundle.json; $P run -b bundle -f bundle.json $ID"#,
    ),
    by(
        "field",
        "a device",
        r#"jq '.linux.devices = [{"path": "/dev/loop-control", "type": "c", "major": 10, "minor": 237}]
        | .process.args = ["/bin/sh", "-c", "echo '$REACHED'"]' bundle/config.json >bundle.json; $P run -b bundle -f bundle.json $ID"#,
    ),
];
