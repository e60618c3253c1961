//! Puts what the chat has set in force, in every room that obeys it.

use std::{collections::BTreeMap, time::Duration};

use super::Pace;
use crate::{
    balancer,
    config::{Config, Given, Tuned},
    executor, eyes,
    live::Live,
    scheduler::{self, Setting, Tuning, Unsettable},
    store::{SetByChat, Store},
    telegram::{self, Habits},
};

/// The settings that can change while the bot runs: as they were configured, and where the rooms read them.
#[derive(Debug)]
pub(super) struct Tuner {
    configured: Live<Configured>,
    store: Store,
    pub(super) balancer: Live<balancer::Settings>,
    pub(super) scheduler: Live<scheduler::Settings>,
    pub(super) habits: Live<Habits>,
    /// How far apart the readings of the nodes are.
    pub(super) readings: Live<Duration>,
}

/// What the configuration says, and where each value stands.
#[derive(Debug)]
struct Configured {
    tuned: Tuned,
    given: Given,
}

impl Tuner {
    /// Begins with what was configured.
    pub(super) fn new(
        config: &Config,
        chat: Option<&telegram::Settings>,
        store: Store,
        load_readings: u32,
        pace: Pace,
    ) -> Self {
        let configured =
            Tuned { balancer: of_balancer(config, load_readings, pace), ..read_tuned(config, chat) };
        let Tuned { balancer, scheduler, habits, history_kept: _ } = configured.clone();
        Self {
            readings: scheduler.look_interval().into(),
            balancer: balancer.into(),
            scheduler: scheduler.into(),
            habits: habits.into(),
            configured: Configured { tuned: configured, given: config.given.clone() }.into(),
            store,
        }
    }

    /// Takes what can change while the bot runs from a configuration that was read again. It is in force after the
    /// next [`Tuning::apply`].
    pub(super) fn configure(&self, config: &Config) {
        let tuned =
            self.configured.get().tuned.with_tunables_of(&read_tuned(config, config.telegram.as_ref()));
        self.configured.set(Configured { tuned, given: config.given.clone() });
    }
}

impl Tuning for Tuner {
    fn judge(&self, name: &str, value: Option<&str>) -> Result<&'static str, Unsettable> {
        self.configured.get().tuned.judge(name, value)
    }

    fn apply(&self, set: &BTreeMap<String, SetByChat>) {
        let (tuned, problems) = self.configured.get().tuned.with(set);
        let Tuned { balancer, scheduler, habits, history_kept } = tuned;
        for problem in problems {
            tracing::warn!(%problem, "a setting of the chat cannot be used any more");
        }
        // The history tells which VMs rest.
        let longest_rest = balancer.migration_cooldown.max(balancer.failure_cooldown);
        self.store.keep_history_for(history_kept.max(longest_rest));
        self.readings.set(scheduler.look_interval());
        self.balancer.set(balancer);
        self.scheduler.set(scheduler);
        self.habits.set(habits);
    }

    fn settings(&self, set: &BTreeMap<String, SetByChat>) -> Vec<Setting> {
        let configured = self.configured.get();
        configured.tuned.settings(&configured.given, set)
    }
}

fn read_tuned(config: &Config, chat: Option<&telegram::Settings>) -> Tuned {
    Tuned {
        balancer: config.balancer.clone(),
        scheduler: config.scheduler.clone(),
        habits: chat.map(|chat| Habits::clone(&chat.habits.get())).unwrap_or_default(),
        history_kept: config.history_kept,
    }
}

fn of_balancer(config: &Config, load_readings: u32, pace: Pace) -> balancer::Settings {
    let mut settings = config.balancer.clone();
    settings.policy.load_readings = load_readings;
    if pace == Pace::Short {
        settings.eyes = eyes::Settings::short();
        settings.execution =
            executor::Settings { slow_after: settings.execution.slow_after, ..executor::Settings::short() };
    }
    settings
}
