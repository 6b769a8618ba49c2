//! `process.capabilities`: capabilities(7) one by one, as each opens another door.

use caps::Capability;

use super::Severity::{Critical, High, Low, Medium, Note};
use super::{Bench, Rule, rule};
use crate::draft::Process;

const FIX: &str = "leave it out of all sets of process.capabilities";

/// Each capability that matters, and what can be done with it where no user namespace is between.
const DOORS: &[(Capability, &Rule)] = &[
    (Capability::CAP_SYS_ADMIN, &SYS_ADMIN),
    (Capability::CAP_SYS_MODULE, &SYS_MODULE),
    (Capability::CAP_SYS_RAWIO, &SYS_RAWIO),
    (Capability::CAP_SYS_PTRACE, &SYS_PTRACE),
    (Capability::CAP_SYS_BOOT, &SYS_BOOT),
    (Capability::CAP_DAC_READ_SEARCH, &DAC_READ_SEARCH),
    (Capability::CAP_BPF, &BPF),
    (Capability::CAP_PERFMON, &PERFMON),
    (Capability::CAP_NET_ADMIN, &NET_ADMIN),
    (Capability::CAP_MKNOD, &MKNOD),
    (Capability::CAP_CHECKPOINT_RESTORE, &CHECKPOINT_RESTORE),
    (Capability::CAP_MAC_ADMIN, &MAC_ADMIN),
    (Capability::CAP_MAC_OVERRIDE, &MAC_OVERRIDE),
    (Capability::CAP_AUDIT_CONTROL, &AUDIT_CONTROL),
    (Capability::CAP_SYS_TIME, &SYS_TIME),
    (Capability::CAP_SYSLOG, &SYSLOG),
    (Capability::CAP_SYS_RESOURCE, &SYS_RESOURCE),
    (Capability::CAP_NET_RAW, &NET_RAW),
    (Capability::CAP_DAC_OVERRIDE, &DAC_OVERRIDE),
    (Capability::CAP_SETFCAP, &SETFCAP),
];

#[rustfmt::skip]
mod table {
    use super::*;

    pub(super) const SYS_ADMIN: Rule = rule("capability.sys_admin", Critical, Medium, "CAP_SYS_ADMIN: mounting, release_agent, namespaces, BPF", FIX);
    pub(super) const SYS_MODULE: Rule = rule("capability.sys_module", Critical, Low, "CAP_SYS_MODULE: own code in the kernel", FIX);
    pub(super) const SYS_RAWIO: Rule = rule("capability.sys_rawio", Critical, Low, "CAP_SYS_RAWIO: physical memory and I/O ports", FIX);
    pub(super) const SYS_PTRACE: Rule = rule("capability.sys_ptrace", Critical, Low, "CAP_SYS_PTRACE: the memory of every process that can be named", FIX);
    pub(super) const SYS_BOOT: Rule = rule("capability.sys_boot", High, Low, "CAP_SYS_BOOT: another kernel, or none", FIX);
    pub(super) const DAC_READ_SEARCH: Rule = rule("capability.dac_read_search", Critical, Low, "CAP_DAC_READ_SEARCH: every file of the host by its handle", FIX);
    pub(super) const BPF: Rule = rule("capability.bpf", High, Low, "CAP_BPF: programs in the kernel", FIX);
    pub(super) const PERFMON: Rule = rule("capability.perfmon", High, Low, "CAP_PERFMON: what the whole host does, and kernel addresses", FIX);
    pub(super) const NET_ADMIN: Rule = rule("capability.net_admin", High, Medium, "CAP_NET_ADMIN: addresses, routes and filters; much kernel code", FIX);
    pub(super) const MKNOD: Rule = rule("capability.mknod", Medium, Low, "CAP_MKNOD: device nodes, on disks of the host too", FIX);
    pub(super) const CHECKPOINT_RESTORE: Rule = rule("capability.checkpoint_restore", High, Low, "CAP_CHECKPOINT_RESTORE: pids of choice, and /proc/PID/map_files", FIX);
    pub(super) const MAC_ADMIN: Rule = rule("capability.mac_admin", High, Low, "CAP_MAC_ADMIN: the host's AppArmor or SELinux policy", FIX);
    pub(super) const MAC_OVERRIDE: Rule = rule("capability.mac_override", High, Low, "CAP_MAC_OVERRIDE: the host's mandatory access control is off", FIX);
    pub(super) const AUDIT_CONTROL: Rule = rule("capability.audit_control", Medium, Low, "CAP_AUDIT_CONTROL: the kernel's audit is turned off", FIX);
    pub(super) const SYS_TIME: Rule = rule("capability.sys_time", Medium, Note, "CAP_SYS_TIME: the host's clock", FIX);
    pub(super) const SYSLOG: Rule = rule("capability.syslog", Medium, Low, "CAP_SYSLOG: the kernel's log and addresses", FIX);
    pub(super) const SYS_RESOURCE: Rule = rule("capability.sys_resource", Medium, Low, "CAP_SYS_RESOURCE: rlimits, quotas and reserved space mean nothing", FIX);
    pub(super) const NET_RAW: Rule = rule("capability.net_raw", Medium, Low, "CAP_NET_RAW: forged packets to the neighbours (CVE-2020-14386)", FIX);
    pub(super) const DAC_OVERRIDE: Rule = rule("capability.dac_override", Low, Note, "CAP_DAC_OVERRIDE: permissions of files mean nothing", FIX);
    pub(super) const SETFCAP: Rule = rule("capability.setfcap", Low, Note, "CAP_SETFCAP: files that give capabilities to who executes them", FIX);
}
use table::*;

const INHERITABLE: Rule = rule(
    "capability.inheritable",
    Low,
    Note,
    "inheritable capabilities",
    "leave the inheritable set empty: files of the image may make it effective (CVE-2022-29162)",
);
const AMBIENT: Rule = rule(
    "capability.ambient",
    Low,
    Note,
    "ambient capabilities of a program that is not root",
    "leave the ambient set empty: every program that is executed keeps it",
);
const ABSENT: Rule = rule(
    "capability.absent",
    Medium,
    Low,
    "no capabilities object",
    "write an object with empty sets: pinfold reads its absence as none, runc leaves all that it has",
);

pub(super) const RULES: &[&Rule] = &[
    &SYS_ADMIN,
    &SYS_MODULE,
    &SYS_RAWIO,
    &SYS_PTRACE,
    &SYS_BOOT,
    &DAC_READ_SEARCH,
    &BPF,
    &PERFMON,
    &NET_ADMIN,
    &MKNOD,
    &CHECKPOINT_RESTORE,
    &MAC_ADMIN,
    &MAC_OVERRIDE,
    &AUDIT_CONTROL,
    &SYS_TIME,
    &SYSLOG,
    &SYS_RESOURCE,
    &NET_RAW,
    &DAC_OVERRIDE,
    &SETFCAP,
    &INHERITABLE,
    &AMBIENT,
    &ABSENT,
];

const SETS: [&str; 5] = ["effective", "permitted", "bounding", "inheritable", "ambient"];

pub(super) fn capabilities(bench: &mut Bench<'_>) {
    let Some(process) = &bench.subject.draft.process else { return };
    let given = bench.subject.spec.process().as_ref().and_then(|process| process.capabilities().as_ref());
    if given.is_none() {
        let text = "pinfold gives none; another runtime may leave all that it has itself";
        bench.find(&ABSENT, "/process/capabilities", text);
    }
    let masks = masks(process);
    for (cap, rule) in DOORS {
        let sets = SETS.iter().zip(masks).filter(|(_, mask)| mask & cap.bitmask() != 0);
        let sets: Vec<_> = sets.map(|(set, _)| *set).collect();
        if let Some(first) = sets.first() {
            let field = bench.entry(&format!("/process/capabilities/{first}"), &cap.to_string());
            let whose = if bench.walled { "over the container's own namespaces" } else { "over the host" };
            bench.find(rule, field, format!("{cap} ({}) {whose}", sets.join(", ")));
        }
    }
    if process.caps.inheritable != 0 {
        let text = "a file with inheritable capabilities in the image makes them the program's";
        bench.find(&INHERITABLE, "/process/capabilities/inheritable", text);
    }
    if process.ambient != 0 && process.uid != 0 {
        let text = "every program keeps them through execve(2)";
        bench.find(&AMBIENT, "/process/capabilities/ambient", text);
    }
}

fn masks(process: &Process) -> [u64; 5] {
    let caps = &process.caps;
    [caps.effective, caps.permitted, process.bounding, caps.inheritable, process.ambient]
}
