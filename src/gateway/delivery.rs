//! Requests to answers, and answers to outcomes of events: sends, tries again, and finds out who is refused.

mod outcome;
mod part;

use crate::aws::{Answer, Transport, TransportError};
use crate::model::{ItemId, Reason, Rejection};
use crate::remote_write::bisect::{Bisection, Finding, Step};
use crate::remote_write::error_text::{self, Named, names_a_limit, reason};
use crate::remote_write::{Backoff, Disposition, RemoteWriteClient, in_words, leaves_in_doubt};
use crate::series::{Sample, SampleTable};
use crate::wire::{EncodedRequest, Requests, encode_selection};
use bytes::Bytes;
use outcome::SampleState;
use part::Events;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// A request that is given less time than this is not begun.
const SHORTEST_TRY: Duration = Duration::from_millis(50);

/// Longest wait for one answer: a receiver that hangs leaves time for another try.
const LONGEST_TRY: Duration = Duration::from_secs(10);

/// HTTP requests of one invocation; what is not settled by then comes again.
const MAX_REQUESTS: u64 = 500;

/// Lines about failed requests in one invocation.
const MAX_LOGGED: u32 = 20;

const DEFECT: &str = "a defect of the gateway; its log has the place";

type Answered = Result<Answer, TransportError>;

/// The requests of a batch on their way.
pub(super) struct Delivery<'d, 'a, T> {
    client: &'d RemoteWriteClient<T>,
    merged: &'d SampleTable<'a>,
    /// Of the invocation, for log lines.
    request_id: &'d str,
    backoff: Backoff,
    until: Instant,
    /// By the numbers of [`SampleTable::rows`].
    rows: Vec<SampleState>,
    /// One for each answer that refused something.
    refusals: Vec<Rejection>,
    refused: BTreeMap<ItemId, Refused>,
    requests: u64,
    retries: u64,
    bytes: u64,
    logged: u32,
    /// A request has failed for good: the receiver is down, and others are tried once.
    exhausted: bool,
    reloaded: bool,
    /// Time spent on encoding.
    encoding: Duration,
    failure: Option<String>,
}

/// An event that the receiver refuses. There can be as many as events, all for one sample.
struct Refused {
    /// The place of its refusal among all: that of the events that share it.
    refusal: u32,
    /// Whether a refusal was of the kind that a stored sample meets which is sent again.
    like_stored: bool,
    /// Whether one of that kind was of a sample that an earlier request may have stored.
    in_doubt: bool,
}

// === impl Delivery ===

impl<'d, 'a, T: Transport> Delivery<'d, 'a, T> {
    pub(super) fn new(
        client: &'d RemoteWriteClient<T>,
        merged: &'d SampleTable<'a>,
        request_id: &'d str,
        until: Instant,
    ) -> Self {
        Self {
            request_id,
            client,
            merged,
            backoff: Backoff::default(),
            until,
            rows: vec![SampleState::default(); merged.rows().len()],
            refusals: Vec::new(),
            refused: BTreeMap::new(),
            requests: 0,
            retries: 0,
            bytes: 0,
            logged: 0,
            exhausted: false,
            reloaded: false,
            encoding: Duration::ZERO,
            failure: None,
        }
    }

    /// Sends `requests` one after another, each encoded when its turn has come; those that cannot be answered in time are
    /// not begun.
    pub(super) async fn send_all(&mut self, mut requests: Requests<'_, 'a>) {
        while self.may_send() {
            let started = Instant::now();
            // Pure: should it ever panic, what is not sent is tried again.
            let encoded = catch_unwind(AssertUnwindSafe(|| requests.next()));
            self.encoding += started.elapsed();
            let Ok(Some(request)) = encoded else {
                if encoded.is_err() {
                    self.failure.get_or_insert_with(|| DEFECT.to_owned());
                }
                return;
            };
            if !self.would_overtake(&request) {
                self.send_request(&request).await;
            }
        }
    }

    async fn send_request(&mut self, request: &EncodedRequest) {
        let rows: Vec<usize> = request.rows.clone().collect();
        let Some(answer) = self.send(&request.body, &rows).await else { return };
        match finding(&answer, None) {
            Finding::Written => self.written(&rows),
            Finding::Failed => self.failed(&answer),
            _ => self.search(request, answer).await,
        }
    }

    /// Whether there is time and number for another request; says so where there is not.
    fn may_send(&mut self) -> bool {
        let Some(what) = self.out_of(Duration::ZERO) else { return true };
        self.failure.get_or_insert_with(|| format!("the invocation ran out of {what} before all was sent"));
        false
    }

    /// What is used up for a request that would begin after `wait`.
    fn out_of(&self, wait: Duration) -> Option<&'static str> {
        if Instant::now() + wait + SHORTEST_TRY >= self.until {
            return Some("time");
        }
        (self.requests >= MAX_REQUESTS).then_some("requests")
    }

    /// Whether it holds later samples of a series whose earlier ones are not stored: those would then be out of order
    /// for ever.
    fn would_overtake(&self, request: &EncodedRequest) -> bool {
        let rows = self.merged.rows();
        let series = rows[request.rows.start].series;
        let earlier = (0..request.rows.start).rev().take_while(|&row| rows[row].series == series);
        earlier.into_iter().any(|row| self.rows[row].is_pending())
    }

    /// Finds out which events of a refused request are refused, and stores the others.
    async fn search(&mut self, request: &EncodedRequest, first: Answered) {
        let events = Events::of(self.merged.rows(), request.rows.clone());
        let mut search = Bisection::new(events.numbers());
        let mut first = Some(first);
        while let Some(part) = search.part().map(<[u32]>::to_vec) {
            let rows = events.rows_of(&part, |row| self.rows[row].is_pending());
            let answer = match first.take() {
                Some(answer) => Some(answer),
                None if rows.is_empty() => {
                    search.answer(Finding::Written);
                    continue;
                }
                None => self.send_selection(&rows).await,
            };
            let Some(answer) = answer else { return };
            let named = self.named(&answer, &rows);
            let suspect = named.first().and_then(|&row| events.place_of(self.merged.rows()[row].event, &part));
            let finding = finding(&answer, suspect);
            if finding == Finding::Written {
                self.written(&rows);
            }
            match search.answer(finding) {
                Step::Settled(_) if finding == Finding::Written => {}
                Step::Settled(_) if finding == Finding::Failed => {
                    self.failed(&answer);
                    // What overtook it would put it out of order for ever, as with whole requests.
                    search.withhold(&events.behind(&part, self.merged.rows()));
                }
                Step::Settled(settled) => {
                    for number in settled {
                        search.withhold(&self.refused(&events, number, &answer, &rows, &named));
                    }
                }
                Step::Split => {}
            }
            self.doubt(&answer, &rows, &named);
        }
    }

    async fn send_selection(&mut self, rows: &[usize]) -> Option<Answered> {
        let selected: Vec<_> = rows.iter().map(|&row| self.merged.rows()[row]).collect();
        let body = encode_selection(self.merged, &selected)?;
        self.send(&body, rows).await
    }

    /// Sends one body until its answer decides something or tries, requests and time are used up; `None` where it was not
    /// begun. All answers but the last leave their doubts; that of the last is the caller's to tell.
    async fn send(&mut self, body: &Bytes, rows: &[usize]) -> Option<Answered> {
        if !self.may_send() {
            return None;
        }
        let mut tries = 0;
        loop {
            let timeout = self.until.saturating_duration_since(Instant::now()).min(LONGEST_TRY);
            let answer = self.client.send(body.clone(), timeout).await;
            tries += 1;
            if !matches!(answer, Err(TransportError::Credentials(_))) {
                self.requests += 1;
                self.retries += u64::from(tries > 1);
                self.bytes += body.len() as u64;
            }
            match self.wait_before_next(&answer, tries) {
                None => return Some(answer),
                Some(wait) => {
                    self.log(&answer);
                    self.doubt(&answer, rows, &self.named(&answer, rows));
                    if matches!(Disposition::of(&answer, SystemTime::now()), Disposition::Unauthorized) {
                        self.client.forget_credentials().await;
                    }
                    tokio::time::sleep(wait).await;
                    if self.out_of(Duration::ZERO).is_some() {
                        return Some(answer);
                    }
                }
            }
        }
    }

    /// How long to wait before the same is sent again; `None` where this answer is the last.
    fn wait_before_next(&mut self, answer: &Answered, tries: u32) -> Option<Duration> {
        let wait = match Disposition::of(answer, SystemTime::now()) {
            Disposition::Unauthorized if !self.reloaded => {
                self.reloaded = true;
                Duration::ZERO
            }
            Disposition::Recoverable { .. } if self.exhausted => return None,
            Disposition::Recoverable { at_once: true, .. } if tries == 1 => Duration::ZERO,
            Disposition::Recoverable { retry_after, .. } => {
                let wait = self.backoff.wait(tries, fastrand::f64()).map(|wait| retry_after.unwrap_or(wait));
                let in_time = wait.filter(|wait| self.out_of(*wait).is_none());
                self.exhausted = in_time.is_none();
                in_time?
            }
            _ => return None,
        };
        self.out_of(wait).is_none().then_some(wait)
    }

    /// The rows of the sample that the words of an answer name, in ascending order.
    fn named(&self, answer: &Answered, rows: &[usize]) -> Vec<usize> {
        let Some(named) = answer.as_ref().ok().and_then(|answer| Named::find(&error_text::of(answer))) else {
            return Vec::new();
        };
        let all = self.merged.rows();
        let mut last = None;
        let mut of_series = |series| {
            if let Some((known, is_it)) = last
                && known == series
            {
                return is_it;
            }
            let (name, labels) = self.merged.series(series);
            let is_it = named.is_series(name.as_str(), labels);
            last = Some((series, is_it));
            is_it
        };
        let mut found: Vec<usize> = rows.iter().copied().filter(|&row| of_series(all[row].series)).collect();
        if let Some(time) = named.timestamp {
            found.retain(|&row| all[row].timestamp == time);
        }
        // Words without a time that fit several samples name none of them.
        let one_sample = found.windows(2).all(|pair| all[pair[0]].is_same_sample(&all[pair[1]]));
        if one_sample { found } else { Vec::new() }
    }

    fn written(&mut self, rows: &[usize]) {
        let all = self.merged.rows();
        for row in and_equal(all, rows) {
            self.rows[row].set_written();
        }
    }

    /// One event was alone in a request that was refused or too large. Gives the events that need not be asked about any more,
    /// or must not.
    fn refused(
        &mut self,
        events: &Events,
        number: u32,
        answer: &Answered,
        rows: &[usize],
        named: &[usize],
    ) -> HashSet<u32> {
        let Ok(received) = answer else { return HashSet::new() };
        let (status, text) = (received.status, error_text::of(received));
        let all = self.merged.rows();
        // The sample that is refused, as far as that is known.
        let sample = if named.is_empty() && rows.len() == 1 { rows } else { named };
        if status != 413 && names_a_limit(&text) {
            self.failed(answer);
            if sample.is_empty() {
                return HashSet::new();
            }
            // A limit that grows meanwhile lets no later sample of a series overtake one that was over it.
            return events.only_of(&sample.iter().map(|&row| all[row].series).collect(), number, all);
        }
        self.log(answer);
        // Equal samples of other events are refused with it.
        let equal = sample.first().map_or(0..0, |&row| same_sample(all, row));
        let in_doubt = |row: usize| self.rows[row].is_in_doubt();
        let in_doubt = if sample.is_empty() { rows.iter().copied().any(in_doubt) } else { equal.clone().any(in_doubt) };
        let reason = if status == 413 { Reason::TooLarge } else { reason(&text) };
        let refusal = u32::try_from(self.refusals.len()).unwrap_or(u32::MAX);
        self.refusals.push(Rejection::new(reason, in_words(answer)));
        for row in rows.iter().copied().chain(equal.clone()) {
            self.rows[row].set_refused();
            self.refuse(all[row].event, refusal, in_doubt);
        }
        let others = all[equal].iter().map(|row| row.event).filter(|&event| event != all[rows[0]].event);
        events.without(others, |row| self.rows[row].is_pending())
    }

    /// Notes a refusal. Of two, one that is not for lateness stays, which no setting drops.
    fn refuse(&mut self, event: ItemId, refusal: u32, in_doubt: bool) {
        let reason = |refusal: u32| self.refusals[refusal as usize].reason;
        let like_stored = matches!(reason(refusal), Reason::OutOfOrder | Reason::TooOld | Reason::DuplicateTimestamp);
        let refused = self.refused.entry(event).or_insert(Refused { refusal, like_stored: false, in_doubt: false });
        refused.like_stored |= like_stored;
        refused.in_doubt |= like_stored && in_doubt;
        if reason(refused.refusal).is_late() && !reason(refusal).is_late() {
            refused.refusal = refusal;
        }
    }

    fn failed(&mut self, answer: &Answered) {
        self.log(answer);
        self.failure.get_or_insert_with(|| in_words(answer));
    }

    /// Notes which rows an answer leaves in doubt: all but the sample that it names as refused.
    fn doubt(&mut self, answer: &Answered, rows: &[usize], named: &[usize]) {
        if leaves_in_doubt(answer) {
            let others: Vec<_> = rows.iter().copied().filter(|row| named.binary_search(row).is_err()).collect();
            for row in and_equal(self.merged.rows(), &others) {
                self.rows[row].set_in_doubt();
            }
        }
    }

    fn log(&mut self, answer: &Answered) {
        self.logged += 1;
        if self.logged <= MAX_LOGGED {
            tracing::warn!(request_id = self.request_id, answer = in_words(answer), "request failed");
        }
    }
}

/// What an answer says of a part, and of a suspect in it.
fn finding(answer: &Answered, suspect: Option<usize>) -> Finding {
    match Disposition::of(answer, SystemTime::now()) {
        Disposition::Written => Finding::Written,
        Disposition::TooLarge => Finding::TooLarge,
        Disposition::Refused => Finding::Refused { suspect },
        _ => Finding::Failed,
    }
}

/// `rows`, which are in order, and those of other events with equal samples.
fn and_equal(all: &[Sample], rows: &[usize]) -> impl Iterator<Item = usize> {
    let of_samples = rows.chunk_by(|&a, &b| all[a].is_same_sample(&all[b]));
    of_samples.flat_map(|rows| same_sample(all, rows[0]))
}

/// The rows of the sample in `row`: they stand side by side, in the order of the payload.
fn same_sample(all: &[Sample], row: usize) -> Range<usize> {
    let is_other = |other: &Sample| !other.is_same_sample(&all[row]);
    let start = all[..row].iter().rposition(is_other).map_or(0, |before| before + 1);
    let end = all[row..].iter().position(is_other).map_or(all.len(), |after| row + after);
    start..end
}

#[cfg(test)]
mod tests;
