//! Answers that are no lists of the platform: one task, a history, a form, a login, an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    Intake,
    incoming::Incoming,
    page::{as_text, mend, reader},
    plain::{Mixed, Plain, plain},
    rows::{Kept as _, Reference, TaskRow, Whole},
};
use crate::{
    model::{AnswerFlaw, NodeId},
    vmmanager::task::{FormTarget, History, HistoryEntry, TaskInfo},
};

/// Reads one task, wrapped in `task` or flat.
pub(in crate::vmmanager) fn task(body: &[u8]) -> Result<Option<TaskInfo>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        task: Option<&'a RawValue>,
    }
    // Its output is what a tool printed, and may be no text at all: that must not hide how the task stands.
    let text = as_text(body);
    let wrapped: Wrapped<'_> = serde_json::from_str(&text)?;
    let row = match wrapped.task.and_then(mend::<TaskRow>) {
        Some(row) => Some(row),
        None => mend::<TaskRow>(serde_json::from_str(&text)?),
    };
    Ok(row.and_then(TaskRow::into_task))
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

/// One row of a VM's history.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::vmmanager) struct HistoryRow {
    id: Plain,
    task: Reference,
    name: Plain,
    state: Plain,
    status: Plain,
    date_create: Plain,
    user: Plain,
    #[serde(skip)]
    is_damaged: bool,
}

impl Whole for HistoryRow {
    fn number(&self) -> Option<u64> {
        self.id.id()
    }

    fn note_damage(&mut self, _fields: Vec<String>) {
        self.is_damaged = true;
    }
}

/// A VM's history that comes, row by row: an odd one hides no other, and the history says that it has one.
pub(in crate::vmmanager) struct HistoryOf(Incoming<HistoryRow>);

impl Default for HistoryOf {
    fn default() -> Self {
        Self(Incoming::new(reader::<HistoryRow>()))
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

    fn finish(self) -> Result<History, AnswerFlaw> {
        let (rows, beside) = self.0.end()?;
        // A bare array has no `max_id` beside it.
        Ok(history_of(rows, beside.max_id.id()))
    }
}

fn history_of(rows: Vec<Option<HistoryRow>>, said: Option<u64>) -> History {
    let is_numbered = rows.iter().flatten().any(|row| row.id().is_some());
    let is_odd = |row: &Option<HistoryRow>| {
        row.as_ref().is_none_or(|row| row.is_damaged || is_numbered && row.id().is_none())
    };
    let has_odd_rows = rows.iter().any(is_odd);
    let mut entries: Vec<_> = rows.into_iter().flatten().map(HistoryRow::into_entry).collect();
    // Those without a number stay together; they are in no known order.
    if is_numbered {
        entries.sort_by_key(|entry| entry.id);
    }
    let newest = entries.iter().filter_map(|entry| entry.id).max();
    // The newest row may be the one that cannot be read.
    let newest = newest.filter(|_| said.is_some() || !has_odd_rows);
    History { max_id: newest.max(said), entries, has_odd_rows }
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

/// A row of the migrate form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TargetRow {
    id: Plain,
    suitable: Plain,
    #[serde(skip)]
    damage: Vec<String>,
}

impl Whole for TargetRow {
    fn number(&self) -> Option<u64> {
        self.id.id()
    }

    fn note_damage(&mut self, fields: Vec<String>) {
        self.damage = fields;
    }
}

/// Reads the migrate form: the targets that VMmanager itself offers, row by row.
pub(in crate::vmmanager) fn migrate_form(body: &[u8]) -> Result<Vec<FormTarget>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow)]
        nodes: Vec<&'a RawValue>,
    }
    let text = as_text(body);
    let rows = serde_json::from_str::<Form<'_>>(&text)?.nodes;
    let targets = rows.into_iter().filter_map(mend::<TargetRow>).filter_map(|row| {
        let node = NodeId(row.id()?);
        // A node in the list without a verdict is offered; one whose verdict cannot be read is not.
        let verdict = row.suitable.truth();
        let suitable = verdict.unwrap_or_else(|| row.damage.iter().all(|field| field != "suitable"));
        Some(FormTarget { node, suitable })
    });
    Ok(targets.collect())
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
    /// Beside it the answer names a task, as that to an order does.
    pub names_task: bool,
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
        task: Reference,
    }
    const KEY: &str = "\"error\"";
    // No answer is read twice for a key that is not in it.
    if !std::str::from_utf8(body).ok()?.contains(KEY) {
        return None;
    }
    let Envelope { error, task } = serde_json::from_slice(body).ok()?;
    let (Mixed { plain, object }, names_task) = (error, task.id().is_some());
    let found = match object {
        Some(inner) => WireError {
            code: inner.code.to_signed(),
            msg: inner.msg.text().or_else(|| inner.message.text()).unwrap_or_default(),
            names_task,
        },
        None => {
            let msg = plain.text().filter(|text| text != "0").unwrap_or_default();
            WireError { code: None, msg, names_task }
        }
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
        let history = read_history(json);
        assert_eq!(history.max_id, Some(7004));
        assert_eq!(
            history.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            [Some(7003), Some(7004)]
        );
        let old = read_history(r#"[{"name": "host_migrate", "state": "complete"}, null]"#);
        assert_eq!((old.max_id, old.entries.len()), (None, 1));
    }

    #[test]
    fn an_odd_row_of_a_history_hides_no_other() {
        let of = |odd: &str| {
            let json = format!(
                r#"{{MAX"list": [{{"id": 7003, "task": 5, "name": "host_migrate", "state": "complete"}}, {odd},
                {{"id": 7005, "task": 6, "name": "host_migrate", "state": "running"}}]}}"#
            );
            let said = read_history(&json.replace("MAX", r#""max_id": 7009, "#));
            let silent = read_history(&json.replace("MAX", ""));
            let tasks: Vec<_> = said.entries.iter().filter_map(|row| row.task).collect();
            assert!(said.has_odd_rows && silent.has_odd_rows, "{odd}");
            assert_eq!((said.max_id, silent.max_id), (Some(7009), None), "{odd}");
            tasks
        };
        assert_eq!(of(r#"{"id": 7004, "task": 9, "name": "host_migrate", "user": "a\ud800"}"#), [5, 9, 6]);
        assert_eq!(of(r#"{"id": "\ud800", "task": 9, "name": "host_migrate"}"#), [9, 5, 6]);
        assert_eq!(of("null"), [5, 6]);
        assert_eq!(of(r#"{"id": 1e999, "task": 9}"#), [9, 5, 6]);
    }

    #[test]
    fn what_a_tool_printed_does_not_hide_how_its_task_stands() {
        for output in [r#""no \ud800 text""#, "1e999", r#"{"content": "\ud800"}"#] {
            let wrapped = format!(r#"{{"task": {{"id": 7, "status": "failed", "output": {output}}}}}"#);
            let flat = format!(r#"{{"id": 7, "status": "failed", "output": {output}}}"#);
            for json in [wrapped, flat] {
                let task = super::task(json.as_bytes()).unwrap().unwrap();
                assert_eq!((task.id, task.status), (7, TaskStatus::Failed), "{json}");
            }
        }
    }

    #[test]
    fn an_odd_target_of_the_form_hides_no_other_and_is_not_offered() {
        let json = r#"{"nodes": [{"id": 6, "suitable": true, "name": "\ud800"}, {"id": 7, "suitable": "\ud800"},
            {"id": "\ud800", "suitable": true}, {"id": 8}]}"#;
        let form = migrate_form(json.as_bytes()).unwrap();
        let form: Vec<_> = form.iter().map(|target| (target.node.0, target.suitable)).collect();
        assert_eq!(form, [(6, true), (7, false), (8, true)]);
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
        let taken = error(br#"{"error": {"code": 5, "msg": "late"}, "id": 311, "task": 90417}"#);
        assert!(taken.is_some_and(|error| error.names_task), "an order that was taken all the same");
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

    fn read_history(json: &str) -> History {
        let mut history = HistoryOf::default();
        assert!(history.take(json.as_bytes()));
        history.finish().unwrap()
    }
}
