//! Walks over a group and all groups below it.
//!
//! The tree below a container may have been shaped by the container: deep, wide, changing.
//! So a walk holds one descriptor and the names of the way down, whatever the depth, visits
//! each group once, and takes a group that vanishes for an empty one.

use std::ffi::CString;

use nix::errno::Errno;

use crate::error::{Error, Result};

use super::dir::Dir;

/// What a walk does on its way.
pub(super) trait Visit {
    /// At `group`, before those below it.
    fn enter(&mut self, group: &Dir) -> Result<()>;
    /// Back in `parent`, after the group `name` and all below it.
    fn leave(&mut self, parent: &Dir, name: &CString) -> Result<()>;
}

/// Visits `root` and everything below.
pub(super) fn walk(root: &Dir, visit: &mut impl Visit) -> Result<()> {
    visit.enter(root)?;
    let mut current = root.again()?;
    let mut way: Vec<CString> = vec![];
    let mut pending = vec![root.groups()?];
    while let Some(names) = pending.last_mut() {
        if let Some(name) = names.pop() {
            let Some(group) = current.child(&name)? else { continue };
            visit.enter(&group)?;
            pending.push(group.groups()?);
            way.push(name);
            current = group;
            continue;
        }
        pending.pop();
        if let Some(name) = way.pop() {
            current = current.parent()?;
            visit.leave(&current, &name)?;
        }
    }
    Ok(())
}

/// Collects the processes.
#[derive(Default)]
struct Processes(Vec<i32>);

impl Visit for Processes {
    fn enter(&mut self, group: &Dir) -> Result<()> {
        match group.try_read("cgroup.procs") {
            Ok(text) => {
                // 0 is a process that the reader's pid namespace does not know.
                self.0
                    .extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
                Ok(())
            }
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
            // A threaded group: its processes are listed by the domain above it, which lies in the same tree.
            Err(Errno::EOPNOTSUPP) => Ok(()),
            Err(errno) => Err(Error::call("read", errno).object(group.file("cgroup.procs"))),
        }
    }

    fn leave(&mut self, _: &Dir, _: &CString) -> Result<()> {
        Ok(())
    }
}

/// The processes of `root` and of all groups below, each once.
pub(super) fn processes(root: &Dir) -> Result<Vec<i32>> {
    let mut found = Processes::default();
    walk(root, &mut found)?;
    found.0.sort_unstable();
    found.0.dedup();
    Ok(found.0)
}

/// Removes what lies below, deepest first.
struct Remove;

impl Visit for Remove {
    fn enter(&mut self, _: &Dir) -> Result<()> {
        Ok(())
    }

    fn leave(&mut self, parent: &Dir, name: &CString) -> Result<()> {
        match parent.unmake(name) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => {
                let object = parent.file(&name.to_string_lossy());
                Err(Error::call("rmdir", errno).object(object))
            }
        }
    }
}

/// Removes every group below `root`, not itself. EBUSY where one holds a process.
pub(super) fn remove_below(root: &Dir) -> Result<()> {
    walk(root, &mut Remove)
}

/// Adds up one number of each group, for v1, which counts no events of groups below.
pub(super) fn sum(root: &Dir, read: impl Fn(&Dir) -> Result<Option<u64>>) -> Result<Option<u64>> {
    struct Sum<F>(F, Option<u64>);
    impl<F: Fn(&Dir) -> Result<Option<u64>>> Visit for Sum<F> {
        fn enter(&mut self, group: &Dir) -> Result<()> {
            if let Some(more) = (self.0)(group)? {
                self.1 = Some(self.1.unwrap_or(0).saturating_add(more));
            }
            Ok(())
        }
        fn leave(&mut self, _: &Dir, _: &CString) -> Result<()> {
            Ok(())
        }
    }
    let mut sum = Sum(read, None);
    walk(root, &mut sum)?;
    Ok(sum.1)
}
