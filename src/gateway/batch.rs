//! The messages of an invocation.

use crate::model::{Rejection, Timestamp};
use std::borrow::Cow;
use tokio::time::Instant;

/// The messages of one invocation.
#[derive(Debug)]
pub struct Batch<'a> {
    pub trigger: Trigger,
    /// In the order of the payload.
    pub messages: Vec<Message<'a>>,
    /// Lambda's id of the invocation.
    pub request_id: &'a str,
    /// The start of the invocation.
    pub started: Timestamp,
    /// The end of its time.
    pub deadline: Instant,
}

/// The source of a batch. It decides which actions are possible for a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// An SQS queue, which delivers a returned message again.
    Sqs {
        /// Messages of a group must stay in order.
        fifo: bool,
    },
    /// A direct invocation: the caller waits, or Lambda tries again itself. The payload is the one message.
    Direct,
    /// A client of the HTTP door. The body is the one message. Nothing is dead-lettered: the answer carries the rejections.
    Http,
}

#[derive(Debug)]
pub struct Message<'a> {
    /// The SQS message id, or the request id of a direct invocation.
    pub id: Cow<'a, str>,
    /// A rejection if the body is no text.
    pub body: Result<Cow<'a, str>, Rejection>,
    /// When it was first sent, if its queue knows.
    pub sent: Option<Timestamp>,
    /// Its group on a FIFO queue.
    pub group: Option<Cow<'a, str>>,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// The id that the message had at its first delivery, if it was redriven.
    pub source_message_id: Option<Cow<'a, str>>,
    /// Its position in that message.
    pub source_index: Option<Cow<'a, str>>,
    /// The client's name for it (HTTP). With it the gateway recognises a repetition.
    pub idempotency_key: Option<Cow<'a, str>>,
    /// A typed event of it was journalled before it was redriven.
    pub counted: bool,
}

impl<'a> Message<'a> {
    /// Returns the payload of a direct invocation.
    pub fn direct(request_id: &'a str, body: Result<Cow<'a, str>, Rejection>) -> Self {
        Self {
            id: Cow::Borrowed(request_id),
            body,
            sent: None,
            group: None,
            receive_count: 1,
            source_message_id: None,
            source_index: None,
            idempotency_key: None,
            counted: false,
        }
    }
}
