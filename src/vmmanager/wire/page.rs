//! One answer to a list request: a page of rows, each of which becomes what is kept of it as soon as it is read.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{
    plain::{Mixed, Plain},
    rows::Row,
};

/// One answer to a list request.
#[derive(Debug)]
pub(in crate::vmmanager) struct Page<T> {
    /// As they came; a row that is no object is empty.
    pub rows: Vec<Option<T>>,
    /// How many there are in all, where the server says.
    pub size: Option<u64>,
}

/// Reads a list: `{"list": […], "size": n}`, or a bare array.
///
/// One odd record must not hide the others: where the list as a whole cannot be read, it is read row by row, and a
/// damaged row field by field.
pub(in crate::vmmanager) fn page<T: Row>(body: &[u8]) -> Result<Page<T::Kept>, serde_json::Error> {
    kept_page::<T, T::Kept>(body, T::kept).or_else(|error| {
        // Bytes that are no text become replacement characters, which no id or number can hide behind.
        let text = String::from_utf8_lossy(body);
        let RawPage { list, size } = raw_page(&text).map_err(|_| error)?;
        let rows = list.iter().flatten().map(|row| mended(row).map(T::kept)).collect();
        Ok(Page { rows, size: size.whole() })
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPage<'a> {
    #[serde(borrow)]
    list: Option<Vec<&'a RawValue>>,
    size: Plain,
}

fn raw_page(text: &str) -> Result<RawPage<'_>, serde_json::Error> {
    match text.trim_start().starts_with('[') {
        true => Ok(RawPage { list: Some(serde_json::from_str(text)?), size: Plain::Nothing }),
        false => serde_json::from_str(text),
    }
}

/// Reads a list as it is, whatever its rows are.
pub(super) fn plain_page<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<Page<T>, serde_json::Error> {
    kept_page::<T, T>(body, |row| row)
}

fn kept_page<T: for<'de> Deserialize<'de>, K>(
    body: &[u8],
    keep: fn(T) -> K,
) -> Result<Page<K>, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(body);
    let page = PageSeed(keep).deserialize(&mut from)?;
    from.end()?;
    Ok(page)
}

/// Reads what can be read of a row and notes the rest; `None` for what is no object.
fn mended<T: Row>(row: &RawValue) -> Option<T> {
    if let Ok(Mixed { object, .. }) = serde_json::from_str::<Mixed<T>>(row.get()) {
        return object;
    }
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(row.get()).ok()?;
    let (sound, damaged): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(_, value)| serde_json::from_str::<Value>(value.get()).is_ok());
    let sound: Vec<_> =
        sound.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), value.get())).collect();
    let mut row: T = serde_json::from_str(&format!("{{{}}}", sound.join(","))).ok()?;
    row.damaged(damaged.into_iter().map(|(key, _)| key).collect());
    Some(row)
}

/// Reads a page and keeps of each row what this function makes of it.
struct PageSeed<T, K>(fn(T) -> K);

impl<'de, T: Deserialize<'de>, K> DeserializeSeed<'de> for PageSeed<T, K> {
    type Value = Page<K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>, K> Visitor<'de> for PageSeed<T, K> {
    type Value = Page<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Ok(Page { rows: Rows(self.0).visit_seq(list)?, size: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut page = Page { rows: Vec::new(), size: None };
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "list" => page.rows = map.next_value_seed(Rows(self.0))?,
                "size" => page.size = map.next_value::<Plain>()?.whole(),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(page)
    }
}

/// The rows under `list`: an array, or null for none.
struct Rows<T, K>(fn(T) -> K);

impl<'de, T: Deserialize<'de>, K> DeserializeSeed<'de> for Rows<T, K> {
    type Value = Vec<Option<K>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>, K> Visitor<'de> for Rows<T, K> {
    type Value = Vec<Option<K>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element::<Mixed<T>>()? {
            rows.push(row.object.map(self.0));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmmanager::wire::{HostRow, Kept as _};

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
        let no_text = b"[{\"id\": 7, \"node\": 5, \"name\": \"a\xff\"}, {\"id\": 8}]";
        let mut page = page::<HostRow>(no_text).unwrap();
        assert_eq!(page.rows.len(), 2);
        assert_eq!(page.rows.remove(0).unwrap().into_vm().unwrap().name, "a\u{fffd}");
    }
}
