//! Promise: `--trace-timing` tells of each phase and each step how long it took, and nothing tells of them without it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use support::{Bundle, Dir, Ran};

/// Who, microseconds from the beginning, microseconds that it took, and what.
fn lines(ran: &Ran) -> Vec<(String, f64, f64, String)> {
    let of = |line: &str| {
        let mut words = line.strip_prefix("timing: ")?.split_whitespace().map(str::to_owned);
        let (who, at, took) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some((who, at, took, words.collect::<Vec<_>>().join(" ")))
    };
    ran.err.lines().filter_map(of).collect()
}

fn of<'a>(who: &'a str, lines: &'a [(String, f64, f64, String)]) -> Vec<(f64, f64, &'a str)> {
    lines.iter().filter(|line| line.0 == who).map(|line| (line.1, line.2, line.3.as_str())).collect()
}

#[test]
fn each_phase_and_each_step_has_its_time() {
    let dir = Dir::new();
    Bundle::new(&dir, "bundle", &["/bin/true"]);
    let (bundle, id) = (dir.text("bundle"), dir.id("timed"));
    let launches: [(&[&str], &str, &str); 3] = [
        (&["--trace-timing", "run", "--bundle", &bundle, &id], "program", "exec"),
        (&["--trace-timing", "sandbox", "--", "true"], "program", "late_seccomp"),
        (&["--trace-timing", "create", "--bundle", &bundle, &id], "the last word", "meet_for_check"),
    ];
    for (line, phase, last) in launches {
        let ran = dir.pinfold(line);
        ran.ok();
        let lines = lines(&ran);
        assert_eq!(of("start", &lines).len(), 1);
        let parent = of("parent", &lines);
        assert!(parent.iter().any(|(_, _, what)| *what == phase), "{line:?}: {parent:?}");
        for pair in parent.windows(2) {
            assert!((pair[0].0 + pair[0].1 - pair[1].0).abs() < 0.2, "{line:?}: a gap: {pair:?}");
        }
        let child = of("child", &lines);
        assert_eq!(child[0].2, "await_release", "{line:?}");
        assert!(child.iter().any(|(_, _, what)| *what == "mount /proc"), "{line:?}: {child:?}");
        assert!(child.iter().any(|(_, _, what)| *what == last), "{line:?}: {child:?}");
        assert!(child.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{line:?}: {child:?}");
        // Both have the same clock: the child was born in a phase of the parent's.
        let clone = parent.iter().find(|(_, _, what)| *what == "clone3").unwrap();
        assert!(child[0].0 >= clone.0 && child[0].0 <= parent.last().unwrap().0 + parent.last().unwrap().1);
    }
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

#[test]
fn without_the_option_nothing_is_told() {
    let dir = Dir::new();
    let ran = dir.pinfold(&["sandbox", "--", "true"]);
    ran.ok();
    assert_eq!(lines(&ran), []);
}
