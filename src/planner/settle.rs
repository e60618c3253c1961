//! What a five-minute load average does not know yet of migrations that ended a short while ago. Pure arithmetic.

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::{Policy, RecentMove};
use crate::model::VmId;

/// The window of the average that decides: a reading that is not at least this much younger than the end of a
/// migration shows mostly what was before it.
pub const LOAD_WINDOW: TimeDelta = TimeDelta::minutes(5);

/// Three windows: the kernel's average forgets exponentially, and 5 % of a VM's load are less than what any node's
/// load swings by itself.
pub const LOAD_FORGOTTEN: TimeDelta = TimeDelta::minutes(15);

/// The part of a VM's load that the average of the node it left still holds, by how much younger the reading is than
/// the end of the migration.
pub(super) fn still_held(younger: TimeDelta) -> f64 {
    if younger >= LOAD_FORGOTTEN {
        return 0.0;
    }
    let windows = younger.num_milliseconds().max(0) as f64 / LOAD_WINDOW.num_milliseconds() as f64;
    (-windows).exp()
}

/// The part of a VM's load that is booked on top of the average of the node it came to.
///
/// All of it within the window: a target that is believed too full for five minutes costs nothing.
pub(super) fn not_yet_held(younger: TimeDelta) -> f64 {
    if younger < LOAD_WINDOW { 1.0 } else { still_held(younger) }
}

/// Recent migrations by VM, the earliest first.
pub(super) struct RecentMoves<'a>(Vec<&'a RecentMove>);

impl<'a> RecentMoves<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        let mut moves: Vec<_> = policy.recent_moves.iter().collect();
        moves.sort_by_key(|recent| (recent.vm, recent.ended));
        Self(moves)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a RecentMove> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn of(&self, vm: VmId) -> &[&'a RecentMove] {
        let from = self.0.partition_point(|recent| recent.vm < vm);
        let to = self.0.partition_point(|recent| recent.vm <= vm);
        &self.0[from..to]
    }

    /// The first migration of a VM that a reading of that moment does not show: the VM was on its source then.
    pub(super) fn first_after(
        &self,
        vm: VmId,
        at: impl Fn(&RecentMove) -> Option<DateTime<Utc>>,
    ) -> Option<&'a RecentMove> {
        self.of(vm).iter().copied().find(|recent| at(recent).is_some_and(|at| at < recent.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_forgets_a_vm_that_left_by_a_third_in_two_minutes_and_wholly_in_fifteen() {
        let held = |minutes| (still_held(TimeDelta::minutes(minutes)) * 1000.0).round();
        assert_eq!([-3, 0, 2, 5, 10, 14, 15].map(held), [1000.0, 1000.0, 670.0, 368.0, 135.0, 61.0, 0.0]);
    }

    #[test]
    fn a_vm_that_came_is_booked_in_full_within_the_window() {
        let booked = |minutes| (not_yet_held(TimeDelta::minutes(minutes)) * 1000.0).round();
        assert_eq!([-3, 0, 4, 5, 10, 15].map(booked), [1000.0, 1000.0, 1000.0, 368.0, 135.0, 0.0]);
    }
}
