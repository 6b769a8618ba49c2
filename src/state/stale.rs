//! What dead launchers left behind, found by the next launch or by `gc`.
//!
//! Nothing is removed here: its cgroup goes first, then [`StateRoot::remove`].

use super::container_dir::ContainerDir;
use super::files::{self, LockMode};
use super::record::{Phase, State};
use super::root::StateRoot;
use crate::error::{Error, Result};

/// An entry that nobody owns any more. Until it is dropped, no second sweep takes it up.
#[derive(Debug)]
pub struct Stale {
    /// Its directory, for [`StateRoot::remove`].
    pub dir: ContainerDir,
    /// Its record, where the launcher came that far: it names the cgroup and the id range.
    pub state: Option<State>,
}

/// What a look at every entry found.
#[derive(Debug, Default)]
pub struct Sweep {
    /// To be removed.
    pub stale: Vec<Stale>,
    /// Containers that live, and whose keeper does not: their limits are gone.
    pub unkept: Vec<State>,
    /// Left alone, because they could not be judged: id and reason.
    pub unclear: Vec<(String, Error)>,
}

/// Every entry that is ephemeral or half made, whose launcher and first process are both gone.
pub fn stale(root: &StateRoot) -> Result<Sweep> {
    let mut sweep = Sweep::default();
    for id in root.ids()? {
        match judge(root, &id, &mut sweep.unkept) {
            Ok(found) => sweep.stale.extend(found),
            Err(error) => sweep.unclear.push((id, error)),
        }
    }
    Ok(sweep)
}

fn judge(root: &StateRoot, id: &str, unkept: &mut Vec<State>) -> Result<Option<Stale>> {
    // Before anything else of it is opened: many launches at once find each other here. Whoever owns it answers for
    // it, its keeper among the rest, and what it leaves is found when it has let go.
    if root.is_owned(id)? {
        return Ok(None);
    }
    let Some(mut dir) = root.open_if_any(id)? else { return Ok(None) };
    let wanted = |state: &State| state.ephemeral || state.phase == Phase::Creating;
    let first = dir.load_if_any()?;
    if let Some(state) = &first
        && is_unkept(state)?
    {
        unkept.push(state.clone());
    }
    if first.is_some_and(|state| !wanted(&state)) {
        return Ok(None);
    }
    // Alone with the root: a launcher that made its directory has its lock by now, too.
    let Some(_root) = files::try_lock(root.dir(), LockMode::Exclusive)? else { return Ok(None) };
    if !root.still_names(&dir)? || !dir.claim()? {
        return Ok(None);
    }
    // Read again: its launcher may have finished, and let go, after the first look.
    let state = dir.load_if_any()?;
    if state.as_ref().is_some_and(|state| !wanted(state)) || first_process_lives(state.as_ref())? {
        return Ok(None);
    }
    Ok(Some(Stale { dir, state }))
}

/// A keeper ends after the first process: one that has ended while that is seen to live was killed.
fn is_unkept(state: &State) -> Result<bool> {
    match state.keeper {
        Some(keeper) if !keeper.lives()? => first_process_lives(Some(state)),
        _ => Ok(false),
    }
}

fn first_process_lives(state: Option<&State>) -> Result<bool> {
    state.and_then(|state| state.init).map_or(Ok(false), |init| init.lives())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::process::Process;
    use crate::state::record::sample;
    use crate::state::testdir::TestDir;

    fn entry(root: &StateRoot, id: &str, state: Option<State>) -> ContainerDir {
        let dir = root.create(id).unwrap();
        if let Some(state) = state {
            dir.lock_changes().unwrap().save(&State { id: id.to_owned(), ..state }).unwrap();
        }
        dir
    }

    fn found(root: &StateRoot) -> Vec<String> {
        stale(root).unwrap().stale.iter().map(|entry| entry.dir.id().to_owned()).collect()
    }

    #[test]
    fn what_is_stale_and_what_is_not() {
        let dead = Some(Process { pid: i32::MAX, start_time: 1 });
        let alive = Some(Process::current().unwrap());
        let of = |phase, ephemeral, init| Some(State { phase, ephemeral, init, ..sample("a") });
        let table = [
            (None, true),
            (of(Phase::Creating, false, None), true),
            (of(Phase::Creating, false, dead), true),
            (of(Phase::Creating, false, alive), false),
            (of(Phase::Created, false, dead), false),
            (of(Phase::Started, false, dead), false),
            (of(Phase::Started, true, dead), true),
            (of(Phase::Started, true, alive), false),
        ];
        for (state, is_stale) in table {
            let test = TestDir::new();
            let root = StateRoot::open(Some(test.path())).unwrap();
            let owner = entry(&root, "a", state.clone());
            assert!(found(&root).is_empty(), "owned: {state:?}");
            drop(owner);
            assert_eq!(found(&root) == ["a"], is_stale, "{state:?}");
            assert_eq!(found(&root) == ["a"], is_stale, "a look changes nothing: {state:?}");
        }
    }

    #[test]
    fn a_found_entry_is_nobody_elses_and_can_be_removed() {
        let test = TestDir::new();
        let root = StateRoot::open(Some(test.path())).unwrap();
        drop(entry(&root, "a", Some(State { ephemeral: true, ..sample("a") })));
        let mut sweep = stale(&root).unwrap();
        assert!(found(&root).is_empty());
        let entry = sweep.stale.pop().unwrap();
        assert_eq!(entry.state.unwrap().cgroup, "/pinfold/a");
        root.remove(entry.dir).unwrap();
        assert!(root.ids().unwrap().is_empty());
    }

    #[test]
    fn a_launcher_between_mkdirat_and_its_lock_is_left_alone() {
        let test = TestDir::new();
        let root = StateRoot::open(Some(test.path())).unwrap();
        std::fs::create_dir(test.path().join("a")).unwrap();
        let launcher = StateRoot::open(Some(test.path())).unwrap();
        let creating = files::lock(launcher.dir(), LockMode::Shared).unwrap();
        assert!(found(&root).is_empty());
        drop(creating);
        assert_eq!(found(&root), ["a"]);
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_named_and_left() {
        let test = TestDir::new();
        let root = StateRoot::open(Some(test.path())).unwrap();
        drop(entry(&root, "a", None));
        std::fs::write(test.path().join("a/state.json"), "{\"version\":9}").unwrap();
        let sweep = stale(&root).unwrap();
        assert!(sweep.stale.is_empty());
        assert_eq!(sweep.unclear.len(), 1);
        assert!(sweep.unclear[0].1.to_string().contains("format 9"), "{:?}", sweep.unclear);
    }

    #[test]
    fn sweeps_never_take_what_is_owned() {
        const ROUNDS: usize = 5000;
        let test = TestDir::new();
        let open = || StateRoot::open(Some(test.path())).unwrap();
        let launch = || {
            let root = open();
            for round in 0..ROUNDS {
                let id = format!("c{}", round % 2);
                let dir = match root.create(&id) {
                    Err(error) if error.to_string().ends_with("already exists") => continue,
                    made => made.unwrap(),
                };
                let state = State { id: id.clone(), ephemeral: true, ..sample("") };
                dir.lock_changes().unwrap().save(&state).unwrap();
                assert_eq!(root.open_container(&id).unwrap().load().unwrap(), state, "owned, so it is there");
            }
        };
        let sweep = || {
            let root = open();
            (0..ROUNDS).for_each(|_| {
                for entry in stale(&root).unwrap().stale {
                    root.remove(entry.dir).unwrap();
                }
            });
        };
        std::thread::scope(|scope| {
            let threads = [scope.spawn(launch), scope.spawn(launch), scope.spawn(sweep), scope.spawn(sweep)];
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        sweep();
        assert!(open().ids().unwrap().is_empty(), "nothing is left for ever");
    }

    #[test]
    fn only_what_lives_without_its_keeper_is_unkept() {
        let dead = Some(Process { pid: i32::MAX, start_time: 1 });
        let alive = Some(Process::current().unwrap());
        let rows = [(None, alive, false), (alive, alive, false), (dead, alive, true), (dead, dead, false)];
        for (keeper, init, expected) in rows {
            let test = TestDir::new();
            let root = StateRoot::open(Some(test.path())).unwrap();
            let owner = entry(&root, "a", Some(State { keeper, init, phase: Phase::Started, ..sample("a") }));
            assert!(stale(&root).unwrap().unkept.is_empty(), "it is owned");
            drop(owner);
            assert_eq!(stale(&root).unwrap().unkept.len() == 1, expected, "{keeper:?} {init:?}");
        }
    }
}
