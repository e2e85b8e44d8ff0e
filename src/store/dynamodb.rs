//! The table in DynamoDB.
//!
//! After throttling, errors of the service, and missing answers the store tries again, for at most [`PATIENCE`]. It does
//! not repeat a plain put. A try without an answer may have taken effect. If a later try then meets a failed condition, the
//! store reads the item, and so learns if this call wrote it.

use super::{BoxFuture, Item, Key, Page, Range, Replaced, SortRange, Store, StoreError};
use crate::aws::dynamodb::{Binary, ErrorKind, Number, Operation, Table, Text, Value};
use crate::aws::{CallError, CredentialsSource, Transport, TransportError};
use crate::limits::MAX_STORE_ITEM_BYTES;
use crate::remote_write::Backoff;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::time::Duration;
use tokio::time::Instant;

/// The time for all tries of a call.
const PATIENCE: Duration = Duration::from_secs(15);

/// The time for one try. DynamoDB answers within milliseconds; a page of 1 MB takes a small function longer.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2), tries: 8 };

/// Room for JSON around a body.
const MAX_REQUEST_OVERHEAD: usize = 1_024;

#[derive(Debug)]
pub struct DynamoDbStore<T> {
    table: Table<T>,
    patience: Duration,
    try_timeout: Duration,
    backoff: Backoff,
}

#[derive(Serialize)]
struct KeyValues<'a> {
    pk: Value<'a>,
    sk: Value<'a>,
}

#[derive(Serialize)]
struct ItemValues<'a> {
    #[serde(flatten)]
    key: KeyValues<'a>,
    v: Value<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Value<'a>>,
    b: Value<'a>,
}

/// The version that must be there.
#[derive(Serialize)]
struct VersionValue<'a> {
    #[serde(rename = ":v")]
    version: Value<'a>,
}

#[derive(Serialize)]
struct Condition<'a> {
    #[serde(rename = "ConditionExpression")]
    expression: &'static str,
    #[serde(rename = "ExpressionAttributeValues", skip_serializing_if = "Option::is_none")]
    values: Option<VersionValue<'a>>,
    #[serde(rename = "ReturnValuesOnConditionCheckFailure")]
    returned: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest<'a> {
    table_name: &'a str,
    item: ItemValues<'a>,
    #[serde(flatten)]
    condition: Option<Condition<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest<'a> {
    table_name: &'a str,
    key: KeyValues<'a>,
    #[serde(flatten)]
    condition: Option<Condition<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetRequest<'a> {
    table_name: &'a str,
    key: KeyValues<'a>,
    consistent_read: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct QueryRequest<'a> {
    table_name: &'a str,
    consistent_read: bool,
    key_condition_expression: &'static str,
    expression_attribute_values: RangeValues<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_start_key: Option<KeyValues<'a>>,
}

#[derive(Serialize)]
struct RangeValues<'a> {
    #[serde(rename = ":p")]
    partition: Value<'a>,
    #[serde(rename = ":s", skip_serializing_if = "Option::is_none")]
    sort: Option<Value<'a>>,
}

/// Attributes with other names are ignored.
#[derive(Deserialize)]
struct StoredItem<'a> {
    #[serde(borrow)]
    pk: Text<'a>,
    #[serde(borrow)]
    sk: Text<'a>,
    v: Number,
    ttl: Option<Number>,
    b: Binary,
}

/// The answer to a get, and to a call whose condition failed.
#[derive(Deserialize)]
struct ItemAnswer<'a> {
    #[serde(rename = "Item", borrow)]
    item: Option<StoredItem<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueryAnswer<'a> {
    #[serde(borrow)]
    items: Vec<StoredItem<'a>>,
    #[serde(borrow)]
    last_evaluated_key: Option<LastKey<'a>>,
}

#[derive(Deserialize)]
struct LastKey<'a> {
    #[serde(borrow)]
    sk: Text<'a>,
}

/// An answer of the service to a call that it understood.
enum Answered {
    Done(Bytes),
    ConditionFailed(Bytes),
}

/// The answer to the last try.
struct Called {
    answered: Answered,
    /// An earlier try without an answer may have taken effect.
    may_be_done: bool,
}

impl<T: Transport> DynamoDbStore<T> {
    /// The table `name` in `region`, or at the endpoint that the environment sets.
    pub fn new(name: String, region: String, transport: T, credentials: CredentialsSource) -> Self {
        Self::of(Table::new(name, region, transport, credentials))
    }

    pub fn of(table: Table<T>) -> Self {
        Self { table, patience: PATIENCE, try_timeout: TRY_TIMEOUT, backoff: BACKOFF }
    }

    async fn once(&self, operation: Operation, request: Bytes, timeout: Duration) -> Result<Answered, StoreError> {
        let had_no_effect = |cause: String| StoreError::Unavailable { cause, had_no_effect: true };
        let error = match self.table.call(operation, request, timeout).await {
            Ok(body) => return Ok(Answered::Done(body)),
            Err(error) => error,
        };
        Err(match error {
            CallError::Service(error) => match ErrorKind::of(&error) {
                ErrorKind::ConditionFailed => return Ok(Answered::ConditionFailed(error.body)),
                ErrorKind::Throttled => StoreError::Throttled(error.to_string()),
                ErrorKind::Forbidden => StoreError::Forbidden(error.to_string()),
                ErrorKind::NoTable => StoreError::NoTable { table: self.table.name().to_owned() },
                ErrorKind::ItemTooLarge => StoreError::TooLarge { bytes: MAX_STORE_ITEM_BYTES + 1 },
                ErrorKind::Invalid => StoreError::Invalid(error.to_string()),
                ErrorKind::Internal => StoreError::Unavailable { cause: error.to_string(), had_no_effect: false },
            },
            CallError::Transport(TransportError::Timeout) => StoreError::Timeout,
            CallError::Transport(error @ (TransportError::Credentials(_) | TransportError::Connect(_))) => {
                had_no_effect(error.to_string())
            }
            CallError::Transport(error @ TransportError::Network(_)) => {
                StoreError::Unavailable { cause: error.to_string(), had_no_effect: false }
            }
            CallError::Unreadable => StoreError::Unavailable {
                cause: "the answer is not that of DynamoDB, or damaged".to_owned(),
                had_no_effect: false,
            },
        })
    }

    /// Tries until there is an answer, an error that does not pass, or no time.
    async fn call(&self, operation: Operation, request: Bytes) -> Result<Called, StoreError> {
        let deadline = Instant::now() + self.patience;
        let mut may_be_done = false;
        let mut tries = 0;
        loop {
            let timeout = deadline.saturating_duration_since(Instant::now()).min(self.try_timeout);
            let error = match self.once(operation, request.clone(), timeout).await {
                Ok(answered) => return Ok(Called { answered, may_be_done }),
                Err(error) => error,
            };
            may_be_done |= !error.had_no_effect();
            tries += 1;
            match self.backoff.wait(tries, fastrand::f64()) {
                Some(wait) if error.is_transient() && Instant::now() + wait < deadline => {
                    tokio::time::sleep(wait).await;
                }
                _ if may_be_done && error.had_no_effect() => {
                    return Err(StoreError::Unavailable { cause: error.to_string(), had_no_effect: false });
                }
                _ => return Err(error),
            }
        }
    }

    async fn read(&self, operation: Operation, request: &impl Serialize) -> Result<Bytes, StoreError> {
        let called = self.call(operation, json(request, 0)?).await?;
        match called.answered {
            Answered::Done(body) => Ok(body),
            Answered::ConditionFailed(_) => Err(unexpected_condition()),
        }
    }

    async fn get_item(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request = GetRequest { table_name: self.table.name(), key: key.into(), consistent_read: true };
        let answer = self.read(Operation::GetItem, &request).await?;
        item_of(&answer)
    }

    /// Returns the item that made a condition fail.
    async fn found(&self, key: &Key, answer: &[u8]) -> Result<Option<Item>, StoreError> {
        match item_of(answer)? {
            Some(item) => Ok(Some(item)),
            None => self.get_item(key).await,
        }
    }
}

impl<T: Transport + Debug> Store for DynamoDbStore<T> {
    fn put(&self, item: Item, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            item.check()?;
            let request = PutRequest { table_name: self.table.name(), item: (&item).into(), condition: None };
            match self.once(Operation::PutItem, json(&request, item.body.len())?, timeout).await? {
                Answered::Done(_) => Ok(()),
                Answered::ConditionFailed(_) => Err(unexpected_condition()),
            }
        })
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(self.get_item(key))
    }

    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let (condition, sort) = match &range.sort {
                SortRange::All => ("pk = :p", None),
                SortRange::From(first) => ("pk = :p AND sk >= :s", Some(first)),
                SortRange::Prefix(prefix) => ("pk = :p AND begins_with(sk, :s)", Some(prefix)),
            };
            let partition = Value::S(&range.partition);
            let request = QueryRequest {
                table_name: self.table.name(),
                consistent_read: true,
                key_condition_expression: condition,
                expression_attribute_values: RangeValues { partition, sort: sort.map(|sort| Value::S(sort)) },
                limit: range.page_items,
                exclusive_start_key: after.map(|after| KeyValues { pk: partition, sk: Value::S(after) }),
            };
            let answer = self.read(Operation::Query, &request).await?;
            let answer: QueryAnswer<'_> = serde_json::from_slice(&answer).map_err(|error| damaged(&error))?;
            let items = answer.items.into_iter().map(Item::try_from).collect::<Result<_, _>>()?;
            Ok(Page { items, next: answer.last_evaluated_key.map(|key| key.sk.value.into_owned()) })
        })
    }

    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>> {
        Box::pin(async move {
            item.check()?;
            let condition = Some(Condition::new(expected));
            let request = PutRequest { table_name: self.table.name(), item: (&item).into(), condition };
            let called = self.call(Operation::PutItem, json(&request, item.body.len())?).await?;
            match called.answered {
                Answered::Done(_) => Ok(Replaced::Done),
                Answered::ConditionFailed(answer)
                    if called.may_be_done && self.found(&item.key, &answer).await?.as_ref() == Some(&item) =>
                {
                    Ok(Replaced::Done)
                }
                Answered::ConditionFailed(_) => Ok(Replaced::Conflict),
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>> {
        Box::pin(async move {
            let condition = expected.map(|version| Condition::new(Some(version)));
            let request = DeleteRequest { table_name: self.table.name(), key: key.into(), condition };
            let called = self.call(Operation::DeleteItem, json(&request, 0)?).await?;
            match called.answered {
                Answered::Done(_) => Ok(Replaced::Done),
                Answered::ConditionFailed(answer)
                    if called.may_be_done && self.found(key, &answer).await?.is_none() =>
                {
                    Ok(Replaced::Done)
                }
                Answered::ConditionFailed(_) => Ok(Replaced::Conflict),
            }
        })
    }

    fn warm(&self, timeout: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.table.warm(timeout))
    }
}

impl<'a> From<&'a Key> for KeyValues<'a> {
    fn from(key: &'a Key) -> Self {
        Self { pk: Value::S(&key.partition), sk: Value::S(&key.sort) }
    }
}

impl<'a> From<&'a Item> for ItemValues<'a> {
    fn from(item: &'a Item) -> Self {
        Self {
            key: (&item.key).into(),
            v: Value::N(item.version.into()),
            ttl: item.expires.map(|expires| Value::N(expires.into())),
            b: Value::B(&item.body),
        }
    }
}

impl Condition<'_> {
    /// `None`: there must be no item.
    fn new(expected: Option<u64>) -> Self {
        Self {
            expression: if expected.is_some() { "v = :v" } else { "attribute_not_exists(pk)" },
            values: expected.map(|version| VersionValue { version: Value::N(version.into()) }),
            returned: "ALL_OLD",
        }
    }
}

impl TryFrom<StoredItem<'_>> for Item {
    type Error = StoreError;

    fn try_from(StoredItem { pk, sk, v, ttl, b }: StoredItem<'_>) -> Result<Self, StoreError> {
        let key = Key::new(pk.value, sk.value);
        let out_of_range = |name| StoreError::Damaged(format!("the number {name:?} of the item {key}"));
        let version = v.value.try_into().map_err(|_| out_of_range("v"))?;
        let expires = ttl.map(|ttl| ttl.value.try_into().map_err(|_| out_of_range("ttl"))).transpose()?;
        Ok(Self { key, version, expires, body: b.value })
    }
}

fn item_of(answer: &[u8]) -> Result<Option<Item>, StoreError> {
    let answer: ItemAnswer<'_> = serde_json::from_slice(answer).map_err(|error| damaged(&error))?;
    answer.item.map(Item::try_from).transpose()
}

fn json(request: &impl Serialize, body_bytes: usize) -> Result<Bytes, StoreError> {
    let mut json = Vec::with_capacity(body_bytes.div_ceil(3) * 4 + MAX_REQUEST_OVERHEAD);
    serde_json::to_writer(&mut json, request).map_err(|error| StoreError::Invalid(error.to_string()))?;
    Ok(json.into())
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged(format!("an item that is none of this gateway's, or an answer that is not DynamoDB's: {error}"))
}

fn unexpected_condition() -> StoreError {
    StoreError::Invalid("it speaks of a condition, and there was none".to_owned())
}

#[cfg(test)]
mod tests;
