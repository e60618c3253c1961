//! What a long life of the store needs: indexes, a start that reads little, and an end to what is kept.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::{
    tests::{at, draft, ended, intent, proposed},
    *,
};
use crate::model::{MigrationId, Person, ProposalId, VmId};

#[test]
fn an_older_store_gets_its_indexes_when_it_is_opened() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    ended(&store, 1, Outcome::Failed, at(0));
    ended(&store, 2, Outcome::Done, at(1));
    let plan = proposed(&store, draft(1));
    store.end_pending(plan.id, ProposalState::Expired { at: at(2) }).unwrap();
    let known = |store: &Store| {
        let rests = store.rests(at(5), TimeDelta::hours(1), TimeDelta::days(1)).unwrap();
        let page = store.timeline(&TimelineFilter::default(), PageAt::Newest, 10).unwrap();
        (rests, store.failures_since(at(-1), at(5)).unwrap(), page)
    };
    let before = known(&store);
    assert_eq!((before.0.len(), before.1.len(), before.2.rows.len()), (2, 1, 3));
    drop(store);
    for forgotten in ["all", "the last write"] {
        let db = raw(dir.path());
        let meta = db.open_tree("meta").unwrap();
        match forgotten {
            "all" => drop(meta.remove(kept::row::INDEXED.to_be_bytes()).unwrap()),
            // As where a program that knows no indexes wrote in between.
            _ => drop(meta.insert(kept::row::INDEXED.to_be_bytes(), "1").unwrap()),
        }
        db.open_tree("spans").unwrap().clear().unwrap();
        db.open_tree("ended").unwrap().clear().unwrap();
        db.open_tree("told").unwrap().clear().unwrap();
        db.flush().unwrap();
        drop((meta, db));
        assert_eq!(known(&Store::open(dir.path()).unwrap()), before, "{forgotten}");
    }
}

#[test]
fn a_start_reads_no_old_history_and_an_export_finds_what_is_damaged_in_it() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for vm in 0..150 {
        ended(&store, vm, Outcome::Done, at(0));
    }
    store.export(at(1)).unwrap();
    drop(store);
    let db = raw(dir.path());
    db.open_tree("journal").unwrap().insert(1_u64.to_be_bytes(), "{").unwrap();
    db.flush().unwrap();
    drop(db);
    let store = Store::open(dir.path()).expect("what is old is not read at a start");
    assert!(store.export(at(2)).is_err());
    drop(store);
    let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
    assert_eq!(store.restoration().unwrap().unwrap().exported_at, Some(at(1)));
    assert_eq!(store.history(&HistoryFilter::default(), 1000).unwrap().len(), 150);
    store.export(at(4)).unwrap();
    drop(store);
    Store::open(dir.path()).expect("the suspicion is over");
}

#[test]
fn history_and_audit_end_after_their_time_and_what_is_open_or_young_stays() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.keep_history_for(TimeDelta::days(100));
    let day = |days| at(0) + TimeDelta::days(days);
    let noted = |at| store.audit(&AuditEntry::new(at, None, "noise", "")).unwrap();
    moved(&store, 1, day(0));
    let open = store.intend(JournalEntry { intended_at: day(0), ..intent(ProposalId(1), 2) }).unwrap();
    noted(day(0));
    // A clock that was ahead for a moment keeps nothing from going.
    moved(&store, 3, day(4000));
    noted(day(4000));
    moved(&store, 4, day(1));
    noted(day(1));
    moved(&store, 5, day(60));
    noted(day(60));
    let left = |now| {
        store.export(now).unwrap();
        let entries = store.newest_entries(None, 100).unwrap();
        (entries.iter().map(|entry| entry.vm.0).collect::<Vec<_>>(), store.audit_log(100).unwrap().len())
    };
    assert_eq!(left(day(150)), (vec![5, 4, 3, 2, 1], 4), "after a long time the clock may be wrong");
    assert_eq!(left(day(150)), (vec![5, 4, 3, 2, 1], 4), "not twice a day");
    assert_eq!(left(day(151)), (vec![5, 3, 2], 2));
    assert_eq!(left(day(1000)), (vec![5, 3, 2], 2), "a clock that is far ahead removes nothing at once");
    assert_eq!(left(day(152)), (vec![5, 3, 2], 2), "and nothing when it is right again");
    assert_eq!(left(day(153)), (vec![5, 3, 2], 2));
    assert_eq!(left(day(190)), (vec![5, 3, 2], 2), "the newest stays for its number");
    moved(&store, 6, day(190));
    assert_eq!(left(day(191)), (vec![6, 3, 2], 2));
    assert!(store.failures_since(day(100), day(191)).unwrap().is_empty());
    store.close(open.id, Outcome::Failed, None, day(191)).unwrap();
    assert_eq!(store.failures_since(day(190), day(191)).unwrap().len(), 1, "it was open all the time");
    assert_eq!(store.open_entries().unwrap(), []);
}

#[test]
fn a_search_for_a_name_passes_over_what_has_it_nowhere() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let anna = Person { id: 42, name: "Anna".into() };
    for round in 0..40 {
        let mut intent = JournalEntry::example(100 + round, at(0));
        if round == 2 {
            intent.vm_name = "Ärger".into();
            intent.target_name = "kvm-old".into();
            intent.approver = Approver::People(vec![anna.clone()]);
        }
        let entry = store.intend(intent).unwrap();
        store.close(entry.id, Outcome::Done, None, at(1)).unwrap();
    }
    let names = ["ärger", "102", "#102", "KVM-OLD", "anna", "42", "nobody"];
    // So few that they are read only where all other spans are passed over.
    let found = |store: &Store, of: &str, at| {
        let filter = TimelineFilter { of: Some(of.into()), since: None };
        let page = store.timeline_within(&filter, at, 3, 3 * spans::SPAN as usize).unwrap();
        assert_eq!(page.searched_to, None, "{of}: all was searched");
        page.rows.len()
    };
    let all = |store: &Store| {
        let oldest = PageAt::NewerThan(Edge { migration: 0, proposal: 0 });
        [PageAt::Newest, oldest].map(|at| names.map(|name| found(store, name, at)))
    };
    let expected = [[1, 1, 1, 1, 1, 1, 0]; 2];
    assert_eq!(all(&store), expected);
    let of = |vm| HistoryFilter { vm: Some(VmId(vm)), ..HistoryFilter::default() };
    assert_eq!([102, 99].map(|vm| store.history(&of(vm), 10).unwrap().len()), [1, 0]);
    store.write_anew().unwrap();
    assert_eq!(all(&store), expected, "written anew");
    store.export(at(2)).unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
    assert_eq!(all(&store), expected, "restored");
}

#[test]
fn an_entry_that_comes_back_is_found_where_others_are_passed_over() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for vm in 0..10 {
        ended(&store, vm, Outcome::Done, at(0));
    }
    let late = JournalEntry {
        vm: VmId(4711),
        state: JournalState::Intended,
        ..store.entry(MigrationId(2)).unwrap().unwrap()
    };
    store.write(|| store.write_entry(&late)).unwrap();
    store.close(late.id, Outcome::Lost, None, at(1)).unwrap();
    let filter = HistoryFilter { vm: Some(VmId(4711)), ..HistoryFilter::default() };
    assert_eq!(store.history(&filter, 10).unwrap().len(), 1);
}

#[test]
fn a_store_that_is_written_anew_has_all_that_it_had() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for vm in 0..50 {
        ended(&store, vm, Outcome::Failed, at(0));
    }
    let running = store.intend(intent(ProposalId(1), 77)).unwrap();
    let plan = proposed(&store, draft(1));
    store.chats().put("lang", &"ru".to_owned()).unwrap();
    let known = |store: &Store| {
        let failed = store.failures_since(at(-1), at(5)).unwrap().len();
        let lang = store.chats().get::<String>("lang").unwrap();
        (failed, store.open_entries().unwrap(), store.open_proposals().unwrap(), lang)
    };
    let before = known(&store);
    assert_eq!((before.0, before.1.as_slice()), (50, [running].as_slice()));
    store.write_anew().unwrap();
    assert_eq!(known(&store), before);
    store.update_proposal(plan.id, |plan| plan.buttons_from = 1).expect("and it can be written");
    drop(store);
    let names = ["store-fresh", "store-replaced"].map(|name| dir.path().join(name).exists());
    assert_eq!(names, [false, false]);
    assert!(!Store::open(dir.path()).unwrap().settings().unwrap().restored_unconfirmed);
}

#[test]
fn a_death_while_the_folders_change_places_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    ended(&store, 1, Outcome::Done, at(0));
    drop(store);
    fs::create_dir(dir.path().join("store-fresh")).unwrap();
    fs::rename(dir.path().join("store"), dir.path().join("store-replaced")).unwrap();
    let store = Store::open_or_restore(dir.path(), at(1)).unwrap();
    assert!(store.restoration().unwrap().is_none(), "this is no damage");
    assert_eq!(store.history(&HistoryFilter::default(), 10).unwrap().len(), 1);
    assert!(!dir.path().join("store-fresh").exists());
}

#[test]
fn an_export_has_what_was_written_while_it_was_made() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for vm in 0..200 {
        ended(&store, vm, Outcome::Done, at(0));
    }
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for vm in 1000..1040 {
                ended(&store, vm, Outcome::Done, at(1));
                store.audit(&AuditEntry::new(at(1), None, "noise", "")).unwrap();
            }
        });
        while !writer.is_finished() {
            store.export(at(2)).unwrap();
        }
    });
    store.export(at(3)).unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let store = Store::open_or_restore(dir.path(), at(4)).unwrap();
    assert_eq!(store.restoration().unwrap().unwrap().writes_lost, Some(0));
    let vms = store.newest_entries(None, 1000).unwrap().into_iter().map(|entry| entry.vm);
    assert_eq!(vms.collect::<std::collections::BTreeSet<VmId>>().len(), 240);
    assert_eq!(store.audit_log(1000).unwrap().len(), 40);
}

fn moved(store: &Store, vm: u64, when: DateTime<Utc>) {
    let entry = store.intend(JournalEntry { intended_at: when, ..intent(ProposalId(1), vm) }).unwrap();
    store.close(entry.id, Outcome::Done, None, when).unwrap();
}

/// sled's files as an older program or a fault of the disk would have them.
fn raw(dir: &std::path::Path) -> sled::Db {
    sled::open(dir.join("store")).unwrap()
}
