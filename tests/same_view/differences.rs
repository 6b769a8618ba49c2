//! Where pinfold shows a program what neither runc nor crun does. Each row is a heading of
//! docs/differences.md, and must be seen.

/// A difference that is meant.
pub struct Difference {
    /// The heading in docs/differences.md.
    pub why: &'static str,
    /// Names of bundles; none for every bundle.
    pub bundles: &'static [&'static str],
    /// How the keys begin.
    pub keys: &'static [&'static str],
}

impl Difference {
    pub fn covers(&self, bundle: &str, key: &str) -> bool {
        (self.bundles.is_empty() || self.bundles.contains(&bundle))
            && self.keys.iter().any(|start| key.starts_with(start))
    }
}

const USER_NAMESPACES: &[&str] = &[
    "user-namespace",
    "user-namespace-of-several-ranges",
    "user-namespace-and-the-callers-network",
    "user-namespace-and-the-callers-cgroup",
    "user-namespace-and-a-writable-cgroup",
];

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        why: "A program in the foreground ends with its runtime",
        bundles: &[],
        keys: &["pdeathsig"],
    },
    Difference { why: "Ignored signals of the caller stay outside", bundles: &[], keys: &["status SigIgn"] },
    Difference { why: "The session keyring has no name", bundles: &[], keys: &["keyring"] },
    Difference {
        why: "What covers a masked directory can do nothing",
        bundles: &[],
        keys: &["mount /proc/acpi ", "mount /sys/firmware "],
    },
    Difference {
        why: "What covers a masked directory can do nothing",
        bundles: &["masked"],
        keys: &["mount /masked-dir ", "mount /target "],
    },
    Difference {
        why: "What covers a masked file is the null device",
        bundles: &["no-dev"],
        keys: &["mount /proc/keys options", "mount /proc/timer_list options"],
    },
    Difference {
        why: "Read-only means all of it",
        bundles: &["bind-read-only-with-submount"],
        keys: &["create in /bind/sub", "mount /bind/sub options", "write /bind/sub/file"],
    },
    Difference {
        why: "An error of the specification is one",
        bundles: &["rlimits-twice"],
        keys: &["outcome"],
    },
    Difference {
        why: "An error of the specification is one",
        bundles: &["masked-relative"],
        keys: &["outcome"],
    },
    Difference {
        why: "An error of the specification is one",
        bundles: &["device-where-a-file-is"],
        keys: &["outcome"],
    },
    Difference {
        why: "An error of the specification is one",
        bundles: &["version-2.0.0"],
        keys: &["outcome"],
    },
    Difference { why: "An error of the specification is one", bundles: &["version-odd"], keys: &["outcome"] },
    Difference { why: "/dev is a directory", bundles: &["dev-a-link"], keys: &["outcome"] },
    Difference {
        why: "HOME is looked up in the root file system",
        bundles: &["bind-through-an-absolute-link", "dev-pts-a-link-outside"],
        keys: &["environment HOME"],
    },
    Difference {
        why: "All namespaces are made at once",
        bundles: USER_NAMESPACES,
        keys: &["list /dev/mqueue", "write /sys/class/net/lo/mtu"],
    },
];
