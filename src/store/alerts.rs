//! Alerts, kept until a message shows them: the part that raises one does not know whether anybody listens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, shelf::guard};
use crate::event::{Alert, Event, Events};

/// Where alerts are in the outbox.
const KEPT: &str = "alert:";

/// Without a chat nobody fetches them; the oldest beyond this go. One matter is one alert, so it takes many
/// different troubles to come here.
const ALERTS_MAX: usize = 200;

/// An alert that waits to be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptAlert {
    pub at: DateTime<Utc>,
    pub alert: Alert,
}

impl Store {
    /// Raises an alert so that it outlives this process: it is kept first, in the place of an older one of its matter.
    /// Where the store cannot be written, listeners get it all the same.
    pub fn alert(&self, events: &Events, now: DateTime<Utc>, alert: Alert) {
        if let Err(error) = self.keep_alert(&KeptAlert { at: now, alert: alert.clone() }) {
            tracing::warn!(%error, "an alert cannot be kept; it is only said");
        }
        events.say(Event::Alert(alert));
    }

    /// Returns the alerts that wait, oldest first.
    pub fn alerts(&self) -> Result<Vec<KeptAlert>, StoreError> {
        let kept = self.outbox().with_prefix::<KeptAlert>(KEPT)?.into_iter();
        let mut alerts: Vec<_> = kept.map(|(_, alert)| alert).collect();
        alerts.sort_by_key(|kept| kept.at);
        Ok(alerts)
    }

    /// Forgets an alert that is shown, unless a newer one of its matter has taken its place.
    pub fn forget_alert(&self, alert: &Alert) -> Result<(), StoreError> {
        self.write(|| match self.remove_alert(alert)? {
            true => self.files()?.flush(),
            false => Ok(()),
        })
    }

    /// Takes an alert out, without waiting for the disk; false where a newer one has its place. For the one writer.
    pub(super) fn remove_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        let key = row(alert);
        let is_newest = self.outbox().get::<KeptAlert>(&key)?.is_some_and(|kept| kept.alert == *alert);
        if is_newest {
            let files = self.files()?;
            guard(|| files.outbox.remove(&key))?;
        }
        Ok(is_newest)
    }

    fn keep_alert(&self, kept: &KeptAlert) -> Result<(), StoreError> {
        self.outbox().put(&row(&kept.alert), kept)?;
        let alerts = self.alerts()?;
        for left_out in alerts.iter().take(alerts.len().saturating_sub(ALERTS_MAX)) {
            tracing::warn!(alert = ?left_out.alert, "too many alerts wait for a chat; the oldest is left out");
            self.forget_alert(&left_out.alert)?;
        }
        Ok(())
    }
}

fn row(alert: &Alert) -> String {
    format!("{KEPT}{}", alert.key())
}
