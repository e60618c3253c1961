//! Reads what pictures are made of, and draws them beside the runtime.

use std::sync::Arc;

use chrono::{Days as CalendarDays, NaiveTime, TimeDelta};

use super::bot::Shared;
use crate::{
    model::NodeId,
    picture::Chart,
    scheduler::{Refused, Status, in_utc},
    store::{Happened, Measured, Outcome, PageAt, StoreError, TimelineFilter},
    talk::chart::{Course, DAYS, Days, NODE_DAYS},
};

/// How far back the highest of a node is looked for.
const HIGHEST_OF: TimeDelta = TimeDelta::days(365);

/// More migrations within two weeks only happen where something is badly wrong; then the count ends here.
const COUNTED_MAX: usize = 10_000;

impl Shared {
    /// Reads how full a node was.
    pub(super) async fn course(&self, node: NodeId) -> Result<(Box<Status>, Course), Refused> {
        let status = self.handle.status().await?;
        let known = status.picture.as_ref().and_then(|picture| picture.snapshot.node(node));
        let Some(cluster) = known.map(|node| node.cluster) else {
            return Ok((Box::new(status), Course::default()));
        };
        let (store, now) = (self.store.clone(), self.clock.now());
        let course = beside(move || {
            let of = |rows: Vec<Measured>| {
                rows.into_iter().filter_map(|row| Some((row.at, *row.nodes.get(&node)?))).collect()
            };
            let since = now - TimeDelta::days(NODE_DAYS.cast_signed());
            Ok(Course {
                quarters: of(store.measured_since(cluster, since)?),
                days: of(store.daily_maxima(cluster, now - HIGHEST_OF)?),
            })
        });
        Ok((Box::new(status), course.await?))
    }

    /// Reads what each of the last days brought.
    pub(super) async fn days(&self) -> Result<Days, Refused> {
        let status = self.handle.status().await?;
        let clusters = status.picture.map(|picture| picture.snapshot.clusters.clone()).unwrap_or_default();
        let (store, now, zone) = (self.store.clone(), self.clock.now(), self.settings.timezone);
        let days = beside(move || {
            let mut days = Days::default();
            let today = now.with_timezone(&zone).date_naive();
            let first = today.checked_sub_days(CalendarDays::new(DAYS - 1)).unwrap_or(today);
            let since = in_utc(first.and_time(NaiveTime::MIN), zone);
            let filter = TimelineFilter { of: None, since: Some(since) };
            for row in store.timeline(&filter, PageAt::Newest, COUNTED_MAX)?.rows {
                let Happened::Migration(entry) = row else { continue };
                let Some((outcome, at)) = entry.outcome() else { continue };
                let day = days.0.entry(at.with_timezone(&zone).date_naive()).or_default();
                match outcome {
                    Outcome::Done => day.done += 1,
                    Outcome::Failed | Outcome::Lost => day.failed += 1,
                    Outcome::Dropped => {}
                }
            }
            for cluster in clusters {
                for Measured { at, over, .. } in store.measured_since(cluster.id, since)? {
                    let day = days.0.entry(at.with_timezone(&zone).date_naive()).or_default();
                    day.over_centihours += (over * 100.0).round() as u64;
                }
            }
            Ok(days)
        });
        days.await
    }
}

/// Draws a chart; `None` where that fails, which is logged.
pub(super) async fn draw(chart: Arc<Chart>) -> Option<Vec<u8>> {
    match tokio::task::spawn_blocking(move || chart.png()).await {
        Ok(Ok(png)) => Some(png),
        Ok(Err(error)) => {
            tracing::error!(%error, "a chart cannot be drawn");
            None
        }
        Err(error) => {
            tracing::error!(%error, "drawing a chart panicked");
            None
        }
    }
}

/// Reads thousands of records on a thread of its own.
async fn beside<T: Default + Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::task::spawn_blocking(read).await {
        Ok(found) => Ok(found?),
        Err(error) => {
            tracing::error!(%error, "reading for a picture panicked");
            Ok(T::default())
        }
    }
}
