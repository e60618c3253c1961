//! A value that may change while the program runs. Clones share it: one part sets it, and others read it.

use std::sync::{Arc, PoisonError, RwLock};

/// A shared value; cheap to clone.
///
/// ```
/// use vm_balancer::live::Live;
///
/// let (interval, read) = { let live = Live::from(600); (live.clone(), live) };
/// interval.set(60);
/// assert_eq!(*read.get(), 60);
/// ```
#[derive(Debug, Default)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    /// Returns the value of this moment.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another value in its place.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }
}
