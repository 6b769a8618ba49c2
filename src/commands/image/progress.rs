//! What a person sees of a pull.

use indicatif::{ProgressBar, ProgressStyle};

use crate::registry::Seen;

/// One bar for all blobs, on stderr where that is a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// On stderr, unless nothing is to be seen.
    pub(super) fn new(quiet: bool) -> Self {
        if quiet {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(0);
        let form = "{wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}";
        bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// Takes in what is seen of the transfers.
    pub(super) fn seen(&self, seen: Seen) {
        match seen {
            Seen::Wanted(bytes) => self.bar.inc_length(bytes),
            Seen::Bytes(count) => self.bar.inc(count),
            Seen::Over => self.bar.finish_and_clear(),
        }
    }
}
