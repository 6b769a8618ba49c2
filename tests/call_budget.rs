//! Promise: a launch makes no more system calls than are written down here.
//!
//! A call costs little, and a few more of them in each of many steps cost a launch its speed. Whoever raises a
//! number says in the commit why that is worth it; whoever lowers the calls lowers it. Cgroups are left
//! out: how many hierarchies there are, and so how many calls, is the host's business.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "faults/calls.rs"]
mod calls;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use calls::{calls, injector, names};
use support::{Bundle, Dir, PINFOLD, run};

/// A verb, and the most calls that pinfold may make before it clones (or in all, where it does not), after that, and
/// in the child up to execve; the watcher's are the fourth.
type Row = (&'static [&'static str], [usize; 4]);

/// The default configuration of `spec`, without a cgroup.
const BUDGET: &[Row] = &[
    (&["--cgroup-manager", "disabled", "run", "--bundle", "BUNDLE", "ID"], [250, 172, 610, 12]),
    (&["--cgroup-manager", "disabled", "create", "--bundle", "BUNDLE", "ID"], [246, 114, 546, 0]),
    (&["state", "ID"], [52, 0, 0, 0]),
    (&["start", "ID"], [343, 0, 0, 0]),
    (&["delete", "--force", "ID"], [194, 0, 0, 0]),
    (&["--version"], [19, 0, 0, 0]),
];

#[test]
fn a_launch_stays_within_its_calls() {
    let dir = Dir::new();
    Bundle::new(&dir, "bundle", &["/bin/true"]);
    let names = names();
    let clone3 = usize::try_from(libc::SYS_clone3).unwrap();
    let mut over = vec![];
    for (line, budget) in BUDGET {
        let words = line.iter().map(|word| match *word {
            "BUNDLE" => dir.text("bundle"),
            "ID" => dir.id("budget"),
            word => word.to_owned(),
        });
        let log = dir.text("log");
        let mut command = Command::new(injector());
        command.args(["list", &log, "--", PINFOLD, "--root"]).arg(dir.state_root()).args(words);
        run(&mut command).ok();
        let seen = calls(&fs::read_to_string(log).unwrap());
        let before = seen.iter().take_while(|call| call.process == 0 && call.number != clone3).count();
        let ours = |process: usize| seen.iter().filter(move |call| call.process == process);
        let of = |process: usize| ours(process).map(|call| call.index + 1).max().unwrap_or_default();
        let others = seen.iter().filter(|call| call.process > 1).count();
        let counted = [before, of(0) - before, of(1), others];
        if counted.iter().zip(budget).any(|(seen, most)| seen > most) {
            let mut most: BTreeMap<&str, usize> = BTreeMap::new();
            for call in &seen {
                *most.entry(names.get(&call.number).map_or("", String::as_str)).or_default() += 1;
            }
            over.push(format!("{line:?}: {counted:?} calls, budget {budget:?}: {most:?}"));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
