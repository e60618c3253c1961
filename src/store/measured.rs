//! How full nodes were: means of 15 minutes for 30 days, and the maxima of each day for a year.
//!
//! The looks of the open quarter are in memory. When a quarter has ended, its records are written in one batch, so a
//! process that dies loses at most a quarter. Node-quarters take about 20 bytes, so a node takes about 70 kB in all.
//! The export leaves this out: after damage to the store it begins anew.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, shelf::guard};
use crate::{
    model::{ClusterId, NodeId},
    planner::{Fullness, Overview},
};

const QUARTER_SECONDS: i64 = 15 * 60;
const QUARTERS_A_DAY: i64 = 24 * 3600 / QUARTER_SECONDS;
const QUARTERS_KEPT: i64 = 30 * QUARTERS_A_DAY;
const DAYS_KEPT: i64 = 365;

/// Figures are kept as whole numbers: memory in tenths of a percent, CPU and load in hundredths per core.
const SCALES: [f64; 3] = [10.0, 100.0, 100.0];

/// The first byte of a key, before the number of the quarter or day and the number of the cluster: so old records are
/// one range, whatever their cluster.
#[derive(Clone, Copy)]
enum Kind {
    Quarter = 0,
    Day = 1,
}

/// Gathers the looks of the open quarter.
#[derive(Debug, Default)]
pub struct Gauge {
    open: Mutex<Option<Quarter>>,
}

#[derive(Debug)]
struct Quarter {
    number: i64,
    clusters: BTreeMap<ClusterId, BTreeMap<NodeId, Sums>>,
}

/// What the looks of a quarter showed of a node.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    looks: u32,
    /// In how many of them it was over a threshold.
    over: u32,
    sums: [f64; 3],
    max: [f64; 3],
    /// How many of them knew the load.
    with_load: u32,
}

/// The record of a quarter or of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    v: u32,
    /// For how many hours nodes were over a threshold, all together, in hundredths.
    over: u64,
    /// Node, memory, CPU and load, in [`SCALES`].
    nodes: Vec<(u64, u32, u32, Option<u32>)>,
}

/// How full a cluster's nodes were in a quarter of an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// When the quarter began.
    pub at: DateTime<Utc>,
    /// For how many hours nodes were over a threshold, all together.
    pub over: f64,
    pub nodes: BTreeMap<NodeId, Fullness>,
}

impl Gauge {
    /// Notes what a look showed. A quarter that has ended is written.
    ///
    /// # Errors
    ///
    /// Fails when the disk does; that quarter is lost then.
    pub fn note(&self, store: &Store, at: DateTime<Utc>, clusters: &[Overview]) -> Result<(), StoreError> {
        let number = at.timestamp().div_euclid(QUARTER_SECONDS);
        let ended = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = open.take_if(|open| open.number != number);
            let quarter = open.get_or_insert_with(|| Quarter { number, clusters: BTreeMap::new() });
            clusters.iter().for_each(|cluster| quarter.add(cluster));
            ended
        };
        ended.map_or(Ok(()), |ended| store.write_quarter(&ended))
    }
}

impl Quarter {
    fn add(&mut self, cluster: &Overview) {
        let sums = self.clusters.entry(cluster.cluster).or_default();
        for node in cluster.nodes.iter().filter(|node| node.known) {
            sums.entry(node.node).or_default().add(&node.at, !node.over.is_empty());
        }
    }
}

impl Sums {
    fn add(&mut self, at: &Fullness, is_over: bool) {
        self.looks += 1;
        self.over += u32::from(is_over);
        self.with_load += u32::from(at.load.is_some());
        let figures = [at.memory_percent, at.cpu, at.load.unwrap_or(0.0)];
        for (index, figure) in figures.into_iter().enumerate() {
            self.sums[index] += figure;
            self.max[index] = self.max[index].max(figure);
        }
    }

    fn means(&self) -> [f64; 3] {
        let counts = [self.looks, self.looks, self.with_load];
        std::array::from_fn(|index| self.sums[index] / f64::from(counts[index].max(1)))
    }
}

fn scale(node: NodeId, figures: [f64; 3], has_load: bool) -> (u64, u32, u32, Option<u32>) {
    // Figures are far below the limit; larger ones are cut there.
    let [memory, cpu, load] = std::array::from_fn(|index| (figures[index] * SCALES[index]).round() as u32);
    (node.0, memory, cpu, has_load.then_some(load))
}

impl Row {
    fn of_quarter(nodes: &BTreeMap<NodeId, Sums>) -> Self {
        let share = |sums: &Sums| f64::from(sums.over) / f64::from(sums.looks.max(1));
        let hours = nodes.values().map(share).sum::<f64>() * QUARTER_SECONDS as f64 / 3600.0;
        let scaled = |(node, sums): (&NodeId, &Sums)| scale(*node, sums.means(), sums.with_load > 0);
        Self { v: 1, over: (hours * 100.0).round() as u64, nodes: nodes.iter().map(scaled).collect() }
    }

    /// Takes a quarter's highest looks into the record of its day.
    fn raise(&mut self, quarter: &Row, nodes: &BTreeMap<NodeId, Sums>) {
        self.over += quarter.over;
        let mut all: BTreeMap<u64, (u32, u32, Option<u32>)> =
            self.nodes.iter().map(|(node, memory, cpu, load)| (*node, (*memory, *cpu, *load))).collect();
        for (node, sums) in nodes {
            let (node, memory, cpu, load) = scale(*node, sums.max, sums.with_load > 0);
            let known = all.entry(node).or_default();
            *known = (known.0.max(memory), known.1.max(cpu), known.2.max(load));
        }
        self.nodes = all.into_iter().map(|(node, (memory, cpu, load))| (node, memory, cpu, load)).collect();
    }

    fn read(self, at: DateTime<Utc>) -> Measured {
        let nodes = self.nodes.into_iter().map(|(node, memory, cpu, load)| {
            let at = Fullness {
                memory_percent: f64::from(memory) / SCALES[0],
                cpu: f64::from(cpu) / SCALES[1],
                load: load.map(|load| f64::from(load) / SCALES[2]),
            };
            (NodeId(node), at)
        });
        Measured { at, over: self.over as f64 / 100.0, nodes: nodes.collect() }
    }
}

impl Store {
    /// Returns how full the nodes of a cluster were since then, oldest first: the quarters that have ended.
    pub fn measured_since(
        &self,
        cluster: ClusterId,
        since: DateTime<Utc>,
    ) -> Result<Vec<Measured>, StoreError> {
        self.rows(Kind::Quarter, cluster, since.timestamp().div_euclid(QUARTER_SECONDS), QUARTER_SECONDS)
    }

    /// Returns the highest that was seen of each node on each day (UTC) since then, oldest first.
    pub fn daily_maxima(
        &self,
        cluster: ClusterId,
        since: DateTime<Utc>,
    ) -> Result<Vec<Measured>, StoreError> {
        let seconds = QUARTER_SECONDS * QUARTERS_A_DAY;
        self.rows(Kind::Day, cluster, since.timestamp().div_euclid(seconds), seconds)
    }

    fn rows(
        &self,
        kind: Kind,
        cluster: ClusterId,
        from: i64,
        seconds: i64,
    ) -> Result<Vec<Measured>, StoreError> {
        let files = self.files()?;
        let range = key(kind, from, ClusterId(0))..key(kind, i64::MAX, ClusterId(u64::MAX));
        let mut found = Vec::new();
        for row in files.measured.range(range) {
            let (key, bytes) = guard(|| row)?;
            let Some(number) = number_of(&key, cluster) else { continue };
            let Some(at) = DateTime::from_timestamp(number * seconds, 0) else { continue };
            match serde_json::from_slice::<Row>(&bytes) {
                Ok(row) => found.push(row.read(at)),
                // One quarter of a chart is worth no trouble.
                Err(error) => tracing::debug!(%error, "a record of measurements cannot be read"),
            }
        }
        Ok(found)
    }

    fn write_quarter(&self, quarter: &Quarter) -> Result<(), StoreError> {
        let day = quarter.number.div_euclid(QUARTERS_A_DAY);
        self.write(|| {
            let files = self.files()?;
            let mut batch = sled::Batch::default();
            let mut put = |key: Key, row: &Row| {
                let bytes = serde_json::to_vec(row);
                let bytes = bytes.map_err(|source| StoreError::Unwritable { tree: "measured", source })?;
                batch.insert(&key, bytes);
                Ok::<_, StoreError>(())
            };
            for (cluster, nodes) in &quarter.clusters {
                let row = Row::of_quarter(nodes);
                let of_day = key(Kind::Day, day, *cluster);
                let known = guard(|| files.measured.get(of_day))?;
                let known = known.and_then(|bytes| serde_json::from_slice::<Row>(&bytes).ok());
                let mut known = known.unwrap_or(Row { v: 1, over: 0, nodes: Vec::new() });
                known.raise(&row, nodes);
                put(key(Kind::Quarter, quarter.number, *cluster), &row)?;
                put(of_day, &known)?;
            }
            for (kind, before) in
                [(Kind::Quarter, quarter.number - QUARTERS_KEPT), (Kind::Day, day - DAYS_KEPT)]
            {
                for old in files.measured.range(key(kind, 0, ClusterId(0))..key(kind, before, ClusterId(0))) {
                    batch.remove(guard(|| old)?.0);
                }
            }
            guard(|| files.measured.apply_batch(batch))
        })
    }
}

type Key = [u8; 17];

fn key(kind: Kind, number: i64, cluster: ClusterId) -> Key {
    let mut key = [0; 17];
    key[0] = kind as u8;
    // Before 1970 nobody looks.
    key[1..9].copy_from_slice(&u64::try_from(number).unwrap_or(0).to_be_bytes());
    key[9..].copy_from_slice(&cluster.0.to_be_bytes());
    key
}

/// Returns the number of the quarter or day of a record, if it is that cluster's.
fn number_of(key: &[u8], cluster: ClusterId) -> Option<i64> {
    let key: &Key = key.try_into().ok()?;
    let number = u64::from_be_bytes(key[1..9].try_into().ok()?);
    (key[9..] == cluster.0.to_be_bytes()).then(|| i64::try_from(number).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tempfile::TempDir;

    use super::*;
    use crate::planner::{Excess, Figures, NodeOverview, Resource};

    const MSK: ClusterId = ClusterId(1);
    const NODE: NodeId = NodeId(10);

    fn at(minutes: i64) -> DateTime<Utc> {
        let day: DateTime<Utc> = "2026-11-23T00:00:00Z".parse().unwrap();
        day + TimeDelta::minutes(minutes)
    }

    /// A cluster with one node; it is over from 70 % of memory on.
    fn seen(cluster: ClusterId, memory_percent: f64, load: Option<f64>) -> Overview {
        let excess = Excess { resource: Resource::Memory, value: memory_percent, threshold: 70.0 };
        let node = NodeOverview {
            node: NODE,
            name: "node-1".into(),
            at: Fullness { cpu: 1.5, load, memory_percent },
            vms: 3,
            over: if memory_percent > 70.0 { vec![excess] } else { Vec::new() },
            known: true,
            asked: false,
            measured: None,
            strains: Vec::new(),
        };
        let figures = Figures { overloaded: 0, memory_percent_max: 0.0, cpu_max: 0.0, imbalance: 0.0 };
        Overview { cluster, name: "msk".into(), held: None, nodes: vec![node], figures }
    }

    #[test]
    fn a_quarter_is_kept_as_its_mean_and_a_day_as_its_highest_look() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let gauge = Gauge::default();
        let look = |minutes, memory, load| {
            gauge
                .note(&store, at(minutes), &[seen(MSK, memory, load), seen(ClusterId(2), 1.0, None)])
                .unwrap();
        };
        look(0, 60.0, Some(0.5));
        look(5, 80.0, None);
        assert_eq!(store.measured_since(MSK, at(0)).unwrap(), [], "the quarter is open");
        look(15, 40.0, None);
        look(30, 40.0, None);
        let quarters = store.measured_since(MSK, at(0)).unwrap();
        let of = |memory_percent, load| BTreeMap::from([(NODE, Fullness { cpu: 1.5, load, memory_percent })]);
        assert_eq!(
            quarters,
            [
                Measured { at: at(0), over: 0.13, nodes: of(70.0, Some(0.5)) },
                Measured { at: at(15), over: 0.0, nodes: of(40.0, None) },
            ]
        );
        assert_eq!(store.measured_since(MSK, at(15)).unwrap().len(), 1);
        let day = store.daily_maxima(MSK, at(600)).unwrap();
        assert_eq!(day, [Measured { at: at(0), over: 0.13, nodes: of(80.0, Some(0.5)) }]);
        store.write_anew().unwrap();
        assert_eq!(store.measured_since(MSK, at(0)).unwrap(), quarters, "a smaller file has it too");
        drop(store);
        assert_eq!(Store::open(dir.path()).unwrap().measured_since(MSK, at(0)).unwrap(), quarters);
    }

    #[test]
    fn what_is_old_goes_and_many_looks_are_few_records() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let gauge = Gauge::default();
        for minutes in 0..60 {
            gauge.note(&store, at(minutes), &[seen(MSK, 50.0, None)]).unwrap();
        }
        assert_eq!(store.files().unwrap().measured.len(), 4, "three quarters and a day");
        let later = 31 * 24 * 60;
        for minutes in [later, later + 15] {
            gauge.note(&store, at(minutes), &[seen(MSK, 50.0, None)]).unwrap();
        }
        let kept = store.measured_since(MSK, at(0)).unwrap();
        assert_eq!(kept.iter().map(|row| row.at).collect::<Vec<_>>(), [at(later)]);
        assert_eq!(store.daily_maxima(MSK, at(0)).unwrap().len(), 2);
        let year = 366 * 24 * 60 + later;
        for minutes in [year, year + 15] {
            gauge.note(&store, at(minutes), &[seen(MSK, 50.0, None)]).unwrap();
        }
        assert_eq!(store.files().unwrap().measured.len(), 2, "one quarter and one day");
    }

    #[test]
    fn a_record_that_cannot_be_read_costs_one_quarter() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let gauge = Gauge::default();
        for minutes in [0, 15, 30] {
            gauge.note(&store, at(minutes), &[seen(MSK, 50.0, None)]).unwrap();
        }
        let number = at(0).timestamp() / QUARTER_SECONDS;
        let files = store.files().unwrap();
        files.measured.insert(key(Kind::Quarter, number, MSK), b"broken").unwrap();
        assert_eq!(store.measured_since(MSK, at(0)).unwrap().len(), 1);
    }
}
