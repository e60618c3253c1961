//! What waits to be sent, and what may be sent when.
//!
//! Only that a card is to be shown is queued, never its text: the text is made when its turn comes, so the newest
//! state is sent and nothing piles up. Answers to commands wait with their text and are dropped after ten minutes.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{Address, Answer, AnswerKind, SinceStart};

/// Telegram's groups take 20 messages a minute, and edits count as messages.
const GROUP_PER_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// Answers leave room in the minute for alerts and ends, and those of one person for other people's.
const ANSWERS_PER_MINUTE: usize = 17;
const ANSWERS_PER_PERSON: usize = 14;

/// Progress leaves room in the minute for answers and ends.
const PROGRESS_PER_MINUTE: usize = 12;

/// How far apart messages and edits of one chat are, besides Telegram's limit a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    /// From one to the next; of answers only progress keeps away.
    pub card: Duration,
    /// Between two edits that show progress.
    pub progress: Duration,
    /// For how long Telegram counts a message or an edit against what a group takes.
    pub counts_for: Duration,
}

impl Default for Spacing {
    /// Telegram takes about one message a second in a chat and short bursts of answers. People read progress no faster
    /// than every three seconds.
    fn default() -> Self {
        Self { card: Duration::from_secs(1), progress: Duration::from_secs(3), counts_for: MINUTE }
    }
}

/// How many answers may wait while the chat cannot be reached; more would only delay each other.
const ANSWERS_MAX: usize = 100;

/// How many of them may be one person's.
const ANSWERS_OF_PERSON_MAX: usize = 30;

/// An answer that comes later than this is of no use.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(600);

/// The wait after the n-th failure doubles up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// What is sent first: alerts, then plans and ends, then answers, then progress. No question delays news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It rings.
    Ring,
    /// A first message, an end, an alert.
    Matter,
    Answer,
    Progress,
}

/// What is sent next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Job {
    Answer {
        answer: Answer,
        since: SinceStart,
    },
    /// One step of showing this card.
    Card {
        key: String,
        chat: i64,
    },
}

/// What waits, and how fast each chat may be written to.
#[derive(Debug, Default)]
pub(super) struct Queue {
    answers: VecDeque<(SinceStart, Answer)>,
    cards: BTreeMap<String, Waiting>,
    chats: BTreeMap<i64, Pace>,
    spacing: Spacing,
    /// Grows with each card, so that the older comes first.
    order: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    chat: i64,
    rank: Rank,
    order: u64,
}

#[derive(Debug, Default)]
struct Pace {
    /// Something is under way.
    busy: bool,
    /// Nothing is sent until something is heard from there.
    dead: bool,
    /// Within the last minute; with the person, where it was an answer.
    sent: VecDeque<(SinceStart, Option<i64>)>,
    last_progress: Option<SinceStart>,
    not_before: Option<SinceStart>,
    failures: u32,
}

impl Queue {
    pub(super) fn new(spacing: Spacing) -> Self {
        Self { spacing, ..Self::default() }
    }

    /// Adds an answer; false where there are too many already.
    pub(super) fn answer(&mut self, answer: Answer, now: SinceStart) -> bool {
        let of_person = self.answers.iter().filter(|(_, waiting)| waiting.person == answer.person).count();
        let is_full = self.answers.len() >= ANSWERS_MAX || of_person >= ANSWERS_OF_PERSON_MAX;
        if is_full || self.is_dead(answer.to.chat) {
            return false;
        }
        self.answers.push_back((now, answer));
        true
    }

    /// Puts an answer back that could not be sent yet; it stays the first.
    pub(super) fn answer_again(&mut self, answer: Answer, since: SinceStart) {
        self.answers.push_front((since, answer));
    }

    /// Takes back the word that an answer takes a while, if it has not been sent.
    pub(super) fn withdraw(&mut self, to: Address) -> bool {
        let before = self.answers.len();
        self.answers.retain(|(_, answer)| answer.to != to || answer.kind == AnswerKind::Final);
        self.answers.len() < before
    }

    /// Notes that a card is to be shown; what waits already keeps its place and takes the better rank.
    pub(super) fn show(&mut self, key: &str, chat: i64, rank: Rank) {
        self.order += 1;
        let order = self.order;
        let waiting = self.cards.entry(key.to_owned()).or_insert(Waiting { chat, rank, order });
        waiting.chat = chat;
        waiting.rank = waiting.rank.min(rank);
    }

    pub(super) fn forget(&mut self, key: &str) {
        self.cards.remove(key);
    }

    /// Returns cards that wait, oldest first.
    pub(super) fn waiting(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.cards.iter().map(|(key, waiting)| (waiting.order, key.clone())).collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// Takes what may be done now, and marks its chat as busy until [`Self::note_end`].
    pub(super) fn next(&mut self, now: SinceStart) -> Option<Job> {
        self.answers.retain(|(since, _)| age(now, *since) <= ANSWER_AGE_MAX);
        let spacing = self.spacing;
        let ready = |chat: i64, rank, person| {
            let at = |pace: &Pace| pace.ready_at(chat, rank, person, spacing, now);
            self.chats.get(&chat).is_none_or(|pace| at(pace).is_some_and(|at| at <= now))
        };
        let card = self
            .cards
            .iter()
            .filter(|(_, waiting)| ready(waiting.chat, waiting.rank, None))
            .min_by_key(|(_, waiting)| (waiting.rank, waiting.order))
            .map(|(key, waiting)| (key.clone(), waiting.chat, waiting.rank));
        // The person with the fewest recent answers comes first.
        let lately = |answer: &Answer| {
            self.chats.get(&answer.to.chat).map_or(0, |pace| pace.answered(answer.person, spacing, now))
        };
        let answer = self
            .answers
            .iter()
            .enumerate()
            .filter(|(_, (_, answer))| ready(answer.to.chat, Rank::Answer, Some(answer.person)))
            .min_by_key(|(index, (_, answer))| (lately(answer), *index))
            .map(|(index, _)| index)
            .filter(|_| card.as_ref().is_none_or(|(.., rank)| *rank > Rank::Answer));
        if let Some((since, answer)) = answer.and_then(|index| self.answers.remove(index)) {
            self.chats.entry(answer.to.chat).or_default().busy = true;
            return Some(Job::Answer { answer, since });
        }
        let (key, chat, _) = card?;
        let waiting = self.cards.remove(&key)?;
        let pace = self.chats.entry(chat).or_default();
        pace.busy = true;
        if waiting.rank == Rank::Progress {
            pace.last_progress = Some(now);
        }
        Some(Job::Card { key, chat })
    }

    /// Returns when the next waiting job may be done; `None` where only an event can bring work.
    pub(super) fn wake_at(&self, now: SinceStart) -> Option<SinceStart> {
        let answers =
            self.answers.iter().map(|(_, answer)| (answer.to.chat, Rank::Answer, Some(answer.person)));
        let cards = self.cards.values().map(|waiting| (waiting.chat, waiting.rank, None));
        answers
            .chain(cards)
            .filter_map(|(chat, rank, person)| {
                let at = |pace: &Pace| pace.ready_at(chat, rank, person, self.spacing, now);
                self.chats.get(&chat).map_or(Some(now), at)
            })
            .min()
    }

    /// Notes that the chat is idle again; `wrote` tells whether something went out.
    pub(super) fn note_end(&mut self, chat: i64, wrote: bool, now: SinceStart) {
        self.ended_for(chat, wrote, None, now);
    }

    /// Notes that somebody has an answer.
    pub(super) fn answered(&mut self, chat: i64, person: i64, now: SinceStart) {
        self.ended_for(chat, true, Some(person), now);
    }

    fn ended_for(&mut self, chat: i64, wrote: bool, person: Option<i64>, now: SinceStart) {
        let pace = self.chats.entry(chat).or_default();
        pace.busy = false;
        pace.failures = 0;
        if wrote {
            pace.sent.push_back((now, person));
            pace.sent.retain(|(at, _)| age(now, *at) < self.spacing.counts_for);
        }
    }

    /// Notes that Telegram wants a pause, or that it did not answer.
    pub(super) fn note_failure(&mut self, chat: i64, wait: Option<Duration>, now: SinceStart) {
        let pace = self.chats.entry(chat).or_default();
        pace.busy = false;
        pace.failures = pace.failures.saturating_add(1);
        let backoff = Duration::from_secs(1 << pace.failures.min(6).saturating_sub(1)).min(BACKOFF_MAX);
        pace.not_before = Some(now + wait.unwrap_or(backoff));
    }

    /// Nothing more goes there until [`Self::alive`].
    pub(super) fn dead(&mut self, chat: i64) {
        let pace = self.chats.entry(chat).or_default();
        pace.busy = false;
        pace.dead = true;
        self.answers.retain(|(_, answer)| answer.to.chat != chat);
    }

    /// Something was heard from there.
    pub(super) fn alive(&mut self, chat: i64) {
        if let Some(pace) = self.chats.get_mut(&chat) {
            pace.dead = false;
            pace.not_before = None;
        }
    }

    fn is_dead(&self, chat: i64) -> bool {
        self.chats.get(&chat).is_some_and(|pace| pace.dead)
    }

    /// The group has another number.
    pub(super) fn follow_move(&mut self, from: i64, to: i64) {
        self.chats.remove(&from);
        for (_, answer) in self.answers.iter_mut().filter(|(_, answer)| answer.to.chat == from) {
            answer.to = Address { chat: to, thread: None, reply_to: None };
            answer.rewrites = None;
        }
        for waiting in self.cards.values_mut().filter(|waiting| waiting.chat == from) {
            waiting.chat = to;
        }
    }
}

impl Pace {
    /// When something of this rank may go out; `None` while only an event can tell.
    fn ready_at(
        &self,
        chat: i64,
        rank: Rank,
        person: Option<i64>,
        spacing: Spacing,
        now: SinceStart,
    ) -> Option<SinceStart> {
        if self.busy || self.dead {
            return None;
        }
        let per_minute = match rank {
            Rank::Ring | Rank::Matter | Rank::Answer => GROUP_PER_MINUTE,
            Rank::Progress => PROGRESS_PER_MINUTE,
        };
        let apart = match rank {
            Rank::Answer => Duration::ZERO,
            Rank::Ring | Rank::Matter | Rank::Progress => spacing.card,
        };
        // Groups have numbers below zero; with a person the limit is the spacing alone.
        let full = |limit: usize, counts: &dyn Fn(Option<i64>) -> bool| {
            let counted =
                self.sent.iter().filter(|(at, to)| age(now, *at) < spacing.counts_for && counts(*to));
            let recent: Vec<_> = counted.map(|(at, _)| *at).collect();
            let first = recent.len().checked_sub(limit).filter(|_| chat < 0)?;
            recent.get(first).map(|at| *at + spacing.counts_for)
        };
        let of_answers = person.and_then(|_| full(ANSWERS_PER_MINUTE, &|to| to.is_some()));
        let of_person = person.and_then(|_| full(ANSWERS_PER_PERSON, &|to| to == person));
        // A plan does not wait behind the word that announced it: Telegram takes short bursts of answers.
        let is_before = |it: &&(SinceStart, Option<i64>)| rank == Rank::Progress || it.1.is_none();
        let spaced = self.sent.iter().rev().find(is_before).map(|(at, _)| *at + apart);
        let progress = self.last_progress.filter(|_| rank == Rank::Progress).map(|at| at + spacing.progress);
        [self.not_before, full(per_minute, &|_| true), of_answers, of_person, spaced, progress, Some(now)]
            .into_iter()
            .flatten()
            .max()
    }

    /// Returns how many answers a person got within the last minute.
    fn answered(&self, person: i64, spacing: Spacing, now: SinceStart) -> usize {
        self.sent.iter().filter(|(at, to)| age(now, *at) < spacing.counts_for && *to == Some(person)).count()
    }
}

fn age(now: SinceStart, since: SinceStart) -> Duration {
    now.saturating_sub(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::view::Page;

    const GROUP: i64 = -1;

    const NOW: SinceStart = Duration::from_secs(3);

    #[test]
    fn alerts_come_first_and_ends_before_answers_and_those_before_progress() {
        let now = NOW;
        let mut queue = Queue::default();
        queue.show("progress", GROUP, Rank::Progress);
        queue.show("end", GROUP, Rank::Matter);
        queue.show("alert", GROUP, Rank::Ring);
        queue.answer(answer(), now);
        let mut later = now;
        for expected in ["alert", "end"] {
            assert_eq!(key(queue.next(later)), expected);
            assert_eq!(queue.next(later), None, "one at a time in a chat");
            queue.note_end(GROUP, true, later);
            later += Spacing::default().card;
        }
        assert!(matches!(queue.next(later), Some(Job::Answer { .. })));
        queue.answered(GROUP, 1, later);
        assert_eq!(key(queue.next(later + Spacing::default().card)), "progress");
    }

    #[test]
    fn a_plan_follows_an_answer_at_once_and_progress_does_not() {
        let mut queue = Queue::default();
        queue.answer(answer(), NOW);
        assert!(matches!(queue.next(NOW), Some(Job::Answer { .. })));
        queue.answered(GROUP, 1, NOW);
        queue.show("progress", GROUP, Rank::Progress);
        assert_eq!(queue.next(NOW), None);
        queue.show("plan", GROUP, Rank::Matter);
        assert_eq!(key(queue.next(NOW)), "plan");
    }

    #[test]
    fn a_card_waits_once_however_often_it_changes() {
        let now = NOW;
        let mut queue = Queue::default();
        for _ in 0..50 {
            queue.show("a", GROUP, Rank::Progress);
        }
        assert_eq!(queue.waiting(), ["a"]);
        assert_eq!(key(queue.next(now)), "a");
        queue.note_end(GROUP, true, now);
        assert_eq!(queue.next(now + MINUTE), None);
    }

    #[test]
    fn progress_keeps_its_distance_and_the_end_does_not_wait_for_it() {
        let now = NOW;
        let mut queue = Queue::default();
        queue.show("a", GROUP, Rank::Progress);
        queue.next(now);
        queue.note_end(GROUP, true, now);
        queue.show("a", GROUP, Rank::Progress);
        assert_eq!(queue.next(now + Duration::from_secs(2)), None);
        assert_eq!(queue.wake_at(now + Duration::from_secs(2)), Some(now + Spacing::default().progress));
        queue.show("a", GROUP, Rank::Matter);
        assert_eq!(key(queue.next(now + Duration::from_secs(2))), "a");
    }

    #[test]
    fn a_group_never_gets_more_than_twenty_a_minute() {
        let start = NOW;
        let mut queue = Queue::default();
        let mut sent: Vec<Duration> = Vec::new();
        for tick in 0..1800_u32 {
            let now = start + Duration::from_millis(100) * tick;
            queue.show("progress", GROUP, Rank::Progress);
            queue.show("end", GROUP, Rank::Matter);
            if tick % 7 == 0 {
                queue.answer(answer(), now);
            }
            if queue.next(now).is_some() {
                queue.note_end(GROUP, true, now);
                sent.push(now - start);
            }
        }
        for at in &sent {
            let within = sent.iter().filter(|other| **other >= *at && **other - *at < MINUTE).count();
            assert!(within <= GROUP_PER_MINUTE, "{within} within a minute of {at:?}");
        }
        assert!(sent.len() >= 55, "{}", sent.len());
    }

    #[test]
    fn telegrams_pause_is_kept() {
        let now = NOW;
        let mut queue = Queue::default();
        queue.show("a", GROUP, Rank::Matter);
        queue.next(now);
        queue.note_failure(GROUP, Some(Duration::from_secs(17)), now);
        queue.show("a", GROUP, Rank::Matter);
        assert_eq!(queue.next(now + Duration::from_secs(16)), None);
        assert_eq!(queue.wake_at(now), Some(now + Duration::from_secs(17)));
        assert_eq!(key(queue.next(now + Duration::from_secs(17))), "a");
    }

    #[test]
    fn without_an_answer_the_wait_grows_to_a_minute() {
        let now = NOW;
        let mut queue = Queue::default();
        let waits: Vec<_> = (0..9)
            .map(|_| {
                queue.show("a", GROUP, Rank::Matter);
                queue.note_failure(GROUP, None, now);
                queue.wake_at(now).map(|at| (at - now).as_secs())
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 32, 32, 32].map(Some));
    }

    #[test]
    fn a_dead_chat_gets_nothing_until_it_is_heard_of_and_another_chat_is_not_hindered() {
        let now = NOW;
        let mut queue = Queue::default();
        queue.answer(answer(), now);
        queue.show("a", GROUP, Rank::Matter);
        queue.dead(GROUP);
        assert!(!queue.answer(answer(), now));
        queue.show("b", 5, Rank::Progress);
        assert_eq!(key(queue.next(now)), "b");
        assert_eq!(queue.next(now), None);
        assert_eq!(queue.wake_at(now), None);
        queue.alive(GROUP);
        assert_eq!(key(queue.next(now)), "a");
    }

    #[test]
    fn answers_are_bounded_in_number_and_in_age() {
        let now = NOW;
        let mut queue = Queue::default();
        let taken =
            |queue: &mut Queue, person| (0..500).filter(|_| queue.answer(answer_to(person), now)).count();
        assert_eq!(taken(&mut queue, 1), ANSWERS_OF_PERSON_MAX);
        assert_eq!(
            (2..9).map(|person| taken(&mut queue, person)).sum::<usize>(),
            ANSWERS_MAX - ANSWERS_OF_PERSON_MAX
        );
        assert_eq!(queue.next(now + ANSWER_AGE_MAX + Duration::from_secs(1)), None);
    }

    #[test]
    fn a_group_that_became_a_supergroup_keeps_what_waits() {
        let now = NOW;
        let mut queue = Queue::default();
        queue.answer(answer(), now);
        queue.show("a", GROUP, Rank::Matter);
        queue.follow_move(GROUP, -100);
        assert_eq!(queue.next(now), Some(Job::Card { key: "a".into(), chat: -100 }));
        queue.note_end(-100, false, now);
        assert!(matches!(queue.next(now), Some(Job::Answer { answer, .. }) if answer.to.chat == -100));
    }

    #[test]
    fn sixty_questions_of_one_person_delay_no_alert_and_nobody_elses_answer() {
        let mut queue = Queue::default();
        let taken = (0..60).filter(|_| queue.answer(answer_to(1), NOW)).count();
        assert_eq!(taken, ANSWERS_OF_PERSON_MAX);
        let (mut now, mut sent) = (NOW, Vec::new());
        let next = |queue: &mut Queue, now| match queue.next(now) {
            Some(Job::Answer { answer, .. }) => {
                queue.answered(GROUP, answer.person, now);
                Some(answer.person)
            }
            Some(Job::Card { .. }) => {
                queue.note_end(GROUP, true, now);
                Some(0)
            }
            None => None,
        };
        while let Some(person) = next(&mut queue, now) {
            sent.push(person);
        }
        assert_eq!(sent, [1; ANSWERS_PER_PERSON]);
        queue.answer(answer_to(2), now);
        assert_eq!(next(&mut queue, now), Some(2));
        now += Spacing::default().card;
        queue.show("alert", GROUP, Rank::Ring);
        assert_eq!(next(&mut queue, now), Some(0));
        assert_eq!(queue.wake_at(now), Some(NOW + MINUTE));
    }

    fn answer() -> Answer {
        answer_to(1)
    }

    fn answer_to(person: i64) -> Answer {
        let to = Address { chat: GROUP, thread: None, reply_to: None };
        Answer { to, page: Page::default(), rewrites: None, person, kind: AnswerKind::Final, attached: None }
    }

    fn key(job: Option<Job>) -> String {
        match job {
            Some(Job::Card { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    }
}
