//! Tests the journal and the outcomes of typed events, through the whole gateway.

use super::tests::{NOW, Rig, answers, failures, sqs, stored};
use crate::aggregate::Identity;
use crate::aggregate::journal::Journal;
use crate::config::StateSettings;
use crate::gateway::{Batch, Message, State, TickCall, Trigger};
use crate::model::{Rejection, Timestamp};
use crate::store::intercepted::{Call, Intercept, InterceptedStore};
use crate::store::{BoxFuture, Item, MemoryStore, Range, Store, StoreError};
use serde_json::json;
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

const MINUTE: i64 = 60_000;
const COUNTER: &str = r#"{"type":"counter","name":"c_total","value":1}"#;
const PLAIN: &str = r#"{"metrics":{"p":1}}"#;

/// Names and texts of message attributes.
type Attributes<'a> = &'a [(&'a str, &'a str)];

type Answer = Box<dyn Fn(&Item, usize) -> Result<(), StoreError> + Send + Sync>;

/// A table in memory whose puts fail as `answer` says of the item and the number of the put.
struct Table {
    items: Arc<MemoryStore>,
    puts: Mutex<Vec<Item>>,
    answer: Answer,
}

impl Table {
    fn new(answer: impl Fn(&Item, usize) -> Result<(), StoreError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { items: Arc::default(), puts: Mutex::default(), answer: Box::new(answer) })
    }

    fn good() -> Arc<Self> {
        Self::new(|_, _| Ok(()))
    }

    fn state(self: &Arc<Self>, shards: u16) -> State {
        let store = InterceptedStore { table: Arc::clone(&self.items) as _, intercept: Arc::clone(self) };
        State::new(Arc::new(store), StateSettings { shards, ..StateSettings::default() })
    }

    fn rig(self: &Arc<Self>) -> Rig {
        Rig { state: Some(self.state(1)), ..Rig::new() }
    }

    fn puts(&self) -> usize {
        self.puts.lock().unwrap().len()
    }

    /// Returns the identity, the name and the age of the message of each event that was put.
    fn entries(&self) -> Vec<(Identity, String, i64)> {
        let mut entries = Vec::new();
        for item in self.puts.lock().unwrap().iter() {
            let journal = Journal::open(&item.body).unwrap();
            let mut reader = journal.reader().unwrap();
            while let Some(entry) = reader.next_entry().unwrap() {
                entries.push((entry.identity, entry.key.name().to_owned(), NOW - entry.sent.0));
            }
        }
        entries
    }

    fn identities(&self) -> Vec<Identity> {
        self.entries().into_iter().map(|(identity, ..)| identity).collect()
    }
}

impl Intercept for Arc<Table> {
    fn before<'c>(&'c self, _: &'c dyn Store, call: Call<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async move {
            let Call::Put(item, timeout) = call else { return Ok(()) };
            assert!(timeout <= Duration::from_secs(5), "{timeout:?}");
            let number = {
                let mut puts = self.puts.lock().unwrap();
                puts.push(item.clone());
                puts.len() - 1
            };
            let answer = (self.answer)(item, number);
            if answer == Err(StoreError::Timeout) {
                tokio::time::sleep(timeout).await;
            }
            answer
        })
    }
}

/// Returns a payload of one record with this body, sent `age` ago, with these attributes.
fn record(body: &str, age: i64, receives: u32, attributes: Attributes<'_>) -> String {
    let attributes: serde_json::Map<_, _> = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({"stringValue": value, "dataType": "String"})))
        .collect();
    json!({"Records": [{
        "messageId": "m-1", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:1:q",
        "attributes": {"SentTimestamp": (NOW - age).to_string(), "ApproximateReceiveCount": receives.to_string()},
        "messageAttributes": attributes,
    }]})
    .to_string()
}

#[tokio::test]
async fn journals_typed_events_beside_the_samples_of_others() {
    let table = Table::good();
    let rig = table.rig();
    let array = format!("[{PLAIN},{COUNTER},{COUNTER}]");
    let handled = rig.handle(&rig.gateway(stored), &record(&array, 7_000, 1, &[])).await;
    assert!(failures(&handled).is_empty());
    let summary = &handled.summary;
    assert_eq!((summary.received, summary.delivered, summary.typed), (3, 3, 2));
    assert_eq!((summary.samples, summary.series, rig.requests(), table.puts()), (1, 1, 1, 1));
    let expected = [1, 2].map(|index| (Identity::of_event("m-1", index), "c_total".to_owned(), 7_000));
    assert_eq!(table.entries(), expected);
    let page = table.items.query(&Range::all("j#0"), None).await.unwrap();
    let [item] = page.items.as_slice() else { panic!("{page:?}") };
    let [time, number, random] = item.key.sort.split('#').collect::<Vec<_>>()[..] else { panic!("{}", item.key) };
    assert!(time.len() == 13 && time.bytes().all(|byte| byte.is_ascii_digit()), "{}", item.key);
    assert!(number == "0001" && random.len() == 16, "{}", item.key);
    let expires = item.expires.unwrap() * 1_000 - time.parse::<i64>().unwrap();
    assert!((expires - 14 * 24 * 3_600_000).abs() <= 1_000, "{expires}");
}

#[tokio::test]
async fn sends_no_request_for_typed_events_and_makes_no_put_for_others() {
    let table = Table::good();
    let rig = table.rig();
    let gateway = rig.gateway(stored);
    rig.handle(&gateway, COUNTER).await;
    assert_eq!((rig.requests(), table.puts()), (0, 1));
    rig.handle(&gateway, PLAIN).await;
    rig.handle(&gateway, r#"{"type":"counter","name":"c","value":-1}"#).await;
    assert_eq!((rig.requests(), table.puts()), (1, 1));
}

#[tokio::test]
async fn rejects_typed_events_without_a_table_and_says_where_they_are() {
    let rig = Rig::new();
    let gateway = rig.gateway(stored);
    let error = rig.handle(&gateway, COUNTER).await.answer.unwrap_err();
    assert_eq!(error.error_type, "needs_state");
    assert!(error.error_message.starts_with("the typed metric needs a table"), "{}", error.error_message);
    let handled = rig.handle(&gateway, &format!("[{PLAIN},{COUNTER}]")).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert_eq!((&report["accepted"], &report["rejected"][0]["index"]), (&json!(1), &json!(1)));
    let detail = report["rejected"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("[1]: the typed metric needs a table"), "{detail}");
    assert_eq!(report.get("typed"), None);
    assert_eq!(rig.dead_letters.taken.lock().unwrap()[0].body, COUNTER);
}

#[tokio::test(start_paused = true)]
async fn returns_typed_events_alone_if_the_table_fails_and_tries_again_what_may_work() {
    let unavailable = |had_no_effect| StoreError::Unavailable { cause: "x".to_owned(), had_no_effect };
    let table: [(StoreError, usize, u64); 6] = [
        (StoreError::NoTable { table: "t".to_owned() }, 1, 0),
        (StoreError::Forbidden("x".to_owned()), 1, 0),
        (StoreError::Invalid("x".to_owned()), 1, 0),
        (StoreError::Throttled("x".to_owned()), 4, 0),
        (unavailable(true), 4, 0),
        (StoreError::Timeout, 4, 20),
    ];
    for (error, puts, seconds) in table {
        let failing = error.clone();
        let store = Table::new(move |_, _| Err(failing.clone()));
        let rig = store.rig();
        let started = Instant::now();
        let bodies = [("", PLAIN), ("", COUNTER), ("", r#"{"metrics":{}}"#)];
        let handled = rig.handle(&rig.gateway(stored), &sqs(false, &bodies)).await;
        assert_eq!(failures(&handled), ["1"], "{error:?}");
        assert_eq!((store.puts(), rig.requests()), (puts, 1), "{error:?}");
        assert_eq!((handled.summary.delivered, handled.summary.errored, handled.summary.rejected), (1, 1, 1));
        assert_eq!(handled.summary.typed, 0);
        assert!((seconds..seconds + 5).contains(&started.elapsed().as_secs()), "{error:?}: {:?}", started.elapsed());
        let keys: BTreeSet<_> = store.puts.lock().unwrap().iter().map(|item| item.key.clone()).collect();
        assert_eq!(keys.len(), puts, "a retry has a key of its own");
        assert_eq!(rig.dead_letters.taken.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn delivers_typed_events_after_a_retry_and_tells_a_direct_caller_why_they_failed() {
    let table = Table::new(|_, number| if number < 3 { Err(StoreError::Throttled("x".to_owned())) } else { Ok(()) });
    let rig = table.rig();
    let handled = rig.handle(&rig.gateway(stored), COUNTER).await;
    assert!(handled.answer.is_ok());
    assert_eq!(table.puts(), 4);
    let table = Table::new(|_, _| Err(StoreError::Forbidden("x".to_owned())));
    let rig = table.rig();
    let error = rig.handle(&rig.gateway(|_| answers(404, "gone")), &format!("[{COUNTER},{PLAIN}]")).await;
    let error = error.answer.unwrap_err();
    assert_eq!(error.error_type, "delivery_failed");
    assert!(error.error_message.contains("gone") && error.error_message.contains("no permission for the table"));
}

#[tokio::test(start_paused = true)]
async fn journals_while_the_receiver_fails_and_sends_while_the_table_fails() {
    let table = Table::good();
    let rig = table.rig();
    let array = format!("[{PLAIN},{COUNTER}]");
    let handled = rig.handle(&rig.gateway(|_| answers(404, "")), &record(&array, 0, 1, &[])).await;
    assert_eq!((failures(&handled).len(), table.puts()), (1, 1));
    assert_eq!((handled.summary.delivered, handled.summary.errored, handled.summary.typed), (1, 1, 1));
    // The repetition has the same identity.
    let handled = rig.handle(&rig.gateway(stored), &record(&array, 0, 2, &[])).await;
    assert!(failures(&handled).is_empty());
    assert_eq!(table.identities(), [Identity::of_event("m-1", 1); 2]);
}

#[tokio::test(start_paused = true)]
async fn begins_no_put_that_cannot_end_in_time() {
    let table = Table::good();
    let rig = Rig { seconds: 0, ..table.rig() };
    let handled = rig.handle(&rig.gateway(stored), &sqs(false, &[("", COUNTER)])).await;
    assert_eq!((failures(&handled), table.puts()), (vec!["0".to_owned()], 0));
    let table = Table::new(|_, _| Err(StoreError::Timeout));
    let rig = Rig { seconds: 8, ..table.rig() };
    let started = Instant::now();
    rig.handle(&rig.gateway(stored), &sqs(false, &[("", COUNTER)])).await;
    assert_eq!(table.puts(), 2);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn returns_the_messages_of_the_shard_that_was_not_confirmed() {
    let counters: Vec<_> =
        (0..40).map(|number| format!(r#"{{"type":"counter","name":"c{number}","value":1}}"#)).collect();
    let table =
        Table::new(
            |item, _| {
                if item.key.partition == "j#1" { Err(StoreError::Forbidden(String::new())) } else { Ok(()) }
            },
        );
    let rig = Rig { state: Some(table.state(2)), ..Rig::new() };
    let bodies: Vec<_> = counters.iter().map(|body| ("", body.as_str())).collect();
    let handled = rig.handle(&rig.gateway(stored), &sqs(false, &bodies)).await;
    let returned = failures(&handled);
    assert!((5..35).contains(&returned.len()), "{returned:?}");
    assert_eq!(handled.summary.typed, 40 - returned.len() as u64);
    // A message is acknowledged when all its shards have it.
    let array = format!("[{}]", counters.join(","));
    assert_eq!(failures(&rig.handle(&rig.gateway(stored), &record(&array, 0, 1, &[])).await), ["m-1"]);
}

#[tokio::test]
async fn puts_a_large_payload_as_several_items_and_rejects_an_event_that_fits_into_none() {
    let table = Table::good();
    let rig = table.rig();
    let events: Vec<_> = (0..20_000)
        .map(|number| format!(r#"{{"type":"gauge","name":"g","labels":{{"n":"{number}"}},"value":{number}.5}}"#))
        .collect();
    let handled = rig.handle(&rig.gateway(stored), &format!("[{}]", events.join(","))).await;
    assert_eq!((handled.summary.typed, handled.summary.errored), (20_000, 0));
    assert!(table.puts() > 2, "{}", table.puts());
    assert_eq!(table.entries().len(), 20_000);
    let values = vec!["1.5"; 40_000].join(",");
    let large = format!(r#"[{COUNTER},{{"type":"summary","name":"s","value":[{values}]}}]"#);
    let handled = rig.handle(&rig.gateway(stored), &large).await;
    let report: serde_json::Value = serde_json::from_str(&handled.answer.unwrap()).unwrap();
    assert_eq!((&report["typed"], &report["rejected"][0]["reason"]), (&json!(1), &json!("too_large")));
    let detail = report["rejected"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("[1]: the event takes "), "{detail}");
}

/// Returns an array that takes several items. Its events set one gauge to 0, 1, 2 and so on.
fn large_array() -> String {
    let padding = "x".repeat(1_000);
    let event = |i| format!(r#"{{"type":"gauge","name":"g","value":{i},"help":"{i}{padding}"}}"#);
    format!("[{}]", (0..1_200).map(event).collect::<Vec<_>>().join(","))
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_message_have_its_order_although_puts_are_repeated() {
    let failures = |number: usize| [0, 1, 3].contains(&number);
    let table = Table::new(move |_, number| if failures(number) { Err(StoreError::Timeout) } else { Ok(()) });
    let rig = table.rig();
    let handled = rig.handle(&rig.gateway(stored), &large_array()).await;
    assert_eq!((handled.summary.typed, handled.summary.errored), (1_200, 0));
    let items = table.items.query(&Range::all("j#0"), None).await.unwrap().items;
    assert!(items.len() > 3, "{}", items.len());
    let mut identities = Vec::new();
    for item in &items {
        let journal = Journal::open(&item.body).unwrap();
        let mut reader = journal.reader().unwrap();
        while let Some(entry) = reader.next_entry().unwrap() {
            identities.push(entry.identity);
        }
    }
    assert_eq!(identities, (0..1_200).map(|i| Identity::of_event("request-1", i)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn no_item_is_put_behind_one_that_was_not_confirmed() {
    let table = Table::new(|_, number| if number > 0 { Err(StoreError::Forbidden(String::new())) } else { Ok(()) });
    let rig = table.rig();
    let handled = rig.handle(&rig.gateway(stored), &record(&large_array(), 0, 1, &[])).await;
    assert_eq!((failures(&handled), table.puts()), (vec!["m-1".to_owned()], 2));
    assert!((1..1_199).contains(&handled.summary.typed), "{}", handled.summary.typed);
}

#[tokio::test]
async fn a_dead_letter_says_whether_a_typed_event_of_it_is_counted() {
    let bad = r#"{"metrics":{"p":"x"}}"#;
    let carried: Attributes<'_> = &[("counted", "true"), ("source_message_id", "first"), ("source_index", "4")];
    let other: Attributes<'_> = &[("counted", "yes")];
    let none: Attributes<'_> = &[];
    let table = [
        (format!("[{bad},{COUNTER}]"), none, true, "m-1", None),
        (format!("[{bad},{PLAIN}]"), none, false, "m-1", None),
        (bad.to_owned(), none, false, "m-1", None),
        (bad.to_owned(), carried, true, "first", Some("4")),
        (bad.to_owned(), other, false, "m-1", None),
    ];
    for (body, attributes, counted, id, index) in table {
        let rig = Table::good().rig();
        rig.handle(&rig.gateway(stored), &record(&body, 5, 1, attributes)).await;
        let letters = rig.dead_letters.taken.lock().unwrap();
        let [letter] = letters.as_slice() else { panic!("{letters:?}") };
        assert_eq!((letter.counted, letter.source_message_id.as_str()), (counted, id), "{body}");
        assert_eq!((letter.source_index.as_deref(), letter.body.as_str()), (index, body.as_str()));
        assert_eq!(letter.sent_timestamp, Some(Timestamp(NOW - 5)));
    }
    // Each element of a direct array is a dead letter of its own.
    let rig = Table::good().rig();
    rig.handle(&rig.gateway(stored), &format!("[{COUNTER},{bad}]")).await;
    let letters = rig.dead_letters.taken.lock().unwrap();
    assert_eq!((letters[0].counted, letters[0].source_index.as_deref()), (false, Some("1")));
}

#[tokio::test]
async fn an_old_typed_event_may_be_counted_if_it_came_before() {
    let hour = 3_600_000;
    let own = format!(r#"{{"type":"counter","name":"c","value":1,"timestamp":{}}}"#, NOW - hour - 1);
    let plain = format!(r#"{{"metrics":{{"p":1}},"timestamp":{}}}"#, NOW - hour - 1);
    let table = [
        (record(COUNTER, hour + 1, 1, &[]), false),
        (record(COUNTER, hour + 1, 2, &[]), true),
        (record(&own, 0, 2, &[]), true),
        (record(&plain, 0, 2, &[]), false),
        (record(COUNTER, 5, 2, &[("sent_timestamp", &(NOW - hour - 1).to_string())]), true),
        (format!("[{own}]"), true),
        (format!("[{plain}]"), false),
    ];
    for (payload, maybe_stored) in table {
        let rig = Table::good().rig();
        let handled = rig.handle(&rig.gateway(stored), &payload).await;
        let taken = rig.dead_letters.taken.lock().unwrap()[0].clone();
        assert_eq!((taken.reason.as_str(), taken.maybe_stored), ("too_old", maybe_stored), "{payload}");
        assert_eq!((handled.summary.maybe_stored, handled.summary.typed), (u64::from(maybe_stored), 0));
        let rig = Rig { vars: vec![("LATE_SAMPLES", "drop")], ..Table::good().rig() };
        let handled = rig.handle(&rig.gateway(stored), &payload).await;
        assert_eq!((handled.summary.dropped, rig.dead_letters.taken.lock().unwrap().len()), (1, 0), "{payload}");
    }
}

#[tokio::test]
async fn keeps_the_identity_that_a_message_had_at_first() {
    let with_id = r#"{"type":"counter","name":"c_total","value":1,"id":"x"}"#;
    let none: Attributes<'_> = &[];
    let table = [
        (COUNTER, none, Identity::of_event("m-1", 0)),
        (COUNTER, &[("source_message_id", "first")] as Attributes<'_>, Identity::of_event("first", 0)),
        (COUNTER, &[("source_message_id", "first"), ("source_index", "3")], Identity::of_event("first\n3", 0)),
        (COUNTER, &[("source_message_id", ""), ("source_index", "3")], Identity::of_event("m-1", 0)),
    ];
    for (body, attributes, expected) in table {
        let table = Table::good();
        let rig = table.rig();
        rig.handle(&rig.gateway(stored), &record(body, 0, 1, attributes)).await;
        assert_eq!(table.identities(), [expected], "{attributes:?}");
    }
    let table = Table::good();
    let rig = table.rig();
    for payload in
        [record(with_id, 0, 1, &[]), record(with_id, 0, 1, &[("source_message_id", "y")]), with_id.to_owned()]
    {
        rig.handle(&rig.gateway(stored), &payload).await;
    }
    rig.handle(&rig.gateway(stored), COUNTER).await;
    let identities = table.identities();
    assert!(identities[0] == identities[1] && identities[1] == identities[2], "{identities:?}");
    assert_eq!(identities[3], Identity::of_event("request-1", 0));
}

#[tokio::test]
async fn an_idempotency_key_makes_two_requests_one() {
    let table = Table::good();
    let rig = table.rig();
    let gateway = rig.gateway(stored);
    let post = async |key: Option<&'static str>| {
        let body: Result<_, Rejection> = Ok(Cow::Borrowed(COUNTER));
        let message = Message { idempotency_key: key.map(Cow::Borrowed), ..Message::direct("request-1", body) };
        let batch = Batch {
            trigger: Trigger::Http,
            messages: vec![message],
            request_id: "request-1",
            started: Timestamp(NOW),
            deadline: Instant::now() + Duration::from_secs(30),
        };
        assert_eq!(gateway.ingest(&batch).await.summary.typed, 1);
    };
    for key in [Some("a"), Some("a"), Some("b"), None, None, Some(""), Some("request-1"), Some("m-1")] {
        post(key).await;
    }
    let identities = VecDeque::from(table.identities());
    assert_eq!(identities[0], identities[1]);
    assert_eq!(identities.iter().collect::<BTreeSet<_>>().len(), 7, "{identities:?}");
    assert!(!identities.contains(&Identity::of_event("m-1", 0)), "no key imitates a message of the queue");
}

#[tokio::test]
async fn a_returned_message_of_a_fifo_group_is_journalled_again_with_the_same_identity() {
    let table = Table::good();
    let rig = table.rig();
    let bodies = [("g", r#"{"metrics":{"bad":1}}"#), ("g", COUNTER), ("g", r#"{"nonsense":1}"#)];
    let payload = sqs(true, &bodies);
    let handled = rig.handle(&rig.gateway(|_| answers(404, "")), &payload).await;
    assert_eq!(failures(&handled), ["0", "1", "2"]);
    assert_eq!((handled.summary.typed, rig.dead_letters.taken.lock().unwrap().len()), (1, 0));
    let handled = rig.handle(&rig.gateway(stored), &payload).await;
    assert!(failures(&handled).is_empty());
    assert_eq!(table.identities(), [Identity::of_event("1", 0); 2]);
}

#[tokio::test]
async fn counts_what_is_journalled_after_the_clock_was_set_back_by_an_hour() {
    let hour = 3_600_000;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(wall).unwrap() / MINUTE * MINUTE;
    let call = |time| TickCall {
        tick: Timestamp(time),
        shard: None,
        started: Timestamp(time),
        request_id: "r",
        deadline: Instant::now() + Duration::from_mins(1),
    };
    let table = Table::good();
    for is_restarted in [false, true] {
        let mut rig = table.rig();
        if is_restarted {
            // The clock was set back while no process ran.
            rig.state.as_ref().unwrap().resume().await;
        } else {
            // The clock was right an hour ahead.
            rig.gateway(stored).tick(&call(now + hour)).await.unwrap();
            let gateway = rig.gateway(stored);
            gateway.tick(&call(now + hour + MINUTE)).await.unwrap();
            rig.state.clone_from(&gateway.state);
        }
        let gateway = rig.gateway(stored);
        // An identity of its own: the message is the same.
        let event = format!(r#"{{"type":"counter","name":"c_total","value":1,"id":"{is_restarted}"}}"#);
        assert!(failures(&rig.handle(&gateway, &record(&event, 0, 1, &[])).await).is_empty());
        // A tick of the clock that was set back does nothing.
        let early = gateway.tick(&call(now + MINUTE)).await.unwrap().sum;
        assert_eq!((early.overtaken, early.folded.entries), (true, 0));
        let later = now + 2 * hour + if is_restarted { hour } else { 0 };
        assert_eq!(gateway.tick(&call(later)).await.unwrap().sum.folded.increments, 1, "{is_restarted}");
    }
}
