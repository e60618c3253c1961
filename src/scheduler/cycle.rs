//! What a cycle of the schedule does with each cluster's plan.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{
    LastCycle, Picture,
    core::{Core, is_paused},
};
use crate::{
    balancer::CycleError,
    event::Event,
    model::{ClusterId, MigrationId, NodeId, ProposalId, VmId},
    planner::ClusterPlan,
    store::{
        Approver, Mode, Origin, Proposal, ProposalState, Proposed, Settings as ChatSettings, StoreError,
    },
};

/// What was rejected is not proposed again by the schedule for a day, unless it becomes another plan.
const REJECTION_HOLDS: TimeDelta = TimeDelta::days(1);

/// Proposals to look through for what was shown or rejected already: a day has at most so many that matter.
const RECENT: usize = 100;

/// What the cycle may do at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    Nothing,
    /// Post what would be done.
    Show,
    Propose,
    CarryOut,
}

/// The journal before a look.
struct Before {
    newest: Option<MigrationId>,
    /// Clusters with a migration of ours under way.
    migrating: BTreeSet<ClusterId>,
}

impl Core {
    /// Runs one cycle; returns what is to be carried out.
    pub(super) async fn cycle(&self) -> Vec<ProposalId> {
        let at = self.now();
        let done = self.look_and_decide().await;
        let trouble = done.as_ref().err().map(CycleError::trouble);
        if let Err(error) = &done {
            tracing::warn!(%error, ?trouble, "a cycle could not be done");
        }
        self.state().last_cycle = Some(LastCycle { at, trouble });
        done.unwrap_or_default()
    }

    async fn look_and_decide(&self) -> Result<Vec<ProposalId>, CycleError> {
        self.expire();
        let before = self.before()?;
        let picture = self.look().await?;
        let chat = self.store().settings()?;
        let mut approved = Vec::new();
        for plan in &picture.plan.clusters {
            if self.stop.is_cancelled() {
                break;
            }
            if self.has_moved_since(&before, plan.cluster)? {
                continue;
            }
            let done = match self.may(&chat, plan)? {
                May::Nothing => None,
                May::Show => self.show(&picture, plan)?,
                May::Propose => self.propose_unless_there(&picture, plan)?,
                May::CarryOut => self.approve_by_mode(&picture, plan)?,
            };
            approved.extend(done);
        }
        Ok(approved)
    }

    /// Tells whether a migration of ours ran in this cluster while it was looked at and planned for: the plan stands
    /// on ground that has moved, and the next cycle knows better.
    fn has_moved_since(&self, before: &Before, cluster: ClusterId) -> Result<bool, StoreError> {
        if before.migrating.contains(&cluster) {
            return Ok(true);
        }
        let since = self.store().entries_after(before.newest)?;
        Ok(since.iter().any(|entry| entry.cluster == cluster))
    }

    fn before(&self) -> Result<Before, StoreError> {
        let migrating = self.store().open_entries()?.iter().map(|entry| entry.cluster).collect();
        Ok(Before { newest: self.store().newest_entry()?, migrating })
    }

    fn may(&self, chat: &ChatSettings, plan: &ClusterPlan) -> Result<May, StoreError> {
        let now = self.now();
        let mode = self.mode(chat);
        if mode == Mode::Off || is_paused(chat.pause.as_ref(), now) {
            return Ok(May::Nothing);
        }
        if self.balancer.dry_run()? {
            return Ok(May::Show);
        }
        // A restored store may lack what was decided since its export: people look first.
        if mode == Mode::Propose || chat.restored_unconfirmed {
            return Ok(May::Propose);
        }
        let allowed = self.window_open(now)
            && !chat.stopped_clusters.contains(&plan.cluster)
            && !self.balancer.account_is_refused(now);
        Ok(if allowed { May::CarryOut } else { May::Nothing })
    }

    /// Shows a plan of a dry run, once.
    fn show(&self, picture: &Picture, plan: &ClusterPlan) -> Result<Option<ProposalId>, StoreError> {
        if plan.migrations.is_empty() {
            return Ok(None);
        }
        let newest = self.newest_of(plan)?;
        let is_shown = newest.is_some_and(|newest| {
            matches!(newest.state, ProposalState::Shown { .. }) && is_same(&newest.plan, plan)
        });
        if !is_shown {
            let state = ProposalState::Shown { at: self.now() };
            self.record(plan, picture.plan.taken_at, Origin::Schedule, state, None)?;
        }
        Ok(None)
    }

    /// Keeps one live proposal per cluster.
    fn propose_unless_there(
        &self,
        picture: &Picture,
        plan: &ClusterPlan,
    ) -> Result<Option<ProposalId>, StoreError> {
        let pending = self.store().pending_of(plan.cluster)?;
        if let Some(pending) = &pending {
            if !plan.incomplete.is_empty() || self.still_stands(picture, pending, plan) {
                return Ok(None);
            }
            if plan.migrations.is_empty() {
                self.end_as_stale(pending.id)?;
                return Ok(None);
            }
        }
        if plan.migrations.is_empty() || self.was_rejected(plan)? {
            return Ok(None);
        }
        let reply_to = pending.and_then(|pending| pending.reply_to);
        self.propose(plan, picture.plan.taken_at, Origin::Schedule, reply_to)?;
        Ok(None)
    }

    fn approve_by_mode(
        &self,
        picture: &Picture,
        plan: &ClusterPlan,
    ) -> Result<Option<ProposalId>, StoreError> {
        if plan.migrations.is_empty() {
            return Ok(None);
        }
        let approved = ProposalState::Approved { by: Approver::Auto, at: self.now() };
        let recorded = self.record(plan, picture.plan.taken_at, Origin::Schedule, approved, None)?;
        Ok(match recorded {
            Proposed::Recorded { proposal, .. } => Some(proposal.id),
            Proposed::Busy(_) => None,
        })
    }

    fn still_stands(&self, picture: &Picture, pending: &Proposal, plan: &ClusterPlan) -> bool {
        if pending.plan.id == plan.id {
            return true;
        }
        let left = self.balancer.revalidate(picture, pending);
        left.dropped.is_empty() && left.relieves
    }

    pub(super) fn end_as_stale(&self, id: ProposalId) -> Result<(), StoreError> {
        if self.store().end_pending(id, ProposalState::Stale { at: self.now() })? {
            self.events().say(Event::Proposal(id));
        }
        Ok(())
    }

    fn newest_of(&self, plan: &ClusterPlan) -> Result<Option<Proposal>, StoreError> {
        let recent = self.store().recent_proposals(RECENT)?;
        Ok(recent.into_iter().find(|proposal| proposal.cluster == plan.cluster))
    }

    fn was_rejected(&self, plan: &ClusterPlan) -> Result<bool, StoreError> {
        let since = self.now() - REJECTION_HOLDS;
        let recent = self.store().recent_proposals(RECENT)?;
        Ok(recent.iter().filter(|proposal| proposal.cluster == plan.cluster).any(|proposal| {
            matches!(proposal.state, ProposalState::Rejected { at, .. } if at > since)
                && is_same(&proposal.plan, plan)
        }))
    }
}

/// The same moves are the same plan to people, whatever the figures around them.
fn is_same(one: &ClusterPlan, other: &ClusterPlan) -> bool {
    let moves = |plan: &ClusterPlan| -> BTreeSet<(VmId, NodeId, NodeId)> {
        plan.migrations.iter().map(|m| (m.vm, m.source, m.target)).collect()
    };
    one.id == other.id || moves(one) == moves(other)
}
