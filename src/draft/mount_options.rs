//! Mount options: one table from the strings of config.md to the kernel's flags.
//! mount_setattr(2), mount(8).

use crate::error::{Error, Result};
use crate::sys::mount::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME, MountAttr,
};

/// The access-time field has no bit for relatime: it is the value 0 (mount_setattr(2)).
const RELATIME: u64 = 0;

/// What the options of one mount come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// A bind mount.
    pub bind: bool,
    /// With the mounts below it.
    pub recursive: bool,
    /// Flags of the mount itself.
    pub attr: MountAttr,
    /// Flags of the mount and all below it (the `r...` options).
    pub recursive_attr: MountAttr,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, MS_REC with it; 0 for none.
    pub propagation: u64,
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
    Set(u64),
    Clear(u64),
    Atime(u64),
    Propagation(u64),
    Super,
    Refused(&'static str),
}

/// Reads the options of one mount entry.
///
/// # Errors
/// An option that contradicts another, or that the kernel takes only by remounting.
pub fn parse(options: &[String]) -> Result<MountOptions> {
    let mut parsed = MountOptions::default();
    for (index, option) in options.iter().enumerate() {
        parsed
            .apply(option)
            .map_err(|error| error.object(format!("`{option}`")).field(format!("/options/{index}")))?;
    }
    Ok(parsed)
}

impl MountOptions {
    fn apply(&mut self, option: &str) -> Result<()> {
        match option {
            "tmpcopyup" => self.tmpcopyup = true,
            "idmap" => self.idmap = true,
            "ridmap" => self.ridmap = true,
            _ => match effect(option) {
                Some(effect) => apply(&mut self.attr, effect, &mut Rest { options: &mut self.data, option })
                    .map(|extra| self.note(extra))?,
                None => match option.strip_prefix('r').and_then(recursive_effect) {
                    Some(effect) => {
                        apply(&mut self.recursive_attr, effect, &mut Rest { options: &mut self.data, option })
                            .map(|extra| self.note(extra))?
                    }
                    None => self.data.push(split(option)),
                },
            },
        }
        Ok(())
    }

    fn note(&mut self, extra: Extra) {
        match extra {
            Extra::None => {}
            Extra::Bind(recursive) => {
                self.bind = true;
                self.recursive |= recursive;
            }
            Extra::Propagation(flags) => self.propagation = flags,
        }
    }

    /// Whether the mount ends up read-only, by either form.
    pub fn readonly(&self) -> bool {
        (self.attr.set | self.recursive_attr.set) & MOUNT_ATTR_RDONLY != 0
    }
}

enum Extra {
    None,
    Bind(bool),
    Propagation(u64),
}

struct Rest<'a> {
    options: &'a mut Vec<(String, Option<String>)>,
    option: &'a str,
}

fn apply(attr: &mut MountAttr, effect: Effect, rest: &mut Rest<'_>) -> Result<Extra> {
    match effect {
        Effect::Nothing => {}
        Effect::Bind(recursive) => return Ok(Extra::Bind(recursive)),
        Effect::Propagation(flags) => return Ok(Extra::Propagation(flags)),
        // The later option wins, as with mount(8).
        Effect::Set(flag) => {
            attr.set |= flag;
            attr.clear &= !flag;
        }
        Effect::Clear(flag) => {
            attr.clear |= flag;
            attr.set &= !flag;
        }
        Effect::Atime(value) => {
            attr.clear |= MOUNT_ATTR__ATIME;
            attr.set = (attr.set & !MOUNT_ATTR__ATIME) | value;
        }
        Effect::Super => rest.options.push((rest.option.to_owned(), None)),
        Effect::Refused(why) => return Err(Error::usage(why)),
    }
    Ok(Extra::None)
}

#[rustfmt::skip]
fn effect(option: &str) -> Option<Effect> {
    use Effect::{Atime, Bind, Clear, Nothing, Propagation, Refused, Set, Super};
    Some(match option {
        "bind" => Bind(false),
        "rbind" => Bind(true),
        "defaults" | "async" | "nomand" | "loud" | "silent" | "norelatime" | "nostrictatime" | "noiversion" | "nolazytime" => Nothing,
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
        "noatime" => Atime(MOUNT_ATTR_NOATIME),
        "strictatime" => Atime(MOUNT_ATTR_STRICTATIME),
        "atime" | "relatime" => Atime(RELATIME),
        "sync" | "dirsync" | "lazytime" | "iversion" | "mand" => Super,
        "shared" => Propagation(libc::MS_SHARED),
        "rshared" => Propagation(libc::MS_SHARED | libc::MS_REC),
        "slave" => Propagation(libc::MS_SLAVE),
        "rslave" => Propagation(libc::MS_SLAVE | libc::MS_REC),
        "private" => Propagation(libc::MS_PRIVATE),
        "rprivate" => Propagation(libc::MS_PRIVATE | libc::MS_REC),
        "unbindable" => Propagation(libc::MS_UNBINDABLE),
        "runbindable" => Propagation(libc::MS_UNBINDABLE | libc::MS_REC),
        "remount" => Refused("`remount` changes an existing mount; give the mount its final options instead"),
        _ => return None,
    })
}

/// The `r...` options: AT_RECURSIVE attributes only.
fn recursive_effect(option: &str) -> Option<Effect> {
    effect(option)
        .filter(|effect| matches!(effect, Effect::Set(_) | Effect::Clear(_) | Effect::Atime(_)))
        .or_else(|| matches!(option, "norelatime" | "nostrictatime").then_some(Effect::Atime(RELATIME)))
}

fn split(option: &str) -> (String, Option<String>) {
    match option.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (option.to_owned(), None),
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
        let rows: &[(&[&str], u64, u64)] = &[
            (&["ro"], MOUNT_ATTR_RDONLY, 0),
            (&["ro", "rw"], 0, MOUNT_ATTR_RDONLY),
            (&["nosuid", "noexec", "nodev"], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV, 0),
            (&["noatime"], MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
            (&["noatime", "strictatime"], MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
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
        assert_eq!(options.propagation, libc::MS_PRIVATE | libc::MS_REC);
    }

    #[test]
    fn unknown_options_are_the_file_systems_own() {
        let data = of(&["size=64k", "newinstance"]).data;
        assert_eq!(data, [("size".to_owned(), Some("64k".to_owned())), ("newinstance".to_owned(), None)]);
    }

    #[test]
    fn remount_is_refused() {
        assert!(parse(&["remount".to_owned()]).is_err());
    }
}
