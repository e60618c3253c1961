//! Threads of their own for what computes for long.
//!
//! A group exchange with an old SSH server computes for a second or more, and so does a plan of a large platform. On the
//! threads that serve everything else, and on as many as there are requests, that would hold up the chat.

use std::{future::Future, num::NonZero, thread};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinError,
};
use tokio_util::task::AbortOnDropHandle;

/// How much less a thread counts than one that answers, where both want a core: about a tenth. It still gets every core
/// that nobody else wants.
const LOW_PRIORITY: i32 = 10;

/// Some threads; what runs on them ends when this is dropped.
pub(crate) struct Threads {
    runtime: Option<Runtime>,
}

/// What threads compete for a core with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// As every other thread.
    Usual,
    /// After those that serve people.
    Low,
}

/// Returns how many cores there are.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

impl Threads {
    /// Starts this many threads. What is given to them begins in the order in which it came, so nothing waits for ever
    /// behind newer work.
    pub(crate) fn new(name: &str, count: usize, priority: Priority) -> Self {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(count.max(1)).thread_name(name).enable_all();
        if priority == Priority::Low {
            builder.on_thread_start(lower_priority);
        }
        let built = builder.build().inspect_err(|error| {
            tracing::warn!(%error, name, "there are no threads for this; it shares the others");
        });
        Self { runtime: built.ok() }
    }

    /// Runs a task on these threads and waits for it, and for none that it starts. Where nobody waits any more, the task
    /// ends at the next point where it waits itself.
    ///
    /// # Errors
    ///
    /// The task panicked, or the program ends.
    pub(crate) async fn run<F>(&self, task: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let running = match &self.runtime {
            Some(runtime) => runtime.spawn(task),
            None => Handle::current().spawn(task),
        };
        AbortOnDropHandle::new(running).await
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for the threads would block the one that drops this.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread, and never raises it.
#[cfg(target_os = "linux")]
fn lower_priority() {
    use rustix::process::{getpriority_process, setpriority_process};
    // Linux has a priority for each thread, and no number means the calling one.
    let lowered = getpriority_process(None).and_then(|now| match now < LOW_PRIORITY {
        true => setpriority_process(None, LOW_PRIORITY),
        false => Ok(()),
    });
    if let Err(error) = lowered {
        tracing::debug!(%error, "a thread that computes has the priority of the others");
    }
}

/// Elsewhere a priority is the whole program's, so it stays.
#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn what_computes_for_long_holds_up_nobody_else() {
        let threads = Threads::new("test", 1, Priority::Usual);
        let computes = threads.run(async {
            thread::sleep(Duration::from_millis(500));
            Instant::now()
        });
        // This test has a single thread of its own, which would be the one that computes.
        let serves = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Instant::now()
        };
        let (computed, served) = tokio::join!(computes, serves);
        assert!(served < computed.unwrap());
    }

    #[tokio::test]
    async fn a_task_that_panics_is_an_error_and_ends_nothing_else() {
        let threads = Threads::new("test", 1, Priority::Usual);
        assert!(threads.run(async { panic!("as russh might") }).await.unwrap_err().is_panic());
        assert_eq!(threads.run(async { 7 }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_came_first_begins_first_and_one_thread_does_one_thing_at_a_time() {
        let threads = Threads::new("test", 1, Priority::Low);
        let tasks = (0..20).map(|_| {
            threads.run(async {
                let began = Instant::now();
                thread::sleep(Duration::from_millis(1));
                (began, Instant::now())
            })
        });
        let times = futures::future::join_all(tasks).await;
        let times: Vec<_> = times.into_iter().map(Result::unwrap).collect();
        assert!(times.windows(2).all(|two| two[0].1 <= two[1].0), "{times:?}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn threads_that_compute_give_way_and_the_others_do_not() {
        let nice = async |priority| {
            let threads = Threads::new("test", 1, priority);
            threads.run(async { rustix::process::getpriority_process(None).unwrap() }).await.unwrap()
        };
        let usual = nice(Priority::Usual).await;
        assert_eq!(nice(Priority::Low).await, LOW_PRIORITY.max(usual));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), usual);
    }
}
