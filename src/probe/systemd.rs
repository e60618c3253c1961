//! Says to systemd that the program is ready, alive, reloading or stopping. Without systemd nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::meter::Beat;

/// What a service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Ready,
    Reloading,
    Stopping,
}

/// Tells the service manager; nothing happens where there is none.
pub fn report(said: Said) {
    let told = match said {
        Said::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Said::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => sd_notify::notify(&[NotifyState::Reloading, now]),
            Err(error) => Err(error),
        },
        Said::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Feeds systemd's watchdog while every loop is alive, until the shutdown. A loop that hangs ends the process so.
pub async fn watch(beats: Vec<Beat>, shutdown: CancellationToken) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return shutdown.cancelled().await };
    // Twice in the time allowed, as systemd's manual says.
    let mut ticks = interval((patience / 2).max(Duration::from_millis(1)));
    let mut late_before = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let late: Vec<_> = beats.iter().filter(|beat| beat.is_late()).map(Beat::name).collect();
        if !late.is_empty() && !late_before {
            tracing::error!(?late, "a loop hangs: the watchdog is not fed");
        }
        late_before = !late.is_empty();
        if !late_before && let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
            tracing::warn!(%error, "the watchdog cannot be fed");
        }
    }
}
