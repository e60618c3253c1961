//! A linear program by the simplex method: what is bounded from 0 to its most, at the least cost. Knows no nodes.

use super::effort::NOTHING;

/// Out of bounds by less than this is rounding.
const TOLERANCE: f64 = 1e-7;

/// A program whose first basis is at hand: in every row one column with coefficient 1 that is in no other row.
#[derive(Clone)]
pub(super) struct Program {
    /// The most of each column.
    pub most: Vec<f64>,
    pub cost: Vec<f64>,
    /// Coefficients, row by row.
    pub rows: Rows,
    pub right: Vec<f64>,
    /// The column that each row begins with.
    pub basis: Vec<usize>,
}

/// Rows of numbers in one piece: a copy is made at each number that is rounded.
#[derive(Clone)]
pub(super) struct Rows {
    width: usize,
    values: Vec<f64>,
}

impl Rows {
    pub(super) fn new(width: usize) -> Self {
        Self { width: width.max(1), values: Vec::new() }
    }

    /// Adds a row of that width.
    pub(super) fn push(&mut self, row: &[f64]) {
        self.values.extend_from_slice(row);
    }

    fn count(&self) -> usize {
        self.values.len() / self.width
    }

    fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }
}

impl std::ops::Index<usize> for Rows {
    type Output = [f64];

    fn index(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }
}

impl Program {
    /// Returns an optimum; `None` where so many steps do not lead to one.
    pub(super) fn solve(mut self, steps_max: usize) -> Option<Solved> {
        for row in 0..self.rows.count() {
            self.price_out(row, self.basis[row]);
        }
        let mut at_most = vec![false; self.most.len()];
        for step in 0..steps_max {
            let Some(entering) = self.entering(&at_most, step > steps_max / 2) else {
                let least = vec![0.0; self.most.len()];
                return Some(Solved { program: self, at_most, least });
            };
            let sign = if at_most[entering] { -1.0 } else { 1.0 };
            let (length, leaving) = self.longest(entering, sign);
            for row in 0..self.rows.count() {
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
        let mut useful = (0..self.cost.len()).filter(|c| self.most[*c] > 0.0 && gain(*c) > TOLERANCE);
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
        let (width, by) = (self.rows.width, self.rows[row][column]);
        let own = row * width..(row + 1) * width;
        self.rows.values[own.clone()].iter_mut().for_each(|value| *value /= by);
        let nonzero: Vec<(usize, f64)> =
            self.rows[row].iter().copied().enumerate().filter(|(_, value)| *value != 0.0).collect();
        for (index, other) in self.rows.values.chunks_exact_mut(width).enumerate() {
            let factor = other[column];
            if factor != 0.0 && index != row {
                nonzero.iter().for_each(|(c, value)| other[*c] -= factor * value);
            }
        }
        self.price_out(row, column);
    }

    fn price_out(&mut self, row: usize, column: usize) {
        let factor = self.cost[column];
        if factor != 0.0 {
            self.cost.iter_mut().zip(&self.rows[row]).for_each(|(cost, value)| *cost -= factor * value);
        }
    }
}

/// A program at an optimum. Its columns can be bounded further, one after the other; each time it goes to the optimum of
/// what is left, mostly in a few steps.
#[derive(Clone)]
pub(super) struct Solved {
    program: Program,
    at_most: Vec<bool>,
    /// The least of each column. The program counts from there.
    least: Vec<f64>,
}

impl Solved {
    /// The value of each column.
    pub(super) fn values(&self) -> Vec<f64> {
        let mut values = self.least.clone();
        for (column, _) in self.at_most.iter().enumerate().filter(|(_, up)| **up) {
            values[column] += self.program.most[column];
        }
        for (row, column) in self.program.basis.iter().enumerate() {
            values[*column] = self.least[*column] + self.program.right[row];
        }
        values
    }

    /// Bounds a column from below and above; tells whether a value is left for every column.
    pub(super) fn bound(&mut self, column: usize, least: f64, most: f64, steps_max: usize) -> bool {
        let (least, most) = (least.max(self.least[column]), most.min(self.most(column)));
        if least > most + TOLERANCE {
            return false;
        }
        let (raised, range) = (least - self.least[column], (most - least).max(0.0));
        let lowered = self.most(column) - most;
        self.least[column] = least;
        self.program.most[column] = range;
        match self.program.basis.iter().position(|basic| *basic == column) {
            Some(row) => self.program.right[row] -= raised,
            None => self.shift(column, if self.at_most[column] { -lowered } else { raised }),
        }
        self.repair(steps_max)
    }

    fn most(&self, column: usize) -> f64 {
        self.least[column] + self.program.most[column]
    }

    /// Moves a column that is at a bound by so much.
    fn shift(&mut self, column: usize, by: f64) {
        if by != 0.0 {
            let rows = self.program.rows.iter().zip(&mut self.program.right);
            rows.for_each(|(row, right)| *right -= by * row[column]);
        }
    }

    /// Brings columns that are out of their bounds back, at the least cost: the dual simplex method.
    fn repair(&mut self, steps_max: usize) -> bool {
        for _ in 0..steps_max {
            let program = &self.program;
            let outside =
                |row: usize| (-program.right[row]).max(program.right[row] - program.most[program.basis[row]]);
            let worst =
                (0..program.rows.count()).max_by(|a, b| outside(*a).total_cmp(&outside(*b)).then(b.cmp(a)));
            let Some(row) = worst.filter(|row| outside(*row) > TOLERANCE) else { return true };
            let above = program.right[row] > 0.0;
            let Some(entering) = self.cheapest(row, above) else { return false };
            let leaving = self.program.basis[row];
            let goal = if above { self.program.most[leaving] } else { 0.0 };
            let by = (self.program.right[row] - goal) / self.program.rows[row][entering];
            self.shift(entering, by);
            let from = if self.at_most[entering] { self.program.most[entering] } else { 0.0 };
            self.program.right[row] = from + by;
            self.at_most[entering] = false;
            self.at_most[leaving] = above;
            self.program.basis[row] = entering;
            self.program.pivot(row, entering);
        }
        false
    }

    /// The column whose change lets a row go down, or up, at the least cost for each unit.
    fn cheapest(&self, row: usize, down: bool) -> Option<usize> {
        let program = &self.program;
        let mut best: Option<(f64, f64, usize)> = None;
        for (column, &by) in program.rows[row].iter().enumerate() {
            let falls = if self.at_most[column] { -by } else { by };
            let helps = if down { falls > TOLERANCE } else { falls < -TOLERANCE };
            if !helps || program.most[column] <= 0.0 || column == program.basis[row] {
                continue;
            }
            let price = program.cost[column].abs() / by.abs();
            if best.is_none_or(|(least, size, _)| {
                price < least - NOTHING || (price < least + NOTHING && by.abs() > size)
            }) {
                best = Some((price, by.abs(), column));
            }
        }
        best.map(|(.., column)| column)
    }
}
