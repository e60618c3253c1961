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
        solved = round_one(solved, column, values[column])?;
    }
    None
}

/// Rounds one number to the nearer side, or to the other one where that leaves nothing.
fn round_one(solved: Solved, column: usize, value: f64) -> Option<Solved> {
    let up =
        |mut solved: Solved| solved.bound(column, value.ceil(), f64::INFINITY, PIVOTS_DIVE).then_some(solved);
    let down = |mut solved: Solved| solved.bound(column, 0.0, value.floor(), PIVOTS_DIVE).then_some(solved);
    match value - value.floor() >= 0.5 {
        true => up(solved.clone()).or_else(|| down(solved)),
        false => down(solved.clone()).or_else(|| up(solved)),
    }
}
