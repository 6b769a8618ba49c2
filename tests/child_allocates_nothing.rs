//! Between clone3 and execve the child allocates nothing: the parent's heap is a copy in an
//! unknown state, and a lock in it may be held for ever (fork(2), signal-safety(7)).
//!
//! A program of its own (`harness = false`): the launch needs a single thread, and the
//! counting allocator must be the whole program's.

#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use pinfold::sys::clone::{CloneArgs, Cloned, clone3, exit_now};
use pinfold::sys::shared::SharedPage;
use pinfold::{cli, commands};

/// Counts what any process but the test's own asks of the heap.
struct Counting;

static PARENT: AtomicI32 = AtomicI32::new(0);
static COUNT: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

fn count() {
    let parent = PARENT.load(Ordering::Relaxed);
    // SAFETY: takes no memory. The raw call: libc's getpid may be cached across a raw clone.
    let own = unsafe { libc::syscall(libc::SYS_getpid) };
    if parent != 0 && own != i64::from(parent) {
        // SAFETY: the pointer is into a shared page that lives as long as the program.
        if let Some(counter) = unsafe { COUNT.load(Ordering::Relaxed).as_ref() } {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Name, arguments, and whether the program runs to its end.
const LAUNCHES: &[(&str, &[&str], bool)] = &[
    ("a program that ends", &["sandbox", "--", "true"], true),
    (
        "a bind, a tmpfs, a secretless environment",
        &["sandbox", "--ro", "/etc/hostname", "--tmpfs", "/x", "--", "true"],
        true,
    ),
    (
        "a signal through the init",
        &["sandbox", "--timeout", "300ms", "--grace", "100ms", "--", "sleep", "9"],
        true,
    ),
    ("output that is counted", &["sandbox", "--stdout-max", "10", "--", "echo", "x"], true),
    ("a terminal", &["sandbox", "--tty", "--", "true"], true),
    ("a secret", &["sandbox", "--secret", "key=file:/etc/hostname", "--", "true"], true),
    (
        "places that are made",
        &[
            "sandbox",
            "--rw",
            "BUNDLE:/work",
            "--ro",
            "/etc/hostname:/work/a/b",
            "-w",
            "/work/c",
            "--",
            "true",
        ],
        true,
    ),
    ("no such program", &["sandbox", "--", "no-such-program"], false),
    ("a step that fails", &["sandbox", "--ro", "/etc/hostname:/usr/no/such/place", "--", "true"], false),
    ("a bundle with hooks", &["run", "--bundle", "BUNDLE", "pinfold-allocates-nothing"], true),
    (
        "a hook that fails",
        &["run", "--bundle", "BUNDLE", "--config", "BUNDLE/hook-fails.json", "pinfold-allocates-nothing"],
        false,
    ),
    (
        "a hook out of time",
        &["run", "--bundle", "BUNDLE", "--config", "BUNDLE/hook-late.json", "pinfold-allocates-nothing"],
        false,
    ),
];

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let (page, _fd) = SharedPage::create(c"counter").unwrap();
    let counter: &AtomicU64 = page.word(0).unwrap();
    COUNT.store(std::ptr::from_ref(counter).cast_mut(), Ordering::Relaxed);
    PARENT.store(nix::unistd::getpid().as_raw(), Ordering::Relaxed);
    the_counter_counts(counter);
    let directory = std::env::temp_dir().join(format!("pinfold-alloc-{}", std::process::id()));
    make_bundle(&directory);
    // `run` executes this program again from a read-only mount, once (CVE-2019-5736).
    for (name, arguments, runs) in LAUNCHES {
        launch(name, arguments, *runs, &directory);
        assert_eq!(counter.load(Ordering::SeqCst), 0, "{name}: the child used the heap");
        println!("test {name} ... ok");
    }
    assert!(directory.join("rootfs/led-to/none/place").is_dir(), "no link was followed to what is missing");
    std::fs::remove_dir_all(&directory).unwrap();
    let passed = LAUNCHES.len() + 1;
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

/// The control: a child that allocates is seen.
fn the_counter_counts(counter: &AtomicU64) {
    let args = CloneArgs { exit_signal: libc::SIGCHLD, ..CloneArgs::default() };
    match clone3(&args).unwrap() {
        Cloned::Child => {
            drop(std::hint::black_box(Box::new(5_u64)));
            exit_now(0)
        }
        Cloned::Parent { pid, .. } => {
            nix::sys::wait::waitpid(pid, None).unwrap();
        }
    }
    assert_eq!(counter.swap(0, Ordering::SeqCst), 2, "one allocation and its end");
    println!("test an allocation in a child is seen ... ok");
}

fn launch(name: &str, arguments: &[&str], runs: bool, bundle: &Path) {
    let root = bundle.join("state");
    let mut words = vec!["pinfold".to_owned(), "--root".to_owned(), root.display().to_string()];
    words.extend(arguments.iter().map(|word| word.replace("BUNDLE", &bundle.display().to_string())));
    let parsed = cli::parse_from(words).unwrap();
    let ran = commands::run(&parsed);
    assert_eq!(ran.is_ok(), runs, "{name}: {ran:?}");
}

/// A root with nothing but busybox, and a configuration with every part that the child has
/// a step for.
fn make_bundle(directory: &Path) {
    let bin = directory.join("rootfs/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy("/bin/busybox", bin.join("true")).unwrap();
    let led = directory.join("rootfs/led");
    // There already, where this program was executed again.
    std::fs::remove_file(&led).ok();
    std::os::unix::fs::symlink("/bin/../../led-to/none", led).unwrap();
    let namespaces = ["pid", "ipc", "uts", "mount", "network", "cgroup", "time"];
    let namespaces = namespaces.map(|name| serde_json::json!({ "type": name }));
    let mut config = serde_json::json!({
        "ociVersion": "1.0.2",
        "hostname": "h",
        "root": {"path": "rootfs", "readonly": true},
        "process": {
            "args": ["true"], "cwd": "/made", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
            "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            {"destination": "/deep/er/place", "type": "bind", "source": "rootfs", "options": ["rbind", "ro", "rprivate"]},
            {"destination": "/bin", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]},
            {"destination": "/led/place", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/deep/er/place", "type": "none", "source": "none", "options": ["remount", "bind", "nosuid"]}
        ],
        "linux": {
            "namespaces": namespaces,
            "timeOffsets": {"boottime": {"secs": 60}},
            "sysctl": {"net.ipv4.ip_forward": "0"},
            "maskedPaths": ["/proc/kcore", "/proc/acpi"],
            "readonlyPaths": ["/proc/sys"]
        }
    });
    let inside = serde_json::json!([{"path": "/bin/true", "env": ["A=b"], "timeout": 20}]);
    config["hooks"] = serde_json::json!({
        "createRuntime": inside, "createContainer": inside, "startContainer": inside,
    });
    std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
    for (name, script) in [("hook-fails", "echo no >&2; exit 1"), ("hook-late", "sleep 9")] {
        let hook = serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1});
        config["hooks"]["createContainer"] = serde_json::json!([hook]);
        std::fs::write(directory.join(name.to_owned() + ".json"), config.to_string()).unwrap();
    }
}
