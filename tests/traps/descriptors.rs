//! CVE-2024-21626, CVE-2019-5736: descriptors of the host that are still open when the
//! program is looked up, and directories outside the root.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::statvfs::{FsFlags, statvfs};
use pinfold::sys::exec::{CStringArray, execve, execveat};
use pinfold::sys::mount::{self, AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, MountAttr};
use pinfold::sys::{self, clone};
use serde_json::json;

use super::kernel::{Step, beside, c_path, ensure, in_child, open_path, own_mounts, put_on};
use super::support::{Bundle, Dir, PINFOLD, Ran, await_that, copy_executable, executable, run, start};

/// Where the descriptor of the host lies.
const LEAKED: i32 = 7;

/// Goes into a root that has no program, with the host's `/` behind a descriptor.
fn in_an_empty_root(root: &std::ffi::CStr, proc: &std::ffi::CStr) -> Step {
    const NONE: Option<&std::ffi::CStr> = None;
    own_mounts()?;
    nix::mount::mount(Some(c"/proc"), proc, NONE, MsFlags::MS_BIND, NONE)?;
    put_on(open_path(c"/")?, LEAKED)?;
    nix::unistd::chroot(root)?;
    nix::unistd::chdir(c"/")
}

#[test]
fn close_on_exec_is_too_late_for_the_programs_own_path() {
    let dir = Dir::new();
    let (root, proc) = (c_path(&dir.mkdir("root")), c_path(&dir.mkdir("root/proc")));
    let words = CStringArray::new(vec![CString::from(c"true")]);
    let none = CStringArray::new(vec![]);
    let through = c"/proc/self/fd/7/usr/bin/busybox";
    let leaked = || {
        in_an_empty_root(&root, &proc)?;
        Err(execve(through, &words, &none))
    };
    assert_eq!(in_child(clone::CLONE_NEWNS, leaked), Ok(()), "the host's program was not executed: no trap");
    let closed = || {
        in_an_empty_root(&root, &proc)?;
        sys::close_range::close_range(3, u32::MAX, 0)?;
        Err(execve(through, &words, &none))
    };
    assert_eq!(in_child(clone::CLONE_NEWNS, closed), Err(Errno::ENOENT));

    // Every number that a caller may have left open, or that pinfold itself may use.
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    fs::remove_file(bundle.rootfs().join("bin/busybox")).unwrap();
    for number in 3..24 {
        let program = format!("/proc/self/fd/{number}/usr/bin/busybox");
        bundle.edit(|config| config["process"]["args"] = json!([program, "echo", "escaped"]));
        let ran = run_with_leaks(&dir, &bundle, "");
        assert!(ran.code() != 0 && ran.out.is_empty(), "{program}: {ran:?}");
        assert!(ran.err.contains("/process/args/0"), "{program}: {ran:?}");
        // What systemd hands on gets in, as with runc: but no directory.
        let ran = run_with_leaks(&dir, &bundle, "LISTEN_FDS=1 LISTEN_PID=$$");
        assert!(ran.code() != 0 && ran.out.is_empty(), "{program}: {ran:?}");
        assert!(number != 3 || ran.err.contains("descriptor 3: is an open directory"), "{ran:?}");
    }
    // A script's interpreter is looked up by the same call.
    let script = bundle.rootfs().join("bin/script");
    executable(&script, "#!/proc/self/fd/7/usr/bin/busybox echo\n");
    bundle.edit(|config| config["process"]["args"] = json!(["/bin/script"]));
    let ran = run_with_leaks(&dir, &bundle, "");
    assert!(ran.code() != 0 && ran.out.is_empty(), "{ran:?}");
    dir.assert_nothing_left();
}

/// Directories of the host that are open and not close-on-exec.
fn run_with_leaks(dir: &Dir, bundle: &Bundle, environment: &str) -> Ran {
    let line = format!(
        r#"exec 3</ 4</usr 5</ 6</ 7</ 8</usr/bin 9</
        {environment} exec "$0" --root "$1" run --bundle "$2" "$3""#
    );
    let mut command = Command::new("sh");
    command.args(["-c", &line, PINFOLD]).arg(dir.state_root()).args([bundle.text(), &dir.id("leaks")]);
    run(command.current_dir("/"))
}

/// What `--preserve-fds` names stays open on purpose: a directory of the host as well.
#[test]
fn a_preserved_directory_is_no_way_to_the_hosts_programs() {
    let dir = Dir::new();
    let mut bundle = Bundle::new(&dir, "bundle", &["/proc/self/fd/3/usr/bin/busybox", "echo", "escaped"]);
    fs::remove_file(bundle.rootfs().join("bin/busybox")).unwrap();
    let line = r#"exec 3</; exec "$0" --root "$1" run --preserve-fds 1 --bundle "$2" "$3""#;
    for cwd in ["/", "/proc/self/fd/3"] {
        bundle.edit(|config| config["process"]["cwd"] = json!(cwd));
        let mut command = Command::new("sh");
        command.args(["-c", line, PINFOLD]).arg(dir.state_root()).args([bundle.text(), &dir.id("kept")]);
        let ran = run(&mut command);
        assert!(ran.code() != 0 && ran.out.is_empty(), "{cwd}: {ran:?}");
    }
    dir.assert_nothing_left();
}

#[test]
fn a_working_directory_can_lie_outside_the_root() {
    let dir = Dir::new();
    let (root, proc) = (c_path(&dir.mkdir("root")), c_path(&dir.mkdir("root/proc")));
    let outside = || {
        in_an_empty_root(&root, &proc)?;
        nix::unistd::chdir(c"/proc/self/fd/7")?;
        let mut buffer = [0; 256];
        ensure(sys::file::getcwd_raw(&mut buffer)?.starts_with(b"(unreachable)"))?;
        // And it is the host's: the program is looked up from there.
        open_path(c"usr/bin/busybox").map(drop)
    };
    assert_eq!(in_child(clone::CLONE_NEWNS, outside), Ok(()));

    fs::write(dir.join("precious"), "the host's\n").unwrap();
    let up = format!("{}{}", "../".repeat(12), dir.join("precious").strip_prefix("/").unwrap().display());
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/cat", &up]);
    let link = bundle.rootfs().join("link");
    let mut ways: Vec<_> = (3..24).map(|number| format!("/proc/self/fd/{number}")).collect();
    ways.extend(
        ["/proc/1/cwd", "/proc/self/cwd", "/proc/1/root", "/proc/self/root/../.."].map(str::to_owned),
    );
    for cwd in &ways {
        for named in [cwd.as_str(), "/link"] {
            fs::remove_file(&link).ok();
            symlink(cwd, &link).unwrap();
            bundle.edit(|config| config["process"]["cwd"] = json!(named));
            let ran = run_with_leaks(&dir, &bundle, "");
            assert!(ran.code() != 0 && ran.out.is_empty(), "{cwd} as {named}: {ran:?}");
        }
    }
    dir.assert_nothing_left();
}

/// `exec --cwd` is the other door to the same room.
#[test]
fn exec_has_no_working_directory_outside_either() {
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/sleep", "60"]);
    let id = dir.id("cwd");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["start", &id]).ok();
    let line = r#"exec 3</ 4</usr 7</ 9</; exec "$0" --root "$1" exec --cwd "$2" "$3" /bin/cat etc/passwd"#;
    for number in 3..20 {
        let mut command = Command::new("sh");
        command.args(["-c", line, PINFOLD]).arg(dir.state_root());
        let ran = run(command.args([&format!("/proc/self/fd/{number}"), &id]).current_dir("/"));
        assert!(ran.code() != 0 && ran.out.is_empty(), "{number}: {ran:?}");
    }
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// Whether the read-only flag of a process's executable can be cleared through /proc/PID/exe,
/// and whether it is there afterwards.
fn cleared(pid: i32) -> (Step, bool) {
    let exe = c_path(format!("/proc/{pid}/exe").as_ref());
    let root = open_path(c"/").unwrap();
    let clear = MountAttr { clear: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    let said = mount::mount_setattr(root.as_fd(), &exe, 0, &clear, None);
    (said, statvfs(exe.as_c_str()).unwrap().flags().contains(FsFlags::ST_RDONLY))
}

#[test]
fn a_read_only_clone_is_only_so_while_nobody_holds_it() {
    let dir = Dir::new();
    copy_executable("/usr/bin/busybox", dir.join("program"));
    let program = c_path(&dir.join("program"));
    let words = CStringArray::new(vec![CString::from(c"sleep"), CString::from(c"60")]);
    let none = CStringArray::new(vec![]);
    let from_a_clone = |keep: bool| {
        let (program, words, none) = (&program, &words, &none);
        move || {
            let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC;
            let tree = mount::open_tree(open_path(c"/")?.as_fd(), program, flags)?;
            let attr = MountAttr { set: MOUNT_ATTR_RDONLY, propagation: mount::MS_PRIVATE, clear: 0 };
            mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH, &attr, None)?;
            if keep {
                nix::unistd::dup(&tree).map(std::mem::forget)?;
            }
            Err(execveat(tree.as_fd(), c"", words, none, AT_EMPTY_PATH.cast_signed()))
        }
    };
    let executed =
        |pid: i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"));
    let kept = beside(0, None, from_a_clone(true));
    await_that("sleep runs", || executed(kept.pid));
    assert_eq!(cleared(kept.pid), (Ok(()), false), "the flag could not be cleared: no trap");
    let closed = beside(0, None, from_a_clone(false));
    await_that("sleep runs", || executed(closed.pid));
    assert_eq!(cleared(closed.pid), (Err(Errno::EINVAL), true));
    drop((kept, closed));

    // Everything of pinfold that a container can see: the child that waits for `start`, `run`
    // and `exec` themselves.
    let bundle = Bundle::new(&dir, "bundle", &["/bin/sleep", "60"]);
    let (id, foreground) = (dir.id("exe"), dir.id("foreground"));
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    let waiting = dir.pid_of(&id);
    assert_eq!(cleared(waiting), (Err(Errno::EINVAL), true), "the child that waits");
    dir.pinfold(&["start", &id]).ok();
    for args in [vec!["exec", &id, "/bin/sleep", "61"], vec!["run", "--bundle", bundle.text(), &foreground]] {
        let running = start(&mut dir.command(&args));
        let pid = running.id();
        await_that("it has a child that runs", || {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            let sleeps = |child: &str| {
                fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm == "sleep\n")
            };
            children.split_whitespace().any(sleeps) || grandchild_sleeps(&children)
        });
        assert_eq!(cleared(pid.cast_signed()), (Err(Errno::EINVAL), true), "{args:?}");
        running.kill_9();
    }
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.pinfold(&["delete", "--force", &foreground]).ok();
    dir.assert_nothing_left();
}

fn grandchild_sleeps(children: &str) -> bool {
    children.split_whitespace().any(|child| {
        let list = fs::read_to_string(format!("/proc/{child}/task/{child}/children")).unwrap_or_default();
        list.split_whitespace()
            .any(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n"))
    })
}
