//! A simulated platform with a store: the base of the tests of executor and scheduler.

use std::{future::Future, path::Path, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use vm_balancer::{
    balancer::{Parts, Settings, VmBalancer},
    clock::{Clock, ManualClock},
    event::{Alert, Event, Events},
    executor, eyes,
    model::{HistoryBefore, NodeId, Person, ProposalId, VmId},
    planner::Policy,
    rules::{Base, Cooldowns, Rules},
    sandbox::vmmanager::{Options, Running, SimVmManager, World},
    store::{
        Approver, Ending, HistoryFilter, JournalEntry, Origin, Outcome, Proposal, ProposalState, Proposed,
        StepState, Store,
    },
    talk::words::Words,
    vmmanager::{self, Credentials, Timing, VmManagerApi},
};

/// The longest wait, long enough for a busy machine. A test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Platform {
    pub sim: Running,
    pub dir: TempDir,
    pub store: Store,
    pub events: Events,
    pub clock: ManualClock,
    pub heard: tokio::sync::broadcast::Receiver<Event>,
}

impl Platform {
    pub async fn start(world: World) -> Self {
        Self::start_with(world, Options::default()).await
    }

    pub async fn start_with(world: World, options: Options) -> Self {
        let sim = SimVmManager::start(world, options).await.unwrap();
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let events = Events::new();
        let heard = events.listen();
        Self { sim, dir, store, events, clock: ManualClock::at(noon()), heard }
    }

    /// As after a restart of the process: everything in memory is gone.
    pub fn restart(self) -> Self {
        let Self { sim, dir, store, clock, .. } = self;
        drop(store);
        let store = reopened(dir.path());
        let events = Events::new();
        let heard = events.listen();
        Self { sim, dir, store, events, clock, heard }
    }

    pub fn api(&self) -> VmManagerApi {
        let options = self.sim.options();
        let credentials =
            Credentials::Password { username: options.username, password: options.password.into() };
        let mut settings = vmmanager::Settings::new(self.sim.url().parse().unwrap(), credentials);
        settings.timing = Timing::short();
        VmManagerApi::new(settings).unwrap()
    }

    pub fn balancer(&self) -> VmBalancer {
        self.balancer_with(|_| {})
    }

    pub fn rules(&self) -> Rules {
        let Settings { policy, migration_cooldown, failure_cooldown, .. } = settings();
        let cooldowns = Cooldowns { migration: migration_cooldown, failure: failure_cooldown };
        let base = Base::new(move || (policy.clone(), cooldowns));
        Rules::new(base, self.store.clone(), self.events.clone())
    }

    pub fn balancer_with(&self, change: impl FnOnce(&mut Settings)) -> VmBalancer {
        let mut settings = settings();
        change(&mut settings);
        let parts = Parts {
            api: self.api(),
            store: self.store.clone(),
            events: self.events.clone(),
            clock: Clock::from(self.clock.clone()),
            measure: None,
        };
        VmBalancer::new(settings, parts)
    }

    /// Plans, and records the first cluster's plan as approved by the automatic mode.
    pub async fn approved(&self, balancer: &VmBalancer) -> Proposal {
        let picture = balancer.look().await.unwrap();
        let plan = &picture.plan.clusters[0];
        assert!(!plan.migrations.is_empty(), "there should be something to do: {plan:?}");
        let state = ProposalState::Approved { by: Approver::Auto, at: noon() };
        let draft = balancer.draft(plan, picture.plan.taken_at, Origin::Schedule, state, None);
        match self.store.propose(draft).unwrap() {
            Proposed::Recorded { proposal, .. } => *proposal,
            Proposed::Busy(other) => unreachable!("busy with {other}"),
        }
    }

    /// Plans, approves, carries out to the end.
    pub async fn carry_out(&self, balancer: &VmBalancer) -> Proposal {
        let proposal = self.approved(balancer).await;
        self.finish(balancer, proposal.id).await
    }

    pub async fn finish(&self, balancer: &VmBalancer, proposal: ProposalId) -> Proposal {
        let executor = balancer.executor(&CancellationToken::new()).unwrap().expect("no dry run");
        let done = timeout(PATIENCE, executor.carry_out(proposal)).await;
        done.expect("the plan should end").unwrap();
        self.proposal(proposal)
    }

    pub fn proposal(&self, id: ProposalId) -> Proposal {
        self.store.proposal(id).unwrap().unwrap()
    }

    pub fn history(&self) -> Vec<JournalEntry> {
        self.store.history(&HistoryFilter::default(), 1000).unwrap()
    }

    /// Every alert so far, in order.
    pub fn alerts(&mut self) -> Vec<Alert> {
        let mut alerts = Vec::new();
        while let Ok(event) = self.heard.try_recv() {
            if let Event::Alert(alert) = event {
                alerts.push(alert);
            }
        }
        alerts
    }

    pub fn minutes_pass(&self, minutes: i64) {
        self.clock.advance(TimeDelta::minutes(minutes));
    }
}

pub fn settings() -> Settings {
    // One migration at a time, so that a test names the one that it is about.
    let policy = Policy { migrations_max: 1, parallel_max: 1, ..Policy::default() };
    Settings {
        policy,
        migration_cooldown: TimeDelta::hours(1),
        eyes: eyes::Settings::short(),
        execution: executor::Settings::short(),
        ..Settings::default()
    }
}

/// The outcomes of a proposal's steps with their reasons.
pub fn outcomes(proposal: &Proposal) -> Vec<(Outcome, String)> {
    proposal
        .steps
        .iter()
        .map(|step| match &step.state {
            StepState::Ended { outcome, detail, .. } => {
                (*outcome, detail.as_ref().map(english).unwrap_or_default())
            }
            other => unreachable!("step {} has not ended: {other:?}", step.migration.step),
        })
        .collect()
}

/// An ending in the words of the command line.
pub fn english(ending: &Ending) -> String {
    Words::english().plain_ending(ending, DateTime::UNIX_EPOCH)
}

/// The one outcome of a plan of one step.
pub fn outcome(proposal: &Proposal) -> (Outcome, String) {
    let mut all = outcomes(proposal);
    assert_eq!(all.len(), 1, "one step");
    all.remove(0)
}

/// An order that a process was about to send when it died.
pub fn intent(vm: VmId, target: NodeId) -> JournalEntry {
    JournalEntry {
        vm_name: "web-1".into(),
        source_name: "kvm-01".into(),
        target,
        target_name: "kvm-02".into(),
        approver: Approver::People(vec![Person { id: 1, name: "one".into() }]),
        history_before: HistoryBefore::Unknown,
        ..JournalEntry::example(vm.0, noon() - TimeDelta::seconds(1))
    }
}

pub fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub fn person(id: i64) -> Person {
    Person { id, name: format!("person {id}") }
}

/// Waits until a condition holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn reopened(dir: &Path) -> Store {
    Store::open(dir).unwrap()
}

/// Writes each date and time of the day with zeros, and without its fraction of a second.
pub fn without_times(text: &str) -> String {
    let word = |word: &str| {
        let is_time = |part: &str| NaiveTime::parse_from_str(part, "%H:%M").is_ok();
        let is_date = |part: &str| part.parse::<NaiveDate>().is_ok() || part.parse::<DateTime<Utc>>().is_ok();
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match bare.split_once('.').map_or(bare, |(whole, _)| whole) {
            whole if is_date(bare) || is_time(bare) => {
                word.replace(bare, &whole.replace(|c: char| c.is_ascii_digit(), "0"))
            }
            _ => word.to_owned(),
        }
    };
    text.split_inclusive(char::is_whitespace).map(word).collect()
}
