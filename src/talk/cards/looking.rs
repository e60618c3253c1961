//! Answers, and the word that one takes a while: the answer or the plan goes on in that message.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Address, Answer, AnswerKind, Card, Cards, Effect, Failed, Now, SinceStart, bell::Urgency};

/// How many answers may take a while at the same time.
const LOOKING_MAX: usize = 100;

/// For this long people look at the message that says that the answer takes a while. After it the phone is away, and
/// an edit is not noticed.
const ATTENTION: TimeDelta = TimeDelta::seconds(5);

/// The message that says that an answer takes a while.
#[derive(Debug)]
pub(super) struct Looking {
    since: DateTime<Utc>,
    stage: Stage,
}

/// How far that message is.
#[derive(Debug)]
enum Stage {
    UnderWay,
    Shown(i32),
    /// This card goes on in it.
    ThenCard(String),
    ThenAnswer(Answer),
}

impl Cards {
    pub(super) fn queue_answer(&mut self, answer: Answer, now: Now) {
        let chat = answer.to.chat;
        if !self.queue.answer(answer, now.run) {
            self.effects.push(Effect::AnswerDropped { chat });
        }
    }

    /// Notes that an answer takes a while.
    pub(super) fn look(&mut self, interim: Answer, now: Now) -> Answer {
        if let Some(message) = interim.to.reply_to {
            if self.looking.len() >= LOOKING_MAX {
                self.looking.pop_first();
            }
            let looking = Looking { since: now.date, stage: Stage::UnderWay };
            self.looking.insert((interim.to.chat, message), looking);
        }
        interim
    }

    /// Lets an answer go on in the message that said that it takes a while; `None` where it waits for that.
    pub(super) fn after_looking(&mut self, mut answer: Answer) -> Option<Answer> {
        let Some(place) = answer.to.reply_to.map(|message| (answer.to.chat, message)) else {
            return Some(answer);
        };
        match self.looking.remove(&place) {
            Some(Looking { stage: Stage::Shown(message), .. }) => answer.rewrites = Some(message),
            Some(Looking { since, .. }) if !self.queue.withdraw(answer.to) => {
                self.looking.insert(place, Looking { since, stage: Stage::ThenAnswer(answer) });
                return None;
            }
            Some(_) | None => {}
        }
        Some(answer)
    }

    /// How urgent a plan is where who asked for it can decide it alone and still looks at its message: then it need not
    /// ring. One that others must approve, or that came late, rings in a message of its own.
    fn seen_by_asking(&self, card: &Card, since: DateTime<Utc>, now: Now) -> Option<Urgency> {
        let proposal = self.proposals.get(&card.proposal()?)?;
        let is_watched = proposal.approvals_needed <= 1 && now.date - since < ATTENTION;
        self.urgency(card).filter(|_| is_watched)
    }

    /// Lets a plan go on in the message that said that it takes a while.
    pub(super) fn card_after_looking(&mut self, card: &mut Card, to: Address, now: Now) {
        let Some(place) = to.reply_to.map(|message| (to.chat, message)) else { return };
        match self.looking.remove(&place) {
            Some(Looking { since, stage: Stage::Shown(message) }) => {
                card.go_on_in(message, self.seen_by_asking(card, since, now), now.date);
            }
            Some(Looking { since, .. }) if !self.queue.withdraw(to) => {
                self.looking.insert(place, Looking { since, stage: Stage::ThenCard(card.key()) });
            }
            Some(_) | None => {}
        }
    }

    /// The message that says that an answer takes a while was sent, or could not be.
    fn looking_ended(&mut self, to: Address, sent: Option<i32>, now: Now) {
        let Some(place) = to.reply_to.map(|message| (to.chat, message)) else { return };
        let Some(Looking { since, stage }) = self.looking.remove(&place) else { return };
        match (stage, sent) {
            (Stage::UnderWay, Some(message)) => {
                self.looking.insert(place, Looking { since, stage: Stage::Shown(message) });
            }
            (Stage::ThenAnswer(answer), sent) => {
                self.queue_answer(Answer { rewrites: sent, ..answer }, now);
            }
            (Stage::ThenCard(key), Some(message)) => {
                let urgency = self.cards.get(&key).and_then(|card| self.seen_by_asking(card, since, now));
                self.change(&key, |card| card.go_on_in(message, urgency, now.date));
                self.want(&key, now);
            }
            _ => {}
        }
    }

    pub(super) fn answer_ended(
        &mut self,
        mut answer: Answer,
        since: SinceStart,
        result: Result<Option<i32>, Failed>,
        now: Now,
    ) {
        let chat = answer.to.chat;
        let is_interim = answer.kind != AnswerKind::Final;
        if is_interim {
            let sent = result.as_ref().ok().copied().flatten();
            self.looking_ended(answer.to, sent, now);
        }
        match result {
            Ok(_) => return self.queue.answered(chat, answer.person, now.run),
            Err(Failed::Wait(wait)) => self.queue.note_failure(chat, Some(wait), now.run),
            Err(Failed::NoAnswer | Failed::Unreached) => self.queue.note_failure(chat, None, now.run),
            Err(Failed::MessageGone) if answer.rewrites.is_some() => {
                answer.rewrites = None;
                self.queue.note_end(chat, false, now.run);
            }
            Err(Failed::ThreadGone) if answer.to.thread.is_some() => {
                answer.to.thread = None;
                self.queue.note_end(chat, false, now.run);
            }
            Err(Failed::Moved(to)) => {
                self.queue.note_end(chat, false, now.run);
                self.queue.answer_again(answer, since);
                return self.follow_group(chat, to, now);
            }
            Err(Failed::Refused) if answer.attached.is_some() => {
                answer.attached = None;
                self.queue.note_end(chat, false, now.run);
            }
            Err(Failed::ChatDead(why)) => return self.lose_chat(chat, why),
            Err(Failed::Unauthorized | Failed::MessageGone | Failed::ThreadGone | Failed::Refused) => {
                self.queue.note_end(chat, false, now.run);
                return self.effects.push(Effect::AnswerDropped { chat });
            }
        }
        if !is_interim {
            self.queue.answer_again(answer, since);
        }
    }
}
