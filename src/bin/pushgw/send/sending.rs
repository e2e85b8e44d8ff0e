//! Sends messages while they are read, and counts their outcomes.
//!
//! * At most one call waits in memory, however long a file or a pipe is.
//! * If sending ends early, the rest is read and counted, but not sent. After a stop signal it does not wait for a stream.

use super::feed::Feed;
use super::outcome::Outcome;
use super::packing::Packer;
use super::precheck::precheck;
use super::progress::{Kind, Progress};
use super::report::{Ended, Report};
use super::retry;
use super::target::{Numbered, Target};
use crate::exit::CommandError;
use crate::input_file::{FileMessage, Place};
use crate::stop_signal::StopSignal;
use amp_push_gateway::event::{EventTimes, Rules};
use amp_push_gateway::local::wall_clock;
use indicatif::ProgressBar;

const ASKED_TO_STOP: &str = "it was asked to stop";

pub(super) struct Sending<'a> {
    pub(super) target: &'a Target,
    /// None if nothing is checked.
    pub(super) rules: Option<&'a Rules>,
    pub(super) stop: &'a StopSignal,
    pub(super) progress: Progress,
    pub(super) report: Report,
    pub(super) bar: ProgressBar,
}

/// A message that waits for its call.
struct Waiting {
    number: u64,
    place: Place,
    text: String,
}

impl Sending<'_> {
    /// Sends all messages. Returns why not all could be read. Fails if progress cannot be saved.
    pub(super) async fn all(&mut self, mut feed: Feed) -> Result<Option<CommandError>, CommandError> {
        let mut packer = Packer::new(self.target.limits());
        let (mut unreadable, mut stopped, mut next) = (None, false, "the beginning".to_owned());
        loop {
            let bundle = tokio::select! {
                biased;
                () = self.stop.clone().asked(), if feed.is_stream => {
                    stopped = true;
                    break;
                }
                bundle = feed.next() => bundle,
            };
            match bundle {
                Some(Ok(messages)) => {
                    for message in messages {
                        next = after(&message.place);
                        self.take(message, &mut packer).await?;
                    }
                    self.progress.keep()?;
                }
                Some(Err(error)) => {
                    unreadable = Some(error);
                    break;
                }
                None => break,
            }
        }
        if self.report.ended.is_none() && !packer.call().is_empty() {
            self.send(packer.take()).await?;
        }
        let reason = unreadable.as_ref().map(ToString::to_string).or(stopped.then(|| ASKED_TO_STOP.to_owned()));
        if let Some(reason) = reason {
            self.report.ended.get_or_insert(Ended { place: next, reason });
        }
        self.bar.finish_and_clear();
        Ok(unreadable)
    }

    async fn take(&mut self, message: FileMessage, packer: &mut Packer<Waiting>) -> Result<(), CommandError> {
        let limits = self.target.limits();
        let times = EventTimes { now: wall_clock(), sent: None };
        let checked = precheck(&message, &times, self.rules, limits);
        let number = self.report.messages;
        self.report.messages += 1;
        self.report.events += checked.events;
        if self.progress.has(number) {
            self.report.before += 1;
        } else if let Some(rejection) = checked.rejection {
            self.report.refused.add(message.place, rejection);
            self.progress.settle(number, Kind::Refused);
            self.bar.inc(1);
        } else if self.report.ended.is_none()
            && let Ok(text) = message.text
        {
            let (bytes, is_alone) = (text.len(), limits.is_array && !checked.is_bare_event);
            if let Some(call) = packer.add(Waiting { number, place: message.place, text }, bytes, is_alone) {
                self.send(call).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, call: Vec<Waiting>) -> Result<(), CommandError> {
        if self.stop.is_asked() {
            let place = call.first().map_or_else(String::new, |first| first.place.to_string());
            self.report.ended = Some(Ended { place, reason: ASKED_TO_STOP.to_owned() });
            return Ok(());
        }
        let batch: Vec<_> =
            call.iter().map(|message| Numbered { number: message.number, text: &message.text }).collect();
        let outcomes = retry::send(self.target, &batch, self.stop).await;
        for (Waiting { number, place, .. }, outcome) in call.iter().zip(outcomes) {
            match outcome {
                Outcome::Sent | Outcome::Stored => self.progress.settle(*number, Kind::Sent),
                Outcome::Rejected { reason, detail } => {
                    self.report.rejected.add(place, format_args!("{reason}: {detail}"));
                    self.progress.settle(*number, Kind::Rejected);
                }
                Outcome::Failed(error_text) => {
                    self.report.failed.add(place, error_text);
                    self.progress.settle(*number, Kind::Failed);
                }
                Outcome::Unsent { error_text, .. } => {
                    let first = || Ended { place: place.to_string(), reason: error_text };
                    self.report.ended.get_or_insert_with(first);
                }
            }
        }
        self.progress.keep()?;
        self.bar.inc(call.len() as u64);
        Ok(())
    }
}

/// Returns where the next message would be.
fn after(place: &Place) -> String {
    let next = place.line.map(|line| line + 1);
    Place { line: next, ..place.clone() }.to_string()
}
