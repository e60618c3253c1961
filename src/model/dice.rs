//! Seeded chance: the same numbers on every machine and in every run.

/// A generator of numbers (splitmix64): small, well known, and even enough for drawing lots.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts a sequence; the same seed gives the same one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws a number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Draws a number below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // The high half of a product is even enough and spares a division.
        ((u128::from(self.draw()) * n as u128) >> 64) as usize
    }

    /// Draws a number below `n` as a remainder; 0 where `n` is 0. The worlds of the sandbox and of the planner's tests
    /// are drawn so. [`Self::below`] would draw other worlds, and what was measured on these would not hold.
    pub fn remainder(&mut self, n: usize) -> usize {
        (self.draw() % (n as u64).max(1)) as usize
    }

    /// Draws a number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns true in one of `times` draws, on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.remainder(times) == 0
    }

    /// Draws one of the items.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut dice = Dice::new(1_234_567);
        // From the reference implementation, https://prng.di.unimi.it/splitmix64.c.
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([(); 3].map(|()| dice.draw()), expected);
    }

    #[test]
    fn nothing_is_drawn_out_of_bounds() {
        let mut dice = Dice::new(1);
        assert_eq!((dice.below(0), dice.remainder(0), dice.one_of::<u8>(&[])), (0, 0, None));
        assert!(
            (0..1000)
                .all(|_| dice.below(3) < 3 && dice.remainder(3) < 3 && (0.0..1.0).contains(&dice.unit()))
        );
    }
}
