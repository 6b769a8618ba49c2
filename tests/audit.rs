//! Promise: who asked for what, and how it ended, stands in a log that a caller can neither forge
//! nor keep from being written, and that shows where it was changed (docs/audit.md).
//!
//! Each call runs in a mount namespace of its own, in which /etc/pinfold and /var/log are the test's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/schema.rs"]
mod checker;
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Bundle, Dir, PINFOLD, Ran, await_that, copy_executable, run, start};

/// A private /etc with the policy in it, and the test's /var/log; then the call.
const UNDER: &str = r#"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
mkdir -p -m 755 /etc/pinfold
install -m 644 "$DIR/policy.toml" /etc/pinfold/policy.toml
mount --bind "$DIR/log" /var/log
eval "$PREPARE"
exec "$@"
"#;

/// What a sandbox without options asks for, whatever controllers this machine has.
const LIMITS: &str = "[limits]\nmemory = \"unlimited\"\nswap = \"unlimited\"\ncpu = \"unlimited\"\n\
    pids = \"unlimited\"\n[process]\nenvironment = [\"*\"]\n";

struct Host {
    dir: Dir,
    prepare: String,
}

impl Host {
    /// A host whose policy has this section `[audit]`.
    fn new(audit: &str) -> Self {
        let host = Self { dir: Dir::new(), prepare: String::new() };
        host.dir.mkdir("etc");
        host.dir.mkdir("log");
        host.policy(&format!("version = 1\ndegraded = true\n[audit]\n{audit}\n{LIMITS}{}", host.roots()));
        host
    }

    /// Where this test's containers are, and a user's.
    fn roots(&self) -> String {
        let (state, home) = (self.dir.text("state"), self.dir.text("home/run/pinfold"));
        format!("[cgroups]\npath = [\"/\"]\n[running]\nstate_roots = [{state:?}, {home:?}]\n")
    }

    fn policy(&self, text: &str) {
        self.dir.write("policy.toml", text);
    }

    fn command(&self, args: &[&str]) -> Command {
        support::programs::pinfold_after(UNDER, &self.dir, &self.prepare, args)
    }

    #[track_caller]
    fn pinfold(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    fn file(&self) -> PathBuf {
        self.dir.join("log/pinfold/audit.jsonl")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// Every record that is one.
    fn records(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Those of this kind and verb.
    fn of(&self, kind: &str, verb: &str) -> Vec<Value> {
        self.records().into_iter().filter(|one| one["kind"] == kind && one["verb"] == verb).collect()
    }

    #[track_caller]
    fn verify(&self) -> Value {
        let ran = self.pinfold(&["audit", "verify", "--json"]);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    #[track_caller]
    fn is_intact(&self) -> Value {
        let found = self.verify();
        assert_eq!(found["intact"], true, "{found:#}");
        found
    }

    #[track_caller]
    fn keeps_the_schema(&self) {
        let text =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        for record in self.records() {
            assert_eq!(checker::faults(&schema, &record), [""; 0], "{record:#}");
        }
    }

    /// Refused because it cannot be recorded; the program did not run.
    #[track_caller]
    fn refused(&self, ran: &Ran, why: &str) {
        assert_eq!(ran.code(), 120, "{ran:?}");
        assert!(ran.err.contains("rule audit.required") && ran.err.contains(why), "{why}: {ran:?}");
        assert_eq!(ran.out, "", "something ran");
    }
}

const ECHO: [&str; 4] = ["sandbox", "--", "echo", "ran"];

#[test]
fn every_door_leaves_its_records() {
    let host = Host::new("required = true");
    let id = host.dir.id("c");
    host.pinfold(&["sandbox", "--name", &id, "--ro", "/etc/hostname", "--", "true"]);
    let refused = host.of("outcome", "sandbox");
    assert_eq!(refused[0]["outcome"]["kind"], "policy_refused");
    assert_eq!(refused[0]["verdict"]["violations"][0]["rule"], "bind.source");
    assert_eq!(refused[0]["caller"]["uid"], 0);
    assert!(host.of("intent", "sandbox").is_empty(), "nothing started");

    let ran = host.pinfold(&["sandbox", "--name", &id, "-e", "TOKEN=hunter2", "--", "sh", "-c", "exit 7"]);
    assert_eq!(ran.code(), 7, "{ran:?}");
    let intent = &host.of("intent", "sandbox")[0];
    assert_eq!((&intent["argv"], &intent["container"]), (&json!(["sh", "-c", "exit 7"]), &json!(id)));
    assert!(intent["environment"].as_array().unwrap().contains(&json!("TOKEN")));
    assert!(!host.text().contains("hunter2"), "the value of a variable");
    let outcome = &host.of("outcome", "sandbox")[1];
    assert_eq!((&outcome["op"], &outcome["outcome"]["exit_code"]), (&intent["op"], &json!(7)));
    assert!(outcome["peaks"]["wall_us"].as_u64() > Some(0), "{outcome}");

    host.pinfold(&["sandbox", "--name", &id, "--detach", "--", "sleep", "100"]).ok();
    let detached = &host.of("detached", "sandbox")[0];
    let found = host.is_intact();
    assert_eq!(found["open"][0]["detached"], true, "{found:#}");
    assert_eq!(host.pinfold(&["exec", &id, "sh", "-c", "exit 3"]).code(), 3);
    assert_eq!(host.of("outcome", "exec")[0]["outcome"]["exit_code"], 3);
    assert_eq!(host.pinfold(&["exec", "--user", "0", &id, "true"]).code(), 255);
    let refused = host.of("outcome", "exec").pop().unwrap();
    assert_eq!(refused["outcome"]["kind"], "policy_refused", "{refused:#}");
    host.pinfold(&["update", "--pids-limit", "32", &id]).ok();
    assert_eq!(host.of("intent", "update")[0]["changes"]["pids"]["limit"], 32);
    for verb in ["pause", "resume"] {
        host.pinfold(&[verb, &id]).ok();
        assert_eq!(
            (host.of("intent", verb).len(), &host.of("outcome", verb)[0]["outcome"]["kind"]),
            (1, &json!("done"))
        );
    }
    assert_ne!(host.pinfold(&["resume", &id]).code(), 0, "it is not paused");
    assert!(host.of("outcome", "resume")[1]["error"].is_string());
    host.pinfold(&["kill", &id, "WINCH"]).ok();
    assert_eq!(host.of("intent", "kill")[0]["changes"]["signal"], 28);
    host.pinfold(&["delete", "--force", &id]).ok();
    let end = host.of("outcome", "sandbox").pop().unwrap();
    assert_eq!((&end["op"], &end["outcome"]["kind"]), (&detached["op"], &json!("killed")), "{end:#}");
    assert_eq!(end["by"], host.of("intent", "delete")[0]["op"]);
    assert_eq!(host.is_intact()["open"], json!([]), "all has ended");
    host.keeps_the_schema();
    host.dir.assert_nothing_left();
}

#[test]
fn a_call_that_nothing_can_judge_is_recorded_where_a_log_stands() {
    let host = Host::new("");
    let good = fs::read_to_string(host.dir.join("policy.toml")).unwrap();
    let refused = |args: &[&str]| assert_eq!(host.pinfold(args).code(), 120, "{args:?}");
    host.policy("version = 1\nnonsense = 1\n");
    refused(&ECHO);
    assert!(host.file().metadata().is_err(), "no log is made for it");
    host.policy(&good);
    host.pinfold(&ECHO).ok();
    let before = host.records().len();
    host.policy("version = 1\nnonsense = 1\n");
    refused(&ECHO);
    host.policy(&good);
    host.dir.write("own.toml", "version = 1\nnonsense = 1\n");
    refused(&[["--policy", &host.dir.text("own.toml")].as_slice(), &ECHO].concat());
    assert_ne!(host.pinfold(&["explain", "sandbox", "--profile", "none", "--", "true"]).code(), 0);
    let records = host.records();
    assert_eq!(records.len(), before + 2, "one record each: {records:#?}");
    for record in &records[before..] {
        let told = (&record["kind"], &record["verb"], &record["outcome"]["kind"]);
        assert_eq!(told, (&json!("outcome"), &json!("sandbox"), &json!("policy_refused")), "{record:#}");
        assert!(record["error"].as_str().unwrap().contains("nonsense"), "{record:#}");
        assert_eq!(record["caller"]["uid"], 0);
    }
    host.keeps_the_schema();
    host.is_intact();
}

/// What another policy says of the launches in the log: number of those that change, and of those that stay,
/// cannot be judged, and the exit code.
fn tested(host: &Host, policy: &str, log: &Path) -> (Value, i32) {
    host.dir.write("new.toml", policy);
    let (new, log) = (host.dir.text("new.toml"), log.to_str().unwrap());
    let ran = host.pinfold(&["policy", "test", &new, "--against", log, "--json"]);
    let printed = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    (printed, ran.code())
}

#[test]
fn past_launches_are_judged_by_another_policy() {
    let host = Host::new("");
    let policy = fs::read_to_string(host.dir.join("policy.toml")).unwrap();
    host.dir.mkdir("work");
    let work = host.dir.text("work");
    let granting = format!("{policy}[[bind]]\npath = {work:?}\naccess = \"rw\"\n");
    let (a, b, c) = (host.dir.id("a"), host.dir.id("b"), host.dir.id("c"));
    host.pinfold(&["sandbox", "--name", &a, "--pids-limit", "64", "--", "true"]).ok();
    assert_eq!(host.pinfold(&["sandbox", "--name", &b, "--rw", &work, "--", "true"]).code(), 120);
    host.policy(&granting);
    host.pinfold(&["sandbox", "--name", &c, "--rw", &work, "--", "true"]).ok();
    let lengths = host.text().lines().map(str::len).max().unwrap();
    assert!(lengths < 6000, "the longest record has {lengths} bytes");
    host.keeps_the_schema();
    let log = host.file();
    let changed = |printed: &Value| {
        let each = printed["changed"].as_array().unwrap().iter();
        each.map(|one| format!("{}: {} {}", one["container"], one["was"], one["now"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    let unknown = |printed: &Value| printed["cannot_be_judged"].as_array().unwrap().len();

    // The policy of the last one: of the others, `b` was not opened.
    let (printed, code) = tested(&host, &granting, &log);
    assert_eq!(
        (changed(&printed), &printed["unchanged"], unknown(&printed)),
        (vec![], &json!(2), 1),
        "{printed:#}"
    );
    assert_eq!(code, 3, "{printed:#}");
    assert!(printed["cannot_be_judged"][0]["why"][0].as_str().unwrap().contains("not opened"), "{printed:#}");
    // That of the first two.
    let (printed, code) = tested(&host, &policy, &log);
    assert_eq!((changed(&printed), code), (vec![format!("{c}: allowed refused")], 1), "{printed:#}");
    assert_eq!(printed["changed"][0]["violations"][0]["rule"], "bind.source");
    // One that asks for less of all: what is refused for certain needs nothing that is not known.
    let narrow = granting.replacen("pids = \"unlimited\"", "pids = 65", 1);
    let (printed, _) = tested(&host, &narrow, &log);
    assert_eq!((unknown(&printed), &printed["unchanged"]), (0, &json!(2)), "{printed:#}");
    assert_eq!(changed(&printed), [format!("{c}: allowed refused")], "64 and the init are 65");
    let (printed, code) =
        tested(&host, &granting.replacen("version = 1", "version = 1\nmode = \"audit\"", 1), &log);
    assert_eq!(code, 3, "{printed:#}");
    // For people.
    host.dir.write("new.toml", &policy);
    let ran =
        host.pinfold(&["policy", "test", &host.dir.text("new.toml"), "--against", log.to_str().unwrap()]);
    assert!(ran.out.ends_with("1 changed, 2 unchanged, 0 cannot be judged\n"), "{ran:?}");
    assert!(ran.out.contains("refused  allowed") && ran.out.contains("rule bind.source"), "{ran:?}");
}

#[test]
fn what_a_record_does_not_say_cannot_be_judged() {
    let host = Host::new("redact = [\"environment\"]");
    let policy = fs::read_to_string(host.dir.join("policy.toml")).unwrap();
    let id = host.dir.id("c");
    host.pinfold(&["sandbox", "--detach", "--name", &id, "--", "sleep", "100"]).ok();
    host.pinfold(&["exec", &id, "true"]).ok();
    host.pinfold(&["delete", "--force", &id]).ok();
    let why = |log: &Path, policy: &str| -> Vec<String> {
        let (printed, code) = tested(&host, policy, log);
        assert_eq!(code, 3, "{printed:#}");
        let each = printed["cannot_be_judged"].as_array().unwrap().iter();
        each.map(|one| one["why"][0].as_str().unwrap().to_owned()).collect()
    };
    // The names of the variables are not there; an exec is judged beside its container.
    let told = why(&host.file(), &policy);
    assert!(told[0].contains("/process/env") && told[1].contains("exec is judged"), "{told:?}");
    // Records of an older pinfold, records that were cut, and no records.
    let edited = |change: &dyn Fn(&mut Value)| {
        let mut record = host.of("intent", "sandbox").remove(0);
        change(&mut record);
        let record = record.as_object_mut().unwrap();
        let hash = record.remove("hash").unwrap();
        let start = serde_json::to_string(record).unwrap();
        let start = start.strip_suffix('}').unwrap();
        let hash = match hash.as_str() {
            Some(letter @ ("x" | "0")) => letter.repeat(64),
            _ => pinfold::audit::digest(start.as_bytes()),
        };
        let path = host.dir.join("edited.jsonl");
        fs::write(&path, format!("{start},\"hash\":\"{hash}\"}}\n")).unwrap();
        path
    };
    for (change, words) in [
        (&|one: &mut Value| drop(one.as_object_mut().unwrap().remove("judged")) as _, "older pinfold"),
        (&|one: &mut Value| one["judged"] = Value::Null, "too long"),
        (&|one: &mut Value| one["altered"] = json!(["judged/masked_paths"]), "was cut"),
        (&|one: &mut Value| one["judged"]["news"] = json!(1), "not understood"),
        (&|one: &mut Value| one["judged"]["verb"] = json!("x"), "another verb"),
        (&|one: &mut Value| one["policy"]["digests"] = json!(["a", "b"]), "--policy"),
        (&|one: &mut Value| one["format"] = json!(2), "format 2"),
        (&|one: &mut Value| one["hash"] = json!("x"), "no record"),
        (&|one: &mut Value| one["hash"] = json!("0"), "was changed"),
    ] as [(&dyn Fn(&mut Value), &str); 9]
    {
        let told = why(&edited(change), &policy);
        assert!(told.len() == 1 && told[0].contains(words), "{words}: {told:?}");
    }
}

#[test]
fn a_created_container_ends_in_the_log_when_it_is_deleted() {
    let host = Host::new("required = true");
    let text = fs::read_to_string(host.dir.join("policy.toml")).unwrap();
    let open = "mode = \"audit\"\n";
    host.policy(&text.replace("version = 1\n", &format!("version = 1\n{open}")));
    let bundle = Bundle::script(&host.dir, "b", "exit 5");
    let id = host.dir.id("c");
    let ran = host.pinfold(&["create", "--bundle", bundle.text(), &id]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    let intent = &host.of("intent", "create")[0];
    assert_eq!(intent["verdict"]["kind"], "told", "{intent:#}");
    assert_eq!(intent["binds"][0]["path"], json!(bundle.rootfs().to_str().unwrap()));
    host.pinfold(&["start", &id]).ok();
    await_that("the program ends", || host.dir.pinfold(&["state", &id]).out.contains("stopped"));
    host.pinfold(&["delete", &id]).ok();
    let end = host.of("outcome", "create").pop().unwrap();
    assert_eq!((&end["op"], &end["outcome"]["kind"]), (&intent["op"], &json!("ended")), "{end:#}");
    assert_eq!(host.pinfold(&["run", "--bundle", bundle.text(), &id]).code(), 5);
    assert_eq!(host.of("outcome", "run")[0]["outcome"]["exit_code"], 5);
    assert_eq!(host.is_intact()["open"], json!([]));
    host.keeps_the_schema();
}

#[test]
fn without_the_section_there_is_no_log() {
    let host = Host::new("");
    host.policy(&format!("version = 1\ndegraded = true\n{LIMITS}{}", host.roots()));
    assert_eq!(host.pinfold(&ECHO).ok(), "ran\n");
    assert!(!host.dir.join("log/pinfold").is_dir());
    // Nor where the caller says.
    let own = host.dir.write("own.toml", "version = 1\n[audit]\npath = \"/etc/cron.d/x\"\n");
    let mut host = host;
    for prepare in ["", "rm /etc/pinfold/policy.toml"] {
        host.prepare = prepare.to_owned();
        let ran = host.pinfold(&["--policy", own.to_str().unwrap(), "sandbox", "--", "echo", "ran"]);
        assert_eq!((ran.code(), ran.out.as_str()), (120, ""), "{ran:?}");
    }
}

/// Names and arguments that try to be more than a value.
#[test]
fn what_a_caller_writes_stays_a_value() {
    let host = Host::new("required = true");
    let huge = "x".repeat(100_000);
    let forged = "\"}\n{\"format\":1,\"seq\":9,\"kind\":\"outcome\"}\n\u{1b}[2J\u{9b}31m\u{7f}\u{202e}";
    host.pinfold(&["sandbox", "-e", "A\u{1b}]0;t=1", "--", "true", forged, huge.as_str()]).ok();
    let text = fs::read(host.file()).unwrap();
    assert!(text.iter().all(|byte| *byte == b'\n' || (0x20..0x7f).contains(byte)), "printable ASCII");
    assert_eq!(host.records().len(), 3, "start, intent, outcome");
    let intent = &host.of("intent", "sandbox")[0];
    assert_eq!(intent["argv"][1], forged);
    assert_eq!(intent["argv"][2].as_str().unwrap().len(), 2048);
    assert_eq!(intent["altered"], json!(["argv/2"]));
    for args in [&["audit", "show"][..], &["audit", "verify"]] {
        let shown = host.pinfold(args);
        assert!(!shown.ok().chars().any(|letter| letter.is_control() && letter != '\n'), "{shown:?}");
    }
    let many: Vec<String> = (0..20_000).map(|number| format!("argument-{number}")).collect();
    let all: Vec<&str> =
        ["sandbox", "--", "true"].into_iter().chain(many.iter().map(String::as_str)).collect();
    host.pinfold(&all).ok();
    assert!(host.text().lines().all(|line| line.len() < 65536));
    host.is_intact();
    host.keeps_the_schema();
}

#[test]
fn what_is_redacted_is_not_there() {
    let host = Host::new("redact = [\"argv\", \"environment\"]");
    host.pinfold(&["sandbox", "-e", "SECRET_NAME=1", "--", "echo", "hunter2"]).ok();
    let text = host.text();
    assert!(!text.contains("hunter2") && !text.contains("SECRET_NAME"), "{text}");
    assert_eq!(host.of("intent", "sandbox")[0]["argv"], json!(["echo", "[redacted]"]));
}

#[test]
fn a_hundred_at_once_make_one_chain() {
    let host = Host::new("required = true");
    let running: Vec<_> = (0..100).map(|_| start(&mut host.command(&["sandbox", "--", "true"]))).collect();
    for one in running {
        one.wait().ok();
    }
    let found = host.is_intact();
    assert_eq!((&found["records"], &found["open"]), (&json!(201), &json!([])), "{found:#}");
    assert_eq!(found["findings"], json!([]));
}

#[test]
fn a_kill_at_any_moment_breaks_nothing() {
    let host = Host::new("required = true");
    for round in 0..60_u64 {
        let command = &mut host.command(&["sandbox", "--", "true"]);
        let running = start(command);
        std::thread::sleep(Duration::from_micros(round * 700));
        running.kill_9();
    }
    host.pinfold(&["sandbox", "--", "true"]).ok();
    let found = host.is_intact();
    // Whoever came as far as its intent and no further was swept by a later launch, or is listed.
    let intents = host.of("intent", "sandbox").len();
    let ended = host.of("outcome", "sandbox").len();
    assert!(ended + found["open"].as_array().unwrap().len() >= intents, "{found:#}");
}

#[test]
fn what_pinfold_was_killed_in_is_seen_and_ends_as_abandoned() {
    let host = Host::new("required = true");
    let running = start(&mut host.command(&["sandbox", "--", "sleep", "100"]));
    await_that("it has its intent", || host.file().is_file() && !host.of("intent", "sandbox").is_empty());
    running.kill_9();
    let found = host.is_intact();
    assert_eq!(found["open"][0]["detached"], false, "{found:#}");
    assert!(host.pinfold(&["audit", "verify"]).ok().contains("no outcome"));
    await_that("it is swept", || {
        host.pinfold(&["gc"]).ok();
        host.of("outcome", "sandbox").iter().any(|one| one["outcome"]["kind"] == "abandoned")
    });
    assert_eq!(host.is_intact()["open"], json!([]));
}

/// A small file system of the log's own, for one script.
#[test]
fn a_full_disk_refuses_and_its_torn_tail_is_closed_by_a_gap() {
    let host = Host::new("required = true");
    fs::create_dir_all(host.dir.join("log")).unwrap();
    let script = r#"
        p() { "$P" --root "$R" "$@"; }
        P=$1 R=$3
        mount -t tmpfs -o size=64k,mode=755 tmpfs /var/log
        n=0
        while p sandbox -- echo ran >$DIR/out 2>$DIR/err; do n=$((n+1)); [ $n -lt 200 ]; done
        cat $DIR/err >&2
        [ ! -s $DIR/out ] || echo "it ran"
        p audit verify || true
        mount -o remount,size=256k /var/log
        p sandbox -- echo again
        p audit verify
    "#;
    let mut host = host;
    host.prepare = script.to_owned();
    let ran = host.pinfold(&["audit", "head"]);
    let told: Vec<&str> = ran.ok().lines().collect();
    assert!(ran.err.contains("rule audit.required") && ran.err.contains("ENOSPC"), "{ran:?}");
    assert!(!told.contains(&"it ran") && told.contains(&"again"), "{ran:?}");
    assert!(ran.out.contains("torn tail: "), "the disk was full in the middle of a record: {ran:?}");
    assert!(ran.out.contains("gap: "), "{ran:?}");
    assert!(told.iter().filter(|line| line.starts_with("intact: ")).count() == 2, "{ran:?}");
}

#[test]
fn without_required_a_full_disk_is_named() {
    let mut host = Host::new("");
    host.prepare = r#"
        mount -t tmpfs -o size=16k,mode=755 tmpfs /var/log
        mkdir -m 700 /var/log/pinfold
        head -c 16k /dev/zero >/var/log/fill || true"#
        .to_owned();
    let (report, file) = (host.dir.text("report.json"), host.dir.join("report.json"));
    let ran = host.pinfold(&["sandbox", "--report", &report, "--", "echo", "ran"]);
    assert_eq!(ran.ok(), "ran\n");
    assert!(ran.err.contains("audit log: ") && ran.err.contains("ENOSPC"), "{ran:?}");
    let report: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert!(report["degraded"].to_string().contains("audit log"), "{report}");
}

#[test]
fn whoever_holds_the_lock_is_named_and_holds_nobody_up() {
    let host = Host::new("required = true");
    host.pinfold(&ECHO).ok();
    let holder = start(Command::new("flock").arg(host.file()).args(["sleep", "1000"]));
    await_that("it is held", || {
        !Command::new("flock").arg("-n").arg(host.file()).arg("true").status().unwrap().success()
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(holder.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let before = Instant::now();
    let ran = host.pinfold(&ECHO);
    host.refused(&ran, &format!("held by pid {pid} (flock, stopped)"));
    assert!(before.elapsed() >= Duration::from_secs(5), "it waits, but not for ever");
    // What ends something goes on.
    let id = host.dir.id("none");
    let ran = host.pinfold(&["delete", "--force", &id]);
    assert!(ran.code() == 0 && ran.err.contains("warning: audit log: "), "{ran:?}");
    nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    holder.end();
    assert_eq!(host.pinfold(&ECHO).ok(), "ran\n");
    host.is_intact();
}

#[test]
fn nothing_of_the_log_reaches_what_is_started() {
    let host = Host::new("required = true");
    let seen = host.pinfold(&["sandbox", "--", "sh", "-c", "ls -l /proc/self/fd /proc/1/fd 2>&1"]);
    assert!(!seen.out.contains("audit") && !seen.out.contains("log"), "{seen:?}");
    let running = start(&mut host.command(&["sandbox", "--", "sleep", "3"]));
    await_that("it runs", || host.of("intent", "sandbox").len() == 2);
    std::thread::sleep(Duration::from_millis(100));
    let free = Command::new("flock").arg("-n").arg(host.file()).arg("true").status().unwrap();
    assert!(free.success(), "a launch keeps the lock while it runs");
    let own = fs::metadata(host.file()).unwrap();
    for process in support::processes_naming(host.dir.path().to_str().unwrap()) {
        let pid = process.split('/').nth(2).unwrap().split(':').next().unwrap().to_owned();
        for fd in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            use std::os::unix::fs::MetadataExt;
            let held =
                fs::metadata(fd.path()).is_ok_and(|open| (open.dev(), open.ino()) == (own.dev(), own.ino()));
            assert!(!held, "{process} holds the log");
        }
    }
    assert_eq!(running.wait().code(), 0);
}

/// The caller's own limits neither end pinfold in the middle nor keep the log from being written.
#[test]
fn the_callers_file_size_limit_is_not_the_logs() {
    let mut host = Host::new("required = true");
    let long = "x".repeat(2000);
    let many = [&["sandbox", "--", "true"][..], &[long.as_str(); 25]].concat();
    host.pinfold(&many).ok();
    assert!(host.text().len() > 48 << 10);
    let before = host.records().len();
    host.prepare = "ulimit -S -f 80".to_owned();
    let ran = host.pinfold(&ECHO);
    assert_eq!((ran.ok(), ran.err.as_str()), ("ran\n", ""), "{ran:?}");
    assert_eq!(host.records().len(), before + 2);
    // Who may not lift a hard limit is told, and not ended by SIGXFSZ in the middle of a record.
    host.prepare =
        "ulimit -f 80; P=$1; shift; set -- setpriv --bounding-set -sys_resource \"$P\" \"$@\"".to_owned();
    host.refused(&host.pinfold(&ECHO), "EFBIG");
    assert_eq!(host.is_intact()["findings"], json!([]));
}

#[test]
fn a_log_that_is_not_its_owners_alone_is_refused() {
    let mut host = Host::new("required = true");
    let rows = [
        ("ln -s /tmp/x /var/log/pinfold/audit.jsonl", "symbolic link"),
        ("touch /var/log/pinfold/audit.jsonl; chmod 644 /var/log/pinfold/audit.jsonl", "may open it"),
        ("install -m 600 -o 1 /dev/null /var/log/pinfold/audit.jsonl", "belongs to user 1"),
        (
            "install -m 600 /dev/null /var/log/pinfold/audit.jsonl; ln /var/log/pinfold/audit.jsonl /var/log/pinfold/b",
            "hard link",
        ),
        ("mkfifo -m 600 /var/log/pinfold/audit.jsonl", "not a regular file"),
        ("mkdir -m 700 /var/log/pinfold/audit.jsonl", "EISDIR"),
        ("chmod 770 /var/log/pinfold", "group or others can write"),
        ("chown 1 /var/log/pinfold", "a directory of user 1"),
        ("rmdir /var/log/pinfold; mkdir /var/log/x; ln -s x /var/log/pinfold", "symbolic link"),
        ("chmod 777 /var/log", "everybody can write"),
        ("echo not a record >/var/log/pinfold/audit.jsonl; chmod 600 /var/log/pinfold/*", ""),
        ("echo '{\"format\":2}' >/var/log/pinfold/audit.jsonl; chmod 600 /var/log/pinfold/*", "has format 2"),
    ];
    for (prepare, why) in rows {
        host.prepare =
            format!("mount -t tmpfs -o mode=755 tmpfs /var/log; mkdir -m 700 /var/log/pinfold; {prepare}");
        let ran = host.pinfold(&ECHO);
        match why {
            "" => assert_eq!(ran.ok(), "ran\n", "{prepare}: closed by a gap"),
            why => host.refused(&ran, why),
        }
    }
    host.prepare = "mount -t tmpfs -o mode=755 tmpfs /var/log; umask 0777".to_owned();
    assert_eq!(host.pinfold(&ECHO).ok(), "ran\n", "the caller's umask is not the log's");
}

#[test]
fn every_change_of_the_log_is_told_at_its_record() {
    let host = Host::new("required = true");
    for _ in 0..3 {
        host.pinfold(&ECHO).ok();
    }
    let good = host.text();
    let lines: Vec<&str> = good.lines().collect();
    assert_eq!(lines.len(), 7);
    let check = |lines: &[String], options: &[&str]| {
        let copy =
            host.dir.write("copy.jsonl", &lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        let mut args = vec!["audit", "verify"];
        args.extend_from_slice(options);
        args.push(copy.to_str().unwrap());
        host.pinfold(&args)
    };
    let all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(check(&all, &[]).code(), 0);
    let mut changed = all.clone();
    changed[3] = changed[3].replacen("\"ran\"", "\"run\"", 1);
    let told = check(&changed, &[]);
    assert!(
        told.code() == 1 && told.out.contains(":4: broken: record 4: the record was changed"),
        "{told:?}"
    );
    let mut out = all.clone();
    out.remove(4);
    let told = check(&out, &[]);
    assert!(
        told.code() == 1 && told.out.contains(":5: broken: record 6: another record was before it"),
        "{told:?}"
    );
    assert!(told.out.contains("expected prev") && told.out.contains("expected seq 5, found 6"), "{told:?}");
    // A cut tail is a shorter log: only what was kept elsewhere shows it.
    let head = host.pinfold(&["audit", "head"]);
    let (number, hash) = head.ok().trim().split_once(' ').unwrap();
    assert_eq!(number, "7");
    let mut cut = all.clone();
    cut.pop();
    assert_eq!(check(&cut, &[]).code(), 0);
    let told = check(&cut, &["--head", hash]);
    assert!(told.code() == 1 && told.out.contains(&format!("no record has the hash {hash}")), "{told:?}");
    assert_eq!(check(&all, &["--head", hash]).code(), 0);
}

/// Between the two records of one launch.
#[test]
fn what_happens_to_the_log_while_a_program_runs_is_seen() {
    let while_it_runs = |change: &dyn Fn(&Host)| {
        let host = Host::new("required = true");
        let shared = host.dir.mkdir("shared");
        let grant = format!("[[bind]]\npath = {shared:?}\naccess = \"rw\"\n");
        host.policy(&format!("{}{grant}", fs::read_to_string(host.dir.join("policy.toml")).unwrap()));
        host.pinfold(&ECHO).ok();
        let bind = format!("{}:/shared", shared.display());
        let running = start(&mut host.command(&["sandbox", "--rw", &bind, "--", "sh", "-c", WAITS]));
        await_that("it runs", || fs::metadata(host.dir.join("shared/runs")).is_ok());
        change(&host);
        host.dir.write("shared/go", "");
        running.wait().ok();
        host
    };
    // Another launch goes on from its record, and it from the other's.
    let host = while_it_runs(&|host| {
        host.pinfold(&ECHO).ok();
    });
    assert_eq!(host.is_intact()["records"], 7);
    // A change that leaves the length as it was: what follows does not make it good.
    let host = while_it_runs(&|host| {
        let text = host.text();
        let changed = text.replacen("/shared/go", "/shared/no", 1);
        assert!(text != changed && text.len() == changed.len());
        fs::OpenOptions::new().write(true).open(host.file()).unwrap().write_all(changed.as_bytes()).unwrap();
    });
    let told = host.pinfold(&["audit", "verify"]);
    assert!(
        told.code() == 1 && told.out.contains(":4: broken: record 4: the record was changed"),
        "{told:?}"
    );
    // Moved away, and back after it: the outcome is in the new file, and says where it goes on from.
    let host =
        while_it_runs(&|host| fs::rename(host.file(), host.dir.join("log/pinfold/audit.jsonl.1")).unwrap());
    let first = &host.records()[0];
    assert_eq!((&first["kind"], &first["seq"]), (&json!("start"), &json!(5)), "{first}");
    let (old, new) = (host.dir.text("log/pinfold/audit.jsonl.1"), host.dir.text("log/pinfold/audit.jsonl"));
    assert!(host.pinfold(&["audit", "verify", &old, &new]).ok().contains("intact: 6 records"));
}

const WAITS: &str = ": >/shared/runs; until [ -e /shared/go ]; do sleep 0.01; done";

#[test]
fn a_moved_log_is_gone_on_from() {
    let host = Host::new("required = true");
    host.pinfold(&ECHO).ok();
    let old = host.dir.join("log/pinfold/audit.jsonl.1");
    fs::rename(host.file(), &old).unwrap();
    host.pinfold(&ECHO).ok();
    let first = &host.records()[0];
    assert_eq!((&first["kind"], &first["seq"]), (&json!("start"), &json!(4)), "{first}");
    assert_eq!(first["continues"], "audit.jsonl.1");
    let (old, new) = (old.to_str().unwrap().to_owned(), host.file().to_str().unwrap().to_owned());
    let both = host.pinfold(&["audit", "verify", &old, &new]);
    assert!(both.ok().contains("intact: 6 records, head 6 "), "{both:?}");
    assert_eq!(host.pinfold(&["audit", "verify", &new, &old]).code(), 1, "not in their order");
    host.is_intact();
}

#[test]
fn show_and_export_take_what_is_asked_for() {
    let host = Host::new("required = true");
    let id = host.dir.id("c");
    host.pinfold(&["sandbox", "--name", &id, "--", "true"]).ok();
    host.pinfold(&["sandbox", "--ro", "/etc/hostname", "--", "true"]);
    let count = |args: &[&str]| host.pinfold(&[&["audit", "show"], args].concat()).ok().lines().count();
    assert_eq!((count(&[]), count(&["--id", &id]), count(&["--refused"])), (4, 2, 1));
    assert_eq!((count(&["--verb", "run"]), count(&["--since", "2999-01-01"])), (0, 0));
    assert_eq!(count(&["--since", "2020-01-01"]), 4);
    let exported: Value = serde_json::from_str(host.pinfold(&["audit", "export"]).ok()).unwrap();
    assert_eq!(exported, json!(host.records()));
    assert_eq!(host.pinfold(&["audit", "export", "--lines"]).ok(), host.text());
    assert_eq!(host.pinfold(&["audit", "export", "--id", "x"]).ok(), "[]\n");
}

/// The fields of a datagram of the journal's native protocol.
fn fields(datagram: &[u8]) -> Vec<(String, String)> {
    let (mut rest, mut fields) = (datagram, vec![]);
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let name = String::from_utf8(rest[..end].to_vec()).unwrap();
        let length = usize::try_from(u64::from_le_bytes(rest[end + 1..end + 9].try_into().unwrap())).unwrap();
        let value = String::from_utf8(rest[end + 9..end + 9 + length].to_vec()).unwrap();
        assert_eq!(rest[end + 9 + length], b'\n');
        fields.push((name, value));
        rest = &rest[end + 10 + length..];
    }
    fields
}

#[test]
fn the_journal_has_what_it_is_sent() {
    let mut host = Host::new("required = true\ndestinations = [\"file\", \"journald\"]");
    host.dir.mkdir("journal");
    let journal = UnixDatagram::bind(host.dir.join("journal/socket")).unwrap();
    journal.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let prepare = "mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/systemd/journal; \
                   mount --bind $DIR/journal /run/systemd/journal";
    host.prepare = prepare.to_owned();
    assert_eq!(host.pinfold(&["sandbox", "--", "echo", "ran", "a\nPRIORITY=0"]).out, "ran a\nPRIORITY=0\n");
    let heard = || {
        let mut buffer = vec![0; 1 << 18];
        let length = journal.recv(&mut buffer).unwrap();
        fields(&buffer[..length])
    };
    for kind in ["intent", "outcome"] {
        let entry = heard();
        let field =
            |name: &str| entry.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((field("PINFOLD_KIND"), field("PRIORITY")), (Some(kind), Some("5")));
        assert!(host.text().contains(field("PINFOLD_RECORD").unwrap()), "the line of the file");
    }
    host.pinfold(&["audit", "head", "--journald"]).ok();
    let entry = heard();
    assert!(entry.contains(&("PINFOLD_KIND".to_owned(), "head".to_owned())), "{entry:?}");
    // Without a journal nothing is launched.
    drop(journal);
    host.refused(&host.pinfold(&ECHO), "journal/socket");
    host.prepare = format!("{prepare}; rm $DIR/journal/socket; ln -s x $DIR/journal/socket");
    host.refused(&host.pinfold(&ECHO), "journal/socket");
}

/// A user's log is the user's own, and root's is out of a user's reach.
#[test]
fn a_user_has_a_log_of_its_own_and_no_way_to_root_s() {
    let host = Host::new("required = true");
    host.pinfold(&ECHO).ok();
    let before = host.text();
    let home = host.dir.mkdir("home");
    std::os::unix::fs::chown(&home, Some(12345), Some(12345)).unwrap();
    let runtime = home.join("run");
    fs::create_dir(&runtime).unwrap();
    std::os::unix::fs::chown(&runtime, Some(12345), Some(12345)).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
    // The user's pinfold lies where the user can execute it.
    let binary = host.dir.join("pinfold");
    copy_executable(PINFOLD, &binary);
    let script = format!(
        "{UNDER_USER} exec setpriv --reuid 12345 --regid 12345 --clear-groups env -i PATH=$PATH HOME={home} \
         XDG_RUNTIME_DIR={home}/run {binary} \"$@\"",
        UNDER_USER = UNDER.replace("exec \"$@\"", ""),
        home = home.display(),
        binary = binary.display(),
    );
    let user = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", &script, "sh"]).args(args);
        run(command.env("DIR", host.dir.path()).env("PREPARE", "").current_dir("/"))
    };
    let ran = user(&["sandbox", "--", "echo", "ran"]);
    let own = home.join(".local/state/pinfold/audit.jsonl");
    let text = fs::read_to_string(&own).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert!(text.contains("\"uid\":12345"), "{text}");
    assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(host.text(), before, "root's log is as it was");
    assert!(user(&["audit", "verify"]).ok().contains("intact: "));
    let denied = user(&["audit", "verify", host.file().to_str().unwrap()]);
    assert!(denied.code() == 1 && denied.err.contains("EACCES"), "{denied:?}");
}
