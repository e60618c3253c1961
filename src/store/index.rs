//! The trees that spare a search: made whole where an older program wrote without them.

use super::{
    Files, StoreError,
    ended::Ended,
    kept::row,
    shelf::guard,
    spans::{Names, span_of},
    timeline::is_told,
};

/// How many rows are written at once while the indexes are made: some 100 kB.
const ROWS_AT_ONCE: u64 = 1000;

impl Files {
    /// Tells whether the indexes know of all that was written. They do not after an import, and where a program that
    /// knew no indexes wrote last.
    pub(super) fn is_indexed(&self) -> Result<bool, StoreError> {
        let known = self.meta.get(row::INDEXED)?.and_then(|value| value.as_u64());
        Ok(known == Some(self.seq()?))
    }

    /// Makes the indexes anew unless they are whole. Reads each record once and keeps none.
    pub(super) fn index(&self) -> Result<(), StoreError> {
        if self.is_indexed()? {
            return Ok(());
        }
        tracing::debug!("the store's indexes are made");
        guard(|| self.ended.tree.clear())?;
        guard(|| self.told.clear())?;
        guard(|| self.spans.clear())?;
        self.index_journal()?;
        self.index_proposals()?;
        self.meta.put(row::INDEXED, &self.seq()?.into())?;
        self.flush()
    }

    fn index_journal(&self) -> Result<(), StoreError> {
        let (mut batch, mut rows, mut newest) = (sled::Batch::default(), 0, None);
        let (mut span, mut names) = (None, Names::default());
        for entry in self.journal.oldest_from(0) {
            let entry = entry?;
            let begun = span_of(entry.id.0);
            // The last span gets no row: it is not full yet.
            if let Some(full) = span.replace(begun).filter(|full| *full != begun) {
                self.put_span(full, std::mem::take(&mut names))?;
            }
            names.add(&entry);
            let Some(ended) = Ended::of(&entry, newest) else { continue };
            newest = Some(ended.newest);
            rows += 1;
            batch.insert(&u64::to_be_bytes(rows), self.ended.bytes(&ended)?);
            if rows % ROWS_AT_ONCE == 0 {
                guard(|| self.ended.tree.apply_batch(std::mem::take(&mut batch)))?;
            }
        }
        guard(|| self.ended.tree.apply_batch(batch))
    }

    fn index_proposals(&self) -> Result<(), StoreError> {
        for row in self.proposals.oldest() {
            let (key, proposal) = row?;
            if is_told(&proposal) {
                guard(|| self.told.insert(key.to_be_bytes(), &[]))?;
            }
        }
        Ok(())
    }
}
