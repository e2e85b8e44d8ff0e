//! The receiver: it keeps the rules of Prometheus, fails, loses answers, and takes requests late.

use super::plan::Part;
use super::process::Process;
use super::{BEGIN, Fault, HOUR, SECOND, wait};
use crate::aws::{Answer, ReadBody, Transport, TransportError};
use crate::wire::messages::WriteRequest;
use bytes::Bytes;
use prost::Message as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A request that is given up may be stored until then.
const LATEST_EFFECT: i64 = 60 * SECOND;

/// A tick looks for a newer head before each request. This is the slowest answer of the table.
const SLOWEST_LOOK: i64 = 12 * SECOND;

#[derive(Default)]
pub(super) struct Database {
    is_atomic: bool,
    /// The samples of each series, by its labels.
    pub(super) series: HashMap<String, Vec<(i64, u64)>>,
    newest: i64,
    pub(super) requests: u64,
    /// Values that contradict the stored one of the same time.
    pub(super) contradictions: Vec<String>,
}

pub(super) struct ReceiverClient(pub(super) Arc<Process>);

impl Database {
    pub(super) fn new(is_atomic: bool) -> Self {
        Self { is_atomic, newest: BEGIN, ..Self::default() }
    }

    /// Stores a request. Returns the first error text.
    fn write(&mut self, request: &WriteRequest) -> Result<(), String> {
        self.requests += 1;
        let mut first = Ok(());
        let mut taken = Vec::new();
        for series in &request.timeseries {
            let labels = series.labels.iter().map(|label| format!("{}={:?}", label.name, label.value));
            let name = labels.collect::<Vec<_>>().join(", ");
            let samples = series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits()));
            let histograms = series.histograms.iter().map(|h| (h.timestamp, h.sum.to_bits()));
            for (time, bits) in samples.chain(histograms) {
                let last = self.series.get(&name).and_then(|held| held.last()).copied();
                let problem = match last {
                    Some((last, old)) if last == time && old == bits => continue,
                    Some((last, _)) if last == time => {
                        self.contradictions.push(format!("{name} at {}", time - BEGIN));
                        "duplicate sample for timestamp"
                    }
                    _ if time < self.newest - HOUR => "out of bounds",
                    Some((last, _)) if last > time => "out of order sample",
                    _ => {
                        taken.push((name.clone(), time, bits));
                        if !self.is_atomic {
                            self.take(&mut taken);
                        }
                        continue;
                    }
                };
                let text = if self.is_atomic { problem.to_owned() } else { format!("{problem}. series={{{name}}}") };
                first = first.and(Err(text));
            }
        }
        if first.is_ok() {
            self.take(&mut taken);
        }
        first
    }

    fn take(&mut self, samples: &mut Vec<(String, i64, u64)>) {
        for (name, time, bits) in samples.drain(..) {
            self.newest = self.newest.max(time);
            self.series.entry(name).or_default().push((time, bits));
        }
    }
}

impl ReceiverClient {
    /// Notes a tick that sends although it could have seen a newer head long ago.
    fn check_order(&self) {
        let world = &self.0.world;
        // A tick of all shards sends on for those that are not behind.
        let Some((tick, Some(shard))) = self.0.tick else { return };
        let now = world.now();
        let mut record = world.record.lock().unwrap();
        let newer = record.commits.iter().rev().find(|commit| commit.shard == shard && commit.tick > tick);
        if let Some(newer) = newer.filter(|newer| newer.at < now - SLOWEST_LOOK) {
            let late = now - newer.at;
            let newer = (newer.tick - tick) / SECOND;
            record.note(Fault::SentBehind, || format!("a tick sends {late} ms after one that is {newer} s newer"));
        }
    }
}

impl Transport for ReceiverClient {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: ReadBody,
        timeout: Duration,
    ) -> Result<Answer, TransportError> {
        let world = &self.0.world;
        let protobuf = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
        let decoded = WriteRequest::decode(protobuf.as_slice()).unwrap();
        let times =
            decoded.timeseries.iter().filter_map(|series| series.samples.first().map(|sample| sample.timestamp));
        let call = match (self.0.tick, times.max()) {
            (None, _) => "send samples",
            (Some(_), None) => "send metadata or histograms",
            (Some((tick, _)), Some(newest)) if newest < tick => "send zeros",
            _ => "send values",
        };
        self.0.pass(call, false).await;
        self.check_order();
        if world.is_down(Part::Receiver) {
            wait(world.below(300)).await;
            let errors = [TransportError::Connect("down".to_owned()), TransportError::Network("down".to_owned())];
            return match world.below(3) {
                0 => Ok(Answer { status: 503, ..Answer::default() }),
                1 => {
                    tokio::time::sleep(timeout).await;
                    Err(TransportError::Timeout)
                }
                _ => Err(errors[usize::from(world.chance(0.5))].clone()),
            };
        }
        if world.fails(world.plan.hangs) {
            tokio::time::sleep(timeout).await;
            return Err(TransportError::Timeout);
        }
        let fails = if call == "send zeros" { world.plan.zeros_fail } else { world.plan.fails };
        if world.fails(fails) {
            let status = [429, 500, 503][usize::try_from(world.below(3)).unwrap()];
            return Ok(Answer { status, ..Answer::default() });
        }
        let delay = if world.fails(world.plan.late) { world.below(LATEST_EFFECT) } else { 5 + world.below(40) };
        let process = Arc::clone(&self.0);
        let effect = tokio::spawn(async move {
            wait(delay).await;
            process.world.database.lock().unwrap().write(&decoded)
        });
        let Ok(written) = tokio::time::timeout(timeout, effect).await else { return Err(TransportError::Timeout) };
        let written = written.unwrap();
        self.0.pass(call, true).await;
        if world.fails(0.02) {
            return Err(TransportError::Network("lost".to_owned()));
        }
        let (status, body) = match written {
            Ok(()) => (200, String::new()),
            Err(text) => (400, text),
        };
        Ok(Answer { status, body: body.into(), ..Answer::default() })
    }
}
