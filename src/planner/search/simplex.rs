//! A linear program by the simplex method: what is bounded from 0 to its most, at the least cost. Knows no nodes.

use super::effort::NOTHING;

/// A program whose first basis is at hand: in every row one column with coefficient 1 that is in no other row.
pub struct Program {
    /// The most of each column.
    pub most: Vec<f64>,
    pub cost: Vec<f64>,
    /// Coefficients, row by row.
    pub rows: Vec<Vec<f64>>,
    pub right: Vec<f64>,
    /// The column that each row begins with.
    pub basis: Vec<usize>,
}

impl Program {
    /// Returns the value of each column in an optimum; `None` where so many steps do not lead to one.
    pub fn solve(mut self, steps_max: usize) -> Option<Vec<f64>> {
        for row in 0..self.rows.len() {
            self.price_out(row, self.basis[row]);
        }
        let mut at_most = vec![false; self.most.len()];
        for step in 0..steps_max {
            let Some(entering) = self.entering(&at_most, step > steps_max / 2) else {
                return Some(self.values(&at_most));
            };
            let sign = if at_most[entering] { -1.0 } else { 1.0 };
            let (length, leaving) = self.longest(entering, sign);
            for row in 0..self.rows.len() {
                self.right[row] -= length * sign * self.rows[row][entering];
            }
            match leaving {
                None => at_most[entering] = !at_most[entering],
                Some((row, up)) => {
                    at_most[self.basis[row]] = up;
                    self.right[row] = if sign > 0.0 { length } else { self.most[entering] - length };
                    at_most[entering] = false;
                    self.basis[row] = entering;
                    self.pivot(row, entering);
                }
            }
        }
        None
    }

    /// The column that lowers the cost the most for each unit; the first of them where steps run out, which cannot go
    /// in circles.
    fn entering(&self, at_most: &[bool], first: bool) -> Option<usize> {
        let gain = |column: usize| if at_most[column] { self.cost[column] } else { -self.cost[column] };
        let mut useful = (0..self.cost.len()).filter(|c| self.most[*c] > 0.0 && gain(*c) > NOTHING);
        if first { useful.next() } else { useful.max_by(|a, b| gain(*a).total_cmp(&gain(*b)).then(b.cmp(a))) }
    }

    /// How far the column can go, and which row stops it, at its most or at 0.
    fn longest(&self, entering: usize, sign: f64) -> (f64, Option<(usize, bool)>) {
        let mut found = (self.most[entering], None);
        for (row, coefficients) in self.rows.iter().enumerate() {
            let falls = sign * coefficients[entering];
            let (room, up) = match falls {
                f if f > NOTHING => (self.right[row] / f, false),
                f if f < -NOTHING => ((self.most[self.basis[row]] - self.right[row]) / -f, true),
                _ => continue,
            };
            if room < found.0 {
                found = (room.max(0.0), Some((row, up)));
            }
        }
        found
    }

    fn pivot(&mut self, row: usize, column: usize) {
        let by = self.rows[row][column];
        self.rows[row].iter_mut().for_each(|value| *value /= by);
        let pivot = std::mem::take(&mut self.rows[row]);
        let nonzero: Vec<usize> = (0..pivot.len()).filter(|c| pivot[*c] != 0.0).collect();
        for other in self.rows.iter_mut().filter(|other| !other.is_empty()) {
            let factor = other[column];
            if factor != 0.0 {
                nonzero.iter().for_each(|c| other[*c] -= factor * pivot[*c]);
            }
        }
        self.rows[row] = pivot;
        self.price_out(row, column);
    }

    fn price_out(&mut self, row: usize, column: usize) {
        let factor = self.cost[column];
        if factor != 0.0 {
            self.cost.iter_mut().zip(&self.rows[row]).for_each(|(cost, value)| *cost -= factor * value);
        }
    }

    fn values(&self, at_most: &[bool]) -> Vec<f64> {
        let mut values: Vec<f64> =
            at_most.iter().zip(&self.most).map(|(up, most)| if *up { *most } else { 0.0 }).collect();
        for (row, column) in self.basis.iter().enumerate() {
            values[*column] = self.right[row];
        }
        values
    }
}
