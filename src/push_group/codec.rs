//! The bytes of a group's item: a [`blob`] whose body is `texts | key | times | families | removed series`.
//!
//! A count is in front of what it counts. A text is its number in the list of texts, which has each text once.
//!
//! * The checksum shows that a gateway wrote the body. Even so, [`Group::decode`] takes any bytes, with bounded memory.
//! * The writer and the reader count memory in the same way. So the reader can read everything that the writer writes.

use super::group::{Group, PushedFamily, RemovedSeries};
use super::grouping_key::GroupingKey;
use crate::blob::codec::{put_bytes, put_f64, put_i64, put_u64, take_count, take_f64, take_i64, take_text, take_u8};
use crate::blob::codec::{take_u32, take_u64};
use crate::blob::{self, BlobError};
use crate::limits::{MAX_GROUP_BYTES, MAX_GROUP_ITEM_BYTES, MAX_GROUP_MEMORY};
use crate::model::{
    Counts, FamilySeries, FamilyValue, Label, LabelName, LabelSet, MetricFamily, MetricName, MetricType,
    NativeHistogram, ResetHint, Span, Timestamp,
};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The version that this code writes, and the newest that it reads.
const VERSION: u8 = 1;

/// The group does not fit into an item, even without its removed series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupTooLarge {
    /// It takes so many bytes compressed, more than [`MAX_GROUP_ITEM_BYTES`].
    Item(usize),
    /// It takes more than [`MAX_GROUP_BYTES`] before it is compressed, or more than [`MAX_GROUP_MEMORY`] of memory.
    Body,
}

/// Returns the body of an item, from which [`Group::decode`] reads the group.
pub fn unpack(item: &[u8]) -> Result<Vec<u8>, BlobError> {
    blob::open(item, VERSION, MAX_GROUP_BYTES)
}

impl<'a> Group<'a> {
    /// Reads a group from the body that [`unpack`] returned.
    pub fn decode(body: &'a [u8]) -> Result<Self, BlobError> {
        Reader::new(body).and_then(Reader::group)
    }

    /// Returns the bytes of the item. If the group does not fit, it forgets the removed series that are oldest until it fits.
    pub fn encode(&mut self) -> Result<Bytes, GroupTooLarge> {
        loop {
            let error = match pack(self) {
                Ok(item) => return Ok(item),
                Err(error) if self.removed.is_empty() => return Err(error),
                Err(error) => error,
            };
            // A body that is far too large is not made small by halves.
            let kept = if error == GroupTooLarge::Body { 0 } else { self.removed.len() / 2 };
            self.removed.drain(..self.removed.len() - kept);
        }
    }
}

fn pack(group: &Group<'_>) -> Result<Bytes, GroupTooLarge> {
    let mut writer = Writer::default();
    writer.group(group);
    let item = blob::seal(VERSION, &writer.finish()?).map_err(|_| GroupTooLarge::Body)?;
    if item.len() > MAX_GROUP_ITEM_BYTES { Err(GroupTooLarge::Item(item.len())) } else { Ok(item) }
}

#[derive(Default)]
struct Writer<'g> {
    numbers: HashMap<&'g str, usize, RandomState>,
    texts: Vec<u8>,
    body: Vec<u8>,
    memory: usize,
}

impl<'g> Writer<'g> {
    fn group(&mut self, group: &'g Group<'_>) {
        let Group { key, families, pushed, failed, ttl, expires, removed } = group;
        self.number(key.iter().count());
        for (name, value) in key.iter() {
            self.text(name.as_str());
            self.text(value);
        }
        for time in [*pushed, *failed, *expires] {
            self.option(time.map(|time| time.0));
        }
        self.option(*ttl);
        self.number(families.len());
        self.memory += size_of_val(families.as_slice());
        for PushedFamily { family, pushed } in families {
            self.text(family.name.as_str());
            self.body.push(family.metric_type as u8);
            for text in [&family.help, &family.unit] {
                self.body.push(u8::from(text.is_some()));
                if let Some(text) = text {
                    self.text(text);
                }
            }
            self.signed(pushed.0);
            self.number(family.series.len());
            for FamilySeries { name, labels, value } in &family.series {
                self.series(name, labels);
                match value {
                    FamilyValue::Float(value) => {
                        self.body.push(0);
                        self.double(*value);
                    }
                    FamilyValue::Histogram(histogram) => {
                        self.body.push(1);
                        self.histogram(histogram);
                    }
                }
            }
        }
        self.number(removed.len());
        for RemovedSeries { name, labels, is_histogram, time } in removed {
            self.series(name, labels);
            self.body.push(u8::from(*is_histogram));
            self.signed(time.0);
        }
    }

    fn series(&mut self, name: &'g MetricName<'_>, labels: &'g LabelSet<'_>) {
        self.memory += size_of::<FamilySeries<'_>>() + size_of_val(labels.as_slice());
        self.text(name.as_str());
        self.number(labels.as_slice().len());
        for Label { name, value } in labels.as_slice() {
            self.text(name.as_str());
            self.text(value);
        }
    }

    fn histogram(&mut self, histogram: &NativeHistogram) {
        let NativeHistogram {
            sum,
            schema,
            zero_threshold,
            counts,
            negative_spans,
            positive_spans,
            reset_hint,
            custom_values,
        } = histogram;
        self.memory += size_of::<NativeHistogram>();
        self.double(*sum);
        self.signed(i64::from(*schema));
        self.double(*zero_threshold);
        self.body.push(*reset_hint as u8);
        for spans in [negative_spans, positive_spans] {
            self.number(spans.len());
            for span in spans {
                self.signed(i64::from(span.offset));
                put_u64(&mut self.body, u64::from(span.length));
            }
        }
        self.doubles(custom_values);
        match counts {
            Counts::Integer { count, zero, negative_deltas, positive_deltas } => {
                self.body.push(0);
                put_u64(&mut self.body, *count);
                put_u64(&mut self.body, *zero);
                for deltas in [negative_deltas, positive_deltas] {
                    self.number(deltas.len());
                    for delta in deltas {
                        self.signed(*delta);
                    }
                }
            }
            Counts::Float { count, zero, negative, positive } => {
                self.body.push(1);
                self.double(*count);
                self.double(*zero);
                self.doubles(negative);
                self.doubles(positive);
            }
        }
    }

    fn text(&mut self, text: &'g str) {
        let next = self.numbers.len();
        let number = *self.numbers.entry(text).or_insert(next);
        if number == next {
            put_bytes(&mut self.texts, text.as_bytes());
        }
        self.number(number);
    }

    fn number(&mut self, number: usize) {
        put_u64(&mut self.body, number as u64);
    }

    fn signed(&mut self, number: i64) {
        put_i64(&mut self.body, number);
    }

    fn option(&mut self, number: Option<i64>) {
        self.body.push(u8::from(number.is_some()));
        if let Some(number) = number {
            self.signed(number);
        }
    }

    fn double(&mut self, value: f64) {
        put_f64(&mut self.body, value);
    }

    fn doubles(&mut self, values: &[f64]) {
        self.number(values.len());
        for value in values {
            self.double(*value);
        }
    }

    fn finish(self) -> Result<Vec<u8>, GroupTooLarge> {
        let Self { numbers, texts, body, memory } = self;
        let mut whole = Vec::with_capacity(texts.len() + body.len() + 10);
        put_u64(&mut whole, numbers.len() as u64);
        whole.extend_from_slice(&texts);
        whole.extend_from_slice(&body);
        let fits = whole.len() <= MAX_GROUP_BYTES && memory <= MAX_GROUP_MEMORY;
        if fits { Ok(whole) } else { Err(GroupTooLarge::Body) }
    }
}

type Read<T> = Result<T, BlobError>;

const DAMAGED: BlobError = BlobError::Damaged("the group is not one that a gateway wrote");

/// Reads a body. Nothing is read for a count that the rest of the body cannot hold.
struct Reader<'a> {
    texts: Vec<&'a str>,
    rest: &'a [u8],
    /// The memory that the group may still use.
    memory: usize,
}

impl<'a> Reader<'a> {
    fn new(body: &'a [u8]) -> Read<Self> {
        let mut reader = Self { texts: Vec::new(), rest: body, memory: MAX_GROUP_MEMORY };
        reader.texts = reader.list(|reader| take_text(&mut reader.rest))?;
        Ok(reader)
    }

    fn group(mut self) -> Read<Group<'a>> {
        let mut labels = BTreeMap::new();
        for _ in 0..self.count()? {
            let name = LabelName::as_is(Cow::Owned(self.text()?.to_owned())).or(Err(DAMAGED))?;
            labels.insert(name, self.text()?.to_owned());
        }
        let key = GroupingKey::from_labels(labels);
        let [pushed, failed, expires] = [self.time()?, self.time()?, self.time()?];
        let ttl = self.option()?;
        let families = self.list(Self::family)?;
        let removed = self.list(Self::removed)?;
        let group = Group { key, families, pushed, failed, ttl, expires, removed };
        let are_ordered = group.families.windows(2).all(|pair| pair[0].family.name < pair[1].family.name);
        if self.rest.is_empty() && are_ordered { Ok(group) } else { Err(DAMAGED) }
    }

    fn family(&mut self) -> Read<PushedFamily<'a>> {
        self.take_memory(size_of::<PushedFamily<'_>>())?;
        let name = MetricName::as_is(Cow::Borrowed(self.text()?)).or(Err(DAMAGED))?;
        let number = self.byte()?;
        let metric_type = MetricType::from_number(u32::from(number));
        let (help, unit) = (self.optional_text()?, self.optional_text()?);
        let pushed = Timestamp(self.signed()?);
        let series = self.list(Self::series)?;
        let family = MetricFamily { name, metric_type, help, unit, series };
        if metric_type as u8 == number { Ok(PushedFamily { family, pushed }) } else { Err(DAMAGED) }
    }

    fn series(&mut self) -> Read<FamilySeries<'a>> {
        let (name, labels) = self.name_and_labels()?;
        let value = match self.byte()? {
            0 => FamilyValue::Float(self.double()?),
            1 => FamilyValue::Histogram(Box::new(self.histogram()?)),
            _ => return Err(DAMAGED),
        };
        Ok(FamilySeries { name, labels, value })
    }

    fn removed(&mut self) -> Read<RemovedSeries<'a>> {
        let (name, labels) = self.name_and_labels()?;
        let is_histogram = self.flag()?;
        Ok(RemovedSeries { name, labels, is_histogram, time: Timestamp(self.signed()?) })
    }

    fn name_and_labels(&mut self) -> Read<(MetricName<'a>, LabelSet<'a>)> {
        let name = MetricName::as_is(Cow::Borrowed(self.text()?)).or(Err(DAMAGED))?;
        let count = self.count()?;
        self.take_memory(size_of::<FamilySeries<'_>>() + count.saturating_mul(size_of::<Label<'_>>()))?;
        let mut labels = Vec::with_capacity(count);
        for _ in 0..count {
            let name = LabelName::as_is(Cow::Borrowed(self.text()?)).or(Err(DAMAGED))?;
            labels.push(Label { name, value: Cow::Borrowed(self.text()?) });
        }
        LabelSet::new(labels).map(|labels| (name, labels)).or(Err(DAMAGED))
    }

    fn histogram(&mut self) -> Read<NativeHistogram> {
        self.take_memory(size_of::<NativeHistogram>())?;
        let sum = self.double()?;
        let schema = i32::try_from(self.signed()?).or(Err(DAMAGED))?;
        let zero_threshold = self.double()?;
        let reset_hint = match self.byte()? {
            0 => ResetHint::Unknown,
            1 => ResetHint::Yes,
            2 => ResetHint::No,
            3 => ResetHint::Gauge,
            _ => return Err(DAMAGED),
        };
        let (negative_spans, positive_spans) = (self.list(Self::span)?, self.list(Self::span)?);
        let custom_values = self.list(Self::double)?;
        let counts = if self.flag()? {
            let (count, zero) = (self.double()?, self.double()?);
            Counts::Float { count, zero, negative: self.list(Self::double)?, positive: self.list(Self::double)? }
        } else {
            let (count, zero) = (take_u64(&mut self.rest)?, take_u64(&mut self.rest)?);
            let (negative_deltas, positive_deltas) = (self.list(Self::signed)?, self.list(Self::signed)?);
            Counts::Integer { count, zero, negative_deltas, positive_deltas }
        };
        Ok(NativeHistogram {
            sum,
            schema,
            zero_threshold,
            counts,
            negative_spans,
            positive_spans,
            reset_hint,
            custom_values,
        })
    }

    fn span(&mut self) -> Read<Span> {
        let offset = i32::try_from(self.signed()?).or(Err(DAMAGED))?;
        Ok(Span { offset, length: take_u32(&mut self.rest)? })
    }

    /// Reads a count and so many elements. The memory of a vector grows with what is really there.
    fn list<E>(&mut self, element: impl Fn(&mut Self) -> Read<E>) -> Read<Vec<E>> {
        let count = self.count()?;
        (0..count).map(|_| element(self)).collect()
    }

    fn text(&mut self) -> Read<&'a str> {
        let number = usize::try_from(take_u64(&mut self.rest)?).or(Err(DAMAGED))?;
        self.texts.get(number).copied().ok_or(DAMAGED)
    }

    fn optional_text(&mut self) -> Read<Option<Cow<'a, str>>> {
        if self.flag()? { self.text().map(|text| Some(Cow::Borrowed(text))) } else { Ok(None) }
    }

    fn time(&mut self) -> Read<Option<Timestamp>> {
        self.option().map(|number| number.map(Timestamp))
    }

    fn option(&mut self) -> Read<Option<i64>> {
        if self.flag()? { self.signed().map(Some) } else { Ok(None) }
    }

    fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DAMAGED),
        }
    }

    fn byte(&mut self) -> Read<u8> {
        take_u8(&mut self.rest)
    }

    fn double(&mut self) -> Read<f64> {
        take_f64(&mut self.rest)
    }

    fn signed(&mut self) -> Read<i64> {
        take_i64(&mut self.rest)
    }

    /// Reads a count of things that take at least one byte each.
    fn count(&mut self) -> Read<usize> {
        take_count(&mut self.rest, 1)
    }

    fn take_memory(&mut self, bytes: usize) -> Read<()> {
        self.memory = self.memory.checked_sub(bytes).ok_or(BlobError::Damaged("the group takes too much memory"))?;
        Ok(())
    }
}

impl fmt::Display for GroupTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(bytes) => write!(f, "the group takes {bytes} bytes compressed, at most {MAX_GROUP_ITEM_BYTES}")?,
            Self::Body => write!(
                f,
                "the group takes more than {MAX_GROUP_BYTES} bytes before compression, or more than \
                 {MAX_GROUP_MEMORY} bytes of memory; no more"
            )?,
        }
        f.write_str(" fit into one item of the table: push to several groups")
    }
}

impl std::error::Error for GroupTooLarge {}
