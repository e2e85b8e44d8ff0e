//! Reads the entries of a journal item, one after another.

use super::layout::{take_content, take_kind};
use super::{MAX_ITEM_BYTES, VERSION};
use crate::aggregate::{Identity, SeriesKey};
use crate::blob::codec::{take_array, take_count, take_i64, take_text, take_u64};
use crate::blob::{BlobError, open};
use crate::model::{Timestamp, Update};

/// The unpacked body of an item.
#[derive(Debug)]
pub struct Journal {
    body: Vec<u8>,
}

/// Reads the entries of an item in their order.
#[derive(Debug)]
pub struct Reader<'a> {
    series: Vec<Series<'a>>,
    left: usize,
    rest: &'a [u8],
    sent: i64,
}

#[derive(Debug)]
struct Series<'a> {
    key: SeriesKey<'a>,
    help: Option<&'a str>,
    /// The update of the last entry of the series. Its bounds and its memory are used again.
    update: Update,
}

/// One event in the journal.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'r, 'a> {
    pub identity: Identity,
    pub key: SeriesKey<'a>,
    pub help: Option<&'a str>,
    pub update: &'r Update,
    pub time: Timestamp,
    /// The sent time of the message.
    pub sent: Timestamp,
    /// The number of the series in this item: entries with one number have the same key, kind, layout and help.
    pub series: usize,
}

impl Journal {
    /// Unpacks an item, and checks every entry.
    pub fn open(blob: &[u8]) -> Result<Self, BlobError> {
        // Room for an item that a release with larger ones wrote.
        let journal = Self { body: open(blob, VERSION, 2 * MAX_ITEM_BYTES)? };
        let mut reader = journal.reader()?;
        while reader.next_entry()?.is_some() {}
        if !reader.rest.is_empty() {
            return Err(BlobError::Damaged("the item has more bytes than its entries"));
        }
        Ok(journal)
    }

    pub fn reader(&self) -> Result<Reader<'_>, BlobError> {
        let mut rest = self.body.as_slice();
        let count = take_count(&mut rest, 4)?;
        let mut series = Vec::with_capacity(count);
        for _ in 0..count {
            let key = SeriesKey::take(&mut rest)?;
            let update = take_kind(&mut rest)?;
            let help = Some(take_text(&mut rest)?).filter(|help| !help.is_empty());
            series.push(Series { key, help, update });
        }
        let left = take_count(&mut rest, Identity::BYTES + 4)?;
        Ok(Reader { series, left, rest, sent: 0 })
    }
}

impl<'a> Reader<'a> {
    /// Returns how many entries are not read yet.
    pub fn left(&self) -> usize {
        self.left
    }

    pub fn next_entry(&mut self) -> Result<Option<Entry<'_, 'a>>, BlobError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let identity = Identity(take_array(&mut self.rest)?);
        let number = usize::try_from(take_u64(&mut self.rest)?).unwrap_or(usize::MAX);
        let sent = self.sent.wrapping_add(take_i64(&mut self.rest)?);
        let time = sent.wrapping_add(take_i64(&mut self.rest)?);
        self.sent = sent;
        let Some(series) = self.series.get_mut(number) else {
            return Err(BlobError::Damaged("an entry names a series that is not in the dictionary"));
        };
        take_content(&mut self.rest, &mut series.update)?;
        let (time, sent) = (Timestamp(time), Timestamp(sent));
        let Series { key, help, update } = series;
        Ok(Some(Entry { identity, key: *key, help: *help, update, time, sent, series: number }))
    }
}
