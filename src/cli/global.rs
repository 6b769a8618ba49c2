//! The options in front of the verb: runc's, and crun's `--cgroup-manager`.

use std::str::FromStr;

use clap::{ArgAction, Args, ValueEnum};

use super::os;
use crate::error::{Error, Result};
use crate::types::HostPath;

/// Options that hold for every verb. Of one that is given twice the last counts, as with runc.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Directory of the containers' state
    ///
    /// Default: /run/pinfold, or $XDG_RUNTIME_DIR/pinfold for a user. It should be a tmpfs.
    #[arg(long, value_name = "DIR", value_parser = os::<HostPath>(), overrides_with = "root")]
    pub root: Option<HostPath>,
    /// Directory of the images
    ///
    /// Default: /var/lib/pinfold, or $XDG_DATA_HOME/pinfold for a user. Refused while a policy of the host's
    /// stands: only images that root brought in count.
    #[arg(long, value_name = "DIR", value_parser = os::<HostPath>(), overrides_with = "store")]
    pub store: Option<HostPath>,
    /// One more policy, of the caller's own: it can only narrow what the host's policy allows
    ///
    /// Where the host has none, it stands in its place. docs/policy.md is its form.
    #[arg(long, value_name = "FILE", value_parser = os::<HostPath>())]
    pub policy: Option<HostPath>,
    /// File to append errors and warnings to
    ///
    /// Default: none; errors always go to stderr too.
    #[arg(long, value_name = "FILE", value_parser = os::<HostPath>(), overrides_with = "log")]
    pub log: Option<HostPath>,
    /// Directory below which the annotation `io.pinfold.report` may name a file
    ///
    /// May be given several times. Default: none; a report is then made in the bundle alone.
    #[arg(long, value_name = "DIR", value_parser = os::<HostPath>())]
    pub report_dir: Vec<HostPath>,
    /// Form of the lines in --log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, overrides_with = "log_format")]
    pub log_format: LogFormat,
    /// Accepted for runc's callers: adds nothing to the log
    #[arg(long, overrides_with = "debug")]
    pub debug: bool,
    /// Ask systemd for the cgroup: a transient scope, on a machine with cgroup v2 alone
    ///
    /// `cgroupsPath` is then SLICE:PREFIX:NAME, as in runc. The same as --cgroup-manager systemd.
    #[arg(long, conflicts_with = "cgroup_manager", overrides_with = "systemd_cgroup")]
    pub systemd_cgroup: bool,
    /// Who makes the cgroup (crun's option; default cgroupfs)
    ///
    /// With `disabled` no cgroup is made: no limit on memory, processes or CPU can be enforced.
    #[arg(long, value_name = "MANAGER", value_enum, overrides_with = "cgroup_manager")]
    pub cgroup_manager: Option<CgroupManager>,
    /// Whether missing rights to cgroups are tolerated: true, false or auto
    ///
    /// With true, or with auto for a user other than root, a cgroup that cannot be made is left
    /// out unless limits were asked for.
    #[arg(long, value_name = "BOOL", default_value = "auto", overrides_with = "rootless")]
    pub rootless: Rootless,
    /// Tell on stderr how long each phase and each step of the launch took
    #[arg(long, overrides_with = "trace_timing")]
    pub trace_timing: bool,
    /// Accepted for runc's callers; there is no checkpointing
    #[arg(long, value_name = "PATH", hide = true)]
    criu: Option<String>,
    /// Print version, commit and specification version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Global {
    /// Who makes the cgroup, from both options that say so.
    pub fn cgroup_manager(&self) -> CgroupManager {
        match self.cgroup_manager {
            Some(manager) => manager,
            None if self.systemd_cgroup => CgroupManager::Systemd,
            None => CgroupManager::Cgroupfs,
        }
    }
}

/// The form of the lines in the log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// `time="..." level=error msg="..."`.
    #[default]
    Text,
    /// `{"level":"error","msg":"...","time":"..."}`.
    Json,
}

/// Who makes the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CgroupManager {
    /// pinfold itself, in the cgroup filesystem.
    Cgroupfs,
    /// systemd, over D-Bus.
    Systemd,
    /// Nobody: there is no cgroup and no limit.
    Disabled,
}

/// Whether missing rights to cgroups are tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rootless {
    /// They are.
    True,
    /// They are an error.
    False,
    /// They are unless the caller is root.
    #[default]
    Auto,
}

impl FromStr for Rootless {
    type Err = Error;

    /// Go's `strconv.ParseBool`, which runc uses, and `auto`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Self::True),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Self::False),
            _ => Err(Error::usage("accepted are true, false and auto")),
        }
    }
}
