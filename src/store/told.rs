//! The notes about each cluster that were reported and still hold. A note is reported again only when it changes, also
//! after a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Store, StoreError};
use crate::{
    model::ClusterId,
    planner::{ClusterPlan, Note},
};

/// The row in `meta`, beside that of the VMs that are moved back.
const ROW: u64 = 24;

/// Where notes about a cluster are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldIn {
    /// The log, each cycle.
    Log,
    /// The reports of plans that needed no approval.
    Reports,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    v: u32,
    #[serde(default)]
    log: BTreeMap<ClusterId, Notes>,
    #[serde(default)]
    reports: BTreeMap<ClusterId, Notes>,
}

/// A note that only another version of the program knows is left out, and so it is reported again.
#[derive(Default, Serialize)]
#[serde(transparent)]
struct Notes(Vec<Note>);

impl<'de> Deserialize<'de> for Notes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let notes = Vec::<Value>::deserialize(from)?;
        Ok(Self(notes.into_iter().filter_map(|note| serde_json::from_value(note).ok()).collect()))
    }
}

impl Store {
    /// Returns what holds of the plan's cluster and was not told there yet.
    pub fn news(&self, place: ToldIn, plan: &ClusterPlan) -> Result<Vec<Note>, StoreError> {
        let before = self.kept_told()?.place(place).remove(&plan.cluster).unwrap_or_default();
        let is_known = |note: &Note| before.0.iter().any(|known| known.is_same_matter(note));
        Ok(standing(plan).into_iter().filter(|note| !is_known(note)).collect())
    }

    /// Remembers that what holds of the plan's cluster was told there; on disk when this returns.
    pub fn was_told(&self, place: ToldIn, plan: &ClusterPlan) -> Result<(), StoreError> {
        let notes = standing(plan);
        self.write(|| {
            let mut kept = self.kept_told()?;
            let known = kept.place(place).entry(plan.cluster).or_default();
            // Figures that move all the time are no reason to write.
            let is_same = known.0.len() == notes.len()
                && known.0.iter().zip(&notes).all(|(known, note)| known.is_same_matter(note));
            if is_same {
                return Ok(());
            }
            known.0 = notes;
            self.put_meta(ROW, &Kept { v: 1, ..kept })?;
            self.files()?.flush()
        })
    }

    fn kept_told(&self) -> Result<Kept, StoreError> {
        self.meta_record(ROW, "told")
    }
}

impl Kept {
    fn place(&mut self, place: ToldIn) -> &mut BTreeMap<ClusterId, Notes> {
        match place {
            ToldIn::Log => &mut self.log,
            ToldIn::Reports => &mut self.reports,
        }
    }
}

fn standing(plan: &ClusterPlan) -> Vec<Note> {
    plan.notes.iter().filter(|note| note.is_standing()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mib, Snapshot},
        planner::{self, Policy},
    };

    #[test]
    fn what_holds_is_told_once_and_again_when_it_changes() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let told_of = |notes: &[Note]| told(&store, ToldIn::Log, notes);
        let passing = Note::ForeignMigration { task: 7 };
        assert_eq!(told_of(&[sums(1), passing.clone()]), [sums(1)]);
        assert_eq!(told_of(&[sums(2), typo()]), [typo()]);
        assert_eq!(told_of(&[sums(3), typo()]), []);
        assert_eq!(told_of(&[passing]), []);
        assert_eq!(told_of(&[typo()]), [typo()]);
        assert_eq!(told(&store, ToldIn::Reports, &[typo()]), [typo()], "each place for itself");
    }

    #[test]
    fn what_was_told_outlives_the_process() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let builtin = || Note::BuiltinBalancer { key: "balancer".into() };
        let closed = |count| Note::ClosedAfterFailures { node: "n1".into(), count, until: None };
        let all = [sums(1), typo(), builtin(), closed(3)];
        assert_eq!(told(&store, ToldIn::Reports, &all), all);
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(told(&store, ToldIn::Reports, &[sums(9), typo(), builtin(), closed(3)]), []);
        assert_eq!(told(&store, ToldIn::Reports, &[sums(9), typo(), closed(4)]), [closed(4)]);
    }

    #[test]
    fn a_note_of_another_version_is_told_again_and_hides_no_other() {
        let kept = serde_json::json!({"v": 1, "log": {"1": [{"of_the_future": {}}, typo()]}, "reports": {}});
        let mut kept: Kept = serde_json::from_value(kept).unwrap();
        assert_eq!(kept.place(ToldIn::Log)[&ClusterId(1)].0, [typo()]);
    }

    fn told(store: &Store, place: ToldIn, notes: &[Note]) -> Vec<Note> {
        let snapshot = serde_json::json!({
            "version": 1, "taken_at": "2026-11-23T20:15:00Z", "clusters": [{"id": 1, "name": "msk"}],
            "nodes": [], "vms": [],
        });
        let snapshot = Snapshot::from_json(&snapshot.to_string()).unwrap();
        let mut plan = planner::plan(&snapshot, &Policy::default()).clusters.remove(0);
        plan.notes = notes.to_vec();
        let news = store.news(place, &plan).unwrap();
        store.was_told(place, &plan).unwrap();
        news
    }

    fn sums(mib: u64) -> Note {
        Note::SumsDiffer { node: "n1".into(), memory_node: Mib(mib), memory_vms: Mib(8) }
    }

    fn typo() -> Note {
        Note::UnknownSelector { selector: "v9".into() }
    }
}
