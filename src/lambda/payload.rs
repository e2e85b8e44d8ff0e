//! Reads the messages, or the HTTP request, in the payload of an invocation.
//!
//! Only the payload decides if it is from a queue. `{"Records": […]}` comes from an event source mapping. A bare array of
//! the same records comes from EventBridge Pipes
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html>). Records are read one by
//! one. Reading stops at the first record that is not of a queue, because a million of them would not fit into memory.

use super::http::{self, EventError, Front};
use super::schedule::{self, ScheduleError, Scheduled};
use super::sqs_record::SqsRecord;
use crate::aws::sqs::is_fifo;
use crate::event::{BYTE_ORDER_MARK, from_utf8};
use crate::gateway::{Message, Trigger};
use crate::http::Request;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Whatever an invocation is about.
pub(super) enum Payload<'a> {
    Messages(Trigger, Vec<Message<'a>>),
    Http(Front, Result<Request<'a>, EventError>),
    Tick(Result<Scheduled, ScheduleError>),
}

/// Reads the payload of any trigger.
pub(super) fn read<'a>(payload: &'a [u8], request_id: &'a str) -> Payload<'a> {
    if let Some(Batch { messages, fifo }) = sqs_batch(payload) {
        return Payload::Messages(Trigger::Sqs { fifo }, messages);
    }
    match http::recognise(payload) {
        Some(Ok((front, request))) => Payload::Http(front, Ok(request)),
        Some(Err(error)) => Payload::Http(error.front, Err(error)),
        None => match schedule::recognise(payload) {
            Some(scheduled) => Payload::Tick(scheduled),
            None => Payload::Messages(Trigger::Direct, vec![direct(payload, request_id)]),
        },
    }
}

/// Returns the messages of an SQS batch, or else the payload as the one message of a direct caller.
pub fn read_messages<'a>(payload: &'a [u8], request_id: &'a str) -> (Trigger, Vec<Message<'a>>) {
    match sqs_batch(payload) {
        Some(Batch { messages, fifo }) => (Trigger::Sqs { fifo }, messages),
        None => (Trigger::Direct, vec![direct(payload, request_id)]),
    }
}

fn direct<'a>(payload: &'a [u8], request_id: &'a str) -> Message<'a> {
    Message::direct(request_id, from_utf8(Cow::Borrowed(payload)))
}

#[derive(Default)]
struct Batch<'a> {
    messages: Vec<Message<'a>>,
    fifo: bool,
}

fn sqs_batch(payload: &[u8]) -> Option<Batch<'_>> {
    let mut mark = [0; 4];
    let payload = payload.strip_prefix(BYTE_ORDER_MARK.encode_utf8(&mut mark).as_bytes()).unwrap_or(payload);
    let is_array = match payload.trim_ascii_start().first() {
        Some(b'{') => false,
        Some(b'[') => true,
        _ => return None,
    };
    // Checked for UTF-8 at once if possible, and else string by string: one body that is not UTF-8 must not fail its batch.
    let Ok(text) = std::str::from_utf8(payload) else {
        return read_as::<SqsRecord<'_>, _>(serde_json::Deserializer::from_slice(payload), is_array).ok();
    };
    match read_as::<SqsRecord<'_>, _>(serde_json::Deserializer::from_str(text), is_array) {
        Ok(batch) => Some(batch),
        // A record with a part of an unexpected type, or anything else.
        Err(error) if error.is_data() && text.contains("receiptHandle") => {
            read_as::<&RawValue, _>(serde_json::Deserializer::from_str(text), is_array).ok()
        }
        Err(_) => None,
    }
}

fn read_as<'a, R, J>(mut json: serde_json::Deserializer<J>, is_array: bool) -> serde_json::Result<Batch<'a>>
where
    R: OfQueue<'a>,
    J: serde_json::de::Read<'a>,
{
    let mut batch = Batch::default();
    let records = Records::<R>(&mut batch, std::marker::PhantomData);
    if is_array {
        records.deserialize(&mut json)?;
        if batch.messages.is_empty() {
            return Err(serde_json::Error::custom("no record"));
        }
    } else {
        json.deserialize_map(Object(records))?;
    }
    json.end()?;
    Ok(batch)
}

/// A record, or its text.
trait OfQueue<'a>: Deserialize<'a> {
    fn record(self) -> Option<SqsRecord<'a>>;
}

impl<'a> OfQueue<'a> for SqsRecord<'a> {
    fn record(self) -> Option<SqsRecord<'a>> {
        Some(self)
    }
}

impl<'a> OfQueue<'a> for &'a RawValue {
    fn record(self) -> Option<SqsRecord<'a>> {
        serde_json::from_str(self.get()).ok().or_else(|| SqsRecord::remains(self.get()))
    }
}

/// The key `Records` of an object, which may be empty. There may be other keys, but not those of an event, because that
/// would be a mistake of the sender.
struct Object<'b, 'a, R>(Records<'b, 'a, R>);

/// The records of an array.
struct Records<'b, 'a, R>(&'b mut Batch<'a>, std::marker::PhantomData<R>);

impl<'a, R: OfQueue<'a>> Visitor<'a> for Object<'_, 'a, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with Records")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Records(batch, marker) = self.0;
        let mut has_records = false;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "Records" if has_records => return Err(A::Error::custom("Records twice")),
                "Records" => {
                    map.next_value_seed(Records::<R>(batch, marker))?;
                    has_records = true;
                }
                "metrics" | "dimensions" | "timestamp" => return Err(A::Error::custom("an event")),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        if has_records { Ok(()) } else { Err(A::Error::custom("no Records")) }
    }
}

impl<'a, R: OfQueue<'a>> DeserializeSeed<'a> for Records<'_, 'a, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a, R: OfQueue<'a>> Visitor<'a> for Records<'_, 'a, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records of SQS")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut records: A) -> Result<(), A::Error> {
        let Batch { messages, fifo } = self.0;
        while let Some(record) = records.next_element::<R>()? {
            let record = record.record().filter(SqsRecord::is_of_a_queue);
            let record = record.ok_or_else(|| A::Error::custom("a record that is not of a queue"))?;
            *fifo |= is_fifo(record.queue_arn());
            messages.push(record.into_message());
        }
        Ok(())
    }
}
