//! Lines of resctrl's `schemata`: `L3:0=ff;1=c0`, `MB:0=20;1=70` (resctrl.rst, "Schemata files"). Pure.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// By resource, its domains and their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schemata(BTreeMap<String, BTreeMap<String, String>>);

impl Schemata {
    /// Reads the file's text; a line of another form is left out.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(line).collect())
    }

    /// Whether everything of `text` stands here: a part of the domains may be named, and
    /// bit masks are compared as numbers.
    pub(super) fn has(&self, text: &str) -> bool {
        let Some((resource, domains)) = line(text) else { return false };
        let Some(found) = self.0.get(&resource) else { return false };
        domains.iter().all(|(domain, value)| found.get(domain) == Some(value))
    }

    /// The line of a resource as the kernel writes it, without padding.
    pub fn line(&self, resource: &str) -> Option<String> {
        let domains = self.0.get(resource)?;
        let domains: Vec<_> = domains.iter().map(|(domain, value)| format!("{domain}={value}")).collect();
        Some(format!("{resource}:{}", domains.join(";")))
    }
}

fn line(text: &str) -> Option<(String, BTreeMap<String, String>)> {
    let (resource, domains) = text.trim().split_once(':')?;
    let domain = |part: &str| {
        let (domain, value) = part.split_once('=')?;
        let value = value.trim().trim_start_matches('0').to_ascii_lowercase();
        Some((domain.trim().to_owned(), if value.is_empty() { "0".to_owned() } else { value }))
    };
    Some((resource.trim().to_owned(), domains.split(';').map(domain).collect::<Option<_>>()?))
}

/// The lines of `l3CacheSchema` and `memBwSchema`: a line for `MB` in the first gives way to the second.
pub(super) fn of_schemas(l3: Option<&str>, mem_bw: Option<&str>) -> Result<Vec<String>> {
    let refused = |text: &str, name: &str| Err(Error::usage(text).field(format!("/linux/intelRdt/{name}")));
    if mem_bw.is_some_and(|line| !line.is_empty() && (!line.starts_with("MB:") || line.contains('\n'))) {
        return refused("must be one line that begins with `MB:`", "memBwSchema");
    }
    let mem_bw = mem_bw.filter(|line| !line.is_empty());
    let own = |line: &&str| mem_bw.is_none() || !line.starts_with("MB:");
    let l3 = l3.unwrap_or_default().lines().filter(|line| !line.is_empty()).filter(own);
    Ok(l3.chain(mem_bw).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_schemas_become_one_text() {
        for (l3, mem_bw, lines) in [
            (None, None, &[][..]),
            (Some("L3:0=ff"), None, &["L3:0=ff"]),
            (None, Some("MB:0=20"), &["MB:0=20"]),
            (Some("L3:0=ff\nMB:0=90"), Some("MB:0=20"), &["L3:0=ff", "MB:0=20"]),
            (Some("L3:0=ff\nMB:0=90"), None, &["L3:0=ff", "MB:0=90"]),
            (Some(""), Some(""), &[]),
        ] {
            assert_eq!(of_schemas(l3, mem_bw).unwrap(), lines);
        }
        for bad in ["L3:0=1", "MB:0=1\n"] {
            assert_eq!(
                of_schemas(None, Some(bad)).unwrap_err().field_name(),
                Some("/linux/intelRdt/memBwSchema")
            );
        }
    }

    #[test]
    fn lines_are_compared_by_what_they_mean() {
        let found = Schemata::parse("    MB:0=100;1= 20\n    L3:0=00ff;1=fffff\n  L3CODE:0=1\nnonsense\n");
        for (line, has) in [
            ("L3:0=ff;1=fffff", true),
            ("L3:1=FFFFF", true),
            ("L3:0=0ff", true),
            ("MB:0=100;1=20", true),
            ("L3:0=f", false),
            ("L3:2=ff", false),
            ("L2:0=ff", false),
            ("L3", false),
            ("L3:0", false),
        ] {
            assert_eq!(found.has(line), has, "{line}");
        }
        assert_eq!(found.line("L3").as_deref(), Some("L3:0=ff;1=fffff"));
        assert_eq!(found.line("L2"), None);
    }
}
