//! `GET /metrics`: everything that groups expose now, and the typed series of the last ticks, for a scrape.

use super::door::{Answered, Call};
use super::{Request, Response, accept};
use crate::exposition::{render_protobuf, render_text};
use crate::gateway::{Gateway, TooManySamples};
use crate::limits::{MAX_EXPOSED_BYTES, MAX_LISTED_GROUP_BYTES};
use crate::model::LabelSet;
use crate::push_group::{Group, exposed};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The sentence of routes that show groups.
const NEEDS_TABLE: &str = "nothing is exposed here: without STATE_TABLE each push is written once, and not kept";

pub(super) async fn scrape<T, D>(gateway: &Gateway<T, D>, request: &Request<'_>, call: Call<'_>) -> Answered {
    let Some(groups) = gateway.groups() else { return Response::text(404, NEEDS_TABLE).into() };
    let listing = match groups.list(call.deadline).await {
        Ok(listing) => listing,
        Err(error) => return Response::unavailable(error.to_string(), None).into(),
    };
    if listing.left_out > 0 {
        return too_large(&format!("all groups take more than {MAX_LISTED_GROUP_BYTES} bytes")).into();
    }
    let typed = match gateway.typed(call.started, call.deadline).await {
        Ok(Some(typed)) if typed.left_out() > 0 => {
            return Response::unavailable(TooManySamples.to_string(), None).into();
        }
        Ok(Some(typed)) => typed,
        Ok(None) => return Response::text(404, NEEDS_TABLE).into(),
        Err(error) => return Response::unavailable(error.to_string(), None).into(),
    };
    let external = gateway.external_labels();
    let Some(groups) = decoded(&listing.bodies, external) else {
        return too_large(&format!("the series of all groups take more than {MAX_EXPOSED_BYTES} bytes")).into();
    };
    let families = match typed.families(exposed(&groups, external, call.started).families) {
        Ok(families) => families,
        Err(error) => return Response::unavailable(error.to_string(), None).into(),
    };
    let wants_protobuf = accept::wants_protobuf(request.list("accept").as_deref());
    let (media_type, body) =
        if wants_protobuf { (PROTOBUF, render_protobuf(families)) } else { (TEXT, render_text(families).into_bytes()) };
    Response::of_bytes(200, media_type, body).compressed_for(request).into()
}

/// Answers instead of a scrape that is too long.
pub(super) fn too_large(sentence: &str) -> Response {
    Response::unavailable(format!("{sentence}, which is too much for one scrape; the tick writes them all"), None)
}

/// Returns the groups, or `None` if their series with all labels take too much memory.
fn decoded<'b>(bodies: &'b [Vec<u8>], external: &LabelSet<'_>) -> Option<Vec<Group<'b>>> {
    let mut bytes_left = MAX_EXPOSED_BYTES;
    let mut groups = Vec::new();
    for group in bodies.iter().filter_map(|body| Group::decode(body).ok()) {
        bytes_left = bytes_left.checked_sub(group.exposed_bytes(external))?;
        groups.push(group);
    }
    Some(groups)
}

#[cfg(test)]
mod tests;
