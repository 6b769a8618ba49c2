//! The profiles that pinfold ships: complete, readable, short, and denying what they promise to deny.

use super::{audit_values, outcome};
use crate::seccomp::table::Call;
use crate::seccomp::{Action, Arch, CallSite, Profile, builtin};

const NATIVES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

fn read(name: &str) -> Profile {
    Profile::from_json(builtin(name).unwrap()).unwrap()
}

/// What happens to a native call with these arguments.
fn ask(profile: &Profile, native: Arch, name: &str, args: [u64; 6]) -> Option<Action> {
    let number = Call::named(name)?.number(native)?;
    let program = profile.compile_for(native).unwrap();
    Some(outcome(&program, native.audit_value(), number, &args))
}

#[test]
fn every_call_of_the_kernel_is_decided_once() {
    for name in ["default", "tool"] {
        let profile = read(name);
        assert_eq!(profile.unknown_names, Vec::<String>::new(), "{name}");
        let decided = |call: &Call| profile.rules.iter().filter(|rule| rule.calls.contains(&call)).count();
        for call in Call::all() {
            let native = NATIVES.iter().any(|arch| call.number(*arch).is_some());
            let count = decided(call);
            assert_eq!(count > 0, native, "{name}: {}", call.name);
            // More than once only where arguments decide.
            let conditional = ["socket", "ioctl", "personality", "open", "openat"].contains(&call.name);
            assert!(count <= 1 || conditional, "{name}: {} in two groups", call.name);
        }
    }
    assert_eq!(builtin("other"), None);
}

#[test]
fn foreign_abis_are_killed() {
    for name in ["default", "tool"] {
        for native in NATIVES {
            let program = read(name).compile_for(native).unwrap();
            for audit_value in audit_values() {
                let action = outcome(&program, audit_value, 0x4000_0000, &[0; 6]);
                let x32 = action == Action::KillProcess;
                assert!(x32 || (native, audit_value) == (Arch::Aarch64, Arch::Aarch64.audit_value()));
                if audit_value != native.audit_value() {
                    assert_eq!(outcome(&program, audit_value, 0, &[0; 6]), Action::KillProcess);
                }
            }
        }
    }
}

#[test]
fn programs_are_short() {
    // The kernel runs the filter for every number at load; its length is what a launch pays.
    for (name, native, limit) in
        [("tool", Arch::X86_64, 300), ("default", Arch::X86_64, 300), ("tool", Arch::Aarch64, 300)]
    {
        let length = read(name).compile_for(native).unwrap().instructions().len();
        assert!(length <= limit, "{name} on {native:?}: {length}");
    }
}

/// Calls that no profile of ours lets through, whatever the arguments.
const NEVER: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "clone3",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "migrate_pages",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "uselib",
    "userfaultfd",
    "vhangup",
];

/// And those that a tool does not get besides.
const NEVER_FOR_A_TOOL: &[&str] = &[
    "adjtimex",
    "cachestat",
    "chroot",
    "clock_adjtime",
    "io_setup",
    "kcmp",
    "mbind",
    "memfd_secret",
    "name_to_handle_at",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "unshare",
    "vmsplice",
];

#[test]
fn what_must_be_denied_is_denied_whatever_the_arguments() {
    for (name, lists) in [("default", vec![NEVER]), ("tool", vec![NEVER, NEVER_FOR_A_TOOL])] {
        for native in NATIVES {
            let program = read(name).compile_for(native).unwrap();
            for call in lists.iter().copied().flatten() {
                if Call::named(call).unwrap().number(native).is_none() {
                    continue;
                }
                // The mildest of all answers has to be a refusal.
                let site = CallSite::any(call);
                assert!(matches!(program.mildest(&site).unwrap(), Action::Errno(1 | 38)), "{name}: {call}");
            }
        }
    }
}

#[test]
fn arguments_decide_where_they_should() {
    const HIGH: u64 = 1 << 32;
    let both = ["tool", "default"];
    let tool = ["tool"];
    let (yes, no) = (Action::Allow, Action::Errno(1));
    let rows: &[(&[&str], &str, [u64; 3], Action)] = &[
        (&both, "clone", [0x11, 0, 0], yes),
        // SIGCHLD and NEWTIME share the low byte; threads as glibc makes them.
        (&both, "clone", [0x91, 0, 0], yes),
        (&both, "clone", [0x003D_0F00, 0, 0], yes),
        (&both, "clone", [0x1000_0011, 0, 0], no),
        (&both, "clone", [0x0002_0000, 0, 0], no),
        (&both, "clone", [0x0200_0000, 0, 0], no),
        (&both, "clone", [0x0400_0000, 0, 0], no),
        (&both, "clone", [0x0800_0000, 0, 0], no),
        (&both, "clone", [0x2000_0000, 0, 0], no),
        (&both, "clone", [HIGH | 0x4000_0000, 0, 0], no),
        (&["default"], "unshare", [0x0000_0200, 0, 0], yes),
        (&["default"], "unshare", [0x0000_0080, 0, 0], no),
        (&["default"], "unshare", [0x1000_0000, 0, 0], no),
        (&both, "clone3", [0, 88, 0], Action::Errno(38)),
        (&both, "socket", [1, 0x0008_0002, 0], yes),
        (&both, "socket", [2, 0x0008_0801, 6], yes),
        (&both, "socket", [10, 2, 17], yes),
        (&both, "socket", [10, 3, 58], yes),
        (&both, "socket", [16, 3, 0], yes),
        (&both, "socket", [16, 3, 9], no),
        (&both, "socket", [16, 3, 15], no),
        (&both, "socket", [17, 3, 0], no),
        (&both, "socket", [38, 5, 0], no),
        (&both, "socket", [40, 1, 0], no),
        (&both, "socket", [HIGH | 38, 5, 0], no),
        (&both, "socket", [HIGH | 2, 1, 0], no),
        (&tool, "socket", [2, 1, 132], no),
        (&tool, "socket", [2, 1, 262], no),
        (&tool, "socket", [2, 5, 0], no),
        (&tool, "socket", [2, 6, 0], no),
        (&tool, "socket", [2, 1, u64::MAX], no),
        (&both, "socketpair", [1, 1, 0], yes),
        (&both, "socketpair", [30, 1, 0], no),
        (&both, "ioctl", [0, 0x5401, 0], yes),
        (&both, "ioctl", [0, 0x5412, 0], no),
        (&both, "ioctl", [0, HIGH | 0x5412, 0], no),
        (&both, "ioctl", [0, 0xFFFF_FFFF_0000_541C, 0], no),
        (&both, "ioctl", [0, 0x5423, 0], no),
        (&both, "personality", [0, 0, 0], yes),
        (&both, "personality", [0xFFFF_FFFF, 0, 0], yes),
        (&both, "personality", [0x0040_0000, 0, 0], no),
        (&both, "personality", [0x0004_0000, 0, 0], no),
        (&both, "personality", [u64::MAX, 0, 0], no),
    ];
    for (profiles, call, [a, b, c], action) in rows {
        for name in *profiles {
            for native in NATIVES {
                let found = ask(&read(name), native, call, [*a, *b, *c, 0, 0, 0]);
                assert_eq!(found, Some(*action), "{name} on {native:?}: {call} {a:#x} {b:#x} {c:#x}");
            }
        }
    }
}

#[test]
fn the_unpacker_makes_files_and_nothing_else() {
    let profile = read("unpack");
    assert_eq!(profile.unknown_names, Vec::<String>::new());
    let allowed = |name: &str, args: [u64; 6]| {
        NATIVES.map(|native| ask(&profile, native, name, args).is_none_or(|action| action == Action::Allow))
    };
    for name in ["openat2", "mknodat", "linkat", "fsetxattr", "pwrite64", "mmap", "futex"] {
        assert_eq!(allowed(name, [0; 6]), [true, true], "{name}");
    }
    for name in [
        "socket",
        "execve",
        "execveat",
        "ptrace",
        "kill",
        "tgkill",
        "mount",
        "open_tree",
        "chroot",
        "setns",
        "unshare",
        "bpf",
        "io_uring_setup",
        "process_vm_readv",
        "pidfd_open",
        "open_by_handle_at",
        "clone3",
        "keyctl",
        "userfaultfd",
        "ioctl",
        "perf_event_open",
        "memfd_create",
        "prlimit64",
        "setresuid",
    ] {
        assert_eq!(allowed(name, [0; 6]), [false, false], "{name}");
    }
    let clone_thread = [0x10000, 0, 0, 0, 0, 0];
    assert_eq!((allowed("clone", clone_thread), allowed("clone", [17; 6])), ([true; 2], [false; 2]));
    for name in ["mmap", "mprotect"] {
        assert_eq!(allowed(name, [0, 0, 7, 0, 0, 0]), [false, false], "{name} of code");
    }
}
