//! `audit`: what is done with the audit log.

use clap::{Args, Subcommand};

use super::os;
use crate::types::HostPath;

/// Verify, show and export the audit log
///
/// The log is written where the host's policy has a section `[audit]`; docs/audit.md describes every
/// field of it. Without FILE it is the one that the policy names.
#[derive(Debug, Clone, Args)]
#[command(disable_help_subcommand = true)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: AuditWhat,
}

/// What is done with a log.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditWhat {
    /// Say whether the log is what was written, or where its chain breaks
    ///
    /// Several files, oldest first, are one chain. A gap, which a record closed, and a torn last line are
    /// told and are no breaks. A chain cannot show that its newest records were cut off: keep the hash of
    /// `audit head` elsewhere, and give it by --head. Exit code: 0, or 1 for a break.
    Verify {
        /// The files (default: the host's log)
        #[arg(value_name = "FILE", value_parser = os::<HostPath>())]
        files: Vec<HostPath>,
        /// A hash that was kept elsewhere: one of the records must have it
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the records for people
    Show {
        /// The file (default: the host's log)
        #[arg(value_name = "FILE", value_parser = os::<HostPath>())]
        file: Option<HostPath>,
        /// Which records.
        #[command(flatten)]
        only: Only,
    },
    /// Print the records as JSON
    Export {
        /// The file (default: the host's log)
        #[arg(value_name = "FILE", value_parser = os::<HostPath>())]
        file: Option<HostPath>,
        /// One record per line, as it was written, instead of one array
        #[arg(long)]
        lines: bool,
        /// Which records.
        #[command(flatten)]
        only: Only,
    },
    /// Print number and hash of the newest record, to be kept elsewhere
    Head {
        /// The file (default: the host's log)
        #[arg(value_name = "FILE", value_parser = os::<HostPath>())]
        file: Option<HostPath>,
        /// Send it to systemd's journal too
        #[arg(long)]
        journald: bool,
    },
}

/// Which records are printed: those that meet all that is given.
#[derive(Debug, Clone, Default, Args)]
pub struct Only {
    /// Of this container
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Of this verb
    #[arg(long, value_name = "VERB")]
    pub verb: Option<String>,
    /// Of this call, and of what it made
    #[arg(long, value_name = "OP")]
    pub op: Option<String>,
    /// Of what the policy refused
    #[arg(long)]
    pub refused: bool,
    /// From this moment on: 2026-11-28, or 2026-11-28T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}
