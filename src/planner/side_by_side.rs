//! Clusters do not depend on each other, so their plans are made on all cores. The result does not tell how many there were.

use std::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// A thread costs some hundredths of a millisecond, less than the plan of a cluster.
const THREADS_MAX: usize = 16;

/// Does the same to each item and returns the results in the order of the items.
pub(super) fn map<T: Sync, R: Send>(items: &[T], of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = if items.len() < 2 { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) };
    let others = cores.min(items.len()).min(THREADS_MAX).saturating_sub(1);
    if others == 0 {
        return items.iter().map(of).collect();
    }
    let next = AtomicUsize::new(0);
    // Each takes the next item as soon as it is done, because a cluster that is hard takes as long as a hundred easy ones.
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, of(item)));
        }
    };
    let mut all = thread::scope(|scope| {
        // Where the system gives no thread, this one does the work.
        let helpers: Vec<_> =
            (0..others).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut all = work();
        for helper in helpers {
            match helper.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..1000).collect();
        // The first ones take the longest, so they end after others.
        let of = |item: &u64| (0..(1000 - item) * 100).fold(*item, |sum, n| sum.wrapping_add(n * n)) ^ item;
        let expected: Vec<u64> = items.iter().map(of).collect();
        assert_eq!(map(&items, of), expected);
        assert_eq!(map(&items[..1], of), expected[..1]);
        assert!(map(&[], of).is_empty());
    }
}
