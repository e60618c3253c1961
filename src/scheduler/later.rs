//! Plans that people approved for later: in the next window, or at a time. They are kept in the store like every other,
//! and checked anew when they begin.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    PlanOf, Refused,
    proposals::{Proposals, is_running},
    switches::InForce,
};
use crate::{
    model::{Person, ProposalId},
    store::{Begin, Proposal, ProposalState, StoreError},
};

/// A plan that was to begin at a time and could not (the bot was away, or paused) is not begun after this: who wanted
/// it at night does not want it in the morning.
const LATE_MAX: TimeDelta = TimeDelta::hours(1);

/// A plan is approved no sooner than this after somebody else changed it.
const READING_TIME: TimeDelta = TimeDelta::seconds(5);

/// When an approved plan is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    /// As soon as `BALANCE_WINDOW` is open.
    InWindow,
    At(DateTime<Utc>),
}

/// What is to become of a plan that waits for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Waits,
    Begins,
    /// Its time is over.
    TooLate,
    /// It missed a window and waits for the next.
    Again {
        opens: DateTime<Utc>,
    },
}

/// Says whether a plan begins now. `opens` is when the window opens next; `None` while it is open.
pub(super) fn due(begin: Begin, in_force: &InForce, opens: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Due {
    let may_begin = in_force.pause.is_none() && !in_force.restored_unconfirmed;
    match (begin, opens) {
        (Begin::InWindow { .. }, None) if may_begin => Due::Begins,
        (Begin::InWindow { opens: known }, Some(opens)) if known <= now => Due::Again { opens },
        (Begin::InWindow { .. }, _) => Due::Waits,
        (Begin::At(at), _) if now < at => Due::Waits,
        (Begin::At(at), _) if now - at > LATE_MAX => Due::TooLate,
        (Begin::At(_), _) if may_begin => Due::Begins,
        (Begin::At(_), _) => Due::Waits,
    }
}

impl Proposals {
    /// Returns the plans whose time has come; from now on they run like those that were approved for at once.
    pub(super) fn begin_due(
        &self,
        in_force: &InForce,
        opens: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ProposalId>, StoreError> {
        let open = self.store().open_proposals()?;
        let mut begun: Vec<&Proposal> = Vec::new();
        for proposal in open.iter().filter(|proposal| proposal.is_deferred()) {
            let Some(begin) = proposal.begins else { continue };
            let is_here = |other: &Proposal| other.cluster == proposal.cluster;
            let is_busy = open.iter().any(|other| is_here(other) && is_running(other))
                || begun.iter().any(|other| is_here(other));
            match due(begin, in_force, opens, now) {
                Due::Begins if !is_busy => begun.push(proposal),
                Due::Begins | Due::Waits => {}
                Due::TooLate => {
                    self.change(proposal.id, |it| it.state = ProposalState::Expired { at: now })?
                }
                Due::Again { opens } => {
                    self.change(proposal.id, |it| it.begins = Some(Begin::InWindow { opens }))?;
                }
            }
        }
        let begun: Vec<_> = begun.into_iter().map(|proposal| proposal.id).collect();
        begun.iter().try_for_each(|id| self.change(*id, |it| it.begins = None))?;
        Ok(begun)
    }

    /// Finds the pending plan that somebody means: by its number, its cluster, or the only one.
    pub(super) fn pending_called(&self, called: Option<&str>, by: &Person) -> Result<Proposal, Refused> {
        let open = self.store().open_proposals()?;
        let mut pending: Vec<_> =
            open.into_iter().filter(|proposal| proposal.state == ProposalState::Pending).collect();
        let of = |proposal: &Proposal| PlanOf { plan: proposal.id, cluster: proposal.cluster_name.clone() };
        if let Some(called) = called {
            if let Ok(number) = called.trim_start_matches('#').parse() {
                let known = self.existing(ProposalId(number))?;
                if known.state != ProposalState::Pending {
                    return Err(Refused::NotPending { proposal: known.id, state: known.state });
                }
            }
            pending.retain(|proposal| proposal.is_called(called));
        }
        match pending.len() {
            0 => Err(Refused::NothingWaits),
            1 => {
                let known = pending.remove(0);
                let changed = known.changed.as_ref().filter(|it| self.now() - it.at < READING_TIME);
                let is_foreign = changed.is_some_and(|it| it.by.as_ref().is_none_or(|who| who.id != by.id));
                if is_foreign { Err(Refused::Changed { proposal: known.id }) } else { Ok(known) }
            }
            _ => Err(Refused::WhichWaits { waiting: pending.iter().map(of).collect() }),
        }
    }

    pub(super) fn change(
        &self,
        id: ProposalId,
        change: impl FnOnce(&mut Proposal),
    ) -> Result<(), StoreError> {
        self.store().update_proposal(id, change)?;
        self.notify(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::{Mode, Pause};

    #[test]
    fn a_plan_begins_at_its_time_unless_something_forbids_it() {
        let at = |minutes: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let free = InForce {
            mode: Mode::Off,
            dry_run: false,
            pause: None,
            window_open: true,
            stopped_clusters: BTreeSet::new(),
            restored_unconfirmed: false,
            orders_refused: false,
            standing: Vec::new(),
        };
        let by = Person { id: 1, name: "Anna".into() };
        let paused =
            InForce { pause: Some(Pause { by, at: at(0), until: None, reason: None }), ..free.clone() };
        let restored = InForce { restored_unconfirmed: true, ..free.clone() };
        let timed = Begin::At(at(60));
        for (minutes, in_force, expected) in [
            (59, &free, Due::Waits),
            (60, &free, Due::Begins),
            (120, &free, Due::Begins),
            (121, &free, Due::TooLate),
            (60, &paused, Due::Waits),
            (121, &paused, Due::TooLate),
            (60, &restored, Due::Waits),
        ] {
            assert_eq!(due(timed, in_force, None, at(minutes)), expected, "{minutes}");
        }
        let windowed = Begin::InWindow { opens: at(60) };
        assert_eq!(due(windowed, &free, Some(at(60)), at(59)), Due::Waits);
        assert_eq!(due(windowed, &free, None, at(60)), Due::Begins);
        assert_eq!(due(windowed, &paused, None, at(60)), Due::Waits);
        assert_eq!(due(windowed, &free, Some(at(1500)), at(121)), Due::Again { opens: at(1500) });
    }
}
