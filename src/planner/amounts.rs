//! Amounts of each resource as integers, and limits on them. Knows nothing of nodes and VMs.

use std::{
    iter::Sum,
    ops::{Add, Index, IndexMut, Sub},
};

use super::policy::Threshold;

/// One measure of how full a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Dimension {
    /// Allocated memory in MiB.
    Memory,
    /// Allocated vCPUs in millionths.
    Cpu,
    /// Measured load in millionths of a core.
    Load,
    /// Memory really used, in MiB. A VM brings its memory to a node. It takes none away when it leaves, because we do
    /// not know how much of it was in use.
    InUse,
    /// Local storage in MiB that VMs bring. While a VM moves its disk is on both nodes, so none becomes free.
    Disk,
}

/// Load averages have two decimals and thresholds few more, so millionths keep every comparison exact in integers.
pub(super) const MICRO: i64 = 1_000_000;

impl Dimension {
    pub(super) const ALL: [Self; 5] = [Self::Memory, Self::Cpu, Self::Load, Self::InUse, Self::Disk];

    /// Memory alone, and what a node's CPUs are judged by.
    pub(super) const EACH_ALONE: [&[Self]; 2] = [&[Self::Memory], &[Self::Cpu, Self::Load]];

    /// What one is multiplied by for people: memory is judged in percent, CPU and load per core.
    pub(super) fn scale(self) -> f64 {
        match self {
            Self::Memory | Self::InUse => 100.0,
            Self::Cpu | Self::Load | Self::Disk => 1.0,
        }
    }
}

/// One value for each dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PerResource<T>([T; 5]);

/// An amount of each resource.
pub(super) type Amounts = PerResource<i64>;

impl<T> PerResource<T> {
    pub(super) fn new(memory: T, cpu: T, load: T, in_use: T, disk: T) -> Self {
        Self([memory, cpu, load, in_use, disk])
    }

    pub(super) fn of(value: impl FnMut(Dimension) -> T) -> Self {
        Self(Dimension::ALL.map(value))
    }
}

impl<T> Index<Dimension> for PerResource<T> {
    type Output = T;

    fn index(&self, dimension: Dimension) -> &T {
        &self.0[dimension as usize]
    }
}

impl<T> IndexMut<Dimension> for PerResource<T> {
    fn index_mut(&mut self, dimension: Dimension) -> &mut T {
        &mut self.0[dimension as usize]
    }
}

impl Add for Amounts {
    type Output = Self;

    fn add(self, Self(b): Self) -> Self {
        let Self(a) = self;
        Self([a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]])
    }
}

impl Sub for Amounts {
    type Output = Self;

    fn sub(self, Self(b): Self) -> Self {
        let Self(a) = self;
        Self([a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4] - b[4]])
    }
}

impl Sum for Amounts {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl Amounts {
    /// Tells whether there is no more of any resource than there.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        Dimension::ALL.into_iter().all(|r| self[r] <= other[r])
    }

    /// What a VM needs on the node where it is: its memory in use and its disk are counted there already.
    pub(super) fn as_at_home(mut self) -> Self {
        self[Dimension::InUse] = 0;
        self[Dimension::Disk] = 0;
        self
    }
}

/// The most that an amount may be, or no limit.
///
/// One word and not an `Option`, because the search compares amounts with limits all the time. No amount reaches the
/// value that stands for "no limit", and only this type knows that value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Limit(i64);

impl Limit {
    pub(super) const NONE: Self = Self(i64::MAX);

    pub(super) fn at(most: i64) -> Self {
        Self(most)
    }

    /// The largest use of a capacity that is not strictly above a threshold.
    pub(super) fn within(capacity: i64, threshold: f64, scale: f64) -> Self {
        if capacity <= 0 || !threshold.is_finite() {
            return Self(0);
        }
        let above = |used: i64| used as f64 * scale / capacity as f64 > threshold;
        let mut used = (threshold * capacity as f64 / scale) as i64;
        while above(used) {
            used -= 1;
        }
        while !above(used + 1) {
            used += 1;
        }
        Self(used)
    }

    pub(super) fn value(self) -> Option<i64> {
        (self != Self::NONE).then_some(self.0)
    }

    pub(super) fn is_exceeded_by(self, used: i64) -> bool {
        used > self.0
    }

    /// Tells whether one more would be too many.
    pub(super) fn is_reached_by(self, count: i64) -> bool {
        count >= self.0
    }

    /// By how much the amount is above the limit; zero where it is not.
    pub(super) fn excess(self, used: i64) -> i64 {
        if used > self.0 { used - self.0 } else { 0 }
    }

    /// How much more fits, negative where it is exceeded; `None` without limit.
    pub(super) fn room(self, used: i64) -> Option<i64> {
        Some(self.value()? - used)
    }
}

/// One over what may be used of a resource before a node is overloaded.
pub(super) fn per_threshold(threshold: Threshold, capacity: i64, dimension: Dimension) -> f64 {
    dimension.scale() / (threshold.overload * capacity as f64).max(f64::MIN_POSITIVE)
}

/// Returns part of whole as a fraction; 0 of nothing is 0.
pub(super) fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part.max(0) as f64 / whole as f64 }
}

/// Returns an amount as a number that may be added up.
pub(super) fn to_signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}
