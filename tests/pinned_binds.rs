//! Promise: what was checked is what is mounted. A bind source is opened once; swapping
//! its path afterwards changes nothing. And what is mounted read-only is so all the way
//! down, and hears and tells nothing of mounts made elsewhere.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::json;
use support::{Bundle, Dir, count, in_own_mounts, run};

const BINDS: usize = 16;
const LAUNCHES: usize = 10;
/// Races fewer than this were won by the control within a second; it never needs them all.
const CONTROL_TRIES: usize = 400;

/// How long the last launch took, in microseconds.
static LAUNCH_US: AtomicU64 = AtomicU64::new(50_000);

/// One way of changing what a path means.
struct Swap {
    name: &'static str,
    /// What is bound, below the test's directory.
    source: &'static str,
    prepare: fn(&Path),
    /// Called over and over, with a number that grows.
    swap: fn(&Path, u64),
}

const SWAPS: &[Swap] = &[
    Swap { name: "a link replaced by another link", source: "spot", prepare: |_| (), swap: replace_link },
    Swap { name: "a file renamed over a file", source: "spot", prepare: |_| (), swap: replace_file },
    Swap {
        name: "a file exchanged with a file",
        source: "spot",
        prepare: |dir| {
            fs::hard_link(dir.join("good/marker"), dir.join("spot")).unwrap();
            fs::hard_link(dir.join("secret/marker"), dir.join("other")).unwrap();
        },
        swap: exchange,
    },
    Swap {
        name: "a directory exchanged with a link",
        source: "spot",
        prepare: |dir| {
            fs::rename(dir.join("good"), dir.join("spot")).unwrap();
            symlink("secret", dir.join("other")).unwrap();
        },
        swap: exchange_briefly,
    },
    Swap {
        name: "a parent exchanged with a link",
        source: "spot/below",
        prepare: |dir| {
            fs::create_dir(dir.join("spot")).unwrap();
            fs::rename(dir.join("good"), dir.join("spot/below")).unwrap();
            fs::create_dir(dir.join("secret-parent")).unwrap();
            fs::rename(dir.join("secret"), dir.join("secret-parent/below")).unwrap();
            symlink("secret-parent", dir.join("other")).unwrap();
        },
        swap: exchange_briefly,
    },
];

impl Swap {
    /// Whether names that were opened cease to exist.
    fn removes(&self) -> bool {
        self.name == "a file renamed over a file"
    }

    /// Whether a link stands on the way, always or now and then. No link of a workspace is
    /// followed, so that what it names is never mounted.
    fn has_links(&self) -> bool {
        self.name.contains("link")
    }

    fn of_files(&self) -> bool {
        self.name.starts_with("a file")
    }
}

fn replace_link(dir: &Path, number: u64) {
    fs::remove_file(dir.join("next")).ok();
    symlink(if number.is_multiple_of(2) { "good" } else { "secret" }, dir.join("next")).unwrap();
    fs::rename(dir.join("next"), dir.join("spot")).unwrap();
}

/// With pauses: the kernel attaches no mount whose name was removed since it was opened, so
/// that a launch with a swap before its last mount fails. These are about as long as a launch
/// is: some find none, and some one between the check and the making of a mount, which is
/// where a program that mounts by path is met.
fn replace_file(dir: &Path, number: u64) {
    let percent = [10, 25, 45, 70, 130, 250][usize::try_from(number % 6).unwrap()];
    std::thread::sleep(Duration::from_micros(LAUNCH_US.load(Ordering::Relaxed) * percent / 100));
    let chosen = if number.is_multiple_of(2) { "good" } else { "secret" };
    fs::remove_file(dir.join("next")).ok();
    fs::hard_link(dir.join(chosen).join("marker"), dir.join("next")).unwrap();
    fs::rename(dir.join("next"), dir.join("spot")).unwrap();
    // rename(2) of two names of one inode does nothing and leaves both.
    fs::remove_file(dir.join("next")).ok();
}

fn exchange(dir: &Path, _: u64) {
    let (spot, other) = (dir.join("spot"), dir.join("other"));
    renameat2(AT_FDCWD, &spot, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

/// The link is there for moments only: where one is seen at all the launch is refused, and what
/// is to be met is the program that looks at the directory and then opens the link.
fn exchange_briefly(dir: &Path, number: u64) {
    exchange(dir, number);
    let moment = Duration::from_micros([5, 50, 250][usize::try_from(number % 3).unwrap()]);
    let until = Instant::now() + moment;
    while Instant::now() < until {}
    exchange(dir, number);
    std::thread::sleep(Duration::from_micros(150));
}

/// Runs `body` while the swap goes on beside it.
fn under_attack(dir: &Dir, swap: &Swap, body: impl FnOnce()) {
    for name in ["good", "secret"] {
        dir.mkdir(name);
        dir.write(&format!("{name}/marker"), &format!("{name}\n"));
    }
    (swap.prepare)(dir.path());
    (swap.swap)(dir.path(), 0);
    let (done, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(300 * count() as u64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && Instant::now() < until {
                let number = swaps.fetch_add(1, Ordering::Relaxed) + 1;
                (swap.swap)(dir.path(), number);
            }
        });
        // A failed assertion must end the attacker too, or the scope never does.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(swaps.load(Ordering::Relaxed) > 50, "hardly anything was swapped: {swaps:?}");
}

/// Inode to content of both objects that the path can mean. Number and content are read
/// through one descriptor: the names are being exchanged.
fn objects(dir: &Dir, file: bool) -> BTreeMap<u64, String> {
    let mut objects = BTreeMap::new();
    for below in ["good", "secret", "spot", "other", "secret-parent/below", "spot/below", "other/below"] {
        let path = if file { dir.join(below).join("marker") } else { dir.join(below) };
        let Ok(object) = fs::File::open(path) else { continue };
        let held = format!("/proc/self/fd/{}", object.as_raw_fd());
        let marker = if file { held } else { format!("{held}/marker") };
        let Ok(content) = fs::read_to_string(marker) else { continue };
        objects.insert(object.metadata().unwrap().ino(), content.trim().to_owned());
    }
    objects
}

const LOOK: &str = r#"
stat -c '%n %d %i' /m/*
for place in /m/*; do
    if [ -d "$place" ]; then read -r word <"$place/marker"; else read -r word <"$place"; fi
    echo "content $place $word"
done"#;

/// One launch with sixteen binds of the swapped source; gives the objects that were mounted.
fn launch(dir: &Dir, swap: &Swap, objects: &BTreeMap<u64, String>) -> BTreeSet<u64> {
    let source = dir.text(swap.source);
    let binds: Vec<_> = (0..BINDS).map(|number| format!("{source}:/m/{number:02}")).collect();
    let mut args = vec![];
    for (number, bind) in binds.iter().enumerate() {
        args.extend([if number % 2 == 0 { "--ro" } else { "--rw" }, bind]);
    }
    args.extend(["--workdir", "/", "--", "sh", "-euc", LOOK]);
    let begun = Instant::now();
    let (ran, report) = dir.sandbox(&args);
    LAUNCH_US.store(begun.elapsed().as_micros().try_into().unwrap(), Ordering::Relaxed);
    if swap.removes() && ran.code() == 121 {
        assert!(ran.out.is_empty() && ran.err.contains(" /m/") && ran.err.contains("(ENOENT)"), "{ran:?}");
        return BTreeSet::new();
    }
    if swap.has_links() && ran.code() == 120 {
        assert_eq!(report["outcome"]["kind"], "policy_refused", "{report}");
        assert!(ran.out.is_empty() && ran.err.contains("rule default.bind.link"), "{ran:?}");
        return BTreeSet::new();
    }
    let lines: BTreeSet<_> = ran.ok().lines().collect();
    let all = report["binds"].as_array().unwrap().iter();
    let reported: Vec<_> =
        all.filter(|bind| bind["destination"].as_str().unwrap().starts_with("/m/")).collect();
    assert_eq!(reported.len(), BINDS, "{report}");
    let mut seen = BTreeSet::new();
    for bind in reported {
        let (place, source) = (bind["destination"].as_str().unwrap(), &bind["source"]);
        let ino = source["ino"].as_u64().unwrap();
        let same = format!("{place} {} {ino}", source["dev"]);
        assert!(lines.contains(same.as_str()), "{}: checked `{same}`, mounted {lines:#?}", swap.name);
        let content = format!("content {place} {}", objects[&ino]);
        assert!(lines.contains(content.as_str()), "{}: wanted `{content}`, found {lines:#?}", swap.name);
        seen.insert(ino);
    }
    seen
}

fn swapped(swap: &Swap) {
    let dir = Dir::new();
    under_attack(&dir, swap, || {
        let mut objects = BTreeMap::new();
        // While names are exchanged both objects are not always seen at one reading.
        support::await_that("both objects", || {
            objects.extend(self::objects(&dir, swap.of_files()));
            objects.len() >= 2
        });
        let (mut seen, mut refused) = (BTreeSet::new(), 0);
        // Where many launches are refused, more are needed.
        let launches = match (swap.removes(), swap.has_links()) {
            (true, _) => 12 * LAUNCHES,
            (_, true) => 8 * LAUNCHES,
            _ => LAUNCHES,
        };
        for _ in 0..launches * count() {
            let mounted = launch(&dir, swap, &objects);
            refused += u32::from(mounted.is_empty());
            seen.extend(mounted);
        }
        let mounted: BTreeSet<_> = seen.iter().map(|ino| objects[ino].as_str()).collect();
        let mounted: Vec<_> = mounted.into_iter().collect();
        let raced = match mounted[..] {
            // A link stands there at every moment.
            [] => swap.name.starts_with("a link") && refused > 0,
            ["good"] => (swap.has_links() || swap.removes()) && refused > 0,
            ["secret"] => swap.removes() && refused > 0,
            _ => !swap.has_links() && swap.removes() == (refused > 0),
        };
        assert!(
            raced,
            "{}: the attacker never changed the outcome: {mounted:?}, {refused} refused",
            swap.name
        );
        by_path(&dir, swap);
    });
    dir.assert_nothing_left();
}

/// The control: a program that checks by path and mounts by path must be seen to lose.
fn by_path(dir: &Dir, swap: &Swap) {
    let script = r#"
        busybox mount -t tmpfs none place
        mkdir place/directory; : >place/file
        tries=0
        while [ $tries -lt "$1" ]; do
            tries=$((tries + 1))
            checked=$(busybox stat -L -c '%d %i' "$2")
            if [ -d "$2" ]; then point=place/directory; else point=place/file; fi
            busybox mount -o bind "$2" $point
            mounted=$(busybox stat -c '%d %i' $point)
            busybox umount $point
            if [ "$checked" != "$mounted" ]; then echo lost; exit 0; fi
        done"#;
    dir.mkdir("place");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", script, "sh"]);
    command.arg((CONTROL_TRIES * count()).to_string()).arg(swap.source).current_dir(dir.path());
    let ran = run(&mut command);
    assert_eq!(ran.ok(), "lost\n", "{}: the control never lost, so the race proves nothing", swap.name);
}

#[test]
fn a_link_replaced_by_another_link() {
    swapped(&SWAPS[0]);
}

#[test]
fn a_file_renamed_over_a_file() {
    swapped(&SWAPS[1]);
}

#[test]
fn a_file_exchanged_with_a_file() {
    swapped(&SWAPS[2]);
}

#[test]
fn a_directory_exchanged_with_a_link() {
    swapped(&SWAPS[3]);
}

#[test]
fn a_parent_exchanged_with_a_link() {
    swapped(&SWAPS[4]);
}

#[test]
fn read_only_holds_for_what_is_mounted_below() {
    let dir = Dir::new();
    dir.mkdir("source");
    // Everybody may write, so that only the mount can refuse. The last line is the control:
    // a writable bind of the same source can be written to.
    let ran = in_own_mounts(
        &dir,
        r#"
        mount -t tmpfs -o mode=0777 none source
        mkdir source/sub
        mount -t tmpfs -o mode=0777 none source/sub
        mkdir source/sub/deeper
        mount -t tmpfs -o mode=0777 none source/sub/deeper
        try='for place in /data /data/sub /data/sub/deeper; do
            ( : >$place/new ) 2>&1 && echo "written $place"; done; true'
        echo ro; "$PINFOLD" --root "$ROOT" sandbox --ro "$PWD/source:/data" -- sh -c "$try"
        echo rw; "$PINFOLD" --root "$ROOT" sandbox --rw "$PWD/source:/data" -- sh -c "$try"
        "#,
    );
    let (readonly, writable) = ran.ok().split_once("rw\n").unwrap();
    assert_eq!(readonly.matches("Read-only file system").count(), 3, "{ran:?}");
    assert!(!readonly.contains("written"), "{ran:?}");
    assert_eq!(writable.matches("written").count(), 3, "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn the_oci_verbs_keep_read_only_below_too() {
    let dir = Dir::new();
    dir.mkdir("source");
    let mut bundle = Bundle::script(
        &dir,
        "bundle",
        "for place in /data /data/sub; do ( : >$place/new ) 2>&1 && echo written; done; true",
    );
    bundle.mount(json!({"destination": "/data", "type": "bind", "source": dir.text("source"),
                        "options": ["rbind", "ro"]}));
    let script = format!(
        r#"
        mount -t tmpfs -o mode=0777 none source
        mkdir source/sub
        mount -t tmpfs -o mode=0777 none source/sub
        "$PINFOLD" --root "$ROOT" run --bundle bundle {}"#,
        dir.id("ro")
    );
    let ran = in_own_mounts(&dir, &script);
    assert_eq!(ran.ok().matches("Read-only file system").count(), 2, "{ran:?}");
    assert!(!ran.out.contains("written"), "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn a_shared_source_neither_hears_nor_tells() {
    let dir = Dir::new();
    dir.mkdir("source");
    let mut bundle = Bundle::script(
        &dir,
        "bundle",
        "mount -t tmpfs none /data/inner && echo mounted inside; cat /proc/self/mountinfo",
    );
    bundle.mount(json!({"destination": "/data", "type": "bind", "source": dir.text("source"),
                        "options": ["rbind", "rw"]}));
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
        }
    });
    let script = format!(
        r#"
        mount -t tmpfs -o mode=0777 none source
        mkdir source/inner source/sub
        mount -t tmpfs none source/sub
        mount --make-rshared source
        grep -c 'source.*shared:' /proc/self/mountinfo
        echo SANDBOX; "$PINFOLD" --root "$ROOT" sandbox --ro "$PWD/source:/data" -- cat /proc/self/mountinfo
        echo CONTAINER; "$PINFOLD" --root "$ROOT" run --bundle bundle {}
        echo OUTSIDE; grep source/ /proc/self/mountinfo"#,
        dir.id("shared")
    );
    let ran = in_own_mounts(&dir, &script);
    let (before, rest) = ran.ok().split_once("SANDBOX\n").unwrap();
    let (sandbox, rest) = rest.split_once("CONTAINER\n").unwrap();
    let (container, outside) = rest.split_once("OUTSIDE\n").unwrap();
    assert_eq!(before, "2\n", "the source was not shared: {ran:?}");
    for (inside, least) in [(sandbox, 2), (container, 3)] {
        assert!(inside.matches(" /data").count() >= least, "{inside}");
        for word in ["shared:", "master:", "propagate_from:"] {
            assert!(!inside.contains(word), "{word}: {inside}");
        }
    }
    assert!(container.starts_with("mounted inside\n") && container.contains("/data/inner"), "{ran:?}");
    assert!(!outside.contains("inner"), "a mount made inside came out: {outside}");
    dir.assert_nothing_left();
}
