//! mount_namespaces(7), cgroup_namespaces(7): peer groups that a clone stays in, locks that
//! are not there, and roots of namespaces that are not what they seem.

use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use pinfold::sys::mount::{self, AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, MountAttr};
use pinfold::sys::{self, clone};
use serde_json::json;

use super::kernel::{
    FALSE, Step, beside, c_path, ensure, fresh, in_child, in_user_namespace, open_path, own_mounts,
};
use super::support::{Bundle, Dir, in_own_mounts};

const OUTSIDE: u32 = 0x7200_0000;

/// A clone of `place` at `copy`, the clone's mount made private first or not; then something
/// is mounted inside the copy. Whether it shows at `place` too.
fn shows_outside(place: &CStr, copy: &CStr, private: bool) -> Result<bool, Errno> {
    own_mounts()?;
    let (here, there) = (open_path(place)?, open_path(copy)?);
    mount::move_mount(fresh(c"tmpfs")?.as_fd(), here.as_fd(), c"", 0)?;
    let shared = open_path(place)?;
    let attr = MountAttr { propagation: mount::MS_SHARED, ..MountAttr::default() };
    mount::mount_setattr(shared.as_fd(), c"", AT_EMPTY_PATH, &attr, None)?;
    nix::sys::stat::mkdirat(shared.as_fd(), c"inner", Mode::S_IRWXU)?;
    let tree = mount::open_tree(shared.as_fd(), c"", mount::OPEN_TREE_CLONE | AT_EMPTY_PATH)?;
    if private {
        let attr = MountAttr { propagation: mount::MS_PRIVATE, ..MountAttr::default() };
        mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH, &attr, None)?;
    }
    mount::move_mount(tree.as_fd(), there.as_fd(), c"", 0)?;
    mount::move_mount(fresh(c"tmpfs")?.as_fd(), tree.as_fd(), c"inner", 0)?;
    let inner = mount::open_tree(shared.as_fd(), c"inner", 0)?;
    Ok(sys::file::stat(inner.as_fd())?.dev != sys::file::stat(shared.as_fd())?.dev)
}

#[test]
fn a_clone_of_a_shared_mount_stays_its_peer() {
    let dir = Dir::new();
    let (place, copy) = (c_path(&dir.mkdir("place")), c_path(&dir.mkdir("copy")));
    let shown = in_child(clone::CLONE_NEWNS, || ensure(shows_outside(&place, &copy, false)?));
    assert_eq!(shown, Ok(()), "a mount in the clone did not show: no trap");
    assert_eq!(in_child(clone::CLONE_NEWNS, || ensure(!shows_outside(&place, &copy, true)?)), Ok(()));

    dir.mkdir("source");
    let script = "for at in /data/inner /data /tmp /; do mount -t tmpfs inside $at && echo mounted; done";
    let mut bundle = Bundle::script(&dir, "bundle", script);
    bundle.mount(json!({"destination": "/data", "type": "bind", "source": dir.text("source"),
                        "options": ["rbind", "rw"]}));
    bundle.edit(|config| {
        config["root"]["readonly"] = json!(false);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
        }
    });
    let script = format!(
        r#"mount -t tmpfs source source; mkdir source/inner
           mount --bind bundle/rootfs bundle/rootfs
           mount --make-rshared /
           grep -c 'shared:' /proc/self/mountinfo
           "$PINFOLD" --root "$ROOT" run --bundle bundle {}
           echo OUTSIDE; grep ' inside ' /proc/self/mountinfo || echo nothing"#,
        dir.id("peer")
    );
    let ran = in_own_mounts(&dir, &script);
    let (inside, outside) = ran.ok().split_once("OUTSIDE\n").unwrap();
    assert!(inside.lines().next().unwrap().parse::<u32>().unwrap() > 3, "nothing was shared: {ran:?}");
    assert_eq!(inside.matches("mounted").count(), 4, "{ran:?}");
    assert_eq!(outside, "nothing\n", "{ran:?}");
    dir.assert_nothing_left();
}

fn clear_read_only(mount: &OwnedFd) -> Step {
    let clear = MountAttr { clear: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount::mount_setattr(mount.as_fd(), c"", AT_EMPTY_PATH, &clear, None)
}

/// A lock keeps only what came in with the namespace: what is made in it, its root may change.
#[test]
fn read_only_that_a_user_namespace_made_is_not_locked() {
    let dir = Dir::new();
    let (data, place) = (c_path(&dir.mkdir("data")), c_path(&dir.mkdir("place")));
    let unlocked = || {
        sys::ids::setresgid(0)?;
        sys::ids::setresuid(0)?;
        own_mounts()?;
        let recursive = mount::AT_RECURSIVE;
        let tree = mount::open_tree(
            open_path(&data)?.as_fd(),
            c"",
            mount::OPEN_TREE_CLONE | AT_EMPTY_PATH | recursive,
        )?;
        let attr = MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH | recursive, &attr, None)?;
        mount::move_mount(tree.as_fd(), open_path(&place)?.as_fd(), c"", 0)?;
        clear_read_only(&tree)
    };
    assert_eq!(in_user_namespace(clone::CLONE_NEWNS, OUTSIDE, unlocked), Ok(()), "it is locked: no trap");

    // In a sandbox not even CAP_SYS_ADMIN mounts: Landlock takes the calls away.
    let bind = format!("{}:/data", dir.text("data"));
    let script = "for how in remount,bind,rw remount,rw bind; do
            mount -o $how /data /data 2>/dev/null && echo mounted $how; done
        umount /data 2>/dev/null && echo unmounted
        echo x 2>/dev/null >/data/new && echo written
        grep CapEff /proc/self/status";
    let options = ["--cap-add", "SYS_ADMIN", "--user", "0", "--security-opt", "seccomp=unconfined"];
    let (ran, _) = dir.sandbox(&[&options[..], &["--ro", &bind, "--", "sh", "-c", script]].concat());
    assert_eq!(ran.ok(), "CapEff:\t0000000000200000\n", "{ran:?}");
    assert_eq!(fs::read_dir(dir.join("data")).unwrap().count(), 0);
    dir.assert_nothing_left();
}

/// What the parent has opened is of another mount namespace: pinfold without privilege opens
/// it again, and compares (`tests/rootless/swap.rs` races that).
#[test]
fn a_user_namespace_clones_nothing_that_its_parent_opened() {
    let dir = Dir::new();
    let data = c_path(&dir.mkdir("data"));
    let held = open_path(&data).unwrap();
    let tree = mount::OPEN_TREE_CLONE | AT_EMPTY_PATH | mount::AT_RECURSIVE;
    let of_the_parent = || mount::open_tree(held.as_fd(), c"", tree).map(drop);
    assert_eq!(in_user_namespace(clone::CLONE_NEWNS, OUTSIDE, of_the_parent), Err(Errno::EINVAL));
    let of_its_own = || mount::open_tree(open_path(&data)?.as_fd(), c"", tree).map(drop);
    assert_eq!(in_user_namespace(clone::CLONE_NEWNS, OUTSIDE, of_its_own), Ok(()));
}

/// Where the unified hierarchy is mounted, and this process's own group in it.
fn unified() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    Some(PathBuf::from(line.split(' ').nth(4)?))
}

struct Group(PathBuf);

impl Group {
    fn make(below: &Path) -> Self {
        let path = below.join(format!("pinfold-test-{}-namespace", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..100 {
            match fs::remove_dir(&self.0) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                _ => return,
            }
        }
    }
}

/// \[child\] The last line of proc_pid_cgroup(5) is that of the unified hierarchy.
fn sees_itself_at_the_root() -> Step {
    let file = nix::fcntl::open(c"/proc/self/cgroup", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let (mut text, mut length) = ([0; 4096], 0);
    loop {
        match sys::file::read(file.as_fd(), text.get_mut(length..).ok_or(Errno::E2BIG)?)? {
            0 => {
                return ensure(
                    text.get(..length).is_some_and(|text| text.ends_with(b"\n0::/\n") || text == b"0::/\n"),
                );
            }
            count => length += count,
        }
    }
}

/// A cgroup namespace is rooted where its process is when it is made, not where it is put.
#[test]
fn a_cgroup_namespace_is_rooted_where_its_first_process_was_born() {
    let group = Group::make(&unified().expect("a mounted cgroup2 hierarchy"));
    // CLONE_INTO_CGROUP takes a directory that was opened as one.
    let held = nix::fcntl::open(&group.0, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    assert_eq!(beside(clone::CLONE_NEWCGROUP, Some(&held), sees_itself_at_the_root).end(), Ok(()));
    let (read, write) = nix::unistd::pipe().unwrap();
    let moved = beside(clone::CLONE_NEWCGROUP, None, || {
        ensure(sys::file::read(read.as_fd(), &mut [0])? == 1)?;
        sees_itself_at_the_root()
    });
    fs::write(group.0.join("cgroup.procs"), moved.pid.to_string()).unwrap();
    sys::file::write_all(write.as_fd(), b"g").unwrap();
    assert_eq!(moved.end(), Err(FALSE), "moved in afterwards, it has its root there too: no trap");

    let dir = Dir::new();
    let (ran, _) = dir.sandbox(&["--", "cat", "/proc/self/cgroup"]);
    assert!(ran.ok().lines().all(|line| line.ends_with(":/")), "{ran:?}");
    let mut bundle = Bundle::new(&dir, "bundle", &["/bin/cat", "/proc/self/cgroup"]);
    bundle.new_namespaces(&["cgroup"]);
    let ran = bundle.run(&dir, &dir.id("cgroup"));
    assert!(ran.ok().lines().all(|line| line.ends_with(":/")), "{ran:?}");
    assert!(ran.out.lines().any(|line| line == "0::/"), "{ran:?}");
    dir.assert_nothing_left();
}
