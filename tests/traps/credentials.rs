//! capabilities(7), credentials(7), user_namespaces(7): what a change of ids takes away, and
//! what nobody may do inside a user namespace.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sys::stat::Mode;
use pinfold::sys::{self, caps, clone, prctl};
use serde_json::json;

use super::kernel::{ensure, fresh, in_child, in_user_namespace, own_mounts};
use super::support::{Bundle, Dir, await_that, start};

const USER: u32 = 1000;

/// The children of these tests need ids that nothing else uses.
const OUTSIDE: u32 = 0x7100_0000;

fn make_in_a_fresh_tmpfs() -> Result<(), Errno> {
    let tmpfs = fresh(c"tmpfs")?;
    nix::sys::stat::mkdirat(tmpfs.as_fd(), c"made", Mode::S_IRWXU)
}

#[test]
fn a_tmpfs_of_an_unmapped_id_takes_nothing() {
    let unmapped = || {
        own_mounts()?;
        make_in_a_fresh_tmpfs()
    };
    assert_eq!(in_user_namespace(clone::CLONE_NEWNS, OUTSIDE, unmapped), Err(Errno::EOVERFLOW));
    let become_root_first = || {
        own_mounts()?;
        sys::ids::setresgid(0)?;
        sys::ids::setresuid(0)?;
        make_in_a_fresh_tmpfs()
    };
    assert_eq!(in_user_namespace(clone::CLONE_NEWNS, OUTSIDE, become_root_first), Ok(()));

    let script = "mkdir /tmp/a /dev/shm/a ~/a && cat /proc/self/uid_map";
    let dir = Dir::new();
    let (ran, _) = dir.sandbox(&["--tmpfs", "/t", "--", "sh", "-euc", &format!("mkdir /t/a; {script}")]);
    let map: Vec<_> = ran.ok().split_whitespace().collect();
    assert!(map[0] == "0" && map[1] != "0", "root of this sandbox is not an id of the host: {map:?}");
    let mut bundle = Bundle::script(&dir, "bundle", "mkdir /dev/a /t/a && echo made");
    bundle.mount(json!({"destination": "/t", "type": "tmpfs", "source": "tmpfs"}));
    in_ids_of_its_own(&mut bundle);
    assert_eq!(bundle.run(&dir, &dir.id("unmapped")).ok(), "made\n");
    dir.assert_nothing_left();
}

/// A user namespace, whose root has the root directory and makes mount points in it.
fn in_ids_of_its_own(bundle: &mut Bundle) {
    std::os::unix::fs::chown(bundle.rootfs(), Some(OUTSIDE), Some(OUTSIDE)).unwrap();
    // A cgroup namespace too: hierarchies of the host's may not be mounted (cgroup_namespaces(7)).
    bundle.new_namespaces(&["user", "cgroup"]);
    bundle.edit(|config| {
        let map = json!([{"containerID": 0, "hostID": OUTSIDE, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
}

#[test]
fn setuid_clears_the_death_signal_and_dumpable() {
    let lost = || {
        prctl::set_pdeathsig(libc::SIGKILL)?;
        prctl::set_dumpable(true)?;
        sys::ids::setresuid(USER)?;
        ensure(nix::sys::prctl::get_pdeathsig()?.is_none() && prctl::dumpable()? != 1)
    };
    assert_eq!(in_child(0, lost), Ok(()), "set before setuid, both stay: no trap here");
    let kept = || {
        sys::ids::setresuid(USER)?;
        prctl::set_pdeathsig(libc::SIGKILL)?;
        prctl::set_dumpable(true)?;
        ensure(nix::sys::prctl::get_pdeathsig()?.is_some() && prctl::dumpable()? == 1)
    };
    assert_eq!(in_child(0, kept), Ok(()));

    let dir = Dir::new();
    // Which signal it gets is not in /proc: the program itself says it.
    let script = "import ctypes\ngot = ctypes.c_int()\nctypes.CDLL(None).prctl(2, ctypes.byref(got))\nprint(got.value)";
    let mut bundle = Bundle::new(&dir, "python", &["/usr/bin/python3", "-I", "-S", "-c", script]);
    with_the_hosts_programs(&mut bundle);
    bundle.edit(as_user);
    assert_eq!(bundle.run(&dir, &dir.id("signal")).ok(), "9\n", "no death signal after setuid");
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/sleep", "60"]);
    bundle.edit(as_user);
    let id = dir.id("dumpable");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    // The files of a process that is not dumpable are root's (proc(5)).
    let waiting = fs::metadata(format!("/proc/{}/status", dir.pid_of(&id))).unwrap();
    assert_eq!(waiting.uid(), USER, "while it waits, whoever has its id may look at it");
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// Beside the tool, which has its ids, the init is the other way round: nobody may look.
#[test]
fn the_init_is_not_dumpable_and_its_tool_is() {
    let dir = Dir::new();
    let marker = dir.id("dumpable");
    let env = format!("MARKER={marker}");
    let running = start(&mut dir.command(&["sandbox", "-e", &env, "--", "sleep", "60"]));
    let of = |wanted: &str| {
        let script = format!("/proc/{}/task/{0}/children", running.id());
        let init = fs::read_to_string(script).unwrap_or_default().trim().to_owned();
        let tool = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap_or_default();
        let pid = if wanted == "init" { init } else { tool.trim().to_owned() };
        fs::metadata(format!("/proc/{pid}/status")).map(|found| found.uid())
    };
    let comm = |pid: &str| fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    await_that("the tool runs", || {
        let children = |pid: &str| {
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid.trim())).unwrap_or_default()
        };
        comm(&children(&children(&running.id().to_string()))) == "sleep\n"
    });
    assert_eq!(of("init").unwrap(), 0, "the init can be looked at by its own uid");
    assert!(of("tool").unwrap() > 0x2000_0000, "the tool is an id of the sandbox");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(running.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    running.wait();
    dir.assert_nothing_left();
}

fn as_user(config: &mut serde_json::Value) {
    config["process"]["user"] = json!({"uid": USER, "gid": USER});
    // Limits of another user's process need CAP_SYS_RESOURCE, which not every root has.
    config["process"]["rlimits"] = json!([]);
}

/// The host's /usr in the container's place of it.
fn with_the_hosts_programs(bundle: &mut Bundle) {
    let rootfs = bundle.rootfs();
    fs::create_dir(rootfs.join("usr")).unwrap();
    for name in ["lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), rootfs.join(name)).unwrap();
    }
    bundle
        .mount(json!({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}));
}

#[test]
fn the_bounding_set_cannot_be_dropped_after_setuid() {
    let too_late = || {
        prctl::set_keepcaps(false)?;
        sys::ids::setresuid(USER)?;
        caps::bounding_drop(1)
    };
    assert_eq!(in_child(0, too_late), Err(Errno::EPERM));
    let in_time = || {
        caps::bounding_drop(1)?;
        sys::ids::setresuid(USER)?;
        caps::bounding_read(1).and_then(|there| ensure(!there))
    };
    assert_eq!(in_child(0, in_time), Ok(()));

    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/grep", "CapBnd", "/proc/self/status"]);
    for (sets, seen) in [(json!([]), "0000000000000000"), (json!(["CAP_KILL"]), "0000000000000020")] {
        bundle.edit(|config| {
            as_user(config);
            config["process"]["capabilities"] = json!({"bounding": sets});
        });
        let ran = bundle.run(&dir, &dir.id("bounding"));
        assert_eq!(ran.ok(), format!("CapBnd:\t{seen}\n"), "of a user that is not root");
    }
    dir.assert_nothing_left();
}

/// getrlimit(2), proc_pid_oom_score_adj(5): CAP_SYS_RESOURCE of the host is asked for, which
/// no root of a user namespace has. The parent does both, as long as it has the right.
#[test]
fn inside_a_user_namespace_no_limit_is_raised_and_no_score_lowered() {
    use nix::sys::resource::{Resource, setrlimit};
    let raise = || {
        sys::ids::setresuid(0)?;
        setrlimit(Resource::RLIMIT_NOFILE, 64, 64)?;
        setrlimit(Resource::RLIMIT_NOFILE, 64, 65)
    };
    assert_eq!(in_user_namespace(0, OUTSIDE, raise), Err(Errno::EPERM));
    let lower = || {
        // The file of a process that is not dumpable is root's of the host.
        sys::ids::setresuid(0)?;
        prctl::set_dumpable(true)?;
        let score = nix::fcntl::open(
            c"/proc/self/oom_score_adj",
            nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        sys::file::write_all(score.as_fd(), b"-1")
    };
    assert_eq!(in_user_namespace(0, OUTSIDE, lower), Err(Errno::EACCES));

    let dir = Dir::new();
    let script = "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; cat /proc/self/uid_map";
    let mut bundle = Bundle::script(&dir, "bundle", script);
    in_ids_of_its_own(&mut bundle);
    bundle.edit(|config| {
        config["process"]["oomScoreAdj"] = json!(100);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    });
    let ran = bundle.run(&dir, &dir.id("limits"));
    assert!(ran.ok().starts_with("100\n200\n100\n"), "{ran:?}");
    assert!(ran.out.contains(&OUTSIDE.to_string()), "{ran:?}");
    // A low limit is set last of all, or the child's own steps would fail of it.
    bundle.edit(|config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3}]);
        config["process"]["args"] = json!(["/bin/sh", "-c", "ulimit -n"]);
    });
    assert_eq!(bundle.run(&dir, &dir.id("low")).ok(), "3\n");
    dir.assert_nothing_left();
}
