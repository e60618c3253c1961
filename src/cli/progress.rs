//! The progress of `--once` for people at a terminal: a line when a migration begins, now and then while it runs, and
//! when it has ended.

use std::{
    collections::BTreeMap,
    io::{Write as _, stderr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::{
    history::{duration, word},
    table::printable,
};
use crate::{
    clock::Clock,
    event::{Event, Events},
    model::ProposalId,
    store::{Proposal, StepState, Store},
};

/// How many migrations the plan has. Set when it is made.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicUsize);

/// Somebody who waits wants to see that it goes on. A migration takes minutes.
const STILL_RUNS: Duration = Duration::from_secs(20);

/// The steps that were reported.
#[derive(Debug, Default)]
struct Seen(BTreeMap<(ProposalId, u32), Reported>);

/// What was reported of a step.
#[derive(Debug)]
enum Reported {
    Begun { since: DateTime<Utc>, line: String },
    Over,
}

impl Progress {
    pub(super) fn planned(&self, migrations: usize) {
        self.0.store(migrations, Ordering::Relaxed);
    }

    /// Writes to standard error what changes, until `done`.
    pub(super) async fn show(&self, store: &Store, events: &Events, clock: &Clock, done: &CancellationToken) {
        let (mut events, mut seen) = (events.listen(), Seen::default());
        let mut ticks = tokio::time::interval(STILL_RUNS);
        loop {
            let changed = tokio::select! {
                () = done.cancelled() => return,
                changed = events.recv() => changed,
                _ = ticks.tick() => {
                    for line in seen.still(clock.now()) {
                        let _ = writeln!(stderr(), "{line}");
                    }
                    continue;
                }
            };
            let Ok(Event::Proposal(id)) = changed else { continue };
            // What cannot be read now is in the report at the end.
            let Ok(Some(proposal)) = store.proposal(id) else { continue };
            for line in seen.news(&proposal, self.0.load(Ordering::Relaxed)) {
                let _ = writeln!(stderr(), "{line}");
            }
        }
    }
}

impl Seen {
    fn news(&mut self, proposal: &Proposal, total: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for step in &proposal.steps {
            let key = (proposal.id, step.migration.step);
            let (vm, source, target) =
                (&step.migration.vm_name, &step.migration.source_name, &step.migration.target_name);
            let route = |number: usize| printable(&format!("{number} of {total}, {vm} {source} → {target}"));
            match (&step.state, self.0.get(&key)) {
                (StepState::Running { since, .. }, None) => {
                    let line = route(self.0.len() + 1);
                    lines.push(format!("{line}: begins"));
                    self.0.insert(key, Reported::Begun { since: *since, line });
                }
                (StepState::Ended { .. }, Some(Reported::Over)) => {}
                (StepState::Ended { outcome, at, .. }, known) => {
                    let (line, took) = match known {
                        Some(Reported::Begun { since, line }) => {
                            (line.clone(), format!(", {}", seconds(*at - *since)))
                        }
                        Some(Reported::Over) | None => (route(self.0.len() + 1), String::new()),
                    };
                    lines.push(format!("{line}: {}{took}", word(*outcome)));
                    self.0.insert(key, Reported::Over);
                }
                _ => {}
            }
        }
        lines
    }

    /// A line for each migration that runs.
    fn still(&self, now: DateTime<Utc>) -> Vec<String> {
        let running = self.0.values().filter_map(|known| match known {
            Reported::Begun { since, line } => Some(format!("{line}: {} so far", seconds(now - *since))),
            Reported::Over => None,
        });
        running.collect()
    }
}

/// A duration without what nobody waits for.
fn seconds(took: TimeDelta) -> String {
    duration(TimeDelta::seconds(took.num_seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::Outcome,
        talk::samples::{self, now},
    };

    #[test]
    fn each_begin_and_each_end_is_one_line_and_what_runs_says_for_how_long() {
        let mut proposal = samples::proposal(2);
        let mut seen = Seen::default();
        assert_eq!(seen.news(&proposal, 2), Vec::<String>::new(), "nothing has begun");
        let step = proposal.steps[0].migration.clone();
        let route = format!("{} {} → {}", step.vm_name, step.source_name, step.target_name);
        proposal.steps[0].state = StepState::Running { since: now(), slow: false };
        assert_eq!(seen.news(&proposal, 2), [format!("1 of 2, {route}: begins")]);
        assert_eq!(seen.news(&proposal, 2), Vec::<String>::new(), "it was reported");
        let later = now() + TimeDelta::milliseconds(20_999);
        assert_eq!(seen.still(later), [format!("1 of 2, {route}: 20s so far")]);
        let at = now() + TimeDelta::milliseconds(40_123);
        proposal.steps[0].state = StepState::Ended { outcome: Outcome::Done, detail: None, at };
        assert_eq!(seen.news(&proposal, 2), [format!("1 of 2, {route}: done, 40s")]);
        assert_eq!(seen.news(&proposal, 2), Vec::<String>::new());
        assert_eq!(seen.still(at), Vec::<String>::new(), "nothing runs");
    }
}
