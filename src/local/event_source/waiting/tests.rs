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

/// Messages `(id, group)`, all of which came at `at`.
fn waiting(limits: Limits, messages: &[(&str, Option<&str>)], at: Instant) -> Waiting {
    let mut waiting = Waiting::new(limits);
    for (id, group) in messages {
        waiting.add(record(id, *group), at);
    }
    waiting
}

fn ids(batch: &[Record]) -> Vec<&str> {
    batch.iter().map(|record| record.message_id.as_str()).collect()
}

fn taken(waiting: &mut Waiting, now: Instant) -> Option<Vec<String>> {
    Some(waiting.take(now)?.into_iter().map(|record| record.message_id).collect())
}

fn groups<const N: usize>(names: [&str; N]) -> HashSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn a_batch_that_is_not_full_waits_for_the_window_of_its_first_message() {
    let start = Instant::now();
    let mut waiting = waiting(LIMITS, &[("a", None)], start);
    waiting.add(record("b", None), start + Duration::from_secs(10));
    assert_eq!(waiting.due(), Some(start + LIMITS.window));
    assert_eq!(waiting.room(), 1);
    assert_eq!(taken(&mut waiting, start + Duration::from_secs(19)), None);
    assert_eq!(ids(&waiting.take(start + LIMITS.window).unwrap()), ["a", "b"]);
    assert_eq!((waiting.due(), waiting.room()), (None, 3));
}

#[test]
fn a_full_batch_goes_at_once_and_the_rest_waits() {
    let start = Instant::now();
    let messages = [("a", None), ("b", None), ("c", None), ("d", None)];
    let mut waiting = waiting(LIMITS, &messages, start);
    assert_eq!(waiting.room(), 0);
    assert_eq!(ids(&waiting.take(start).unwrap()), ["a", "b", "c"]);
    assert_eq!(taken(&mut waiting, start), None);
    assert_eq!(waiting.due(), Some(start + LIMITS.window));
}

#[test]
fn without_a_window_whatever_is_there_goes_at_once() {
    let start = Instant::now();
    let mut waiting = waiting(Limits { window: Duration::ZERO, ..LIMITS }, &[("a", None)], start);
    assert_eq!(ids(&waiting.take(start).unwrap()), ["a"]);
}

#[test]
fn a_payload_has_at_most_six_mebibytes() {
    let start = Instant::now();
    let mut waiting = Waiting::new(Limits { batch_size: 10, ..LIMITS });
    for id in ["a", "b", "c", "d", "e", "f", "g"] {
        waiting.add(with_body(id, None, "x".repeat(1 << 20)), start);
    }
    let batch = waiting.take(start).unwrap();
    assert_eq!(ids(&batch), ["a", "b", "c", "d", "e"]);
    assert!(super::super::record::event(&batch).len() <= MAX_SYNC_BYTES);
    assert_eq!(taken(&mut waiting, start), None, "the other two wait for more");
}

#[test]
fn what_waited_as_long_as_the_queue_hides_it_is_left_to_the_queue() {
    let start = Instant::now();
    let limits = Limits { window: LIMITS.visibility / 2, ..LIMITS };
    let mut waiting = waiting(limits, &[("old", None)], start);
    let later = start + LIMITS.visibility;
    waiting.add(record("new", None), later - Duration::from_secs(40));
    assert_eq!(ids(&waiting.take(later).unwrap()), ["new"]);
}

#[test]
fn of_a_group_one_batch_is_in_flight_at_a_time() {
    let start = Instant::now();
    let messages = [("1", Some("g")), ("2", Some("g")), ("3", Some("h")), ("4", Some("g")), ("5", Some("i"))];
    let mut waiting = waiting(Limits { window: Duration::ZERO, ..LIMITS }, &messages, start);
    assert_eq!(taken(&mut waiting, start).unwrap(), ["1", "2", "3"]);
    assert_eq!(taken(&mut waiting, start).unwrap(), ["5"], "group g is locked, i is not");
    assert_eq!(taken(&mut waiting, start), None);
    waiting.release(&groups(["g", "h"]), &groups([]));
    assert_eq!(taken(&mut waiting, start).unwrap(), ["4"]);
}

#[test]
fn nothing_overtakes_a_failed_message_of_its_group() {
    let start = Instant::now();
    let messages = [("1", Some("g")), ("2", Some("g")), ("3", Some("h")), ("4", Some("g")), ("5", Some("h"))];
    let mut waiting = waiting(Limits { window: Duration::ZERO, ..LIMITS }, &messages, start);
    assert_eq!(taken(&mut waiting, start).unwrap(), ["1", "2", "3"]);
    waiting.release(&groups(["g", "h"]), &groups(["g"]));
    assert_eq!(
        taken(&mut waiting, start).unwrap(),
        ["5"],
        "4 is left to the queue, which gives 1 or 2 again before it"
    );
}

/// What happens to a queue's poller.
#[derive(Clone, Debug)]
enum Step {
    Arrives(Option<u8>),
    Takes,
    /// The oldest batch in flight ends; whether its first message failed.
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
    fn batches_are_within_limits_in_order_and_of_groups_that_are_not_in_flight(
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut now = Instant::now();
        let mut waiting = Waiting::new(LIMITS);
        let mut in_flight: VecDeque<HashSet<String>> = VecDeque::new();
        let (mut arrived, mut seen) = (0_u32, HashSet::new());
        let mut last_of_group = std::collections::HashMap::new();
        for step in steps {
            match step {
                Step::Arrives(group) => {
                    arrived += 1;
                    let group = group.map(|group| group.to_string());
                    waiting.add(record(&arrived.to_string(), group.as_deref()), now);
                }
                Step::Passes(seconds) => now += Duration::from_secs(seconds),
                Step::Takes => {
                    let Some(batch) = waiting.take(now) else { continue };
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
                    waiting.release(&groups, &failed);
                }
            }
        }
    }
}
