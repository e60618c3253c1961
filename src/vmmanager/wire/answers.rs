//! Answers that are no lists of the platform: one task, a history, a form, a login, an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Intake,
    incoming::Incoming,
    plain::{Mixed, Plain, plain},
    rows::{Reference, TaskRow},
};
use crate::{
    model::{AnswerFlaw, NodeId},
    vmmanager::task::{FormTarget, History, HistoryEntry, TaskInfo},
};

/// Reads one task, wrapped in `task` or flat.
pub(in crate::vmmanager) fn task(body: &[u8]) -> Result<Option<TaskInfo>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wrapped {
        task: Mixed<TaskRow>,
    }
    let row = match serde_json::from_slice::<Wrapped>(body)?.task.object {
        Some(row) => row,
        None => serde_json::from_slice(body)?,
    };
    Ok(row.into_task())
}

/// Reads the consul id out of the answer to an order.
pub(in crate::vmmanager) fn ordered_task(body: &[u8]) -> Result<Option<u64>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer {
        task: Reference,
    }
    Ok(serde_json::from_slice::<Answer>(body)?.task.id())
}

/// A row of a VM's history.
#[derive(Default, Deserialize)]
#[serde(default)]
struct HistoryRow {
    id: Plain,
    task: Reference,
    name: Plain,
    state: Plain,
    status: Plain,
    date_create: Plain,
    user: Plain,
}

impl HistoryRow {
    fn into_entry(self) -> HistoryEntry {
        HistoryEntry {
            id: self.id.id(),
            task: self.task.id(),
            name: self.name.text().unwrap_or_default(),
            state: self.state.text().or_else(|| self.status.text()).unwrap_or_default(),
            at: self.date_create.text(),
            user: self.user.text(),
        }
    }
}

/// A VM's history that comes.
pub(in crate::vmmanager) struct HistoryOf(Incoming<HistoryEntry>);

impl Default for HistoryOf {
    fn default() -> Self {
        Self(Incoming::new(|row| {
            let row: Mixed<HistoryRow> = serde_json::from_slice(row)?;
            Ok(row.object.map(HistoryRow::into_entry))
        }))
    }
}

impl Intake for HistoryOf {
    type Taken = History;

    fn take(&mut self, piece: &[u8]) -> bool {
        self.0.take(piece)
    }

    fn error(&self) -> Option<WireError> {
        error(self.0.frame())
    }

    fn taken(self) -> Result<History, AnswerFlaw> {
        let (rows, beside) = self.0.end()?;
        let mut entries: Vec<_> = rows.into_iter().flatten().collect();
        if entries.iter().all(|entry| entry.id.is_some()) {
            entries.sort_by_key(|entry| entry.id);
        }
        // A bare array has no `max_id` beside it.
        let max_id = entries.iter().filter_map(|entry| entry.id).max().max(beside.max_id.id());
        Ok(History { max_id, entries })
    }
}

/// Reads the migrate form: the targets that VMmanager itself offers.
pub(in crate::vmmanager) fn migrate_form(body: &[u8]) -> Result<Vec<FormTarget>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Target {
        id: Plain,
        suitable: Plain,
    }
    #[derive(Deserialize)]
    struct Form {
        nodes: Vec<Mixed<Target>>,
    }
    let targets = serde_json::from_slice::<Form>(body)?.nodes.into_iter().filter_map(|target| target.object);
    Ok(targets
        .filter_map(|target| {
            let node = NodeId(target.id.id()?);
            // A node in the list without a verdict is offered.
            Some(FormTarget { node, suitable: target.suitable.truth().unwrap_or(true) })
        })
        .collect())
}

/// Reads the token out of a login's answer, and whether the login is done with it.
pub(in crate::vmmanager) fn login(body: &[u8]) -> Result<(Option<String>, bool), serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Login {
        token: Plain,
        confirmed: Plain,
    }
    let login: Login = serde_json::from_slice(body)?;
    Ok((login.token.text(), login.confirmed.truth().unwrap_or(true)))
}

/// An `error` object, or what stands for one.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::vmmanager) struct WireError {
    pub code: Option<i64>,
    pub msg: String,
}

/// Finds a top-level `error` in any body; `None` where there is none or it says nothing.
pub(in crate::vmmanager) fn error(body: &[u8]) -> Option<WireError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        code: Plain,
        msg: Plain,
        message: Plain,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Envelope {
        error: Mixed<Inner>,
    }
    const KEY: &str = "\"error\"";
    // No answer is read twice for a key that is not in it.
    if !std::str::from_utf8(body).ok()?.contains(KEY) {
        return None;
    }
    let Mixed { plain, object } = serde_json::from_slice::<Envelope>(body).ok()?.error;
    let found = match object {
        Some(inner) => WireError {
            code: inner.code.signed(),
            msg: inner.msg.text().or_else(|| inner.message.text()).unwrap_or_default(),
        },
        None => WireError { code: None, msg: plain.text().filter(|text| text != "0").unwrap_or_default() },
    };
    (found.code.is_some_and(|code| code != 0) || !found.msg.is_empty()).then_some(found)
}

/// Reads any object's text fields that are asked for, for diagnostics.
pub(in crate::vmmanager) fn texts(body: &[u8], keys: &[&str]) -> Option<BTreeMap<String, String>> {
    let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let found = keys.iter().filter_map(|key| Some(((*key).to_owned(), plain(object.get(*key)?).text()?)));
    Some(found.collect())
}

/// Reads role names, given as a list of words or of objects with a name.
pub(in crate::vmmanager) fn roles(body: &[u8]) -> Vec<String> {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(body) else { return Vec::new() };
    let roles = object.get("roles").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    roles.iter().filter_map(|role| plain(role.get("name").unwrap_or(role)).text()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmmanager::TaskStatus;

    #[test]
    fn a_task_is_wrapped_or_flat() {
        let wrapped = r#"{"task": {"id": 55120, "consul_id": 90417, "name": "host_migrate", "status": "failed",
            "running_time": 41, "waiting_time": 1, "output": "Live migration failed\nerror: operation failed"}}"#;
        let task = task(wrapped.as_bytes()).unwrap().unwrap();
        assert_eq!((task.id, task.consul_id, task.running_time), (55120, Some(90417), Some(41)));
        assert_eq!(task.status, TaskStatus::Failed);
        assert_eq!(task.output.as_deref(), Some("Live migration failed\nerror: operation failed"));
        let flat =
            r#"{"id": "55120", "consul_id": null, "status": "Fail", "output": {"content": {"text": "no"}}}"#;
        let flat = super::task(flat.as_bytes()).unwrap().unwrap();
        assert_eq!((flat.id, flat.consul_id, flat.status), (55120, None, TaskStatus::Failed));
        assert_eq!(flat.output.as_deref(), Some(r#"{"text":"no"}"#));
        assert_eq!(super::task(b"{}").unwrap(), None);
    }

    #[test]
    fn unknown_task_words_count_as_running() {
        let read = |word: &str| TaskStatus::from_word(word);
        assert_eq!(
            [read("COMPLETE"), read("fail"), read("aborted")].map(|status| status.has_ended()),
            [true; 3]
        );
        assert_eq!(read("cancelled_by_user"), TaskStatus::Cancelled);
        assert_eq!(read("deferred"), TaskStatus::Other("deferred".into()));
        assert!(!read("deferred").has_ended() && !read("").has_ended());
    }

    #[test]
    fn the_answer_to_an_order_may_lack_its_task() {
        for (json, task) in [
            (r#"{"id": 311, "task": 90417}"#, Some(90417)),
            (r#"{"id": 311, "task": "90417"}"#, Some(90417)),
            (r#"{"id": 311}"#, None),
            (r#"{"id": 311, "task": null}"#, None),
        ] {
            assert_eq!(ordered_task(json.as_bytes()).unwrap(), task, "{json}");
        }
    }

    #[test]
    fn a_history_is_put_in_order() {
        let json = r#"{"max_id": 7004, "list": [
            {"id": 7004, "task": 55120, "name": "host_migrate", "state": "running", "date_create": "2026-05-04 12:07:13"},
            {"id": "7003", "task": null, "name": "host_start", "state": "complete", "params": {}}]}"#;
        let read = |json: &str| {
            let mut history = HistoryOf::default();
            assert!(history.take(json.as_bytes()));
            history.taken().unwrap()
        };
        let history = read(json);
        assert_eq!(history.max_id, Some(7004));
        assert_eq!(
            history.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            [Some(7003), Some(7004)]
        );
        let old = read(r#"[{"name": "host_migrate", "state": "complete"}, null]"#);
        assert_eq!((old.max_id, old.entries.len()), (None, 1));
    }

    #[test]
    fn the_migrate_form_names_targets() {
        let json = r#"{"nodes": [{"id": 6, "suitable": true}, {"id": "7", "suitable": 0}, {"id": 8}, {"name": "x"}, null]}"#;
        let form = migrate_form(json.as_bytes()).unwrap();
        assert_eq!(
            form.iter().map(|t| (t.node.0, t.suitable)).collect::<Vec<_>>(),
            [(6, true), (7, false), (8, true)]
        );
        assert!(migrate_form(b"{}").is_err());
    }

    #[test]
    fn errors_are_found_in_any_body_and_nothing_else_is() {
        let found = |json: &str| error(json.as_bytes()).map(|error| (error.code, error.msg));
        let plain = r#"{"error": {"code": 3001, "msg": "Unauthorized"}}"#;
        assert_eq!(found(plain), Some((Some(3001), "Unauthorized".into())));
        assert_eq!(found(r#"{"error": "broken", "list": []}"#), Some((None, "broken".into())));
        assert_eq!(found(r#"{"error": {"code": "1000"}}"#), Some((Some(1000), String::new())));
        for fine in [
            r#"{"list": [], "error": null}"#,
            r#"{"error": {"code": 0, "msg": ""}}"#,
            r#"{"list": [{"name": "error"}, {"error": {"code": 5}}]}"#,
            r#"{"error": false}"#,
            "<html>\"error\"</html>",
        ] {
            assert_eq!(found(fine), None, "{fine}");
        }
    }
}
