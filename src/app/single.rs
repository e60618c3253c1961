//! One look or one cycle, for the command line and for other programs.

use std::{collections::BTreeMap, fs, io, path::Path};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{AppError, Pace, UnreadableFile, balancer};
use crate::{
    balancer::{CycleReport, Picture, VmBalancer},
    clock::Clock,
    config::{Config, EnvFile, Purpose, Sources, read_env_file},
    control::{self, ControlError, Request},
    event::Events,
    store::Store,
};

/// A single run that has not begun: it opens its store only when it runs.
#[derive(Debug)]
pub struct Single {
    config: Config,
    clock: Clock,
    confirms_restored: bool,
}

/// What a single run works with. A store of its own goes with it.
pub struct Opened {
    pub balancer: VmBalancer,
    _scratch: Option<TempDir>,
}

impl VmBalancer {
    /// Reads the configuration from a file and from the environment, which wins, as the program does.
    ///
    /// Nothing is opened and nothing is asked before [`Single::run_once`].
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and all that is wrong with the values.
    pub fn from_env_file(path: impl AsRef<Path>) -> Result<Single, AppError> {
        let file_name = path.as_ref().display().to_string();
        let unreadable =
            |source| UnreadableFile { name: "the configuration", path: file_name.clone(), source };
        let sources = Sources {
            environment: environment(),
            file: env_file(path.as_ref()).map_err(unreadable)?,
            file_name: file_name.clone(),
            ..Sources::default()
        };
        let loaded = Config::from_sources(Purpose::Live, &sources)?;
        for warning in sources.warnings().into_iter().chain(loaded.warnings) {
            tracing::warn!("{warning}");
        }
        Ok(Single::new(loaded.config, Clock::system()))
    }
}

impl Single {
    /// A run with this configuration.
    #[must_use]
    pub fn new(config: Config, clock: Clock) -> Self {
        Self { config, clock, confirms_restored: false }
    }

    /// With `true` nothing is ordered and nothing is left behind, whatever the configuration and the chat say; with
    /// `false` they decide.
    #[must_use]
    pub fn dry_run(mut self, on: bool) -> Self {
        self.config.balancer.dry_run_forced = on;
        self
    }

    /// Whether to go on with a store that was restored from its export, as an admin would say with `/resume`.
    #[must_use]
    pub fn confirm_restored(mut self, on: bool) -> Self {
        self.confirms_restored = on;
        self
    }

    /// Runs one cycle and waits for its end: in a dry run it plans only, else it carries the plan out, whatever
    /// `BALANCE_MODE`, `BALANCE_WINDOW` or a pause say.
    ///
    /// # Errors
    ///
    /// Another vm-balancer works in the same `DATA_DIR`; VMmanager or the store cannot be used.
    pub async fn run_once(&self) -> Result<CycleReport, AppError> {
        let run = self.open().await?;
        let report = run.balancer.run_once(&CancellationToken::new()).await;
        run.balancer.parts().api.log_out().await;
        Ok(report?)
    }

    /// Reads the platform and plans; changes nothing.
    ///
    /// # Errors
    ///
    /// VMmanager or the store cannot be used, or we are root and the store is another user's.
    pub async fn look(&self) -> Result<Picture, AppError> {
        let data_dir = &self.config.data_dir;
        AppError::refuse_other_owner(data_dir)?;
        let scratch = if data_dir.exists() { None } else { Some(scratch()?) };
        let run = self.join(Store::open(scratch.as_ref().map_or(data_dir, TempDir::path))?, scratch)?;
        let picture = run.balancer.look().await;
        run.balancer.parts().api.log_out().await;
        Ok(picture?)
    }

    /// Opens the store and joins the parts for a cycle.
    ///
    /// # Errors
    ///
    /// Another vm-balancer works in the same `DATA_DIR`, the store cannot be used, or we are root and it is another
    /// user's.
    pub async fn open(&self) -> Result<Opened, AppError> {
        let data_dir = &self.config.data_dir;
        if control::ask(data_dir, &Request::Ping).await?.is_some() {
            return Err(ControlError::Taken(data_dir.clone()).into());
        }
        AppError::refuse_other_owner(data_dir)?;
        let is_new = !data_dir.exists();
        let scratch = if self.config.balancer.dry_run_forced && is_new { Some(scratch()?) } else { None };
        let store = match (&scratch, self.config.balancer.dry_run_forced) {
            (Some(scratch), _) => Store::open(scratch.path())?,
            (None, true) => Store::open(data_dir)?,
            (None, false) => {
                control::make_data_dir(data_dir)?;
                Store::open_or_restore(data_dir, self.clock.now())?
            }
        };
        if self.confirms_restored {
            confirm_restored(&store, &self.clock).await?;
        }
        self.join(store, scratch)
    }

    fn join(&self, store: Store, scratch: Option<TempDir>) -> Result<Opened, AppError> {
        let balancer = balancer(&self.config, store, Events::new(), self.clock.clone(), Pace::Usual)?;
        Ok(Opened { balancer, _scratch: scratch })
    }
}

/// Notes that somebody has confirmed a restored store, where no chat has an admin who could.
pub async fn confirm_restored(store: &Store, clock: &Clock) -> Result<(), AppError> {
    store.update_settings(|settings| settings.restored_unconfirmed = false)?;
    store.export_aside(clock.now()).await;
    Ok(())
}

/// A folder for a store that nobody needs afterwards: a look must not leave one where there was none.
fn scratch() -> Result<TempDir, AppError> {
    let made = tempfile::Builder::new().prefix("vm-balancer-look-").tempdir();
    made.map_err(|source| {
        let path = std::env::temp_dir();
        ControlError::Io { doing: "make a folder in", path, source }.into()
    })
}

/// Reads the file with the configuration.
pub fn env_file(path: &Path) -> io::Result<EnvFile> {
    read_env_file(&fs::read_to_string(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Returns the variables of the environment. Names and values that are no UTF-8 cannot be ours.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
