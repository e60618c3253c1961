//! What fewer or more migrations would reach, so that people can choose.

use super::{
    board::{Board, COST_PER_VM, Placement},
    careful, figures, narrate,
    policy::Policy,
    step::Step,
};
use crate::model::{ClusterId, Snapshot};

/// How much RAM a live migration copies in a minute, roughly: a 10 Gbit/s network at a sixth of its speed, as
/// VMmanager's defaults give it. Only an estimate for people, no decision depends on it.
pub const GIB_PER_MINUTE: f64 = 12.0;
/// What a migration takes besides copying: checks before it, the switch, looking whether it arrived.
pub const MINUTES_PER_MIGRATION: f64 = 0.5;

/// What the best plan with a number of migrations reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// How many migrations that plan has.
    pub migrations: usize,
    /// By how much of their thresholds nodes are over, summed; 0 where none is.
    pub overload: f64,
    /// Nodes over a threshold.
    pub overloaded: usize,
    /// The cluster's [`Figures::imbalance`](super::Figures::imbalance) with that plan done.
    pub imbalance: f64,
    /// RAM, and disks where they must be copied.
    pub gib: f64,
    /// How long it would take, estimated.
    pub minutes: f64,
    /// Of the gain of the largest plan, from 0 to 1: overload removed, or imbalance where nothing was overloaded.
    pub gain: f64,
}

/// Returns what 0, 1, 2, 4, … migrations reach, up to as many as are of use; only the start where nothing is.
#[must_use]
pub fn curve(snapshot: &Snapshot, policy: &Policy, cluster: ClusterId) -> Vec<CurvePoint> {
    let Some(info) = snapshot.cluster(cluster) else { return Vec::new() };
    // Each point is the best that so many migrations reach, whatever follows them.
    let policy = &Policy { goes_on: false, ..policy.clone() };
    let board = Board::new(snapshot, policy, info);
    let mut points = vec![point(&board, &[])];
    if narrate::hold(&board).is_some() {
        return points;
    }
    let full = careful::steps(&board, usize::MAX);
    let sizes = std::iter::successors(Some(1), |size| Some(size * 2)).take_while(|size| *size < full.len());
    points.extend(sizes.map(|size| point(&board, &careful::steps(&board, size))));
    if !full.is_empty() {
        points.push(point(&board, &full));
    }
    with_gains(&mut points);
    points
}

fn with_gains(points: &mut [CurvePoint]) {
    let (Some(first), Some(last)) = (points.first().cloned(), points.last().cloned()) else { return };
    let relieving = first.overload > last.overload;
    let measure = |point: &CurvePoint| if relieving { point.overload } else { point.imbalance };
    let whole = measure(&first) - measure(&last);
    for point in points {
        point.gain = if whole > 0.0 { (measure(&first) - measure(point)) / whole } else { 0.0 };
    }
}

fn point(board: &Board<'_>, steps: &[Step]) -> CurvePoint {
    let mut placement = board.start();
    let (mut gib, mut minutes) = (0.0, 0.0);
    let mut waves = narrate::Waves::new(board.policy.parallel_max);
    let (mut wave, mut longest) = (1, 0.0_f64);
    for step in steps {
        let number = waves.take(placement.at[step.vm], step.target);
        let moved = board.cost(step.vm) - COST_PER_VM;
        if number != wave {
            minutes += longest;
            (wave, longest) = (number, 0.0);
        }
        longest = longest.max(moved / GIB_PER_MINUTE + MINUTES_PER_MIGRATION);
        gib += moved;
        board.apply(&mut placement, step.vm, step.target);
    }
    sum_up(board, &placement, steps.len(), gib, minutes + longest)
}

fn sum_up(board: &Board<'_>, end: &Placement, migrations: usize, gib: f64, minutes: f64) -> CurvePoint {
    let figures = figures::figures(board, end);
    CurvePoint {
        migrations,
        overload: figures::overload(board, end),
        overloaded: figures.overloaded,
        imbalance: figures.imbalance,
        gib,
        minutes,
        gain: 0.0,
    }
}
