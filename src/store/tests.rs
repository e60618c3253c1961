//! What the store promises, tried on real files.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, thread};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::*;
use crate::{
    event::{Alert, Event, Events, KnownSwitches},
    model::{ApiFailure, ClusterId, Flaw, MigrationId, NodeId, Person, ProposalId, VmId},
    planner::{ClusterPlan, Figures, Hold, MoveWhy, PlanId, RestWhy, SkipWhy},
};

#[test]
fn what_was_written_is_there_after_reopening() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let proposal = proposed(&store, draft(1));
    let entry = store.intend(intent(proposal.id, 1000)).unwrap();
    store.record_order(entry.id, Some(90417), None, at(1)).unwrap();
    store.update_settings(|settings| settings.dry_run = Some(true)).unwrap();
    store.outbox().put("alert", &"text".to_owned()).unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.proposal(proposal.id).unwrap().unwrap(), proposal);
    let open = store.open_entries().unwrap();
    let ordered = JournalState::Ordered { at: at(1), consul_id: Some(90417), task_id: None };
    assert_eq!(open.iter().map(|e| (e.vm, &e.state)).collect::<Vec<_>>(), [(VmId(1000), &ordered)]);
    assert_eq!(store.settings().unwrap().dry_run, Some(true));
    assert_eq!(store.outbox().get::<String>("alert").unwrap().as_deref(), Some("text"));
}

#[test]
fn a_second_owner_is_told_who_is_in_the_way() {
    let dir = TempDir::new().unwrap();
    let _first = Store::open(dir.path()).unwrap();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }));
    assert_eq!(
        refused.to_string(),
        format!("The store cannot be used: another vm-balancer uses {}", dir.path().join("store").display())
    );
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.put_meta(kept::row::SCHEMA, &(SCHEMA_VERSION + 1)).unwrap();
    store.flush().unwrap();
    drop(store);
    let refused = Store::open_or_restore(dir.path(), at(0)).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 2, known: 1 }), "{refused}");
    assert!(dir.path().join("store").exists());
}

#[test]
fn of_many_presses_at_once_exactly_one_starts_the_plan() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let proposal = proposed(&store, draft(1));
    let votes: Vec<Vote> = thread::scope(|scope| {
        let presses: Vec<_> = (0..8)
            .map(|id| {
                let (store, tag) = (store.clone(), proposal.tag());
                let proposal = proposal.id;
                scope.spawn(move || store.approve(proposal, &tag, None, &person(id), at(1)).unwrap())
            })
            .collect();
        presses.into_iter().map(|press| press.join().unwrap()).collect()
    });
    assert_eq!(votes.iter().filter(|vote| matches!(vote, Vote::Started(_))).count(), 1);
    assert_eq!(votes.iter().filter(|vote| matches!(vote, Vote::NotPending)).count(), 7);
    let stored = store.proposal(proposal.id).unwrap().unwrap();
    assert_eq!(stored.approvals.len(), 1);
    assert_eq!(store.audit_log(10).unwrap().len(), 1);
}

#[test]
fn two_people_must_press_and_the_asker_is_not_one_of_them() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let asked = Draft { approvals_needed: 2, origin: Origin::Person(person(1)), ..draft(1) };
    let first = proposed(&store, asked.clone());
    // A refresh by somebody else does not make the asker a stranger to the plan.
    let refreshed = proposed(&store, Draft { origin: Origin::Replaces(first.id), ..asked });
    let press = |who| store.approve(refreshed.id, &refreshed.tag(), None, &person(who), at(1)).unwrap();
    assert_eq!(press(1), Vote::OwnProposal { have: 0, need: 2 });
    assert_eq!(press(2), Vote::Counted { have: 1, need: 2 });
    assert_eq!(press(2), Vote::AlreadyCounted { have: 1, need: 2 });
    assert!(matches!(press(3), Vote::Started(_)));
    assert_eq!(press(4), Vote::NotPending);
}

#[test]
fn an_expired_or_dry_proposal_is_never_started() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let dry = proposed(&store, Draft { dry_run: true, ..draft(1) });
    assert_eq!(store.approve(dry.id, &dry.tag(), None, &person(1), at(1)).unwrap(), Vote::DryRun);
    let late = proposed(&store, draft(2));
    assert_eq!(
        store.approve(late.id, &late.tag(), None, &person(1), late.expires_at).unwrap(),
        Vote::Expired
    );
    let stored = store.proposal(late.id).unwrap().unwrap();
    assert!(matches!(stored.state, ProposalState::Expired { .. }));
    assert_eq!(store.approve(ProposalId(99), "", None, &person(1), at(1)).unwrap(), Vote::NoSuchProposal);
}

#[test]
fn a_newer_proposal_takes_the_place_of_the_pending_one_of_its_cluster_alone() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (older, other) = (proposed(&store, draft(1)), proposed(&store, draft(2)));
    let Proposed::Recorded { proposal: newer, superseded } = store.propose(draft(1)).unwrap() else {
        unreachable!("nothing runs in this cluster");
    };
    assert_eq!(superseded, [older.id]);
    let stored = store.proposal(older.id).unwrap().unwrap();
    assert_eq!(stored.state, ProposalState::Superseded { by: newer.id, at: newer.created_at });
    assert_eq!(stored.revision, older.revision + 1);
    assert_eq!(store.pending_of(ClusterId(1)).unwrap().unwrap().id, newer.id);
    assert_eq!(store.pending_of(ClusterId(2)).unwrap().unwrap().id, other.id);
}

#[test]
fn nothing_is_proposed_where_a_plan_is_approved_already() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let running = proposed(&store, draft(1));
    store.approve(running.id, &running.tag(), None, &person(1), at(1)).unwrap();
    assert_eq!(store.propose(draft(1)).unwrap(), Proposed::Busy(running.id));
}

#[test]
fn a_vm_has_one_open_migration_at_most() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let first = store.intend(intent(ProposalId(1), 1000)).unwrap();
    let refused = store.intend(intent(ProposalId(2), 1000)).unwrap_err();
    assert!(matches!(refused, StoreError::InFlight { vm: VmId(1000), entry } if entry == first.id));
    store.close(first.id, Outcome::Dropped, None, at(1)).unwrap();
    assert!(store.intend(intent(ProposalId(2), 1000)).is_ok());
    assert!(matches!(store.close(first.id, Outcome::Done, None, at(2)), Err(StoreError::Closed(_))));
}

#[test]
fn a_vm_that_was_moved_to_even_out_rests_a_day() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let why = Motive::Plan(MoveWhy::Level { imbalance_before: 0.2, imbalance_after: 0.1 });
    let evened = store.intend(JournalEntry { why, ..intent(ProposalId(1), 7) }).unwrap();
    store.close(evened.id, Outcome::Done, None, at(0)).unwrap();
    ended(&store, 8, Outcome::Done, at(0));
    let rests = |minutes| {
        let rests = store.rests(at(minutes), TimeDelta::hours(1), TimeDelta::hours(2)).unwrap();
        rests.into_keys().map(|vm| vm.0).collect::<Vec<_>>()
    };
    assert_eq!(rests(59), [7, 8]);
    assert_eq!(rests(60), [7]);
    assert_eq!(rests(24 * 60 - 1), [7]);
    assert_eq!(rests(24 * 60), [0; 0]);
}

#[test]
fn only_done_and_failed_rest_and_open_ones_are_in_flight() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for (vm, outcome) in [(1, Outcome::Done), (2, Outcome::Failed), (3, Outcome::Lost), (4, Outcome::Dropped)]
    {
        ended(&store, vm, outcome, at(0));
    }
    store.intend(intent(ProposalId(1), 5)).unwrap();
    let rests = |minutes| {
        let rests = store.rests(at(minutes), TimeDelta::hours(1), TimeDelta::days(1)).unwrap();
        rests.into_iter().map(|(vm, rest)| (vm.0, rest.why)).collect::<Vec<_>>()
    };
    assert_eq!(rests(59), [(1, RestWhy::Moved), (2, RestWhy::Failed), (5, RestWhy::InFlight)]);
    assert_eq!(rests(60), [(2, RestWhy::Failed), (5, RestWhy::InFlight)]);
    assert_eq!(rests(24 * 60), [(5, RestWhy::InFlight)]);
    let end = |vm, minutes| {
        let change = |settings: &mut Settings| settings.rests_ended.extend([(VmId(vm), at(minutes))]);
        store.update_settings(change).unwrap();
    };
    end(1, 50);
    end(2, 70);
    assert_eq!(rests(59), [(2, RestWhy::Failed), (5, RestWhy::InFlight)], "an end to come is none yet");
    assert_eq!(rests(70), [(5, RestWhy::InFlight)]);
    ended(&store, 2, Outcome::Failed, at(80));
    assert_eq!(rests(81), [(2, RestWhy::Failed), (5, RestWhy::InFlight)], "a later failure rests again");
}

#[test]
fn failures_in_a_row_rest_longer_each_time_until_one_succeeds() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let rest = |hours: i64| {
        let rests = store.rests(at(hours * 60), TimeDelta::hours(1), TimeDelta::days(1)).unwrap();
        rests.get(&VmId(1)).map(|rest| ((rest.until - at(0)).num_hours(), rest.why))
    };
    ended(&store, 1, Outcome::Failed, at(0));
    assert_eq!(rest(1), Some((24, RestWhy::Failed)));
    ended(&store, 1, Outcome::Failed, at(30 * 60));
    assert_eq!(rest(31), Some((30 + 48, RestWhy::FailedAgain)), "two days");
    ended(&store, 1, Outcome::Failed, at(80 * 60));
    assert_eq!(rest(81), Some((80 + 96, RestWhy::FailedAgain)), "four days");
    ended(&store, 1, Outcome::Done, at(180 * 60));
    ended(&store, 1, Outcome::Failed, at(182 * 60));
    assert_eq!(rest(183), Some((182 + 24, RestWhy::Failed)), "a success ends the row");
}

#[test]
fn three_failures_within_an_hour_take_a_node_out_for_an_hour() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let failing = |minutes| {
        let failures = store.failures_since(at(minutes) - TimeDelta::hours(2), at(minutes)).unwrap();
        let nodes = failing_nodes(&failures, 3, TimeDelta::hours(1), at(minutes));
        nodes.into_iter().map(|node| (node.node, node.failures, node.until)).collect::<Vec<_>>()
    };
    ended(&store, 1, Outcome::Failed, at(0));
    ended(&store, 2, Outcome::Failed, at(10));
    ended(&store, 3, Outcome::Lost, at(20));
    assert_eq!(failing(20), [], "what was lost does not count");
    ended(&store, 4, Outcome::Failed, at(30));
    let out = [(NodeId(10), 3, at(90)), (NodeId(21), 3, at(90))];
    assert_eq!(failing(30), out);
    assert_eq!(failing(89), out);
    assert_eq!(failing(90), []);
}

#[test]
fn an_entry_of_a_wrong_clock_hides_nothing_and_rests_like_any_other() {
    let forty_days = 40 * 24 * 60;
    // Back, far back, and ahead: by hand, by a dead battery, by another zone.
    for wrong in [-forty_days, -30 * 365 * 24 * 60, 365 * 24 * 60] {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let moved = |vm, intended, outcome, end| {
            let intent = JournalEntry { intended_at: at(intended), ..intent(ProposalId(1), vm) };
            let entry = store.intend(intent).unwrap();
            store.close(entry.id, outcome, None, at(end)).unwrap();
        };
        moved(1, 0, Outcome::Failed, 1);
        moved(2, 2, Outcome::Done, 3);
        moved(3, wrong + 4, Outcome::Failed, wrong + 5);
        // Its end was seen when the clock was right again, or when it was wrong.
        moved(4, wrong + 6, Outcome::Done, 7);
        moved(5, 8, Outcome::Failed, wrong + 9);
        moved(6, 10, Outcome::Done, 11);
        let rests = |minutes| {
            let rests = store.rests(at(minutes), TimeDelta::hours(1), TimeDelta::days(1)).unwrap();
            rests.into_keys().map(|vm| vm.0).collect::<Vec<_>>()
        };
        assert_eq!(rests(12), [1, 2, 3, 4, 5, 6], "{wrong}");
        assert_eq!(rests(90), [1, 3, 5], "a year ahead is no rest for a year: {wrong}");
        assert_eq!(rests(24 * 60 + 30), [0; 0], "{wrong}");
        let failures = store.failures_since(at(-60), at(12)).unwrap();
        assert_eq!(failures.iter().map(|entry| entry.vm.0).collect::<Vec<_>>(), [1, 3, 5], "{wrong}");
        assert_eq!(failing_nodes(&failures, 3, TimeDelta::hours(1), at(12)).len(), 2, "{wrong}");
        let moves = store.moves_since(at(-60), at(12)).unwrap();
        assert_eq!(moves.iter().map(|recent| recent.vm.0).collect::<Vec<_>>(), [2, 4, 6], "{wrong}");
    }
}

#[test]
fn the_newest_time_is_that_of_the_newest_record_of_any_kind() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.newest_time().unwrap(), None);
    ended(&store, 1, Outcome::Done, at(5));
    store.audit(&AuditEntry::new(at(7), None, "noise", "")).unwrap();
    proposed(&store, draft(1));
    assert_eq!(store.newest_time().unwrap(), Some(at(7)));
}

#[test]
fn history_is_newest_first_and_can_be_asked_by_vm_and_node_and_page() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for vm in 1..=4 {
        ended(&store, vm, Outcome::Done, at(0));
    }
    store.intend(intent(ProposalId(1), 5)).unwrap();
    let vms = |filter: HistoryFilter, limit| {
        let found = store.history(&filter, limit).unwrap();
        found.into_iter().map(|entry| entry.vm.0).collect::<Vec<_>>()
    };
    let all = HistoryFilter::default;
    assert_eq!(vms(all(), 10), [4, 3, 2, 1], "the open one is no history");
    assert_eq!(vms(all(), 2), [4, 3]);
    assert_eq!(vms(HistoryFilter { before: Some(MigrationId(3)), ..all() }, 10), [2, 1]);
    assert_eq!(vms(HistoryFilter { vm: Some(VmId(2)), ..all() }, 10), [2]);
    assert_eq!(vms(HistoryFilter { node: Some(NodeId(21)), ..all() }, 1), [4]);
    assert_eq!(vms(HistoryFilter { node: Some(NodeId(99)), ..all() }, 10), [0; 0]);
}

#[test]
fn every_row_of_the_timeline_is_on_one_page_whichever_way_one_turns() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let anna = Person { id: 42, name: "Anna".into() };
    for round in 1..=5 {
        ended(&store, round, Outcome::Done, at(10 * i64::try_from(round).unwrap()));
        let plan = proposed(&store, draft(round));
        let rejected = ProposalState::Rejected {
            by: anna.clone(),
            at: at(10 * i64::try_from(round).unwrap() + 5),
            reason: None,
        };
        store.end_pending(plan.id, rejected).unwrap();
    }
    let page = |of: Option<&str>, from| {
        let filter = TimelineFilter { of: of.map(str::to_owned), since: None };
        store.timeline(&filter, from, 3).unwrap()
    };
    let whole = store.timeline(&TimelineFilter::default(), PageAt::Newest, 100).unwrap().rows;
    assert_eq!(whole.len(), 10);
    assert!(whole.is_sorted_by(|newer, older| newer.at() >= older.at()));
    let mut pages = vec![page(None, PageAt::Newest)];
    while let Some(edge) = pages.last().unwrap().older {
        pages.push(page(None, PageAt::OlderThan(edge)));
    }
    let rows: Vec<_> = pages.iter().flat_map(|page| page.rows.clone()).collect();
    assert_eq!(rows, whole);
    let mut back = pages.pop().unwrap();
    while let Some(edge) = back.newer {
        let newer = page(None, PageAt::NewerThan(edge));
        assert_eq!(Some(&newer.rows), pages.pop().map(|page| page.rows).as_ref());
        back = newer;
    }
    let counts = ["42", "ann*", "#2", "nobody"].map(|of| page(Some(of), PageAt::Newest).rows.len());
    assert_eq!((counts[0], counts[1], counts[3]), (3, 3, 0), "pages are cut at three");
    let since = TimelineFilter { of: None, since: Some(at(50)) };
    assert_eq!(store.timeline(&since, PageAt::Newest, 100).unwrap().rows.len(), 1);
}

#[test]
fn a_search_for_a_name_reads_so_much_at_a_time_and_says_how_far_it_came() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for round in 0..7 {
        let vm = if round == 1 { 4711 } else { 100 + round };
        ended(&store, vm, Outcome::Done, at(10 * i64::try_from(round).unwrap()));
    }
    let filter = TimelineFilter { of: Some("4711".into()), since: None };
    let page = |from| store.timeline_within(&filter, from, 3, 2).unwrap();
    let (mut older, mut pages) = (vec![page(PageAt::Newest)], 0);
    while let Some(edge) = older.last().unwrap().older {
        older.push(page(PageAt::OlderThan(edge)));
    }
    let found = |pages: &[Timeline]| pages.iter().map(|page| page.rows.len()).collect::<Vec<_>>();
    let goes_on =
        |pages: &[Timeline]| pages.iter().map(|page| page.searched_to.is_some()).collect::<Vec<_>>();
    assert_eq!((found(&older), goes_on(&older)), (vec![0, 0, 1, 0], vec![true, true, true, false]));
    assert!(older.is_sorted_by(|newer, older| older.searched_to <= newer.searched_to));
    let mut newer = vec![page(PageAt::NewerThan(Edge { migration: 0, proposal: 0 }))];
    while let Some(edge) = newer.last().unwrap().newer {
        pages += 1;
        assert!(pages < 10, "it ends");
        newer.push(page(PageAt::NewerThan(edge)));
    }
    assert_eq!((found(&newer), goes_on(&newer)), (vec![1, 0, 0, 0], vec![true, true, true, false]));
    let everything = store.timeline_within(&TimelineFilter::default(), PageAt::Newest, 3, 2).unwrap();
    assert_eq!(
        (everything.rows.len(), everything.searched_to),
        (3, None),
        "without a name nothing is searched"
    );
}

#[test]
fn an_update_is_known_for_two_days() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let knows = |update, now| store.knows_update(update, now).unwrap();
    assert!(!knows(7, at(0)));
    store.note_together(&[Note::Update(7, at(0)), Note::Update(8, at(1))]).unwrap();
    assert!(knows(7, at(1)) && knows(8, at(1)));
    assert!(!knows(7, at(1) + TimeDelta::days(3)), "after days it may be another update of that number");
    store.export(at(0) + TimeDelta::days(7)).unwrap();
    assert!(!knows(7, at(2)), "it is forgotten");
}

#[test]
fn notes_that_are_put_on_disk_together_outlive_the_process_in_their_order() {
    let dir = TempDir::new().unwrap();
    let alert = |task| Alert::ForeignMigration { task, cluster: None, vm: None };
    {
        let store = Store::open(dir.path()).unwrap();
        let events = Events::new();
        store.alert(&events, at(0), alert(1));
        store.alert(&events, at(0), alert(2));
        let [first, second] = ["command", "press"].map(|what| AuditEntry::new(at(1), None, what, ""));
        let notes = [
            Note::Audit(first),
            Note::Audit(second),
            Note::keep("card:1", &"old").unwrap(),
            Note::keep("card:1", &"new").unwrap(),
            Note::keep("card:2", &"gone").unwrap(),
            Note::Dropped("card:2".into()),
            Note::Shown(alert(1)),
        ];
        store.note_together(&notes).unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    let audited: Vec<_> = store.audit_log(5).unwrap().into_iter().map(|entry| entry.what).collect();
    assert_eq!(audited, ["press", "command"]);
    assert_eq!(store.outbox().with_prefix::<String>("card:").unwrap(), [("card:1".into(), "new".into())]);
    let waiting: Vec<_> = store.alerts().unwrap().into_iter().map(|kept| kept.alert).collect();
    assert_eq!(waiting, [alert(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_writer_that_waits_for_its_turn_holds_up_no_other_task_of_its_thread() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let turn = store.clone();
    let (begun, waits) = tokio::sync::oneshot::channel();
    let (answered, answer) = std::sync::mpsc::channel();
    // Somebody writes until another task has answered.
    let writer = thread::spawn(move || {
        turn.write(|| {
            begun.send(()).unwrap();
            answer
                .recv_timeout(std::time::Duration::from_secs(20))
                .map_err(|_| StoreError::InFlight { vm: VmId(0), entry: MigrationId(0) })
        })
    });
    waits.await.unwrap();
    let waiting = tokio::spawn(async move { store.audit(&AuditEntry::new(at(0), None, "noise", "")) });
    // It is the only thread for tasks, and the one above may have it first.
    tokio::spawn(async move { answered.send(()).unwrap() }).await.unwrap();
    writer.join().unwrap().expect("another task went on meanwhile");
    waiting.await.unwrap().unwrap();
}

#[test]
fn a_damaged_store_comes_back_from_its_export_with_what_was_in_flight_since() {
    for damage in [cut_short, overwritten, emptied, removed] {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let proposal = proposed(&store, draft(1));
        ended(&store, 1, Outcome::Done, at(0));
        store.chats().put("lang", &"ru".to_owned()).unwrap();
        store.export(at(1)).unwrap();
        let running = store.intend(intent(proposal.id, 77)).unwrap();
        store.record_order(running.id, Some(5), None, at(2)).unwrap();
        drop(store);
        damage(dir.path());

        let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
        let restored = store.restoration().unwrap().expect("the settings say so until somebody confirms");
        assert_eq!(restored.exported_at, Some(at(1)));
        assert!(restored.moved_to.exists());
        assert!(store.settings().unwrap().restored_unconfirmed);
        assert_eq!(store.history(&HistoryFilter::default(), 10).unwrap().len(), 1);
        assert_eq!(store.open_entries().unwrap().iter().map(|e| e.vm).collect::<Vec<_>>(), [VmId(77)]);
        assert_eq!(store.chats().get::<String>("lang").unwrap().as_deref(), Some("ru"));
        let next = proposed(&store, draft(2));
        assert!(next.id.0 > proposal.id.0 + 500, "an old button must not name a newer proposal");
        drop(store);
        Store::open(dir.path()).expect("the restored store is whole");
    }
}

#[test]
fn a_damaged_store_without_an_export_starts_empty_and_unconfirmed() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let entry = store.intend(intent(ProposalId(1), 77)).unwrap();
    store.record_order(entry.id, None, None, at(1)).unwrap();
    drop(store);
    overwritten(dir.path());
    let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
    assert_eq!(store.restoration().unwrap().unwrap().exported_at, None);
    assert_eq!(store.open_entries().unwrap().len(), 1);
}

#[test]
fn an_export_that_was_cut_off_is_not_used() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    ended(&store, 1, Outcome::Done, at(0));
    store.export(at(1)).unwrap();
    drop(store);
    let path = dir.path().join("export.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    overwritten(dir.path());
    let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
    assert_eq!(store.restoration().unwrap().unwrap().exported_at, None);
    assert_eq!(store.history(&HistoryFilter::default(), 10).unwrap(), []);
}

#[test]
fn an_intent_that_only_reached_the_small_file_is_taken_in_again() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    ended(&store, 1, Outcome::Done, at(0));
    let mut entry = store.intend(intent(ProposalId(1), 77)).unwrap();
    store.close(entry.id, Outcome::Dropped, None, at(1)).unwrap();
    entry.id = MigrationId(entry.id.0 + 1);
    let seq = store.seq().unwrap();
    sidecar::write(dir.path(), seq, vec![entry.clone()], Settings::default(), sidecar::Lasting::Wholly)
        .unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.open_entries().unwrap(), [entry]);
}

#[test]
fn a_torn_end_never_goes_unnoticed_whatever_it_held() {
    let whole = TempDir::new().unwrap();
    let (settings, failures) = decided(whole.path());
    let bytes = fs::read(db_file(whole.path())).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let sizes = [1, 16, 200, 1000, 4000, 10_000, 20_000, 40_000, used / 2, used - 1, used];
    let mut noticed = 0;
    for (lost, damage) in sizes.into_iter().flat_map(|lost| [(lost, Torn::Cut), (lost, Torn::Zeroed)]) {
        let dir = TempDir::new().unwrap();
        copy(whole.path(), dir.path());
        let lost = lost.min(used);
        fs::write(db_file(dir.path()), torn(&bytes, used, lost, damage)).unwrap();
        let store = Store::open_or_restore(dir.path(), at(9)).unwrap();
        if store.settings().unwrap().restored_unconfirmed {
            noticed += 1;
            assert!(store.restoration().unwrap().is_some());
        } else {
            assert_eq!(store.settings().unwrap(), settings, "{damage:?} {lost}");
            assert_eq!(store.failures_since(at(-1), at(9)).unwrap(), failures, "{damage:?} {lost}");
        }
        assert!(
            store.failures_since(at(-1), at(9)).unwrap().len() >= 20,
            "the export has these: {damage:?} {lost}"
        );
        // The next start does not find it damaged again, and its export has no less than the one before.
        store.export(at(10)).unwrap();
        let before = store.settings().unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.settings().unwrap(), before);
    }
    assert!(noticed > 10, "{noticed}");
}

#[test]
fn a_store_that_is_ahead_of_what_was_noted_beside_it_is_whole() {
    let dir = TempDir::new().unwrap();
    let (settings, failures) = decided(dir.path());
    // As after a death between the two, or where the note could not be written, or before there were numbers.
    let version_one = r#"{"v":1,"open":[]}"#;
    for beside in [version_one, r#"{"v":2,"seq":3,"open":[]}"#] {
        fs::write(dir.path().join("inflight.json"), beside).unwrap();
        let store = Store::open_or_restore(dir.path(), at(9)).unwrap();
        assert_eq!(store.settings().unwrap(), settings);
        assert_eq!(store.failures_since(at(-1), at(9)).unwrap(), failures);
    }
}

#[test]
fn a_note_that_cannot_be_written_fails_no_write() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    // Nothing can be renamed over a folder.
    fs::remove_file(dir.path().join("inflight.json")).unwrap();
    fs::create_dir(dir.path().join("inflight.json")).unwrap();
    let proposal = proposed(&store, draft(1));
    store.update_settings(|settings| settings.dry_run = Some(true)).unwrap();
    assert!(store.intend(intent(proposal.id, 77)).is_err(), "what may run must be beside sled first");
    drop(store);
    fs::remove_dir(dir.path().join("inflight.json")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.settings().unwrap().dry_run, Some(true));
    assert!(store.intend(intent(proposal.id, 77)).is_ok());
}

#[test]
fn an_older_folder_put_in_the_stores_place_is_noticed_by_the_export_alone() {
    let (dir, older) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = Store::open(dir.path()).unwrap();
    ended(&store, 1, Outcome::Done, at(0));
    drop(store);
    copy(dir.path(), older.path());
    let (settings, _) = decided(dir.path());
    Store::open(dir.path()).unwrap().export(at(5)).unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    copy(&older.path().join("store"), &dir.path().join("store"));
    fs::remove_file(dir.path().join("inflight.json")).unwrap();
    let store = Store::open_or_restore(dir.path(), at(9)).unwrap();
    assert_eq!(store.restoration().unwrap().unwrap().exported_at, Some(at(5)));
    assert_eq!(store.settings().unwrap().stopped_clusters, settings.stopped_clusters);
}

#[test]
fn a_folder_that_is_gone_is_no_first_start() {
    // As after a death between moving the damaged folder aside and restoring, without an export.
    for beside_too in [true, false] {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let entry = store.intend(intent(ProposalId(1), 77)).unwrap();
        store.record_order(entry.id, Some(1), None, at(1)).unwrap();
        drop(store);
        fs::rename(dir.path().join("store"), dir.path().join("store-damaged-x")).unwrap();
        if !beside_too {
            fs::remove_file(dir.path().join("inflight.json")).unwrap();
        }
        let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
        assert!(store.settings().unwrap().restored_unconfirmed);
        assert_eq!(store.open_entries().unwrap().len(), usize::from(beside_too));
    }
}

#[test]
fn a_folder_that_was_begun_and_not_restored_is_restored_again() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(dir.path()).unwrap());
    fs::rename(dir.path().join("store"), dir.path().join("store-damaged-x")).unwrap();
    // sled's own files alone.
    drop(sled::open(dir.path().join("store")).unwrap());
    let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
    assert!(store.settings().unwrap().restored_unconfirmed);
}

#[test]
fn an_export_that_cannot_be_used_is_kept_with_the_damaged_files() {
    let dir = TempDir::new().unwrap();
    decided(dir.path());
    let path = dir.path().join("export.jsonl");
    let half = fs::read_to_string(&path).unwrap().lines().take(9).collect::<Vec<_>>().join("\n");
    fs::write(&path, &half).unwrap();
    overwritten(dir.path());
    let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
    store.export(at(4)).unwrap();
    let moved_to = store.restoration().unwrap().unwrap().moved_to;
    assert_eq!(fs::read_to_string(moved_to.join("export.jsonl")).unwrap(), half);
}

#[test]
fn an_alert_waits_until_it_is_shown_and_the_newest_of_its_matter_wins() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (events, mut heard) = listened_to();
    let away = Alert::VmManagerAway { since: at(0), why: ApiFailure::Other("503".into()) };
    let back = Alert::VmManagerBack { since: at(0), until: at(1) };
    store.alert(&events, at(0), away.clone());
    store.alert(&events, at(1), back.clone());
    store.forget_alert(&away).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.alerts().unwrap(), [KeptAlert { at: at(1), alert: back.clone() }]);
    store.forget_alert(&back).unwrap();
    assert_eq!(store.alerts().unwrap(), []);
    let said = [heard.try_recv().unwrap(), heard.try_recv().unwrap()];
    assert_eq!(said, [Event::Alert(away), Event::Alert(back)]);
}

#[test]
fn alerts_that_nobody_fetches_do_not_pile_up() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (events, _heard) = listened_to();
    for task in 0..210 {
        let alert = Alert::ForeignMigration { task, cluster: Some(ClusterId(task)), vm: None };
        store.alert(&events, at(task.try_into().unwrap()), alert);
    }
    let kept = store.alerts().unwrap();
    assert_eq!((kept.len(), kept[0].at), (200, at(10)), "the oldest give way");
}

#[test]
fn where_the_store_cannot_be_written_an_alert_is_said_all_the_same() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (events, mut heard) = listened_to();
    store.close_for_test();
    // sled cannot be opened where a file is in the way.
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    fs::write(dir.path().join("store"), "").unwrap();
    store.alert(&events, at(0), Alert::SecondPoller { since: at(0) });
    assert_eq!(heard.try_recv().unwrap(), Event::Alert(Alert::SecondPoller { since: at(0) }));
}

#[test]
fn snapshots_that_sled_did_not_finish_need_no_restore() {
    let whole = TempDir::new().unwrap();
    let (settings, failures) = decided(whole.path());
    // Opened twice, it has a finished one too.
    drop(Store::open(whole.path()).unwrap());
    let finished = fs::read_dir(whole.path().join("store")).unwrap().map(|entry| entry.unwrap().path());
    let finished =
        finished.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap."));
    let bytes = fs::read(finished.unwrap()).unwrap();
    let contents = [&[][..], b"0123456789", &bytes[..bytes.len() / 2], &bytes, &[0xA5; 4000]];
    for (content, number) in contents.into_iter().zip([0_u64, 1, u64::MAX, u64::MAX, 7]) {
        let dir = TempDir::new().unwrap();
        copy(whole.path(), dir.path());
        let left = dir.path().join("store").join(format!("snap.{number:016X}.generating"));
        fs::write(&left, content).unwrap();
        let store = Store::open_or_restore(dir.path(), at(9)).unwrap();
        assert_eq!(store.settings().unwrap(), settings);
        assert_eq!(store.failures_since(at(-1), at(9)).unwrap(), failures);
        assert!(!left.exists());
        // sled left one while it ran: opened again it has everything as well.
        fs::write(&left, content).unwrap();
        store.open_again().unwrap();
        assert_eq!(store.failures_since(at(-1), at(9)).unwrap(), failures);
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_read_from_a_copy_until_it_can() {
    let dir = TempDir::new().unwrap();
    let (settings, failures) = decided(dir.path());
    let store = Store::open(dir.path()).unwrap();
    let running = store.intend(intent(ProposalId(1), 77)).unwrap();
    drop(store);
    let in_the_way = blocked(dir.path());
    for _ in 0..2 {
        let store = Store::open_or_restore(dir.path(), at(9)).unwrap();
        assert_eq!(store.settings().unwrap(), settings);
        assert_eq!(store.failures_since(at(-1), at(9)).unwrap(), failures);
        assert_eq!(store.open_entries().unwrap(), std::slice::from_ref(&running));
        for _ in 0..2 {
            assert!(store.flush().is_err(), "somebody has to hear of it");
            assert!(store.close(running.id, Outcome::Done, None, at(9)).is_err());
            assert_eq!(
                store.open_entries().unwrap(),
                std::slice::from_ref(&running),
                "it can be read all the while"
            );
        }
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Locked { .. })), "it has one owner");
    }
    let store = Store::open_or_restore(dir.path(), at(9)).unwrap();
    fs::remove_dir(in_the_way).unwrap();
    store.close(running.id, Outcome::Done, None, at(9)).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.open_entries().unwrap(), []);
    assert!(!store.settings().unwrap().restored_unconfirmed);
}

#[test]
fn exports_at_the_same_time_never_tear_the_file() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for vm in 0..50 {
        ended(&store, vm, Outcome::Failed, at(0));
    }
    let path = dir.path().join("export.jsonl");
    thread::scope(|scope| {
        for writer in 0..4 {
            let (store, path) = (store.clone(), &path);
            scope.spawn(move || {
                for round in 0..20 {
                    store.update_settings(|settings| settings.dry_run = Some(round % 2 == 0)).unwrap();
                    store.export(at(writer)).unwrap();
                    let text = fs::read_to_string(path).unwrap();
                    let end = format!(r#"{{"lines":{}}}"#, text.lines().count() - 2);
                    assert_eq!(text.lines().last(), Some(end.as_str()));
                }
            });
        }
    });
    assert_eq!(export::seq(dir.path()), store.seq().unwrap(), "the last one has everything");
    drop(store);
    overwritten(dir.path());
    let store = Store::open_or_restore(dir.path(), at(9)).unwrap();
    assert_eq!(store.failures_since(at(-1), at(9)).unwrap().len(), 50);
    assert_eq!(unfinished(dir.path()), 0);
}

#[test]
fn what_a_process_that_died_had_not_finished_is_removed() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(dir.path()).unwrap());
    fs::write(dir.path().join(".unfinished-abc"), "half").unwrap();
    fs::write(dir.path().join("notes.txt"), "an operator's").unwrap();
    drop(Store::open(dir.path()).unwrap());
    assert_eq!(unfinished(dir.path()), 0);
    assert!(dir.path().join("notes.txt").exists());
}

#[test]
fn after_a_restore_the_strictest_of_what_is_known_counts() {
    let stricter = |settings: &mut Settings| {
        settings.dry_run = Some(true);
        settings.mode = Some(Mode::Off);
        settings.stopped_clusters.insert(ClusterId(7));
        settings.pause = Some(pause(None));
    };
    let looser = |settings: &mut Settings| {
        settings.dry_run = Some(false);
        settings.mode = Some(Mode::Auto);
        settings.stopped_clusters.clear();
        settings.pause = None;
    };
    type Change<'a> = &'a dyn Fn(&mut Settings);
    let changes: [(Change<'_>, Change<'_>); 2] = [(&looser, &stricter), (&stricter, &looser)];
    for (exported, later) in changes {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.update_settings(exported).unwrap();
        store.export(at(1)).unwrap();
        store.update_settings(later).unwrap();
        drop(store);
        overwritten(dir.path());
        let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
        let mut strict = Settings { v: 1, restored_unconfirmed: true, ..Settings::default() };
        stricter(&mut strict);
        assert_eq!(store.settings().unwrap(), strict);
        let restored = store.restoration().unwrap().unwrap();
        assert_eq!((restored.writes_lost, restored.switches), (Some(1), KnownSwitches::Known));
    }
}

#[test]
fn of_values_that_were_set_both_are_kept_until_somebody_sets_them_again() {
    let by = || Person { id: 1, name: "Anna".into() };
    let set = |value: &str, minutes| SetByChat {
        value: value.into(),
        by: by(),
        at: at(minutes),
        or: BTreeSet::new(),
    };
    let of = |values: Vec<(&str, SetByChat)>| Settings {
        values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Settings::default()
    };
    let one = of(vec![("A", set("1", 1)), ("B", set("2", 1)), ("C", set("3", 1))]);
    let other = of(vec![("A", set("1", 1)), ("B", set("5", 2)), ("D", set("4", 2))]);
    let or = |values: &[Option<&str>]| values.iter().map(|value| value.map(str::to_owned)).collect();
    let both = of(vec![
        ("A", set("1", 1)),
        ("B", SetByChat { or: or(&[Some("2")]), ..set("5", 2) }),
        ("C", SetByChat { or: or(&[None]), ..set("3", 1) }),
        ("D", SetByChat { or: or(&[None]), ..set("4", 2) }),
    ]);
    assert_eq!(one.clone().strictest(other.clone()), both);
    assert_eq!(other.strictest(one), both, "in whatever order");
}

#[test]
fn a_restore_says_what_could_not_be_known() {
    let without = |names: &[&str]| {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.update_settings(|settings| settings.dry_run = Some(true)).unwrap();
        store.export(at(1)).unwrap();
        drop(store);
        overwritten(dir.path());
        for name in names {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        // Without any trace of an earlier store it would be a first start.
        fs::create_dir(dir.path().join("store-damaged-1")).unwrap();
        let store = Store::open_or_restore(dir.path(), at(3)).unwrap();
        let restored = store.restoration().unwrap().unwrap();
        (restored.writes_lost, restored.switches, store.settings().unwrap().dry_run)
    };
    assert_eq!(without(&[]), (Some(0), KnownSwitches::Known, Some(true)));
    assert_eq!(without(&["inflight.json"]), (None, KnownSwitches::AsExported, Some(true)));
    assert_eq!(without(&["export.jsonl"]), (Some(2), KnownSwitches::Known, Some(true)));
    let nothing = without(&["export.jsonl", "inflight.json"]);
    assert_eq!(nothing, (None, KnownSwitches::Unknown, None));
}

#[test]
fn of_two_records_of_the_settings_the_stricter_counts_in_each_point() {
    let of = |dry_run, mode, until: Option<Option<DateTime<Utc>>>, forgiven| Settings {
        dry_run,
        mode,
        pause: until.map(pause),
        failures_forgiven_at: forgiven,
        ..Settings::default()
    };
    let cases = [
        (of(Some(false), Some(Mode::Auto), None, None), of(None, None, Some(None), Some(at(1)))),
        (
            of(Some(false), Some(Mode::Propose), Some(Some(at(1))), Some(at(1))),
            of(Some(true), None, None, Some(at(2))),
        ),
        (
            of(Some(false), Some(Mode::Off), Some(Some(at(1))), None),
            of(Some(false), Some(Mode::Auto), Some(Some(at(2))), None),
        ),
    ];
    let strict = [
        of(None, None, Some(None), None),
        of(Some(true), Some(Mode::Propose), Some(Some(at(1))), Some(at(1))),
        of(Some(false), Some(Mode::Off), Some(Some(at(2))), None),
    ];
    for ((one, other), strict) in cases.into_iter().zip(strict) {
        assert_eq!(one.clone().strictest(other.clone()), strict);
        assert_eq!(other.strictest(one), strict, "in whatever order");
    }
}

#[test]
fn the_folder_and_its_files_are_the_owners_alone_whatever_they_were() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("data");
    for open_before in [true, false] {
        let store = Store::open(&dir).unwrap();
        proposed(&store, draft(1));
        store.export(at(1)).unwrap();
        drop(store);
        if open_before {
            fs::rename(dir.join("store"), dir.join("store-damaged-1")).unwrap();
            fs::write(dir.join("config.env"), "TELEGRAM_BOT_TOKEN=1").unwrap();
            for path in tree(&dir) {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            }
        }
        let store = Store::open_or_restore(&dir, at(2)).unwrap();
        for path in tree(&dir) {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        }
        drop(store);
    }
}

#[test]
fn a_folder_of_all_users_stays_one() {
    let parent = TempDir::new().unwrap();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    drop(Store::open(parent.path()).unwrap());
    assert_eq!(fs::metadata(parent.path()).unwrap().permissions().mode() & 0o7777, 0o1777);
    assert_eq!(fs::metadata(parent.path().join("store")).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Every folder and file below, with the folder itself.
fn tree(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(tree(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

fn unfinished(dir: &std::path::Path) -> usize {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".unfinished-")).count()
}

fn pause(until: Option<DateTime<Utc>>) -> Pause {
    Pause { by: person(1), at: at(0), until, reason: None }
}

/// Puts a folder where sled writes its next snapshot, so that it cannot be opened, as on a full disk.
fn blocked(dir: &std::path::Path) -> std::path::PathBuf {
    let tried = TempDir::new().unwrap();
    copy(dir, tried.path());
    drop(Store::open(tried.path()).unwrap());
    let names = fs::read_dir(tried.path().join("store")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let next = names.filter(|name| name.starts_with("snap.")).max().unwrap();
    let in_the_way = dir.join("store").join(format!("{next}.generating"));
    fs::create_dir(&in_the_way).unwrap();
    in_the_way
}

fn listened_to() -> (Events, tokio::sync::broadcast::Receiver<Event>) {
    let events = Events::new();
    let heard = events.listen();
    (events, heard)
}

#[derive(Clone, Copy, Debug)]
enum Torn {
    Cut,
    Zeroed,
}

/// What is left of a file whose last bytes never reached the disk.
fn torn(bytes: &[u8], used: usize, lost: usize, how: Torn) -> Vec<u8> {
    let mut left = bytes.to_vec();
    match how {
        Torn::Cut => left.truncate(used - lost),
        Torn::Zeroed => left[used - lost..used].fill(0),
    }
    left
}

/// Settings and failures, half of them exported, all of them acknowledged.
fn decided(dir: &std::path::Path) -> (Settings, Vec<JournalEntry>) {
    let store = Store::open(dir).unwrap();
    for vm in 0..40 {
        ended(&store, 1000 + vm, Outcome::Failed, at(0));
        if vm == 20 {
            store.export(at(1)).unwrap();
        }
    }
    let settings = store.update_settings(|settings| {
        settings.dry_run = Some(true);
        settings.stopped_clusters.insert(ClusterId(1));
    });
    (settings.unwrap(), store.failures_since(at(-1), at(9)).unwrap())
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn db_file(dir: &std::path::Path) -> std::path::PathBuf {
    dir.join("store").join("db")
}

fn cut_short(dir: &std::path::Path) {
    let len = fs::metadata(db_file(dir)).unwrap().len();
    fs::OpenOptions::new().write(true).open(db_file(dir)).unwrap().set_len(len / 100).unwrap();
}

fn overwritten(dir: &std::path::Path) {
    let len = fs::metadata(db_file(dir)).unwrap().len();
    fs::write(db_file(dir), vec![0xA5; usize::try_from(len).unwrap()]).unwrap();
}

fn emptied(dir: &std::path::Path) {
    fs::write(db_file(dir), "").unwrap();
}

fn removed(dir: &std::path::Path) {
    fs::remove_dir_all(dir.join("store")).unwrap();
}

pub(super) fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_464_900, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn person(id: i64) -> Person {
    Person { id, name: format!("person {id}") }
}

pub(super) fn proposed(store: &Store, draft: Draft) -> Proposal {
    match store.propose(draft).unwrap() {
        Proposed::Recorded { proposal, .. } => *proposal,
        Proposed::Busy(id) => unreachable!("busy with {id}"),
    }
}

pub(super) fn ended(store: &Store, vm: u64, outcome: Outcome, when: DateTime<Utc>) {
    let entry = store.intend(intent(ProposalId(1), vm)).unwrap();
    store.close(entry.id, outcome, None, when).unwrap();
}

pub(super) fn draft(cluster: u64) -> Draft {
    Draft {
        plan: ClusterPlan {
            id: PlanId("abc".into()),
            cluster: ClusterId(cluster),
            name: format!("cluster {cluster}"),
            incomplete: Vec::new(),
            overloaded: Vec::new(),
            migrations: Vec::new(),
            still_overloaded: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
            before: Figures::default(),
            after: Figures::default(),
        },
        taken_at: at(0),
        origin: Origin::Schedule,
        dry_run: false,
        approvals_needed: 1,
        state: ProposalState::Pending,
        created_at: at(0),
        expires_at: at(30),
        reply_to: None,
        round: None,
        expected: None,
    }
}

pub(crate) fn intent(proposal: ProposalId, vm: u64) -> JournalEntry {
    JournalEntry { proposal, ..JournalEntry::example(vm, at(0)) }
}

#[test]
fn a_node_that_an_older_version_closed_by_its_bare_id_is_closed_by_its_id_alone() {
    let old = r#"{"v":1,"dry_run":null,"mode":null,"pause":null,"exclusions":[
        {"node":"10","direction":"both","until":null,"why":{"failures":{"count":3}}}]}"#;
    let settings: Settings = serde_json::from_str(old).unwrap();
    let node = &settings.exclusions[0].node;
    assert!(node.matches(10, "kvm-01") && !node.matches(11, "10"), "{node:?}");
}

#[test]
fn reasons_that_an_older_version_wrote_as_text_are_read() {
    let motive: Vec<Motive> = serde_json::from_str(r#"["memory 83.1 % > 70 %", "drain"]"#).unwrap();
    assert_eq!(motive, [Motive::Text("memory 83.1 % > 70 %".into()), Motive::Plan(MoveWhy::Drain)]);
    let skipped: SkipWhy = serde_json::from_str(r#"{"held": "LXD is not balanced, only KVM"}"#).unwrap();
    assert_eq!(skipped, SkipWhy::Held(Hold::Other("LXD is not balanced, only KVM".into())));
    let hold = Hold::Incomplete(Flaw::Shrank { before: 300, after: 149 });
    let written = serde_json::to_string(&SkipWhy::Held(hold.clone())).unwrap();
    assert_eq!(serde_json::from_str::<SkipWhy>(&written).unwrap(), SkipWhy::Held(hold));
    let away = r#"{"vm_manager_away": {"since": "2026-11-23T20:15:00Z", "why": "timed out"}}"#;
    let Alert::VmManagerAway { why, .. } = serde_json::from_str(away).unwrap() else { panic!() };
    assert_eq!(why, ApiFailure::Other("timed out".into()));
}
