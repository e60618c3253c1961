//! Cards without a store and without a chat: inputs in, effects out.

use super::*;
use crate::{
    event::Alert,
    model::{ApiFailure, ClusterId, NodeId},
    planner::{Excess, Fullness, Overloaded, Resource},
    store::{Origin, Outcome, ReplyTo, StepState},
    talk::{
        ask::Document,
        samples::{self, proposal},
        view::tests::view,
        words::Language,
    },
};

const HOME: i64 = -100;

/// A moment after the pause between two messages.
const LATER: Duration = Duration::from_secs(5);

#[test]
fn more_reports_than_are_kept_are_counted_and_said() {
    let mut chat = Chat::new();
    let beyond = u64::try_from(WAITING_CARDS_MAX).unwrap() + 8;
    for id in 1..=beyond {
        chat.change(&[shown(id)]);
    }
    let waiting = chat.cards.queue.waiting();
    assert_eq!(waiting.len(), WAITING_CARDS_MAX + 1, "and the word about the others");
    let missing = &chat.cards.cards[MISSING];
    assert_eq!(missing.subject, Subject::Missing { quiet: 7, troubled: 0 });
    let page = chat.cards.pages(missing, samples::now()).remove(0).plain();
    assert!(page.contains("7 without and 0 with failures"), "{page}");
    assert!(waiting.contains(&proposal_key(ProposalId(beyond))), "the oldest give way");
    assert_eq!(chat.cards.proposals.len(), chat.cards.cards.len() - 1, "nothing piles up");
}

#[test]
fn reports_with_failures_are_counted_apart() {
    let mut chat = Chat::new();
    for id in 1..=u64::try_from(WAITING_CARDS_MAX).unwrap() + 3 {
        let mut proposal = shown(id);
        proposal.steps[0].state =
            StepState::Ended { outcome: Outcome::Failed, detail: None, at: samples::now() };
        chat.change(&[proposal]);
    }
    assert_eq!(chat.cards.cards[MISSING].subject, Subject::Missing { quiet: 0, troubled: 103 });
}

#[test]
fn a_start_finds_what_was_not_shown_and_leaves_old_news() {
    let fresh = Chat::new().on(Input::Everything(vec![shown(1)]));
    assert!(matches!(&fresh[..], [Effect::Record(_), Effect::Record(_), Effect::Call(_)]), "{fresh:?}");
    let mut late = Chat::new();
    late.now.date += NEWS;
    assert_eq!(late.on(Input::Everything(vec![shown(1)])), []);
}

#[test]
fn after_a_restart_the_same_message_goes_on() {
    let mut chat = Chat::new();
    chat.change(&[pending(1)]);
    let kept = chat.settle();
    let mut chat = Chat::with(kept);
    assert_eq!(chat.cards.proposals(), [ProposalId(1)].into());
    let done = samples::ended(pending(1));
    let effects = chat.on(Input::Everything(vec![done]));
    assert!(matches!(step(&effects), Some(Step::Edit { message: 1, .. })), "{effects:?}");
}

#[test]
fn a_proposal_that_was_forgotten_takes_its_card_along() {
    let mut chat = Chat::new();
    chat.change(&[pending(1)]);
    let mut chat = Chat::with(chat.settle());
    assert_eq!(chat.on(Input::Everything(Vec::new())), [Effect::Forget(proposal_key(ProposalId(1)))]);
}

#[test]
fn a_plan_of_the_schedule_goes_on_in_the_message_of_the_one_it_replaces() {
    let mut chat = Chat::new();
    let older = Proposal { origin: Origin::Schedule, ..pending(1) };
    chat.change(std::slice::from_ref(&older));
    chat.settle();
    let newer = Proposal { origin: Origin::Schedule, ..pending(2) };
    let effects = chat.change(&[superseded(older, &newer), newer]);
    assert!(matches!(step(&effects), Some(Step::Edit { message: 1, .. })), "{effects:?}");
    let kept = chat.settle();
    let messages: Vec<_> =
        kept.iter().map(|card| (card.proposal().unwrap().0, card.messages.len())).collect();
    assert_eq!(messages, [(1, 0), (2, 1)]);
}

#[test]
fn a_plan_that_somebody_asked_for_gets_its_own_message_and_the_older_one_says_so() {
    let mut chat = Chat::new();
    chat.change(&[pending(1)]);
    chat.settle();
    let newer = pending(2);
    let effects = chat.change(&[superseded(pending(1), &newer), newer.clone()]);
    assert!(matches!(step(&effects), Some(Step::Edit { message: 1, .. })), "{effects:?}");
    chat.change(&[newer]);
    assert_eq!(chat.settle().iter().map(|card| card.messages.len()).sum::<usize>(), 2);
}

#[test]
fn a_plan_that_nobody_saw_is_left_out_for_the_one_that_replaced_it() {
    let mut chat = Chat::new();
    let newer = pending(2);
    let effects = chat.change(&[superseded(pending(1), &newer), newer]);
    let recorded = effects.iter().filter_map(|effect| match effect {
        Effect::Record(card) => card.proposal(),
        _ => None,
    });
    assert_eq!(recorded.collect::<std::collections::BTreeSet<_>>(), [ProposalId(2)].into());
}

#[test]
fn of_two_people_who_ask_at_the_same_moment_both_get_an_answer() {
    let mut chat = Chat::new();
    let asked = |id: u64, chat: i64| {
        let reply_to = Some(ReplyTo { chat, thread: None, message: Some(3) });
        Proposal { reply_to, ..pending(id) }
    };
    let newer = asked(2, 6);
    chat.change(&[superseded(asked(1, 5), &newer), newer.clone()]);
    chat.change(&[newer]);
    let asked_in: std::collections::BTreeSet<_> = chat.waiting.iter().map(|call| call.to.chat).collect();
    assert_eq!(asked_in, [5, 6, HOME].into());
    chat.settle();
    let copies = chat.disk.values().filter(|card| card.is_copy()).count();
    assert_eq!(copies, 1, "the others see the one that counts");
}

#[test]
fn a_group_with_a_new_number_gets_everything_there() {
    let mut chat = Chat::new();
    chat.change(&[pending(1)]);
    chat.settle();
    let effects = chat.on(Input::Moved { from: HOME, to: -200 });
    assert!(effects.contains(&Effect::ChatMoved { from: HOME, to: -200 }));
    let to = effects.iter().find_map(call).map(|call| call.to);
    assert_eq!(to, Some(Address { chat: -200, thread: None, reply_to: None }));
    chat.settle();
    let effects = chat.change(&[Proposal { cluster: ClusterId(2), ..pending(2) }]);
    assert_eq!(effects.iter().find_map(call).map(|call| call.to.chat), Some(-200));
}

#[test]
fn a_closed_general_topic_is_not_asked_again_at_once() {
    let mut chat = Chat::new();
    let call = chat.change(&[shown(1)]).iter().find_map(call).cloned().unwrap();
    let effects = chat.on(Input::Ended { call, result: Err(Failed::ThreadGone) });
    assert_eq!(step(&effects), None);
    assert_eq!(chat.cards.queue.waiting(), [proposal_key(ProposalId(1))], "it waits all the same");
}

#[test]
fn a_message_that_somebody_deleted_is_sent_again() {
    let mut chat = Chat::new();
    chat.change(&[pending(1)]);
    chat.settle();
    let effects = chat.change(&[samples::ended(pending(1))]);
    let call = effects.iter().find_map(call).cloned().unwrap();
    let effects = chat.on(Input::Ended { call, result: Err(Failed::MessageGone) });
    assert!(matches!(step(&effects), Some(Step::Send { index: 0, .. })), "{effects:?}");
}

#[test]
fn a_text_that_is_refused_is_not_sent_again_and_the_next_change_is() {
    let mut chat = Chat::new();
    let call_of = |effects: &[Effect]| effects.iter().find_map(call).cloned();
    let call = call_of(&chat.change(&[pending(1)])).unwrap();
    let effects = chat.on(Input::Ended { call, result: Err(Failed::Refused) });
    assert_eq!((call_of(&effects), call_of(&chat.wake())), (None, None));
    assert!(call_of(&chat.change(&[samples::ended(pending(1))])).is_some());
}

#[test]
fn an_answer_whose_message_is_gone_is_sent_as_a_new_one() {
    let mut chat = Chat::new();
    let to = Address { chat: 5, thread: None, reply_to: Some(3) };
    let answer = answer(to, Some(3), AnswerKind::Final);
    let call = chat.on(Input::Answer(answer)).iter().find_map(call).cloned().unwrap();
    let effects = chat.on(Input::Ended { call, result: Err(Failed::MessageGone) });
    assert!(matches!(step(&effects), Some(Step::Send { .. })), "{effects:?}");
}

#[test]
fn an_alert_is_one_message_until_it_is_another_matter() {
    let mut chat = Chat::new();
    let alert = || Alert::SecondPoller { since: samples::now() };
    assert!(step(&chat.on(Input::Alert { alert: alert(), dry_run: false })).is_some());
    chat.settle();
    assert_eq!(chat.on(Input::Alert { alert: alert(), dry_run: false }), [], "shown already");
    chat.now.date += TimeDelta::hours(2);
    let effects = chat.on(Input::Alert { alert: alert(), dry_run: true });
    assert!(matches!(step(&effects), Some(Step::Send { page, .. }) if page.plain().starts_with("DRY RUN")));
}

#[test]
fn a_ring_of_moved_groups_ends() {
    assert!([1, 2].contains(&resolve(1, |chat| Some(3 - chat))));
}

#[test]
fn a_night_with_one_undecided_plan_is_one_message_and_one_ring() {
    let mut chat = Chat::new();
    let mut last: Option<Proposal> = None;
    for id in 1..=14 {
        let created_at = chat.now.date;
        let next = Proposal { created_at, ..scheduled(id, 2, 80.0) };
        let relatives: Vec<_> = [next].into_iter().chain(last.take()).collect();
        chat.change(&relatives);
        chat.settle();
        chat.now.date += TimeDelta::minutes(30);
        let expired = Proposal {
            revision: 2,
            state: ProposalState::Expired { at: chat.now.date },
            ..relatives[0].clone()
        };
        chat.change(std::slice::from_ref(&expired));
        chat.settle();
        chat.now.date += TimeDelta::minutes(1);
        last = Some(expired);
    }
    assert_eq!((chat.messages, chat.rings), (1, 1));
}

#[test]
fn an_undecided_plan_that_gets_clearly_worse_rings_again_at_the_end_of_the_chat() {
    let mut chat = Chat::new();
    chat.change(&[scheduled(1, 2, 80.0)]);
    chat.settle();
    for (id, over, worst, rings) in [(2, 2, 84.0, 1), (3, 3, 80.0, 2), (4, 3, 84.0, 2), (5, 3, 86.0, 3)] {
        let newer = scheduled(id, over, worst);
        chat.change(&[superseded(scheduled(id - 1, over, worst), &newer), newer]);
        let kept = chat.settle();
        let shown: usize = kept.iter().map(|card| card.messages.len()).sum();
        assert_eq!((chat.rings, shown), (rings, 1), "plan {id}");
    }
    assert_eq!(chat.deleted, [1, 2]);
}

#[test]
fn a_cause_that_is_back_after_an_hour_rings_anew() {
    for (minutes, messages) in [(59, 1), (60, 2)] {
        let mut chat = Chat::new();
        let stale = |revision| Proposal {
            revision,
            state: ProposalState::Stale { at: samples::now() },
            ..scheduled(1, 2, 80.0)
        };
        chat.change(&[scheduled(1, 2, 80.0)]);
        chat.settle();
        chat.change(&[stale(2)]);
        chat.settle();
        let created_at = samples::now() + TimeDelta::minutes(minutes);
        chat.change(&[Proposal { created_at, ..scheduled(2, 2, 80.0) }, stale(2)]);
        chat.settle();
        assert_eq!((chat.messages, chat.rings), (messages, messages));
    }
}

#[test]
fn in_quiet_hours_a_plan_comes_silently_and_rings_in_the_morning() {
    let mut chat = Chat::new();
    chat.now.date += TimeDelta::hours(3);
    chat.change(&[scheduled(1, 2, 80.0)]);
    chat.settle();
    assert_eq!((chat.messages, chat.rings), (1, 0));
    chat.now.date += TimeDelta::hours(9);
    assert!(chat.cards.wake_at(chat.now.run).is_some_and(|at| at <= chat.now.run + CALENDAR_LOOK));
    chat.wake();
    chat.settle();
    assert_eq!((chat.rings, &chat.deleted[..]), (1, &[1][..]));
    assert_eq!(chat.cards.wake_at(chat.now.run), None, "nothing more waits");
}

#[test]
fn five_failures_of_a_plan_are_one_message_that_rings_once() {
    let mut chat = Chat::new();
    let mut plan = Proposal { revision: 0, origin: Origin::Schedule, ..proposal(5) };
    plan.state = ProposalState::Running { by: samples::approved_by_anna(), since: samples::now() };
    chat.change(&[plan.clone()]);
    chat.settle();
    assert_eq!(chat.rings, 0, "an approved plan is silent");
    for index in 0..5 {
        plan.steps[index].state =
            StepState::Ended { outcome: Outcome::Failed, detail: None, at: samples::now() };
        plan.revision += 1;
        chat.change(&[plan.clone()]);
        chat.settle();
    }
    let (cluster, name) = (plan.cluster, plan.cluster_name.clone());
    let stopped = Alert::ClusterStopped { cluster, name, failures: 5, until: None };
    chat.on(Input::Alert { alert: stopped, dry_run: false });
    chat.settle();
    plan.state = ProposalState::Done { by: samples::approved_by_anna(), at: samples::now() };
    plan.revision += 1;
    chat.change(&[plan]);
    let kept = chat.settle();
    assert_eq!((chat.messages, chat.rings), (2, 1), "the plan's own message, and its failures");
    let failures = kept.iter().find(|card| card.failures().is_some()).unwrap();
    let page = chat.cards.pages(failures, samples::now()).remove(0);
    insta::assert_snapshot!(page.plain());
    let labels: Vec<_> = page.buttons.iter().flatten().map(|button| button.label.as_str()).collect();
    assert_eq!(labels, ["I am on it", "Snooze 1 h"]);
}

#[test]
fn what_fails_silently_without_a_word_of_its_plan_is_taken_in_by_it() {
    let mut chat = Chat::new();
    let failed = samples::ended(proposal(2));
    let stopped =
        Alert::ClusterStopped { cluster: failed.cluster, name: "msk".into(), failures: 5, until: None };
    chat.on(Input::Alert { alert: stopped, dry_run: false });
    chat.settle();
    chat.change(&[failed]);
    let kept = chat.settle();
    let failures: Vec<_> = kept.iter().filter(|card| card.failures().is_some()).collect();
    assert_eq!((failures.len(), failures[0].messages.len(), chat.rings), (1, 1, 1));
}

#[test]
fn an_outage_that_nobody_takes_rings_once_more_and_one_that_somebody_takes_does_not() {
    for take in [false, true] {
        let mut chat = Chat::new();
        chat.on(Input::Alert { alert: away(samples::now()), dry_run: false });
        chat.settle();
        if take {
            let (key, by) = (alert_key(&away(samples::now())), samples::anna());
            let effects = chat.on(Input::Hand { key, kind: HandKind::Take, by });
            let Some(Step::Edit { page, .. }) = step(&effects) else { panic!("{effects:?}") };
            assert!(page.plain().contains("Anna (42) is on it") && page.buttons.is_empty());
            chat.settle();
        }
        for _ in 0..5 {
            chat.now.date += TimeDelta::minutes(29);
            chat.wake();
            chat.settle();
        }
        assert_eq!(chat.rings, if take { 1 } else { 2 });
    }
}

#[test]
fn a_new_outage_is_a_new_message_that_names_the_earlier_one_and_an_end_is_silent() {
    let mut chat = Chat::new();
    let since = samples::now();
    let until = since + TimeDelta::minutes(5);
    chat.on(Input::Alert { alert: away(since), dry_run: false });
    chat.settle();
    chat.on(Input::Alert { alert: Alert::VmManagerBack { since, until }, dry_run: false });
    chat.settle();
    assert_eq!((chat.messages, chat.rings), (1, 1));
    chat.now.date = until + TimeDelta::minutes(1);
    let effects = chat.on(Input::Alert { alert: away(chat.now.date), dry_run: false });
    let Some(Step::Send { page, .. }) = step(&effects) else { panic!("{effects:?}") };
    assert!(page.plain().contains("The outage before began 20:15"), "{}", page.plain());
    chat.settle();
    assert_eq!((chat.messages, chat.rings), (2, 2));
}

#[test]
fn the_same_trouble_is_one_message_with_a_counter() {
    let mut chat = Chat::new();
    for task in 1..=3 {
        let alert = Alert::ForeignMigration { task, cluster: Some(ClusterId(1)), vm: None };
        chat.on(Input::Alert { alert, dry_run: false });
        chat.settle();
    }
    let (card, rings) = (chat.disk.values().next().unwrap().clone(), chat.rings);
    let page = chat.cards.pages(&card, samples::now()).remove(0).plain();
    assert!(page.contains("task 3") && page.contains("3 times so far"), "{page}");
    assert_eq!((chat.messages, rings), (1, 0));
}

#[test]
fn what_an_older_version_showed_does_not_begin_to_ring() {
    let mut chat = Chat::new();
    chat.change(&[scheduled(1, 2, 80.0)]);
    let kept = chat.settle();
    let mut older = serde_json::to_value(&kept).unwrap();
    for card in older.as_array_mut().unwrap() {
        card["v"] = 1.into();
        card.as_object_mut().unwrap().remove("rings");
    }
    let mut chat = Chat::with(serde_json::from_value(older).unwrap());
    chat.on(Input::Everything(vec![scheduled(1, 2, 80.0)]));
    chat.settle();
    assert_eq!(chat.messages, 0);
}

#[test]
fn what_may_have_been_sent_is_named_and_brought_up_to_date_when_somebody_presses_it() {
    for is_killed in [false, true] {
        let mut chat = Chat::new();
        let call = chat.change(&[pending(1)]).iter().find_map(call).cloned().unwrap();
        chat.messages += 1;
        if is_killed {
            chat = Chat { messages: 1, ..Chat::with(chat.disk.into_values().collect()) };
            chat.on(Input::Everything(vec![pending(1)]));
        } else {
            chat.waiting.clear();
            chat.on(Input::Ended { call, result: Err(Failed::NoAnswer) });
            chat.wake();
        }
        chat.settle();
        let says_so = |chat: &Chat| {
            let card = chat.disk.values().next().unwrap();
            chat.cards.pages(card, samples::now())[0].plain().contains("A copy of this message")
        };
        assert!(says_so(&chat), "killed: {is_killed}");
        chat.change(&[samples::ended(pending(1))]);
        let kept = chat.settle();
        let key = key_of_button("p:1:0123abcd:a").unwrap();
        let with = Some(Box::new(samples::ended(pending(1))));
        let numbers = |card: &Card| card.messages.iter().map(|shown| shown.message).collect::<Vec<_>>();
        assert_eq!(kept.iter().find(|card| card.key() == key).map(numbers), Some(vec![2]));
        chat.now.run += LATER;
        let effects = chat.on(Input::Seen { key: key.clone(), chat: HOME, message: 1, with: with.clone() });
        let Some(Step::Edit { message: 1, page }) = step(&effects) else { panic!("{effects:?}") };
        assert!(page.plain().contains("done") && !page.plain().contains("A copy"), "{}", page.plain());
        chat.settle();
        assert!(!says_so(&chat));
        chat.now.run += LATER;
        assert_eq!(chat.on(Input::Seen { key, chat: HOME, message: 2, with }), [], "known");
    }
}

#[test]
fn what_did_not_reach_telegram_is_not_named() {
    let mut chat = Chat::new();
    let call = chat.change(&[pending(1)]).iter().find_map(call).cloned().unwrap();
    chat.on(Input::Ended { call, result: Err(Failed::Unreached) });
    assert_eq!(chat.disk.values().map(|card| (card.lost, card.sending)).collect::<Vec<_>>(), [(0, false)]);
}

#[test]
fn an_answer_that_takes_a_while_goes_on_in_the_message_that_said_so() {
    let to = Address { chat: HOME, thread: None, reply_to: Some(3) };
    let interim = || Input::Answer(answer(to, None, AnswerKind::Interim));
    let last = || Input::Answer(answer(to, None, AnswerKind::Final));
    // Sent, under way, and not even begun when the answer comes.
    for (is_sent, is_busy, sends) in [(true, false, 1), (false, false, 1), (false, true, 2)] {
        let mut chat = Chat::new();
        if is_busy {
            chat.on(Input::Answer(answer(Address { reply_to: Some(1), ..to }, None, AnswerKind::Final)));
        }
        chat.on(interim());
        if is_sent {
            chat.settle();
        }
        chat.on(last());
        chat.settle();
        assert_eq!((chat.messages, chat.rings), (sends, 0), "{is_sent} {is_busy}");
        assert_eq!(chat.edited, if is_busy { vec![] } else { vec![1] });
    }
}

#[test]
fn an_answer_that_waited_its_turn_says_of_when_it_is() {
    for (seconds, dated) in [(9, false), (10, true)] {
        let mut chat = Chat::new();
        let to = Address { chat: HOME, thread: None, reply_to: Some(3) };
        let said = || Input::Answer(answer(to, None, AnswerKind::Final));
        let first = chat.on(said()).iter().find_map(call).cloned().unwrap();
        chat.on(said());
        chat.now.run += Duration::from_secs(seconds);
        chat.now.date += TimeDelta::seconds(60);
        let effects = chat.on(Input::Ended { call: first, result: Ok(Some(1)) });
        let Some(Step::Send { page, .. }) = step(&effects) else { panic!("{effects:?}") };
        assert_eq!(page.plain().contains("waited its turn: as of 20:1"), dated, "{}", page.plain());
    }
}

#[test]
fn a_plan_that_takes_a_while_goes_on_in_the_silent_message_that_said_so_and_rings_where_nobody_looks() {
    let to = Address { chat: HOME, thread: None, reply_to: Some(3) };
    let cases =
        [(true, 1, 0), (false, 1, 0), (true, 1, 4), (true, 2, 0), (false, 2, 0), (true, 1, 5), (false, 1, 5)];
    for (is_sent, approvals_needed, seconds) in cases {
        let mut chat = Chat::new();
        chat.on(Input::Answer(answer(to, None, AnswerKind::Interim)));
        if is_sent {
            chat.settle();
            assert_eq!((chat.messages, chat.rings), (1, 0), "nobody knows yet whether there is a plan");
        }
        chat.now.date += TimeDelta::seconds(seconds);
        let reply_to = Some(ReplyTo { chat: HOME, thread: None, message: Some(3) });
        chat.change(&[Proposal { approvals_needed, reply_to, ..pending(1) }]);
        let kept = chat.settle();
        // Who asked looks at the message for a moment; later, and where others decide, it must ring.
        let (messages, rings) = if approvals_needed == 1 && seconds < 5 { (1, 0) } else { (2, 1) };
        assert_eq!((chat.messages, chat.rings), (messages, rings), "{is_sent} {approvals_needed} {seconds}");
        assert_eq!(kept[0].messages.len(), 1, "the first word is deleted then");
    }
}

#[test]
fn the_board_is_one_silent_message_that_is_pinned_and_edited_where_something_changed() {
    let mut chat = Chat::new();
    let page = |text: &str| Input::Board(view(Language::En).line(text.to_owned()));
    let call = chat.on(page("one")).iter().find_map(call).cloned().unwrap();
    chat.waiting.clear();
    let effects = chat.on(Input::Ended { call, result: Ok(Some(1)) });
    assert!(effects.contains(&Effect::Pin { chat: HOME, message: 1 }), "{effects:?}");
    chat.messages = 1;
    for text in ["one", "two", "two"] {
        chat.now.run += Duration::from_secs(30);
        chat.on(page(text));
        chat.settle();
    }
    assert_eq!((chat.messages, chat.rings, &chat.edited[..]), (1, 0, &[1][..]));
    let mut chat = Chat::with(chat.disk.into_values().collect());
    assert_eq!(chat.on(Input::Everything(Vec::new())), [], "nothing is known yet");
    chat.on(page("three"));
    chat.settle();
    assert_eq!((chat.messages, &chat.edited[..]), (0, &[1][..]));
}

#[test]
fn a_board_that_is_not_kept_any_more_says_so_and_is_taken_down() {
    let text = |text: &str| view(Language::En).line(text.to_owned());
    let ends = |mut chat: Chat| {
        chat.on(Input::BoardOff(text("over")));
        let call = chat.waiting.pop().unwrap();
        assert!(matches!(&call.step, Step::Edit { message: 1, page } if page.plain() == "over"));
        chat.on(Input::Ended { call, result: Ok(None) });
        let effects = chat.wake();
        assert!(effects.contains(&Effect::Unpin { chat: HOME, message: 1 }), "{effects:?}");
        assert_eq!(chat.disk.len(), 0);
        assert_eq!(chat.on(Input::BoardOff(text("over"))), [], "there is none");
    };
    let shown = || {
        let mut chat = Chat::new();
        chat.on(Input::Board(text("one")));
        chat.settle();
        chat.now.run += Duration::from_secs(30);
        chat
    };
    ends(shown());
    // It was switched off in the configuration: the next start takes it down.
    let mut started = Chat::with(shown().disk.into_values().collect());
    started.on(Input::Everything(Vec::new()));
    ends(started);
    let mut kept = shown();
    kept.on(Input::BoardOff(text("over")));
    kept.waiting.clear();
    let effects = kept.on(Input::Board(text("one")));
    assert!(!kept.cards.cards[BOARD].is_ended_board(), "it was switched on again: {effects:?}");
}

#[test]
fn the_time_that_is_left_is_renewed_once_a_minute_and_silently() {
    let mut chat = Chat::new();
    let expected = serde_json::json!({ "seconds": { "1": 600 }, "parallel": 1 });
    let mut running = pending(1);
    running.state = ProposalState::Running { by: samples::approved_by_anna(), since: samples::now() };
    running.steps[0].state = StepState::Running { since: samples::now(), slow: false };
    running.expected = serde_json::from_value(expected).unwrap();
    chat.change(std::slice::from_ref(&running));
    chat.settle();
    let edits = |chat: &Chat| chat.edited.len();
    let before = edits(&chat);
    let passes = |chat: &mut Chat, seconds: i64| {
        chat.now.date += TimeDelta::seconds(seconds);
        chat.now.run += Duration::from_secs(seconds.unsigned_abs());
        chat.on(Input::Wake);
        chat.settle();
    };
    passes(&mut chat, 30);
    assert_eq!(edits(&chat), before, "a minute is not over");
    assert!(chat.cards.wake_at(chat.now.run).is_some_and(|at| at <= chat.now.run + RENEWED_EVERY));
    passes(&mut chat, 60);
    assert_eq!((edits(&chat), chat.messages), (before + 1, 1));
    chat.change(&[Proposal { revision: running.revision + 1, ..samples::ended(running) }]);
    chat.settle();
    let ended = edits(&chat);
    passes(&mut chat, 120);
    assert_eq!(edits(&chat), ended, "nothing is left to renew");
}

#[test]
fn pictures_and_files_wait_like_other_answers_and_a_chat_that_takes_none_gets_their_words() {
    let mut chat = Chat::new();
    let to = Address { chat: HOME, thread: None, reply_to: Some(3) };
    let document = Document { name: "a.csv".into(), text: String::new(), caption: Page::default() };
    let asked = |person| {
        let attached = Some(Attached::File(document.clone().into()));
        Input::Answer(Answer { person, attached, ..answer(to, None, AnswerKind::Final) })
    };
    (0..30).for_each(|number| drop(chat.on(asked(number % 5))));
    let refused = chat.waiting.pop().unwrap();
    let effects = chat.on(Input::Ended { call: refused, result: Err(Failed::Refused) });
    assert!(matches!(step(&effects), Some(Step::Send { .. })), "{effects:?}");
    let mut files = 0;
    while let Some(call) = chat.waiting.pop() {
        files += usize::from(matches!(call.step, Step::Upload { .. }));
        chat.on(Input::Ended { call, result: Ok(None) });
    }
    assert_eq!(files, 16, "with the words they are as many answers as a minute has");
    chat.on(Input::Alert { alert: away(samples::now()), dry_run: false });
    assert_eq!(chat.cards.wake_at(chat.now.run), Some(chat.now.run + Spacing::default().card));
}

fn answer(to: Address, rewrites: Option<i32>, kind: AnswerKind) -> Answer {
    Answer { to, page: Page::default(), rewrites, person: 1, kind, attached: None }
}

/// A chat that carries out every call.
struct Chat {
    cards: Cards,
    now: Now,
    disk: BTreeMap<String, Card>,
    waiting: Vec<Call>,
    messages: i32,
    rings: i32,
    deleted: Vec<i32>,
    edited: Vec<i32>,
}

impl Chat {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    fn with(kept: Vec<Card>) -> Self {
        let remind_after = Some(TimeDelta::minutes(30));
        let quiet = Some("23:00-08:00".parse().unwrap());
        let bell = Bell { quiet, timezone: chrono_tz::UTC, remind_after };
        let home = Address { chat: HOME, thread: None, reply_to: None };
        Self {
            disk: kept.iter().map(|card| (card.key(), card.clone())).collect(),
            cards: Cards::new(view(Language::En), Some(home), Spacing::default(), bell, kept),
            now: Now { date: samples::now(), run: Duration::ZERO },
            waiting: Vec::new(),
            messages: 0,
            rings: 0,
            deleted: Vec::new(),
            edited: Vec::new(),
        }
    }

    fn on(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.cards.on(input, self.now);
        for effect in &effects {
            match effect {
                Effect::Call(call) => self.waiting.push(call.clone()),
                Effect::Record(card) => drop(self.disk.insert(card.key(), card.clone())),
                Effect::Forget(key) => drop(self.disk.remove(key)),
                Effect::ChatMoved { .. }
                | Effect::ChatDead { .. }
                | Effect::ChatAlive(_)
                | Effect::Pin { .. }
                | Effect::Unpin { .. }
                | Effect::AnswerDropped { .. } => {}
            }
        }
        effects
    }

    /// The first of these changed.
    fn change(&mut self, with: &[Proposal]) -> Vec<Effect> {
        self.on(Input::Changed { id: with[0].id, with: with.to_vec() })
    }

    fn wake(&mut self) -> Vec<Effect> {
        self.now.run += LATER;
        self.on(Input::Wake)
    }

    /// Carries out every job; returns what is on disk then.
    fn settle(&mut self) -> Vec<Card> {
        while let Some(call) = self.waiting.pop() {
            self.messages += i32::from(matches!(call.step, Step::Send { .. }));
            self.rings += i32::from(matches!(call.step, Step::Send { ring: Some(_), .. }));
            self.deleted.extend(match call.step {
                Step::Delete { message } => Some(message),
                _ => None,
            });
            self.edited.extend(match call.step {
                Step::Edit { message, .. } => Some(message),
                _ => None,
            });
            let sent = matches!(call.step, Step::Send { .. }).then_some(self.messages);
            self.on(Input::Ended { call, result: Ok(sent) });
            self.wake();
        }
        self.disk.values().cloned().collect()
    }
}

fn call(effect: &Effect) -> Option<&Call> {
    match effect {
        Effect::Call(call) => Some(call),
        _ => None,
    }
}

fn step(effects: &[Effect]) -> Option<&Step> {
    effects.iter().find_map(call).map(|call| &call.step)
}

/// A plan that waits for approval; somebody asked for it in the chat for reports.
fn pending(id: u64) -> Proposal {
    let reply_to = Some(ReplyTo { chat: HOME, thread: None, message: Some(3) });
    Proposal { id: ProposalId(id), reply_to, ..proposal(1) }
}

/// A plan of the schedule that is only shown.
fn shown(id: u64) -> Proposal {
    Proposal {
        id: ProposalId(id),
        origin: Origin::Schedule,
        dry_run: true,
        state: ProposalState::Shown { at: samples::now() },
        ..proposal(1)
    }
}

/// A plan of the schedule that waits for approval, with that many nodes over, the worst of them this full.
fn scheduled(id: u64, over: usize, worst: f64) -> Proposal {
    let mut proposal = Proposal { id: ProposalId(id), origin: Origin::Schedule, ..proposal(1) };
    let excess = Excess { resource: Resource::Memory, value: worst, threshold: 70.0 };
    let at = Fullness { cpu: 1.0, load: None, memory_percent: worst };
    let node = Overloaded { node: NodeId(10), name: "node-001".into(), at, over: vec![excess] };
    proposal.plan.overloaded = vec![node; over];
    proposal
}

fn away(since: DateTime<Utc>) -> Alert {
    Alert::VmManagerAway { since, why: ApiFailure::Other("connection refused".into()) }
}

fn superseded(older: Proposal, by: &Proposal) -> Proposal {
    let state = ProposalState::Superseded { by: by.id, at: samples::now() };
    Proposal { revision: older.revision + 1, state, ..older }
}
