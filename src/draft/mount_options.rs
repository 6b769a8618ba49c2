//! Mount options: one table from the strings of config.md to the kernel's flags.
//! mount_setattr(2), mount(8).

use crate::error::{Context, Error, Result};
use crate::sys::mount::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME, MountAttr,
};

/// What the options of one mount come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// A bind mount.
    pub bind: bool,
    /// With the mounts below it.
    pub recursive: bool,
    /// Flags of a mount that is there already.
    pub remount: bool,
    /// Flags of the mount itself.
    pub attr: MountAttr,
    /// Flags of the mount and all below it (the `r...` options).
    pub recursive_attr: MountAttr,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, MS_REC with it, in the order given:
    /// `slave` and then `shared` is both (mount_namespaces(7)).
    pub propagation: Vec<u64>,
    /// Options of the filesystem itself.
    pub data: Vec<(String, Option<String>)>,
    /// Fill a tmpfs with what it covers.
    pub tmpcopyup: bool,
    /// Show owners through the container's id map.
    pub idmap: bool,
    /// The same with all mounts below.
    pub ridmap: bool,
}

enum Effect {
    Nothing,
    Bind(bool),
    Remount,
    Set(u64),
    Clear(u64),
    Atime(Atime),
    Propagation(u64),
    /// A flag of the superblock: fsconfig(2) takes it by its name.
    Super(&'static str),
    NotSuper(&'static str),
    CopyUp,
    Idmap(bool),
}

/// What an option says of access times. mount(2) takes several at once, and strictatime
/// counts before noatime, and that before relatime.
#[derive(Clone, Copy)]
enum Atime {
    Noatime(bool),
    Strictatime(bool),
    Relatime(bool),
}

/// The access time options of one mount so far.
#[derive(Default)]
struct AtimeState {
    asked: bool,
    noatime: bool,
    strictatime: bool,
}

/// Reads the options of one mount entry.
///
/// # Errors
/// An option that is not valid, with its place in the list.
pub fn parse(options: &[String]) -> Result<MountOptions> {
    let mut parsed = MountOptions::default();
    let (mut own, mut recursive) = (AtimeState::default(), AtimeState::default());
    for (index, option) in options.iter().enumerate() {
        match (effect(option), option.strip_prefix('r').and_then(recursive_effect)) {
            (Some(effect), _) => parsed.apply(effect, &mut own),
            (None, Some(effect)) => change(&mut parsed.recursive_attr, &effect, &mut recursive),
            (None, None) => parsed.data.extend(split(option).at(format!("/options/{index}"))?),
        }
    }
    own.fold(&mut parsed.attr);
    recursive.fold(&mut parsed.recursive_attr);
    Ok(parsed)
}

impl MountOptions {
    fn apply(&mut self, effect: Effect, atime: &mut AtimeState) {
        match effect {
            Effect::Nothing => {}
            Effect::Bind(recursive) => {
                self.bind = true;
                self.recursive |= recursive;
            }
            Effect::Remount => self.remount = true,
            Effect::Propagation(flags) => self.propagation.push(flags),
            Effect::Super(name) => {
                self.without(name);
                self.data.push((name.to_owned(), None));
            }
            Effect::NotSuper(name) => self.without(name),
            Effect::CopyUp => self.tmpcopyup = true,
            Effect::Idmap(recursive) => {
                self.idmap |= !recursive;
                self.ridmap |= recursive;
            }
            Effect::Set(_) | Effect::Clear(_) | Effect::Atime(_) => change(&mut self.attr, &effect, atime),
        }
    }

    fn without(&mut self, name: &str) {
        self.data.retain(|(key, _)| key != name);
    }

    /// Whether the mount ends up read-only, by either form.
    pub fn readonly(&self) -> bool {
        (self.attr.set | self.recursive_attr.set) & MOUNT_ATTR_RDONLY != 0
    }

    /// Whether mounts of the host are asked to come in here, or those made here to get out.
    pub fn propagates(&self) -> bool {
        self.propagation.iter().any(|flags| flags & (libc::MS_SHARED | libc::MS_SLAVE) != 0)
    }
}

/// The later option wins, as with mount(8).
fn change(attr: &mut MountAttr, effect: &Effect, atime: &mut AtimeState) {
    match effect {
        Effect::Set(flag) => {
            attr.set |= flag;
            attr.clear &= !flag;
        }
        Effect::Clear(flag) => {
            attr.clear |= flag;
            attr.set &= !flag;
        }
        Effect::Atime(asked) => atime.note(*asked),
        _ => {}
    }
}

impl AtimeState {
    fn note(&mut self, asked: Atime) {
        match asked {
            Atime::Noatime(on) => self.noatime = on,
            Atime::Strictatime(on) => self.strictatime = on,
            Atime::Relatime(_) => {}
        }
        // To take strictatime or relatime back is to ask for nothing.
        self.asked |= !matches!(asked, Atime::Strictatime(false) | Atime::Relatime(false));
    }

    fn fold(&self, attr: &mut MountAttr) {
        if !self.asked {
            return;
        }
        attr.clear |= MOUNT_ATTR__ATIME;
        attr.set |= match (self.strictatime, self.noatime) {
            (true, _) => MOUNT_ATTR_STRICTATIME,
            (false, true) => MOUNT_ATTR_NOATIME,
            (false, false) => MOUNT_ATTR_RELATIME,
        };
    }
}

#[rustfmt::skip]
fn effect(option: &str) -> Option<Effect> {
    use Effect::{Bind, Clear, CopyUp, Idmap, NotSuper, Nothing, Propagation, Remount, Set, Super};
    Some(match option {
        "bind" => Bind(false),
        "rbind" => Bind(true),
        "remount" => Remount,
        "tmpcopyup" => CopyUp,
        "idmap" => Idmap(false),
        "ridmap" => Idmap(true),
        // MS_SILENT hushes the kernel's log; POSIX ACLs are each filesystem's own affair.
        "defaults" | "loud" | "silent" | "acl" | "noacl" => Nothing,
        "ro" => Set(MOUNT_ATTR_RDONLY),
        "rw" => Clear(MOUNT_ATTR_RDONLY),
        "nosuid" => Set(MOUNT_ATTR_NOSUID),
        "suid" => Clear(MOUNT_ATTR_NOSUID),
        "nodev" => Set(MOUNT_ATTR_NODEV),
        "dev" => Clear(MOUNT_ATTR_NODEV),
        "noexec" => Set(MOUNT_ATTR_NOEXEC),
        "exec" => Clear(MOUNT_ATTR_NOEXEC),
        "nodiratime" => Set(MOUNT_ATTR_NODIRATIME),
        "diratime" => Clear(MOUNT_ATTR_NODIRATIME),
        "nosymfollow" => Set(MOUNT_ATTR_NOSYMFOLLOW),
        "symfollow" => Clear(MOUNT_ATTR_NOSYMFOLLOW),
        "noatime" => Effect::Atime(Atime::Noatime(true)),
        "atime" => Effect::Atime(Atime::Noatime(false)),
        "strictatime" => Effect::Atime(Atime::Strictatime(true)),
        "nostrictatime" => Effect::Atime(Atime::Strictatime(false)),
        "relatime" => Effect::Atime(Atime::Relatime(true)),
        "norelatime" => Effect::Atime(Atime::Relatime(false)),
        "sync" => Super("sync"),
        "async" => NotSuper("sync"),
        "dirsync" => Super("dirsync"),
        "lazytime" => Super("lazytime"),
        "nolazytime" => NotSuper("lazytime"),
        "iversion" => Super("iversion"),
        "noiversion" => NotSuper("iversion"),
        "mand" => Super("mand"),
        "nomand" => NotSuper("mand"),
        "shared" => Propagation(libc::MS_SHARED),
        "rshared" => Propagation(libc::MS_SHARED | libc::MS_REC),
        "slave" => Propagation(libc::MS_SLAVE),
        "rslave" => Propagation(libc::MS_SLAVE | libc::MS_REC),
        "private" => Propagation(libc::MS_PRIVATE),
        "rprivate" => Propagation(libc::MS_PRIVATE | libc::MS_REC),
        "unbindable" => Propagation(libc::MS_UNBINDABLE),
        "runbindable" => Propagation(libc::MS_UNBINDABLE | libc::MS_REC),
        _ => return None,
    })
}

/// The `r...` options: AT_RECURSIVE attributes only.
fn recursive_effect(option: &str) -> Option<Effect> {
    effect(option).filter(|effect| matches!(effect, Effect::Set(_) | Effect::Clear(_) | Effect::Atime(_)))
}

/// Options that only the filesystem knows. mount(2) takes them as one text with commas between
/// them, so one string may hold several; a backslash keeps a comma (overlayfs.rst).
fn split(option: &str) -> Result<Vec<(String, Option<String>)>> {
    let mut whole: Vec<String> = vec![String::new()];
    let mut kept = false;
    for letter in option.chars() {
        match whole.last_mut() {
            Some(last) if letter != ',' || kept => last.push(letter),
            _ => whole.push(String::new()),
        }
        kept = letter == '\\' && !kept;
    }
    whole.iter().filter(|one| !one.is_empty()).map(|one| pair(one)).collect()
}

fn pair(option: &str) -> Result<(String, Option<String>)> {
    match option.split_once('=') {
        Some(("", _)) => Err(Error::usage("has no name").object(format!("`{option}`"))),
        Some((key, value)) => Ok((key.to_owned(), Some(value.to_owned()))),
        None => Ok((option.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str]) -> MountOptions {
        parse(&options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn flags_come_out_as_the_kernel_spells_them() {
        let relatime = MOUNT_ATTR_RELATIME;
        let rows: &[(&[&str], u64, u64)] = &[
            (&[], 0, 0),
            (&["defaults", "silent", "loud", "acl", "noacl"], 0, 0),
            (&["ro"], MOUNT_ATTR_RDONLY, 0),
            (&["ro", "rw"], 0, MOUNT_ATTR_RDONLY),
            (&["rw", "ro"], MOUNT_ATTR_RDONLY, 0),
            (&["nosuid", "noexec", "nodev"], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV, 0),
            (&["suid", "exec", "dev"], 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV),
            (&["nodiratime"], MOUNT_ATTR_NODIRATIME, 0),
            (&["nodiratime", "diratime"], 0, MOUNT_ATTR_NODIRATIME),
            (&["nosymfollow"], MOUNT_ATTR_NOSYMFOLLOW, 0),
            (&["nosymfollow", "symfollow"], 0, MOUNT_ATTR_NOSYMFOLLOW),
            (&["noatime"], MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
            (&["noatime", "atime"], relatime, MOUNT_ATTR__ATIME),
            (&["relatime"], relatime, MOUNT_ATTR__ATIME),
            (&["norelatime"], 0, 0),
            (&["nostrictatime"], 0, 0),
            (&["noatime", "strictatime"], MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
            (&["strictatime", "noatime"], MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
            (&["strictatime", "nostrictatime"], relatime, MOUNT_ATTR__ATIME),
            (&["relatime", "noatime"], MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
        ];
        for (options, set, clear) in rows {
            let attr = of(options).attr;
            assert_eq!((attr.set, attr.clear), (*set, *clear), "{options:?}");
        }
    }

    #[test]
    fn recursive_forms_are_kept_apart() {
        let options = of(&["rbind", "rro", "rnosuid", "rprivate"]);
        assert!(options.bind && options.recursive);
        assert_eq!(options.attr, MountAttr::default());
        assert_eq!(options.recursive_attr.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
        assert_eq!(options.propagation, [libc::MS_PRIVATE | libc::MS_REC]);
        let rows: &[(&str, u64, u64)] = &[
            ("rrw", 0, MOUNT_ATTR_RDONLY),
            ("rsuid", 0, MOUNT_ATTR_NOSUID),
            ("rdev", 0, MOUNT_ATTR_NODEV),
            ("rnodev", MOUNT_ATTR_NODEV, 0),
            ("rexec", 0, MOUNT_ATTR_NOEXEC),
            ("rnoexec", MOUNT_ATTR_NOEXEC, 0),
            ("rdiratime", 0, MOUNT_ATTR_NODIRATIME),
            ("rnodiratime", MOUNT_ATTR_NODIRATIME, 0),
            ("rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW),
            ("rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0),
            ("ratime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
            ("rrelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
            ("rnoatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
            ("rstrictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
            ("rnorelatime", 0, 0),
            ("rnostrictatime", 0, 0),
        ];
        for (option, set, clear) in rows {
            let parsed = of(&[option]);
            assert_eq!((parsed.recursive_attr.set, parsed.recursive_attr.clear), (*set, *clear), "{option}");
            assert!(parsed.attr == MountAttr::default() && parsed.data.is_empty(), "{option}");
        }
    }

    #[test]
    fn propagation_keeps_its_order() {
        let all = of(&["rslave", "shared", "private", "runbindable"]).propagation;
        let rec = libc::MS_REC;
        assert_eq!(all, [libc::MS_SLAVE | rec, libc::MS_SHARED, libc::MS_PRIVATE, libc::MS_UNBINDABLE | rec]);
        assert!(of(&["private", "slave"]).propagates() && !of(&["rprivate", "unbindable"]).propagates());
    }

    #[test]
    fn unknown_options_are_the_file_systems_own() {
        type Pairs = &'static [(&'static str, Option<&'static str>)];
        let rows: &[(&[&str], Pairs)] = &[
            (&["size=64k", "newinstance"], &[("size", Some("64k")), ("newinstance", None)]),
            (&["size=64k,mode=0700", ""], &[("size", Some("64k")), ("mode", Some("0700"))]),
            (&["lowerdir=a\\,b:c,userxattr"], &[("lowerdir", Some("a\\,b:c")), ("userxattr", None)]),
            (&["context=a=b"], &[("context", Some("a=b"))]),
        ];
        for (options, expected) in rows {
            let data = of(options).data;
            let data: Vec<_> = data.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            assert_eq!(data, *expected, "{options:?}");
        }
        assert!(parse(&["=x".to_owned()]).is_err());
    }

    #[test]
    fn superblock_flags_can_be_taken_back() {
        let names = |options: &[&str]| of(options).data.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(names(&["sync", "dirsync", "lazytime", "iversion", "mand", "sync"]).len(), 5);
        assert_eq!(
            names(&["sync", "lazytime", "iversion", "mand", "async", "nolazytime", "noiversion", "nomand"])
                .len(),
            0
        );
        assert_eq!(names(&["async", "sync"]), ["sync"]);
    }
}
