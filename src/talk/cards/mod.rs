//! What the chats should show: a state machine from what happens to calls that a front-end carries out.
//!
//! [`Cards::on`] takes one [`Input`] and returns [`Effect`]s. It reads no store and no clock and sends nothing: the
//! front-end does, and comes back with the result of each call as the next input. What a chat missed while it could
//! not be reached is never sent late: when a card's turn comes, it shows how things stand then.

mod bell;
mod card;
mod exchange;
mod failures;
mod looking;
mod queue;
mod rings;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

use self::{
    card::{BOARD, MISSING, Shown, Subject, copy_key, gave_way, is_troubled, proposal_key},
    looking::Looking,
    queue::{Queue, Rank},
};
pub(crate) use self::{
    card::{Card, Step, alert_key, key_of_button},
    exchange::{Address, Answer, AnswerKind, Attached, Call, Effect, Failed, Input, Now, SinceStart},
    queue::Job,
};
use crate::{
    model::ProposalId,
    store::{Proposal, ProposalState},
    talk::{
        Language,
        view::{Page, View},
    },
};
pub(crate) use bell::{Bell, Hand, HandKind};
pub(crate) use failures::Failures;
pub use queue::Spacing;

/// How many cards may wait while the chat cannot be reached; beyond this the oldest are only counted.
const WAITING_CARDS_MAX: usize = 200;

/// A proposal that ended longer ago than this is no news, even if it was never shown. Cards are kept for longer.
const NEWS: TimeDelta = TimeDelta::days(1);

/// Pause after a call with a rejected token: the operator may issue a new one, but asking faster gains nothing.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(60);

/// An answer that waited longer than this for its turn says of when it is.
const LATE_ANSWER: Duration = Duration::from_secs(10);

/// How often the calendar is looked at while something waits for a time of the day: the clock may be set meanwhile.
const CALENDAR_LOOK: Duration = Duration::from_secs(1);

/// How often a plan that runs shows anew how much time is left.
const RENEWED_EVERY: Duration = Duration::from_secs(60);

/// A chain of moved groups longer than this is a ring.
const MOVES_MAX: usize = 10;

/// What a card should show, without the text.
#[derive(Clone, Copy)]
struct Wanted {
    revision: u64,
    settled: bool,
    rank: Rank,
}

/// What the chats show and should show.
#[derive(Debug)]
pub(crate) struct Cards {
    view: View,
    /// The languages of chats that chose one.
    languages: BTreeMap<i64, Language>,
    /// The chat for reports.
    home: Option<Address>,
    cards: BTreeMap<String, Card>,
    /// The proposals of cards, as the store had them last.
    proposals: BTreeMap<ProposalId, Proposal>,
    /// Groups with a new number.
    moves: BTreeMap<i64, i64>,
    queue: Queue,
    /// By chat and by the message that is answered.
    looking: BTreeMap<(i64, i32), Looking>,
    bell: Bell,
    calendar_seen: SinceStart,
    /// When the plans that run showed last how much time is left.
    renewed: SinceStart,
    /// What the board should show.
    board: Option<Page>,
    effects: Vec<Effect>,
}

impl Cards {
    /// Goes on with the cards that were kept.
    pub(crate) fn new(
        view: View,
        home: Option<Address>,
        spacing: Spacing,
        bell: Bell,
        kept: impl IntoIterator<Item = Card>,
    ) -> Self {
        Self {
            view,
            languages: BTreeMap::new(),
            home,
            cards: kept.into_iter().map(Card::upgrade).map(|card| (card.key(), card)).collect(),
            proposals: BTreeMap::new(),
            moves: BTreeMap::new(),
            queue: Queue::new(spacing),
            looking: BTreeMap::new(),
            bell,
            calendar_seen: Duration::ZERO,
            renewed: Duration::ZERO,
            board: None,
            effects: Vec::new(),
        }
    }

    /// Takes over what an earlier run learned of chats.
    #[must_use]
    pub(crate) fn knowing(mut self, moves: BTreeMap<i64, i64>, dead: &[i64]) -> Self {
        self.moves = moves;
        dead.iter().for_each(|chat| self.queue.dead(*chat));
        self
    }

    /// Writes to these chats in these languages.
    #[must_use]
    pub(crate) fn speaking(self, languages: BTreeMap<i64, Language>) -> Self {
        Self { languages, ..self }
    }

    /// Takes what happened; returns what is to be done.
    pub(crate) fn on(&mut self, input: Input, now: Now) -> Vec<Effect> {
        match input {
            Input::Changed { id, with } => {
                self.proposals.extend(with.into_iter().map(|proposal| (proposal.id, proposal)));
                self.show_proposal(id, now);
                self.forget_proposals();
            }
            Input::Everything(proposals) => self.compare(proposals, now),
            Input::Alert { alert, dry_run } => self.show_alert(alert, dry_run, now),
            Input::Answer(answer) => {
                let answer = match answer.kind {
                    AnswerKind::Final => self.after_looking(answer),
                    AnswerKind::Interim => Some(self.look(answer, now)),
                };
                if let Some(answer) = answer {
                    self.queue_answer(answer, now);
                }
            }
            Input::Seen { key, chat, message, with } => self.see(&key, chat, message, with, now),
            Input::Language { chat, language } => self.speak(chat, language),
            Input::Board(page) => self.show_board(page, now),
            Input::BoardOff(page) => self.end_board(page, now),
            Input::Heard(chat) => {
                self.effects.push(Effect::ChatAlive(chat));
                self.queue.alive(chat);
            }
            Input::Moved { from, to } => self.follow_group(from, to, now),
            Input::Ended { call: Call { job, to: _, step }, result } => match job {
                Job::Answer { answer, since } => self.answer_ended(answer, since, result, now),
                Job::Card { key, chat } => self.card_ended(&key, chat, step, result, now),
            },
            Input::Hand { key, kind, by } => self.take_in_hand(&key, kind, by, now),
            Input::Wake => {
                self.look_at_calendar(now);
                self.renew_times(now);
            }
        }
        self.begin(now);
        std::mem::take(&mut self.effects)
    }

    /// Returns when [`Input::Wake`] is due; `None` where only something else can bring work.
    pub(crate) fn wake_at(&self, now: SinceStart) -> Option<SinceStart> {
        let waits =
            |card: &Card| self.urgency(card).is_some_and(|urgency| self.bell.waits(&card.rings, urgency));
        let calendar = self.cards.values().any(waits).then(|| self.calendar_seen + CALENDAR_LOOK);
        let renewal = self.cards.values().any(|card| self.counts_down(card));
        let renewal = renewal.then(|| self.renewed + RENEWED_EVERY);
        self.queue.wake_at(now).into_iter().chain(calendar).chain(renewal).min()
    }

    /// Tells whether a card shows how much time is left of a plan that runs.
    fn counts_down(&self, card: &Card) -> bool {
        let proposal = card.proposal().and_then(|id| self.proposals.get(&id));
        let runs = |proposal: &Proposal| matches!(proposal.state, ProposalState::Running { .. });
        !card.messages.is_empty() && proposal.is_some_and(|it| runs(it) && it.expected.is_some())
    }

    /// Shows anew how much time is left.
    fn renew_times(&mut self, now: Now) {
        if now.run < self.renewed + RENEWED_EVERY {
            return;
        }
        self.renewed = now.run;
        let due: Vec<_> = self
            .cards
            .values()
            .filter(|card| self.counts_down(card))
            .map(|card| (card.key(), card.chat))
            .collect();
        for (key, chat) in due {
            self.queue.show(&key, chat, Rank::Progress);
        }
    }

    /// Returns the proposals whose state matters to a card.
    pub(crate) fn proposals(&self) -> BTreeSet<ProposalId> {
        self.cards.values().filter(|card| needs_its_proposal(card)).filter_map(Card::proposal).collect()
    }

    /// Returns a card, e.g. to record it again.
    pub(crate) fn card(&self, key: &str) -> Option<&Card> {
        self.cards.get(key)
    }

    /// Compares all that the store has with what is shown.
    fn compare(&mut self, proposals: Vec<Proposal>, now: Now) {
        let unsettled: Vec<_> = self
            .cards
            .values()
            .filter(|card| !card.settled)
            .map(|card| (card.key(), card.proposal()))
            .collect();
        let is_news =
            |proposal: &&Proposal| !proposal.state.is_final() || now.date - proposal.created_at < NEWS;
        let mut news: Vec<_> = proposals.iter().filter(is_news).map(|proposal| proposal.id).collect();
        news.sort_unstable();
        self.proposals = proposals.into_iter().map(|proposal| (proposal.id, proposal)).collect();
        for id in news {
            self.show_proposal(id, now);
        }
        for (key, proposal) in unsettled {
            match proposal.is_some_and(|id| !self.proposals.contains_key(&id)) {
                // Its proposal was forgotten.
                true => drop(self.remove(&key)),
                false => self.want(&key, now),
            }
        }
        let outdated: Vec<_> =
            self.cards.values().filter(|card| card.is_outdated(now.date)).map(Card::key).collect();
        for key in outdated {
            self.remove(&key);
        }
        self.forget_proposals();
    }

    /// Takes over a message of a card whose number was not known, and brings it up to date.
    fn see(&mut self, key: &str, chat: i64, message: i32, with: Option<Box<Proposal>>, now: Now) {
        let is_known = self.cards.values().any(|card| card.chat == chat && card.shows_in(message));
        if is_known || self.cards.get(key).is_none_or(|card| card.chat != chat) {
            return;
        }
        if let Some(proposal) = with {
            self.proposals.insert(proposal.id, *proposal);
        }
        self.change(key, |card| card.adopt(message));
        self.want(key, now);
    }

    fn forget_proposals(&mut self) {
        let cards = &self.cards;
        let needs = |key: &String| cards.get(key).is_some_and(needs_its_proposal);
        self.proposals.retain(|id, _| needs(&proposal_key(*id)) || needs(&copy_key(*id)));
    }

    /// Shows a proposal or its newer state: where it was asked for, and in the chat for reports, where the others see
    /// it.
    fn show_proposal(&mut self, id: ProposalId, now: Now) {
        let Some(proposal) = self.proposals.get(&id).cloned() else { return };
        let Some(to) = self.address(&proposal) else { return };
        self.show_at(&proposal, to, false, now);
        let home = self.home.map(|home| self.resolve(home));
        if let Some(home) = home.filter(|home| (home.chat, home.thread) != (to.chat, to.thread)) {
            self.show_at(&proposal, home, true, now);
        }
        self.show_failures(&proposal, now);
    }

    /// Makes a card of a proposal, or of its newer state.
    fn show_at(&mut self, proposal: &Proposal, to: Address, is_copy: bool, now: Now) {
        let key = if is_copy { copy_key(proposal.id) } else { proposal_key(proposal.id) };
        let superseded_by = match proposal.state {
            ProposalState::Superseded { by, .. } => Some(by),
            _ => None,
        };
        match self.cards.get(&key) {
            Some(card) if card.shown == Some(proposal.revision) => return,
            Some(_) => {}
            None => {
                let mut card = Card::of_proposal(proposal, to, is_copy, now.date);
                self.card_after_looking(&mut card, to, now);
                if proposal.origin.takes_over() {
                    self.adopt(proposal, &mut card, now);
                }
                let newer = superseded_by.filter(|by| is_copy || self.answers_the_same(proposal, *by));
                if let (Some(by), true) = (newer, card.messages.is_empty()) {
                    // Nobody saw it; the one that replaced it is shown instead.
                    return self.show_proposal(by, now);
                }
                self.keep(card);
            }
        }
        if let Some(by) =
            superseded_by.filter(|by| self.proposals.get(by).is_some_and(|newer| newer.origin.takes_over()))
        {
            // The newer one goes on in this message.
            self.show_proposal(by, now);
        }
        self.want(&key, now);
    }

    /// Tells whether a newer plan is where somebody waits for this one; two people may ask at the same moment.
    fn answers_the_same(&self, older: &Proposal, newer: ProposalId) -> bool {
        let asked_for = self.proposals.get(&newer).map(|newer| &newer.reply_to);
        older.origin.takes_over() || asked_for == Some(&older.reply_to)
    }

    /// Takes over the messages of the proposal that gave way to this one.
    fn adopt(&mut self, newer: &Proposal, card: &mut Card, now: Now) {
        let Some((key, revision)) = self.gave_way_to(newer, card) else { return };
        let Some(mut older) = self.remove(&key) else { return };
        card.rings = std::mem::take(&mut older.rings);
        card.thread = older.thread;
        card.reply_to = older.reply_to;
        let messages = std::mem::take(&mut older.messages).into_iter();
        card.messages = messages.map(|shown| Shown { hash: String::new(), ..shown }).collect();
        // Kept without messages, so that it is not sent again after a restart.
        older.shown = Some(revision);
        older.settled = true;
        older.touched_at = now.date;
        self.keep(older);
    }

    /// Returns the card with messages in that card's chat whose proposal gave way to this one, and that proposal's revision.
    fn gave_way_to(&self, newer: &Proposal, to: &Card) -> Option<(String, u64)> {
        self.cards.iter().rev().find_map(|(key, card)| {
            let older = self.proposals.get(&card.proposal().filter(|id| *id < newer.id)?)?;
            let is_it = card.chat == to.chat
                && card.is_copy() == to.is_copy()
                && !card.messages.is_empty()
                && gave_way(older, newer);
            is_it.then(|| (key.clone(), older.revision))
        })
    }

    fn address(&self, proposal: &Proposal) -> Option<Address> {
        let to = match &proposal.reply_to {
            Some(reply) => Some(Address { chat: reply.chat, thread: reply.thread, reply_to: reply.message }),
            None => self.home,
        }?;
        Some(self.resolve(to))
    }

    /// Returns the address under the group's present number; topics and messages of the old one mean nothing there.
    fn resolve(&self, to: Address) -> Address {
        match resolve(to.chat, |chat| self.moves.get(&chat).copied()) {
            chat if chat == to.chat => to,
            chat => Address { chat, thread: None, reply_to: None },
        }
    }

    /// Keeps a card with news and shows it.
    fn renew(&mut self, mut card: Card, now: Now) {
        card.settled = false;
        card.touched_at = now.date;
        let key = card.key();
        self.keep(card);
        self.want(&key, now);
    }

    /// Queues a card that is out of date or must ring.
    fn want(&mut self, key: &str, now: Now) {
        let Some(card) = self.cards.get(key) else { return };
        let Some(wanted) = self.page_for(card, now) else { return };
        if card.shown != Some(wanted.revision) || self.ring(card, now).is_some() {
            self.queue.show(key, card.chat, wanted.rank);
            self.bound(now);
        }
    }

    /// Counts the oldest report where too many wait; a card of its own says how many are left out.
    fn bound(&mut self, now: Now) {
        let waiting = self.queue.waiting();
        if waiting.len() <= WAITING_CARDS_MAX {
            return;
        }
        let Some(oldest) = waiting.iter().find(|key| *key != MISSING) else { return };
        let Some(left_out) = self.cards.get(oldest) else { return self.queue.forget(oldest) };
        if left_out.failures().is_some() {
            // Its plan says so too, or is counted.
            return drop(self.remove(oldest));
        }
        let of = left_out.proposal().and_then(|id| self.proposals.get(&id));
        let is_quiet = left_out.proposal().is_some() && of.is_some_and(|proposal| !is_troubled(proposal));
        let to = Address { chat: left_out.chat, thread: left_out.thread, reply_to: None };
        self.remove(oldest);
        let (quiet, troubled) = match self.cards.get(MISSING).map(|card| &card.subject) {
            Some(Subject::Missing { quiet, troubled }) => (*quiet, *troubled),
            _ => (0, 0),
        };
        let subject = Subject::Missing {
            quiet: quiet + u64::from(is_quiet),
            troubled: troubled + u64::from(!is_quiet),
        };
        let fresh = || Card::new(subject.clone(), to, now.date);
        let mut card = self.cards.remove(MISSING).unwrap_or_else(fresh);
        card.subject = subject;
        card.settled = false;
        self.queue.show(MISSING, card.chat, Rank::Matter);
        self.keep(card);
    }

    /// What a card should show; `None` where its proposal is not known at the moment.
    fn page_for(&self, card: &Card, now: Now) -> Option<Wanted> {
        let rank = if self.ring(card, now).is_some() { Rank::Ring } else { Rank::Matter };
        Some(match &card.subject {
            Subject::Proposal { id, .. } => {
                let proposal = self.proposals.get(id)?;
                Wanted {
                    revision: proposal.revision,
                    settled: proposal.state.is_final() && !proposal.waits_for_hand(),
                    rank: match proposal.state {
                        ProposalState::Running { .. } if !card.messages.is_empty() => Rank::Progress,
                        _ => rank,
                    },
                }
            }
            Subject::Alert { revision, .. } | Subject::Failures(Failures { revision, .. }) => {
                Wanted { revision: *revision, settled: true, rank }
            }
            Subject::Board { revision, .. } => {
                self.board.as_ref()?;
                let rank = if card.messages.is_empty() { rank } else { Rank::Progress };
                Wanted { revision: *revision, settled: false, rank }
            }
            Subject::Missing { quiet, troubled } => {
                Wanted { revision: quiet + troubled, settled: true, rank }
            }
        })
    }

    /// Goes by another bell from now on.
    pub(crate) fn ring_by(&mut self, bell: Bell) {
        self.bell = bell;
    }

    fn speak(&mut self, chat: i64, language: Option<Language>) {
        match language {
            Some(language) => self.languages.insert(chat, language),
            None => self.languages.remove(&chat),
        };
    }

    /// Returns the view for a chat in its language.
    fn view(&self, chat: i64) -> View {
        match self.languages.get(&chat) {
            Some(language) => View::new(*language, self.view.timezone),
            None => self.view,
        }
    }

    fn pages(&self, card: &Card, now: DateTime<Utc>) -> Vec<Page> {
        let mut pages = self.pages_of(card, now);
        if card.lost > 0
            && let Some(first) = pages.first_mut()
        {
            *first = self.view(card.chat).copy_may_be_there(std::mem::take(first));
        }
        pages
    }

    fn pages_of(&self, card: &Card, now: DateTime<Utc>) -> Vec<Page> {
        let view = self.view(card.chat);
        match &card.subject {
            Subject::Proposal { id, .. } => {
                let proposal = self.proposals.get(id);
                proposal.map(|proposal| view.proposal(proposal, now)).unwrap_or_default()
            }
            Subject::Alert { alert, dry_run, count, earlier, .. } => {
                let page = view.alert(alert, *count, *earlier, now);
                vec![self.with_hand(page, card, *dry_run, now)]
            }
            Subject::Failures(failures) => {
                let page = view.failures(failures, now);
                vec![self.with_hand(page, card, failures.dry_run, now)]
            }
            Subject::Board { .. } => self.board.iter().cloned().collect(),
            Subject::Missing { quiet, troubled } => vec![view.reports_missing(*quiet, *troubled)],
        }
    }

    /// Begins the calls that may be made now.
    fn begin(&mut self, now: Now) {
        while let Some(job) = self.queue.next(now.run) {
            let next = match &job {
                Job::Answer { answer, since } => {
                    Some((step_of(&self.date_late(answer, *since, now)), self.resolve(answer.to)))
                }
                Job::Card { key, chat } => {
                    let next = self.next_step(key, now);
                    if next.is_none() {
                        self.queue.note_end(*chat, false, now.run);
                    }
                    next
                }
            };
            let Some((step, to)) = next else { continue };
            if let (Job::Card { key, .. }, Step::Send { .. }) = (&job, &step) {
                self.change(key, |card| card.sending = true);
            }
            self.effects.push(Effect::Call(Call { job, to, step }));
        }
    }

    /// Says of an answer that waited its turn of when it is: what it tells may have changed since.
    fn date_late(&self, answer: &Answer, since: SinceStart, now: Now) -> Answer {
        let mut answer = answer.clone();
        let waited = now.run.saturating_sub(since);
        if waited >= LATE_ANSWER && answer.kind == AnswerKind::Final {
            let at = now.date - TimeDelta::from_std(waited).unwrap_or_default();
            let speaks = |id: &i64| self.languages.contains_key(id);
            let whose = Some(answer.person).filter(speaks).unwrap_or(answer.to.chat);
            answer.page = self.view(whose).date_answer(answer.page, at, now.date);
        }
        answer
    }

    /// Returns the next call for a card; `None` where it shows what it should, which is then recorded.
    fn next_step(&mut self, key: &str, now: Now) -> Option<(Step, Address)> {
        let card = self.cards.get(key)?;
        if card.is_ended_board() && card.messages.is_empty() {
            self.leave_board();
            return None;
        }
        let wanted = self.page_for(card, now)?;
        if let Some(step) = card.step_towards(&self.pages(card, now.date), self.ring(card, now)) {
            let reply_to = match (&step, card.messages.first()) {
                // Further parts answer the first, so that they stay together.
                (Step::Send { index, .. }, Some(first)) if *index > 0 => Some(first.message),
                _ => card.reply_to,
            };
            return Some((step, Address { chat: card.chat, thread: card.thread, reply_to }));
        }
        self.change(key, |card| {
            card.shown = Some(wanted.revision);
            card.settled = wanted.settled;
            card.touched_at = now.date;
        });
        if self.cards.get(key).is_some_and(Card::is_ended_board) {
            self.leave_board();
        }
        None
    }

    fn card_ended(
        &mut self,
        key: &str,
        chat: i64,
        step: Step,
        result: Result<Option<i32>, Failed>,
        now: Now,
    ) {
        if matches!((&step, &result), (Step::Send { .. }, Err(_))) {
            let is_lost = result == Err(Failed::NoAnswer);
            self.change(key, |card| {
                card.sending = false;
                card.lost += u32::from(is_lost);
            });
        }
        match (result, step) {
            (Ok(sent), step) => {
                self.queue.note_end(chat, true, now.run);
                // A message of a group that has moved meanwhile means nothing where the card is now.
                if self.cards.get(key).is_some_and(|card| card.chat == chat) {
                    let is_board = key == BOARD && matches!(step, Step::Send { .. });
                    if let Some(message) = sent.filter(|_| is_board) {
                        self.effects.push(Effect::Pin { chat, message });
                    }
                    self.change(key, |card| card.take(step, sent, now.date));
                }
            }
            (Err(Failed::Wait(wait)), _) => self.queue.note_failure(chat, Some(wait), now.run),
            (Err(Failed::NoAnswer | Failed::Unreached), _) => self.queue.note_failure(chat, None, now.run),
            // What waits is shown when the token is good again.
            (Err(Failed::Unauthorized), _) => {
                self.queue.note_failure(chat, Some(UNAUTHORIZED_PAUSE), now.run)
            }
            (Err(Failed::MessageGone), Step::Edit { message, .. } | Step::Delete { message }) => {
                self.queue.note_end(chat, false, now.run);
                self.change(key, |card| card.lose(message));
            }
            // None of our messages is missing, so there is nothing to mend; it may be taken later.
            (Err(Failed::MessageGone), Step::Send { .. } | Step::Upload { .. }) => {
                self.queue.note_failure(chat, None, now.run)
            }
            (Err(Failed::ThreadGone), _) => {
                match self.cards.get_mut(key).and_then(|card| card.thread.take()) {
                    Some(_) => self.queue.note_end(chat, false, now.run),
                    // The chat's general topic is closed; it may be opened again.
                    None => self.queue.note_failure(chat, None, now.run),
                }
            }
            (Err(Failed::Moved(to)), _) => {
                self.queue.note_end(chat, false, now.run);
                self.follow_group(chat, to, now);
            }
            (Err(Failed::ChatDead(why)), _) => self.lose_chat(chat, why),
            (Err(Failed::Refused), step) => {
                self.queue.note_end(chat, false, now.run);
                if let (Step::Send { ring: Some(urgency), .. }, Some(card)) = (step, self.cards.get_mut(key))
                {
                    card.rings.ring(urgency, now.date);
                }
                return self.give_up_revision(key, now);
            }
        }
        self.want(key, now);
    }

    /// Notes that this revision cannot be shown: it would be refused again. The next change is tried anew.
    fn give_up_revision(&mut self, key: &str, now: Now) {
        let Some(wanted) = self.cards.get(key).and_then(|card| self.page_for(card, now)) else { return };
        self.change(key, |card| {
            card.shown = Some(wanted.revision);
            card.settled = wanted.settled;
        });
    }

    fn lose_chat(&mut self, chat: i64, why: String) {
        self.effects.push(Effect::ChatDead { chat, why });
        self.queue.dead(chat);
    }

    fn follow_group(&mut self, from: i64, to: i64, now: Now) {
        if from != to {
            self.moves.insert(from, to);
        }
        if let Some(language) = self.languages.get(&from).copied() {
            self.languages.insert(to, language);
        }
        self.effects.push(Effect::ChatMoved { from, to });
        self.queue.follow_move(from, to);
        let here: Vec<_> = self.cards.values().filter(|card| card.chat == from).map(Card::key).collect();
        for key in here {
            self.change(&key, |card| card.move_to(to));
            if self.cards.get(&key).is_some_and(|card| !card.settled) {
                self.want(&key, now);
            }
        }
    }

    fn change(&mut self, key: &str, change: impl FnOnce(&mut Card)) {
        let Some(card) = self.cards.get_mut(key) else { return };
        change(card);
        self.effects.push(Effect::Record(card.clone()));
    }

    fn keep(&mut self, card: Card) {
        self.effects.push(Effect::Record(card.clone()));
        self.cards.insert(card.key(), card);
    }

    fn remove(&mut self, key: &str) -> Option<Card> {
        self.effects.push(Effect::Forget(key.to_owned()));
        self.queue.forget(key);
        self.cards.remove(key)
    }
}

/// The call that an answer takes.
fn step_of(answer: &Answer) -> Step {
    let Answer { to: _, page, rewrites, person: _, kind: _, attached } = answer;
    let page = page.clone();
    match (attached, *rewrites) {
        (Some(attached), _) => Step::Upload { page, attached: attached.clone() },
        (None, Some(message)) => Step::Edit { message, page },
        (None, None) => Step::Send { index: 0, page, ring: None },
    }
}

/// A card that may change, or whose messages a newer plan may take over.
fn needs_its_proposal(card: &Card) -> bool {
    !card.settled || !card.messages.is_empty()
}

/// Follows a group through its moves to its present number.
pub(crate) fn resolve(chat: i64, moved_to: impl Fn(i64) -> Option<i64>) -> i64 {
    let mut at = chat;
    for _ in 0..MOVES_MAX {
        match moved_to(at) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}
