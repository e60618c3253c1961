//! The only reader of the wall clock.
//!
//! Everything that decides takes `now` as an argument; the shells get it from a [`Clock`].
//! Tests hold a [`ManualClock`] and turn it by hand.

use std::{
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Where the steady time of this process begins.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells the time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    source: Source,
    shift: Option<Shift>,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(ManualClock),
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Returns this clock as one that can be set to a wrong time.
    #[must_use]
    pub fn shifted(self, shift: Shift) -> Self {
        Self { shift: Some(shift), ..self }
    }

    /// Returns the present moment in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.source {
            Source::System => Utc::now(),
            Source::Manual(manual) => manual.now(),
        };
        now + self.shift.as_ref().map(Shift::get).unwrap_or_default()
    }

    /// Returns the present moment with the time since some moment of this process, which nobody can set: a clock
    /// that moved by another amount was set.
    #[must_use]
    pub fn now_and_steady(&self) -> (DateTime<Utc>, Duration) {
        let steady = match &self.source {
            Source::System => BEGINNING.elapsed(),
            Source::Manual(manual) => manual.hands().steady,
        };
        (self.now(), steady)
    }
}

impl From<ManualClock> for Clock {
    fn from(manual: ManualClock) -> Self {
        Self { source: Source::Manual(manual), shift: None }
    }
}

/// By how much a clock is wrong, in whole seconds; cheap to clone. The sandbox sets the bot's clock with it.
#[derive(Clone, Debug, Default)]
pub struct Shift(Arc<AtomicI64>);

impl Shift {
    /// Returns how far ahead the clock is.
    #[must_use]
    pub fn get(&self) -> TimeDelta {
        TimeDelta::try_seconds(self.0.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Sets the clock this far ahead of the right time; a negative one sets it back.
    pub fn set(&self, ahead: TimeDelta) {
        self.0.store(ahead.num_seconds(), Ordering::Relaxed);
    }
}

/// A clock that stands still until it is turned.
///
/// ```
/// use chrono::{DateTime, TimeDelta, Utc};
/// use vm_balancer::clock::{Clock, ManualClock};
///
/// let manual = ManualClock::at(DateTime::<Utc>::UNIX_EPOCH);
/// let clock = Clock::from(manual.clone());
/// manual.advance(TimeDelta::minutes(5));
/// assert_eq!(clock.now().timestamp(), 300);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Hands>>);

#[derive(Clone, Copy, Debug)]
struct Hands {
    now: DateTime<Utc>,
    steady: Duration,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Hands { now, steady: Duration::ZERO })))
    }

    /// Returns what the clock shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.hands().now
    }

    /// Lets time go by.
    pub fn advance(&self, by: TimeDelta) {
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hands.now += by;
        hands.steady += by.to_std().unwrap_or_default();
    }

    /// Sets the clock to another time, while none goes by.
    pub fn set(&self, now: DateTime<Utc>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now = now;
    }

    fn hands(&self) -> Hands {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
