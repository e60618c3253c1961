//! Targets for VMs that must leave: the largest first, each where it fits best.

use super::{flow::Flow, pool::Move};
use crate::planner::amounts::{Amounts, Dimension, PerResource};

/// Where a VM goes when several nodes may take it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taste {
    /// The node that stays emptiest: even, and kind to what grows.
    Emptiest,
    /// The node that becomes fullest: keeps large gaps for large VMs.
    Fullest,
}

/// Sends one VM of each slot somewhere; returns those that found no place.
pub(super) fn pack(flow: &mut Flow<'_, '_>, mut slots: Vec<usize>, taste: Taste) -> Vec<usize> {
    let scale = per_mean_ceiling(flow);
    let size = |slot: &usize| {
        let needs = flow.pool.class(*slot).needs;
        Dimension::ALL.into_iter().map(|r| needs[r] as f64 * scale[r]).fold(0.0, f64::max)
    };
    slots.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.cmp(b)));
    let mut places = Places::default();
    slots.retain(|&slot| match places.best(flow, slot, taste) {
        Some(target) => {
            flow.add(Move { slot, target });
            false
        }
        None => true,
    });
    slots
}

/// Finds places while nodes only become fuller: what fits nowhere is not looked at again, nor what is larger.
#[derive(Default)]
pub(super) struct Places {
    nowhere: Vec<Amounts>,
}

impl Places {
    pub(super) fn best(&mut self, flow: &Flow<'_, '_>, slot: usize, taste: Taste) -> Option<usize> {
        let class = flow.pool.class(slot);
        if self.nowhere.iter().any(|least| least.is_within(&class.needs)) {
            return None;
        }
        let found = best_target(flow, slot, taste);
        let holds = |node: usize| flow.board.nodes[node].target.is_ok() && flow.holds(slot, node);
        if found.is_none() && class.groups.is_empty() && !(0..flow.board.nodes.len()).any(holds) {
            self.nowhere.retain(|larger| !class.needs.is_within(larger));
            self.nowhere.push(class.needs);
        }
        found
    }
}

/// Returns the target that suits a VM of the slot best.
fn best_target(flow: &Flow<'_, '_>, slot: usize, taste: Taste) -> Option<usize> {
    let needs = flow.pool.class(slot).needs;
    let source = flow.pool.slots[slot].node;
    let known = flow.board.nodes[source].qemu_known;
    let mut best: Option<(bool, f64, usize)> = None;
    for target in 0..flow.board.nodes.len() {
        if !flow.fits(slot, target) {
            continue;
        }
        let fullness = flow.board.nodes[target].share_of_ceiling(flow.used[target] + needs);
        let rank = if taste == Taste::Emptiest { fullness } else { -fullness };
        // A QEMU that nobody knows may turn out too old: such a target comes last.
        let unknown = known && !flow.board.nodes[target].qemu_known;
        if best.is_none_or(|(u, r, _)| (unknown, rank) < (u, r)) {
            best = Some((unknown, rank, target));
        }
    }
    best.map(|(_, _, target)| target)
}

/// One over the mean ceiling of each resource; 0 where none counts.
fn per_mean_ceiling(flow: &Flow<'_, '_>) -> PerResource<f64> {
    PerResource::of(|r| {
        let ceilings = flow.board.nodes.iter().filter_map(|node| node.ceiling[r].value()).filter(|c| *c > 0);
        let (sum, count) = ceilings.fold((0.0, 0.0), |(sum, count), c| (sum + c as f64, count + 1.0));
        if sum > 0.0 { count / sum } else { 0.0 }
    })
}
