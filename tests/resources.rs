//! Promise: limits of a container can be changed, stay known, and are refused rather than half
//! applied; what it uses can be read (config-linux.md, "Control groups"; runc-update(8),
//! runc-events(8)).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Bundle, Dir, await_that, start};

struct Container {
    dir: Dir,
    id: String,
}

impl Container {
    /// A running container with these resources.
    fn new(script: &str, resources: &Value) -> Self {
        let dir = Dir::new();
        let mut bundle = Bundle::script(&dir, "bundle", script);
        bundle.edit(|config| {
            for (family, value) in resources.as_object().unwrap() {
                config["linux"]["resources"][family] = value.clone();
            }
        });
        let id = dir.id("resources");
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        dir.pinfold(&["start", &id]).ok();
        Self { dir, id }
    }

    /// What stands in the group's file of v1 or of v2.
    fn file(&self, v1: &str, v2: &str) -> String {
        let paths = [
            format!("/sys/fs/cgroup/{}/{}/{}", v1.split('.').next().unwrap(), self.id, v1),
            format!("/sys/fs/cgroup/{}/{v2}", self.id),
        ];
        let text = paths.iter().find_map(|path| fs::read_to_string(path).ok());
        text.unwrap_or_else(|| panic!("neither of {paths:?}")).trim().to_owned()
    }

    fn memory(&self) -> String {
        self.file("memory.limit_in_bytes", "memory.max")
    }

    fn pids(&self) -> String {
        self.file("pids.max", "pids.max")
    }

    fn update(&self, args: &[&str]) -> support::Ran {
        self.dir.pinfold(&[&["update"], args, &[self.id.as_str()]].concat())
    }

    fn end(self) {
        self.dir.pinfold(&["delete", "--force", &self.id]).ok();
        self.dir.assert_nothing_left();
    }
}

const SLEEP: &str = "while :; do sleep 0.1; done";
const MIB: u64 = 1 << 20;

#[test]
fn an_update_finds_what_it_depends_on() {
    let resources = json!({"memory": {"limit": 64 * MIB, "swap": 128 * MIB}, "pids": {"limit": 40},
                           "cpu": {"quota": 50_000, "period": 100_000}});
    let container = Container::new(SLEEP, &resources);
    // Memory alone: swap stays what it was with the new memory in it.
    container.update(&["--memory", "96M"]).ok();
    assert_eq!(container.memory(), (96 * MIB).to_string());
    let swap = container.file("memory.memsw.limit_in_bytes", "memory.swap.max");
    assert!([128 * MIB, 32 * MIB].iter().any(|bytes| swap == bytes.to_string()), "{swap}");
    let ran = container.update(&["--memory", "200M"]);
    assert!(ran.code() == 1 && ran.err.contains("/linux/resources/memory/swap"), "{ran:?}");
    assert_eq!(container.memory(), (96 * MIB).to_string());
    // The refused one is not remembered.
    container.update(&["--memory-swap", "100M"]).ok();
    container.update(&["--cpu-period", "200000", "--pids-limit", "50"]).ok();
    let period = container.file("cpu.cfs_period_us", "cpu.max");
    assert!(period == "200000" || period == "50000 200000", "{period}");
    assert_eq!(container.pids(), "50");
    // No bound on memory is none on both.
    container.update(&["--memory", "-1"]).ok();
    assert!(container.memory() == "max" || container.memory().len() > 15, "{}", container.memory());
    let ran = container.update(&["--kernel-memory", "5M"]);
    assert!(ran.code() == 0 && ran.err.contains("--kernel-memory is ignored"), "{ran:?}");
    container.end();
}

#[test]
fn a_file_or_stdin_says_it_all_and_devices_stay() {
    let container = Container::new(SLEEP, &json!({"pids": {"limit": 40}}));
    let document = r#"{"pids":{"limit":33},"memory":{"limit":67108864},"cpu":{},"blockIO":null,"devices":[{"allow":true}]}"#;
    let file = container.dir.write("resources.json", document);
    let ran = container.update(&["--pids-limit", "9", "-r", file.to_str().unwrap()]);
    assert!(ran.code() == 0 && ran.err.contains("/linux/resources/devices is not changed"), "{ran:?}");
    assert_eq!((container.pids(), container.memory()), ("33".to_owned(), (64 * MIB).to_string()));

    let mut command = container.dir.command(&["update", "--resources", "-", &container.id]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"pids":{"limit":-1}}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(container.pids(), "max");

    for (bad, words) in
        [("{", "--resources"), ("[]", "--resources"), (r#"{"pids":{"limit":-5}}"#, "pids/limit")]
    {
        let file = container.dir.write("bad.json", bad);
        let ran = container.update(&["-r", file.to_str().unwrap()]);
        assert!(ran.code() == 1 && ran.err.contains(words), "{bad}: {ran:?}");
    }
    assert_eq!(container.pids(), "max");
    container.end();
}

#[test]
fn a_limit_below_the_usage_is_refused_when_the_configuration_says_so() {
    let hold = "dd if=/dev/zero of=/dev/shm/held bs=1M count=8 2>/dev/null; touch /dev/shm/ready; while :; do sleep 0.1; done";
    let resources = json!({"memory": {"limit": 64 * MIB, "checkBeforeUpdate": true}});
    let container = Container::new(hold, &resources);
    let usage = || container.file("memory.usage_in_bytes", "memory.current").parse::<u64>().unwrap();
    await_that("it holds 8 MiB", || usage() > 8 * MIB);
    let ran = container.update(&["--memory", "4M"]);
    assert!(ran.code() == 1 && ran.err.contains("rejecting memory limit"), "{ran:?}");
    assert_eq!(container.memory(), (64 * MIB).to_string());
    container.update(&["--memory", "48M"]).ok();
    assert_eq!(container.memory(), (48 * MIB).to_string());
    container.end();
}

#[test]
fn statistics_are_runcs() {
    let resources = json!({"memory": {"limit": 64 * MIB}, "pids": {"limit": 40}});
    let container = Container::new("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 100", &resources);
    let stats = || {
        let ran = container.dir.pinfold(&["events", "--stats", &container.id]);
        assert_eq!(ran.ok().lines().count(), 1);
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    await_that("it used CPU time", || stats()["data"]["cpu"]["usage"]["total"].as_u64() > Some(1_000_000));
    let line = stats();
    assert_eq!((&line["type"], &line["id"]), (&json!("stats"), &json!(container.id)));
    let data = &line["data"];
    for part in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"] {
        assert!(!data[part].is_null(), "no {part}: {data:#}");
    }
    assert_eq!(data["memory"]["usage"]["limit"], 64 * MIB);
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{data:#}");
    assert!(!data["memory"]["raw"].as_object().unwrap().is_empty());
    assert_eq!(data["pids"]["limit"], 40);
    assert!(data["pids"]["current"].as_u64().unwrap() >= 1, "{data:#}");
    container.dir.pinfold(&["kill", &container.id, "KILL"]).ok();
    await_that("it stops", || container.dir.pinfold(&["state", &container.id]).out.contains("stopped"));
    let ran = container.dir.pinfold(&["events", "--stats", &container.id]);
    assert!(ran.code() == 1 && ran.err.contains("is not running"), "{ran:?}");
    container.end();
}

/// Each kill for want of memory is a line; the stream ends with the container.
#[test]
fn running_out_of_memory_is_an_event() {
    let resources = json!({"memory": {"limit": 32 * MIB, "swap": 32 * MIB}});
    let hog = "sleep 1; dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; sleep 0.5; exit 0";
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", hog);
    bundle.edit(|config| config["linux"]["resources"]["memory"] = resources["memory"].clone());
    let id = dir.id("oom");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    let events = start(&mut dir.command(&["events", "--interval", "200ms", &id]));
    std::thread::sleep(std::time::Duration::from_millis(300));
    dir.pinfold(&["start", &id]).ok();
    let ran = events.wait();
    let lines: Vec<Value> = ran.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kills: Vec<_> = lines.iter().filter(|line| line["type"] == "oom").collect();
    assert_eq!(kills, [&json!({"type": "oom", "id": id})], "{lines:#?}");
    assert!(lines.iter().filter(|line| line["type"] == "stats").count() >= 3, "{lines:#?}");
    dir.pinfold(&["delete", &id]).ok();
    dir.assert_nothing_left();
}

/// Where no resctrl filesystem is mounted, asking for it is an error; where one is, the
/// container is in a group of its own that goes with it.
#[test]
fn a_class_of_service_is_entered_or_refused() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let place =
        mounts.lines().find(|line| line.contains(" - resctrl ")).and_then(|line| line.split(' ').nth(4));
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", SLEEP);
    bundle.edit(|config| config["linux"]["intelRdt"] = json!({}));
    let id = dir.id("rdt");
    let ran = dir.pinfold(&["create", "--bundle", bundle.text(), &id]);
    match place {
        None => {
            assert!(ran.code() == 1 && ran.err.contains("/linux/intelRdt"), "{ran:?}");
            bundle.edit(|config| config["linux"]["intelRdt"] = Value::Null);
            dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
            for (option, words) in [
                ("--l3-cache-schema=L3:0=f", "Intel RDT/CAT: l3 cache schema is not enabled"),
                ("--mem-bw-schema=MB:0=50", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
            ] {
                let ran = dir.pinfold(&["update", option, &id]);
                assert!(ran.code() == 1 && ran.err.contains(words), "{ran:?}");
            }
            dir.pinfold(&["delete", "--force", &id]).ok();
        }
        Some(place) => {
            ran.ok();
            let state: Value = serde_json::from_str(dir.pinfold(&["state", &id]).ok()).unwrap();
            let tasks = fs::read_to_string(format!("{place}/{id}/tasks")).unwrap();
            assert!(tasks.lines().any(|pid| state["pid"] == json!(pid.parse::<u32>().unwrap())), "{tasks}");
            dir.pinfold(&["delete", "--force", &id]).ok();
            assert!(fs::metadata(format!("{place}/{id}")).is_err());
        }
    }
    dir.assert_nothing_left();
}

/// As runc's: with `--log` stderr is not told.
#[test]
fn a_warning_goes_to_the_log_in_its_form() {
    let container = Container::new(SLEEP, &json!({"pids": {"limit": 40}}));
    let (log, missing) = (container.dir.text("log"), container.dir.text("none/log"));
    let resources = container.dir.write("resources.json", r#"{"devices": [{"allow": true}]}"#);
    let update = |log: &str, form: &str, args: &[&str]| {
        let line = [&["--log", log, "--log-format", form, "update"], args, &[&container.id]].concat();
        let ran = container.dir.pinfold(&line);
        ran.ok();
        ran.err
    };
    assert_eq!(update(&log, "json", &["--kernel-memory", "5M"]), "");
    assert_eq!(update(&log, "text", &["-r", resources.to_str().unwrap()]), "");
    let text = fs::read_to_string(&log).unwrap();
    let [json, words] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["level"], "warning");
    assert!(json["msg"].as_str().unwrap().starts_with("--kernel-memory is ignored"), "{json}");
    assert!(words.contains(" level=warning msg=\"/linux/resources/devices is not changed"), "{words}");
    // Where the log cannot be written nothing is lost.
    let told = update(&missing, "json", &["--kernel-memory", "5M"]);
    assert!(told.contains("warning: --kernel-memory is ignored") && told.contains("none/log"), "{told}");
    container.end();
}
