//! The progress of `--once`: a line when a migration begins and a line when it has ended, for people at a terminal.

use std::{
    collections::BTreeMap,
    io::{Write as _, stderr},
    sync::atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{
    history::{duration, word},
    table::printable,
};
use crate::{
    event::{Event, Events},
    model::ProposalId,
    store::{Proposal, StepState, Store},
};

/// How many migrations the plan has. Set when it is made.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicUsize);

/// The steps that were reported.
#[derive(Debug, Default)]
struct Seen(BTreeMap<(ProposalId, u32), Reported>);

/// What was reported of a step.
#[derive(Debug)]
enum Reported {
    Begun(DateTime<Utc>),
    Over,
}

impl Progress {
    pub(super) fn planned(&self, migrations: usize) {
        self.0.store(migrations, Ordering::Relaxed);
    }

    /// Writes to standard error what changes, until `done`.
    pub(super) async fn show(&self, store: &Store, events: &Events, done: &CancellationToken) {
        let (mut events, mut seen) = (events.listen(), Seen::default());
        loop {
            let changed = tokio::select! {
                () = done.cancelled() => return,
                changed = events.recv() => changed,
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
            let how = match (&step.state, self.0.get(&key)) {
                (StepState::Running { since, .. }, None) => {
                    self.0.insert(key, Reported::Begun(*since));
                    "begins".to_owned()
                }
                (StepState::Ended { .. }, Some(Reported::Over)) => continue,
                (StepState::Ended { outcome, at, .. }, known) => {
                    let took = match known {
                        Some(Reported::Begun(since)) => format!(", {}", duration(*at - *since)),
                        _ => String::new(),
                    };
                    self.0.insert(key, Reported::Over);
                    format!("{}{took}", word(*outcome))
                }
                _ => continue,
            };
            let over = self.0.values().filter(|known| matches!(known, Reported::Over)).count();
            let number = if how == "begins" { self.0.len() } else { over };
            let (vm, source, target) =
                (&step.migration.vm_name, &step.migration.source_name, &step.migration.target_name);
            lines.push(printable(&format!("{number} of {total}, {vm} {source} → {target}: {how}")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        store::Outcome,
        talk::samples::{self, now},
    };

    #[test]
    fn each_begin_and_each_end_is_one_line() {
        let mut proposal = samples::proposal(2);
        let mut seen = Seen::default();
        assert_eq!(seen.news(&proposal, 2), Vec::<String>::new(), "nothing has begun");
        let step = proposal.steps[0].migration.clone();
        let route = format!("{} {} → {}", step.vm_name, step.source_name, step.target_name);
        proposal.steps[0].state = StepState::Running { since: now(), slow: false };
        assert_eq!(seen.news(&proposal, 2), [format!("1 of 2, {route}: begins")]);
        assert_eq!(seen.news(&proposal, 2), Vec::<String>::new(), "it was reported");
        let at = now() + TimeDelta::seconds(40);
        proposal.steps[0].state = StepState::Ended { outcome: Outcome::Done, detail: None, at };
        assert_eq!(seen.news(&proposal, 2), [format!("1 of 2, {route}: done, 40s")]);
        assert_eq!(seen.news(&proposal, 2), Vec::<String>::new());
    }
}
