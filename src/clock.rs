//! The only reader of the wall clock.
//!
//! Everything that decides takes `now` as an argument; the shells get it from a [`Clock`].
//! Tests hold a [`ManualClock`] and turn it by hand.

use std::{
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Where the steady time of this process begins.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells the time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

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
        Self(Source::System)
    }

    /// Returns the present moment in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System => Utc::now(),
            Source::Manual(manual) => manual.now(),
        }
    }

    /// Returns the present moment with the time since some moment of this process, which nobody can set: a clock
    /// that moved by another amount was set.
    #[must_use]
    pub fn now_and_steady(&self) -> (DateTime<Utc>, Duration) {
        match &self.0 {
            Source::System => (self.now(), BEGINNING.elapsed()),
            Source::Manual(manual) => {
                let Hands { now, steady } = manual.hands();
                (now, steady)
            }
        }
    }
}

impl From<ManualClock> for Clock {
    fn from(manual: ManualClock) -> Self {
        Self(Source::Manual(manual))
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
