//! One answer to a list request: a page of rows, each of which becomes what is kept of it as soon as it has come.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Error, Value, value::RawValue};

use super::{
    Intake,
    answers::{self, WireError},
    incoming::{Incoming, Reader},
    plain::Mixed,
    rows::Row,
};
use crate::model::AnswerFlaw;

/// One answer to a list request.
#[derive(Debug)]
pub(in crate::vmmanager) struct Page<T> {
    /// As they came; a row that is no object is empty.
    pub rows: Vec<Option<T>>,
    /// How many there are in all, where the server says.
    pub size: Option<u64>,
}

/// A page that comes: `{"list": […], "size": n}`, or a bare array.
pub(in crate::vmmanager) struct PageOf<T: Row>(Incoming<T::Kept>);

impl<T: Row> Default for PageOf<T> {
    fn default() -> Self {
        Self(Incoming::new(reader::<T>()))
    }
}

impl<T: Row> Intake for PageOf<T> {
    type Taken = Page<T::Kept>;

    fn take(&mut self, piece: &[u8]) -> bool {
        self.0.take(piece)
    }

    fn error(&self) -> Option<WireError> {
        answers::error(self.0.frame())
    }

    fn finish(self) -> Result<Self::Taken, AnswerFlaw> {
        let (rows, beside) = self.0.end()?;
        Ok(Page { rows, size: beside.size.whole() })
    }
}

/// Returns how rows of this kind are read.
pub(super) fn reader<T: Row>() -> Reader<T::Kept> {
    Reader { first: first::<T>, row: row::<T> }
}

fn first<T: Row>(bytes: &[u8]) -> Option<(T::Kept, usize)> {
    let mut rows = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    let row = rows.next()?.ok()?;
    Some((row.into_kept(), rows.byte_offset()))
}

/// Reads a row. One odd record must not hide the others: a damaged one is read field by field.
fn row<T: Row>(bytes: &[u8]) -> Result<Option<T::Kept>, Error> {
    let read = serde_json::from_slice::<Mixed<T>>(bytes).map(|row| row.object);
    let read = read.or_else(|error| {
        let text = as_text(bytes);
        serde_json::from_str::<&RawValue>(&text).map(mend).map_err(|_| error)
    });
    read.map(|row| row.map(T::into_kept))
}

/// Bytes that are no text become replacement characters, which no id or number can hide behind.
pub(super) fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Reads what can be read of a row and notes the rest; `None` for what is no object.
pub(super) fn mend<T: Row>(row: &RawValue) -> Option<T> {
    if let Ok(Mixed { object, .. }) = serde_json::from_str::<Mixed<T>>(row.get()) {
        return object;
    }
    let mut damage = Vec::new();
    let sound = sound_object(row, "", &mut damage)?;
    let mut row: T = serde_json::from_str(&sound).ok()?;
    row.note_damage(damage);
    Some(row)
}

/// The row of a VM names its node as an object, whose name may be damaged and not its id. Deeper nothing is read.
const DEPTH_MAX: usize = 3;

/// Returns the sound fields of an object and notes the paths of the others; `None` for what is no object.
fn sound_object(object: &RawValue, path: &str, damage: &mut Vec<String>) -> Option<String> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object.get()).ok()?;
    let mut sound = Vec::new();
    for (key, value) in fields {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let kept = match serde_json::from_str::<Value>(value.get()) {
            Ok(_) => Some(value.get().to_owned()),
            Err(_) if path.matches('.').count() + 1 < DEPTH_MAX => sound_object(&value, &path, damage),
            Err(_) => None,
        };
        match kept {
            Some(kept) => sound.push(format!("{}:{kept}", Value::from(key))),
            None => damage.push(path),
        }
    }
    Some(format!("{{{}}}", sound.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmmanager::wire::{HostRow, Kept as _};

    fn page<T: Row>(body: &[u8]) -> Result<Page<T::Kept>, AnswerFlaw> {
        let mut page = PageOf::<T>::default();
        assert!(page.take(body));
        page.finish()
    }

    #[test]
    fn a_list_may_be_bare_null_or_hold_anything() {
        let rows = |json: &str| {
            let page = page::<HostRow>(json.as_bytes()).unwrap();
            (page.rows.iter().map(|row| row.as_ref().and_then(|row| row.id())).collect::<Vec<_>>(), page.size)
        };
        assert_eq!(
            rows(r#"{"last_notify": 1, "list": [{"id": 1}, {"id": 2}], "size": 2}"#),
            (vec![Some(1), Some(2)], Some(2))
        );
        assert_eq!(
            rows(r#"[{"id": "1"}, null, 7, {"id": {}}, {}]"#),
            (vec![Some(1), None, None, None, None], None)
        );
        assert_eq!(rows(r#"{"list": null, "size": "3"}"#), (vec![], Some(3)));
        assert_eq!(rows("{}"), (vec![], None));
        for broken in
            ["null", "7", "\"list\"", "<html>", "", r#"{"list": {"id": 1}}"#, r#"{"list": [{"id": 1}"#]
        {
            assert!(page::<HostRow>(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn one_odd_record_hides_no_other() {
        let half_a_pair = r#"{"id": 8, "name": "web-\ud83d", "node": 5, "ram_mib": 1024}"#;
        let endless = r#"{"id": 9, "name": "db", "ram_mib": 1e999, "node": 5}"#;
        for list in ["[ROWS]", r#"{"list": [ROWS], "size": 3}"#] {
            for (odd, id, field) in [(half_a_pair, 8, "name"), (endless, 9, "ram_mib")] {
                let rows = format!(r#"{{"id": 7, "name": "a"}}, {odd}, {{"id": 10, "name": "b"}}"#);
                let page = page::<HostRow>(list.replace("ROWS", &rows).as_bytes()).unwrap();
                let rows: Vec<_> = page.rows.into_iter().map(Option::unwrap).collect();
                assert_eq!(
                    rows.iter().map(|row| row.id()).collect::<Vec<_>>(),
                    [Some(7), Some(id), Some(10)]
                );
                assert_eq!(rows.iter().map(|row| row.damage.len()).collect::<Vec<_>>(), [0, 1, 0]);
                assert_eq!((rows[1].damage[0].as_str(), rows[1].node()), (field, Some(5)));
            }
        }
        let nested = r#"[{"id": 7, "node": {"id": 5, "maintenance_mode": "a\ud800"},
            "cluster": {"id": 2, "virtualization_type": "\ud800", "name": "msk"}}]"#;
        let row = page::<HostRow>(nested.as_bytes()).unwrap().rows.remove(0).unwrap();
        assert_eq!((row.node(), row.cluster()), (Some(5), Some(2)), "what is sound beside it is read");
        assert_eq!(row.damage, ["cluster.virtualization_type", "node.maintenance_mode"]);
        let no_text = b"[{\"id\": 7, \"node\": 5, \"name\": \"a\xff\"}, {\"id\": 8}]";
        let mut page = page::<HostRow>(no_text).unwrap();
        assert_eq!(page.rows.len(), 2);
        assert_eq!(page.rows.remove(0).unwrap().into_vm().unwrap().name, "a\u{fffd}");
    }
}
