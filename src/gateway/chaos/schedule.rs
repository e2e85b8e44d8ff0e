//! The course of a schedule: senders, functions, ticks, and the wait until everything has come to its end.

use super::plan::Part;
use super::process::Process;
use super::queue::{Queued, operate};
use super::{BEGIN, Fault, HOUR, MINUTE, SECOND, World, events, wait};
use crate::exposition::parse_text;
use crate::gateway::{Batch, Message, MessageAction, Push, PushResult, Pushed, TickCall, Trigger};
use crate::model::Timestamp;
use crate::push_group::{GroupingKey, PushMode};
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::Instant;

const TICK: Duration = Duration::from_mins(1);

/// An `id` is used again within this time.
const REPEATED_WITHIN: i64 = 8 * MINUTE;

/// Everything has come to its end by then, once nothing fails any more.
const LONGEST_END: i64 = 3 * HOUR;

/// Plays a schedule to its end.
pub(super) async fn play(world: &Arc<World>) {
    spawn_local(send(Arc::clone(world)));
    spawn_local(operate(Arc::clone(world)));
    spawn_local(set_gauge(Arc::clone(world)));
    spawn_local(push_groups(Arc::clone(world)));
    spawn_local(tick(Arc::clone(world)));
    for _ in 0..world.plan.functions {
        spawn_local(work(Arc::clone(world)));
    }
    wait(world.plan.end - BEGIN).await;
    world.is_calm.store(true, Ordering::Relaxed);
    let end = world.now() + LONGEST_END;
    // Late effects, and processes of before.
    wait(3 * MINUTE).await;
    while !world.queue.lock().unwrap().live.is_empty() && world.now() < end {
        wait(MINUTE).await;
    }
    wait(4 * MINUTE).await;
}

/// Sends messages with plain and typed events, and a few that are wrong.
async fn send(world: Arc<World>) {
    let mut recent: Vec<(i64, Json, usize)> = Vec::new();
    while !world.is_calm() {
        wait(world.below(2 * world.plan.pause_ms)).await;
        let (mut elements, mut of_elements) = (Vec::new(), Vec::new());
        for _ in 0..=world.below(world.plan.events) {
            recent.retain(|(at, ..)| *at > world.now() - REPEATED_WITHIN);
            let repeated = world.below(40 * i64::try_from(recent.len() + 1).unwrap());
            if let Some((_, event, id)) = recent.get(usize::try_from(repeated).unwrap()) {
                elements.push(event.clone());
                of_elements.push(Some(*id));
                continue;
            }
            let (event, id) = {
                let number = world.record.lock().unwrap().events.len();
                let (event, sent) = events::draw(&world, number);
                world.record.lock().unwrap().events.push(sent);
                (event, number)
            };
            if event.get("id").is_some() {
                recent.push((world.now(), event.clone(), id));
            }
            elements.push(event);
            of_elements.push(Some(id));
        }
        let unique = world.queue.lock().unwrap().messages.len();
        if world.chance(0.2) {
            elements.push(json!({"metrics": {"plain": 1}, "dimensions": {"m": format!("{unique}")}}));
            of_elements.push(None);
        }
        if world.chance(0.03) {
            elements.insert(0, json!({"type": "counter", "name": "wrong", "value": -1}));
            of_elements.insert(0, None);
        }
        let body = if elements.len() == 1 { elements[0].to_string() } else { Json::Array(elements).to_string() };
        world.send(body, of_elements);
    }
}

/// Invokes functions for the queue, one after another.
async fn work(world: Arc<World>) {
    loop {
        let received = world.receive();
        if received.is_empty() {
            wait(SECOND + world.below(4 * SECOND)).await;
            continue;
        }
        let process = Process::new(&world, None);
        let gateway = process.gateway();
        world.record.lock().unwrap().numbers.invocations += 1;
        let started = Timestamp(world.now());
        let messages = received.iter().map(message).collect();
        let deadline = Instant::now() + world.plan.function;
        let trigger = Trigger::Sqs { fifo: false };
        let batch = Batch { trigger, messages, request_id: "r", started, deadline };
        if world.fails(0.03) {
            // A slow start: the age of the messages is judged before, and they are journalled after.
            wait(world.below(20 * SECOND)).await;
        }
        let Some(ingested) = process.run(tokio::time::timeout_at(deadline, gateway.ingest(&batch))).await else {
            continue;
        };
        let Ok(ingested) = ingested else { continue };
        for (message, action) in received.iter().zip(&ingested.ledger.actions) {
            match action {
                MessageAction::Return { .. } => world.give_back(&message.id),
                MessageAction::Acknowledge | MessageAction::DeadLetter { .. } => world.acknowledge(&message.id),
            }
        }
    }
}

fn message(queued: &Queued) -> Message<'_> {
    Message {
        id: Cow::Borrowed(&queued.id),
        body: Ok(Cow::Borrowed(&queued.body)),
        sent: Some(Timestamp(queued.sent)),
        group: None,
        receive_count: queued.receives,
        source_message_id: queued.source.as_deref().map(Cow::Borrowed),
        source_index: None,
        idempotency_key: None,
        counted: queued.counted,
    }
}

/// Sets a gauge to ascending numbers, several in a message, each message after the one before was confirmed. All numbers of twenty minutes
/// have one time: only the order in the message and of the journal tells which is newest.
async fn set_gauge(world: Arc<World>) {
    let mut number = 0;
    while !world.is_calm() {
        let now = world.now();
        let event = |number: i64| json!({"type": "gauge", "name": "g", "labels": {"k": "v"}, "value": number, "timestamp": now - now % (20 * MINUTE)});
        let events: Vec<Json> = (0..=world.below(4)).map(|i| event(number + 1 + i)).collect();
        number += i64::try_from(events.len()).unwrap();
        if set(&world, &format!("gauge-{number}"), &Json::Array(events).to_string()).await {
            world.record.lock().unwrap().confirmed.push((world.now(), number));
            wait(70 * SECOND + world.below(30 * SECOND)).await;
        } else {
            // Until its put can no longer take effect.
            wait(130 * SECOND).await;
        }
    }
}

/// Invokes a function, and once more if that fails, as Lambda does. Returns whether all was confirmed.
async fn set(world: &Arc<World>, request_id: &str, events: &str) -> bool {
    for _ in 0..2 {
        let process = Process::new(world, None);
        let gateway = process.gateway();
        let batch = Batch {
            trigger: Trigger::Direct,
            messages: vec![Message::direct(request_id, Ok(Cow::Borrowed(events)))],
            request_id,
            started: Timestamp(world.now()),
            deadline: Instant::now() + world.plan.function,
        };
        let ingested = process.run(gateway.ingest(&batch)).await;
        if ingested.is_some_and(|done| done.failure.is_none() && done.summary.errored == 0 && done.summary.typed > 0) {
            return true;
        }
        wait(world.below(60 * SECOND)).await;
    }
    false
}

/// Pushes ascending numbers to two groups that have one series.
async fn push_groups(world: Arc<World>) {
    let mut number = 0;
    while world.plan.has_groups && !world.is_calm() {
        wait(MINUTE + world.below(MINUTE)).await;
        number += 1;
        let (path, body) = if world.chance(0.5) {
            ("job/a", format!("pushed{{k=\"v\"}} {number}\n"))
        } else {
            ("job/a/k/v", format!("pushed {number}\n"))
        };
        let process = Process::new(&world, None);
        let gateway = process.gateway();
        let push = Push {
            key: &GroupingKey::parse(path).unwrap(),
            body: &parse_text(body.as_bytes()).unwrap(),
            mode: PushMode::Replace,
            ttl: None,
            now: Timestamp(world.now()),
            request_id: "r",
            deadline: Instant::now() + world.plan.function,
        };
        let pushed = process.run(gateway.push(&push)).await;
        if matches!(pushed, Some(Ok(Pushed { result: PushResult::Stored, .. }))) {
            world.record.lock().unwrap().pushed.push((world.now(), number));
        } else {
            wait(130 * SECOND).await;
        }
    }
}

/// Asks for a tick of each shard at equal distances. Ticks of all shards compare the groups of all.
async fn tick(world: Arc<World>) {
    let mut tick = BEGIN;
    loop {
        tick += world.plan.period_ms;
        wait(tick - world.now()).await;
        if world.is_down(Part::Ticks) {
            continue;
        }
        if world.plan.has_groups {
            spawn_local(run_tick(Arc::clone(&world), tick, None));
            continue;
        }
        for shard in 0..world.plan.shards {
            for _ in 0..=i32::from(world.fails(world.plan.twice)) {
                spawn_local(run_tick(Arc::clone(&world), tick, Some(shard)));
            }
        }
    }
}

async fn run_tick(world: Arc<World>, tick: i64, shard: Option<u16>) {
    wait(if world.is_calm() { SECOND } else { world.below(world.plan.tick_delay_ms) }).await;
    let started = world.now();
    {
        let mut record = world.record.lock().unwrap();
        for shard in shard.map_or(0..world.plan.shards, |shard| shard..shard + 1) {
            let first = record.started.entry((shard, tick)).or_insert(started);
            *first = started.min(*first);
        }
        record.numbers.ticks += 1;
    }
    let process = Process::new(&world, Some((tick, shard)));
    let gateway = process.gateway();
    let call = TickCall {
        tick: Timestamp(tick),
        shard,
        started: Timestamp(started),
        request_id: "r",
        deadline: Instant::now() + TICK,
    };
    let Some(Ok(summary)) = process.run(gateway.tick(&call)).await else { return };
    let sum = summary.sum;
    let mut record = world.record.lock().unwrap();
    record.numbers.failed_ticks += u64::from(sum.error.is_some());
    record.numbers.duplicates += sum.folded.duplicates;
    record.numbers.births += sum.folded.births;
    record.numbers.expired += sum.expired;
    if sum.refused > 0 {
        let overtaken = sum.overtaken;
        record.note(Fault::Refused, || format!("{} samples at {}, overtaken: {overtaken}", sum.refused, tick - BEGIN));
    }
}
