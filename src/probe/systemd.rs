//! Says to systemd that the program is ready, alive, reloading or stopping. Without systemd nobody listens.

use std::{io, time::Duration};

use sd_notify::NotifyState;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::meter::Beat;

/// What the bot reports to a service manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Ready,
    Reloading,
    Stopping,
}

/// Tells the service manager; nothing happens where there is none.
pub(crate) fn report(said: Said) {
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
pub(crate) async fn watch(beats: Vec<Beat>, shutdown: CancellationToken) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return shutdown.cancelled().await };
    // Twice in the time allowed, as systemd's manual says.
    let mut ticks = interval((patience / 2).max(Duration::from_millis(1)));
    let mut late_before = false;
    let mut feeding = Feeding::default();
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
        if !late_before && let Some(error) = feeding.news(sd_notify::notify(&[NotifyState::Watchdog])) {
            tracing::warn!(%error, "the watchdog cannot be fed");
        }
    }
}

/// Whether the watchdog was fed the last time. A socket that is gone is named once, not at every tick.
#[derive(Debug, Default)]
struct Feeding {
    fails: bool,
}

impl Feeding {
    /// Returns an error that was not there the time before.
    fn news(&mut self, fed: io::Result<()>) -> Option<io::Error> {
        let failed_before = std::mem::replace(&mut self.fails, fed.is_err());
        fed.err().filter(|_| !failed_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_gone_is_named_once() {
        let mut feeding = Feeding::default();
        let gone = || Err(io::ErrorKind::NotFound.into());
        let named: Vec<_> =
            [gone(), gone(), Ok(()), gone(), gone()].map(|fed| feeding.news(fed).is_some()).into();
        assert_eq!(named, [true, false, false, true, false]);
    }
}
