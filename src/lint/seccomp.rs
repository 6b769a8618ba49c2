//! `linux.seccomp`: which calls reach the kernel, asked of the profile's own meaning.

use super::Severity::{High, Low, Medium, Note};
use super::{Bench, Rule, rule};
use crate::policy::lets_run;
use crate::seccomp::table::Call;
use crate::seccomp::{Action, Arch, Flag, Profile};

pub(super) const RULES: &[&Rule] = &[
    &MISSING,
    &DEFAULT,
    &FOREIGN,
    &LISTENER,
    &MITIGATIONS,
    &MODULES,
    &MOUNTS,
    &NAMESPACES,
    &BPF,
    &PERF,
    &IO_URING,
    &USERFAULTFD,
    &KEYS,
    &HANDLES,
    &TRACING,
    &HARDWARE,
    &CLOCK,
    &SOCKETS,
];

const FIX: &str = "leave the calls out of the rules that allow, or take a profile that denies them";

#[rustfmt::skip]
mod table {
    use super::*;

    pub(super) const MISSING: Rule = rule("seccomp.missing", High, Medium, "no filter", "set linux.seccomp; `pinfold spec` has none, `pinfold sandbox` brings one");
    pub(super) const DEFAULT: Rule = rule("seccomp.default", High, Medium, "what no rule names may run", "set defaultAction to SCMP_ACT_ERRNO and list what the program needs");
    pub(super) const FOREIGN: Rule = rule("seccomp.foreign_abi", Low, Low, "calls of another ABI", "list the native architecture alone: the others reach kernel code that little else uses");
    pub(super) const LISTENER: Rule = rule("seccomp.listener", Note, Note, "a supervisor decides about calls", "let the filter decide itself: between the check of a pointer and its use the program may change it");
    pub(super) const MITIGATIONS: Rule = rule("seccomp.mitigations", Low, Low, "mitigations against speculation are left off", "leave SECCOMP_FILTER_FLAG_SPEC_ALLOW out of the flags");
    pub(super) const MODULES: Rule = rule("seccomp.modules", Medium, Low, "modules and other kernels", FIX);
    pub(super) const MOUNTS: Rule = rule("seccomp.mounts", Medium, Medium, "mounting", FIX);
    pub(super) const NAMESPACES: Rule = rule("seccomp.namespaces", Medium, Medium, "new user namespaces: all capabilities over much kernel code", "deny unshare, setns and clone3 (with ENOSYS), and clone with CLONE_NEWUSER");
    pub(super) const BPF: Rule = rule("seccomp.bpf", Medium, Medium, "programs in the kernel", FIX);
    pub(super) const PERF: Rule = rule("seccomp.perf", Medium, Medium, "performance counters", FIX);
    pub(super) const IO_URING: Rule = rule("seccomp.io_uring", Medium, Medium, "io_uring: calls that no filter sees", FIX);
    pub(super) const USERFAULTFD: Rule = rule("seccomp.userfaultfd", Low, Low, "userfaultfd: races in the kernel are won by it", FIX);
    pub(super) const KEYS: Rule = rule("seccomp.keys", Medium, Low, "keyrings, which know no namespace of their own", FIX);
    pub(super) const HANDLES: Rule = rule("seccomp.handles", Medium, Low, "files by their handle", FIX);
    pub(super) const TRACING: Rule = rule("seccomp.tracing", Low, Low, "other processes' memory", FIX);
    pub(super) const HARDWARE: Rule = rule("seccomp.hardware", Medium, Low, "I/O ports, swap, quotas, reboot", FIX);
    pub(super) const CLOCK: Rule = rule("seccomp.clock", Low, Note, "the host's clock", FIX);
    pub(super) const SOCKETS: Rule = rule("seccomp.sockets", Low, Low, "socket families that are seldom used and often attacked", "allow socket for the families that the program needs, not AF_ALG, AF_VSOCK and AF_PACKET");
}
use table::*;

/// The calls of each rule.
const CALLS: &[(&Rule, &[&str])] = &[
    (&MODULES, &["init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"]),
    (
        &MOUNTS,
        &["mount", "umount2", "move_mount", "open_tree", "fsopen", "fsmount", "mount_setattr", "pivot_root"],
    ),
    (&NAMESPACES, &["unshare", "setns", "clone3"]),
    (&BPF, &["bpf"]),
    (&PERF, &["perf_event_open"]),
    (&IO_URING, &["io_uring_setup", "io_uring_enter", "io_uring_register"]),
    (&USERFAULTFD, &["userfaultfd"]),
    (&KEYS, &["add_key", "request_key", "keyctl"]),
    (&HANDLES, &["open_by_handle_at"]),
    (&TRACING, &["ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"]),
    (&HARDWARE, &["iopl", "ioperm", "swapon", "swapoff", "quotactl", "acct", "reboot"]),
    (&CLOCK, &["settimeofday", "clock_settime", "clock_adjtime", "adjtimex"]),
];
/// Calls that are bad with these first arguments alone.
const ARGUMENTS: &[(&Rule, &str, u64, &str)] = &[
    (&NAMESPACES, "clone", 0x1000_0000, "clone with CLONE_NEWUSER"),
    (&SOCKETS, "socket", 38, "AF_ALG"),
    (&SOCKETS, "socket", 40, "AF_VSOCK"),
    (&SOCKETS, "socket", 17, "AF_PACKET"),
];
const FIELD: &str = "/linux/seccomp";

pub(super) fn seccomp(bench: &mut Bench<'_>) {
    if bench.subject.draft.process.is_none() {
        return;
    }
    let Some(profile) = &bench.subject.draft.seccomp else {
        bench.find(&MISSING, FIELD, "every call of the kernel can be made");
        return;
    };
    whole(bench, profile);
    for rule in RULES {
        let named = CALLS.iter().filter(|(other, _)| other == rule).flat_map(|(_, calls)| *calls);
        let mut open: Vec<&str> = named.filter(|call| may_run(profile, call)).copied().collect();
        let field = open.first().map(|call| rule_about(bench, call));
        let with = ARGUMENTS.iter().filter(|(other, ..)| other == rule);
        let with: Vec<_> = with.filter(|(_, call, first, _)| may_run_with(profile, call, *first)).collect();
        let field = field.or_else(|| with.first().map(|(_, call, ..)| rule_about(bench, call)));
        open.extend(with.iter().map(|(.., text)| *text));
        if let Some(field) = field {
            bench.find(rule, field, format!("may run: {}", open.join(", ")));
        }
    }
}

fn whole(bench: &mut Bench<'_>, profile: &Profile) {
    if profile.default_action.lets_run() {
        let text = format!("the default is {:?}", profile.default_action);
        bench.find(&DEFAULT, format!("{FIELD}/defaultAction"), text);
    }
    let native = Arch::NATIVE.unwrap_or(Arch::X86_64);
    for arch in profile.architectures.iter().filter(|arch| **arch != native && arch.runs_on(native)) {
        let field = bench.entry(&format!("{FIELD}/architectures"), arch.oci_name());
        bench.find(&FOREIGN, field, format!("{} is allowed beside the native ABI", arch.oci_name()));
    }
    if profile.notifies() {
        let text = "SCMP_ACT_NOTIFY: the supervisor's answer may be about another argument";
        bench.find(&LISTENER, format!("{FIELD}/listenerPath"), text);
    }
    if profile.flags.contains(&Flag::SpecAllow) {
        let field = bench.entry(&format!("{FIELD}/flags"), "SECCOMP_FILTER_FLAG_SPEC_ALLOW");
        bench.find(&MITIGATIONS, field, "other tasks on the core may be read by speculation");
    }
}

/// A number that the kernel has, and that some rule lets run.
fn may_run(profile: &Profile, call: &str) -> bool {
    Call::named(call).is_some() && lets_run(profile, call)
}

fn may_run_with(profile: &Profile, call: &str, first: u64) -> bool {
    let native = Arch::NATIVE.unwrap_or(Arch::X86_64);
    let number = Call::named(call).and_then(|call| call.number(native));
    number.is_some_and(|number| {
        let action = profile.verdict(native, native.audit_value(), number, &[first, 0, 0, 0, 0, 0]);
        // A supervisor may say yes.
        action.lets_run() || action == Action::Notify
    })
}

/// The first rule that names the call; where none does the default lets it run.
fn rule_about(bench: &Bench<'_>, call: &str) -> String {
    let rules = bench.subject.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let rules = rules.and_then(|seccomp| seccomp.syscalls().as_ref()).into_iter().flatten();
    let names = |rule: &oci_spec::runtime::LinuxSyscall| rule.names().iter().position(|name| name == call);
    let allows = |rule: &oci_spec::runtime::LinuxSyscall| {
        use oci_spec::runtime::LinuxSeccompAction::{ScmpActAllow, ScmpActLog, ScmpActNotify, ScmpActTrace};
        matches!(rule.action(), ScmpActAllow | ScmpActLog | ScmpActNotify | ScmpActTrace)
    };
    let mut rules = rules.enumerate().filter(|(_, rule)| allows(rule));
    let found = rules.find_map(|(index, rule)| names(rule).map(|name| (index, name)));
    found.map_or_else(
        || format!("{FIELD}/defaultAction"),
        |(index, name)| format!("{FIELD}/syscalls/{index}/names/{name}"),
    )
}
