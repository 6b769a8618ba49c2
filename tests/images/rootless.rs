//! `sandbox --image` by a user without privilege and without subordinate ids.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::json;

use super::layout::{Layout, Tar, busybox};
use super::support::{self, Dir, PINFOLD, Ran};

/// Nobody's id: not in /etc/passwd.
const UID: u32 = 12346;

/// `pinfold ARGS` as the user, whose home is `home` in the test's directory.
fn as_user(dir: &Dir, args: &[&str]) -> Ran {
    let home = dir.join("home");
    if fs::create_dir(&home).is_ok() {
        chown(&home, Some(UID), Some(UID)).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(PINFOLD, dir.join("program")).unwrap();
    }
    let mut command = Command::new(dir.join("program"));
    command
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", &home);
    support::run(command.current_dir(&home).uid(UID).gid(UID))
}

#[test]
fn a_user_runs_an_image_with_ids_of_its_own() {
    let dir = Dir::new();
    let upper =
        Tar::new().dir("data/").owned("data/of-root", b"read\n", 0o600, (0, 0)).file(".wh.home", "").end();
    let config = json!({"User": "web", "Cmd": ["sh", "-c", "id -u; id -g; cat /data/of-root; ls / | busybox grep -c home"]});
    let (layout, _) = Layout::image(dir.join("layout"), &[busybox().end(), upper], config);
    let source = layout.source();
    let ran = as_user(&dir, &["sandbox", "--image", &source]);
    assert_eq!(ran.out, "33\n44\nread\n0\n", "{ran:?}");
    let store = dir.join("home/.local/share/pinfold");
    assert_eq!(fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
    // The root is read-only for its owner too.
    let script = "echo x >/data/of-root || chmod 777 /data || touch /x";
    let ran = as_user(&dir, &["sandbox", "--image", &source, "--", "sh", "-c", script]);
    assert!(
        ran.code() != 0 && ran.err.matches("Read-only").count() + ran.err.matches("denied").count() == 3,
        "{ran:?}"
    );
    let script = "echo x >/data/of-root && rm -r /bin/ls && mkdir /home && cat /data/of-root";
    let ran = as_user(&dir, &["sandbox", "--image", &source, "--read-only=false", "--", "sh", "-c", script]);
    assert_eq!(ran.ok(), "x\n", "{ran:?}");
    as_user(&dir, &["image", "verify"]).ok();
    assert!(as_user(&dir, &["image", "gc"]).ok().contains("removed 0 blobs"));
    dir.assert_nothing_left();
}

/// Another user's store, and one that others can write to, are refused.
#[test]
fn a_store_of_somebody_else_is_refused() {
    let dir = Dir::new();
    let (layout, _) = Layout::image(dir.join("layout"), &[Tar::new().dir("./").end()], json!({}));
    as_user(&dir, &["image", "import", &layout.source()]).ok();
    let store = dir.text("home/.local/share/pinfold");
    let refused = dir.pinfold(&["--store", &store, "image", "list"]);
    assert!(refused.code() != 0 && refused.err.contains("user id 12346"), "{refused:?}");
}
