//! Groups come, are frozen, are killed and go, and leave nothing.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::errno::Errno;
use pinfold::cgroup::{Cgroup, Hierarchies, Limits, Mode};
use pinfold::sys::clone::{CloneArgs, Cloned, clone3, exit_now};

use crate::group::{Group, Process, killed, mounts, none, of, path, until};

pub fn a_fork_bomb_is_killed(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &Limits { pids_max: of(50), ..none() });
    // Without this the bomb would hit the machine.
    assert_eq!(group.read("pids", "pids.max").unwrap().unwrap(), "50\n");
    let mut bomb = group.start(&["bomb"]);
    until("the bomb going off", || group.counters().unwrap().pids_max_events > Some(20));
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(10)).unwrap());
    assert_eq!(group.processes().unwrap(), []);
    // The first shell may have given up before, when it could not fork.
    bomb.wait();
}

pub fn a_kill_leaves_nobody(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    group.kill().unwrap();
    let mut processes = [group.start(&["forks", "50"]), group.start(&["sleep"]), group.start(&["tick"])];
    assert_eq!(processes[0].line(), "50");
    let nested = group.sub("nested").unwrap();
    let mut deep = Process::start(&["sleep"]);
    nested.attach(deep.pid()).unwrap();
    processes[0].wait();
    assert_eq!(group.processes().unwrap().len(), 53);
    assert!(group.is_populated().unwrap());
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(10)).unwrap());
    assert_eq!(group.processes().unwrap(), []);
    assert!(!group.is_populated().unwrap());
    killed(&mut deep);
}

pub fn a_frozen_group_stands_still(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let mut clock = group.start(&["tick"]);
    until("a tick", || ticks(&mut clock) > 0);
    assert!(!group.is_frozen().unwrap());
    for _ in 0..3 {
        group.freeze().unwrap();
        assert!(group.is_frozen().unwrap());
        ticks(&mut clock);
        assert_eq!((ticks(&mut clock), ticks(&mut clock)), (0, 0));
        group.thaw().unwrap();
        assert!(!group.is_frozen().unwrap());
        until("a tick", || ticks(&mut clock) > 0);
    }
}

pub fn a_frozen_group_can_be_killed(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let mut sleeper = group.start(&["sleep"]);
    group.freeze().unwrap();
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(5)).unwrap());
    killed(&mut sleeper);
    // A process that only the v1 freezer holds.
    let state = "/sys/fs/cgroup/freezer".to_owned() + &group.path().to_string() + "/freezer.state";
    if hierarchies.mode() == Mode::Hybrid && std::fs::metadata(&state).is_ok() {
        let mut sleeper = group.start(&["sleep"]);
        std::fs::write(&state, "FROZEN").unwrap();
        until("the freeze", || group.is_frozen().unwrap());
        group.kill().unwrap();
        let ended = group.wait_empty(Duration::from_secs(5)).unwrap();
        std::fs::write(&state, "THAWED").unwrap();
        assert!(ended);
        killed(&mut sleeper);
    }
}

pub fn nested_groups_are_removed(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "/a/b", &none());
    let roots: Vec<String> = mounts().into_iter().map(|root| format!("{root}{}", group.path())).collect();
    assert!(!roots.is_empty());
    for root in &roots {
        std::fs::create_dir_all(format!("{root}{}", "/d".repeat(60))).unwrap();
        std::fs::create_dir(OsStr::from_bytes(&[root.as_bytes(), b"/\xff"].concat())).unwrap();
        for wide in 0..40 {
            std::fs::create_dir_all(format!("{root}/w{wide}/x")).unwrap();
        }
    }
    // Deeper than a process may have descriptors.
    std::fs::create_dir_all(format!("{}{}", roots[0], "/e".repeat(1500))).unwrap();
    let mut dying = group.start(&["sleep"]);
    group.kill().unwrap();
    group.remove().unwrap();
    killed(&mut dying);
    for root in &roots {
        assert!(std::fs::metadata(root).is_err(), "{root}");
        // What lies above stays.
        assert!(std::fs::metadata(root.trim_end_matches("/b")).is_ok(), "{root}");
    }
    assert!(Cgroup::open(hierarchies, group.path()).unwrap().is_none());
    group.remove().unwrap();
    for above in ["/a", ""] {
        Cgroup::open(hierarchies, &path(above)).unwrap().unwrap().remove().unwrap();
    }
}

pub fn a_group_in_use_is_refused(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    // Empty: it is taken, whoever made it, and a failure does not take it away.
    Cgroup::create(hierarchies, group.path(), &none()).unwrap();
    let impossible = Limits { cpuset_cpus: Some("900".into()), ..none() };
    Cgroup::create(hierarchies, group.path(), &impossible).unwrap_err();
    assert!(Cgroup::open(hierarchies, group.path()).unwrap().is_some());
    let nested = group.sub("nested").unwrap();
    let mut sleeper = Process::start(&["sleep"]);
    nested.attach(sleeper.pid()).unwrap();
    let error = Cgroup::create(hierarchies, group.path(), &none()).unwrap_err();
    assert!(error.to_string().contains("not empty: 1 process"), "{error}");
    assert!(sleeper.is_running());
}

pub fn a_frozen_group_is_refused(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    group.freeze().unwrap();
    let error = Cgroup::create(hierarchies, group.path(), &none()).unwrap_err();
    assert!(error.to_string().contains("unexpectedly frozen"), "{error}");
}

pub fn a_failed_create_leaves_nothing(hierarchies: &Hierarchies) {
    let impossible = [
        (Limits { cpuset_cpus: Some("900".into()), ..none() }, "/linux/resources/cpu/cpus"),
        (Limits { hugetlb: vec![("3MB".into(), 0)], ..none() }, "/linux/resources/hugepageLimits"),
    ];
    for (limits, field) in impossible {
        let error = Cgroup::create(hierarchies, &path("/a/b"), &limits).unwrap_err();
        assert!(error.field_name().unwrap().starts_with(field), "{error}");
        assert!(error.hint_text().is_none_or(|hint| !hint.contains("left behind")), "{error}");
        assert!(Cgroup::open(hierarchies, &path("")).unwrap().is_none());
    }
    // Nor does it take away what was there before.
    let above = Group::new(hierarchies, "", &none());
    let limits = Limits { cpuset_cpus: Some("900".into()), ..none() };
    Cgroup::create(hierarchies, &path("/a/b"), &limits).unwrap_err();
    assert!(Cgroup::open(hierarchies, above.path()).unwrap().is_some());
    assert!(Cgroup::open(hierarchies, &path("/a")).unwrap().is_none());
}

pub fn a_group_is_found_again(hierarchies: &Hierarchies) {
    assert!(Cgroup::open(hierarchies, &path("")).unwrap().is_none());
    let group = Group::new(hierarchies, "", &none());
    let sleeper = group.start(&["sleep"]);
    let again = Cgroup::open(hierarchies, group.path()).unwrap().unwrap();
    assert_eq!(again.processes().unwrap(), [sleeper.pid()]);
    let everywhere = std::fs::read_to_string(format!("/proc/{}/cgroup", sleeper.pid())).unwrap();
    let inside = everywhere.lines().filter(|line| line.ends_with(&group.path().to_string())).count();
    let expected = mounts().len();
    assert_eq!(inside, expected, "{everywhere}");
    again.kill().unwrap();
    again.remove().unwrap();
    assert!(Cgroup::open(hierarchies, group.path()).unwrap().is_none());
    assert_eq!(group.processes().unwrap(), []);
    assert_eq!(group.counters().unwrap(), pinfold::cgroup::Counters::default());
}

pub fn a_child_is_born_in_the_group(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    assert_eq!(group.clone_fd().is_some(), hierarchies.mode() == Mode::Unified);
    let files = group.join_files().unwrap();
    let (reading, mut writing) = std::io::pipe().unwrap();
    let args =
        CloneArgs { exit_signal: nix::libc::SIGCHLD, cgroup: group.unified_fd(), ..CloneArgs::default() };
    match clone3(&args).unwrap() {
        Cloned::Child => {
            let joined = files.iter().all(|file| nix::unistd::write(file, b"0") == Ok(1));
            let told = writing.write_all(&[u8::from(joined)]).is_ok();
            loop {
                if !told || nix::sys::signal::kill(nix::unistd::Pid::parent(), None).is_err() {
                    exit_now(1);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Cloned::Parent { pid, .. } => {
            let mut joined = [0];
            (&reading).read_exact(&mut joined).unwrap();
            assert_eq!(joined, [1]);
            let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            let inside = text.lines().filter(|line| line.ends_with(&group.path().to_string())).count();
            assert_eq!(inside, mounts().len(), "{text}");
            group.kill().unwrap();
            nix::sys::wait::waitpid(pid, None).unwrap();
        }
    }
}

pub fn a_part_of_a_group_is_killed_alone(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let mut main = group.start(&["tick"]);
    let part = group.sub("exec").unwrap();
    assert_eq!(group.sub("exec").unwrap_err().errno(), Some(Errno::EEXIST));
    let mut extra = Process::start(&["forks", "5"]);
    part.attach(extra.pid()).unwrap();
    extra.go();
    assert_eq!(extra.line(), "5");
    extra.wait();
    assert_eq!((part.processes().unwrap().len(), group.processes().unwrap().len()), (5, 6));
    part.freeze().unwrap();
    assert!(part.is_frozen().unwrap());
    until("a tick", || ticks(&mut main) > 0);
    part.thaw().unwrap();
    part.kill().unwrap();
    assert!(part.wait_empty(Duration::from_secs(5)).unwrap());
    part.remove().unwrap();
    assert_eq!(group.processes().unwrap(), [main.pid()]);
    assert!(main.is_running());
    until("a tick", || ticks(&mut main) > 0);
}

pub fn a_group_is_delegated(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    let given = group.delegate(1234.into());
    if hierarchies.mode() != Mode::Unified {
        assert!(given.is_err());
        return;
    }
    given.unwrap();
    let directory = format!("/sys/fs/cgroup{}", group.path());
    for (file, owner) in
        [("", 1234), ("/cgroup.procs", 1234), ("/cgroup.subtree_control", 1234), ("/cgroup.freeze", 0)]
    {
        assert_eq!(std::fs::metadata(format!("{directory}{file}")).unwrap().uid(), owner, "{file}");
    }
}

/// Without any right in the rest of the tree; see `delegated` in child.rs.
pub fn a_delegated_part_is_enough(hierarchies: &Hierarchies) {
    let group = Group::new(hierarchies, "", &none());
    group.delegate(1234.into()).unwrap();
    let own = group.sub("own").unwrap();
    let mut user = Process::start(&["delegated", &group.path().to_string()]);
    own.attach(user.pid()).unwrap();
    user.go();
    assert_eq!(user.line(), "done");
    assert!(user.wait().success());
}

pub fn ticks(process: &mut Process) -> usize {
    std::thread::sleep(Duration::from_millis(30));
    let stdout = process.stdout.get_mut();
    let mut pending = [0; 65536];
    let ready = nix::poll::PollFd::new(stdout.as_fd(), nix::poll::PollFlags::POLLIN);
    match nix::poll::poll(&mut [ready], 0_u8).unwrap() {
        0 => 0,
        _ => stdout.read(&mut pending).unwrap(),
    }
}
