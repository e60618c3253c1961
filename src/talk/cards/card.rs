//! A card is one matter (a proposal, an alert) with the messages that show it.
//!
//! Cards are kept in the store, so that after a restart the same messages go on.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Address, Attached,
    bell::{Rings, Urgency},
    failures::Failures,
};
use crate::{
    event::Alert,
    model::{ClusterId, ProposalId},
    store::{Origin, Outcome, Proposal, ProposalState, StepState},
    talk::{dialog::Under, hand, proposal, view::Page},
};

/// Cards of version 1 knew no rings.
const VERSION: u32 = 2;

/// The key of the pinned board.
pub(super) const BOARD: &str = "board";

/// The key of the card that counts reports that were too many to keep.
pub(super) const MISSING: &str = "missing";

/// How long the card of a matter that is over is kept. A newer plan that replaces it finds its messages there.
const SETTLED_KEPT: TimeDelta = TimeDelta::days(2);

/// Within this time the same alert is the same matter: its message is edited instead of ringing again.
const SAME_MATTER: TimeDelta = Proposal::SAME_CAUSE;

/// One matter and the messages that show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    v: u32,
    pub(super) subject: Subject,
    pub(super) chat: i64,
    pub(super) thread: Option<i32>,
    pub(super) reply_to: Option<i32>,
    /// The messages in the chat, in order, with a hash of what each shows.
    pub(super) messages: Vec<Shown>,
    /// The revision that is shown in full.
    pub(super) shown: Option<u64>,
    /// Nothing will change any more, and all of it is shown.
    pub(super) settled: bool,
    pub(super) touched_at: DateTime<Utc>,
    #[serde(default)]
    pub(super) rings: Rings,
    /// A message is about to be sent: where its number does not come, it may stand in the chat all the same.
    #[serde(default)]
    pub(super) sending: bool,
    /// How many messages with unknown numbers may stand in the chat.
    #[serde(default)]
    pub(super) lost: u32,
    /// Such messages that were found: they show what the first message shows.
    #[serde(default)]
    pub(super) copies: Vec<Shown>,
}

/// What a card is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subject {
    Proposal {
        id: ProposalId,
        /// The cluster, for a plan that the schedule made.
        scheduled_for: Option<ClusterId>,
        /// It shows in the chat for reports what was asked for elsewhere.
        #[serde(default)]
        is_copy: bool,
    },
    Alert {
        alert: Alert,
        revision: u64,
        /// Whether this was a dry run when the alert was raised.
        #[serde(default)]
        dry_run: bool,
        /// How many times it was raised since the message was sent.
        #[serde(default)]
        count: u32,
        /// The outage before this one: since and until when.
        #[serde(default)]
        earlier: Option<(DateTime<Utc>, DateTime<Utc>)>,
    },
    Failures(Failures),
    /// How things stand, in one pinned message.
    Board {
        revision: u64,
        /// It is not kept any more: its message says so, and is then left alone.
        #[serde(default)]
        over: bool,
    },
    /// Reports that were too many to keep.
    Missing {
        quiet: u64,
        troubled: u64,
    },
}

/// A message and what it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) message: i32,
    pub(super) hash: String,
}

/// One call that brings a chat nearer to what it should show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// A new message; of a card that has several, the one at this place.
    Send {
        index: usize,
        page: Page,
        /// How urgent it is, where it rings.
        ring: Option<Urgency>,
    },
    Edit {
        message: i32,
        page: Page,
    },
    Delete {
        message: i32,
    },
    /// A file or a picture; never of a card.
    Upload {
        page: Page,
        attached: Attached,
    },
}

impl Card {
    pub(super) fn new(subject: Subject, to: Address, now: DateTime<Utc>) -> Self {
        let Address { chat, thread, reply_to } = to;
        Self {
            v: VERSION,
            subject,
            chat,
            thread,
            reply_to,
            messages: Vec::new(),
            shown: None,
            settled: false,
            touched_at: now,
            rings: Rings::default(),
            sending: false,
            lost: 0,
            copies: Vec::new(),
        }
    }

    pub(super) fn of_proposal(proposal: &Proposal, to: Address, is_copy: bool, now: DateTime<Utc>) -> Self {
        let scheduled_for = (proposal.origin == Origin::Schedule).then_some(proposal.cluster);
        Self::new(Subject::Proposal { id: proposal.id, scheduled_for, is_copy }, to, now)
    }

    pub(crate) fn key(&self) -> String {
        match &self.subject {
            Subject::Proposal { id, is_copy: false, .. } => proposal_key(*id),
            Subject::Proposal { id, is_copy: true, .. } => copy_key(*id),
            Subject::Alert { alert, .. } => alert_key(alert),
            Subject::Failures(failures) => failures.key(),
            Subject::Board { .. } => BOARD.into(),
            Subject::Missing { .. } => MISSING.into(),
        }
    }

    /// Tells whether this is a board that is not kept any more.
    pub(super) fn is_ended_board(&self) -> bool {
        matches!(self.subject, Subject::Board { over: true, .. })
    }

    /// Tells what a message shows, if it is one of this card.
    pub(crate) fn under(&self, chat: i64, message: i32) -> Option<Under> {
        let is_here = self.chat == chat && self.messages.iter().any(|shown| shown.message == message);
        is_here.then(|| self.proposal().map_or(Under::Alert, Under::Plan))
    }

    pub(super) fn is_copy(&self) -> bool {
        matches!(self.subject, Subject::Proposal { is_copy: true, .. })
    }

    pub(super) fn proposal(&self) -> Option<ProposalId> {
        match self.subject {
            Subject::Proposal { id, .. } => Some(id),
            Subject::Alert { .. }
            | Subject::Failures(_)
            | Subject::Board { .. }
            | Subject::Missing { .. } => None,
        }
    }

    /// How urgent the matter is, where it does not depend on a proposal.
    pub(crate) fn urgency(&self) -> Option<Urgency> {
        match &self.subject {
            Subject::Alert { alert, .. } => urgency_of(alert),
            Subject::Failures(failures) => failures.urgency(),
            Subject::Missing { troubled, .. } => (*troubled > 0).then_some(Urgency::Failed),
            Subject::Proposal { .. } | Subject::Board { .. } => None,
        }
    }

    /// Takes over a card that an older version kept: it never rang by itself, so it does not begin to.
    pub(super) fn upgrade(mut self) -> Self {
        if self.v < VERSION {
            self.v = VERSION;
            self.rings = Rings::over(self.touched_at);
        }
        if std::mem::take(&mut self.sending) {
            // The process ended before the number came.
            self.lost += 1;
        }
        self
    }

    /// Follows the group to its new number. Messages of the old one cannot be edited there.
    pub(super) fn move_to(&mut self, chat: i64) {
        self.chat = chat;
        self.thread = None;
        self.reply_to = None;
        self.messages.clear();
        self.copies.clear();
        self.lost = 0;
        if !self.settled {
            self.shown = None;
        }
    }

    /// The failures that this card shows.
    pub(super) fn failures(&self) -> Option<&Failures> {
        match &self.subject {
            Subject::Failures(failures) => Some(failures),
            _ => None,
        }
    }

    /// The outage that this card shows, where it is over.
    pub(super) fn outage(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        match &self.subject {
            Subject::Alert { alert: Alert::VmManagerBack { since, until }, .. } => Some((*since, *until)),
            _ => None,
        }
    }

    /// Tells whether news of the same kind belong to this card.
    pub(super) fn is_recent(&self, now: DateTime<Utc>) -> bool {
        now - self.touched_at < SAME_MATTER
    }

    pub(super) fn is_outdated(&self, now: DateTime<Utc>) -> bool {
        self.settled && now - self.touched_at > SETTLED_KEPT
    }

    /// Tells whether an alert is news of the matter that this card shows already.
    pub(super) fn is_continued_by(&self, alert: &Alert, now: DateTime<Utc>) -> bool {
        let known = match &self.subject {
            Subject::Alert { alert: known, .. } => Some(known),
            Subject::Proposal { .. }
            | Subject::Failures(_)
            | Subject::Board { .. }
            | Subject::Missing { .. } => None,
        };
        match (alert, known) {
            (Alert::VmManagerBack { .. }, _) => true,
            // Another outage rings, so it is another message.
            (Alert::VmManagerAway { since, .. }, Some(Alert::VmManagerAway { since: known, .. })) => {
                since == known
            }
            (Alert::VmManagerAway { .. }, _) => false,
            _ => self.is_recent(now),
        }
    }

    /// Returns the next difference between what the card shows and what it should. The first message is edited last:
    /// when it says that a plan is done, the others show the outcomes already.
    ///
    /// A matter that rings anew is sent anew; its older message is deleted then.
    pub(super) fn step_towards(&self, pages: &[Page], ring: Option<Urgency>) -> Option<Step> {
        let towards = |index: usize| {
            let page = pages.get(index)?.clone();
            match self.messages.get(index) {
                None => Some(Step::Send { index, page, ring: ring.filter(|_| index == 0) }),
                Some(_) if index == 0 && ring.is_some() => Some(Step::Send { index, page, ring }),
                Some(shown) if shown.hash != hash(&page) => Some(Step::Edit { message: shown.message, page }),
                Some(_) => None,
            }
        };
        if self.messages.is_empty() || ring.is_some() {
            return towards(0);
        }
        let surplus = || self.messages.get(pages.len()).map(|shown| Step::Delete { message: shown.message });
        let copy = || {
            let page = pages.first()?;
            let outdated = self.copies.iter().find(|copy| copy.hash != hash(page))?;
            Some(Step::Edit { message: outdated.message, page: page.clone() })
        };
        (1..pages.len()).find_map(towards).or_else(surplus).or_else(copy).or_else(|| towards(0))
    }

    /// Notes that a step was carried out; `sent` is the number of a new message.
    pub(super) fn take(&mut self, step: Step, sent: Option<i32>, now: DateTime<Utc>) {
        match (step, sent) {
            (Step::Send { index, page, ring }, Some(message)) => {
                if let Some(urgency) = ring {
                    self.rings.ring(urgency, now);
                    // The older message is still to be deleted.
                    self.shown = None;
                }
                self.sending = false;
                let shown = Shown { message, hash: hash(&page) };
                self.insert(index.min(self.messages.len()), shown);
            }
            (Step::Edit { message, page }, _) => {
                let all = self.messages.iter_mut().chain(&mut self.copies);
                all.filter(|shown| shown.message == message).for_each(|shown| shown.hash = hash(&page));
            }
            (Step::Delete { message }, _) => self.lose(message),
            (Step::Send { .. }, None) | (Step::Upload { .. }, _) => {}
        }
    }

    /// Adds a message. A press may have come from it before Telegram's answer told its number: it is no copy then.
    fn insert(&mut self, index: usize, shown: Shown) {
        self.copies.retain(|copy| copy.message != shown.message);
        self.messages.insert(index, shown);
    }

    /// Forgets a message that is gone. Its text moves up into the next ones, and a new one follows at the end.
    pub(super) fn lose(&mut self, message: i32) {
        self.messages.retain(|shown| shown.message != message);
        self.copies.retain(|shown| shown.message != message);
    }

    /// Goes on in a message that the chat has already; it rang when it was sent.
    pub(super) fn go_on_in(&mut self, message: i32, urgency: Option<Urgency>, now: DateTime<Utc>) {
        self.insert(0, Shown { message, hash: String::new() });
        self.shown = None;
        if let Some(urgency) = urgency {
            self.rings.ring(urgency, now);
        }
    }

    /// Tells whether the first message shows something else.
    pub(super) fn differs_from(&self, page: &Page) -> bool {
        self.messages.first().is_none_or(|shown| shown.hash != hash(page))
    }

    pub(super) fn shows_in(&self, message: i32) -> bool {
        self.messages.iter().chain(&self.copies).any(|shown| shown.message == message)
    }

    /// Takes over a message of this matter whose number was not known.
    pub(super) fn adopt(&mut self, message: i32) {
        self.copies.push(Shown { message, hash: String::new() });
        self.lost = self.lost.saturating_sub(1);
        self.shown = None;
        self.settled = false;
    }
}

/// Numbers of one width, so that the order of keys is the order of time.
pub(super) fn proposal_key(id: ProposalId) -> String {
    format!("p{:020}", id.0)
}

pub(super) fn copy_key(id: ProposalId) -> String {
    format!("q{:020}", id.0)
}

pub(crate) fn alert_key(alert: &Alert) -> String {
    format!("a-{}", alert.key())
}

/// The alerts that ring: outages, failures and what may be an attack. The others can be read later.
fn urgency_of(alert: &Alert) -> Option<Urgency> {
    match alert {
        Alert::VmManagerAway { .. }
        | Alert::HostKeyChanged { .. }
        | Alert::StoreRestored { .. }
        | Alert::StoreTrouble { .. }
        | Alert::SecondPoller { .. } => Some(Urgency::Alarm),
        Alert::NodeTakenOut { .. } | Alert::ClusterStopped { .. } => Some(Urgency::Failed),
        Alert::VmManagerBack { .. }
        | Alert::ClusterResumed { .. }
        | Alert::PictureShrank { .. }
        | Alert::ForeignMigration { .. }
        | Alert::PulledBack { .. }
        | Alert::ClockJumped { .. } => None,
    }
}

/// Tells whether a plan goes on in the message of an older one. A plan that was approved and could not be carried out
/// keeps its message, which says why.
pub(super) fn gave_way(older: &Proposal, newer: &Proposal) -> bool {
    // What the schedule proposes anew has the same cause.
    let goes_on =
        || newer.origin == Origin::Schedule && older.cluster == newer.cluster && older.origin.takes_over();
    let has_begun = older.steps.iter().any(|step| matches!(step.state, StepState::Ended { .. }));
    match older.state {
        ProposalState::Superseded { by, .. } => by == newer.id,
        ProposalState::Expired { .. } | ProposalState::Shown { .. } => {
            !has_begun && (newer.origin == Origin::Replaces(older.id) || goes_on())
        }
        // Its cause was over. Where it is back so soon, a node swings around its threshold.
        ProposalState::Stale { at } => {
            let is_back = newer.created_at - at < SAME_MATTER;
            !has_begun && (newer.origin == Origin::Replaces(older.id) || (is_back && goes_on()))
        }
        ProposalState::Pending
        | ProposalState::Approved { .. }
        | ProposalState::Running { .. }
        | ProposalState::Done { .. }
        | ProposalState::Rejected { .. } => false,
    }
}

/// Returns the key of the card that a button with this data belongs to.
pub(crate) fn key_of_button(data: &str) -> Option<String> {
    proposal::named_in(data).map(proposal_key).or_else(|| hand::key_in(data).map(str::to_owned))
}

/// Tells whether a migration of the plan failed or was lost.
pub(super) fn is_troubled(proposal: &Proposal) -> bool {
    proposal.steps.iter().any(|step| match &step.state {
        StepState::Ended { outcome, .. } => matches!(outcome, Outcome::Failed | Outcome::Lost),
        StepState::Waiting | StepState::LeftOut { .. } | StepState::Running { .. } => false,
    })
}

fn hash(page: &Page) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    hash.update(page.html());
    for button in page.buttons.iter().flatten() {
        hash.update([0]);
        hash.update(&button.label);
        hash.update([0]);
        hash.update(&button.data);
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::{
        samples::{ended, now, proposal},
        view::tests::view,
        words::Language,
    };

    #[test]
    fn a_plan_that_is_done_says_so_when_all_its_messages_have_the_outcomes() {
        let (mut card, before) = shown_in_full(200);
        assert!(before.len() > 2, "{}", before.len());
        let after = pages(&ended(proposal(200)));
        let edited = carry_out(&mut card, &after);
        assert_eq!(edited.last(), Some(&1), "{edited:?}");
        assert!(after[0].plain().contains("partly") && edited.len() >= after.len(), "{edited:?}");
        assert_eq!(card.messages.len(), after.len());
    }

    #[test]
    fn a_first_message_comes_first() {
        let pages = pages(&proposal(200));
        assert!(matches!(card().step_towards(&pages, None), Some(Step::Send { index: 0, .. })));
    }

    #[test]
    fn what_a_deleted_message_showed_moves_up_and_nothing_is_shown_twice() {
        for gone in [1, 2] {
            let (mut card, pages) = shown_in_full(200);
            card.lose(gone);
            carry_out(&mut card, &pages);
            let shows: Vec<_> = card.messages.iter().map(|shown| shown.hash.clone()).collect();
            assert_eq!(shows, pages.iter().map(hash).collect::<Vec<_>>());
        }
    }

    #[test]
    fn messages_that_are_not_needed_any_more_go() {
        let (mut card, _) = shown_in_full(200);
        carry_out(&mut card, &pages(&proposal(1)));
        assert_eq!(card.messages.len(), 1);
    }

    #[test]
    fn a_message_that_is_pressed_before_its_number_is_known_is_shown_once() {
        let pages = pages(&proposal(1));
        for goes_on in [false, true] {
            let mut card = card();
            card.adopt(1);
            match goes_on {
                true => card.go_on_in(1, None, now()),
                false => {
                    let sent = Step::Send { index: 0, page: pages[0].clone(), ring: None };
                    card.take(sent, Some(1), now());
                }
            }
            carry_out(&mut card, &pages);
            assert_eq!((card.messages.len(), card.copies.len()), (1, 0), "{goes_on}");
        }
    }

    #[test]
    fn an_edit_is_over_even_where_a_kept_card_knows_a_message_twice() {
        let (mut card, pages) = shown_in_full(1);
        let first = card.messages[0].message;
        card.copies.push(Shown { message: first, hash: String::new() });
        assert_eq!(carry_out(&mut card, &pages), [first]);
    }

    #[test]
    fn a_card_that_was_kept_is_read_again() {
        let kept = r#"{"v":1,"subject":{"proposal":{"id":12,"scheduled_for":1}},"chat":-100,"thread":null,
            "reply_to":5,"messages":[{"message":7,"hash":"00"}],"shown":3,"settled":false,
            "touched_at":"2026-11-23T20:15:00Z"}"#;
        let card: Card = serde_json::from_str(kept).unwrap();
        assert_eq!((card.key().as_str(), card.proposal()), ("p00000000000000000012", Some(ProposalId(12))));
    }

    fn shown_in_full(migrations: u32) -> (Card, Vec<Page>) {
        let mut card = card();
        let pages = pages(&proposal(migrations));
        carry_out(&mut card, &pages);
        (card, pages)
    }

    /// Carries out every step, numbering new messages from 1; returns the messages in the order of the steps.
    fn carry_out(card: &mut Card, pages: &[Page]) -> Vec<i32> {
        let mut touched = Vec::new();
        while let Some(step) = card.step_towards(pages, None) {
            let next = card.messages.iter().map(|shown| shown.message).max().unwrap_or(0) + 1;
            touched.push(match &step {
                Step::Send { .. } => next,
                Step::Edit { message, .. } | Step::Delete { message } => *message,
                Step::Upload { .. } => panic!("no card has files"),
            });
            card.take(step, Some(next), now());
        }
        touched
    }

    fn pages(proposal: &Proposal) -> Vec<Page> {
        view(Language::En).proposal(proposal, now())
    }

    fn card() -> Card {
        Card::of_proposal(&proposal(1), Address { chat: -100, thread: None, reply_to: None }, false, now())
    }
}
