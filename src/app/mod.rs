//! The one composition root: builds all parts from the configuration and joins them.
//!
//! [`App`] is the bot; [`balancer`] is what the command line needs for one look or one cycle, and [`vmmanager`] and
//! [`monitor`] what it needs to try each part by itself.

mod measure;
mod single;
mod tuner;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use measure::nodes_to_ask;
pub use single::{Single, confirm_restored, env_file, environment};

use self::tuner::Tuner;
use crate::{
    balancer::{CycleError, Parts, VmBalancer},
    clock::Clock,
    config::{Config, Problems},
    control::{Control, ControlError, make_data_dir},
    event::Events,
    model::ApiFailure,
    probe::{self, Probe, ProbeError, Said, Sources},
    scheduler::{Handle, Refused, Scheduler, Setting, SettingSource, Tuning as _},
    ssh::{self, SshError, SshMonitor},
    store::{Store, StoreError, other_owner},
    telegram::{self, BotError},
    vmmanager::{Timing, VmManagerApi},
};

/// With a measured load, a node counts as overloaded after this many readings in a row over the threshold: one
/// peak of five minutes is no reason to move anything.
const LOAD_READINGS: u32 = 2;

/// How long the parts wait for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// For servers of the real world.
    #[default]
    Usual,
    /// For simulated servers on the same machine.
    Short,
    /// For somebody who waits to hear what is wrong.
    Trial,
}

/// A file that a variable names and that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: cannot read {path}")]
pub struct UnreadableFile {
    pub name: &'static str,
    pub path: String,
    #[source]
    pub source: std::io::Error,
}

/// Why the parts cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Variables have values that cannot be used.
    #[error(transparent)]
    Configuration(#[from] Problems),
    /// VMmanager's address or login is not set.
    #[error("VMmanager is not configured")]
    NoVmManager,
    /// A file that the configuration names cannot be read.
    #[error(transparent)]
    File(#[from] UnreadableFile),
    /// VMmanager's settings cannot be used.
    #[error(transparent)]
    Api(#[from] ApiFailure),
    /// SSH's settings cannot be used.
    #[error("SSH monitoring cannot begin")]
    Ssh(#[from] SshError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// We are root, and what runs with this `DATA_DIR` is another user's: files of ours would lock it out.
    #[error(
        "{} (DATA_DIR) belongs to another user (id {owner}) and was not opened, since what root writes there that user cannot read: run this as that user, e.g. `runuser -u vm-balancer -- vm-balancer …`",
        dir.display()
    )]
    OtherOwner {
        /// `DATA_DIR`.
        dir: std::path::PathBuf,
        /// The number of the user that it belongs to.
        owner: u32,
    },
    /// The socket for the other commands cannot be opened.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// `HTTP_LISTEN` cannot be listened on.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The bot cannot be made from its settings.
    #[error("the chat cannot begin")]
    Chat(#[from] BotError),
    /// The single cycle could not be done.
    #[error(transparent)]
    Cycle(#[from] CycleError),
}

impl AppError {
    /// Says no where root would open the store of another user.
    ///
    /// # Errors
    ///
    /// [`AppError::OtherOwner`].
    pub(crate) fn refuse_other_owner(dir: &std::path::Path) -> Result<(), Self> {
        match other_owner(dir) {
            Some(owner) => Err(Self::OtherOwner { dir: dir.to_owned(), owner }),
            None => Ok(()),
        }
    }

    /// Tells whether another vm-balancer works in the same `DATA_DIR`.
    #[must_use]
    pub fn is_another_running(&self) -> bool {
        matches!(self, Self::Store(StoreError::Locked { .. }) | Self::Control(ControlError::Taken(_)))
    }

    /// Tells whether the configuration is what is wrong.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Configuration(_) | Self::NoVmManager | Self::File(_) | Self::Ssh(_) => true,
            Self::Api(failure) => matches!(failure, ApiFailure::Settings(_)),
            Self::Store(_)
            | Self::OtherOwner { .. }
            | Self::Control(_)
            | Self::Probe(_)
            | Self::Chat(_)
            | Self::Cycle(_) => false,
        }
    }
}

/// The bot: the scheduler, the chat and the control socket.
pub struct App {
    scheduler: Scheduler,
    chat: Option<telegram::Bot>,
    handle: Handle,
    tuner: Arc<Tuner>,
    control: Control,
    probe: Option<Probe>,
    api: VmManagerApi,
    store: Store,
    clock: Clock,
}

impl App {
    /// Builds all parts; nothing is asked of VMmanager yet.
    ///
    /// # Errors
    ///
    /// What cannot be built, first of all that another vm-balancer works in the same `DATA_DIR`.
    pub async fn build(config: &Config, clock: Clock, pace: Pace) -> Result<Self, AppError> {
        Self::build_with_chat(config, config.telegram.clone(), clock, pace).await
    }

    /// Builds all parts with a chat that may differ from the configured one in what no variable sets.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub async fn build_with_chat(
        config: &Config,
        chat: Option<telegram::Settings>,
        clock: Clock,
        pace: Pace,
    ) -> Result<Self, AppError> {
        make_data_dir(&config.data_dir)?;
        // The store has one owner, so its owner may replace a socket that is left behind.
        let store = Store::open_or_restore(&config.data_dir, clock.now())?;
        let control = Control::open(&config.data_dir).await?;
        let probe = match config.http_listen {
            Some(address) => Some(Probe::open(address).await?),
            None => None,
        };
        let events = Events::new();
        let tuner = Tuner::new(config, chat.as_ref(), store.clone(), LOAD_READINGS, pace);
        let balancer = joined(config, &tuner, store.clone(), events.clone(), clock.clone(), pace)?;
        let api = balancer.parts().api.clone();
        let (habits, tuned) = (tuner.habits.clone(), tuner.scheduler.clone());
        let tuner = Arc::new(tuner);
        let (scheduler, handle) = Scheduler::new(tuned, Some(tuner.clone()), balancer);
        let chat = match chat {
            Some(settings) => Some(telegram::Bot::new(
                telegram::Settings { habits, ..settings },
                handle.clone(),
                store.clone(),
                events.clone(),
                clock.clone(),
            )?),
            None => None,
        };
        Ok(Self { scheduler, chat, handle, tuner, control, probe, api, store, clock })
    }

    /// Returns the way to the scheduler.
    #[cfg(feature = "internals")]
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns the store that all parts share.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns what takes a configuration that was read again while the bot runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { tuner: Arc::clone(&self.tuner), handle: self.handle.clone() }
    }

    /// Runs until the shutdown and until all parts have ended after it.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { scheduler, chat, handle, tuner: _, control, probe, api, store, clock } = self;
        let of_chat = chat.iter().flat_map(telegram::Bot::beats);
        let beats: Vec<_> = scheduler.beats().into_iter().chain(of_chat).collect();
        let mut parts = JoinSet::new();
        parts.spawn(probe::watch(beats.clone(), shutdown.clone()));
        if let Some(probe) = probe {
            let sources = Sources { handle: handle.clone(), store: store.clone(), beats: beats.clone() };
            parts.spawn(probe.serve(sources, shutdown.clone()));
        }
        parts.spawn(scheduler.run(shutdown.clone()));
        if let Some(chat) = chat {
            parts.spawn(chat.run(shutdown.clone()));
        }
        parts.spawn(control.serve(handle, store.clone(), beats, shutdown.clone()));
        probe::report(Said::Ready);
        while let Some(ended) = parts.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part broke; everything stops");
            }
            // No part ends by itself: without one of them the rest is no bot.
            shutdown.cancel();
        }
        probe::report(Said::Stopping);
        tokio::join!(store.export_aside(clock.now()), api.log_out());
    }
}

/// Puts a configuration in force that was read again, as far as it can change while the bot runs.
#[derive(Clone, Debug)]
pub struct Reloader {
    tuner: Arc<Tuner>,
    handle: Handle,
}

impl Reloader {
    /// Returns the settings for which the chat's value wins over what was read.
    ///
    /// # Errors
    ///
    /// The scheduler ends, or what the chat has set cannot be read.
    pub async fn reload(&self, config: &Config) -> Result<Vec<&'static str>, Refused> {
        self.tuner.configure(config);
        let by_chat = |setting: &Setting| matches!(setting.source, SettingSource::Chat { .. });
        Ok(self.handle.reapply().await?.iter().filter(|it| by_chat(it)).map(|it| it.name).collect())
    }
}

/// Builds what looks, plans and carries out once, over an open store: a single look has one reading of each node,
/// so one must do.
///
/// # Errors
///
/// What of the configuration cannot be used.
pub fn balancer(
    config: &Config,
    store: Store,
    events: Events,
    clock: Clock,
    pace: Pace,
) -> Result<VmBalancer, AppError> {
    let tuner = Tuner::new(config, None, store.clone(), 1, pace);
    joined(config, &tuner, store, events, clock, pace)
}

fn joined(
    config: &Config,
    tuner: &Tuner,
    store: Store,
    events: Events,
    clock: Clock,
    pace: Pace,
) -> Result<VmBalancer, AppError> {
    // What the chat has set counts for a single run too.
    tuner.apply(&store.settings()?.values);
    let settings = ssh_settings(config, Path::exists);
    let settings = settings.map(|settings| ssh::Settings { interval: tuner.readings.clone(), ..settings });
    let monitor = settings.map(|settings| SshMonitor::new(settings, clock.clone())).transpose()?;
    let wanted = config.balancer.policy.clusters.clone();
    let measure = measure::measure(monitor.map(Arc::new), wanted, store.clone(), events.clone());
    let parts = Parts { api: vmmanager(config, pace)?, store, events, clock, measure: Some(measure) };
    Ok(VmBalancer::new(tuner.balancer.clone(), parts))
}

/// Builds the client of VMmanager; nothing is sent yet.
///
/// # Errors
///
/// What of the configuration cannot be used.
pub fn vmmanager(config: &Config, pace: Pace) -> Result<VmManagerApi, AppError> {
    let mut settings = config.vmmanager.clone().ok_or(AppError::NoVmManager)?;
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| UnreadableFile {
            name: "VMMANAGER_CA_FILE",
            path: path.display().to_string(),
            source,
        })
    };
    settings.ca_pem = config.ca_file.as_ref().map(read).transpose()?;
    match pace {
        Pace::Usual => {}
        Pace::Short => settings.timing = Timing::short(),
        Pace::Trial => settings.timing = Timing::trial(),
    }
    Ok(VmManagerApi::new(settings)?)
}

/// Builds what asks the nodes themselves; `None` where SSH is off.
///
/// # Errors
///
/// A key or known hosts that cannot be used.
pub fn monitor(config: &Config, clock: Clock) -> Result<Option<SshMonitor>, AppError> {
    let settings = ssh_settings(config, Path::exists);
    Ok(settings.map(|settings| SshMonitor::new(settings, clock)).transpose()?)
}

/// Without a key and without a password a person's own key is taken.
fn ssh_settings(config: &Config, exists: impl Fn(&Path) -> bool) -> Option<ssh::Settings> {
    let mut settings = config.ssh.clone()?;
    if settings.private_key.is_none() && settings.password.is_none() {
        settings.private_key = config.own_keys.iter().find(|key| exists(&key.path)).cloned();
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_key_and_password_a_persons_own_key_is_tried() {
        let key = |more: &[(&str, &str)]| {
            let given = [&[("SSH_ENABLED", "true"), ("HOME", "/home/op")], more].concat();
            let lookup = |name: &str| {
                given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            let config = Config::for_purpose(crate::config::Purpose::Offline, lookup).unwrap().config;
            let settings = ssh_settings(&config, |path| path.ends_with("id_rsa")).unwrap();
            settings.private_key.map(|key| key.path)
        };
        assert_eq!(key(&[]).as_deref(), Some(Path::new("/home/op/.ssh/id_rsa")));
        assert_eq!(key(&[("SSH_PASSWORD", "x")]), None);
        assert_eq!(key(&[("SSH_PRIVATE_KEY_PATH", "/k")]).as_deref(), Some(Path::new("/k")));
    }
}
