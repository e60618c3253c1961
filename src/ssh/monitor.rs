//! Asks all nodes side by side, keeps one connection to each, and never lets one node wait for another.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use russh::keys::PrivateKey;

use super::{
    HostKeyCheck, KnownLine, Reading, Settings, SshError, SshFailure,
    command::{self, SAMPLE_PAUSE, Samples},
    connection::{Connection, Deadline, Seen},
    credentials,
    host_keys::{Known, Learn, Learner, Trust, fingerprint},
    parse::{self, Sample},
    reading,
    settings::Target,
};
use crate::{
    clock::Clock,
    model::{
        Asked, NodeId, NodeInfo, Snapshot, Unmeasured,
        ssh::{HostKeyDoubt, LoginWay, UnreadableHosts},
    },
    threads::{self, Priority, Threads},
};

/// Youngest earlier sample to compare with. A younger one says too little about CPU use, so two new ones are taken.
const EARLIER_SAMPLE_MIN_AGE: TimeDelta = TimeDelta::seconds(5);

/// Oldest earlier sample to compare with. An older one would mix in hours of the past, so two new ones are taken.
const EARLIER_SAMPLE_MAX_AGE: TimeDelta = TimeDelta::hours(2);

/// How many past readings are kept per interval. Readings up to two intervals old are kept, so at most twice as many.
const MARKS_PER_INTERVAL: u32 = 4;

/// Share of the timeout (one half) that a kept connection may use before it counts as dead. The rest is for a new one.
const KEPT_PART: u32 = 2;

/// At least two threads for handshakes, so that one slow node does not delay the others.
const THREADS_MIN: usize = 2;

/// Half of the cores leave the other half to everything else.
const SHARE_OF_CORES: usize = 2;

/// Measures nodes over SSH.
pub struct SshMonitor {
    settings: Settings,
    clock: Clock,
    key: Option<Arc<PrivateKey>>,
    learner: Arc<Learner>,
    threads: Threads,
    places: Mutex<BTreeMap<NodeId, Place>>,
}

/// What one round gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Round {
    /// The newest reading of each node; for a node that failed now, an earlier one with its own `at`.
    pub readings: BTreeMap<NodeId, Reading>,
    /// Nodes without a reading in this round.
    pub failures: BTreeMap<NodeId, SshFailure>,
    /// Nodes that showed a changed or revoked host key; in every round until it is resolved.
    pub alarms: Vec<HostKeyAlarm>,
}

/// A node that does not show the host key it should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostKeyAlarm {
    pub node: NodeId,
    /// Where it was asked, `host:port`.
    pub host: String,
    /// Fingerprints of the keys that are known; empty for a revoked key.
    pub expected: Vec<String>,
    pub found: String,
    /// Where those keys stand; for a revoked key, where it is revoked.
    pub at: Vec<KnownLine>,
}

/// What the rounds that ask one node share.
#[derive(Default)]
struct Place {
    /// Held by the turn that is asking.
    peer: Arc<tokio::sync::Mutex<Peer>>,
    /// How the last turn ended; can be read while another one is asking.
    ended: Option<(Target, Turn)>,
}

/// What is kept of one node between rounds.
#[derive(Default)]
struct Peer {
    target: Option<Target>,
    connection: Option<Connection>,
    last: Option<Last>,
    marks: Marks,
}

/// Past readings, oldest first. Only a few are kept, spread over two intervals.
#[derive(Default)]
struct Marks(VecDeque<Mark>);

#[derive(Clone)]
struct Mark {
    at: DateTime<Utc>,
    /// The five-minute average.
    five: f64,
    sample: Option<Arc<Sample>>,
}

struct Last {
    reading: Reading,
    sample: Option<Arc<Sample>>,
}

impl SshMonitor {
    /// Makes a monitor and loads its key; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// A private key that cannot be used, known hosts that cannot be read, or no way to log in at all.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, SshError> {
        let key = credentials::load(&settings)?;
        Trust::load(&settings, Learn::Nothing)?;
        if settings.host_key_check == HostKeyCheck::Off {
            tracing::warn!("SSH_HOST_KEY_CHECK is off: anybody on the way to a node can pose as it");
        }
        let learner = Arc::new(Learner::new(settings.learned_hosts.clone()));
        let count = THREADS_MIN.max(threads::cores() / SHARE_OF_CORES);
        let threads = Threads::new("ssh", count, Priority::Usual);
        Ok(Self { settings, clock, key, learner, threads, places: Mutex::default() })
    }

    /// Asks all nodes side by side; returns when each has answered or had its time.
    ///
    /// `nodes` are all there are: connections to others are closed. A node takes at most the timeout and
    /// one second more (for two samples), so a round takes no longer than that as long as there are not
    /// more nodes than [`Settings::parallel_max`].
    pub async fn measure(&self, nodes: &[NodeInfo]) -> Round {
        self.measure_asking(nodes, Asked::Everybody).await
    }

    /// As [`Self::measure`], but may skip nodes that did not answer last time; their previous readings stay.
    pub async fn measure_asking(&self, nodes: &[NodeInfo], asked: Asked) -> Round {
        self.forget_all_but(nodes);
        let trust = match Trust::load(&self.settings, Learn::Into(Arc::clone(&self.learner))) {
            Ok(trust) => Arc::new(trust),
            Err(error) => return self.fail_all(nodes, &error),
        };
        // Made before the stream, because a closure inside it would make the future not `Send`.
        let turns: Vec<_> = nodes.iter().map(|node| self.turn(node, asked, &trust)).collect();
        stream::iter(turns)
            .buffer_unordered(self.settings.parallel_max.max(1))
            .fold(Round::default(), async |round, turn| round.with(turn))
            .await
            .in_order()
    }

    /// Puts a round's readings into a snapshot: [`NodeInfo::load`] and the measured use of each VM.
    ///
    /// Pure. Earlier readings keep their own time, so that the planner can tell what is too old.
    pub fn apply(&self, snapshot: &mut Snapshot, round: &Round) {
        round.apply_to(snapshot);
    }

    /// Opens a new connection to each node, and returns its host key, the login and a reading. Learns no key.
    pub async fn probe(&self, nodes: &[NodeInfo]) -> Vec<Probe> {
        let trust = match Trust::load(&self.settings, Learn::Nothing) {
            Ok(trust) => Arc::new(trust),
            Err(error) => {
                let failed = fail_all(&error);
                return nodes
                    .iter()
                    .map(|node| Probe::with_failure(node, &self.settings, failed.clone()))
                    .collect();
            }
        };
        let asked: Vec<_> = nodes.iter().map(|node| self.probe_one(node, &trust)).collect();
        let mut probes: Vec<Probe> =
            stream::iter(asked).buffer_unordered(self.settings.parallel_max.max(1)).collect().await;
        probes.sort_by_key(|probe| probe.node);
        probes
    }

    fn forget_all_but(&self, nodes: &[NodeInfo]) {
        let present: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).collect();
        self.lock_places().retain(|id, _| present.contains(id));
    }

    fn peer(&self, node: NodeId) -> Arc<tokio::sync::Mutex<Peer>> {
        Arc::clone(&self.lock_places().entry(node).or_default().peer)
    }

    /// Returns how the last turn at this address ended.
    fn last_end(&self, node: NodeId, target: &Target) -> Option<Turn> {
        let places = self.lock_places();
        let (asked, turn) = places.get(&node)?.ended.as_ref()?;
        (asked == target).then(|| turn.clone())
    }

    /// Returns the previous turn of a node that did not answer in it, where such nodes are to be skipped.
    fn silent(&self, node: NodeId, target: &Target, asked: Asked) -> Option<Turn> {
        let is_silent = |turn: &Turn| turn.failure.as_ref().is_some_and(SshFailure::is_silence);
        match asked {
            Asked::Everybody => None,
            Asked::WhoAnswered => self.last_end(node, target).filter(is_silent),
        }
    }

    fn lock_places(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without known hosts no node can be trusted, not even over an open connection.
    fn fail_all(&self, nodes: &[NodeInfo], error: &UnreadableHosts) -> Round {
        let failures = nodes.iter().map(|node| (node.id, fail_all(error))).collect();
        Round { failures, ..Round::default() }
    }

    async fn turn(&self, node: &NodeInfo, asked: Asked, trust: &Arc<Trust>) -> Turn {
        let target = Target::of(node, &self.settings);
        if let Some(silent) = self.silent(node.id, &target, asked) {
            return silent;
        }
        let peer = self.peer(node.id);
        let deadline = Deadline::after(self.settings.timeout);
        let deadline = Deadline { at: deadline.at + SAMPLE_PAUSE, ..deadline };
        let mut peer = match deadline.bound(super::Phase::Queue, peer.lock()).await {
            Ok(peer) => peer,
            Err(failure) => {
                let reading = self.last_end(node.id, &target).and_then(|turn| turn.reading);
                return Turn { node: node.id, reading, failure: Some(failure) };
            }
        };
        // An earlier round may have found it silent while this one waited.
        if let Some(silent) = self.silent(node.id, &target, asked) {
            return silent;
        }
        peer.move_to(&target);
        let failure = self.read(&mut peer, &target, trust, deadline).await.err();
        if failure.as_ref().is_some_and(SshFailure::is_host_key) {
            // The earlier answers may have come from another machine.
            (peer.last, peer.marks) = (None, Marks::default());
        }
        let reading = peer.last.as_ref().map(|last| last.reading.clone());
        let turn = Turn { node: node.id, reading, failure };
        if let Some(place) = self.lock_places().get_mut(&node.id) {
            place.ended = Some((target, turn.clone()));
        }
        turn
    }

    async fn read(
        &self,
        peer: &mut Peer,
        target: &Target,
        trust: &Arc<Trust>,
        deadline: Deadline,
    ) -> Result<(), SshFailure> {
        let interval = *self.settings.interval.get();
        let earlier = peer.earlier_sample(self.clock.now(), interval);
        let samples = if earlier.is_some() { Samples::One } else { Samples::Two };
        let text = self.ask(peer, target, trust, samples, deadline).await?;
        let mut answer = parse::answer(&text).map_err(SshFailure::Unreadable)?;
        let now = self.clock.now();
        let previous_five = peer.marks.before(now, interval).map(|mark| mark.five);
        let reading = Reading::new(&answer, earlier.as_deref(), previous_five, now);
        let sample = answer.samples.pop().map(Arc::new);
        peer.marks.add(Mark { at: now, five: reading.load[1], sample: sample.clone() }, interval);
        peer.last = Some(Last { reading, sample });
        Ok(())
    }

    /// Asks over the kept connection, or over a fresh one where that is gone.
    ///
    /// A connection is kept only after a command that ended by itself. After anything else, late output of that
    /// command could be taken for the answer to the next one.
    async fn ask(
        &self,
        peer: &mut Peer,
        target: &Target,
        trust: &Arc<Trust>,
        samples: Samples,
        deadline: Deadline,
    ) -> Result<String, SshFailure> {
        let command = command::reading(samples, self.settings.timeout);
        let patience = match samples {
            Samples::One => self.settings.timeout,
            Samples::Two => self.settings.timeout + SAMPLE_PAUSE,
        };
        if let Some(kept) = peer.connection.take()
            && !kept.is_closed()
            && trust.still_accepts(target, &kept.host_key)
        {
            let alive = deadline.or_after(self.settings.timeout / KEPT_PART);
            match kept.run_if_alive(&command, alive, deadline.or_after(patience)).await {
                Err(SshFailure::Dropped { .. }) => {}
                said => return peer.keep(kept, said),
            }
        }
        let opening = deadline.or_after(self.settings.timeout);
        let key = self.key.as_ref();
        let (seen, opening) = (Seen::default(), (opening, &self.threads));
        let fresh = Connection::open(target, &self.settings, key, trust, &seen, opening).await?;
        let said = fresh.run(&command, deadline.or_after(patience)).await;
        peer.keep(fresh, said)
    }

    async fn probe_one(&self, node: &NodeInfo, trust: &Arc<Trust>) -> Probe {
        let target = Target::of(node, &self.settings);
        let seen = Seen::default();
        let deadline = Deadline::after(self.settings.timeout);
        let key = self.key.as_ref();
        let opening = (deadline, &self.threads);
        let opened = Connection::open(&target, &self.settings, key, trust, &seen, opening).await;
        let mut probe = match opened {
            Err(failure) => Probe::with_failure(node, &self.settings, failure),
            Ok(connection) => {
                let command = command::reading(Samples::Two, self.settings.timeout);
                let deadline = Deadline::after(self.settings.timeout + SAMPLE_PAUSE);
                let said = connection.run(&command, deadline).await;
                let answer = said.and_then(|text| parse::answer(&text).map_err(SshFailure::Unreadable));
                let reading = answer.map(|answer| Reading::new(&answer, None, None, self.clock.now()));
                Probe { auth: Ok(connection.login.clone()), reading, ..Probe::new(node, &target) }
            }
        };
        if let Some(seen) = seen.get() {
            probe.fingerprint = Some(fingerprint(&seen.key));
            probe.known = Some(seen.known);
            probe.known_line = seen.key.to_openssh().ok().map(|key| format!("{} {key}", target.known_as()));
        }
        probe
    }
}

impl Round {
    /// Puts the readings and what failed into a snapshot, as [`SshMonitor::apply`] does.
    pub fn apply_to(&self, snapshot: &mut Snapshot) {
        reading::apply(snapshot, &self.readings);
        let unmeasured =
            |(node, failure): (&NodeId, &SshFailure)| Unmeasured { node: *node, why: failure.why() };
        snapshot.unmeasured = self.failures.iter().map(unmeasured).collect();
    }

    fn with(mut self, turn: Turn) -> Self {
        let Turn { node, reading, failure } = turn;
        self.readings.extend(reading.map(|reading| (node, reading)));
        self.alarms.extend(failure.as_ref().and_then(|failure| HostKeyAlarm::of(node, failure)));
        self.failures.extend(failure.map(|failure| (node, failure)));
        self
    }

    fn in_order(mut self) -> Self {
        self.alarms.sort();
        self
    }
}

impl HostKeyAlarm {
    fn of(node: NodeId, failure: &SshFailure) -> Option<Self> {
        match failure.clone() {
            SshFailure::HostKeyChanged { host, expected, found, at } => {
                Some(Self { node, host, expected, found, at })
            }
            SshFailure::HostKeyRevoked { host, found, at } => {
                Some(Self { node, host, expected: Vec::new(), found, at })
            }
            _ => None,
        }
    }
}

/// How asking one node ended.
#[derive(Clone)]
struct Turn {
    node: NodeId,
    reading: Option<Reading>,
    failure: Option<SshFailure>,
}

impl Marks {
    /// Returns the past reading to compare a reading at `now` with: the newest that is between half an interval and
    /// two intervals older. A younger one, from a `/status` between two cycles, would turn one peak into two.
    fn before(&self, now: DateTime<Utc>, interval: Duration) -> Option<&Mark> {
        let age = |at: DateTime<Utc>| (now - at).to_std().unwrap_or_default();
        let fits = |at| age(at) * 2 >= interval && age(at) <= interval * 2;
        self.0.iter().rev().find(|mark| fits(mark.at))
    }

    /// Keeps a reading for later comparisons, unless one was kept shortly before.
    fn add(&mut self, new: Mark, interval: Duration) {
        let age = |mark: &Mark| (new.at - mark.at).to_std().unwrap_or_default();
        self.0.retain(|mark| mark.at <= new.at && age(mark) <= interval * 2);
        if self.0.back().is_none_or(|mark| age(mark) * MARKS_PER_INTERVAL >= interval) {
            self.0.push_back(new);
        }
    }
}

impl Peer {
    /// A new address may be another machine, so nothing of the old one is kept.
    fn move_to(&mut self, target: &Target) {
        if self.target.as_ref() != Some(target) {
            *self = Self { target: Some(target.clone()), ..Self::default() };
        }
    }

    /// Returns the sample that the next one is compared with. It is that of the past reading, so that a `/status`
    /// does not shorten the window to seconds; without one it is the last sample.
    fn earlier_sample(&self, now: DateTime<Utc>, interval: Duration) -> Option<Arc<Sample>> {
        let before = self.marks.before(now, interval).map(|mark| (mark.at, mark.sample.as_ref()));
        let last = self.last.as_ref().map(|last| (last.reading.at, last.sample.as_ref()));
        let fits =
            |at: DateTime<Utc>| (EARLIER_SAMPLE_MIN_AGE..=EARLIER_SAMPLE_MAX_AGE).contains(&(now - at));
        let fitting = before.into_iter().chain(last).filter(|(at, _)| fits(*at));
        fitting.filter_map(|(_, sample)| sample).next().cloned()
    }

    fn keep(
        &mut self,
        connection: Connection,
        said: Result<String, SshFailure>,
    ) -> Result<String, SshFailure> {
        let ended_by_itself =
            matches!(said, Ok(_) | Err(SshFailure::ExitStatus { .. } | SshFailure::Killed { .. }));
        if ended_by_itself {
            debug_assert!(self.target.as_ref() == Some(&connection.target));
            self.connection = Some(connection);
        }
        said
    }
}

/// What a look at one node found, for `vm-balancer check`.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub node: NodeId,
    pub node_name: String,
    /// Where it was asked, `host:port`.
    pub host: String,
    /// The host key that it showed, if it came that far.
    pub fingerprint: Option<String>,
    pub known: Option<Known>,
    /// The line of `known_hosts` that trusts this key.
    pub known_line: Option<String>,
    /// How the login went through; or the first thing that failed.
    pub auth: Result<LoginWay, SshFailure>,
    /// The reading; where the login failed, its failure again.
    pub reading: Result<Reading, SshFailure>,
}

impl Probe {
    fn new(node: &NodeInfo, target: &Target) -> Self {
        let nothing = SshFailure::Dropped { phase: super::Phase::Connect };
        Self {
            node: node.id,
            node_name: node.name.clone(),
            host: target.to_string(),
            fingerprint: None,
            known: None,
            known_line: None,
            auth: Err(nothing.clone()),
            reading: Err(nothing),
        }
    }

    fn with_failure(node: &NodeInfo, settings: &Settings, failure: SshFailure) -> Self {
        let target = Target::of(node, settings);
        Self { auth: Err(failure.clone()), reading: Err(failure), ..Self::new(node, &target) }
    }
}

fn fail_all(known_hosts: &UnreadableHosts) -> SshFailure {
    SshFailure::HostKeyUnchecked(HostKeyDoubt::KnownHosts(known_hosts.clone()))
}
