//! The built-in rules of `pinfold sandbox`. They hold beside a policy file, and alone where
//! there is none.

use super::document::Mode;
use super::violation::{Verdict, Violation};
use crate::draft::{Door, Draft, MountOptions};
use crate::resolve::{Facts, FollowedLink, Identity, Pinned, Submount};
use crate::sys::mount::MOUNT_ATTR_NODEV;

/// Filesystems whose files are doors into the kernel or to other processes, not data:
/// f_type (linux/magic.h) and name (/proc/filesystems).
const KERNEL_FILESYSTEMS: &[(i64, &str)] = &[
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0x6265_6570, "configfs"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x6573_5543, "fusectl"),
    (0x6759_6969, "rpc_pipefs"),
    (0x6e66_7364, "nfsd"),
    (0x6c6f_6f70, "binder"),
    (0xcafe_4a11, "bpf"),
    (0x6e73_6673, "nsfs"),
    (0x5049_4446, "pidfs"),
    (0x1cd1, "devpts"),
    (0x1980_0202, "mqueue"),
];

/// Whether files of this f_type (statfs(2)) are doors, not data.
pub fn is_kernel_filesystem(fs_magic: i64) -> bool {
    KERNEL_FILESYSTEMS.iter().any(|(magic, _)| *magic == fs_magic)
}

/// Whether this is such a filesystem, by its name.
pub(super) fn is_kernel_type(name: &str) -> bool {
    KERNEL_FILESYSTEMS.iter().any(|(_, known)| *known == name)
}

/// Directories that are one door to the whole host: a socket is connected to through a
/// read-only mount as well (unix(7)).
const HOST_DOORS: &[(&str, &str)] = &[
    ("/run", "the sockets of the host's services"),
    ("/dev", "the host's devices, terminals and shared memory"),
];

/// Judges a launch by the built-in rules.
pub(super) fn judge(draft: &Draft, facts: &Facts) -> Verdict {
    if draft.door == Door::Oci {
        return Verdict::Allowed;
    }
    let mut violations = vec![];
    for (mount, pinned) in draft.mounts.iter().zip(&facts.binds) {
        if let Some(pinned) = pinned {
            let field = format!("{}/source", mount.field);
            violations.extend(judge_source(&field, &pinned.identity, &mount.options));
            violations.extend(judge_below(&field, &pinned.below));
            violations.extend(judge_links(&field, &pinned.links));
        }
    }
    if let Some(root) = &facts.root {
        violations.extend(judge_links("/root/path", &root.links));
        violations.extend(judge_place("/root/path", &root.identity));
        violations.extend(judge_below("/root/path", &root.below));
    }
    if draft.new_namespaces & crate::sys::clone::CLONE_NEWUSER == 0 {
        let asked = "the host's user namespace".to_owned();
        violations.extend(violation(
            "default.userns",
            "/linux/namespaces",
            asked,
            "a user namespace of its own",
        ));
    }
    Verdict::of(violations, Mode::Enforce)
}

/// What a policy file says of kernel filesystems is this: the object itself, and what a bind
/// of it would bring along.
pub(super) fn kernel_filesystem(pinned: &Pinned) -> Option<String> {
    let source = &pinned.identity;
    let on = KERNEL_FILESYSTEMS.iter().find(|(magic, _)| *magic == source.fs_magic);
    let below = pinned.below.iter().find(|mount| is_kernel_type(&mount.fs_type));
    on.map(|(_, kind)| format!("{} lies on {kind}", source.path.display()))
        .or_else(|| below.map(|mount| format!("{} below it is {}", mount.place.display(), mount.fs_type)))
}

fn violation(rule: &'static str, field: &str, asked: String, allowed: &str) -> Option<Violation> {
    let (field, allowed) = (field.to_owned(), allowed.to_owned());
    Some(Violation { rule, field, asked, allowed, file: "built in".to_owned(), line: 0 })
}

/// What holds for the root and for the source of every bind.
fn judge_place(field: &str, source: &Identity) -> Option<Violation> {
    let name = source.path.display();
    if let Some((_, kind)) = KERNEL_FILESYSTEMS.iter().find(|(magic, _)| *magic == source.fs_magic) {
        let allowed = "files and directories of ordinary filesystems";
        return violation("default.bind.kernel-fs", field, format!("{name} lies on {kind}"), allowed);
    }
    let (_, what) = HOST_DOORS.iter().find(|(path, _)| source.path.as_os_str() == *path)?;
    violation(
        "default.bind.host-door",
        field,
        format!("{name} holds {what}"),
        "files and directories below it",
    )
}

/// Where a host keeps symbolic links of its own, and whether below that place too. Who owns
/// a link elsewhere says nothing: what a tool leaves in a workspace belongs to the owner of
/// the workspace, who may be root.
const SYSTEM_LINKS: &[(&str, bool)] =
    &[("/", false), ("/var", false), ("/etc", true), ("/usr", true), ("/dev", true)];

/// A link is a word of whoever wrote it: only the system's own are taken.
fn judge_links(field: &str, links: &[FollowedLink]) -> Option<Violation> {
    let link = links.iter().find(|link| !is_the_systems(link))?;
    let asked = format!(
        "{} of uid {} is a symbolic link to {}",
        link.holder.join(&link.name).display(),
        link.uid,
        link.text.display()
    );
    let allowed = "no links but the system's own: name the target itself";
    violation("default.bind.link", field, asked, allowed)
}

/// It stands where the host keeps such links, and nobody but root may put one there.
fn is_the_systems(link: &FollowedLink) -> bool {
    let there = |(place, below): &(&str, bool)| match below {
        true => link.holder.starts_with(place),
        false => link.holder.as_os_str() == *place,
    };
    let roots = is_root(link.uid) && is_root(link.holder_uid);
    roots && link.holder_mode & 0o022 == 0 && SYSTEM_LINKS.iter().any(there)
}

/// Root, or what it is in a user namespace that does not map it (user_namespaces(7),
/// /proc/sys/kernel/overflowuid): in these places nobody else owns anything.
fn is_root(uid: u32) -> bool {
    const OVERFLOW: u32 = 65534;
    matches!(uid, 0 | OVERFLOW)
}

/// A bind brings along what is mounted below its source.
fn judge_below(field: &str, below: &[Submount]) -> Option<Violation> {
    let is_kernel = |mount: &&Submount| is_kernel_type(&mount.fs_type);
    let found = below.iter().find(is_kernel)?;
    let asked = format!("{} below it is {}", found.place.display(), found.fs_type);
    violation("default.bind.kernel-fs-below", field, asked, "directories without such a mount below them")
}

fn judge_source(field: &str, source: &Identity, options: &MountOptions) -> Option<Violation> {
    // `dev` is what the option for devices asks for, and no other.
    let device = (options.attr.clear & MOUNT_ATTR_NODEV) != 0;
    let name = source.path.display();
    if let Some(found) = judge_place(field, source) {
        return Some(found);
    }
    match (source.file_type, device) {
        // Devices have their own option, which says what becomes weaker.
        (libc::S_IFDIR | libc::S_IFREG, false) | (libc::S_IFCHR | libc::S_IFBLK, true) => {}
        (_, true) => {
            let asked = format!("{name} is no device");
            return violation("default.device.type", field, asked, "character and block devices");
        }
        (_, false) => {
            let asked = format!("{name} is a socket, fifo or device");
            return violation("default.bind.type", field, asked, "regular files and directories");
        }
    }
    match !options.readonly() && source.path.as_os_str() == "/" {
        true => violation(
            "default.bind.root-rw",
            field,
            "the host's whole root, writable".to_owned(),
            "read-only, or a directory below it",
        ),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn source(path: &str, file_type: u32, fs_magic: i64) -> Identity {
        let path = PathBuf::from(path);
        Identity { path, dev: 1, ino: 2, mnt_id: 3, file_type, uid: 0, gid: 0, fs_magic, rdev: 0 }
    }

    #[test]
    fn sources_are_judged_by_what_they_are() {
        use crate::sys::mount::{MOUNT_ATTR_RDONLY, MountAttr};
        let options = |set, clear| MountOptions {
            attr: MountAttr { set, clear, propagation: 0 },
            ..MountOptions::default()
        };
        let (rw, ro, dev) = (options(0, 0), options(MOUNT_ATTR_RDONLY, 0), options(0, MOUNT_ATTR_NODEV));
        let ext4 = 0xef53;
        let rows = [
            (source("/srv/data", libc::S_IFDIR, ext4), &rw, None),
            (source("/srv/file", libc::S_IFREG, ext4), &rw, None),
            (source("/srv/harmless", libc::S_IFDIR, 0x9fa0), &ro, Some("default.bind.kernel-fs")),
            (source("/srv/harmless", libc::S_IFDIR, 0x6367_7270), &ro, Some("default.bind.kernel-fs")),
            (source("/run/docker.sock", libc::S_IFSOCK, ext4), &ro, Some("default.bind.type")),
            (source("/run/docker.sock", libc::S_IFSOCK, ext4), &dev, Some("default.device.type")),
            (source("/srv/data", libc::S_IFDIR, ext4), &dev, Some("default.device.type")),
            (source("/srv/ptys", libc::S_IFDIR, 0x1cd1), &ro, Some("default.bind.kernel-fs")),
            (source("/dev/pts/0", libc::S_IFCHR, 0x1cd1), &dev, Some("default.bind.kernel-fs")),
            (source("/run", libc::S_IFDIR, ext4), &ro, Some("default.bind.host-door")),
            (source("/dev", libc::S_IFDIR, ext4), &ro, Some("default.bind.host-door")),
            (source("/run/data", libc::S_IFDIR, ext4), &ro, None),
            (source("/srv/fifo", libc::S_IFIFO, ext4), &ro, Some("default.bind.type")),
            (source("/dev/sda", libc::S_IFBLK, ext4), &ro, Some("default.bind.type")),
            (source("/dev/zero", libc::S_IFCHR, ext4), &rw, Some("default.bind.type")),
            (source("/dev/zero", libc::S_IFCHR, ext4), &dev, None),
            (source("/", libc::S_IFDIR, ext4), &rw, Some("default.bind.root-rw")),
            (source("/", libc::S_IFDIR, ext4), &ro, None),
        ];
        for (identity, options, rule) in rows {
            let found = judge_source("/mounts/0", &identity, options).map(|violation| violation.rule);
            assert_eq!(found, rule, "{identity}");
        }
    }

    #[test]
    fn only_the_systems_links_lead_to_a_source() {
        let link = |holder: &str, holder_uid, holder_mode, uid| FollowedLink {
            holder: holder.into(),
            holder_uid,
            holder_mode,
            name: "link".into(),
            uid,
            text: "/etc/shadow".into(),
        };
        let rows = [
            (link("/", 0, 0o755, 0), true),
            (link("/var", 0, 0o755, 0), true),
            (link("/etc/alternatives", 0, 0o755, 0), true),
            (link("/usr/lib", 65534, 0o755, 65534), true),
            (link("/usr/local/lib", 0, 0o2775, 0), false),
            (link("/var/lib", 0, 0o755, 0), false),
            (link("/etcetera", 0, 0o755, 0), false),
            (link("/srv/work", 0, 0o755, 0), false),
            (link("/home/user", 1000, 0o755, 1000), false),
            (link("/dev/shm", 0, 0o1777, 0), false),
            (link("/tmp", 0, 0o1777, 0), false),
            (link("/etc", 0, 0o755, 1000), false),
            (link("/etc", 1000, 0o755, 0), false),
        ];
        let usr_merge = link("/", 0, 0o755, 0);
        for (link, followed) in rows {
            // It is enough that one of several is not the system's.
            let several = [usr_merge.clone(), link.clone()];
            let found = judge_links("/mounts/0/source", &several);
            assert_eq!(found.map(|found| found.rule), (!followed).then_some("default.bind.link"), "{link:?}");
        }
        assert_eq!(judge_links("/mounts/0/source", &[]), None);
    }

    #[test]
    fn what_is_mounted_below_is_judged_too() {
        let mount =
            |place: &str, fs_type: &str| Submount { place: place.into(), fs_type: fs_type.to_owned() };
        let rows = [
            (vec![], None),
            (vec![mount("/srv/disk", "ext4"), mount("/srv/tmp", "tmpfs")], None),
            (vec![mount("/srv/disk", "ext4"), mount("/srv/p", "proc")], Some("default.bind.kernel-fs-below")),
        ];
        for (below, rule) in rows {
            assert_eq!(judge_below("/mounts/0/source", &below).map(|found| found.rule), rule, "{below:?}");
        }
    }
}
