use super::*;
use crate::aws::sqs::ReceivedMessage;
use proptest::prelude::*;

const LIMITS: Limits = Limits { batch_size: 3, window: Duration::from_secs(20), visibility: Duration::from_mins(1) };

fn record(id: &str, group: Option<&str>) -> Record {
    with_body(id, group, String::new())
}

fn with_body(id: &str, group: Option<&str>, body: String) -> Record {
    let attributes = group.map(|group| ("MessageGroupId".to_owned(), group.to_owned()));
    let received = ReceivedMessage {
        message_id: id.to_owned(),
        receipt_handle: format!("receipt of {id}"),
        body,
        attributes: attributes.into_iter().collect(),
        ..ReceivedMessage::default()
    };
    Record::new(&received, "arn:aws:sqs:us-east-1:123456789012:q")
}

/// Adds messages `(id, group)`, all at `at`.
fn buffer(limits: Limits, messages: &[(&str, Option<&str>)], at: Instant) -> Buffer {
    let mut buffer = Buffer::new(limits);
    for (id, group) in messages {
        buffer.add(record(id, *group), at);
    }
    buffer
}

fn ids(batch: &[Record]) -> Vec<&str> {
    batch.iter().map(|record| record.message_id.as_str()).collect()
}

fn taken(buffer: &mut Buffer, now: Instant) -> Option<Vec<String>> {
    Some(buffer.take(now)?.into_iter().map(|record| record.message_id).collect())
}

fn groups<const N: usize>(names: [&str; N]) -> HashSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn holds_a_batch_that_is_not_full_for_the_window_of_its_first_message() {
    let start = Instant::now();
    let mut buffer = buffer(LIMITS, &[("a", None)], start);
    buffer.add(record("b", None), start + Duration::from_secs(10));
    assert_eq!(buffer.due(), Some(start + LIMITS.window));
    assert_eq!(buffer.room(), 1);
    assert_eq!(taken(&mut buffer, start + Duration::from_secs(19)), None);
    assert_eq!(ids(&buffer.take(start + LIMITS.window).unwrap()), ["a", "b"]);
    assert_eq!((buffer.due(), buffer.room()), (None, 3));
}

#[test]
fn returns_a_full_batch_at_once_and_holds_the_rest() {
    let start = Instant::now();
    let messages = [("a", None), ("b", None), ("c", None), ("d", None)];
    let mut buffer = buffer(LIMITS, &messages, start);
    assert_eq!(buffer.room(), 0);
    assert_eq!(ids(&buffer.take(start).unwrap()), ["a", "b", "c"]);
    assert_eq!(taken(&mut buffer, start), None);
    assert_eq!(buffer.due(), Some(start + LIMITS.window));
}

#[test]
fn returns_all_messages_at_once_without_a_window() {
    let start = Instant::now();
    let mut buffer = buffer(Limits { window: Duration::ZERO, ..LIMITS }, &[("a", None)], start);
    assert_eq!(ids(&buffer.take(start).unwrap()), ["a"]);
}

#[test]
fn limits_a_payload_to_six_mebibytes() {
    let start = Instant::now();
    let mut buffer = Buffer::new(Limits { batch_size: 10, ..LIMITS });
    for id in ["a", "b", "c", "d", "e", "f", "g"] {
        buffer.add(with_body(id, None, "x".repeat(1 << 20)), start);
    }
    let batch = buffer.take(start).unwrap();
    assert_eq!(ids(&batch), ["a", "b", "c", "d", "e"]);
    assert!(super::super::record::event(&batch).len() <= MAX_SYNC_BYTES);
    assert_eq!(taken(&mut buffer, start), None, "the other two wait for more");
}

#[test]
fn drops_a_message_after_its_visibility_timeout() {
    let start = Instant::now();
    let limits = Limits { window: LIMITS.visibility / 2, ..LIMITS };
    let mut buffer = buffer(limits, &[("old", None)], start);
    let later = start + LIMITS.visibility;
    buffer.add(record("new", None), later - Duration::from_secs(40));
    assert_eq!(ids(&buffer.take(later).unwrap()), ["new"]);
}

#[test]
fn has_one_batch_of_a_group_in_flight_at_a_time() {
    let start = Instant::now();
    let messages = [("1", Some("g")), ("2", Some("g")), ("3", Some("h")), ("4", Some("g")), ("5", Some("i"))];
    let mut buffer = buffer(Limits { window: Duration::ZERO, ..LIMITS }, &messages, start);
    assert_eq!(taken(&mut buffer, start).unwrap(), ["1", "2", "3"]);
    assert_eq!(taken(&mut buffer, start).unwrap(), ["5"], "group g is locked, i is not");
    assert_eq!(taken(&mut buffer, start), None);
    buffer.release(&groups(["g", "h"]), &groups([]));
    assert_eq!(taken(&mut buffer, start).unwrap(), ["4"]);
}

#[test]
fn drops_the_later_messages_of_a_group_with_a_failed_message() {
    let start = Instant::now();
    let messages = [("1", Some("g")), ("2", Some("g")), ("3", Some("h")), ("4", Some("g")), ("5", Some("h"))];
    let mut buffer = buffer(Limits { window: Duration::ZERO, ..LIMITS }, &messages, start);
    assert_eq!(taken(&mut buffer, start).unwrap(), ["1", "2", "3"]);
    buffer.release(&groups(["g", "h"]), &groups(["g"]));
    assert_eq!(taken(&mut buffer, start).unwrap(), ["5"], "the queue delivers 4 again, after 1 or 2");
}

#[derive(Clone, Debug)]
enum Step {
    Arrives(Option<u8>),
    Takes,
    /// The oldest batch in flight ends; true if its first message failed.
    Ends(bool),
    Passes(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::option::of(0..4_u8).prop_map(Step::Arrives),
        3 => Just(Step::Takes),
        2 => any::<bool>().prop_map(Step::Ends),
        1 => (0..15_u64).prop_map(Step::Passes),
    ]
}

proptest! {
    #[test]
    fn returns_batches_within_limits_in_order_and_without_groups_in_flight(
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut now = Instant::now();
        let mut buffer = Buffer::new(LIMITS);
        let mut in_flight: VecDeque<HashSet<String>> = VecDeque::new();
        let (mut arrived, mut seen) = (0_u32, HashSet::new());
        let mut last_of_group = std::collections::HashMap::new();
        for step in steps {
            match step {
                Step::Arrives(group) => {
                    arrived += 1;
                    let group = group.map(|group| group.to_string());
                    buffer.add(record(&arrived.to_string(), group.as_deref()), now);
                }
                Step::Passes(seconds) => now += Duration::from_secs(seconds),
                Step::Takes => {
                    let Some(batch) = buffer.take(now) else { continue };
                    prop_assert!(!batch.is_empty() && batch.len() <= LIMITS.batch_size);
                    let groups: HashSet<_> = batch.iter().filter_map(|record| record.group.clone()).collect();
                    prop_assert!(in_flight.iter().all(|other| other.is_disjoint(&groups)));
                    for record in &batch {
                        let number: u32 = record.message_id.parse().unwrap();
                        prop_assert!(seen.insert(number), "{} twice", number);
                        if let Some(group) = &record.group {
                            let last = last_of_group.insert(group.clone(), number);
                            prop_assert!(last.is_none_or(|last| last < number), "{:?} before {}", last, number);
                        }
                    }
                    in_flight.push_back(groups);
                }
                Step::Ends(failed) => {
                    let Some(groups) = in_flight.pop_front() else { continue };
                    let failed = groups.iter().take(usize::from(failed)).cloned().collect();
                    buffer.release(&groups, &failed);
                }
            }
        }
    }
}
