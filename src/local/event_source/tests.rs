use super::*;
use crate::aws::sqs::ReceivedMessage;
use crate::gateway::Summary;
use crate::lambda::{FunctionError, Invocation};
use bytes::Bytes;
use std::sync::Mutex;
use tokio::sync::oneshot;

const VISIBILITY: Duration = Duration::from_secs(30);

/// A queue in memory that hides a received message. It hides a FIFO group while one of its messages is hidden.
#[derive(Default)]
struct InMemory {
    messages: Mutex<Vec<Held>>,
    failures: Mutex<u32>,
    changed: tokio::sync::Notify,
}

struct Held {
    id: String,
    group: Option<String>,
    receives: u32,
    hidden_until: Option<Instant>,
}

impl InMemory {
    fn holding(messages: &[(&str, Option<&str>)]) -> Arc<Self> {
        let queue = Self::default();
        for (id, group) in messages {
            queue.send(id, *group);
        }
        Arc::new(queue)
    }

    fn send(&self, id: &str, group: Option<&str>) {
        let held = Held { id: id.to_owned(), group: group.map(str::to_owned), receives: 0, hidden_until: None };
        self.messages.lock().unwrap().push(held);
        self.changed.notify_one();
    }

    fn ids(&self) -> Vec<String> {
        self.messages.lock().unwrap().iter().map(|held| held.id.clone()).collect()
    }

    fn take(&self, most: usize) -> Vec<ReceivedMessage> {
        let now = Instant::now();
        let mut messages = self.messages.lock().unwrap();
        let is_hidden = |held: &Held| held.hidden_until.is_some_and(|until| until > now);
        let locked: HashSet<_> =
            messages.iter().filter(|held| is_hidden(held)).filter_map(|held| held.group.clone()).collect();
        let free = messages.iter_mut().filter(|held| !is_hidden(held));
        let free = free.filter(|held| held.group.as_ref().is_none_or(|group| !locked.contains(group)));
        let give = |held: &mut Held| {
            held.receives += 1;
            held.hidden_until = Some(now + VISIBILITY);
            ReceivedMessage {
                message_id: held.id.clone(),
                receipt_handle: format!("{}/{}", held.id, held.receives),
                attributes: held.group.iter().map(|group| ("MessageGroupId".to_owned(), group.clone())).collect(),
                ..ReceivedMessage::default()
            }
        };
        free.take(most).map(give).collect()
    }
}

impl Queue for InMemory {
    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, SqsError> {
        let deadline = Instant::now() + wait;
        if let failures @ 1.. = &mut *self.failures.lock().unwrap() {
            *failures -= 1;
            return Err(SqsError::Timeout);
        }
        loop {
            let messages = self.take(most.min(10));
            if !messages.is_empty() || Instant::now() >= deadline {
                return Ok(messages);
            }
            let nap = Instant::now() + Duration::from_secs(1);
            let _has_changed = tokio::time::timeout_at(deadline.min(nap), self.changed.notified()).await.is_ok();
        }
    }

    async fn delete(&self, receipts: &[String]) -> Vec<Result<(), SqsError>> {
        let mut messages = self.messages.lock().unwrap();
        let mut delete = |receipt: &String| {
            let before = messages.len();
            messages.retain(|held| format!("{}/{}", held.id, held.receives) != *receipt);
            if messages.len() < before { Ok(()) } else { Err(SqsError::Missing("the message")) }
        };
        receipts.iter().map(&mut delete).collect()
    }
}

/// Records the ids of each batch, sleeps, and fails each of `fails_once` once.
#[derive(Default)]
struct Recording {
    batches: Mutex<Vec<Vec<String>>>,
    fails_once: Mutex<HashSet<String>>,
    takes: Duration,
    error: bool,
}

impl Recording {
    fn failing_once<const N: usize>(ids: [&str; N]) -> Self {
        Self { fails_once: Mutex::new(ids.map(str::to_owned).into()), ..Self::default() }
    }

    fn batches(&self) -> Vec<Vec<String>> {
        self.batches.lock().unwrap().clone()
    }
}

impl Function for Recording {
    async fn invoke(&self, payload: Bytes, _invocation: &Invocation) -> Handled {
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let id = |record: &serde_json::Value| record["messageId"].as_str().unwrap().to_owned();
        let ids: Vec<_> = event["Records"].as_array().unwrap().iter().map(id).collect();
        self.batches.lock().unwrap().push(ids.clone());
        tokio::time::sleep(self.takes).await;
        let answer = if self.error {
            Err(FunctionError { error_type: "delivery_failed".to_owned(), error_message: "503".to_owned() })
        } else {
            let mut fails = self.fails_once.lock().unwrap();
            let first = ids.iter().position(|id| fails.remove(id));
            // As the handler does, returns the messages after the first failed one of the group, too.
            let failed: Vec<_> = ids.iter().skip(first.unwrap_or(ids.len())).collect();
            let failed: Vec<_> = failed.iter().map(|id| serde_json::json!({"itemIdentifier": id})).collect();
            Ok(serde_json::json!({"batchItemFailures": failed}).to_string())
        };
        Handled { answer, summary: Summary::default(), trigger: "sqs", http: None }
    }
}

fn settings() -> Settings {
    Settings { batch_size: 10, window: Duration::ZERO, concurrency: 2, timeout: Duration::from_secs(20) }
}

/// Runs for `time`, then stops. Returns messages, deleted and kept of each batch that the observer saw.
async fn run_for(
    time: Duration,
    queue: &Arc<InMemory>,
    function: &Arc<Recording>,
    settings: Settings,
) -> Vec<(usize, usize, usize)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer: Observer = {
        let seen = Arc::clone(&seen);
        Arc::new(move |batch| seen.lock().unwrap().push((batch.messages, batch.deleted, batch.kept)))
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let arn = "arn:aws:sqs:us-east-1:123456789012:q".to_owned();
    let attributes = QueueAttributes { arn, visibility_timeout: VISIBILITY, length: 0 };
    let running = tokio::spawn({
        let (queue, function) = (Arc::clone(queue), Arc::clone(function));
        async move { run(queue, attributes, shutdown, function, settings, observer).await }
    });
    tokio::time::sleep(time).await;
    drop(stop);
    running.await.unwrap();
    seen.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn deletes_delivered_messages_and_receives_failed_ones_again_after_the_visibility_timeout() {
    let queue = InMemory::holding(&[("a", None), ("b", None)]);
    let function = Arc::new(Recording::failing_once(["b"]));
    let seen = run_for(Duration::from_secs(28), &queue, &function, settings()).await;
    assert_eq!((seen, queue.ids()), (vec![(2, 1, 1)], vec!["b".to_owned()]));
    let seen = run_for(Duration::from_secs(10), &queue, &function, settings()).await;
    assert_eq!((seen, queue.ids()), (vec![(1, 1, 0)], vec![]));
}

#[tokio::test(start_paused = true)]
async fn deletes_no_message_after_a_function_error() {
    let queue = InMemory::holding(&[("a", None), ("b", None)]);
    let function = Arc::new(Recording { error: true, ..Recording::default() });
    let seen = run_for(Duration::from_secs(5), &queue, &function, settings()).await;
    assert_eq!((seen, queue.ids().len()), (vec![(2, 0, 2)], 2));
}

#[tokio::test(start_paused = true)]
async fn gathers_the_messages_of_several_receives_in_a_window() {
    let queue = InMemory::holding(&[("a", None)]);
    let function = Arc::new(Recording::default());
    let settings = Settings { window: Duration::from_secs(10), batch_size: 50, ..settings() };
    let later = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        queue.send("b", None);
    };
    tokio::join!(run_for(Duration::from_secs(12), &queue, &function, settings), later);
    assert_eq!(function.batches(), [["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn limits_a_window_to_half_of_the_visibility_timeout() {
    let queue = InMemory::holding(&[("a", None)]);
    let function = Arc::new(Recording::default());
    let settings = Settings { window: Duration::from_mins(5), batch_size: 50, ..settings() };
    run_for(VISIBILITY / 2 + Duration::from_secs(1), &queue, &function, settings).await;
    assert_eq!(function.batches(), [["a"]]);
}

#[tokio::test(start_paused = true)]
async fn limits_batches_in_flight_and_receives_no_message_for_later() {
    let messages: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    let messages: Vec<_> = messages.iter().map(|id| (id.as_str(), None)).collect();
    let queue = InMemory::holding(&messages);
    let function = Arc::new(Recording { takes: Duration::from_secs(8), ..Recording::default() });
    run_for(Duration::from_secs(1), &queue, &function, settings()).await;
    assert_eq!(function.batches().len(), 2, "both batches in flight ended, no other began");
    assert_eq!(queue.ids().len(), 20);
    let untouched = queue.messages.lock().unwrap().iter().filter(|held| held.receives == 0).count();
    assert_eq!(untouched, 20);
}

#[tokio::test(start_paused = true)]
async fn keeps_the_order_of_a_group_after_a_failure() {
    let queue = InMemory::holding(&[("1", Some("g")), ("2", Some("g")), ("3", Some("g")), ("4", Some("g"))]);
    let function = Arc::new(Recording::failing_once(["2"]));
    let settings = Settings { batch_size: 2, ..settings() };
    run_for(VISIBILITY + Duration::from_secs(5), &queue, &function, settings).await;
    assert_eq!(
        function.batches(),
        [["1", "2"], ["2", "3"], ["4", ""]]
            .map(|ids| { ids.into_iter().filter(|id| !id.is_empty()).map(str::to_owned).collect::<Vec<_>>() })
    );
    assert_eq!(queue.ids(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn receives_again_after_failures_of_the_queue() {
    let queue = InMemory::holding(&[("a", None)]);
    *queue.failures.lock().unwrap() = 4;
    let function = Arc::new(Recording::default());
    run_for(Duration::from_secs(7), &queue, &function, settings()).await;
    assert!(function.batches().is_empty(), "0.5 + 1 + 2 + 4 s have not passed");
    let seen = run_for(Duration::from_secs(1), &queue, &function, settings()).await;
    assert_eq!(seen, [(1, 1, 0)]);
}

#[test]
fn doubles_pauses_up_to_half_a_minute() {
    let pauses: Vec<_> = [0, 1, 2, 3, 7, 100].map(|failures| pause_after(failures).as_millis()).into();
    assert_eq!(pauses, [0, 500, 1_000, 2_000, 30_000, 30_000]);
}
