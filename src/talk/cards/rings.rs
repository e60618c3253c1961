//! Alerts and failures: their cards, what rings, and who takes them in hand.

use chrono::{DateTime, Utc};

use super::{
    Address, Card, Cards, Effect, Failures, HandKind, NEWS, Now, Subject,
    bell::Urgency,
    card::{BOARD, alert_key, proposal_key},
    failures::{self, FailedPlan},
};
use crate::{
    event::Alert,
    model::{ClusterId, Person},
    store::{Proposal, ProposalState},
    talk::view::Page,
};

impl Cards {
    /// Shows how things stand in the one pinned message.
    pub(super) fn show_board(&mut self, page: Page, now: Now) {
        let Some(home) = self.home.map(|home| self.resolve(home)) else { return };
        let known = self.cards.get(BOARD).cloned();
        let mut card =
            known.unwrap_or_else(|| Card::new(Subject::Board { revision: 0, over: false }, home, now.date));
        let differs = card.differs_from(&page);
        self.board = Some(page);
        if let Subject::Board { revision, over } = &mut card.subject
            && (std::mem::take(over) || differs)
        {
            *revision += 1;
            self.renew(card, now);
        }
    }

    /// Says in the pinned message that it is not kept any more, so that nobody takes it for how things stand.
    pub(super) fn end_board(&mut self, page: Page, now: Now) {
        let Some(mut card) = self.cards.get(BOARD).cloned() else { return };
        self.board = Some(page);
        if let Subject::Board { revision, over } = &mut card.subject {
            *over = true;
            *revision += 1;
            self.renew(card, now);
        }
    }

    /// Forgets a board that says that it is not kept any more, or whose message is gone.
    pub(super) fn leave_board(&mut self) {
        let Some(card) = self.remove(BOARD) else { return };
        let pinned = card.messages.first().map(|shown| shown.message);
        self.effects.extend(pinned.map(|message| Effect::Unpin { chat: card.chat, message }));
    }

    pub(super) fn show_alert(&mut self, alert: Alert, dry_run: bool, now: Now) {
        let Some(home) = self.home else { return };
        if let Some(cluster) = failures::cluster_of(&alert) {
            return self.show_consequence(cluster, alert, dry_run, self.resolve(home), now);
        }
        let key = alert_key(&alert);
        let known = self.cards.remove(&key);
        let (mut revision, mut count, mut earlier) = (1, 1, None);
        let mut card = match known {
            Some(card) if card.is_continued_by(&alert, now.date) => {
                if let Subject::Alert {
                    alert: known, revision: shown, count: times, earlier: outage, ..
                } = &card.subject
                {
                    if *known == alert && card.shown.is_some() {
                        // Shown already.
                        self.cards.insert(key, card);
                        return;
                    }
                    (revision, count, earlier) = (shown + 1, times.max(&1) + 1, *outage);
                }
                card
            }
            known => {
                earlier = known.as_ref().and_then(Card::outage).filter(|(_, until)| now.date - *until < NEWS);
                let subject = Subject::Missing { quiet: 0, troubled: 0 };
                Card::new(subject, self.resolve(home), now.date)
            }
        };
        card.subject = Subject::Alert { alert, revision, dry_run, count, earlier };
        card.settled = false;
        card.touched_at = now.date;
        self.keep(card);
        self.want(&key, now);
    }

    /// Shows what failed migrations led to, beside the failures themselves.
    pub(super) fn show_consequence(
        &mut self,
        cluster: ClusterId,
        alert: Alert,
        dry_run: bool,
        to: Address,
        now: Now,
    ) {
        let is_fresh = |card: &&Card| {
            card.failures().is_some_and(|failures| failures.cluster == cluster) && card.is_recent(now.date)
        };
        let known = self.cards.values().filter(is_fresh).max_by_key(|card| card.touched_at).cloned();
        let mut card = known
            .unwrap_or_else(|| Card::new(Subject::Failures(Failures::new(cluster, dry_run)), to, now.date));
        let Subject::Failures(failures) = &mut card.subject else { return };
        if !failures.alerts.contains(&alert) {
            failures.add(alert);
            self.renew(card, now);
        }
    }

    /// Shows the failures of a plan in one message beside the plan's own: an edit of that would not ring.
    pub(super) fn show_failures(&mut self, proposal: &Proposal, now: Now) {
        let plan = FailedPlan::of(proposal);
        let key = failures::key(proposal.cluster, Some(proposal.id));
        let (of_cluster, is_known) = (failures::key(proposal.cluster, None), self.cards.contains_key(&key));
        if plan.steps.is_empty() && !is_known {
            return;
        }
        let came_before = self.cards.get(&of_cluster).is_some_and(|card| card.is_recent(now.date));
        let to = self.home.map(|home| self.resolve(home)).or_else(|| self.address(proposal));
        let Some(mut to) = to else { return };
        let known = match came_before && !is_known {
            true => self.remove(&of_cluster),
            false => self.cards.get(&key).cloned(),
        };
        let mut card = known.unwrap_or_else(|| {
            let of_plan = self.cards.get(&proposal_key(proposal.id));
            let beside = of_plan.filter(|card| card.chat == to.chat);
            to.reply_to = beside.and_then(|card| card.messages.first()).map(|shown| shown.message);
            let failures = Failures::new(proposal.cluster, proposal.dry_run);
            Card::new(Subject::Failures(failures), to, now.date)
        });
        let Subject::Failures(failures) = &mut card.subject else { return };
        if failures.plan.as_ref() != Some(&plan) {
            failures.plan = Some(plan);
            failures.revision += 1;
            self.renew(card, now);
        }
    }

    /// Notes that somebody takes an alert in hand, and shows it.
    pub(super) fn take_in_hand(&mut self, key: &str, kind: HandKind, by: Person, now: Now) {
        let Some(mut card) = self.cards.get(key).filter(|card| card.urgency().is_some()).cloned() else {
            return;
        };
        card.rings.take(kind, by, now.date);
        card.shown = None;
        self.renew(card, now);
    }

    /// Queues the cards that ring at this time of the day.
    pub(super) fn look_at_calendar(&mut self, now: Now) {
        self.calendar_seen = now.run;
        let due: Vec<_> =
            self.cards.values().filter(|card| self.ring(card, now).is_some()).map(Card::key).collect();
        due.iter().for_each(|key| self.want(key, now));
    }

    /// How urgent a matter is; `None` where it does not ring.
    pub(super) fn urgency(&self, card: &Card) -> Option<Urgency> {
        match &card.subject {
            Subject::Proposal { id, .. } => {
                let proposal = self.proposals.get(id)?;
                if proposal.waits_for_hand() {
                    return Some(Urgency::Slow);
                }
                let waits = proposal.state == ProposalState::Pending && !proposal.dry_run;
                waits.then(|| Urgency::of_plan(&proposal.plan))
            }
            _ => card.urgency(),
        }
    }

    /// Returns the ring that is due.
    pub(super) fn ring(&self, card: &Card, now: Now) -> Option<Urgency> {
        self.urgency(card).filter(|urgency| self.bell.is_due(&card.rings, *urgency, now.date))
    }

    /// Says who takes an alert in hand, or asks for somebody with buttons.
    pub(super) fn with_hand(&self, page: Page, card: &Card, dry_run: bool, now: DateTime<Utc>) -> Page {
        let page = match card.urgency() {
            Some(_) => self.view(card.chat).in_hand(page, &card.key(), card.rings.hand.as_ref(), now),
            None => page,
        };
        if dry_run { page.in_dry_run() } else { page }
    }
}
