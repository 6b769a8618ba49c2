//! Promise: what the defaults of `pinfold sandbox` say is in force, seen from inside by a program
//! that looks for it, and from outside where only that counts. The caller is hostile too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod launching;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use launching::{DEADLINE, Place, before_exec, inside, kill, mark, within};
use serde_json::Value;

/// Runs Python inside that prints one JSON document.
fn seen(place: &Place, options: &[&str], script: &str) -> Value {
    let ran = place.python(options, script);
    ran.expect_success();
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

const STATE: &str = r#"
import json, os, signal
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
status = {name: value.strip() for name, value in status.items()}
def target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None
fds = {fd: target(fd) for fd in os.listdir("/proc/self/fd")}
umask = os.umask(0)
print(json.dumps({
    "status": status, "env": dict(os.environ), "umask": umask, "groups": os.getgroups(), "cwd": os.getcwd(),
    "fds": sorted(int(fd) for fd, to in fds.items() if to is not None), "sid": os.getsid(0), "pid": os.getpid(),
}))
"#;

/// Whatever of a process could leak through execve, spoilt.
fn spoil() -> std::io::Result<()> {
    use nix::fcntl::{OFlag, open};
    use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
    use nix::sys::stat::{Mode, umask};
    umask(Mode::from_bits_truncate(0o077));
    nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(4), nix::unistd::Gid::from_raw(27)])?;
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR1);
    blocked.add(Signal::SIGTERM);
    blocked.add(Signal::SIGCHLD);
    blocked.thread_block()?;
    for ignored in [Signal::SIGPIPE, Signal::SIGHUP, Signal::SIGUSR2] {
        // SAFETY: no handler runs: the signal is ignored.
        #[expect(unsafe_code, reason = "signal(2) is the caller's state under test")]
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    for path in ["/", "/etc/shadow", "/root"] {
        let opened = open(path, OFlag::O_RDONLY, Mode::empty())?;
        std::mem::forget(nix::unistd::dup(&opened)?);
        std::mem::forget(opened);
    }
    Ok(())
}

#[test]
fn nothing_of_a_hostile_caller_gets_in() {
    let place = Place::new();
    let mut command = place.sandbox(&[], &["/usr/bin/python3", "-I", "-S", "-c", STATE]);
    command
        .env("LISTEN_FDS", "3")
        .env("LD_PRELOAD", "/nonexistent.so")
        .env("AWS_SECRET", "caller's")
        .env_remove("TZ");
    before_exec(&mut command, spoil);
    let ran = place.finish(command);
    ran.expect_success();
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap();

    let env: Vec<(&str, &str)> = seen["env"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
        .collect();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(env, [("HOME", "/home/tool"), ("LANG", "C.UTF-8"), ("PATH", path), ("USER", "tool")]);
    assert_eq!(seen["fds"], serde_json::json!([0, 1, 2]));
    assert_eq!(seen["groups"], serde_json::json!([]));
    assert_eq!((&seen["umask"], &seen["cwd"]), (&0o022.into(), &"/".into()));
    assert_eq!(seen["sid"], seen["pid"], "a session of its own");
    let status = |name: &str| seen["status"][name].as_str().unwrap();
    for (name, wanted) in [
        ("Uid", "1000\t1000\t1000\t1000"),
        ("Gid", "1000\t1000\t1000\t1000"),
        ("Groups", ""),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("SigBlk", "0000000000000000"),
    ] {
        assert_eq!(status(name), wanted, "{name}");
    }
    // Python itself ignores SIGPIPE and SIGXFSZ.
    let ignored = u64::from_str_radix(status("SigIgn"), 16).unwrap();
    assert_eq!(ignored & !(1 << (libc::SIGPIPE - 1) | 1 << (libc::SIGXFSZ - 1)), 0, "{ignored:x}");
    let ran = place.script(&[], "grep SigIgn /proc/self/status");
    assert_eq!(ran.stdout, "SigIgn:\t0000000000000000\n");
}

#[test]
fn the_network_is_loopback_alone() {
    let place = Place::new();
    let script = r#"
import json, socket
names = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
def connect(family, address):
    try:
        with socket.socket(family) as s:
            s.settimeout(2)
            s.connect(address)
    except OSError as error:
        return error.errno
print(json.dumps({"names": names, "outside": connect(socket.AF_INET, ("192.0.2.1", 80)), "six": connect(socket.AF_INET6, ("2001:db8::1", 80)),
                  "local": connect(socket.AF_INET, ("127.0.0.1", 9))}))
"#;
    let seen = seen(&place, &[], script);
    assert_eq!(seen["names"], serde_json::json!(["lo"]));
    assert_eq!(seen["outside"], libc::ENETUNREACH);
    assert!(seen["six"].is_i64(), "{seen}");
    assert_eq!(seen["local"], libc::ECONNREFUSED, "loopback is up");
}

#[test]
fn what_is_not_to_be_written_or_read_is_not() {
    let place = Place::new();
    let script = r#"
import json, os
writable = []
for at in ["/x", "/usr/x", "/etc/x", "/usr/bin/x", "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/run/x", "/dev/x"]:
    try:
        os.close(os.open(at, os.O_WRONLY | os.O_CREAT, 0o600))
        writable.append(at)
    except OSError:
        pass
shown = []
for masked in ["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/scsi", "/proc/timer_list"]:
    try:
        content = os.listdir(masked) if os.path.isdir(masked) else open(masked, "rb").read(1)
        if content:
            shown.append(masked)
    except OSError:
        pass
flags = {line.split()[4]: line.split()[5] for line in open("/proc/self/mountinfo")}
host = [path for path in ["/root", "/home", "/var", "/boot", "/srv", "/etc/shadow", "/etc/hostname"] if os.path.exists(path) and path != "/home"]
print(json.dumps({"writable": writable, "shown": shown, "flags": flags, "host": host}))
"#;
    for options in [&[][..], &["--user", "0"]] {
        let seen = seen(&place, options, script);
        assert_eq!(seen["writable"], serde_json::json!([]), "{options:?}");
        assert_eq!(seen["shown"], serde_json::json!([]), "{options:?}");
        for (at, wanted) in [
            ("/", "ro"),
            ("/usr", "ro"),
            ("/proc/sys", "ro"),
            ("/tmp", "nosuid"),
            ("/tmp", "nodev"),
            ("/usr", "nosuid"),
        ] {
            let flags = seen["flags"][at].as_str().unwrap_or_default();
            assert!(flags.split(',').any(|flag| flag == wanted), "{at}: {flags}");
        }
        assert!(
            !seen["host"].to_string().contains("shadow") && !seen["host"].to_string().contains("/root"),
            "{seen}"
        );
    }
}

#[test]
fn from_outside_it_is_a_user_that_nobody_is_in_namespaces_of_its_own() {
    let place = Place::new();
    for options in [&[][..], &["--user", "0"]] {
        let mark = mark();
        let env = format!("MARK={mark}");
        let running = place.start(place.sandbox(&[options, &["-e", &env]].concat(), &["sleep", "60"]));
        let sleeps =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
        assert!(within(DEADLINE, || inside(&mark).iter().any(sleeps)));
        for pid in inside(&mark) {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let line = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
            };
            for name in ["Uid:", "Gid:"] {
                let ids: Vec<u32> = line(name).split_whitespace().map(|id| id.parse().unwrap()).collect();
                assert!(
                    ids.iter().all(|id| *id == ids[0] && (0x2000_0000..0x7000_0000).contains(id)),
                    "{pid} {name} {ids:?}"
                );
            }
            assert_eq!(line("Groups:"), "", "{pid}");
            assert_eq!(line("CapEff:"), "0000000000000000", "{pid}");
            assert_eq!(
                (line("Seccomp:").as_str(), line("NoNewPrivs:").as_str()),
                ("2", "1"),
                "{pid}: init or tool"
            );
            for namespace in ["pid", "net", "ipc", "uts", "mnt", "user", "cgroup"] {
                let of = |who: &str| fs::read_link(format!("/proc/{who}/ns/{namespace}")).unwrap();
                assert_ne!(of(&pid.to_string()), of("self"), "{pid} {namespace}");
            }
        }
        let fds = |pid: &i32| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let tool = inside(&mark).into_iter().find(sleeps).unwrap();
        assert_eq!(fds(&tool), 3, "neither the control socket nor the records are open in the tool");
        kill(running.pid(), libc::SIGTERM);
        place.wait(running);
    }
}

/// Each prints 0 for success or the errno.
const CALLS: &str = r#"
import ctypes, json, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    return 0 if libc.syscall(number, *[ctypes.c_long(arg) for arg in args]) >= 0 else ctypes.get_errno()
def clone_newuser():
    ctypes.set_errno(0)
    pid = libc.syscall(56, ctypes.c_long(0x10000000 | 17), *[ctypes.c_long(0)] * 4)
    if pid == 0:
        libc._exit(0)
    return ctypes.get_errno()
def sock(family, kind, protocol=0):
    try:
        socket.socket(family, kind, protocol).close()
        return 0
    except OSError as error:
        return error.errno
print(json.dumps({
    "unshare": call(272, 0), "mount": call(165, 0, 0, 0, 0, 0), "ptrace": call(101, 16, 0x7ffffff0, 0, 0), "keyctl": call(250, 0, -3, 1),
    "add_key": call(248, 0, 0, 0, 0, 0), "bpf": call(321, 999, 0, 0), "io_uring_setup": call(425, 1, 0), "userfaultfd": call(323, 0xffffff),
    "perf_event_open": call(298, 0, 0, -1, -1, 0), "setns": call(308, -1, 0), "clone_newuser": clone_newuser(),
    "clone3": call(435, 0, 0), "process_vm_readv": call(310, 1, 0, 0, 0, 0, 0), "open_by_handle_at": call(304, -1, 0, 0), "kexec_load": call(246, 0, 0, 0, 0),
    "fsopen": call(430, 0, 0), "open_tree": call(428, -1, 0, 0), "pivot_root": call(155, 0, 0), "init_module": call(175, 0, 0, 0),
    "alg": sock(38, socket.SOCK_SEQPACKET), "packet": sock(socket.AF_PACKET, socket.SOCK_RAW), "vsock": sock(40, socket.SOCK_STREAM),
    "netlink_generic": sock(socket.AF_NETLINK, socket.SOCK_RAW, 16), "netlink_nf": sock(socket.AF_NETLINK, socket.SOCK_RAW, 12),
    "netlink_audit": sock(socket.AF_NETLINK, socket.SOCK_RAW, 9),
    "inet": sock(socket.AF_INET, socket.SOCK_STREAM), "unix": sock(socket.AF_UNIX, socket.SOCK_STREAM), "netlink_route": sock(socket.AF_NETLINK, socket.SOCK_RAW, 0),
}))
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn dangerous_calls_are_refused_by_the_filter() {
    let place = Place::new();
    let filtered = seen(&place, &[], CALLS);
    let control = seen(&place, &["--security-opt", "seccomp=unconfined"], CALLS);
    for (name, errno) in filtered.as_object().unwrap() {
        let allowed = matches!(name.as_str(), "inet" | "unix" | "netlink_route");
        let refused =
            [libc::EPERM, libc::ENOSYS, libc::EACCES, libc::EAFNOSUPPORT].iter().any(|known| errno == known);
        assert_eq!(errno == 0, allowed, "{name}: {errno}");
        assert!(allowed || refused, "{name}: {errno} is not the filter's answer");
    }
    // Without the filter the kernel itself answers, so the answers above are the filter's.
    for name in [
        "unshare",
        "keyctl",
        "ptrace",
        "clone3",
        "netlink_generic",
        "setns",
        "open_tree",
        "bpf",
        "io_uring_setup",
    ] {
        assert_ne!(control[name], filtered[name], "{name}: {control}");
    }
}

#[test]
fn a_terminal_cannot_be_typed_into() {
    let place = Place::new();
    let script = "import fcntl, json, os, termios\ntry:\n    fcntl.ioctl(0, termios.TIOCSTI, b'x')\n    said = 0\nexcept OSError as error:\n    \
                  said = error.errno\nprint(json.dumps([os.isatty(0), said]))";
    assert_eq!(seen(&place, &["-t"], script), serde_json::json!([true, libc::EPERM]));
}

#[test]
fn the_init_cannot_be_read_traced_or_killed() {
    let place = Place::new();
    let script = r#"
import ctypes, json, os, time
def errno(act):
    try:
        act()
        return 0
    except OSError as error:
        return error.errno
def kill():
    os.kill(1, 9)
libc = ctypes.CDLL(None, use_errno=True)
def attach():
    if libc.ptrace(16, 1, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
said = {"mem": errno(lambda: open("/proc/1/mem", "rb").close()), "fd": errno(lambda: os.listdir("/proc/1/fd")),
        "exe": errno(lambda: os.readlink("/proc/1/exe")), "root": errno(lambda: os.listdir("/proc/1/root/")),
        "environ": errno(lambda: open("/proc/1/environ").read()), "ptrace": errno(attach)}
errno(kill)
for number in (15, 19, 11):
    errno(lambda: os.kill(1, number))
time.sleep(0.2)
print(json.dumps(said))
"#;
    for options in [&[][..], &["--user", "0"], &["--security-opt", "seccomp=unconfined"]] {
        let said = seen(&place, options, script);
        for (what, errno) in said.as_object().unwrap() {
            assert!(*errno == libc::EACCES || *errno == libc::EPERM, "{options:?} {what}: {errno}");
        }
    }
}

#[test]
fn the_callers_session_keyring_stays_outside() {
    let place = Place::new();
    let script = "import ctypes, json\nlibc = ctypes.CDLL(None, use_errno=True)\n\
                  found = libc.syscall(250, 10, -3, b'user', b'pinfold-test-key', 0)\nprint(json.dumps([found, ctypes.get_errno()]))";
    let mut command = place
        .sandbox(&["--security-opt", "seccomp=unconfined"], &["/usr/bin/python3", "-I", "-S", "-c", script]);
    before_exec(&mut command, || {
        // A keyring of the caller's own, with a key in it; both end with the caller.
        // SAFETY: the kernel reads the literals, which are NUL-terminated, and 6 bytes of payload.
        #[expect(unsafe_code, reason = "keyctl(2) is the caller's state under test")]
        let added = unsafe {
            libc::syscall(libc::SYS_keyctl, 1, std::ptr::null::<u8>());
            libc::syscall(
                libc::SYS_add_key,
                c"user".as_ptr(),
                c"pinfold-test-key".as_ptr(),
                c"secret".as_ptr(),
                6,
                -3,
            )
        };
        if added < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    });
    let ran = place.finish(command);
    ran.expect_success();
    assert_eq!(ran.stdout, format!("[-1, {}]\n", libc::ENOKEY), "{ran:?}");
}

#[test]
fn landlock_refuses_what_permissions_would_allow() {
    let place = Place::new();
    // /dev is a writable tmpfs of the sandbox's root: nothing but Landlock is in the way.
    let script = "import json, os\nwrote = os.stat('/dev').st_uid == os.getuid() and os.access('/dev', os.R_OK)\ntry:\n    \
                  os.mkdir('/dev/made')\n    said = 0\nexcept OSError as error:\n    said = error.errno\nprint(json.dumps([wrote, said]))";
    assert_eq!(seen(&place, &["--user", "0"], script), serde_json::json!([true, libc::EACCES]));
}

#[test]
fn with_the_hosts_network_its_abstract_sockets_stay_out_of_reach() {
    let place = Place::new();
    let name = mark();
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let script = format!(
        "import json, socket\ns = socket.socket(socket.AF_UNIX)\ntry:\n    s.connect('\\0{name}')\n    said = 0\n\
                          except OSError as error:\n    said = error.errno\nprint(json.dumps(said))"
    );
    assert_eq!(seen(&place, &["--network", "host"], &script), libc::EPERM);
    assert_eq!(seen(&place, &[], &script), libc::ECONNREFUSED, "another network does not even have the name");
}

/// Whether the word is in any file below `path`.
fn holds(path: &Path, word: &str) -> bool {
    let Ok(entries) = fs::read_dir(path) else {
        let bytes = fs::read(path).unwrap_or_default();
        return bytes.windows(word.len()).any(|window| window == word.as_bytes());
    };
    entries.filter_map(Result::ok).any(|entry| {
        let kind = entry.file_type().unwrap();
        (kind.is_dir() || kind.is_file()) && holds(&entry.path(), word)
    })
}

#[test]
fn a_secret_is_a_file_and_nothing_else() {
    let place = Place::new();
    let value = "the-value-of-the-secret-7f3a";
    let elsewhere = Place::new();
    let file = elsewhere.path.join("secret");
    fs::write(&file, value).unwrap();
    let option = format!("k=file:{}", file.display());
    let ran = place.script(
        &["--secret", &option],
        "cat /run/secrets/k; stat -c ' %a %u %g' /run/secrets/k; touch /run/secrets/k 2>&1; env",
    );
    assert!(ran.stdout.starts_with(&format!("{value} 400 1000 1000\n")), "{ran:?}");
    assert_eq!(ran.stdout.matches(value).count(), 1, "{ran:?}");
    let explained = place.finish(place.sandbox(&["--secret", &option, "--explain"], &["true"]));
    assert!(explained.code() == Some(0) && explained.stdout.len() > 100, "{explained:?}");
    assert!(!explained.stdout.contains(value) && !explained.stderr.contains(value));

    let mark = mark();
    let running =
        place.start(place.sandbox(&["--secret", &option, "-e", &format!("MARK={mark}")], &["sleep", "60"]));
    assert!(within(DEADLINE, || !inside(&mark).is_empty()));
    for pid in launching::alive(&mark) {
        for name in ["cmdline", "environ"] {
            assert!(!holds(Path::new(&format!("/proc/{pid}/{name}")), value), "{name} of {pid}");
        }
    }
    assert!(!place.entries().is_empty() && !holds(&place.path, value), "state or report");
    kill(running.pid(), libc::SIGTERM);
    place.wait(running);
    assert!(!holds(&place.path, value), "state or report, afterwards");
}

/// What Docker and Podman ship has conditions that an engine resolves.
fn docker_profile(calls: &str) -> String {
    format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}},
            {{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}}],
            "syscalls": [{{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71, "excludes": {{"caps": ["CAP_SYS_NICE"]}}}},
                         {{"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71, "includes": {{"minKernel": "99.0"}}}}{calls}]}}"#
    )
}

#[test]
fn profiles_of_docker_and_podman_load() {
    let place = Place::new();
    let file = place.path.join("docker.json");
    fs::write(&file, docker_profile("")).unwrap();
    let script = "import json, os\ntry:\n    os.getpriority(os.PRIO_PROCESS, 0)\n    said = 0\nexcept OSError as error:\n    said = error.errno\nprint(json.dumps(said))";
    let option = format!("seccomp={}", file.display());
    assert_eq!(
        seen(&place, &["--security-opt", &option], script),
        71,
        "the condition holds: the rule is in force"
    );
    assert_eq!(
        seen(&place, &["--security-opt", &option, "--cap-add", "SYS_NICE"], script),
        0,
        "it does not hold"
    );
}

#[test]
fn a_profile_that_denies_the_launch_itself_is_refused_by_name() {
    let place = Place::new();
    let file = place.path.join("profile.json");
    for call in ["execve", "clone", "wait4", "exit_group"] {
        fs::write(
            &file,
            docker_profile(&format!(r#", {{"names": ["{call}"], "action": "SCMP_ACT_ERRNO"}}"#)),
        )
        .unwrap();
        let ran = place
            .finish(place.sandbox(&["--security-opt", &format!("seccomp={}", file.display())], &["true"]));
        ran.expect(121, "setup_failed");
        assert!(ran.stderr.contains(call) && ran.stderr.contains("seccomp"), "{ran:?}");
    }
}

#[test]
fn the_options_of_the_launch_are_not_seen_inside() {
    let place = Place::new();
    let options = ["-e", "OPTION=a-value-of-an-option", "--ro", "/etc/hostname:/elsewhere"];
    let script = "tr '\\0' '\\n' </proc/1/cmdline; cat /proc/1/environ; echo; \
                  grep -c . /proc/1/comm; tr '\\0' '\\n' </proc/self/environ";
    let ran = place.script(&options, script);
    let (init, own) = ran.stdout.split_at(ran.stdout.find("\n1\n").expect("no /proc/1"));
    assert_eq!(init.trim(), "pinfold", "{ran:?}");
    assert!(own.contains("a-value-of-an-option"), "its own environment is its own: {ran:?}");
}
