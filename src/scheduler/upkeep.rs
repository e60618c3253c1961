//! Looks after the store (trouble with the disk, exports, a restore) and after the clock.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::delta;
use crate::{
    balancer::{Parts, VmBalancer},
    event::Alert,
    store::Restored,
};

/// A clock that is set by less than this changes no cool-down to speak of. Time services do so all the time.
const CLOCK_JUMP: TimeDelta = TimeDelta::minutes(5);

pub(super) struct Upkeep {
    balancer: Arc<VmBalancer>,
    is_troubled: AtomicBool,
    /// What the clock showed at its last check, and the steady time then.
    clock: Mutex<Option<(DateTime<Utc>, Duration)>>,
}

impl Upkeep {
    pub(super) fn new(balancer: Arc<VmBalancer>) -> Self {
        Self { balancer, is_troubled: AtomicBool::new(false), clock: Mutex::default() }
    }

    /// Raises an alert when the store cannot be written, and lets it recover when it can.
    pub(super) fn look_after_store(&self) {
        let flushed = self.parts().store.flush();
        let was_troubled = self.is_troubled.swap(flushed.is_err(), Ordering::Relaxed);
        match flushed {
            Err(error) if !was_troubled => {
                tracing::error!(%error, "the store cannot be written; nothing is ordered until it can");
                let (since, why) = (self.parts().clock.now(), error.failure());
                self.alert(Alert::StoreTrouble { since, why });
            }
            Ok(()) if was_troubled => tracing::warn!("the store can be written again"),
            _ => {}
        }
    }

    /// Exports everything, so that it survives damage to the store.
    pub(super) async fn export(&self) {
        self.parts().store.export_aside(self.parts().clock.now()).await;
    }

    /// Raises an alert if the store was restored from an export at this start.
    pub(super) fn report_restore(&self) {
        if let Ok(Some(restored)) = self.parts().store.restoration() {
            let moved_to = restored.moved_to.display().to_string();
            let Restored { exported_at, writes_lost, switches, .. } = restored;
            self.alert(Alert::StoreRestored { exported_at, moved_to, writes_lost, switches });
        }
    }

    /// Raises an alert when the clock was set: while this process runs, and at its start by the newest record.
    pub(super) fn check_clock(&self) {
        let (after, steady) = self.parts().clock.now_and_steady();
        let last = self.clock.lock().unwrap_or_else(PoisonError::into_inner).replace((after, steady));
        let before = match last {
            Some((shown, then)) => Some(shown + delta(steady.saturating_sub(then))),
            // Between two processes the clock may go ahead by any time, but not back.
            None => self.parts().store.newest_time().unwrap_or_default().filter(|newest| *newest > after),
        };
        let Some(before) = before.filter(|before| (after - *before).abs() >= CLOCK_JUMP) else { return };
        tracing::warn!(%before, %after, "the clock jumped");
        self.alert(Alert::ClockJumped { before, after });
    }

    /// Puts everything on disk before the end.
    pub(super) fn flush(&self) {
        if let Err(error) = self.parts().store.flush() {
            tracing::error!(%error, "the store cannot be flushed");
        }
    }

    fn alert(&self, alert: Alert) {
        let Parts { store, events, clock, .. } = self.parts();
        store.alert(events, clock.now(), alert);
    }

    fn parts(&self) -> &Parts {
        self.balancer.parts()
    }
}
