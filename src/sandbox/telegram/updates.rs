//! The queue of updates: confirmed by offset, kept for a replay.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// Telegram keeps undelivered presses this long.
const PRESS_KEPT: TimeDelta = TimeDelta::seconds(150);
/// Telegram keeps all other undelivered updates this long.
const UPDATE_KEPT: TimeDelta = TimeDelta::hours(24);
/// Telegram's largest batch, and the default.
const BATCH_MAX: usize = 100;

/// How many updates are kept: a sandbox may run for days, and older updates are not replayed.
const LOG_KEPT: usize = 10_000;

/// Kinds of updates that are delivered only on request.
const ONLY_ON_REQUEST: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

/// Updates that wait for the bot.
#[derive(Debug)]
pub(super) struct Updates {
    next_id: i64,
    pending: VecDeque<Update>,
    /// Everything that was ever queued, for replays.
    log: VecDeque<Update>,
    /// The kinds the bot asked for; remembered from request to request.
    allowed: Option<BTreeSet<String>>,
    /// The number of the newest `getUpdates`.
    pub(super) poll: u64,
}

#[derive(Clone, Debug)]
struct Update {
    id: i64,
    at: DateTime<Utc>,
    json: Value,
}

impl Updates {
    pub(super) fn new() -> Self {
        Self { next_id: 500_000_001, pending: VecDeque::new(), log: VecDeque::new(), allowed: None, poll: 0 }
    }

    /// Queues an update of this kind and returns its id.
    pub(super) fn push(&mut self, kind: &str, content: Value, now: DateTime<Utc>) -> i64 {
        let id = self.next_id;
        let mut json = json!({ "update_id": id });
        json[kind] = content;
        self.push_raw(json, now)
    }

    /// Gives the next update this id, as Telegram does after a week without updates.
    pub(super) fn count_from(&mut self, id: i64) {
        self.next_id = id;
    }

    /// Queues any JSON, with a new id where it has none.
    pub(super) fn push_raw(&mut self, mut json: Value, now: DateTime<Utc>) -> i64 {
        let id = json.get("update_id").and_then(Value::as_i64).unwrap_or(self.next_id);
        json["update_id"] = json!(id);
        self.next_id = self.next_id.max(id + 1);
        let update = Update { id, at: now, json };
        self.log.push_back(update.clone());
        if self.log.len() > LOG_KEPT {
            self.log.pop_front();
        }
        if self.is_wanted(&update) {
            self.pending.push_back(update);
        }
        id
    }

    /// Queues an update again with its old id; returns false where there is none.
    pub(super) fn replay(&mut self, id: i64, now: DateTime<Utc>) -> bool {
        let Some(update) = self.log.iter().find(|update| update.id == id) else { return false };
        let again = Update { at: now, ..update.clone() };
        self.pending.push_front(again);
        true
    }

    /// Applies the offset and the kinds of a `getUpdates`.
    pub(super) fn confirm(&mut self, offset: i64, allowed: Option<&Value>) {
        if offset > 0 {
            self.pending.retain(|update| update.id >= offset);
        } else if offset < 0 {
            let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            let drop = self.pending.len().saturating_sub(keep);
            self.pending.drain(..drop);
        }
        if let Some(kinds) = allowed.and_then(Value::as_array) {
            let kinds: BTreeSet<_> = kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            self.allowed = Some(kinds).filter(|kinds| !kinds.is_empty());
        }
    }

    /// Returns the oldest updates that are not confirmed; they stay until they are.
    pub(super) fn batch(&mut self, limit: Option<i64>, now: DateTime<Utc>) -> Vec<Value> {
        self.pending.retain(|update| now - update.at < update.kept());
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let limit = limit.unwrap_or(BATCH_MAX).min(BATCH_MAX);
        self.pending.iter().take(limit).map(|update| update.json.clone()).collect()
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn last_id(&self) -> Option<i64> {
        self.log.back().map(|update| update.id)
    }

    pub(super) fn drop_pending(&mut self) {
        self.pending.clear();
    }

    fn is_wanted(&self, update: &Update) -> bool {
        let is_kind = |kind: &str| update.json.get(kind).is_some();
        match &self.allowed {
            Some(kinds) => kinds.iter().any(|kind| is_kind(kind)),
            None => !ONLY_ON_REQUEST.iter().any(|kind| is_kind(kind)),
        }
    }
}

impl Update {
    fn kept(&self) -> TimeDelta {
        if self.json.get("callback_query").is_some() { PRESS_KEPT } else { UPDATE_KEPT }
    }
}
