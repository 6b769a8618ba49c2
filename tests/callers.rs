//! Promise: who starts pinfold by sudo can neither read nor write what it could not itself, through any
//! option, bundle field or error text (docs/callers.md).
//!
//! Each attempt runs in a mount namespace of its own, with an account, a sudoers fragment (the shipped one)
//! and a policy that allows nearly everything: what refuses is the caller's own lack of rights. A control
//! runs the same as root, and must reach what the attempt must not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "callers/attempts.rs"]
mod attempts;
#[path = "callers/host.rs"]
mod host;
#[path = "callers/service.rs"]
mod service;
mod support;

use std::collections::BTreeSet;

use attempts::{ATTEMPTS, Attempt, OPTIONS, Option_};
use host::{As, Host, MARK, REACHED};
use service::Service;
use support::Ran;

#[test]
fn the_shipped_fragment_is_sudoers_and_lets_no_variable_through() {
    let host = Host::new();
    let checked = host.shell(As::Root, "visudo -c -f \"$FRAGMENT\" && visudo -c");
    assert!(checked.out.contains("parsed OK"), "{checked:?}");
    host.shell(As::Caller, "$P features >/dev/null && echo ran").ok();
    for (what, line) in [
        ("a variable", "sudo -n SUDO_UID=0 \"$PINFOLD\" features"),
        ("the environment", "SUDO_UID=0 sudo -n -E \"$PINFOLD\" features"),
        ("one by name", "SUDO_UID=0 sudo -n --preserve-env=SUDO_UID \"$PINFOLD\" features"),
        ("another program", "sudo -n /bin/true"),
        ("another user", "sudo -n -u daemon \"$PINFOLD\" features"),
        ("another group", "sudo -n -g daemon \"$PINFOLD\" features"),
        ("a shell", "sudo -n -s"),
        ("another root directory", "sudo -n -R \"$HOMEDIR\" \"$PINFOLD\" features"),
        ("another directory", "sudo -n -D / \"$PINFOLD\" features"),
    ] {
        let ran = host.shell(As::Caller, line);
        assert!(ran.code() != 0 && ran.out.is_empty(), "{what}: {ran:?}");
        assert!(ran.err.contains("sudo"), "{what}: it is sudo that refuses: {ran:?}");
    }
    // What sudo sets is what pinfold sees, and nothing else of the caller's.
    let seen = host.shell(
        As::Caller,
        "SUDO_UID=0 SUDO_GID=0 LD_PRELOAD=/x XDG_RUNTIME_DIR=/x PYTHONPATH=/x sudo -n \"$PINFOLD\" state none; true",
    );
    assert!(seen.err.contains("does not exist"), "{seen:?}");
    assert!(host.shell(As::Caller, "SUDO_UID=0 $P --root \"$ROOTS/w/state\" list").code() != 0);
}

/// The table is compared with the definition of the command line: an option that is new is classified,
/// and one that names something of the host has an attempt.
#[test]
fn every_option_is_in_the_table() {
    let mut command = pinfold::cli::command();
    command.build();
    let mut known = BTreeSet::new();
    let mut add = |verb: &str, command: &clap::Command| {
        for arg in command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
        {
            known.insert(
                format!("{verb} {}", arg.get_long().unwrap_or(arg.get_id().as_str())).trim().to_owned(),
            );
        }
    };
    add("", &command);
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        add(verb.get_name(), verb);
        // `explain sandbox` has the options of `sandbox`.
        for below in verb.get_subcommands().filter(|below| !matches!(below.get_name(), "help" | "sandbox")) {
            add(&format!("{} {}", verb.get_name(), below.get_name()), below);
        }
    }
    let globals: BTreeSet<_> = known.iter().filter(|name| !name.contains(' ')).cloned().collect();
    let listed: BTreeSet<_> = OPTIONS.iter().flat_map(Option_::names).collect();
    let unlisted: Vec<_> = known.difference(&listed).filter(|name| !is_global(name, &globals)).collect();
    assert!(unlisted.is_empty(), "options without a row in tests/callers/attempts.rs: {unlisted:?}");
    let gone: Vec<_> = listed.difference(&known).collect();
    assert!(gone.is_empty(), "rows of options that are not there: {gone:?}");
    let tried: BTreeSet<_> = ATTEMPTS.iter().map(|attempt| attempt.option).collect();
    for option in OPTIONS.iter().filter(|option| option.names_something()) {
        for name in option.names() {
            let by_socket = name.ends_with("socket");
            assert!(
                by_socket || tried.contains(name.as_str()),
                "{name} names something, and nothing tries it"
            );
        }
    }
}

fn is_global(name: &str, globals: &BTreeSet<String>) -> bool {
    name.rsplit_once(' ').is_some_and(|(_, option)| globals.contains(option))
}

#[test]
fn the_caller_reaches_nothing_of_root_s() {
    let host = Host::new();
    let mut reached = vec![];
    for attempt in ATTEMPTS {
        let (got, ran) = attempt_of(&host, As::Caller, attempt);
        if !got.is_empty() || (ran.code() == 0 && ran.err.is_empty()) {
            reached.push((attempt.what, got, ran));
        }
    }
    assert!(reached.is_empty(), "{reached:#?}");
}

/// Each attempt has teeth: root gets there by the same words.
#[test]
fn the_same_words_reach_it_as_root() {
    let host = Host::new();
    let tried = ATTEMPTS.iter().map(|attempt| (attempt.what, attempt_of(&host, As::Root, attempt)));
    let vain: Vec<_> = tried.filter(|(_, (got, _))| got.is_empty()).collect();
    assert!(vain.is_empty(), "controls that do not reach it: {vain:#?}");
}

/// Who comes by sudo has none of the verbs of images, nor `--image`, nor the audit log; root has them.
#[test]
fn images_and_the_audit_log_are_roots_alone() {
    let host = Host::new();
    let verbs = [
        "image import \"dir:$ROOTS/hidden\"",
        "audit show \"$ROOTS/secret\"",
        "audit verify \"$ROOTS/secret\"",
        "audit export \"$ROOTS/secret\"",
        "audit head \"$ROOTS/secret\"",
        "image list",
        "image inspect none",
        "image verify",
        "image remove none",
        "image commit none \"$ROOTS/hidden\" --name x",
        "image gc",
        "image export none \"oci:$ROOTS/w/out\"",
        "image bundle none \"$ROOTS/w/out\"",
        "sandbox --image none -- true",
        "selftest escapes --runtime \"$ROOTS/hidden\"",
        "selftest probe euid",
        "surface --diff \"$ROOTS/secret\" \"$ROOTS/secret\"",
        "sandbox --image oci:$ROOTS/hidden -- true",
    ];
    for verb in verbs {
        let script = format!("$P --store \"$PWD/store\" {verb}");
        let ran = host.shell(As::Caller, &script);
        // With a policy a store of the caller's choice is refused first.
        let refused =
            ["root's alone", "--store: refused by policy"].iter().any(|text| ran.err.contains(text));
        assert!(ran.code() != 0 && refused, "{verb}: {ran:?}");
        let control = host.shell(As::Root, &script);
        assert!(!control.err.contains("root's alone"), "{verb}: {control:?}");
    }
}

/// What an attempt got: a text of root's, or a change of what is root's.
fn attempt_of(host: &Host, who: As, attempt: &Attempt) -> (Vec<String>, Ran) {
    let before = host.roots();
    let ran = host.shell(who, attempt.script);
    let told = format!("{}{}{}", ran.out, ran.err, host.written_by_caller());
    let mut got: Vec<_> =
        [MARK, REACHED].iter().filter(|text| told.contains(**text)).map(|text| (*text).to_owned()).collect();
    let changed = host.roots().into_iter().filter(|(path, now)| before.get(path) != Some(now));
    got.extend(changed.map(|(path, _)| path));
    host.forget_caller();
    (got, ran)
}

/// `--console-socket` and `--pidfd-socket`: a socket that everybody sees and root alone may connect to.
#[test]
fn a_socket_of_root_s_gets_nothing() {
    let host = Host::new();
    let tty =
        "jq '.process.terminal = true' bundle/config.json >tty.json; tty='-f tty.json --console-socket'";
    let exec = "$P sandbox -d --name $ID sleep 20 >/dev/null; $P exec";
    for (what, script) in [
        (
            "create --pidfd-socket",
            "$P create -b bundle --pidfd-socket \"$ROOTS/shared/socket\" $ID".to_owned(),
        ),
        ("run --pidfd-socket", "$P run -b bundle --pidfd-socket \"$ROOTS/shared/socket\" $ID".to_owned()),
        ("exec --pidfd-socket", format!("{exec} --pidfd-socket \"$ROOTS/shared/socket\" $ID true")),
        ("create --console-socket", format!("{tty}; $P create -b bundle $tty \"$ROOTS/shared/socket\" $ID")),
        ("run --console-socket", format!("{tty}; $P run -d -b bundle $tty \"$ROOTS/shared/socket\" $ID")),
        ("exec --console-socket", format!("{exec} -d -t --console-socket \"$ROOTS/shared/socket\" $ID true")),
    ] {
        let script = format!("{script}; code=$?; $P delete -f $ID; exit $code");
        let ran = host.shell(As::Caller, &script);
        assert!(ran.code() != 0 && ran.err.contains("EACCES"), "{what}: {ran:?}");
        assert!(host.socket.accept().is_err(), "{what}: it was connected to");
        let control = host.shell(As::Root, &script);
        assert!(host.socket.accept().is_ok(), "{what}: the control did not connect: {control:?}");
        host.forget_caller();
    }
}

/// What a caller by sudo is for: its own bundles and workspaces, in a state directory of its own.
#[test]
fn the_caller_s_own_things_work() {
    let host = Host::new();
    host.shell(
        As::Caller,
        r#"set -eux
        test "$($P run -b bundle $ID)" = ran
        mkdir work; echo mine >work/in
        $P --log log sandbox --report report --rw "$PWD/work:/work" -- sh -c 'cat in >out; id -u >>out'
        test "$(cat work/out)" = "mine
1000"
        test "$(stat -c %u work/out)" = 41234; test "$(stat -c %u report)" = 41234
        $P create -b bundle --pid-file pid $ID; test "$(stat -c %u pid)" = 41234
        $P state $ID | jq -e '.owner == "pinfold-caller"'
        $P start $ID; $P delete -f $ID
        test "$(stat -c %u bundle/rootfs)" = 41234
        $P sandbox --rootfs "$PWD/bundle/rootfs" -- /bin/ls -ln / >listing || true
        "#,
    )
    .ok();
}

#[test]
fn one_caller_does_not_see_another_s_containers() {
    let host = Host::new();
    host.shell(
        As::Root,
        r#"set -eux
        by() { uid=$1; shift; SUDO_UID=$uid SUDO_GID=$uid "$P" "$@"; }
        # `! command` never ends a shell with -e.
        refused() { if by "$@"; then exit 1; fi; }
        by 41234 sandbox -d --name $ID sleep 20
        test "$(by 41234 list -q)" = $ID
        test "$(by 41299 list -q)" = "" && test "$($P list -q)" = ""
        for verb in 'kill' 'delete -f' 'state' 'pause' 'exec'; do
            case $verb in exec) refused 41299 exec $ID true;; *) by 41299 $verb $ID 2>&1 || true;; esac
        done
        refused 41299 --root /run/pinfold/@callers/41234 list
        by 41234 state $ID | jq -e '.status == "running"'
        # An id that another caller has, and its own group.
        by 41299 sandbox -d --name $ID sleep 20
        by 41299 delete -f $ID
        by 41234 state $ID | jq -e '.status == "running"'
        by 41234 delete -f $ID
        rmdir /sys/fs/cgroup/*/pinfold-callers/41299 /sys/fs/cgroup/pinfold-callers/41299 2>/dev/null || true
        "#,
    )
    .ok();
}

/// Who comes by sudo can neither set the lockdown, nor lift it, nor end what is others'; all three reach it.
#[test]
fn the_lockdown_is_root_s_alone() {
    let host = Host::new();
    host.shell(
        As::Root,
        r#"set -eux
        by() { SUDO_UID=41234 SUDO_GID=41234 "$P" "$@"; }
        refused() { if by "$@" 2>err; then exit 1; fi; cat err >&2; }
        by sandbox -d --name $ID sleep 100
        refused lockdown; grep "root's alone" err; test ! -e /etc/pinfold/lockdown
        refused kill --all-sandboxes; grep "root's alone" err
        by state $ID | jq -e '.status == "running"'
        $P lockdown
        refused sandbox -- echo ran; grep 'rule lockdown' err
        refused exec $ID true; grep 'rule lockdown' err
        refused lockdown --lift; grep "root's alone" err; test -e /etc/pinfold/lockdown
        by lockdown --status
        $P kill --all-sandboxes | grep "^$ID\$"
        by state $ID | jq -e '.status == "stopped"'
        by delete $ID
        $P lockdown --lift
        by sandbox -- true
        "#,
    )
    .ok();
}

/// What sudo says must be a number; and where the policy wants it, it must be there.
#[test]
fn who_calls_is_known_or_nothing_is_launched() {
    let host = Host::new();
    for uid in ["", "x", "-1", "+1", "01", "4294967295", "4294967296", "41234 ", "root"] {
        let ran = host.shell(As::Root, &format!("SUDO_UID='{uid}' SUDO_GID=41234 $P sandbox true"));
        assert!(ran.code() != 0 && ran.err.contains("sudo does not say"), "{uid:?}: {ran:?}");
    }
    let ran = host.shell(As::Root, "SUDO_UID=41234 $P sandbox true");
    assert!(ran.code() != 0 && ran.err.contains("SUDO_GID"), "{ran:?}");
    host.shell(As::Root, "SUDO_UID=0 $P sandbox --ro \"$ROOTS/secret:/s\" -- cat /s").ok();
    let policy = std::fs::read_to_string(host.dir.join("policy.toml")).unwrap();
    host.dir.write("policy.toml", &format!("{policy}\n[callers]\nsudo = \"required\"\n"));
    for call in ["$P sandbox true", "SUDO_UID=0 $P sandbox true", "$P run -b bundle $ID"] {
        let ran = host.shell(As::Root, call);
        assert!(ran.code() != 0 && ran.err.contains("(rule callers.sudo, "), "{call}: {ran:?}");
    }
    let check = host.shell(As::Root, "$P policy check bundle");
    assert!(check.code() == 120 && check.out.contains("(rule callers.sudo, "), "{check:?}");
    host.shell(As::Caller, "$P sandbox true").ok();
    host.dir.write("policy.toml", &format!("{policy}\n[callers]\nsudo = \"root\"\n"));
    assert!(host.shell(As::Caller, "$P sandbox --ro \"$ROOTS/secret:/s\" -- cat /s").ok().contains(MARK));
    // In audit mode what root's rights are asked for is refused all the same.
    host.dir.write("policy.toml", &policy.replace("version = 1", "version = 1\nmode = \"audit\""));
    let ran = host.shell(As::Caller, "jq '.linux.namespaces -= [{\"type\": \"user\"}] | del(.linux.uidMappings, .linux.gidMappings)' bundle/config.json >c.json; $P run -b bundle -f c.json $ID");
    assert!(ran.code() != 0 && ran.err.contains("(rule callers.user_namespace, "), "{ran:?}");
    // A policy that cannot be read: nobody is believed to be root.
    host.dir.write("policy.toml", "version = 2\n");
    let ran = host.shell(As::Caller, "$P --log \"$ROOTS/w/log\" state none");
    assert!(ran.code() != 0 && host.dir.join("roots/w/log").metadata().is_err(), "{ran:?}");
}

#[test]
fn the_shipped_unit_is_one() {
    let service = Service::new();
    let unit = include_str!("../examples/callers/pinfold-gateway.service");
    let unit = unit.replace("/usr/local/bin/agent-gateway", "/bin/true");
    let file = service.dir.write("pinfold-gateway.service", &unit);
    let checked = support::run(std::process::Command::new("systemd-analyze").arg("verify").arg(file));
    assert!(checked.ok().is_empty() && checked.err.is_empty(), "{checked:?}");
}

/// pinfold works inside the unit, and there the gateway neither changes the policy nor starts another runtime.
#[test]
fn a_gateway_in_its_unit_has_pinfold_and_nothing_else() {
    let service = Service::new();
    let works = service.gateway(
        true,
        r#"set -eux
        echo mine >work/in
        $P sandbox --rw "$DIR/work:/work" -- sh -c 'cat in; echo out >out'; cat work/out
        $P run -b bundles/b $ID; $P create -b bundles/b $ID; $P start $ID; $P delete -f $ID
        $P sandbox -d --name $ID sleep 20; $P exec $ID echo again; $P delete -f $ID"#,
    );
    assert_eq!(
        works.ok().lines().filter(|line| !line.contains("pinfold-test")).collect::<Vec<_>>(),
        ["mine", "out", "ran", "ran", "again"],
        "{works:?}"
    );
    let refused = service.gateway(true, r#"$P sandbox --ro /var:/var2 -- true"#);
    assert!(refused.code() == 120 && refused.err.contains("(rule bind.source, "), "{refused:?}");
    for (what, script) in [
        ("the policy is written", "echo version = 1 >/etc/pinfold/policy.toml"),
        ("the policy is removed", "rm /etc/pinfold/policy.toml"),
        ("the policy is moved away", "mv /etc/pinfold /etc/pinfold.old"),
        ("another file is put beside it", "touch /etc/pinfold/x"),
        ("sudoers", "touch /etc/sudoers.d/x"),
        ("a unit", "touch /etc/systemd/system/x.service"),
        ("runc", "/usr/bin/runc | grep STARTED"),
        ("crun", "/usr/bin/crun | grep STARTED"),
        ("podman", "/usr/bin/podman | grep STARTED"),
        ("docker", "/usr/bin/docker | grep STARTED"),
        ("systemd-run", "/usr/bin/systemd-run | grep STARTED"),
        ("a module", "grep -q '^CapBnd:.*[13579bdf]....$' /proc/self/status"),
    ] {
        let ran = service.gateway(true, script);
        assert!(ran.code() != 0, "{what}: {ran:?}");
        service.gateway(false, script).ok();
    }
}
