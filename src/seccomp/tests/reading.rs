//! Reading profiles: what is accepted, and which field an error names.

use crate::seccomp::{Action, Arch, Condition, Flag, Host, Operator, Profile};

const HOST: Host<'_> = Host { capabilities: &["CAP_SYS_ADMIN", "CAP_KILL"], kernel: (5, 10) };

fn names(profile: &Profile) -> Vec<&'static str> {
    profile.rules.iter().flat_map(|rule| &rule.calls).map(|call| call.name).collect()
}

#[test]
fn an_oci_profile_is_read_the_same_from_text_and_from_types() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_PPC64LE"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "listenerPath": "/run/agent.sock", "listenerMetadata": "id",
        "syscalls": [
            {"names": ["read", "sys_of_tomorrow"], "action": "SCMP_ACT_NOTIFY"},
            {"names": ["clone"], "action": "SCMP_ACT_TRACE", "errnoRet": 300,
             "args": [{"index": 5, "value": 18446744073709551615, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}]}
        ]}"#;
    let profile = Profile::from_json(text).unwrap();
    assert_eq!(profile.default_action, Action::Errno(38));
    assert_eq!(profile.architectures, [Arch::X86_64, Arch::X32]);
    assert_eq!(profile.flags, [Flag::Log, Flag::SpecAllow]);
    assert_eq!(profile.filter_flags(), 2 | 4 | 8);
    assert_eq!(profile.listener_path.as_deref(), Some("/run/agent.sock".as_ref()));
    assert_eq!(profile.listener_metadata.as_deref(), Some("id"));
    assert_eq!(profile.unknown_names, ["sys_of_tomorrow"]);
    assert_eq!(names(&profile), ["read", "clone"]);
    assert_eq!(profile.rules[0].action, Action::Notify);
    assert_eq!(profile.rules[1].action, Action::Trace(300));
    let condition = Condition { index: 5, operator: Operator::MaskedEq, value: u64::MAX, value_two: 7 };
    assert_eq!(profile.rules[1].conditions, [condition]);
    let typed = serde_json::from_str(text).unwrap();
    assert_eq!(Profile::from_oci(&typed).unwrap(), profile);
    assert_eq!(Profile::from_docker_json(text, &HOST).unwrap(), profile);
}

#[test]
fn an_error_names_the_field() {
    let whole = [
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "/defaultAction"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#, "/defaultErrnoRet"),
        (r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#, "/defaultErrnoRet"),
        (r#"{"defaultAction": "SCMP_ACT_TRACE", "defaultErrnoRet": 65536}"#, "/defaultErrnoRet"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}"#, "/listenerMetadata"),
    ];
    let rules = [
        (r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}"#, "/syscalls/1/errnoRet"),
        (r#"{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}"#, "/syscalls/1/errnoRet"),
        (r#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#, "/syscalls/1/names"),
        (r#"{"names": ["read", ""], "action": "SCMP_ACT_ALLOW"}"#, "/syscalls/1/names/1"),
        (r#"{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}"#, "/syscalls/1/names"),
        (r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#, "/listenerPath"),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
            "/syscalls/1/args/1/index",
        ),
    ];
    let first = r#"{"names": ["dup"], "action": "SCMP_ACT_ALLOW"}"#;
    let rules = rules.map(|(rule, field)| {
        (format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{first}, {rule}]}}"#), field)
    });
    let whole = whole.map(|(text, field)| (text.to_owned(), field));
    for (text, field) in whole.into_iter().chain(rules) {
        let error = Profile::from_json(&text).unwrap_err();
        assert_eq!(error.field_name(), Some(field), "{text}: {error}");
        let typed = Profile::from_oci(&serde_json::from_str(&text).unwrap()).unwrap_err();
        assert_eq!(typed.field_name(), Some(format!("/linux/seccomp{field}").as_str()), "{text}: {typed}");
    }
}

#[test]
fn what_only_text_can_get_wrong_is_an_error_too() {
    let rule = |rest: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{{rest}}}]}}"#);
    let rows = [
        (
            r#"{"defaultAction": "SCMP_ACT_FORGIVE"}"#.to_owned(),
            "/defaultAction SCMP_ACT_FORGIVE: unknown action",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86"]}"#.to_owned(),
            "/architectures/0 x86",
        ),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["LOG"]}"#.to_owned(), "/flags/0 LOG"),
        (rule(r#""names": ["read"], "action": "ALLOW""#), "/syscalls/0/action ALLOW"),
        (
            rule(
                r#""names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "="}]"#,
            ),
            "/syscalls/0/args/0/op =",
        ),
        // `arg` for `args` would allow everything.
        (rule(r#""names": ["dup"], "action": "SCMP_ACT_ALLOW", "arg": []"#), "unknown field `arg`"),
        (
            rule(r#""names": ["dup"], "names": ["read"], "action": "SCMP_ACT_ALLOW""#),
            "duplicate field `names`",
        ),
        (
            rule(r#""names": ["dup"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_KILL"]}"#),
            "/includes",
        ),
        (rule(r#""names": ["dup"], "name": "read", "action": "SCMP_ACT_ALLOW""#), "/syscalls/0/name"),
        (
            rule(r#""names": ["dup"], "action": "SCMP_ACT_ERRNO", "errno": "EWHAT""#),
            "/syscalls/0/errno EWHAT",
        ),
        ("{".to_owned(), "EOF"),
    ];
    for (text, part) in rows {
        let error = Profile::from_json(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn dockers_form_is_resolved() {
    let native = Arch::NATIVE.unwrap();
    let (own, other) = match native {
        Arch::X86_64 => ("amd64", "arm64"),
        _ => ("arm64", "amd64"),
    };
    let rows = [
        ("", true),
        (r#""includes": {}, "excludes": {}, "args": [], "comment": """#, true),
        (r#""includes": null, "excludes": null, "args": null"#, true),
        (r#""includes": {"caps": ["CAP_SYS_ADMIN", "CAP_KILL"]}"#, true),
        (r#""includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#, false),
        (r#""excludes": {"caps": ["CAP_BPF", "CAP_KILL"]}"#, false),
        (r#""excludes": {"caps": ["CAP_BPF"]}"#, true),
        (&format!(r#""includes": {{"arches": ["x32", "{own}"]}}"#), true),
        (&format!(r#""includes": {{"arches": ["{other}"]}}"#), false),
        (&format!(r#""excludes": {{"arches": ["{own}"]}}"#), false),
        (r#""includes": {"minKernel": "4.8"}"#, true),
        (r#""includes": {"minKernel": "5.10"}"#, true),
        (r#""includes": {"minKernel": "5.11"}"#, false),
        (r#""excludes": {"minKernel": "5.9"}"#, false),
        (r#""excludes": {"minKernel": "6.0"}"#, true),
    ];
    for (rest, kept) in rows {
        let comma = if rest.is_empty() { "" } else { "," };
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS",
                "archMap": [{{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}},
                            {{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}}],
                "syscalls": [{{"name": "dup", "action": "SCMP_ACT_ALLOW"{comma}{rest}}}]}}"#
        );
        let profile = Profile::from_docker_json(&text, &HOST).unwrap();
        assert_eq!(names(&profile) == ["dup"], kept, "{rest}");
        assert_eq!(profile.default_action, Action::Errno(38));
        let sub = if native == Arch::X86_64 { Arch::X86 } else { Arch::Arm };
        assert_eq!(profile.architectures, [native, sub]);
    }
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "five"}}]}"#;
    let error = Profile::from_docker_json(text, &HOST).unwrap_err();
    assert_eq!(error.field_name(), Some("/syscalls/0/includes/minKernel"));
}

#[test]
fn every_architecture_of_the_specification_is_read() {
    use oci_spec::runtime::Arch as Oci;
    let all = [
        Oci::ScmpArchNative,
        Oci::ScmpArchX86,
        Oci::ScmpArchX86_64,
        Oci::ScmpArchX32,
        Oci::ScmpArchArm,
        Oci::ScmpArchAarch64,
        Oci::ScmpArchMips,
        Oci::ScmpArchMips64,
        Oci::ScmpArchMips64n32,
        Oci::ScmpArchMipsel,
        Oci::ScmpArchMipsel64,
        Oci::ScmpArchMipsel64n32,
        Oci::ScmpArchPpc,
        Oci::ScmpArchPpc64,
        Oci::ScmpArchPpc64le,
        Oci::ScmpArchS390,
        Oci::ScmpArchS390x,
        Oci::ScmpArchParisc,
        Oci::ScmpArchParisc64,
        Oci::ScmpArchRiscv64,
        Oci::ScmpArchLoongarch64,
        Oci::ScmpArchM68k,
        Oci::ScmpArchSh,
        Oci::ScmpArchSheb,
    ];
    for arch in all {
        let text =
            serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch.to_string()]});
        let profile = Profile::from_json(&text.to_string()).unwrap();
        let typed = serde_json::from_value(
            serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch]}),
        );
        assert_eq!(Profile::from_oci(&typed.unwrap()).unwrap(), profile, "{arch}");
        let known = Arch::ALL.iter().any(|ours| ours.oci_name() == arch.to_string());
        assert_eq!(profile.architectures.len(), usize::from(known || arch == Oci::ScmpArchNative), "{arch}");
    }
}
