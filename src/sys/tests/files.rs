use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::super::clone::{CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS};
use super::super::mount::{self, MountAttr};
use super::super::shared::{SharedPage, WORDS};
use super::super::statmount::{self as mounts, LSMT_ROOT};
use super::super::{file, host, net, tty};
use super::{ensure, in_child};

const TMPFS_MAGIC: i64 = 0x0102_1994;

#[test]
fn a_shared_page_is_seen_by_both_sides() {
    let (page, fd) = SharedPage::create(c"test").unwrap();
    in_child(0, || {
        let other = SharedPage::map(fd.as_fd())?;
        other.word(WORDS - 1).ok_or(Errno::ERANGE)?.store(7, Ordering::Release);
        Ok(())
    });
    assert_eq!(page.word(WORDS - 1).unwrap().load(Ordering::Acquire), 7);
    assert_eq!(page.word(0).unwrap().load(Ordering::Acquire), 0);
    assert!(page.word(WORDS).is_none());
    assert_eq!(nix::unistd::ftruncate(&fd, 0), Err(Errno::EPERM), "the size is sealed");
}

#[test]
fn a_page_that_can_shrink_or_has_another_size_is_not_mapped() {
    let fd = memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&fd, 8192).unwrap();
    assert_eq!(SharedPage::map(fd.as_fd()).unwrap_err(), Errno::EPERM);
    let seals = nix::fcntl::SealFlag::F_SEAL_SHRINK | nix::fcntl::SealFlag::F_SEAL_GROW;
    nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_ADD_SEALS(seals)).unwrap();
    assert_eq!(SharedPage::map(fd.as_fd()).unwrap_err(), Errno::EINVAL);
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(SharedPage::map(null.as_fd()).unwrap_err(), Errno::EINVAL);
}

#[test]
fn getcwd_is_what_std_says() {
    let mut buffer = [0; 4096];
    let cwd = std::env::current_dir().unwrap();
    assert_eq!(file::getcwd_raw(&mut buffer).unwrap(), cwd.as_os_str().as_encoded_bytes());
    assert_eq!(file::getcwd_raw(&mut [0; 1]), Err(Errno::ERANGE));
}

#[test]
fn ids_that_mean_unchanged_are_refused() {
    let null = std::fs::File::open("/dev/null").unwrap();
    for (uid, gid) in [(u32::MAX, 0), (0, u32::MAX)] {
        assert_eq!(file::fchown(null.as_fd(), uid, gid), Err(Errno::EINVAL));
        assert_eq!(file::fchownat_empty(null.as_fd(), uid, gid), Err(Errno::EINVAL));
    }
}

#[test]
fn nonblocking_is_set_and_cleared() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    file::set_nonblocking(&reader, true).unwrap();
    assert_eq!(file::read(reader.as_fd(), &mut [0]), Err(Errno::EAGAIN));
    file::set_nonblocking(&reader, false).unwrap();
    drop(writer);
    assert_eq!(file::read(reader.as_fd(), &mut [0]), Ok(0));
}

#[test]
fn a_tmpfs_is_made_changed_attached_and_copied() {
    in_child(CLONE_NEWUSER | CLONE_NEWNS, || {
        let fs = mount::fsopen(c"tmpfs", 0)?;
        ensure(mount::fsconfig_string(fs.as_fd(), c"nosuchkey", c"1") == Err(Errno::EINVAL))?;
        let mut buffer = [0; 256];
        ensure(mount::fs_message_into(fs.as_fd(), &mut buffer)?.starts_with(b"e "))?;
        ensure(mount::fs_message_into(fs.as_fd(), &mut buffer)?.is_empty())?;
        mount::fsconfig_string(fs.as_fd(), c"size", c"65536")?;
        mount::fsconfig_create(fs.as_fd())?;
        let root = mount::fsmount(fs.as_fd(), 0, mount::MOUNT_ATTR_NODEV)?;
        ensure(file::fstatfs_type(root.as_fd())? == TMPFS_MAGIC)?;
        let read_only = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        mount::mount_setattr(root.as_fd(), c"", mount::AT_EMPTY_PATH, &read_only, None)?;
        ensure(file::fchownat_empty(root.as_fd(), 0, 0).is_err())?;
        mount::move_mount(root.as_fd(), AT_FDCWD, c"/tmp", 0)?;
        let copy = mount::open_tree(AT_FDCWD, c"/tmp", mount::OPEN_TREE_CLONE | mount::AT_RECURSIVE)?;
        ensure(mounts::statx_mnt_id(copy.as_fd())? != mounts::statx_mnt_id(root.as_fd())?)?;
        ensure(file::stat(copy.as_fd())? == file::stat(root.as_fd())?)
    });
}

#[test]
fn pivot_root_leaves_nothing_of_the_old_root() {
    in_child(CLONE_NEWUSER | CLONE_NEWNS, || {
        let private = MountAttr { propagation: mount::MS_PRIVATE, ..MountAttr::default() };
        mount::mount_setattr(AT_FDCWD, c"/", mount::AT_RECURSIVE, &private, None)?;
        let fs = mount::fsopen(c"tmpfs", 0)?;
        mount::fsconfig_create(fs.as_fd())?;
        let root = mount::fsmount(fs.as_fd(), 0, 0)?;
        let tmp = mount::open_tree(AT_FDCWD, c"/tmp", 0)?;
        mount::move_mount(root.as_fd(), tmp.as_fd(), c"", 0)?;
        nix::unistd::fchdir(&root)?;
        file::pivot_root_dot()?;
        file::umount_detach_dot()?;
        ensure(file::getcwd_raw(&mut [0; 64])? == b"/")?;
        let top = mount::open_tree(AT_FDCWD, c"/", 0)?;
        ensure(file::stat(top.as_fd())? == file::stat(root.as_fd())?)?;
        let outside = file::getcwd_raw(&mut [0; 64])? == b"/";
        nix::unistd::fchdir(&tmp)?;
        ensure(outside && file::getcwd_raw(&mut [0; 64])?.starts_with(b"(unreachable)"))
    });
}

#[test]
fn new_namespaces_have_their_own_names_and_loopback() {
    in_child(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNET, || {
        host::sethostname(c"inside")?;
        host::setdomainname(c"domain")?;
        net::loopback_up()?;
        net::loopback_up()
    });
    in_child(CLONE_NEWUSER, || ensure(host::sethostname(c"outside") == Err(Errno::EPERM)));
    assert_ne!(nix::unistd::gethostname().unwrap(), "inside");
}

#[test]
fn statmount_agrees_with_statx() {
    let root = std::fs::File::open("/").unwrap();
    let id = match mounts::statx_mnt_id_unique(root.as_fd()) {
        Ok(id) => id,
        Err(errno) => {
            assert_eq!(errno, Errno::EOPNOTSUPP);
            return assert_eq!(mounts::statmount(1, 0), Err(Errno::ENOSYS), "only before 6.8");
        }
    };
    let mask = mounts::STATMOUNT_MNT_BASIC
        | mounts::STATMOUNT_SB_BASIC
        | mounts::STATMOUNT_MNT_POINT
        | mounts::STATMOUNT_MNT_ROOT;
    let found = mounts::statmount(id, mask).unwrap();
    assert_eq!((found.mnt_id, found.mask & mask), (id, mask));
    assert_eq!(u64::from(found.mnt_id_old), mounts::statx_mnt_id(root.as_fd()).unwrap());
    assert_eq!((found.mnt_point.as_deref(), found.fs_type), (Some("/"), None));
    assert!(found.mnt_root.is_some());
    assert_eq!(found.sb_magic.cast_signed(), file::fstatfs_type(root.as_fd()).unwrap());
    let proc_id = mounts::statx_mnt_id_unique(std::fs::File::open("/proc").unwrap().as_fd()).unwrap();
    assert!(mounts::listmount(LSMT_ROOT).unwrap().contains(&proc_id));
    assert!(mounts::listmount(id).unwrap().contains(&proc_id));
    let proc = mounts::statmount(proc_id, mounts::STATMOUNT_FS_TYPE).unwrap();
    assert_eq!((proc.fs_type.as_deref(), proc.mnt_point), (Some("proc"), None));
    assert_eq!(mounts::statmount(u64::MAX - 1, mask), Err(Errno::ENOENT));
}

#[test]
fn a_pseudoterminal_without_paths() {
    let master = std::fs::File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    assert_eq!(tty::pty_peer(master.as_fd(), libc::O_RDWR | libc::O_NOCTTY).unwrap_err(), Errno::EIO);
    tty::pty_unlock(master.as_fd()).unwrap();
    let peer = tty::pty_peer(master.as_fd(), libc::O_RDWR | libc::O_NOCTTY).unwrap();
    let size = tty::Winsize { rows: 24, columns: 80, ..tty::Winsize::default() };
    tty::set_winsize(master.as_fd(), size).unwrap();
    assert_eq!(tty::get_winsize(peer.as_fd()), Ok(size));
    in_child(0, || {
        ensure(tty::set_controlling_terminal(peer.as_fd()) == Err(Errno::EPERM))?;
        nix::unistd::setsid()?;
        tty::set_controlling_terminal(peer.as_fd())
    });
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(tty::get_winsize(null.as_fd()), Err(Errno::ENOTTY));
}
