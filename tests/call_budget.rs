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

/// The default configuration of `spec`, without a cgroup. `create` makes ten more before the clone than `run`: they halve
/// its memory (`sys/pages.rs`).
const BUDGET: &[Row] = &[
    (&["--cgroup-manager", "disabled", "run", "--bundle", "BUNDLE", "ID"], [229, 172, 610, 12]),
    (&["--cgroup-manager", "disabled", "create", "--bundle", "BUNDLE", "ID"], [237, 114, 550, 0]),
    (&["state", "ID"], [52, 0, 0, 0]),
    (&["start", "ID"], [303, 0, 0, 0]),
    (&["delete", "--force", "ID"], [176, 0, 0, 0]),
    (&["--version"], [19, 0, 0, 0]),
];

/// How often the verbs are tried before the least that was seen counts: a busy machine lets a launch wait once more.
const TURNS: usize = 5;

/// The calls of one verb, counted as the budget is, and each by its name.
fn counted(dir: &Dir, line: &[&str]) -> ([usize; 4], BTreeMap<String, usize>) {
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
    let clone3 = usize::try_from(libc::SYS_clone3).unwrap();
    let before = seen.iter().take_while(|call| call.process == 0 && call.number != clone3).count();
    let ours = |process: usize| seen.iter().filter(move |call| call.process == process);
    let of = |process: usize| ours(process).map(|call| call.index + 1).max().unwrap_or_default();
    let others = seen.iter().filter(|call| call.process > 1).count();
    let (names, mut by_name) = (names(), BTreeMap::new());
    for call in &seen {
        *by_name.entry(names.get(&call.number).cloned().unwrap_or_default()).or_default() += 1;
    }
    ([before, of(0) - before, of(1), others], by_name)
}

#[test]
fn a_launch_stays_within_its_calls() {
    let dir = Dir::new();
    Bundle::new(&dir, "bundle", &["/bin/true"]);
    let mut over = BTreeMap::new();
    for turn in 0..TURNS {
        for (row, (line, budget)) in BUDGET.iter().enumerate() {
            let (calls, by_name) = counted(&dir, line);
            if calls.iter().zip(budget).all(|(seen, most)| seen <= most) {
                over.insert(row, None);
            } else if turn == 0 || over[&row].is_some() {
                over.insert(row, Some(format!("{line:?}: {calls:?} calls, budget {budget:?}: {by_name:?}")));
            }
        }
        if over.values().all(Option::is_none) {
            return;
        }
    }
    panic!("{}", over.into_values().flatten().collect::<Vec<_>>().join("\n"));
}
