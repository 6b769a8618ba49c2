//! Single rules of meaning, each as a row: what a reader of [`super::super::verdict`] would look up.

use super::outcome;
use crate::seccomp::table::Call;
use crate::seccomp::{Action, Arch, CallSite, Profile};

const X86_64: u32 = 0xC000_003E;
const I386: u32 = 0x4000_0003;

fn number(name: &str, arch: Arch) -> u32 {
    Call::named(name).unwrap().number(arch).unwrap()
}

/// The profile's answer on x86_64, by the meaning and by the program.
fn ask(json: &str, audit_value: u32, number: u32, args: [u64; 6]) -> Action {
    let profile = Profile::from_json(json).unwrap();
    let meant = profile.verdict(Arch::X86_64, audit_value, number, &args);
    let program = profile.compile_for(Arch::X86_64).unwrap();
    assert_eq!(outcome(&program, audit_value, number, &args), meant, "{json} {number:#x}");
    meant
}

#[test]
fn abis_are_told_apart() {
    let native = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
    let all = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}"#;
    let foreign =
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X"]}"#;
    let rows = [
        (native, X86_64, 0, Action::Allow),
        (native, X86_64, 0x3FFF_FFFF, Action::Allow),
        (native, X86_64, 0x4000_0000, Action::KillProcess),
        (native, X86_64, 0x4000_0208, Action::KillProcess),
        (native, X86_64, u32::MAX - 1, Action::KillProcess),
        (native, X86_64, u32::MAX, Action::Allow),
        (native, I386, 0, Action::KillProcess),
        (native, 0xC000_00B7, 0, Action::KillProcess),
        (all, X86_64, 0x4000_0208, Action::Allow),
        (all, I386, 11, Action::Allow),
        (all, 0x4000_0028, 0, Action::KillProcess),
        (foreign, 0xC000_00B7, 0, Action::KillProcess),
        (foreign, X86_64, 0, Action::Allow),
    ];
    for (json, audit_value, number, action) in rows {
        assert_eq!(ask(json, audit_value, number, [0; 6]), action, "{json} {audit_value:#x} {number:#x}");
    }
}

#[test]
fn newer_calls_fail_with_enosys_where_the_default_denies() {
    let table = |action: &str, names: &str| {
        format!(
            r#"{{"defaultAction": "{action}", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
                "syscalls": [{{"names": [{names}], "action": "SCMP_ACT_LOG"}}]}}"#
        )
    };
    let enosys = Action::Errno(38);
    // openat2 is 437 on all of them.
    let rows = [
        ("SCMP_ACT_ERRNO", r#""read", "openat2""#, Action::Errno(1), enosys),
        ("SCMP_ACT_KILL_PROCESS", r#""openat2""#, Action::KillProcess, enosys),
        ("SCMP_ACT_TRAP", r#""openat2""#, Action::Trap, enosys),
        ("SCMP_ACT_ALLOW", r#""openat2""#, Action::Allow, Action::Allow),
        ("SCMP_ACT_TRACE", r#""openat2""#, Action::Trace(1), Action::Trace(1)),
        ("SCMP_ACT_ERRNO", r#""no_such_call""#, Action::Errno(1), Action::Errno(1)),
    ];
    for (default, names, older, newer) in rows {
        let json = table(default, names);
        for (audit_value, bit) in [(X86_64, 0), (I386, 0), (X86_64, Arch::X32_BIT)] {
            assert_eq!(ask(&json, audit_value, 436 | bit, [0; 6]), older, "{json}");
            assert_eq!(ask(&json, audit_value, 438 | bit, [0; 6]), newer, "{json}");
            assert_eq!(ask(&json, audit_value, 0x3FFF_FFFF | bit, [0; 6]), newer, "{json}");
        }
    }
}

#[test]
fn of_several_rules_the_documented_one_decides() {
    let allow = r#"{"names": ["dup"], "action": "SCMP_ACT_ALLOW"}"#;
    let log = r#"{"names": ["dup"], "action": "SCMP_ACT_LOG"}"#;
    let default = r#"{"names": ["dup"], "action": "SCMP_ACT_ERRNO"}"#;
    let deny_7 = r#"{"names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9,
                     "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]}"#;
    let allow_above_5 = r#"{"names": ["dup"], "action": "SCMP_ACT_ALLOW",
                            "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_GT"}]}"#;
    let either = r#"{"names": ["dup"], "action": "SCMP_ACT_ALLOW",
                     "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"},
                              {"index": 0, "value": 4, "op": "SCMP_CMP_EQ"}]}"#;
    let everything = r#"{"names": ["dup"], "action": "SCMP_ACT_ALLOW",
                         "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_MASKED_EQ"}]}"#;
    let e = Action::Errno;
    type Row<'a> = (&'a [&'a str], [(u64, Action); 3]);
    let rows: [Row<'_>; 9] = [
        // The first unconditional one; one that repeats the default is none.
        (&[allow, log], [(0, Action::Allow), (7, Action::Allow), (8, Action::Allow)]),
        (&[log, allow], [(0, Action::Log), (7, Action::Log), (8, Action::Log)]),
        (&[default, allow], [(0, Action::Allow), (7, Action::Allow), (8, Action::Allow)]),
        // A stricter conditional one holds beside it, wherever it stands; a milder one does not.
        (&[allow, deny_7], [(0, Action::Allow), (7, e(9)), (8, Action::Allow)]),
        (&[deny_7, allow], [(0, Action::Allow), (7, e(9)), (8, Action::Allow)]),
        (&[log, allow_above_5], [(0, Action::Log), (7, Action::Log), (8, Action::Log)]),
        // The strictest of those that match.
        (&[allow_above_5, deny_7], [(0, e(1)), (7, e(9)), (8, Action::Allow)]),
        // Two conditions on one argument are two rules.
        (&[either], [(3, Action::Allow), (4, Action::Allow), (5, e(1))]),
        // A mask without bits asks nothing.
        (&[everything], [(0, Action::Allow), (7, Action::Allow), (u64::MAX, Action::Allow)]),
    ];
    let dup = number("dup", Arch::X86_64);
    for (rules, cases) in rows {
        let json = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, rules.join(","));
        for (argument, action) in cases {
            assert_eq!(ask(&json, X86_64, dup, [argument, 0, 0, 0, 0, 0]), action, "{json} {argument}");
        }
    }
}

#[test]
fn multiplexers_of_i386_cannot_be_used_to_get_around_a_rule() {
    let profile = |default: &str, rules: &str| {
        format!(
            r#"{{"defaultAction": "{default}", "architectures": ["SCMP_ARCH_X86"], "syscalls": [{rules}]}}"#
        )
    };
    let conditional = |action: &str| {
        format!(
            r#"{{"names": ["socket"], "action": "{action}",
                 "args": [{{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}}]}}"#
        )
    };
    let deny = r#"{"names": ["connect", "msgget"], "action": "SCMP_ACT_ERRNO"}"#;
    let allow = r#"{"names": ["connect", "msgget"], "action": "SCMP_ACT_ALLOW"}"#;
    let both = r#"{"names": ["socketcall"], "action": "SCMP_ACT_ALLOW"}"#;
    let (no, yes) = (Action::Errno(1), Action::Allow);
    let (socketcall, ipc) = (number("socketcall", Arch::X86), number("ipc", Arch::X86));
    let open = |rules: &str| profile("SCMP_ACT_ALLOW", rules);
    let shut = |rules: &str| profile("SCMP_ACT_ERRNO", rules);
    let rows = [
        (open(deny), socketcall, 3, no),
        (open(deny), socketcall, 4, yes),
        (open(deny), ipc, 13, no),
        // The version in the upper half changes nothing.
        (open(deny), ipc, 0x1_000D, no),
        (shut(allow), socketcall, 3, yes),
        (shut(allow), socketcall, 4, no),
        // What depends on arguments behind a pointer is denied, and never granted.
        (open(&conditional("SCMP_ACT_ERRNO")), socketcall, 1, no),
        (shut(&conditional("SCMP_ACT_ALLOW")), socketcall, 1, no),
        // A profile that allows the multiplexer itself means it, but for what it denies by name.
        (shut(both), socketcall, 1, yes),
        (shut(&format!("{both},{}", conditional("SCMP_ACT_ALLOW"))), socketcall, 1, yes),
        (open(&format!("{both},{deny}")), socketcall, 3, no),
    ];
    for (json, number, selector, action) in rows {
        assert_eq!(ask(&json, I386, number, [selector, 38, 0, 0, 0, 0]), action, "{json} {selector}");
    }
}

#[test]
fn long_programs_work_and_too_long_ones_are_refused() {
    let profile = |values: std::ops::Range<u32>| {
        let mut rules = vec![];
        for (index, call) in
            Call::all().iter().filter(|call| call.number(Arch::X86_64).is_some()).take(60).enumerate()
        {
            for value in values.clone() {
                rules.push(format!(
                    r#"{{"names": ["{}"], "action": "SCMP_ACT_ALLOW", "args": [
                         {{"index": 0, "value": {index}, "op": "SCMP_CMP_EQ"}},
                         {{"index": 1, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#,
                    call.name
                ));
            }
        }
        format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, rules.join(","))
    };
    let long = profile(0..7);
    let program = Profile::from_json(&long).unwrap().compile_for(Arch::X86_64).unwrap();
    assert!(program.instructions().len() > 3700);
    let calls = Call::all().iter().filter_map(|call| call.number(Arch::X86_64)).take(60);
    for (index, call) in (0_u64..).zip(calls) {
        assert_eq!(ask(&long, X86_64, call, [index, 6, 0, 0, 0, 0]), Action::Allow);
        assert_eq!(ask(&long, X86_64, call, [index, 7, 0, 0, 0, 0]), Action::Errno(1));
        assert_eq!(ask(&long, X86_64, call, [index + 1, 6, 0, 0, 0, 0]), Action::Errno(1));
    }
    let error = Profile::from_json(&profile(0..8)).unwrap().compile_for(Arch::X86_64).unwrap_err();
    assert!(error.to_string().contains("the kernel takes 4096"), "{error}");
}

#[test]
fn a_call_that_may_be_refused_is_named() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent.sock", "syscalls": [
        {"names": ["prctl"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}]},
        {"names": ["chdir"], "action": "SCMP_ACT_NOTIFY"},
        {"names": ["getcwd"], "action": "SCMP_ACT_LOG"},
        {"names": ["setgid"], "action": "SCMP_ACT_KILL"}]}"#;
    let program = Profile::from_json(json).unwrap().compile_for(Arch::X86_64).unwrap();
    type Row<'a> = (&'a [CallSite], Option<(&'a str, Action)>);
    let rows: [Row<'_>; 6] = [
        (&[CallSite::any("execve"), CallSite::any("getcwd")], None),
        (&[CallSite::any("execve"), CallSite::any("prctl")], Some(("prctl", Action::Errno(1)))),
        (&[CallSite::first("prctl", 38)], Some(("prctl", Action::Errno(1)))),
        (&[CallSite::first("prctl", 8)], None),
        (&[CallSite::any("chdir")], None),
        (&[CallSite::any("setuid"), CallSite::any("setgid")], Some(("setgid", Action::KillThread))),
    ];
    for (sites, expected) in rows {
        let denial = program.first_denied(sites).unwrap();
        assert_eq!(denial.map(|denial| (denial.name, denial.action)), expected, "{sites:?}");
    }
    assert_eq!(program.strictest(&CallSite::any("chdir")).unwrap(), Action::Notify);
    assert!(program.first_denied(&[CallSite::any("no_such_call")]).is_err());
}

#[test]
fn a_call_is_always_let_only_where_no_rule_asks_for_its_arguments() {
    let rows = [
        ("ERRNO", "", false),
        ("ALLOW", "", true),
        ("LOG", "", true),
        ("ERRNO", r#"{"names":["madvise"],"action":"SCMP_ACT_ALLOW"}"#, true),
        ("ALLOW", r#"{"names":["madvise"],"action":"SCMP_ACT_KILL"}"#, false),
        (
            "ERRNO",
            r#"{"names":["madvise"],"action":"SCMP_ACT_ALLOW","args":[{"index":2,"value":4,"op":"SCMP_CMP_NE"}]}"#,
            false,
        ),
        ("ERRNO", r#"{"names":["read"],"action":"SCMP_ACT_ALLOW"}"#, false),
    ];
    for (default, rule, lets) in rows {
        let text = format!(r#"{{"defaultAction":"SCMP_ACT_{default}","syscalls":[{rule}]}}"#);
        let profile = Profile::from_json(&text).unwrap();
        assert_eq!(profile.always_lets("madvise"), lets, "{default} {rule}");
    }
}
