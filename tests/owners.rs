//! Promise: the tool works with the caller's files as their owner does, though it has no id
//! of the host: it reads what the owner may read, and what it leaves behind is the owner's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use serde_json::json;
use support::{Bundle, Dir};

const ROOT: u32 = 0;
/// Debian's group of those who may read logs.
const ADM: u32 = 4;
/// An owner that has no account.
const SOMEBODY: u32 = 12345;

fn owned(path: &Path, uid: u32, gid: u32, mode: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}

#[test]
fn a_log_of_root_and_adm_is_read_and_not_written() {
    let dir = Dir::new();
    let log = dir.write("auth.log", "Failed password for root\n");
    owned(&log, ROOT, ADM, 0o640);
    let bind = format!("{}:/log", log.display());
    let script = "cat /log; stat -c '%U %G %a' /log; (echo x >>/log) 2>&1; id -u";
    let (ran, report) = dir.sandbox(&["--ro", &bind, "--", "sh", "-c", script]);
    let lines: Vec<_> = ran.ok().lines().collect();
    assert_eq!(lines[0], "Failed password for root");
    assert_eq!(lines[1], "tool tool 640", "the owner is not shown as the tool");
    assert!(lines[2].contains("Read-only file system"), "{ran:?}");
    assert_ne!(lines[3], "0");
    assert_ne!(report["controls"]["uid"], 0, "the tool is root outside");
    assert_eq!(owner(&log), (ROOT, ADM));
    assert_eq!(fs::read_to_string(&log).unwrap(), "Failed password for root\n");
}

#[test]
fn what_others_own_in_a_source_is_not_the_tools() {
    let dir = Dir::new();
    let work = dir.mkdir("work");
    owned(&work, SOMEBODY, SOMEBODY, 0o755);
    let foreign = dir.write("work/foreign", "secret\n");
    owned(&foreign, SOMEBODY + 1, SOMEBODY + 1, 0o600);
    let bind = format!("{}:/work", work.display());
    let script = "cat /work/foreign 2>&1; chmod 666 /work/foreign 2>&1; stat -c %u /work/foreign";
    let (ran, _) = dir.sandbox(&["--rw", &bind, "--", "sh", "-c", script]);
    assert!(ran.ok().contains("cat: /work/foreign: Permission denied"), "{ran:?}");
    assert!(ran.out.contains("chmod: changing permissions") && ran.out.ends_with("65534\n"), "{ran:?}");
    assert_eq!(fs::metadata(&foreign).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_is_written_belongs_to_the_owner_of_the_source() {
    let dir = Dir::new();
    let work = dir.mkdir("work");
    owned(&work, SOMEBODY, SOMEBODY, 0o700);
    let bind = format!("{}:/work", work.display());
    let script = "umask 022; echo result >/work/file; mkdir /work/deep; : >/work/deep/file
        ln -s file /work/link; mv /work/deep/file /work/deep/moved; stat -c '%U' /work/file; pwd";
    let (ran, _) = dir.sandbox(&["--rw", &bind, "--", "sh", "-euc", script]);
    assert_eq!(ran.ok(), "tool\n/work\n");
    for name in ["file", "deep", "deep/moved", "link"] {
        assert_eq!(owner(&work.join(name)), (SOMEBODY, SOMEBODY), "{name}");
    }
    assert_eq!(fs::read_to_string(work.join("file")).unwrap(), "result\n");
    dir.assert_nothing_left();
}

#[test]
fn a_single_file_is_written_as_its_owner() {
    let dir = Dir::new();
    let file = dir.write("file", "before\n");
    owned(&file, SOMEBODY, ADM, 0o600);
    let bind = format!("{}:/file", file.display());
    dir.sandbox(&["--rw", &bind, "--workdir", "/", "--", "sh", "-euc", "echo after >>/file"]).0.ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), "before\nafter\n");
    assert_eq!(owner(&file), (SOMEBODY, ADM));
}

#[test]
fn a_mount_point_made_in_a_workspace_belongs_to_its_owner() {
    let dir = Dir::new();
    let work = dir.mkdir("work");
    owned(&work, SOMEBODY, SOMEBODY, 0o755);
    let (tree, file) = (dir.mkdir("tree"), dir.write("file", "x"));
    let workspace = format!("{}:/work", work.display());
    let below = format!("{}:/work/made/below", tree.display());
    let single = format!("{}:/work/new/file", file.display());
    let args =
        ["--rw", &workspace, "--ro", &below, "--ro", &single, "--tmpfs", "/work/scratch", "--", "true"];
    dir.sandbox(&args).0.ok();
    for name in ["made", "made/below", "new", "new/file", "scratch"] {
        assert_eq!(owner(&work.join(name)), (SOMEBODY, SOMEBODY), "{name}");
    }
    dir.assert_nothing_left();
}

#[test]
fn a_mount_point_made_by_the_oci_verbs_too() {
    let dir = Dir::new();
    let work = dir.mkdir("work");
    owned(&work, SOMEBODY, SOMEBODY, 0o755);
    let tree = dir.text("tree");
    dir.mkdir("tree");
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    for (source, destination) in [(work.to_str().unwrap(), "/work"), (&tree, "/work/made/below")] {
        bundle.mount(
            json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind"]}),
        );
    }
    bundle.run(&dir, &dir.id("owner")).ok();
    for name in ["made", "made/below"] {
        assert_eq!(owner(&work.join(name)), (SOMEBODY, SOMEBODY), "{name}");
    }
    dir.assert_nothing_left();
}

#[test]
fn no_file_for_the_host_gets_a_setuid_or_setgid_bit() {
    let dir = Dir::new();
    let work = dir.mkdir("work");
    owned(&work, ROOT, ROOT, 0o755);
    let bind = format!("{}:/work", work.display());
    // Every call that takes a mode, with the bit beside ordinary ones.
    let script = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir("/work")
open("plain", "w").write("x")
os.chmod("plain", 0o755)
def refused(what, call):
    try:
        done = call()
    except OSError:
        return
    if done != -1:
        print("WEAK", what)
for bit in (0o4000, 0o2000):
    mode = bit | 0o755
    refused("chmod", lambda: os.chmod("plain", mode))
    refused("fchmod", lambda: os.fchmod(os.open("plain", os.O_RDONLY), mode))
    refused("open", lambda: os.open("new%o" % bit, os.O_CREAT | os.O_WRONLY, mode))
    refused("tmpfile", lambda: os.open(".", os.O_TMPFILE | os.O_WRONLY, mode))
    refused("mknod", lambda: os.mknod("node%o" % bit, 0o100000 | mode))
    if os.uname().machine == "x86_64":
        refused("old open", lambda: libc.syscall(2, b"old%o" % bit, 0o101, mode))
        refused("creat", lambda: libc.syscall(85, b"creat%o" % bit, mode))
        refused("old chmod", lambda: libc.syscall(90, b"plain", mode))
    refused("fchmodat2", lambda: libc.syscall(452, -100, b"plain", mode, 0))
    how = (ctypes.c_uint64 * 3)(0o101, mode, 0)
    refused("openat2", lambda: libc.syscall(437, -100, b"how%o" % bit, how, 24))
print("done")
"#;
    let (ran, _) = dir.sandbox(&["--rw", &bind, "--", "python3", "-c", script]);
    assert_eq!(ran.ok(), "done\n", "{ran:?}");
    for entry in fs::read_dir(&work).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o6000, 0, "{:?} has mode {mode:o}", entry.path());
    }
    // The control: without the filter the bit can be set, so the probe is alive.
    let script = "chmod 4755 /work/plain; stat -c %a /work/plain";
    let (ran, _) =
        dir.sandbox(&["--security-opt", "seccomp=unconfined", "--rw", &bind, "--", "sh", "-c", script]);
    assert_eq!(ran.ok(), "4755\n", "{ran:?}");
}
