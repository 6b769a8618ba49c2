//! Promise: what the recipes of rootfs/images make is the same each time, and runs.
//! The image of tools takes minutes and packages from a mirror: `tests/tools_image.sh`.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Dir, PINFOLD, executable, run};

fn make(dir: &Dir, target: &str) -> String {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/images/busybox.sh");
    let mut command = Command::new(recipe);
    command.args([target, PINFOLD]).current_dir(dir.path()).env("TMPDIR", dir.path());
    run(&mut command).ok().trim().to_owned()
}

#[test]
fn the_busybox_image_is_the_same_each_time_and_runs() {
    let dir = Dir::new();
    let (layout, archive, store) =
        (format!("oci:{}", dir.text("layout")), format!("archive:{}", dir.text("a.tar")), dir.text("store"));
    let digest = make(&dir, &layout);
    assert_eq!(make(&dir, &archive), digest);
    let pinfold = |args: &[&str]| dir.pinfold(&[&["--store", store.as_str()], args].concat());
    assert_eq!(pinfold(&["image", "import", &archive]).ok().trim(), digest);
    let script = "id -u; ls /bin/busybox; test ! -w /bin && touch /tmp/x && echo made";
    let ran = pinfold(&["sandbox", "--image", &layout, "--", "sh", "-c", script]);
    assert_eq!(ran.ok(), "1000\n/bin/busybox\nmade\n", "{ran:?}");
    dir.assert_nothing_left();
}

#[test]
fn another_busybox_is_another_image() {
    let dir = Dir::new();
    let digest = make(&dir, &format!("oci:{}", dir.text("one")));
    let other = dir.join("busybox");
    let mut bytes = std::fs::read("/usr/bin/busybox").unwrap();
    bytes.push(0);
    executable(&other, bytes);
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/images/busybox.sh");
    let mut command = Command::new(recipe);
    command.args([&format!("oci:{}", dir.text("two")), PINFOLD]).env("BUSYBOX", &other);
    command.env("TMPDIR", dir.path());
    assert_ne!(run(&mut command).ok().trim(), digest);
}
