//! Which VMs must leave one overloaded node: the cheapest set that takes it under its thresholds, by dynamic programming.

use super::{
    effort::{CELLS_EXACT, CELLS_EXACT_BOTH, CELLS_ROUNDED, CELLS_ROUNDED_EACH},
    flow::Flow,
};
use crate::planner::amounts::Dimension;

/// The price of a move besides its cost: a positive one asks for fewer, larger moves.
#[derive(Clone, Copy)]
pub(super) struct Price {
    pub per_move: f64,
}

/// One resource of the node that is over.
struct Axis {
    resource: Dimension,
    /// Units that must leave.
    need: usize,
    unit: i64,
    /// What one unit takes off the overload.
    relief: f64,
}

/// Some VMs of a slot, as one choice of the table.
struct Bundle {
    slot: usize,
    count: u32,
    units: [usize; 2],
    cost: f64,
}

/// What should leave a node.
pub(super) struct Cover {
    /// A slot once for each VM.
    pub slots: Vec<usize>,
    pub cost: f64,
    /// Whether no cover costs less.
    exact: bool,
}

/// Returns what no set that takes the node under its thresholds undercuts.
pub(super) fn bound(flow: &Flow<'_, '_>, node: usize, cover: &Cover, price: Price) -> f64 {
    if cover.exact {
        return cover.cost;
    }
    let slots = &flow.pool.slots_on[node];
    let (axes, _) = axes(flow, node, slots);
    filled(flow, slots, &axes, price, Rounding::Up).1
}

/// Returns the cheapest set; where nothing suffices, the one that takes off the most at the least cost.
pub(super) fn cover(flow: &Flow<'_, '_>, node: usize, price: Price) -> Cover {
    let slots = &flow.pool.slots_on[node];
    let (axes, exact) = axes(flow, node, slots);
    if axes.is_empty() {
        return Cover { slots: Vec::new(), cost: 0.0, exact };
    }
    let (slots, cost) = filled(flow, slots, &axes, price, Rounding::Down);
    Cover { slots, cost, exact }
}

fn filled(
    flow: &Flow<'_, '_>,
    slots: &[usize],
    axes: &[Axis],
    price: Price,
    rounding: Rounding,
) -> (Vec<usize>, f64) {
    let bundles = bundles(flow, slots, axes, price, rounding);
    let (came_from, least) = fill(&bundles, axes);
    pick(&bundles, &came_from, &least, axes)
}

/// What is counted of a VM where a table is too coarse: less than it is, so that a cover is one, or more, so that the
/// cost is a bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Down,
    Up,
}

/// The resources that are over, and whether their units are exact.
fn axes(flow: &Flow<'_, '_>, node: usize, slots: &[usize]) -> (Vec<Axis>, bool) {
    let facts = &flow.board.nodes[node];
    // The table has two axes; a node is judged by memory and by one of Cpu and load.
    let over = Dimension::ALL.into_iter().filter(|r| facts.over[*r].is_exceeded_by(flow.used[node][*r]));
    let needs: Vec<(Dimension, i64, i64)> = over
        .take(2)
        .map(|r| {
            let sizes = slots.iter().map(|slot| flow.pool.class(*slot).needs[r]);
            (r, facts.over[r].excess(flow.used[node][r]), sizes.fold(0, gcd).max(1))
        })
        .collect();
    let cells: i64 =
        needs.iter().map(|(_, excess, grid)| units(*excess, *grid) + 1).fold(1, i64::saturating_mul);
    let (most, per_axis) =
        if needs.len() > 1 { (CELLS_EXACT_BOTH, CELLS_ROUNDED_EACH) } else { (CELLS_EXACT, CELLS_ROUNDED) };
    let exact = cells <= most;
    let axis = |(resource, excess, grid): (Dimension, i64, i64)| {
        let unit = if exact || units(excess, grid) <= per_axis { grid } else { units(excess, per_axis) };
        let relief = unit as f64 * facts.per_threshold[resource];
        Axis { resource, need: usize::try_from(units(excess, unit)).unwrap_or(0), unit, relief }
    };
    (needs.into_iter().map(axis).collect(), exact)
}

fn bundles(
    flow: &Flow<'_, '_>,
    slots: &[usize],
    axes: &[Axis],
    price: Price,
    rounding: Rounding,
) -> Vec<Bundle> {
    let mut bundles = Vec::new();
    for &slot in slots {
        let class = flow.pool.class(slot);
        let units = |axis: Option<&Axis>| {
            let rounded = |axis: &Axis| match rounding {
                Rounding::Down => class.needs[axis.resource] / axis.unit,
                Rounding::Up => units(class.needs[axis.resource], axis.unit),
            };
            axis.map_or(0, |axis| usize::try_from(rounded(axis)).unwrap_or(0))
        };
        let each = [units(axes.first()), units(axes.get(1))];
        let enough =
            axes.iter().zip(each).filter(|(_, each)| *each > 0).map(|(a, each)| a.need.div_ceil(each));
        let mut left =
            enough.max().unwrap_or(0).min(flow.pool.slots[slot].vms.len() - flow.taken[slot] as usize);
        // Powers of two and a rest make up every count with few choices.
        let mut count = 1;
        while left > 0 {
            let now = count.min(left);
            let cost = (class.cost + price.per_move) * now as f64;
            let units = each.map(|each| each.saturating_mul(now));
            bundles.push(Bundle { slot, count: u32::try_from(now).unwrap_or(u32::MAX), units, cost });
            left -= now;
            count *= 2;
        }
    }
    bundles
}

/// A cell from which none was taken.
const NONE: u32 = u32::MAX;

/// The table: the least cost at which a cell is reached, and for each bundle from which cell it led there.
fn fill(bundles: &[Bundle], axes: &[Axis]) -> (Vec<Vec<u32>>, Vec<f64>) {
    let (rows, columns) = shape(axes);
    let mut least = vec![f64::INFINITY; rows * columns];
    least[0] = 0.0;
    let mut came_from = Vec::with_capacity(bundles.len());
    for bundle in bundles {
        let mut from = vec![NONE; least.len()];
        // From the far end, so that a bundle is not taken twice.
        for i in (0..rows).rev() {
            let row = (i + bundle.units[0]).min(rows - 1) * columns;
            for j in (0..columns).rev() {
                let cell = i * columns + j;
                let cost = least[cell] + bundle.cost;
                let to = row + (j + bundle.units[1]).min(columns - 1);
                if cost < least[to] {
                    least[to] = cost;
                    from[to] = u32::try_from(cell).unwrap_or(NONE);
                }
            }
        }
        came_from.push(from);
    }
    (came_from, least)
}

fn shape(axes: &[Axis]) -> (usize, usize) {
    (axes[0].need + 1, axes.get(1).map_or(1, |axis| axis.need + 1))
}

/// Walks back from the cell with the most relief at the least cost.
fn pick(bundles: &[Bundle], came_from: &[Vec<u32>], least: &[f64], axes: &[Axis]) -> (Vec<usize>, f64) {
    let (_, columns) = shape(axes);
    let relief = |cell: usize| {
        let second = axes.get(1).map_or(0.0, |axis| (cell % columns) as f64 * axis.relief);
        (cell / columns) as f64 * axes[0].relief + second
    };
    let reached = (0..least.len()).filter(|cell| least[*cell].is_finite());
    let best = reached.max_by(|a, b| relief(*a).total_cmp(&relief(*b)).then(least[*b].total_cmp(&least[*a])));
    let mut cell = best.unwrap_or(0);
    let cost = least[cell];
    let mut slots = Vec::new();
    for (bundle, from) in bundles.iter().zip(came_from).rev() {
        if from[cell] != NONE {
            slots.extend(std::iter::repeat_n(bundle.slot, bundle.count as usize));
            cell = from[cell] as usize;
        }
    }
    (slots, cost)
}

/// Returns how many units hold that amount.
fn units(amount: i64, unit: i64) -> i64 {
    (amount + unit - 1) / unit
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
