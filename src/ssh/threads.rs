//! Threads of their own for what SSH computes.
//!
//! A group exchange with an old server computes for a second or more. On the threads that serve everything else, a
//! round of such nodes would hold up the chat and the cycles.

use std::{future::Future, num::NonZero, thread};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinError,
};

/// At least two, so that one slow node does not delay the others.
const THREADS_MIN: usize = 2;

/// Half of the cores leave the other half to everything else.
const SHARE_OF_CORES: usize = 2;

/// The threads; what runs on them ends when this is dropped.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let built = Builder::new_multi_thread()
            .worker_threads(THREADS_MIN.max(cores / SHARE_OF_CORES))
            .thread_name("ssh")
            .enable_all()
            .build();
        let built =
            built.inspect_err(|error| tracing::warn!(%error, "no threads for ssh; it shares the others"));
        Self(built.ok())
    }

    /// Runs a task on these threads and waits for it, and for none that it starts.
    ///
    /// # Errors
    ///
    /// The task panicked, or the program ends.
    pub(super) async fn run<F>(&self, task: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match &self.0 {
            Some(runtime) => runtime.spawn(task).await,
            None => Handle::current().spawn(task).await,
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for the threads would block the one that drops this.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn what_computes_for_long_holds_up_nobody_else() {
        let threads = Threads::new();
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
        let threads = Threads::new();
        assert!(threads.run(async { panic!("as russh might") }).await.unwrap_err().is_panic());
        assert_eq!(threads.run(async { 7 }).await.unwrap(), 7);
    }
}
