//! When cycles run, and what people may ask for. Owns the balancer; others reach it through a [`Handle`].
//!
//! The loop in [`Scheduler::run`] only hands out work: requests are answered while cycles and plans run.
//! Knows no chat: what it did is in the store, and each change is followed by an [`Event`](crate::event::Event).
//!
//! `core` joins the parts: `sight` has the newest picture, `switches` what people may change, `proposals` the records,
//! `runs` carries out, `cycle` decides by the schedule, `standing` what it may do without asking, `upkeep` looks
//! after the store and the clock, `ahead` answers what would be, `later` begins what was approved for later,
//! `rounds` empties nodes one after the other.

mod ahead;
mod core;
mod cycle;
mod handle;
mod later;
mod proposals;
mod rounds;
mod runs;
mod sight;
mod standing;
mod switches;
mod tuning;
mod upkeep;
mod windows;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::ahead::{Forecast, Foreseen, WhatIf};
use self::core::Core;
pub use crate::balancer::Picture;
pub use crate::executor::{Glimpse, Says};
use crate::{balancer::VmBalancer, live::Live, meter::Beat, model::ProposalId, store::Mode};
use handle::Request;
pub use handle::{
    Approved, Balanced, Cancelled, Change, Changed, Drained, Hand, Handle, LastCycle, Later, Maintained,
    PlanOf, Refused, Rounded, Status, Stop, Stopped, WaitingPlan, WatchWish, Watched,
};
pub use later::When;
pub(crate) use standing::in_utc;
pub use standing::{Nightly, StandingEnd, StandingNow, StandingState};
use tuning::Untuned;
pub use tuning::{
    ExpectedValue, FoundValue, Group, Kind, Setting, SettingSource, SettingWarning, Tuning, Unit, Unsettable,
};
pub use windows::Windows;

/// Requests that wait while the loop hands out another; people type slower.
const REQUESTS_MAX: usize = 64;

/// How often the store is checked, and proposals for their end. A press checks by itself; this is for the message.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often everything is exported besides the ends of plans.
const EXPORT_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// How long the loop may be silent: it says each second that it is alive. What stands before it reads the store.
const LOOP_SILENCE: Duration = Duration::from_secs(120);

/// How long a cycle may take. A look at a large platform takes minutes where VMmanager is slow or restarts.
const CYCLE_MAX: Duration = Duration::from_secs(30 * 60);

/// How long running work may take to leave when everything stops; the whole stop has 10 s.
const STOP_PATIENCE: Duration = Duration::from_secs(7);

/// When cycles run and what they do.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// From the start of one cycle to the start of the next; a slow cycle delays the next.
    pub interval: Duration,
    /// From one look besides the cycles to the next: overload that is new starts a cycle at once. `None` for no such
    /// looks.
    pub watch: Option<Duration>,
    /// `BALANCE_MODE`; the chat may change it.
    pub mode: Mode,
    /// `BALANCE_WINDOW`.
    pub windows: Windows,
    /// The zone of the windows.
    pub timezone: chrono_tz::Tz,
    /// `AUTOPILOT`.
    pub autopilot: Option<Nightly>,
    pub patience: Patience,
}

/// How long people wait for a look at a platform of which nothing is known yet. Later ones get what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Who asks how things stand; 2 s, for the answer says that nothing is known yet.
    pub status: Duration,
    /// Who names something, which cannot be found before a look; 5 s.
    pub names: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { status: Duration::from_secs(2), names: Duration::from_secs(5) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            watch: Some(Duration::from_secs(120)),
            mode: Mode::default(),
            windows: Windows::default(),
            timezone: chrono_tz::UTC,
            autopilot: None,
            patience: Patience::default(),
        }
    }
}

impl Settings {
    /// Returns the time from one look at the nodes to the next: load that is over its threshold is confirmed by the
    /// look before, also where that was none of a cycle.
    #[must_use]
    pub fn look_interval(&self) -> Duration {
        self.watch.map_or(self.interval, |watch| watch.min(self.interval))
    }
}

/// The loop.
pub struct Scheduler {
    core: Arc<Core>,
    settings: Live<Settings>,
    requests: mpsc::Receiver<Request>,
    stop: CancellationToken,
    beat: Beat,
    cycle_beat: Beat,
}

/// What a task that ended leaves to be done.
#[derive(Default)]
struct Left {
    /// Approved proposals to be carried out.
    carry_out: Vec<ProposalId>,
    /// Plans that were approved for this time.
    begin: Vec<ProposalId>,
    /// A cycle, now: a look found new overload.
    cycle: bool,
}

impl Scheduler {
    /// Makes the loop and the way to it; nothing runs yet. With `tuning` people may change settings.
    #[must_use]
    pub fn new(
        settings: impl Into<Live<Settings>>,
        tuning: Option<Arc<dyn Tuning>>,
        balancer: VmBalancer,
    ) -> (Self, Handle) {
        let settings: Live<Settings> = settings.into();
        let tuning = tuning.unwrap_or_else(|| Arc::new(Untuned));
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let stop = CancellationToken::new();
        let core = Arc::new(Core::new(settings.clone(), tuning, balancer, stop.clone()));
        let (beat, cycle_beat) = (Beat::new("scheduler", LOOP_SILENCE), Beat::new("cycle", CYCLE_MAX));
        (Self { core, settings, requests, stop, beat, cycle_beat }, Handle::new(sender))
    }

    /// Returns the signs of life of the loop and of its cycles.
    #[must_use]
    pub fn beats(&self) -> [Beat; 2] {
        [self.beat.clone(), self.cycle_beat.clone()]
    }

    /// Runs until `shutdown`: then nothing new is ordered, running tasks are left to VMmanager and to the next
    /// start, and the store is flushed.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut work: JoinSet<Left> = JoinSet::new();
        tokio::select! {
            () = shutdown.cancelled() => return self.leave(work).await,
            () = self.take_over(&mut work) => {}
        }
        let mut expiry = ticking(EXPIRY_INTERVAL);
        let mut exports = ticking(EXPORT_INTERVAL);
        let mut rhythm = Rhythm::of(&self.settings.get());
        let mut cycle: Option<Id> = None;
        let mut watching: Option<Id> = None;
        let mut checking: Option<Id> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = rhythm.cycles.tick(), if cycle.is_none() => {
                    self.core.cycle.next_in(rhythm.interval);
                    self.cycle_beat.again_within(CYCLE_MAX);
                    let core = Arc::clone(&self.core);
                    cycle = Some(work.spawn(async move { Left { carry_out: core.cycle().await, ..Left::default() } }).id());
                }
                _ = rhythm.watches.tick(), if rhythm.watch.is_some() && cycle.or(watching).is_none() => {
                    let core = Arc::clone(&self.core);
                    watching = Some(work.spawn(async move {
                        Left { cycle: core.cycle.sees_new_overload(&core.sight).await, ..Left::default() }
                    }).id());
                }
                Some(request) = self.requests.recv() => self.answer(&mut work, request),
                Some(ended) = work.join_next_with_id(), if !work.is_empty() => {
                    let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                    if cycle == Some(id) {
                        cycle = None;
                        self.cycle_beat.again_within(rhythm.interval.saturating_add(CYCLE_MAX));
                    }
                    watching = watching.filter(|watching| *watching != id);
                    checking = checking.filter(|checking| *checking != id);
                    match ended {
                        Ok((_, left)) => {
                            if left.cycle {
                                rhythm.cycles.reset_immediately();
                            }
                            self.begin(&mut work, left);
                        }
                        Err(error) => tracing::error!(%error, "work of the scheduler panicked"),
                    }
                }
                _ = expiry.tick() => {
                    self.beat.again_within(LOOP_SILENCE);
                    if rhythm.follow(&self.settings.get()) {
                        self.core.cycle.next_in(rhythm.interval);
                    }
                    self.look_after_runs(&mut rhythm);
                    if checking.is_none() {
                        checking = Some(self.check(&mut work));
                    }
                }
                _ = exports.tick() => self.export(&mut work),
            }
        }
        self.leave(work).await;
    }

    /// Before anything else is ordered: what the last process left open is known, and looked after.
    async fn take_over(&self, work: &mut JoinSet<Left>) {
        self.core.upkeep.report_restore();
        self.core.upkeep.check_clock();
        let watcher = self.core.runs.watcher();
        let Some(left) = watcher.left_open_at_last().await else { return };
        for entry in left.entries.clone() {
            let watcher = watcher.clone();
            work.spawn(async move {
                watcher.follow_up(entry).await;
                Left::default()
            });
        }
        let mut ended = Box::pin(async move {
            watcher.end_left(&left).await;
            Left::default()
        });
        // What can be written at the first try is written before the first cycle.
        if futures::poll!(&mut ended).is_pending() {
            work.spawn(ended);
        }
    }

    fn answer(&self, work: &mut JoinSet<Left>, request: Request) {
        let core = Arc::clone(&self.core);
        work.spawn(async move {
            core.answer(request).await;
            Left::default()
        });
    }

    /// Looks after the clock, the store and the ends of proposals, on a thread that may wait for the disk: requests do not
    /// wait behind it.
    fn check(&self, work: &mut JoinSet<Left>) -> Id {
        let core = Arc::clone(&self.core);
        let check = move || {
            core.upkeep.check_clock();
            core.upkeep.look_after_store();
            core.proposals.expire();
            Left { begin: core.due(), ..Left::default() }
        };
        work.spawn_blocking(check).id()
    }

    /// Begins what a task left to be done.
    fn begin(&self, work: &mut JoinSet<Left>, left: Left) {
        for proposal in left.begin {
            let core = Arc::clone(&self.core);
            work.spawn(async move {
                core.runs.start(proposal, &core.sight, &core.proposals).await;
                Left::default()
            });
        }
        for proposal in left.carry_out {
            let core = Arc::clone(&self.core);
            work.spawn(async move {
                core.runs.carry_out(proposal).await;
                core.sight.look_again().await;
                Left::default()
            });
        }
    }

    /// Looks at once where a plan has ended: what is still overloaded there does not wait for the next cycle.
    fn look_after_runs(&self, rhythm: &mut Rhythm) {
        let ended = self.core.runs.take_ended();
        if !ended.is_empty() {
            self.core.cycle.forget_overload(&ended);
            rhythm.watches.reset_immediately();
        }
    }

    fn export(&self, work: &mut JoinSet<Left>) {
        let core = Arc::clone(&self.core);
        work.spawn(async move {
            core.upkeep.export().await;
            Left::default()
        });
    }

    async fn leave(mut self, mut work: JoinSet<Left>) {
        self.requests.close();
        self.stop.cancel();
        let all_left = timeout(STOP_PATIENCE, async { while work.join_next().await.is_some() {} }).await;
        if all_left.is_err() {
            tracing::warn!("some work did not leave in time; the journal has what it was doing");
            work.shutdown().await;
        }
        self.core.upkeep.flush();
    }
}

/// When cycles and looks between them are due.
struct Rhythm {
    interval: Duration,
    watch: Option<Duration>,
    cycles: Interval,
    watches: Interval,
}

impl Rhythm {
    /// A rhythm whose first cycle is due at once. That one looks, so the first look between cycles comes later.
    fn of(settings: &Settings) -> Self {
        let Settings { interval, watch, .. } = *settings;
        let mut watches = ticking(watch.unwrap_or(interval));
        watches.reset();
        Self { interval, watch, cycles: ticking(interval), watches }
    }

    /// Goes over to changed settings; true where they did change. The next cycle is then due after a whole interval.
    fn follow(&mut self, settings: &Settings) -> bool {
        if (settings.interval, settings.watch) == (self.interval, self.watch) {
            return false;
        }
        *self = Self::of(settings);
        self.cycles.reset();
        true
    }
}

fn ticking(every: Duration) -> Interval {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A duration of the runtime as one of the calendar; what does not fit counts as for ever.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_confirmed_by_the_look_before_and_without_looks_by_the_cycle_before() {
        let apart = |interval, watch: Option<u64>| {
            let watch = watch.map(Duration::from_secs);
            let settings = Settings { interval: Duration::from_secs(interval), watch, ..Settings::default() };
            settings.look_interval().as_secs()
        };
        assert_eq!([apart(600, Some(120)), apart(600, None), apart(60, Some(120))], [120, 600, 60]);
    }
}
