//! On a tree of ordinary files: the kernel's part, the files of a new directory, is missing there.

use super::super::dir::tests::{Place, fake, fake_below};
use super::*;

fn rdt(json: serde_json::Value) -> Result<Rdt> {
    Rdt::from_oci(&serde_json::from_value(json).unwrap())
}

/// A filesystem with a class `gold` and a default one.
fn mounted() -> (Place, Resctrl) {
    let (place, root) = fake(&[("schemata", ""), ("tasks", "")]);
    for directory in ["gold", "mon_groups", "gold/mon_groups"] {
        fake_below(&place, directory, &[("schemata", "  L3:0=ff;1=0f\n  MB:0=100\n"), ("tasks", "")]);
    }
    (place, Resctrl { root })
}

fn has(resctrl: &Resctrl, name: &str) -> bool {
    resctrl.root.below(name).unwrap().is_some()
}

#[test]
fn what_the_specification_forbids_is_refused_by_field() {
    for (json, field) in [
        (serde_json::json!({"closID": "a/b"}), "closID"),
        (serde_json::json!({"closID": ".."}), "closID"),
        (serde_json::json!({"memBwSchema": "L3:0=1"}), "memBwSchema"),
        (serde_json::json!({"schemata": ["L3:0=1", "MB:0=1\nMB:1=2"]}), "schemata/1"),
    ] {
        assert_eq!(rdt(json).unwrap_err().field_name(), Some(format!("{FIELD}/{field}").as_str()));
    }
}

#[test]
fn a_container_s_own_group_goes_with_it_and_a_named_one_stays() {
    for (json, group, own, monitor) in [
        (serde_json::json!({}), "id", true, None),
        (serde_json::json!({"closID": "gold", "enableMonitoring": true}), "gold", false, Some("id")),
        (serde_json::json!({"closID": "/"}), "", false, None),
    ] {
        let monitor = monitor.map(str::to_owned);
        let wanted = RdtRecord { group: group.to_owned(), own, monitor, begun: false };
        assert_eq!(rdt(json).unwrap().record("id"), wanted);
    }
}

#[test]
fn the_default_class_is_written_in_order() {
    let (_place, resctrl) = mounted();
    let asked = rdt(serde_json::json!({
        "closID": "/", "l3CacheSchema": "L3:0=f\nMB:0=5", "memBwSchema": "MB:0=50", "schemata": ["L2:0=3"],
    }))
    .unwrap();
    let tasks = resctrl.make(&asked, &asked.record("id")).unwrap();
    assert_eq!(tasks.0.len(), 1);
    // An ordinary file keeps the second write over the first; both came as whole lines.
    assert_eq!(resctrl.root.read("schemata").unwrap(), "L2:0=3\nMB:0=50\n");
}

#[test]
fn a_class_that_exists_is_compared_and_not_written() {
    let (_place, resctrl) = mounted();
    for (json, fits) in [
        (serde_json::json!({"closID": "gold"}), true),
        (serde_json::json!({"closID": "gold", "l3CacheSchema": "L3:1=f;0=00ff"}), true),
        (serde_json::json!({"closID": "gold", "schemata": ["MB:0=100"]}), true),
        (serde_json::json!({"closID": "gold", "l3CacheSchema": "L3:0=f"}), false),
        (serde_json::json!({"closID": "gold", "memBwSchema": "MB:0=50"}), false),
        (serde_json::json!({"closID": "silver"}), false),
    ] {
        let asked = rdt(json.clone()).unwrap();
        assert_eq!(resctrl.make(&asked, &asked.record("id")).is_ok(), fits, "{json}");
    }
    assert!(!has(&resctrl, "silver"));
    assert_eq!(
        existing(&resctrl.root, "gold").unwrap().read("schemata").unwrap(),
        "  L3:0=ff;1=0f\n  MB:0=100\n"
    );
}

#[test]
fn what_fails_half_way_leaves_nothing() {
    let (_place, resctrl) = mounted();
    // A new directory has no files here, so its schemata cannot be written.
    for json in [
        serde_json::json!({"l3CacheSchema": "L3:0=f"}),
        serde_json::json!({"closID": "gold", "enableMonitoring": true}),
    ] {
        let asked = rdt(json).unwrap();
        let record = asked.record("id");
        let unmade = resctrl.make(&asked, &record).unwrap_err();
        assert_eq!((unmade.error.errno(), unmade.left), (Some(Errno::ENOENT), None));
        assert!(!has(&resctrl, "id") && !has(&resctrl, "gold/mon_groups/id"));
        resctrl.remove(&record).unwrap();
    }
    assert!(has(&resctrl, "gold"));
}

#[test]
fn a_group_of_that_name_is_somebody_elses() {
    let (_place, resctrl) = mounted();
    let asked = rdt(serde_json::json!({})).unwrap();
    let record = asked.record("gold");
    let unmade = resctrl.make(&asked, &record).unwrap_err();
    assert_eq!((unmade.error.errno(), unmade.left), (Some(Errno::EEXIST), None));
    assert!(has(&resctrl, "gold"), "and stays");
}

/// A launch may be killed between the record and the making.
#[test]
fn of_what_was_only_begun_a_group_in_use_stays() {
    let (place, resctrl) = mounted();
    let record = |name: &str| rdt(serde_json::json!({})).unwrap().record(name);
    for (name, tasks, cpus, stays) in
        [("empty", "", "\n", false), ("busy", "17\n", "", true), ("cpus", "", "0-3\n", true)]
    {
        fake_below(&place, name, &[("tasks", tasks), ("cpus_list", cpus)]);
        // Unlike the kernel's, a directory with files cannot be removed; that it is tried is seen.
        let tried = |record: &RdtRecord| resctrl.remove(record).err().and_then(|error| error.errno());
        assert_eq!(tried(&record(name).begun()), (!stays).then_some(Errno::ENOTEMPTY), "{name}");
        assert_eq!(tried(&record(name)), Some(Errno::ENOTEMPTY), "{name}: its own goes");
    }
    fake_below(&place, "bare", &[]);
    for _ in 0..2 {
        resctrl.remove(&record("bare").begun()).unwrap();
        assert!(!has(&resctrl, "bare"));
    }
}

#[test]
fn a_group_is_written_down_before_it_is_made() {
    let (_place, resctrl) = mounted();
    let asked = rdt(serde_json::json!({})).unwrap();
    let mut kept = vec![];
    // A new directory has no `tasks` here, so the making fails, and is taken back.
    let made = resctrl.make_recorded(&asked, "id", |record| {
        kept.push((record.map(|record| record.begun), has(&resctrl, "id")));
        Ok(())
    });
    assert_eq!(made.unwrap_err().errno(), Some(Errno::ENOENT));
    assert_eq!(kept, [(Some(true), false), (None, false)]);
    let unkept = resctrl.make_recorded(&asked, "id", |_| Err(Error::setup("full")));
    assert_eq!(unkept.unwrap_err().to_string(), "full");
    assert!(!has(&resctrl, "id"));
    let named = rdt(serde_json::json!({"closID": "gold"})).unwrap();
    let mut kept = vec![];
    let keep = |record: Option<RdtRecord>| {
        kept.push(record.map(|record| record.begun));
        Ok(())
    };
    resctrl.make_recorded(&named, "id", keep).unwrap();
    assert_eq!(kept, [Some(true), Some(false)]);
}

#[test]
fn what_could_not_be_taken_back_is_known() {
    let (place, resctrl) = mounted();
    let record = rdt(serde_json::json!({"enableMonitoring": true})).unwrap().record("id");
    for directory in ["id", "id/mon_groups", "id/mon_groups/id"] {
        fake_below(&place, directory, &[("tasks", "")]);
    }
    let class = (resctrl.root.again().unwrap(), "id".to_owned());
    let groups = resctrl.root.below("id/mon_groups").unwrap().unwrap();
    let both = [class, (groups, "id".to_owned())];
    let left = |made: &[(Dir, String)]| undo(made, &record, Error::setup("why")).left;
    assert_eq!(left(&both), Some(record.clone()));
    assert_eq!(left(&both[..1]), Some(RdtRecord { monitor: None, ..record.clone() }));
    assert_eq!(left(&[]), None);
    let named = RdtRecord { own: false, ..record.clone() };
    assert_eq!(undo(&both[1..], &named, Error::setup("why")).left, Some(named.clone()));
    let told = undo(&both, &record, Error::setup("why").hint("how")).error.hint_text().unwrap();
    assert!(told.starts_with("how; left behind: "), "{told}");
}
