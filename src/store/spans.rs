//! Which names are where in the journal: one row for each span of numbers, so that a search for a name passes over the
//! spans that have it nowhere.
//!
//! A row is written when its span is full, and never changes: what an entry names is known when it is intended. A span
//! without a row is searched.

use std::{collections::BTreeSet, iter};

use super::{
    Approver, Files, JournalEntry, StoreError,
    shelf::{guard, number, rows},
};
use crate::model::find;

/// How many numbers a span has. A page of ten rows reads ten spans at most, some 20 ms; of a million entries there are
/// two thousand rows, which are read as quickly. Tests have few entries.
pub(super) const SPAN: u64 = if cfg!(test) { 4 } else { 512 };

/// A name or a number as a row has it: its checksum. Two may have the same one, so that a span is searched in vain.
type Sign = [u8; 4];

/// What is looked for, where it is no pattern: one of these must be in a span.
#[derive(Clone, Debug)]
pub(super) struct Wanted(Vec<Sign>);

type Entries<'a> = Box<dyn Iterator<Item = Result<JournalEntry, StoreError>> + 'a>;

impl Wanted {
    /// Returns what entries have that `text` names, as [`find::names`] reads it; `None` for a pattern, which may be in
    /// any span.
    pub(super) fn of(text: &str) -> Option<Self> {
        let by_id = find::id_in(text).map(of_id);
        (!find::is_pattern(text)).then(|| Self(by_id.into_iter().chain([of_name(text)]).collect()))
    }

    /// Returns what entries have that are about the thing of this id.
    pub(super) fn id(id: u64) -> Self {
        Self(vec![of_id(id)])
    }

    fn may_be_in(&self, row: &[u8]) -> bool {
        let (signs, _) = row.as_chunks::<4>();
        self.0.iter().any(|sign| signs.binary_search(sign).is_ok())
    }
}

/// The names of a span, while its row is made.
#[derive(Default)]
pub(super) struct Names(BTreeSet<Sign>);

impl Names {
    pub(super) fn add(&mut self, entry: &JournalEntry) {
        let things = [
            (entry.vm.0, &entry.vm_name),
            (entry.source.0, &entry.source_name),
            (entry.target.0, &entry.target_name),
            (entry.cluster.0, &entry.cluster_name),
        ];
        let people = match &entry.approver {
            Approver::People(people) | Approver::Standing { people, .. } => people.as_slice(),
            _ => &[],
        };
        let people = people.iter().filter_map(|person| Some((u64::try_from(person.id).ok()?, &person.name)));
        self.0.extend(things.into_iter().chain(people).flat_map(|(id, name)| [of_id(id), of_name(name)]));
    }

    pub(super) fn row(self) -> Vec<u8> {
        self.0.into_iter().flatten().collect()
    }
}

/// Returns the first number of the span of this one.
pub(super) fn span_of(id: u64) -> u64 {
    id - id % SPAN
}

fn of_id(id: u64) -> Sign {
    crc32fast::hash(format!("#{id}").as_bytes()).to_be_bytes()
}

fn of_name(name: &str) -> Sign {
    crc32fast::hash(name.to_lowercase().as_bytes()).to_be_bytes()
}

impl Files {
    /// The entries below a number, newest first; where something is wanted, without spans that have it nowhere.
    pub(super) fn newest_of(&self, below: u64, wanted: Option<Wanted>) -> Entries<'_> {
        let Some(wanted) = wanted else { return Box::new(self.journal.newest_below(below)) };
        let spans = rows(self.spans.range(..below.to_be_bytes()).rev()).map(Some).chain(iter::once(None));
        let mut end = below;
        Box::new(spans.flat_map(move |row| {
            let (begin, from) = match row.transpose() {
                Err(error) => return Box::new(iter::once(Err(error))) as Entries<'_>,
                Ok(None) => (0, 0),
                Ok(Some((key, names))) => {
                    let begin = number(&key);
                    (begin, if wanted.may_be_in(&names) { begin } else { begin.saturating_add(SPAN) })
                }
            };
            let end = std::mem::replace(&mut end, begin);
            if from < end {
                Box::new(self.journal.newest_between(from, end))
            } else {
                Box::new(iter::empty())
            }
        }))
    }

    /// The entries from a number on, oldest first; where something is wanted, without spans that have it nowhere.
    pub(super) fn oldest_of(&self, from: u64, wanted: Option<Wanted>) -> Entries<'_> {
        let Some(wanted) = wanted else { return Box::new(self.journal.oldest_from(from)) };
        let spans = rows(self.spans.range(span_of(from).to_be_bytes()..)).map(Some).chain(iter::once(None));
        let mut begin = from;
        Box::new(spans.flat_map(move |row| {
            let (next, end) = match row.transpose() {
                Err(error) => return Box::new(iter::once(Err(error))) as Entries<'_>,
                Ok(None) => (u64::MAX, u64::MAX),
                Ok(Some((key, names))) => {
                    let next = number(&key).saturating_add(SPAN);
                    (next, if wanted.may_be_in(&names) { next } else { number(&key) })
                }
            };
            let begin = std::mem::replace(&mut begin, next);
            if begin < end {
                Box::new(self.journal.oldest_between(begin, end))
            } else {
                Box::new(iter::empty())
            }
        }))
    }

    /// Makes the row of the span that is full once this entry begins another one.
    pub(super) fn make_room_for(&self, new: u64) -> Result<(), StoreError> {
        // An entry that comes back after damage belongs to a span whose row does not know it.
        guard(|| self.spans.remove(span_of(new).to_be_bytes()))?;
        let Some(last) = self.journal.last_key()?.map(span_of).filter(|last| *last < span_of(new)) else {
            return Ok(());
        };
        match self.names_from(last) {
            Ok(names) => self.put_span(last, names),
            // An old record that is damaged must not hinder a new one: without its row the span is searched.
            Err(error) => {
                tracing::debug!(%error, "a part of the journal is not indexed");
                Ok(())
            }
        }
    }

    fn names_from(&self, id: u64) -> Result<Names, StoreError> {
        let mut names = Names::default();
        for entry in self.journal.oldest_from(id) {
            names.add(&entry?);
        }
        Ok(names)
    }

    pub(super) fn put_span(&self, begin: u64, names: Names) -> Result<(), StoreError> {
        guard(|| self.spans.insert(begin.to_be_bytes(), names.row()).map(|_| ()))
    }

    /// Forgets the spans below the oldest entry that is left.
    pub(super) fn forget_spans(&self) -> Result<(), StoreError> {
        let oldest = guard(|| self.journal.tree.first())?.map_or(u64::MAX, |(key, _)| span_of(number(&key)));
        for row in rows(self.spans.range(..oldest.to_be_bytes())) {
            let (key, _) = row?;
            guard(|| self.spans.remove(&key))?;
        }
        Ok(())
    }
}
