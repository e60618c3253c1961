//! Looks after the store: trouble with the disk, exports, a restore.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    balancer::{Parts, VmBalancer},
    event::Alert,
    store::Restored,
};

pub(super) struct Upkeep {
    balancer: Arc<VmBalancer>,
    is_troubled: AtomicBool,
}

impl Upkeep {
    pub(super) fn new(balancer: Arc<VmBalancer>) -> Self {
        Self { balancer, is_troubled: AtomicBool::new(false) }
    }

    /// Raises an alert when the store cannot be written, and lets it recover when it can.
    pub(super) fn look_after_store(&self) {
        let flushed = self.parts().store.flush();
        let was_troubled = self.is_troubled.swap(flushed.is_err(), Ordering::Relaxed);
        match flushed {
            Err(error) if !was_troubled => {
                tracing::error!(error = %error.chain(), "the store cannot be written; nothing is ordered until it can");
                let (since, why) = (self.parts().clock.now(), error.failure());
                self.alert(Alert::StoreTrouble { since, why });
            }
            Ok(()) if was_troubled => tracing::info!("the store can be written again"),
            _ => {}
        }
    }

    /// Exports everything, so that it survives damage to the store.
    pub(super) async fn export(&self) {
        self.parts().store.export_aside(self.parts().clock.now()).await;
    }

    /// Raises an alert if the store was restored from an export at this start.
    pub(super) fn report_restore(&self) {
        if let Ok(Some(restored)) = self.parts().store.restored() {
            let moved_to = restored.moved_to.display().to_string();
            let Restored { exported_at, writes_lost, switches, .. } = restored;
            self.alert(Alert::StoreRestored { exported_at, moved_to, writes_lost, switches });
        }
    }

    /// Puts everything on disk before the end.
    pub(super) fn flush(&self) {
        if let Err(error) = self.parts().store.flush() {
            tracing::error!(error = %error.chain(), "the store cannot be flushed");
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
