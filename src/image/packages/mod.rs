//! The packages of an image, from the databases of dpkg and apk in it. They are a stranger's text:
//! bounded, read line by line, and believed no further than a list goes. A record that says less
//! than a name and a version, or more than a field holds, is counted and left out.

mod apk;
mod dpkg;

use super::failed;
use super::merged::Merged;
use crate::error::{Context, Result};

/// A database, and all of them.
const LARGEST: usize = 64 << 20;
/// Packages of an image.
const MOST: usize = 100_000;
/// Bytes of a field that is used.
const LONGEST_FIELD: usize = 512;
/// Files of /var/lib/dpkg/status.d.
const MOST_FILES: usize = 20_000;

/// Where RPM keeps its database: SQLite's, its own (`.db`), Berkeley DB's. All are binary, and none is read.
const OF_RPM: [&str; 6] = [
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages.db",
    "usr/lib/sysimage/rpm/Packages",
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/Packages",
];

/// Whose database a package stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Alpine's, apk(8).
    Apk,
    /// Debian's, dpkg(1).
    Deb,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Of which database.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The machine.
    pub architecture: Option<String>,
    /// The source package that it was built from, where it has another name.
    pub source: Option<String>,
}

/// What the databases say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packages {
    /// Sorted, each once.
    pub packages: Vec<Package>,
    /// Records that could not be used.
    pub damaged: u64,
    /// `ID` of os-release(5), of letters, digits, `.`, `_` and `-`.
    pub system: Option<String>,
    /// An RPM database is there.
    pub rpm: bool,
    bytes: usize,
}

/// Reads the databases.
///
/// # Errors
/// One is larger than its bound, or is no regular file.
pub fn find(merged: &Merged) -> Result<Packages> {
    let mut found = Packages { system: system(merged)?, ..Packages::default() };
    found.database(merged, "var/lib/dpkg/status", dpkg::read)?;
    for name in merged.names("var/lib/dpkg/status.d", MOST_FILES).on("var/lib/dpkg/status.d")? {
        // Beside each stands a list of its files' digests.
        match name.into_string() {
            Ok(name) if !name.ends_with(".md5sums") => {
                found.database(merged, &format!("var/lib/dpkg/status.d/{name}"), dpkg::read)?;
            }
            Ok(_) => {}
            Err(_odd) => found.damaged += 1,
        }
    }
    for place in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        found.database(merged, place, apk::read)?;
    }
    for place in OF_RPM {
        found.rpm |= merged.is_file(place).on(place)?;
    }
    // Through /lib -> usr/lib one database is found twice.
    found.packages.sort();
    found.packages.dedup();
    Ok(found)
}

impl Packages {
    fn database(&mut self, merged: &Merged, place: &str, read: fn(&[u8], &mut Self)) -> Result<()> {
        let left = LARGEST.saturating_sub(self.bytes);
        let Some(text) = merged.read(place, left).on(shown(place))? else { return Ok(()) };
        self.bytes += text.len();
        read(&text, self);
        match self.packages.len() > MOST {
            true => Err(failed(format!("names more than {MOST} packages")).object(shown(place))),
            false => Ok(()),
        }
    }

    /// Takes in a record, where it can be one.
    fn add(&mut self, record: Record) {
        match record.package() {
            Some(package) if self.packages.len() <= MOST => self.packages.push(package),
            Some(_) => {}
            None => self.damaged += 1,
        }
    }
}

/// The fields of one record as they stand there.
#[derive(Debug, Default)]
struct Record {
    kind: Option<Kind>,
    name: Option<String>,
    version: Option<String>,
    architecture: Option<String>,
    source: Option<String>,
    /// A field is too long, occurs twice or has what no field has.
    damaged: bool,
}

impl Record {
    fn package(self) -> Option<Package> {
        let Self { kind, name, version, architecture, source, damaged } = self;
        let (kind, name, version) = (kind?, name?, version?);
        let source = source.filter(|source| *source != name);
        (!damaged).then_some(Package { kind, name, version, architecture, source })
    }
}

/// A field's value, where it is one word or several that can be printed.
fn field(slot: &mut Option<String>, value: &[u8], damaged: &mut bool) {
    let text = std::str::from_utf8(value).ok().map(str::trim);
    let fits =
        |text: &&str| !text.is_empty() && text.len() <= LONGEST_FIELD && !text.chars().any(char::is_control);
    match text.filter(fits) {
        Some(text) if slot.is_none() => *slot = Some(text.to_owned()),
        _ => *damaged = true,
    }
}

fn system(merged: &Merged) -> Result<Option<String>> {
    for place in ["etc/os-release", "usr/lib/os-release"] {
        let Some(text) = merged.read(place, 64 << 10).on(place)? else { continue };
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"ID="));
        let id = line.map(|id| String::from_utf8_lossy(id).trim_matches(['"', '\'', ' ']).to_owned());
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        return Ok(id.filter(|id| !id.is_empty() && id.len() <= 32 && id.bytes().all(known)));
    }
    Ok(None)
}

fn shown(place: &str) -> String {
    super::files::shown(place.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], with: fn(&[u8], &mut Packages)) -> (Vec<String>, u64) {
        let mut found = Packages::default();
        with(text, &mut found);
        let shown = |package: &Package| {
            let Package { name, version, architecture, source, .. } = package;
            let others = [architecture, source].map(|text| text.clone().unwrap_or_default());
            format!("{name} {version} {}", others.join(" ")).trim_end().to_owned()
        };
        (found.packages.iter().map(shown).collect(), found.damaged)
    }

    #[test]
    fn dpkg_says_what_is_installed() {
        let rows: &[(&[u8], &[&str], u64)] = &[
            (
                b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
                &["a 1 amd64"],
                0,
            ),
            (b"Package: a\nVersion: 1\nSource: s (2)\n\nPackage: b\nVersion: 2\n\n", &["a 1  s", "b 2"], 0),
            (b"Package: a\nStatus: deinstall ok config-files\nVersion: 1\n", &[], 0),
            (b"Package: a\nStatus: install ok half-installed\nVersion: 1\n", &[], 0),
            (b"Package: a\nDescription: x\n Version: 9\n\tVersion: 8\nVersion: 1\n", &["a 1"], 0),
            (b"package: a\nVERSION: 1\n", &["a 1"], 0),
            (b"Package: a\n", &[], 1),
            (b"Package: a\nPackage: b\nVersion: 1\n", &[], 1),
            (b"Package: a\x1b[2J\nVersion: 1\n", &[], 1),
            (b"Package: \xff\nVersion: 1\n", &[], 1),
            (b"Package: a\nVersion: 1\nno field\n", &["a 1"], 0),
            (b"\n\n\n", &[], 0),
            (b"", &[], 0),
        ];
        for (text, packages, damaged) in rows {
            let (found, bad) = read(text, dpkg::read);
            assert_eq!((found.as_slice(), bad), (packages.map_strings().as_slice(), *damaged), "{text:?}");
        }
        let long = [b"Package: ".as_slice(), &[b'a'; 1 << 20], b"\nVersion: 1\n"].concat();
        assert_eq!(read(&long, dpkg::read), (vec![], 1));
    }

    #[test]
    fn apk_says_what_is_installed() {
        let rows: &[(&[u8], &[&str], u64)] = &[
            (b"C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n", &["musl 1.2.5-r0 x86_64"], 0),
            (b"P:a\nV:1\nF:usr\nR:P\n\nP:b\nV:2\no:c", &["a 1", "b 2  c"], 0),
            (b"P:a\nV:1\nP:b\n", &[], 1),
            (b"P:a\nV:\n", &[], 1),
            (b"F:usr\n", &[], 1),
        ];
        for (text, packages, damaged) in rows {
            let (found, bad) = read(text, apk::read);
            assert_eq!((found.as_slice(), bad), (packages.map_strings().as_slice(), *damaged), "{text:?}");
        }
    }

    trait Strings {
        fn map_strings(&self) -> Vec<String>;
    }

    impl Strings for &[&str] {
        fn map_strings(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn a_flood_of_packages_is_bounded() {
        let mut found = Packages::default();
        dpkg::read("Package: a\nVersion: 1\n\n".repeat(MOST + 50).as_bytes(), &mut found);
        assert_eq!(found.packages.len(), MOST + 1);
    }
}
