//! Whole numbers out of an optimum with fractions: one number after the other is rounded, and the rest goes to its
//! optimum again. Knows no nodes.

use super::{effort::PIVOTS_DIVE, simplex::Solved};
use crate::model::dice::Dice;

/// How far from a whole number a value is whole.
const WHOLE: f64 = 1e-6;

/// Rounds the first columns, of which the sizes are given; `None` where that does not lead to an end.
///
/// The seeds are ways to choose what is rounded first: what is nearly whole, what is large, or either with some chance.
pub(super) fn dive(mut solved: Solved, sizes: &[f64], seed: u64) -> Option<Vec<f64>> {
    let mut dice = Dice::new(seed);
    let mut before = solved.clone();
    let largest = sizes.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    // Every number is rounded twice at most: up to what it must be at least, down to what it may be at most.
    for _ in 0..2 * sizes.len() {
        let values = solved.values();
        let mut next: Option<(f64, usize)> = None;
        for (column, size) in sizes.iter().enumerate() {
            let away = (values[column] - values[column].round()).abs();
            if away <= WHOLE {
                continue;
            }
            let large = if seed.is_multiple_of(2) { 0.0 } else { size / largest };
            let chance = if seed < 2 { 0.0 } else { 0.3 * dice.unit() };
            let rank = away - large + chance;
            if next.is_none_or(|(least, _)| rank < least) {
                next = Some((rank, column));
            }
        }
        let Some((_, column)) = next else { return Some(values) };
        if !round_one(&mut solved, &mut before, column, values[column]) {
            return None;
        }
    }
    None
}

/// Rounds one number to the nearer side, or to the other one where that leaves nothing; tells whether either leaves anything.
/// `before` is memory for what it was before.
fn round_one(solved: &mut Solved, before: &mut Solved, column: usize, value: f64) -> bool {
    let up = |solved: &mut Solved| solved.bound(column, value.ceil(), f64::INFINITY, PIVOTS_DIVE);
    let down = |solved: &mut Solved| solved.bound(column, 0.0, value.floor(), PIVOTS_DIVE);
    before.copy_from(solved);
    let is_up_nearer = value - value.floor() >= 0.5;
    if if is_up_nearer { up(solved) } else { down(solved) } {
        return true;
    }
    std::mem::swap(solved, before);
    if is_up_nearer { down(solved) } else { up(solved) }
}
