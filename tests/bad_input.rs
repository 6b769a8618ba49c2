//! Promise: what cannot be honoured is refused, by name, with the exit code of its kind, and
//! a refused launch leaves nothing: no cgroup, no mount, no process, no state.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use serde_json::{Value, json};
use support::{Bundle, Dir, Ran, SandboxCgroups, executable};

/// A line of words (`@` is the test's directory), the exit code, what stderr must say, and
/// whether there is a hint.
type Row = (&'static str, i32, &'static [&'static str], bool);

const SANDBOX: &[Row] = &[
    ("--ro @/none:/x -- true", 121, &["/source", "@/none", "openat2", "(ENOENT)"], false),
    ("--rw @/file/below:/x -- true", 121, &["/source", "@/file/below", "(ENOTDIR)"], false),
    ("-- /no/such", 127, &["/process/args/0", "/no/such", "no such file"], true),
    ("-- nosuch", 127, &["/process/args/0", "nosuch", "$PATH"], true),
    ("-- /etc/passwd", 126, &["/process/args/0", "/etc/passwd", "permission denied"], true),
    ("-- /usr", 126, &["/process/args/0", "/usr"], true),
    ("--ro @/interpreted:/interpreted -- /interpreted", 127, &["/interpreted", "interpreter"], true),
    ("--ro @/noise:/noise -- /noise", 126, &["/noise", "exec format error"], false),
    ("--bogus -- true", 125, &["'--bogus'"], false),
    ("", 125, &["<CMD>"], false),
    ("--cap-add NET_RAW --cap-drop NET_RAW -- true", 125, &["CAP_NET_RAW", "--cap-add", "--cap-drop"], false),
    ("--memory 1g --memory-swap 1m -- true", 125, &["--memory-swap", "--memory"], false),
    ("--ro @/file:/a --rw @/file:/a -- true", 125, &["mount destination /a", "twice"], false),
    ("--rootfs @/none -- true", 121, &["--rootfs", "@/none", "(ENOENT)"], false),
    ("--rootfs @/file -- true", 121, &["--rootfs", "@/file", "(ENOTDIR)"], false),
    ("--memory 12x -- true", 125, &["--memory", "12x"], false),
    ("--memory 0 -- true", 125, &["--memory", "\"0\""], false),
    ("--memory -1 -- true", 125, &["--memory", "-1"], false),
    ("--memory 99999999999999999999 -- true", 125, &["--memory", "9999"], false),
    ("--tmpfs /t:zzz -- true", 125, &["--tmpfs", "zzz"], false),
    ("--shm-size 1.5x -- true", 125, &["--shm-size", "1.5x"], false),
    ("--pids-limit 0 -- true", 125, &["--pids-limit"], false),
    ("--cpus nan -- true", 125, &["--cpus", "nan"], false),
    ("--timeout -1 -- true", 125, &["--timeout", "-1"], false),
    ("--ro @/fifo:/x -- true", 120, &["policy", "@/fifo", "default.bind.type"], false),
    ("--ro @/socket:/x -- true", 120, &["policy", "@/socket", "default.bind.type"], false),
    ("--rw @/socket-link:/x -- true", 120, &["policy", "@/socket", "default.bind.type"], false),
    (
        "--ro @/alias:/x -- true",
        120,
        &["@/alias", "is a symbolic link to file", "default.bind.link", "name the target"],
        false,
    ),
    (
        "--rw @/away/shadow:/x -- true",
        120,
        &["@/away", "is a symbolic link to /etc", "default.bind.link"],
        false,
    ),
    ("--rootfs @/away -- true", 120, &["/root/path", "@/away", "default.bind.link"], false),
    ("--device @/null:/dev/x -- true", 120, &["@/null", "default.bind.link"], false),
    ("--ro /dev/null:/x -- true", 120, &["policy", "/dev/null", "default.bind.type"], false),
    ("--ro /proc:/x -- true", 120, &["policy", "/proc", "lies on proc", "default.bind.kernel-fs"], false),
    ("--ro /proc/self/status:/x -- true", 120, &["policy", "lies on proc"], false),
    ("--ro /sys/kernel:/x -- true", 120, &["policy", "/sys/kernel", "sysfs"], false),
    ("--rw /:/x -- true", 120, &["policy", "default.bind.root-rw"], false),
    ("--ro /proc/self/root:/x -- true", 121, &["/proc/self/root", "(ELOOP)"], true),
    ("--ro @/file:/ -- true", 125, &["--ro", "--rootfs"], false),
    ("--ro @/file:relative -- true", 125, &["--ro", "relative"], false),
    ("--user nobody-here -- true", 125, &["--user", "nobody-here", "/etc/passwd"], false),
    ("--user 4294967295 -- true", 125, &["--user", "4294967295"], false),
    ("--user 4294967296 -- true", 125, &["--user", "4294967296"], false),
    ("--env-file @/none -- true", 121, &["--env-file", "@/none", "(ENOENT)"], false),
    ("--secret token=file:@/none -- true", 121, &["--secret", "@/none", "(ENOENT)"], false),
    ("--security-opt seccomp=@/none -- true", 121, &["--security-opt", "@/none", "(ENOENT)"], false),
    ("--security-opt seccomp=@/file -- true", 125, &["seccomp", "line 1"], false),
    ("--security-opt no-new-privileges=false -- true", 125, &["--security-opt", "not supported"], false),
    ("--cap-add NET_MAGIC -- true", 125, &["--cap-add", "NET_MAGIC"], false),
];

fn inputs() -> Dir {
    let dir = Dir::new();
    dir.write("file", "x\n");
    for (name, content) in [("interpreted", "#!/no/such/interpreter\n"), ("noise", "\u{1}\u{2}noise")] {
        executable(dir.join(name), content);
    }
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    // The name of the socket stays when the listener is closed.
    drop(UnixListener::bind(dir.join("socket")).unwrap());
    let links = [("socket", "socket-link"), ("file", "alias"), ("/etc", "away"), ("/dev/null", "null")];
    for (target, name) in links {
        symlink(target, dir.join(name)).unwrap();
    }
    dir
}

/// One failure line with the word that callers look for, what it is about, and nothing else.
#[track_caller]
fn check(what: &str, ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code(), code, "{what}: {ran:?}");
    assert_eq!(ran.out, "", "{what}: {ran:?}");
    let first = ran.err.lines().next().unwrap_or_default();
    assert!(first.starts_with("pinfold: ") && first.contains("error"), "{what}: {ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "{what}: `{word}` is not in: {}", ran.err);
    }
}

#[test]
fn a_sandbox_that_cannot_be_is_refused_by_name() {
    let dir = inputs();
    let cgroups = SandboxCgroups::now();
    for (line, code, words, hint) in SANDBOX {
        let here = |text: &str| text.replace('@', dir.path().to_str().unwrap());
        let line = here(line);
        let report = dir.text("report.json");
        let mut args = vec!["sandbox", "--report", &report];
        args.extend(line.split_whitespace());
        fs::remove_file(&report).ok();
        let ran = dir.pinfold(&args);
        let words: Vec<_> = words.iter().map(|word| here(word)).collect();
        check(&line, &ran, *code, &words.iter().map(String::as_str).collect::<Vec<_>>());
        let hinted = ran.err.lines().any(|line| line.starts_with("hint: ") && line.len() > 20);
        assert!(hinted || !hint, "{line}: no hint: {}", ran.err);
        let written = fs::read(&report).unwrap_or_else(|error| panic!("{line}: no report: {error}"));
        let report: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(report["exit_code"], *code, "{line}: {report}");
        let message = report["error"]["message"].as_str().unwrap();
        // What clap says may be several lines.
        let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(message), "{line}: {report}");
    }
    cgroups.assert_none_added();
    dir.assert_nothing_left();
}

#[test]
fn a_report_goes_through_no_link_and_over_nothing_else() {
    let dir = inputs();
    let elsewhere = dir.write("elsewhere", "mine\n");
    symlink(&elsewhere, dir.join("link")).unwrap();
    symlink(dir.join("fresh"), dir.join("dangling")).unwrap();
    fs::hard_link(&elsewhere, dir.join("hard-link")).unwrap();
    let foreign = dir.write("foreign", "theirs\n");
    std::os::unix::fs::chown(&foreign, Some(12345), None).unwrap();
    for name in ["link", "dangling", "none/report", "fifo", "hard-link", "foreign"] {
        let report = dir.text(name);
        let witness = dir.join("ran");
        let bind = format!("{}:/w", dir.mkdir("w").display());
        let args = ["sandbox", "--report", &report, "--rw", &bind, "--", "sh", "-c", ": >/w/ran"];
        let ran = dir.pinfold(&args);
        check(name, &ran, 121, &["--report", &report]);
        assert!(fs::metadata(&witness).is_err(), "{name}: it ran without a report");
    }
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine\n");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "theirs\n");
    assert!(fs::symlink_metadata(dir.join("fresh")).is_err(), "the link was followed");
    dir.assert_nothing_left();
}

/// The place in config.json, its new value (`null` takes it away), what stderr must say.
type Change = (&'static str, Value, &'static [&'static str]);

fn changes() -> Vec<Change> {
    let mut changes = wrong_types();
    changes.extend(wrong_values());
    changes
}

fn wrong_types() -> Vec<Change> {
    let rows: &[(&str, Value)] = &[
        ("/ociVersion", json!(5)),
        ("/process", json!("sh")),
        ("/process/args", json!("sh")),
        ("/process/args/0", json!(7)),
        ("/process/env", json!({})),
        ("/process/user/uid", json!("0")),
        ("/process/user/gid", json!(-1)),
        ("/process/user/umask", json!("x")),
        ("/process/terminal", json!("no")),
        ("/process/capabilities", json!("all")),
        ("/process/capabilities/bounding", json!("all")),
        ("/process/rlimits", json!({})),
        ("/process/rlimits/0/soft", json!("many")),
        ("/process/noNewPrivileges", json!("yes")),
        ("/root", json!("rootfs")),
        ("/root/readonly", json!("yes")),
        ("/hostname", json!(7)),
        ("/mounts", json!({})),
        ("/mounts/0/destination", json!(7)),
        ("/mounts/0/options", json!("ro")),
        ("/linux", json!([])),
        ("/linux/namespaces", json!("all")),
        ("/linux/resources", json!("x")),
        ("/linux/resources", json!({"memory": {"limit": "1"}})),
        ("/linux/resources", json!({"pids": {"limit": "1"}})),
        ("/linux/sysctl", json!({"kernel.shmmax": 1})),
        ("/linux/maskedPaths", json!("/proc/kcore")),
    ];
    rows.iter().map(|(field, value)| (*field, value.clone(), &[] as &[&str])).collect()
}

fn wrong_values() -> Vec<Change> {
    let open_files = json!({"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1});
    vec![
        ("/ociVersion", json!("9.0"), &["9.0"]),
        ("/ociVersion", Value::Null, &[]),
        ("/process/args", json!([]), &[]),
        ("/process/args", Value::Null, &[]),
        ("/process/args", json!(["/no/such"]), &["/no/such", "no such file", "hint: "]),
        ("/process/args", json!(["/etc"]), &["/etc", "is a directory", "hint: "]),
        ("/process/cwd", json!("relative"), &["relative", "absolute"]),
        ("/process/env", json!(["A=\u{0}"]), &["NUL"]),
        ("/process/user/uid", json!(4_294_967_295_u32), &["4294967295"]),
        ("/process/user/uid", json!(4_294_967_296_u64), &["4294967296"]),
        ("/process/rlimits/0/type", json!("RLIMIT_NONE"), &["RLIMIT_NONE"]),
        ("/process/rlimits/0/soft", json!(99_999_999), &["above"]),
        ("/process/rlimits", json!([open_files, open_files]), &["twice"]),
        ("/process/oomScoreAdj", json!(5000), &["5000", "-1000 to 1000"]),
        ("/root", Value::Null, &["no root"]),
        ("/root/path", json!("none"), &["none", "(ENOENT)"]),
        ("/root/path", json!("config.json"), &["config.json", "not a directory"]),
        ("/mounts/0", json!({"destination": "/x"}), &["/x"]),
        ("/mounts/0", json!({"destination": "/x", "type": "bind", "options": ["bind"]}), &["/x", "source"]),
        (
            "/mounts/0",
            json!({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]}),
            &["/mounts/0/source", "/no/such", "(ENOENT)"],
        ),
        ("/mounts/0", json!({"destination": "/x", "type": "nosuchfs"}), &["/x", "(ENODEV)"]),
        (
            "/mounts/0",
            json!({"destination": "/proc", "type": "proc", "options": ["frobnicate"]}),
            &["/proc", "(EINVAL)"],
        ),
        ("/linux/namespaces/0/type", json!("galaxy"), &["galaxy"]),
        (
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "pid"}, {"type": "pid"}]),
            &["/linux/namespaces/2", "pid", "twice"],
        ),
        ("/linux/namespaces", json!([{"type": "pid"}]), &["mount namespace"]),
        ("/linux/namespaces/0/path", json!("relative"), &["relative", "absolute"]),
        ("/linux/namespaces/0/path", json!("/no/such"), &["/no/such", "(ENOENT)"]),
        ("/linux/namespaces/0/path", json!("/etc/passwd"), &["/etc/passwd", "not a namespace"]),
        ("/linux/namespaces/0/path", json!("/proc/self/ns/user"), &["another type"]),
        ("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 1}]), &["user namespace"]),
        ("/linux/maskedPaths", json!(["relative"]), &["relative", "absolute"]),
        ("/linux/sysctl", json!({"kernel.panic": "1"}), &["kernel.panic", "separate kernel namespace"]),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_MAYBE"}), &["SCMP_ACT_MAYBE"]),
        ("/linux/cgroupsPath", json!("/../../x"), &["'..'"]),
        ("/linux/rootfsPropagation", json!("odd"), &["odd"]),
        ("/hooks", json!({"poststop": [{"path": "bin/x"}]}), &["/hooks/poststop/0/path", "absolute"]),
        ("/hooks", json!({"prestart": [{"path": "/x", "timeout": 0}]}), &["/hooks/prestart/0/timeout"]),
        (
            "/annotations",
            json!({"io.pinfold.profile": "x"}),
            &["/annotations/io.pinfold.profile", "no policy file"],
        ),
        ("/annotations", json!({"io.pinfold.timeout": "soon"}), &["/annotations/io.pinfold.timeout"]),
        ("/linux/intelRdt", json!({"closID": "a/b"}), &["/linux/intelRdt/closID"]),
    ]
}

/// Sets a value by its JSON pointer, or takes it away.
fn change(config: &mut Value, field: &str, value: Value) {
    let (parent, key) = field.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(map), Value::Null) => {
            map.remove(key).unwrap();
        }
        (Value::Object(map), value) => {
            map.insert(key.to_owned(), value);
        }
        (Value::Array(list), value) => list[key.parse::<usize>().unwrap()] = value,
        (other, _) => unreachable!("{other}"),
    }
}

#[test]
fn a_configuration_that_cannot_be_is_refused_by_field() {
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    let good = bundle.config.clone();
    let id = dir.id("bad");
    for (field, value, words) in changes() {
        let what = format!("{field} = {value}");
        bundle.edit(|config| {
            *config = good.clone();
            change(config, field, value);
        });
        for verb in ["run", "create"] {
            let ran = dir.pinfold(&[verb, "--bundle", bundle.text(), &id]);
            check(&what, &ran, 1, &[field, id.as_str()]);
            check(&what, &ran, 1, words);
        }
        assert_eq!(dir.pinfold(&["list", "--quiet"]).ok(), "", "{what}: it left state");
    }
    bundle.edit(|config| *config = good);
    bundle.run(&dir, &id).ok();
    dir.assert_nothing_left();
}

#[test]
fn a_bundle_that_is_none_is_refused() {
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    let id = dir.id("bad");
    let none = dir.text("none");
    check("missing", &dir.pinfold(&["run", "-b", &none, &id]), 1, &["--bundle", &none, "(ENOENT)"]);
    dir.mkdir("empty");
    let empty = dir.text("empty");
    check("empty", &dir.pinfold(&["run", "-b", &empty, &id]), 1, &["config.json", "hint: "]);
    for text in ["", "{", "\"x\"", "null", "{\"ociVersion\": \"1.0.0\", }", "\u{feff}{}"] {
        fs::write(bundle.path.join("config.json"), text).unwrap();
        check(text, &bundle.run(&dir, &id), 1, &["config.json"]);
    }
    // What never ends must neither hang nor fill the memory.
    fs::remove_file(bundle.path.join("config.json")).unwrap();
    nix::unistd::mkfifo(&bundle.path.join("config.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    check("fifo", &bundle.run(&dir, &id), 1, &["config.json"]);
    dir.assert_nothing_left();
}

#[test]
fn verbs_refuse_what_they_cannot_do() {
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    let id = dir.id("bad");
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        check(verb, &dir.pinfold(&[verb, &id]), 1, &[verb, &id, "container does not exist"]);
    }
    check("exec", &dir.pinfold(&["exec", &id, "true"]), 255, &[&id, "container does not exist"]);
    dir.pinfold(&["delete", "--force", &id]).ok();
    for bad in ["a/b", "..", ".", ""] {
        check(bad, &dir.pinfold(&["state", bad]), 1, &[]);
        check(bad, &dir.pinfold(&["exec", bad, "true"]), 255, &[]);
    }
    bundle.edit(|config| config["process"]["terminal"] = json!(true));
    let ran = dir.pinfold(&["create", "--bundle", bundle.text(), &id]);
    check("terminal", &ran, 1, &["--console-socket", &id]);
    let socket = dir.text("none");
    let ran = dir.pinfold(&["create", "--bundle", bundle.text(), "--console-socket", &socket, &id]);
    check("no socket", &ran, 1, &["--console-socket", &id]);
    bundle.edit(|config| config["process"]["terminal"] = json!(false));
    let ran = dir.pinfold(&["run", "--bundle", bundle.text(), "--preserve-fds", "9", &id]);
    check("closed descriptors", &ran, 1, &["--preserve-fds"]);
    let ran = dir.pinfold(&["run", "--bundle", bundle.text(), "--no-such", &id]);
    check("unknown option", &ran, 1, &["--no-such"]);
    let ran = dir.pinfold(&["kill", &id, "NOSUCH"]);
    check("unknown signal", &ran, 1, &["NOSUCH"]);
    dir.assert_nothing_left();
}
