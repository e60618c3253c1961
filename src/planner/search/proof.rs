//! What so many moves can take off at most, whatever room there is for them: a set that reaches it is the best.

use super::flow::Flow;
use crate::planner::amounts::Dimension;

/// No set of so many moves takes off more.
pub(super) fn removable(start: &Flow<'_, '_>, moves_max: usize) -> f64 {
    let hot = (0..start.board.nodes.len()).filter(|node| start.overload_of(*node) > 0.0);
    let mut gains: Vec<f64> = hot.flat_map(|node| gains(start, node, moves_max)).collect();
    gains.sort_by(|a, b| b.total_cmp(a));
    gains.iter().take(moves_max).sum()
}

/// What each further move off one node adds at most. It only falls, since the largest VMs go first.
fn gains(start: &Flow<'_, '_>, node: usize, moves_max: usize) -> Vec<f64> {
    let (facts, used) = (&start.board.nodes[node], &start.used[node]);
    let over = |r: Dimension| facts.overload_in(r, used[r]);
    let takes = |slot: usize, r: Dimension| {
        (start.pool.class(slot).needs.as_at_home()[r] as f64 * facts.per_threshold[r]).min(over(r))
    };
    let sums = |of: &dyn Fn(usize) -> f64| {
        let slots = start.pool.slots_on[node].iter();
        let each = slots.flat_map(|slot| std::iter::repeat_n(of(*slot), start.pool.slots[*slot].vms.len()));
        let mut each: Vec<f64> = each.filter(|takes| *takes > 0.0).collect();
        each.sort_by(|a, b| b.total_cmp(a));
        each.truncate(moves_max);
        each.iter()
            .scan(0.0, |sum, takes| {
                Some({
                    *sum += takes;
                    *sum
                })
            })
            .collect::<Vec<f64>>()
    };
    let by_resource = Dimension::ALL.map(|r| sums(&|slot| takes(slot, r)));
    let in_all = sums(&|slot| Dimension::ALL.into_iter().map(|r| takes(slot, r)).sum());
    let mut before = 0.0;
    let most = |(index, sum): (usize, &f64)| {
        let apart: f64 = Dimension::ALL
            .into_iter()
            .zip(&by_resource)
            .map(|(r, sums)| sums.get(index).or(sums.last()).copied().unwrap_or(0.0).min(over(r)))
            .sum();
        let now = sum.min(apart);
        let gain = now - before;
        before = now;
        gain
    };
    in_all.iter().enumerate().map(most).collect()
}
