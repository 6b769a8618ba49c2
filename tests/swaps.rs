//! Promise: with a policy that grants a workspace, nothing but the judged object is ever mounted, whatever
//! somebody who can write the workspace does to its names meanwhile, over thousands of mounts.
//!
//! PINFOLD_TEST_COUNT multiplies: `make soak` asks for 10,000 mounts, `make soak SWAPS=4000` for 100,000 launches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::{Value, json};
use support::{Bundle, Dir, PINFOLD, count, run};

const BINDS: usize = 16;
/// Launches that must mount, and are counted.
const LAUNCHES: usize = 25;
/// In one call of the shell, within a test's deadline.
const AT_ONCE: usize = 10;

const POLICY: &str = r#"
version = 1
[running]
state_roots = ["DIR/state"]
[root]
directories = ["DIR/bundle"]
[[bind]]
path = "DIR/work"
access = "rw"
destinations = ["/m"]
[namespaces]
new = ["mount", "pid", "ipc", "uts"]
[user]
uids = ["0"]
gids = ["0"]
[capabilities]
bounding = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
effective = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
permitted = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
ambient = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
[seccomp]
required = false
deny = []
[limits]
memory = "unlimited"
swap = "unlimited"
cpu = "unlimited"
pids = "unlimited"
"#;

/// A private /etc with the policy in it; then launches, every other one in two calls.
const LAUNCH: &str = r#"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
mkdir -p -m 755 /etc/pinfold
install -m 644 "$DIR/policy.toml" /etc/pinfold/policy.toml
number=0
while [ $number -lt "$1" ]; do
    number=$((number + 1))
    echo "launch"
    if [ $((number % 2)) = 0 ]; then
        "$PINFOLD" --root "$ROOT" run --bundle "$DIR/bundle" "$ID" 2>>"$DIR/why" || echo refused
    elif "$PINFOLD" --root "$ROOT" create --bundle "$DIR/bundle" "$ID" 2>>"$DIR/why"; then
        "$PINFOLD" --root "$ROOT" start "$ID" 2>>"$DIR/why" || echo refused
        tries=0
        until "$PINFOLD" --root "$ROOT" delete "$ID" 2>/dev/null; do
            tries=$((tries + 1))
            [ $tries -lt 50 ] || "$PINFOLD" --root "$ROOT" delete --force "$ID"
            sleep 0.02
        done
    else
        echo refused
    fi
done"#;

fn exchange(one: &Path, other: &Path) {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

/// The source itself, then its parent, is a link to what nobody granted, for a moment: where the link is
/// seen the launch is refused, and who looks first and opens then is to be met.
fn attack(work: &Path, number: u64) {
    let (below, parent) = (work.join("spot/below"), work.join("spot"));
    let (one, other) = match number.is_multiple_of(2) {
        true => (below, work.join("link")),
        false => (parent, work.join("parent")),
    };
    exchange(&one, &other);
    let until = Instant::now() + Duration::from_micros([5, 60, 400][usize::try_from(number % 3).unwrap()]);
    while Instant::now() < until {}
    exchange(&one, &other);
    std::thread::sleep(Duration::from_micros([150, 1500, 6000][usize::try_from(number % 3).unwrap()]));
}

/// Runs `body` beside the attacker, and gives how often that swapped.
fn under_attack(work: &Path, body: impl FnOnce()) -> u64 {
    let (done, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                attack(work, swaps.fetch_add(1, Ordering::Relaxed));
            }
        });
        // A failed assertion must end the attacker too, or the scope never does.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    swaps.into_inner()
}

fn script(dir: &Dir, script: &str, argument: usize) -> String {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", script, "sh"]);
    command.arg(argument.to_string()).current_dir(dir.path()).env("DIR", dir.path());
    command.env("PINFOLD", PINFOLD).env("ROOT", dir.state_root()).env("ID", dir.id("c"));
    run(&mut command).ok().to_owned()
}

#[test]
fn nothing_but_the_judged_object_is_ever_mounted() {
    let dir = Dir::new();
    let mut bundle = Bundle::script(&dir, "bundle", "cat /m/*/marker");
    dir.mkdir("etc");
    let work = dir.mkdir("work");
    for (place, word) in [("work/spot/below", "judged\n"), ("secret/below", "secret\n")] {
        dir.mkdir(place);
        dir.write(&format!("{place}/marker"), word);
    }
    symlink("../../secret/below", work.join("link")).unwrap();
    symlink("../secret", work.join("parent")).unwrap();
    dir.write("policy.toml", &POLICY.replace("DIR", dir.path().to_str().unwrap()));
    bundle.edit(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "TERM=xterm"]);
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.extend((0..BINDS).map(|number| -> Value {
            json!({"source": dir.text("work/spot/below"), "destination": format!("/m/{number:02}"),
                   "type": "bind", "options": ["rbind", "rw", "nosuid", "nodev"]})
        }));
    });
    // The links lead where they should, and without them everything is mounted.
    assert_eq!(fs::read_to_string(work.join("parent/below/marker")).unwrap(), "secret\n");
    assert_eq!(script(&dir, LAUNCH, 2).matches("judged").count(), 2 * BINDS);
    let (mut mounted, mut refused) = (0, 0);
    let wanted = LAUNCHES * count();
    let swaps = under_attack(&work, || {
        // Until the attacker was met, too, which takes its time on a machine that is busy.
        while mounted < wanted || (refused == 0 && mounted < 40 * wanted) {
            let out = script(&dir, LAUNCH, AT_ONCE);
            for launch in out.split("launch\n").skip(1) {
                match launch.trim_end() {
                    "refused" => refused += 1,
                    all => {
                        let lines: Vec<_> = all.lines().collect();
                        assert_eq!(
                            lines,
                            vec!["judged"; BINDS],
                            "{}",
                            fs::read_to_string(dir.join("why")).unwrap()
                        );
                        mounted += 1;
                    }
                }
            }
            assert!(refused < 100 * wanted, "nothing gets through: {mounted} of {refused}");
        }
        by_path(&dir);
    });
    let why = fs::read_to_string(dir.join("why")).unwrap_or_default();
    let odd = why.lines().find(|line| {
        line.contains("error")
            && !["rule bind.link", "rule bind.source", "was judged", "(ENOENT)"]
                .iter()
                .any(|word| line.contains(word))
    });
    assert_eq!(odd, None, "refused for another reason");
    assert!(refused > 0, "the attacker was never met: {swaps} swaps");
    println!("{} mounts in {mounted} launches, {refused} refused, {swaps} swaps", mounted * BINDS);
    dir.assert_nothing_left();
}

/// The control: who looks whether a link is there and then mounts by path must be seen to lose.
fn by_path(dir: &Dir) {
    let naive = r#"
        busybox mount -t tmpfs none etc; mkdir etc/place
        tries=0
        while [ $tries -lt "$1" ]; do
            tries=$((tries + 1))
            if [ -L work/spot ] || [ -L work/spot/below ]; then continue; fi
            busybox mount -o bind work/spot/below etc/place 2>/dev/null || continue
            word=$(cat etc/place/marker)
            busybox umount etc/place
            if [ "$word" = secret ]; then echo lost; exit 0; fi
        done"#;
    let lost = (0..20).any(|_| script(dir, naive, 1500) == "lost\n");
    assert!(lost, "the control never lost, so the race proves nothing");
}
