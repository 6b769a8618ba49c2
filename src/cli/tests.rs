use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use super::*;
use crate::types::{Access, CapArg, NetworkMode};

fn words(line: &str) -> Vec<OsString> {
    std::iter::once("pinfold").chain(line.split_whitespace()).map(OsString::from).collect()
}

fn parse(line: &str) -> Cli {
    parse_from(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refuse(line: &str) -> clap::Error {
    parse_from(words(line)).expect_err(line)
}

fn sandbox(line: &str) -> SandboxArgs {
    match parse(&format!("sandbox {line}")).verb {
        Verb::Sandbox(args) => *args,
        _ => panic!("{line}: not a sandbox"),
    }
}

fn exec(line: &str) -> ExecArgs {
    match parse(line).verb {
        Verb::Exec(args) => *args,
        _ => panic!("{line}: not an exec"),
    }
}

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
}

#[test]
fn the_first_help_page_has_every_verb_with_its_own_words() {
    let listed = help::VERBS.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
    let listed = listed.map(|(name, about)| (name.trim(), about.trim())).collect::<BTreeSet<_>>();
    let command = command();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let defined = shown.map(|verb| (verb.get_name(), verb.get_about().unwrap().to_string()));
    let defined = defined.collect::<Vec<_>>();
    assert_eq!(listed, defined.iter().map(|(name, about)| (*name, about.as_str())).collect());
}

#[test]
fn a_verb_s_own_page_begins_with_its_line_of_the_first_page() {
    let short = command();
    let mut built = command();
    built.build();
    for verb in short.get_subcommands() {
        let page = built.find_subcommand(verb.get_name()).unwrap();
        assert_eq!(page.get_about().map(ToString::to_string), verb.get_about().map(ToString::to_string));
    }
}

#[test]
fn every_verb_knows_its_own_name() {
    let lines = [
        "create c",
        "start c",
        "state c",
        "kill c",
        "delete c",
        "run c",
        "exec c true",
        "list",
        "ps c",
        "pause c",
        "resume c",
        "update c",
        "events c",
        "checkpoint",
        "restore",
        "spec",
        "features",
        "sandbox true",
        "explain",
        "lint",
        "policy init",
        "image list",
        "audit head",
        "lockdown",
        "doctor",
        "selftest escapes",
        "surface",
        "gc",
        "completion bash",
        "man",
    ];
    for line in lines {
        let verb = parse(line).verb;
        assert_eq!(Some(verb.name()), line.split(' ').next());
        let named = line.split(' ').nth(1) == Some("c");
        assert_eq!(verb.container(), named.then_some("c"), "{line}");
        assert_eq!(verb_of(&words(line)).as_deref(), Some(verb.name()));
    }
    assert_eq!(lines.len(), command().get_subcommands().count());
}

/// Callers such as podman put their own options in front of those of their caller.
#[test]
fn of_a_global_option_the_last_one_counts() {
    let global = parse("--root /a --log-format text --root /b --debug --debug --log-format json list").global;
    assert_eq!(global.root.unwrap().as_path(), Path::new("/b"));
    assert_eq!(global.log_format, LogFormat::Json);
    refuse("--systemd-cgroup --cgroup-manager cgroupfs list");
}

#[test]
fn the_verb_is_found_behind_global_options_even_if_the_rest_is_wrong() {
    let rows = [
        ("--root run --debug sandbox --nonsense", Some("sandbox")),
        ("--root=/x --log-format json exec", Some("exec")),
        ("--systemd-cgroup delete", Some("delete")),
        ("--nonsense state", Some("state")),
        ("nonsense", None),
        ("--root", None),
        ("", None),
    ];
    for (line, verb) in rows {
        assert_eq!(verb_of(&words(line)).as_deref(), verb, "{line}");
    }
}

#[test]
fn global_options_are_runc_s_and_crun_s() {
    let line = "--root /r --log /l --log-format json --debug --systemd-cgroup --rootless true --criu x list";
    let global = parse(line).global;
    assert_eq!(global.root.as_ref().map(|root| root.as_path()), Some(Path::new("/r")));
    assert_eq!((global.log_format, global.debug, global.rootless), (LogFormat::Json, true, Rootless::True));
    assert_eq!(global.cgroup_manager(), CgroupManager::Systemd);
    assert_eq!(parse("list").global.cgroup_manager(), CgroupManager::Cgroupfs);
    assert_eq!(parse("list").global.rootless, Rootless::Auto);
    assert_eq!(parse("--rootless=f list").global.rootless, Rootless::False);
    let disabled = parse("--cgroup-manager=disabled list").global;
    assert_eq!(disabled.cgroup_manager(), CgroupManager::Disabled);
    refuse("--systemd-cgroup --cgroup-manager cgroupfs list");
    refuse("--log-format xml list");
    refuse("--rootless maybe list");
    refuse("--root= list");
    refuse("list --root /r");
}

#[test]
fn options_may_stand_before_or_after_the_id() {
    for line in ["create -b /b --pid-file p c", "create c -b /b --pid-file p", "create -b /b c --pid-file=p"]
    {
        let Verb::Create(args) = parse(line).verb else { panic!("{line}") };
        assert_eq!(args.launch.id.as_str(), "c", "{line}");
        assert_eq!(args.launch.bundle.unwrap().as_path(), Path::new("/b"), "{line}");
        assert_eq!(args.launch.pid_file.unwrap().as_path(), Path::new("p"), "{line}");
    }
    for line in ["kill --all c KILL", "kill c KILL --all", "kill c -a 9", "kill -a c sigkill"] {
        let Verb::Kill(args) = parse(line).verb else { panic!("{line}") };
        assert_eq!(
            (args.id.as_deref().unwrap_or_default(), args.signal.number(), args.all),
            ("c", 9, true),
            "{line}"
        );
    }
    let Verb::Kill(args) = parse("kill c").verb else { panic!("kill") };
    assert_eq!((args.signal.number(), args.all), (15, false));
    assert!(
        matches!(parse("kill --regex c.* KILL").verb, Verb::Kill(args) if args.regex && args.id.as_deref() == Some("c.*"))
    );
    assert!(matches!(parse("delete -r ^c").verb, Verb::Delete(args) if args.regex));
    for line in ["checkpoint c", "checkpoint --image-path /x c", "restore --nonsense"] {
        assert!(matches!(parse(line).verb, Verb::Checkpoint(_) | Verb::Restore(_)), "{line}");
    }
    for line in ["delete --force c", "delete c -f"] {
        assert!(matches!(parse(line).verb, Verb::Delete(args) if args.force), "{line}");
    }
}

#[test]
fn create_and_run_have_all_of_runc_s_flags() {
    let line = "run --bundle /b --config x.json --console-socket s --pid-file p --pidfd-socket q --preserve-fds 3 \
                --no-pivot --no-new-keyring --detach --keep --no-subreaper c";
    let Verb::Run(args) = parse(line).verb else { panic!("run") };
    let launch = &args.launch;
    assert_eq!(launch.preserve_fds, 3);
    assert!(launch.config.is_some() && launch.console_socket.is_some() && launch.pidfd_socket.is_some());
    assert!(launch.no_pivot && launch.no_new_keyring && args.detach && args.keep && args.no_subreaper);
    refuse("create --detach c");
    refuse("create");
    refuse("create a/b");
    refuse("run c extra");
    refuse("run --preserve-fds -1 c");
    // As in runc the last one counts.
    assert!(matches!(parse("run -b /a -b /b c").verb, Verb::Run(args) if args.launch.bundle.as_ref()
        .is_some_and(|bundle| bundle.as_path() == Path::new("/b"))));
}

#[test]
fn the_arguments_of_exec_are_kept_raw() {
    let rows: [(&str, &[&str]); 6] = [
        ("exec c sh -c true", &["sh", "-c", "true"]),
        ("exec -t c sh -t --cwd /x", &["sh", "-t", "--cwd", "/x"]),
        ("exec c -- sh -- -x", &["sh", "--", "-x"]),
        ("exec c sh -- -x", &["sh", "--", "-x"]),
        ("exec -- c ls -l", &["ls", "-l"]),
        ("exec c ls --help", &["ls", "--help"]),
    ];
    for (line, expected) in rows {
        let args = exec(line);
        assert_eq!(args.id.as_str(), "c", "{line}");
        assert_eq!(args.command, expected, "{line}");
    }
    assert!(exec("exec c -t sh").tty && exec("exec -t c sh").tty);
    assert!(!exec("exec c sh -t").tty);
}

#[test]
fn exec_has_all_of_runc_s_flags() {
    let args = exec(
        "exec --cwd /w -e A=b -e C --user 1:2 -g 3 -g 4 -d --pid-file p --console-socket s --pidfd-socket q \
         --preserve-fds 1 --no-new-privs -c CAP_KILL --cap net_raw --process-label l --apparmor a \
         --cgroup memory:x --ignore-paused c true",
    );
    assert_eq!((args.env.len(), args.additional_gids.len(), args.cap.len()), (2, 2, 2));
    assert!(args.detach && args.no_new_privs && args.ignore_paused && args.user.is_some());
    assert_eq!(args.cgroup, ["memory:x"]);
    let args = exec("exec --process p.json --pid-file p --tty --detach c");
    assert!(args.command.is_empty() && args.process.is_some());
    refuse("exec c");
    refuse("exec --process p.json c true");
    refuse("exec --process p.json --no-new-privs c");
    refuse("exec --process p.json --cap KILL c");
    refuse("exec --user -1 c true");
    refuse("exec --cwd relative c true");
    refuse("exec --nonsense c true");
}

#[test]
fn ps_passes_on_what_follows_the_id() {
    let Verb::Ps(args) = parse("ps --format json c").verb else { panic!("ps") };
    assert_eq!((args.format, args.ps_args.len()), (ListFormat::Json, 0));
    let Verb::Ps(args) = parse("ps c -o pid,cmd -f").verb else { panic!("ps") };
    assert_eq!(
        (args.format, args.ps_args),
        (ListFormat::Table, ["-o", "pid,cmd", "-f"].map(OsString::from).into())
    );
}

#[test]
fn the_other_verbs_have_runc_s_flags() {
    assert!(
        matches!(parse("list -q -f json").verb, Verb::List(args) if args.quiet && args.format == ListFormat::Json)
    );
    assert!(matches!(parse("events --stats c").verb, Verb::Events(args) if args.stats));
    let Verb::Events(args) = parse("events --interval=10s c").verb else { panic!("events") };
    assert_eq!(args.interval.duration().as_secs(), 10);
    let Verb::Update(args) = parse("update -r - c").verb else { panic!("update") };
    assert_eq!(args.resources, Some(crate::types::InputFile::Stdin));
    let line = "update c --memory -1 --memory-swap 1g --memory-reservation 0 --pids-limit -1 --cpu-quota -1 \
                --cpu-period 100000 --cpu-burst 1 --cpu-share 512 --cpu-idle 1 --cpu-rt-period 1 --cpu-rt-runtime 1 \
                --cpuset-cpus 0-1 --cpuset-mems 0 --blkio-weight 500 --l3-cache-schema x --mem-bw-schema y \
                --kernel-memory 1 --kernel-memory-tcp 1";
    let Verb::Update(args) = parse(line).verb else { panic!("update") };
    assert_eq!(args.memory.map(crate::types::SizeOrUnlimited::value), Some(-1));
    assert_eq!((args.pids_limit, args.cpu_quota, args.blkio_weight), (Some(-1), Some(-1), Some(500)));
    refuse("list --format yaml");
    refuse("events --interval 0 c");
    refuse("update --cpu-period x c");
    refuse("state");
    refuse("completion powershell");
}

#[test]
fn a_sandbox_is_its_options_and_then_a_command() {
    for line in ["-m 1g -- ls -l --color", "-m 1g ls -l --color"] {
        let args = sandbox(line);
        assert_eq!(args.command, ["ls", "-l", "--color"], "{line}");
        assert_eq!(args.limits.memory.unwrap().bytes(), 1 << 30);
    }
    assert_eq!(sandbox("-- -weird --memory").command, ["-weird", "--memory"]);
    assert_eq!(sandbox("sh -h x").command, ["sh", "-h", "x"]);
    refuse("sandbox");
    refuse("sandbox --");
    refuse("sandbox --privileged true");
    refuse("sandbox --publish 80:80 true");
    assert!(sandbox("--spec -").command.is_empty());
    assert!(sandbox("--entrypoint /bin/sh").command.is_empty());
}

#[test]
fn h_is_the_hostname_of_a_sandbox_and_help_elsewhere() {
    assert_eq!(sandbox("-h box true").identity.hostname.unwrap().as_str(), "box");
    for line in
        ["sandbox --help", "explain sandbox --help", "run -h", "run --help", "-h", "--help", "help run"]
    {
        assert_eq!(refuse(line).kind(), ErrorKind::DisplayHelp, "{line}");
    }
    refuse("sandbox -h");
}

#[test]
fn docker_s_options_that_are_the_default_are_accepted() {
    let args = sandbox("--rm --init --read-only -it --network none --cap-drop ALL true");
    assert!(args.life.rm && args.process.init && args.files.read_only == Some(true));
    assert!(args.process.interactive && args.process.tty);
    assert_eq!(args.identity.network, Some(NetworkMode::None));
    assert_eq!(args.privileges.cap_drop, [CapArg::All]);
}

#[test]
fn every_option_of_the_sandbox_takes_its_value() {
    let args = sandbox(
        "--rootfs /r --ro a --rw b:/w --mount type=tmpfs,dst=/t --tmpfs /u:1m -v /x:/y:ro -m 1g --memory-swap 2g \
         --cpus 0.5 --cpuset-cpus 0 --pids-limit 10 --ulimit nofile=10 --shm-size 1m --timeout 30s --grace 1s \
         --stdout-max 1m --stderr-max 1m -e A=b --env-file f --secret S=fd:3 -w /w -u 0 --group-add 5 -h n \
         --add-host a:127.0.0.1 --network host --cap-add KILL --cap-drop CHOWN --device /dev/fuse \
         --security-opt no-new-privileges --security-opt seccomp=p.json -t -i --rm --init --read-only \
         --entrypoint /e -d --name n --report fd:4 --strict --explain -- true",
    );
    assert_eq!(args.files.mounts.0.len(), 5);
    assert_eq!(args.limits.cpus.unwrap().quota(), 50_000);
    assert_eq!(
        (args.process.env.len(), args.process.secret.len(), args.privileges.security_opt.len()),
        (1, 1, 2)
    );
    assert!(args.life.detach && args.life.strict && args.life.explain && args.life.report.is_some());
}

#[test]
fn mounts_keep_the_order_in_which_they_were_typed() {
    let args = sandbox(
        "--tmpfs /a --rw x:/a/b -v /v:/a/b/c:ro --ro y:/a/d --mount type=bind,src=/m,dst=/e --rw z true",
    );
    let typed = args.files.mounts.0.iter().map(|mount| match mount {
        MountRequest::Bind { destination, access, .. } => (destination.to_string(), Some(*access)),
        MountRequest::Tmpfs(tmpfs) => (tmpfs.destination.to_string(), None),
    });
    let expected = [
        ("/a", None),
        ("/a/b", Some(Access::ReadWrite)),
        ("/a/b/c", Some(Access::ReadOnly)),
        ("/a/d", Some(Access::ReadOnly)),
        ("/e", Some(Access::ReadWrite)),
        ("/z", Some(Access::ReadWrite)),
    ];
    assert_eq!(typed.collect::<Vec<_>>(), expected.map(|(path, access)| (path.to_owned(), access)));
    assert!(sandbox("true").files.mounts.0.is_empty());
}

#[test]
fn contradictions_are_refused_by_name() {
    let rows = [
        ("-m 1g --memory-swap 512m true", "--memory-swap"),
        ("--memory-swap 256m true", "--memory-swap"),
        ("--cap-add KILL --cap-drop cap_kill true", "CAP_KILL is in both"),
        (
            "--security-opt no-new-privileges --security-opt no-new-privileges=false true",
            "no-new-privileges is given twice",
        ),
        ("--security-opt seccomp=a --security-opt seccomp=unconfined true", "seccomp is given twice"),
        ("--ro a:/x --rw b:/x true", "/x is given twice"),
        ("--tmpfs /x --ro b:/x/ true", "/x is given twice"),
        ("--ulimit nofile=1 --ulimit nofile=2 true", "RLIMIT_NOFILE is given twice"),
        ("--secret A=fd:3 --secret A=fd:4 true", "A is given twice"),
        ("--device /dev/fuse --device /dev/zero:/dev/fuse true", "/dev/fuse is given twice"),
        ("--memory 1g --memory 2g true", "--memory"),
        ("--network none --network host true", "--network"),
        ("--grace 5s true", "--timeout"),
    ];
    for (line, text) in rows {
        for verb in ["sandbox", "explain sandbox"] {
            let message = refuse(&format!("{verb} {line}")).to_string();
            assert!(message.contains(text) && message.contains("error"), "{line}: {message}");
        }
    }
    assert!(sandbox("--cap-drop ALL --cap-add KILL true").privileges.cap_add.len() == 1);
    refuse("explain /bundle sandbox true");
}

#[test]
fn a_bad_value_is_refused_with_the_option_s_name_and_what_is_accepted() {
    let rows = [
        ("--memory 0", "--memory", "greater than zero"),
        ("--memory 1x", "--memory", "512m"),
        ("--timeout -5", "--timeout", "30s"),
        ("--memory -1m", "--memory", "512m"),
        ("--pids-limit -1", "--pids-limit", "4194304"),
        ("--user -1", "--user", "a user or group"),
        ("--timeout=-5", "--timeout", "30s"),
        ("--timeout 0", "--timeout", "greater than zero"),
        ("--cpus 0", "--cpus", "0.01"),
        ("--pids-limit 0", "--pids-limit", "4194304"),
        ("--ulimit files=1", "--ulimit", "nofile"),
        ("--network bridge", "--network", "none or host"),
        ("--security-opt apparmor=x", "--security-opt", "seccomp=FILE"),
        ("--cap-add NOPE", "--cap-add", "CAP_NET_RAW"),
        ("--ro ../x", "--ro", "SRC:DST"),
        ("-v name:/x", "--volume", "no named volumes"),
        ("--report fd:x", "--report", "number"),
        ("--name a/b", "--name", "container ID"),
    ];
    for (line, option, accepted) in rows {
        let message = refuse(&format!("sandbox {line} true")).to_string();
        assert!(message.starts_with("error: "), "{line}: {message}");
        assert!(message.contains(option) && message.contains(accepted), "{line}: {message}");
    }
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    use std::os::unix::ffi::OsStringExt;
    let raw = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let line = [raw(b"pinfold"), raw(b"sandbox"), raw(b"--ro"), raw(b"/a\xff"), raw(b"/bin/\xfe")];
    let Verb::Sandbox(args) = parse_from(line).unwrap().verb else { panic!("sandbox") };
    assert_eq!(args.command, [raw(b"/bin/\xfe")]);
    assert_eq!(args.files.mounts.0[0].destination().as_path().as_os_str(), raw(b"/a\xff"));
    let line = [raw(b"pinfold"), raw(b"exec"), raw(b"-e"), raw(b"A=\xff"), raw(b"c"), raw(b"\xfd")];
    assert!(parse_from(line).is_ok());
}

#[test]
fn the_help_states_the_defaults_that_the_code_has() {
    let help = refuse("sandbox --help").to_string();
    for (option, default) in [
        ("--memory ", DEFAULT_MEMORY.to_string()),
        ("--cpus ", DEFAULT_CPUS.to_string()),
        ("--pids-limit ", DEFAULT_PIDS.to_string()),
        ("--shm-size ", DEFAULT_SHM.to_string()),
    ] {
        let text = help.split(option).nth(1).unwrap();
        let text = text.split("\n\n").next().unwrap();
        assert!(text.contains(&format!("(default: {default})")), "{option}: {text}");
    }
}

#[test]
fn every_flag_that_weakens_says_what_becomes_weaker() {
    let mut command = command();
    command.build();
    let weakening = [
        ("run", "preserve_fds"),
        ("run", "no_pivot"),
        ("run", "no_new_keyring"),
        ("exec", "cap"),
        ("exec", "preserve_fds"),
        ("spec", "rootless"),
        ("sandbox", "rw"),
        ("sandbox", "mount"),
        ("sandbox", "volume"),
        ("sandbox", "memory_swap"),
        ("sandbox", "user"),
        ("sandbox", "network"),
        ("sandbox", "cap_add"),
        ("sandbox", "device"),
        ("sandbox", "security_opt"),
        ("sandbox", "detach"),
    ];
    for (verb, option) in weakening {
        let verb = command.find_subcommand(verb).unwrap();
        let arg = verb.get_arguments().find(|arg| arg.get_id() == option).unwrap();
        let help = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Weaker"), "{option}: {help}");
    }
}

#[test]
fn the_version_has_runc_s_form() {
    for line in ["--version", "-v"] {
        let error = refuse(line);
        assert_eq!(error.kind(), ErrorKind::DisplayVersion);
        let text = error.to_string();
        let lines = text.lines().collect::<Vec<_>>();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("pinfold version ") && lines[1].starts_with("commit: "), "{text}");
        assert_eq!(lines[2], "spec: 1.3.0");
    }
}
