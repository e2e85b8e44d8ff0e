//! Sends the parts of a [`Delivery`] with a [`Sender`]. Only this loop sends samples.

use super::delivery::Delivery;
use super::{Answered, Sender};
use crate::aws::Transport;
use crate::model::{DEFECT, ItemId};
use crate::series::SampleTable;
use crate::wire::{Encoder, Limits, encode, encode_selection};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::time::Instant;

/// Sends all samples of `table`, one request after another, each encoded at its turn. Requests that cannot be answered in time are not
/// begun. `messages` has the first item of each message. `answers` are the answers to one request with all samples, which `sender` has
/// sent before; the last of them settled nothing. Returns the state of each sample, and the time that encoding took.
pub async fn deliver<'t, 'a, T: Transport>(
    sender: &mut Sender<'_, T>,
    table: &'t SampleTable<'a>,
    messages: &'t [ItemId],
    limits: &Limits,
    encoder: &mut Encoder,
    answers: &[Answered],
) -> (Delivery<'t, 'a>, Duration) {
    let mut delivery = Delivery::new(table, messages);
    let mut encoding = Duration::ZERO;
    let mut requests = encode(table, limits, encoder);
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
        delivery.begin(request.samples);
        let mut whole = Some(request.body);
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
            let Some(body) = whole.take().or_else(|| selection(table, part)) else { break };
            match sender.send(&body, |answer| delivery.retrying(answer)).await {
                Ok(answer) => {
                    if delivery.answered(&answer) {
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

fn selection(table: &SampleTable<'_>, part: &[usize]) -> Option<Bytes> {
    let samples: Vec<_> = part.iter().map(|&sample| table.samples()[sample]).collect();
    encode_selection(table, &samples)
}
