//! Standing approvals: what people let cycles carry out by themselves for a while. What is used of one is counted from
//! the proposals that it let run, so nothing has to be written for it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Approval, Approver, Outcome, Proposal, ProposalState, Settings, Step, StepState, Store, StoreError,
};
use crate::{
    model::{Mib, Person},
    planner::{Limits, Used},
};

/// A standing approval that somebody asked for in the chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub by: Person,
    pub asked_at: DateTime<Utc>,
    /// Until when people may confirm it.
    pub expires_at: DateTime<Utc>,
    /// When it ends by itself.
    pub until: DateTime<Utc>,
    pub limits: Limits,
    /// The name of the cluster of the limits.
    pub cluster_name: Option<String>,
    pub approvals_needed: u32,
    pub approvals: Vec<Approval>,
    /// When the last needed person confirmed it; it names the approval in the records of what it let run.
    pub given_at: Option<DateTime<Utc>>,
}

/// What a press of Confirm counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It was the last one needed.
    Given,
    /// Others must press too.
    Counted,
    AlreadyCounted {
        have: u32,
        need: u32,
    },
    /// The person who asked does not count where several must approve.
    OwnRequest {
        have: u32,
        need: u32,
    },
    /// It is given already, was taken back, or its time is over.
    Gone,
}

/// What became of a standing approval so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StandingUse {
    pub used: Used,
    /// A migration failed, or nobody knows how it ended.
    pub has_failed: bool,
    /// What of it has moved.
    pub moved: Used,
    /// Some of it has not ended.
    pub is_open: bool,
}

impl Standing {
    /// Returns eight hex digits of what a confirmation is about.
    #[must_use]
    pub fn tag(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{:?} {} {} {:?}", self.asked_at, self.by.id, self.until, self.limits));
        hex::encode(&hash.finalize()[..4])
    }

    /// Returns how many people confirmed it, and how many must.
    #[must_use]
    pub fn votes(&self) -> (u32, u32) {
        (self.approvals.len().try_into().unwrap_or(u32::MAX), self.approvals_needed.max(1))
    }

    /// Counts a press of Confirm, by the rules of a plan's Approve.
    fn confirm(&mut self, by: &Person, now: DateTime<Utc>) -> Confirmed {
        let (have, need) = self.votes();
        if self.given_at.is_some() || now >= self.expires_at || now >= self.until {
            return Confirmed::Gone;
        }
        if self.approvals.iter().any(|approval| approval.by.id == by.id) {
            return Confirmed::AlreadyCounted { have, need };
        }
        if need > 1 && by.id == self.by.id {
            return Confirmed::OwnRequest { have, need };
        }
        self.approvals.push(Approval { by: by.clone(), at: now });
        if have + 1 < need {
            return Confirmed::Counted;
        }
        self.given_at = Some(now);
        Confirmed::Given
    }
}

impl Settings {
    /// Ends every standing approval: the one of the chat, and for this night the one of the configuration.
    pub fn end_standing(&mut self, now: DateTime<Utc>) {
        self.standing = None;
        self.standing_ended_at = Some(now);
    }
}

impl Store {
    /// Counts a press of Confirm for the request with this tag; on disk when this returns.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; nothing is counted then.
    pub fn confirm_standing(
        &self,
        tag: &str,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<Confirmed, StoreError> {
        let mut confirmed = Confirmed::Gone;
        self.update_settings(|settings| {
            if let Some(standing) = settings.standing.as_mut().filter(|standing| standing.tag() == tag) {
                confirmed = standing.confirm(by, now);
            }
        })?;
        Ok(confirmed)
    }

    /// Returns what the standing approval that was given at `since` let run.
    pub fn standing_use(&self, since: DateTime<Utc>) -> Result<StandingUse, StoreError> {
        let mut of = StandingUse::default();
        for proposal in self.files()?.proposals.newest() {
            let proposal = proposal?;
            if proposal.created_at < since {
                break;
            }
            if is_under(&proposal, since) {
                of.count(&proposal);
            }
        }
        Ok(of)
    }
}

impl StandingUse {
    fn count(&mut self, proposal: &Proposal) {
        for step in &proposal.steps {
            match &step.state {
                StepState::LeftOut { .. } | StepState::Ended { outcome: Outcome::Dropped, .. } => continue,
                StepState::Ended { outcome: Outcome::Failed | Outcome::Lost, .. } => self.has_failed = true,
                StepState::Ended { outcome: Outcome::Done, .. } => add(&mut self.moved, step),
                StepState::Waiting | StepState::Running { .. } => self.is_open = true,
            }
            add(&mut self.used, step);
        }
        self.is_open |= !proposal.state.is_final();
    }
}

fn add(used: &mut Used, step: &Step) {
    used.migrations += 1;
    used.ram = Mib(used.ram.0 + step.migration.ram.0);
}

/// Tells whether a proposal runs or ran by that standing approval.
fn is_under(proposal: &Proposal, given_at: DateTime<Utc>) -> bool {
    match &proposal.state {
        ProposalState::Approved { by, .. }
        | ProposalState::Running { by, .. }
        | ProposalState::Done { by, .. } => {
            matches!(by, Approver::Standing { since, .. } if *since == given_at)
        }
        ProposalState::Pending
        | ProposalState::Rejected { .. }
        | ProposalState::Expired { .. }
        | ProposalState::Superseded { .. }
        | ProposalState::Stale { .. }
        | ProposalState::Shown { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tempfile::TempDir;

    use super::*;

    fn person(id: i64) -> Person {
        Person { id, name: format!("person {id}") }
    }

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn asked(approvals_needed: u32) -> Standing {
        Standing {
            by: person(1),
            asked_at: at(0),
            expires_at: at(30),
            until: at(600),
            limits: Limits::default(),
            cluster_name: None,
            approvals_needed,
            approvals: Vec::new(),
            given_at: None,
        }
    }

    #[test]
    fn it_is_confirmed_by_the_rules_of_a_plan() {
        let mut alone = asked(1);
        assert_eq!(alone.confirm(&person(1), at(1)), Confirmed::Given);
        assert_eq!(alone.given_at, Some(at(1)));
        assert_eq!(alone.confirm(&person(2), at(2)), Confirmed::Gone);
        let mut two = asked(2);
        assert_eq!(two.confirm(&person(1), at(1)), Confirmed::OwnRequest { have: 0, need: 2 });
        assert_eq!(two.confirm(&person(2), at(1)), Confirmed::Counted);
        assert_eq!(two.confirm(&person(2), at(2)), Confirmed::AlreadyCounted { have: 1, need: 2 });
        assert_eq!(two.confirm(&person(3), at(3)), Confirmed::Given);
        assert_eq!(asked(1).confirm(&person(1), at(30)), Confirmed::Gone, "too late");
    }

    #[test]
    fn it_outlives_a_restart_and_a_restored_store_has_none() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.update_settings(|settings| settings.standing = Some(asked(1))).unwrap();
        let other = Standing { limits: Limits { migrations_max: Some(9), ..Limits::default() }, ..asked(1) };
        assert_eq!(store.confirm_standing(&other.tag(), &person(1), at(1)).unwrap(), Confirmed::Gone);
        assert_eq!(store.confirm_standing(&asked(1).tag(), &person(1), at(1)).unwrap(), Confirmed::Given);
        store.export(at(2)).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.settings().unwrap().standing.and_then(|it| it.given_at), Some(at(1)));
        drop(store);
        std::fs::remove_dir_all(dir.path().join("store")).unwrap();
        std::fs::create_dir(dir.path().join("store")).unwrap();
        let restored = Store::open_or_restore(dir.path(), at(3)).unwrap();
        assert_eq!(restored.settings().unwrap().standing, None);
    }
}
