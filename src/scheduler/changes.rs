//! Settings that people change: on disk before the answer.

use super::{Change, Changed, Refused, core::Core};
use crate::{
    model::{NodeInfo, Person, find},
    planner::{Direction, Exclusion, ExclusionWhy, Selector},
    store::{Pause, Settings as ChatSettings},
};

impl Core {
    pub(super) async fn change(&self, change: Change, by: &Person) -> Result<Changed, Refused> {
        let what = format!("{change:?}");
        let changed = match change {
            Change::DryRun(on) => self.change_dry_run(on)?,
            Change::Mode(mode) => {
                let before = self.mode(&self.store().settings()?);
                self.set(before == mode, |settings| settings.mode = Some(mode))?
            }
            Change::Pause { until, reason } => {
                let pause = Pause { by: by.clone(), at: self.now(), until, reason };
                self.set(false, |settings| settings.pause = Some(pause))?
            }
            Change::Resume { confirms_restored } => self.resume(confirms_restored)?,
            Change::Exclude { node, direction, until } => {
                let node = self.find_node(&node).await?;
                let why = ExclusionWhy::Chat { by: by.clone(), at: self.now() };
                let exclusion = Exclusion { node: Selector(node.id.to_string()), direction, until, why };
                self.exclude(node, exclusion)?
            }
            Change::Include { node } => {
                let node = self.find_node(&node).await?;
                self.include(node)?
            }
        };
        self.audit(by, "change", what);
        Ok(changed)
    }

    fn change_dry_run(&self, on: bool) -> Result<Changed, Refused> {
        if !on && self.balancer.settings().dry_run_forced {
            return Err(Refused::DryRun);
        }
        let is_so = self.balancer.dry_run()? == on;
        self.set(is_so, |settings| settings.dry_run = Some(on))
    }

    fn resume(&self, confirms_restored: bool) -> Result<Changed, Refused> {
        let now = self.now();
        let settings = self.store().settings()?;
        let forgiven = settings.failures_forgiven_at;
        let nothing_failed =
            self.store().failures_since(forgiven.unwrap_or(chrono::DateTime::UNIX_EPOCH))?.is_empty();
        let is_so = settings.pause.is_none()
            && settings.stopped_clusters.is_empty()
            && !(settings.restored_unconfirmed && confirms_restored)
            && nothing_failed;
        self.set(is_so, |settings| {
            settings.pause = None;
            settings.stopped_clusters.clear();
            settings.restored_unconfirmed &= !confirms_restored;
            settings.failures_forgiven_at = Some(now);
        })
    }

    fn exclude(&self, node: NodeInfo, exclusion: Exclusion) -> Result<Changed, Refused> {
        let now = self.now();
        self.store().update_settings(|settings| {
            settings.exclusions.retain(|known| known.until.is_none_or(|until| now < until));
            settings
                .exclusions
                .retain(|known| !known.node.is_node(node.id, &node.name) || !overlaps(known, &exclusion));
            settings.exclusions.push(exclusion);
        })?;
        Ok(Changed::Node { id: node.id, name: node.name })
    }

    fn include(&self, node: NodeInfo) -> Result<Changed, Refused> {
        let mut removed = false;
        self.store().update_settings(|settings| {
            let before = settings.exclusions.len();
            settings.exclusions.retain(|known| !known.node.is_node(node.id, &node.name));
            removed = settings.exclusions.len() < before;
        })?;
        Ok(if removed { Changed::Node { id: node.id, name: node.name } } else { Changed::Already })
    }

    fn set(&self, is_so: bool, change: impl FnOnce(&mut ChatSettings)) -> Result<Changed, Refused> {
        if is_so {
            return Ok(Changed::Already);
        }
        self.store().update_settings(change)?;
        Ok(Changed::Done)
    }

    async fn find_node(&self, wanted: &str) -> Result<NodeInfo, Refused> {
        let known = self.state().picture.clone();
        let picture = match known {
            Some(picture) => picture,
            None => self.look().await?,
        };
        find::node(&picture.snapshot, wanted).cloned().map_err(Refused::Missed)
    }
}

/// A wider or equal exclusion takes the place of a narrower one.
fn overlaps(known: &Exclusion, newer: &Exclusion) -> bool {
    newer.direction == Direction::Both || known.direction == newer.direction
}
