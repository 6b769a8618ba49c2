use std::os::fd::AsFd;

use nix::errno::Errno;
use seccompiler::sock_filter;

use super::super::clone::CLONE_NEWUSER;
use super::super::ids::{self, getppid};
use super::super::ioprio::{IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE, ioprio_get, ioprio_set};
use super::super::keyctl::{join_session_keyring, keyctl_setperm};
use super::super::mempolicy::{MPOL_BIND, MPOL_DEFAULT, set_mempolicy};
use super::super::personality::{PER_LINUX, PER_LINUX32, QUERY, personality};
use super::super::rlimit::{prlimit, prlimit_read};
use super::super::sched::{SchedAttr, sched_setattr};
use super::super::seccomp::{SECCOMP_FILTER_FLAG_NEW_LISTENER, get_action_avail, seccomp_set_mode_filter};
use super::super::{bpf, caps, landlock, prctl};
use super::{ended, ensure, in_child};

/// The calling thread's `field` in `/proc/thread-self/status`, a hexadecimal number.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

#[test]
fn capability_sets_are_what_proc_says() {
    let sets = caps::capget().unwrap();
    let [effective, permitted, inheritable] = ["CapEff", "CapPrm", "CapInh"].map(status);
    assert_eq!(sets, caps::CapSets { effective, permitted, inheritable });
    assert_eq!(caps::bounding_read(0), Ok(status("CapBnd") & 1 == 1));
    assert_eq!(caps::bounding_read(63), Err(Errno::EINVAL));
}

#[test]
fn capabilities_are_switched_at_once() {
    // Number 40 proves that the second word arrives.
    let wanted = caps::CapSets { effective: 1, permitted: 1 << 40 | 3, inheritable: 1 << 40 | 2 };
    in_child(CLONE_NEWUSER, || {
        caps::bounding_drop(5)?;
        ensure(!caps::bounding_read(5)? && caps::bounding_read(6)?)?;
        caps::capset(&wanted)?;
        ensure(caps::capget()? == wanted)?;
        ensure(caps::ambient_raise(0) == Err(Errno::EPERM))?;
        caps::ambient_raise(40)?;
        ensure(caps::ambient_is_set(40)? && !caps::ambient_is_set(1)?)?;
        caps::ambient_clear_all()?;
        ensure(!caps::ambient_is_set(40)?)?;
        caps::capset(&caps::CapSets::default())?;
        ensure(caps::capset(&wanted) == Err(Errno::EPERM))?;
        ensure(caps::bounding_drop(6) == Err(Errno::EPERM))
    });
}

#[test]
fn process_attributes_are_set_and_read_back() {
    in_child(0, || {
        prctl::set_dumpable(false)?;
        ensure(prctl::dumpable()? == 0)?;
        prctl::set_no_new_privs()?;
        ensure(prctl::no_new_privs()?)?;
        prctl::set_keepcaps(true)?;
        prctl::set_child_subreaper(true)?;
        prctl::set_name(c"renamed")?;
        prctl::set_pdeathsig(libc::SIGKILL)?;
        ensure(prctl::set_pdeathsig(-9) == Err(Errno::EINVAL))?;
        ensure(prctl::set_pdeathsig(65) == Err(Errno::EINVAL))
    });
    assert_eq!(prctl::no_new_privs(), Ok(false), "the parent is as it was");
}

#[test]
fn ids_that_are_not_mapped_or_mean_unchanged_are_refused() {
    for set in [ids::setresuid, ids::setresgid, ids::setfsuid, ids::setfsgid] {
        assert_eq!(set(u32::MAX), Err(Errno::EINVAL));
        in_child(CLONE_NEWUSER, || ensure(set(4321).is_err()));
    }
    in_child(CLONE_NEWUSER, || ensure(ids::setgroups(&[]) == Err(Errno::EPERM)));
}

#[test]
fn root_becomes_someone_else_for_good() {
    in_child(0, || {
        ids::setfsgid(4321)?;
        ids::setfsuid(4321)?;
        ids::setgroups(&[77, 78])?;
        let mut groups = [0_u32; 8];
        // SAFETY: the kernel writes at most 8 ids to the array.
        let count = unsafe { libc::syscall(libc::SYS_getgroups, groups.len(), groups.as_mut_ptr()) };
        ensure(count == 2 && groups[..2] == [77, 78])?;
        ids::setresgid(4321)?;
        ids::setresuid(4321)?;
        let own = [nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()];
        ensure(own == [4321, 4321] && ids::setresuid(0) == Err(Errno::EPERM))
    });
}

#[test]
fn a_device_program_loads_and_a_bad_one_does_not() {
    // r0 = 1; exit
    bpf::prog_load_cgroup_device(&[0x1_0000_00b7, 0x95]).unwrap();
    let bad = bpf::prog_load_cgroup_device(&[0x95]).unwrap_err();
    assert!(matches!(bad, Errno::EINVAL | Errno::EACCES), "r0 is not set: {bad}");
    let prog = bpf::prog_load_cgroup_device(&[0x1_0000_00b7, 0x95]).unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    assert!(bpf::prog_attach_cgroup_device(null.as_fd(), prog.as_fd(), bpf::BPF_F_ALLOW_MULTI).is_err());
}

/// Loads the call's number, compares it, answers `action` for `number` and ALLOW for the rest.
fn filter(number: libc::c_long, action: u32) -> [sock_filter; 4] {
    let k = u32::try_from(number).unwrap();
    [
        sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
        sock_filter { code: 0x15, jt: 0, jf: 1, k },
        sock_filter { code: 0x06, jt: 0, jf: 0, k: action },
        sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ]
}

#[test]
fn a_filter_answers_and_a_listener_comes_back_only_when_asked_for() {
    let deny = filter(libc::SYS_getppid, libc::SECCOMP_RET_ERRNO | 71);
    let kill = filter(libc::SYS_getppid, libc::SECCOMP_RET_KILL_PROCESS);
    in_child(0, || {
        ensure(getppid().is_ok())?;
        prctl::set_no_new_privs()?;
        ensure(seccomp_set_mode_filter(0, &[]).is_err_and(|errno| errno == Errno::EINVAL))?;
        ensure(seccomp_set_mode_filter(0, &deny)?.is_none())?;
        ensure(getppid() == Err(Errno::from_raw(71)))?;
        ensure(seccomp_set_mode_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, &deny)?.is_some())
    });
    let end = ended(0, || {
        prctl::set_no_new_privs()?;
        seccomp_set_mode_filter(0, &kill)?;
        getppid().map(drop)
    });
    assert!(matches!(end.code, libc::CLD_KILLED | libc::CLD_DUMPED));
    assert_eq!(end.status, libc::SIGSYS);
    assert_eq!(get_action_avail(libc::SECCOMP_RET_ERRNO), Ok(true));
    assert_eq!(get_action_avail(0x1234_0000), Ok(false));
}

#[test]
fn a_landlocked_child_sees_only_what_a_rule_grants() {
    const READ_FILE: u64 = 1 << 2;
    const READ_DIR: u64 = 1 << 3;
    assert!(landlock::landlock_abi().unwrap() >= 1);
    let attr = [READ_FILE | READ_DIR];
    // SAFETY: the kernel reads 8 bytes; it returns a descriptor that is ours.
    let ruleset = unsafe {
        super::super::descriptor(libc::syscall(
            libc::SYS_landlock_create_ruleset,
            attr.as_ptr(),
            size_of_val(&attr),
            0,
        ))
    }
    .unwrap();
    let proc = std::fs::File::open("/proc").unwrap();
    landlock::landlock_add_path_rule(ruleset.as_fd(), proc.as_fd(), READ_DIR).unwrap();
    let unknown = landlock::landlock_add_path_rule(ruleset.as_fd(), proc.as_fd(), 1);
    assert_eq!(unknown, Err(Errno::EINVAL), "the ruleset does not handle EXECUTE");
    in_child(0, || {
        use nix::fcntl::{OFlag, open};
        use nix::sys::stat::Mode;
        prctl::set_no_new_privs()?;
        landlock::landlock_restrict_self(ruleset.as_fd(), 0)?;
        let directory = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        ensure(open(c"/proc", directory, Mode::empty()).is_ok())?;
        ensure(open(c"/etc", directory, Mode::empty()).is_err_and(|errno| errno == Errno::EACCES))
    });
}

#[test]
fn a_session_keyring_of_ones_own() {
    in_child(0, || {
        let first = join_session_keyring()?;
        keyctl_setperm(first, 0x3f1b_0000)?;
        ensure(join_session_keyring()? != first)
    });
}

#[test]
fn limits_priorities_and_policies_are_applied() {
    // RLIMIT_NOFILE, asm-generic/resource.h
    let nofile = 7;
    in_child(0, || {
        prlimit(0, nofile, 64, 128)?;
        ensure(prlimit_read(0, nofile)? == (64, 128))?;
        ensure(prlimit(0, nofile, 129, 128) == Err(Errno::EINVAL))?;
        ioprio_set(0, IOPRIO_CLASS_BE, 6)?;
        ensure(ioprio_get(0)? == (IOPRIO_CLASS_BE, 6))?;
        ioprio_set(0, IOPRIO_CLASS_IDLE, 0)?;
        ensure(ioprio_set(0, 8, 0) == Err(Errno::EINVAL))?;
        let batch = SchedAttr { policy: 3, nice: 5, ..SchedAttr::default() };
        sched_setattr(0, &batch)?;
        // SAFETY: takes no memory.
        ensure(unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) } == 3)?;
        ensure(personality(PER_LINUX32)? == PER_LINUX)?;
        ensure(personality(QUERY)? == PER_LINUX32)?;
        set_mempolicy(MPOL_DEFAULT, &[], 0)?;
        ensure(set_mempolicy(MPOL_BIND, &[1], 66) == Err(Errno::EINVAL))
    });
}
