//! Sends the parts of a [`Delivery`] with a [`Sender`]. Only this loop sends samples.

use super::delivery::Delivery;
use super::{Answered, Disposition, Sender, asks_for_version_1};
use crate::aws::Transport;
use crate::limits::MIN_SPLIT_BYTES;
use crate::model::{DEFECT, ItemId};
use crate::series::{Sample, SampleTable};
use crate::wire::{Encoder, Exemplars, Families, Form, Limits, Version, encode, encode_selection};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::time::Instant;

/// How samples are sent.
#[derive(Debug)]
pub struct Manner<'m> {
    pub limits: &'m Limits,
    pub encoder: &'m mut Encoder,
    /// The metadata that requests of 2.0 have.
    pub families: &'m dyn Families,
    pub origin: Origin<'m>,
    /// The answers to one request with all samples, which was sent before; the last of them settled nothing.
    pub answers: &'m [Answered],
}

/// The origin of samples. It changes requests of 2.0 only.
#[derive(Clone, Copy, Default, Debug)]
pub enum Origin<'m> {
    /// Items that need an outcome each. The bisection finds the samples that the receiver refuses, and sends the others again.
    #[default]
    Items,
    /// A sender of remote write. It gets what the receiver answers, and decides itself what it sends again:
    ///
    /// * A refused request is not sent again. The receiver has written what it takes, and counts it.
    /// * A request that is too large is split, unless it is short.
    /// * A request that the receiver cannot store now is not sent again.
    /// * Each sample has a message of its own, as senders send them, and exemplars stay.
    Sender(&'m Exemplars<'m>),
}

/// Sends all samples of `table`, one request after another, each encoded at its turn. Requests that cannot be answered in time are not
/// begun. `messages` has the first item of each message. Returns the state of each sample, and the time that encoding took.
///
/// If the receiver takes no 2.0, the request that told so is sent again as 1.0, and so are all later ones.
pub async fn deliver<'t, 'a, T: Transport>(
    sender: &mut Sender<'_, T>,
    table: &'t SampleTable<'a>,
    messages: &'t [ItemId],
    manner: Manner<'_>,
) -> (Delivery<'t, 'a>, Duration) {
    let Manner { limits, encoder, families, origin, answers } = manner;
    let mut delivery = Delivery::new(table, messages);
    let mut encoding = Duration::ZERO;
    let relayed = match origin {
        Origin::Items => None,
        Origin::Sender(exemplars) => Some(exemplars),
    };
    let form = |version| match version {
        Version::V1 => Form::V1,
        Version::V2 => Form::V2 { families, relayed },
    };
    let mut requests = encode(table, limits, form(sender.version()), encoder);
    loop {
        if let Err(out_of) = sender.may_send() {
            delivery.run_out(out_of);
            break;
        }
        let before = Instant::now();
        // A panic would be a defect of ours: what is not sent yet stays errored.
        let next = catch_unwind(AssertUnwindSafe(|| requests.next()));
        encoding += before.elapsed();
        let request = match next {
            Ok(Some(request)) => request,
            Ok(None) => break,
            Err(_) => {
                delivery.fail(DEFECT.to_owned());
                break;
            }
        };
        let is_all = request.samples == (0..table.samples().len());
        let first = request.samples.start;
        delivery.begin(request.samples);
        let mut whole = Some((request.body, request.version));
        if is_all && let Some((last, earlier)) = answers.split_last() {
            for answer in earlier {
                delivery.retrying(answer);
            }
            if delivery.answered(last) {
                sender.log(last);
            }
            whole = None;
        }
        while let Some(part) = delivery.next_part() {
            let is_whole = whole.is_some();
            let of_part = || {
                let version = sender.version();
                Some((selection(table, part, form(version))?, version))
            };
            let Some((body, version)) = whole.take().or_else(of_part) else { break };
            match sender.send(&body, version, |answer| delivery.retrying(answer)).await {
                Ok(answer) if version == Version::V2 && asks_for_version_1(&answer) => {
                    // Nothing is stored: the same samples are next.
                    if is_whole {
                        requests.fall_back(first);
                        break;
                    }
                }
                Ok(answer) => {
                    let settles = if version == Version::V2 && ends_with(&answer, origin, &body) {
                        delivery.refused_as_counted(&answer);
                        true
                    } else {
                        if version == Version::V2 {
                            sender.check_counts(&answer, delivery.counts_of_part());
                        }
                        delivery.answered(&answer)
                    };
                    if settles {
                        sender.log(&answer);
                    }
                }
                Err(out_of) => {
                    delivery.run_out(out_of);
                    break;
                }
            }
        }
    }
    (delivery, encoding)
}

/// Reports whether this answer to a request of 2.0 is the last one about its samples.
fn ends_with(answer: &Answered, origin: Origin<'_>, body: &Bytes) -> bool {
    matches!(origin, Origin::Sender(_))
        && match Disposition::of(answer) {
            Disposition::Refused => true,
            Disposition::TooLarge => body.len() < MIN_SPLIT_BYTES,
            _ => false,
        }
}

fn selection(table: &SampleTable<'_>, part: &[usize], form: Form<'_>) -> Option<Bytes> {
    let samples: Vec<Sample> = part.iter().map(|&sample| table.samples()[sample]).collect();
    encode_selection(table, &samples, form)
}
