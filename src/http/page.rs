//! `GET /`: the page. It is HTML that is readable without a script, and loads nothing else.
//!
//! * Every text of a sender goes through [`html::push_text`]. No text of a sender is in the style, in the script, or in the
//!   name of an attribute.
//! * The header `Content-Security-Policy` allows the one style and the one script, each by its hash, and requests to the
//!   door only.
//! * The size of the page is limited: it shows the first groups, the first series of a family, and how many more there are.

#[cfg(feature = "cli")]
mod beside;
mod groups;
mod html;
mod last_tick;
mod typed;

#[cfg(feature = "cli")]
pub use beside::{
    Beside, MAX_CHART_SAMPLES, MAX_CHARTS, MAX_LETTERS, ShownLetter, ShownLetters, ShownSeries, ShownWorkspace,
};

use super::door::{Answered, Call, Door};
use super::time_text::{duration_text, utc};
use super::{Request, Response, accept};
use crate::aggregate::head::LastTick;
use crate::gateway::{GroupsError, Listing, TypedError, TypedSeries};
use crate::model::Timestamp;
use crate::push_group::Group;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use html::push_text;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The bytes of a page. Lambda takes 6 MB as JSON and base64, and an Application Load Balancer 1 MB: HTML shrinks to a tenth or less.
const MAX_COMPRESSED_PAGE: usize = 4 << 20;
const MAX_PLAIN_PAGE: usize = 400_000;

/// The groups, as the table gave them.
pub(super) enum Groups<'g> {
    /// There is no table.
    None,
    Failed(&'g GroupsError),
    Listed(&'g Listing),
}

/// The typed series of the table; `None` if there is no table.
type Typed = Result<Option<TypedSeries>, TypedError>;

/// The last tick of the table; `None` if there was none.
type Last = Result<Option<LastTick>, TypedError>;

/// The facts that the page shows beside the groups.
pub(super) struct Facts {
    pub(super) now: Timestamp,
    pub(super) started: Timestamp,
    pub(super) max_bytes: usize,
}

pub(super) async fn show<T, D>(door: &Door<T, D>, request: &Request<'_>, call: Call<'_>) -> Answered {
    let listed = match door.gateway.groups() {
        None => None,
        Some(groups) => Some(groups.list(call.deadline).await),
    };
    let groups = match &listed {
        None => Groups::None,
        Some(Err(error)) => Groups::Failed(error),
        Some(Ok(listing)) => Groups::Listed(listing),
    };
    let is_compressed = accept::takes_gzip(request.list("accept-encoding").as_deref());
    let max_bytes = if is_compressed { MAX_COMPRESSED_PAGE } else { MAX_PLAIN_PAGE };
    let facts = Facts { now: call.started, started: door.started, max_bytes };
    let typed = match &listed {
        Some(Ok(_)) => door.gateway.typed(call.started, call.deadline).await,
        // The page says already that there is no table, or that it cannot be read.
        _ => Ok(None),
    };
    let last = match &listed {
        Some(Ok(_)) => door.gateway.last_tick(call.deadline).await,
        _ => Ok(None),
    };
    let mut page = page(&groups, &typed, &last, &facts);
    #[cfg(feature = "cli")]
    if let Some(beside) = &door.beside {
        beside.workspace().iter().for_each(|workspace| beside::push_workspace(&mut page, workspace));
        beside.dead_letters().iter().for_each(|letters| beside::push_dead_letters(&mut page, letters));
    }
    push_end(&mut page);
    let answer = Response::of_bytes(200, "text/html; charset=utf-8", page.into_bytes());
    answer
        .with("content-security-policy", policy())
        .with("referrer-policy", "no-referrer")
        .compressed_for(request)
        .into()
}

/// Returns the policy of the page. A style or a script that is not ours has another hash.
fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// Returns the page up to the end of its sections.
pub(super) fn page(groups: &Groups<'_>, typed: &Typed, last: &Last, facts: &Facts) -> String {
    let Facts { now, started, .. } = *facts;
    let mut out = String::with_capacity(32 << 10);
    out.push_str("<!doctype html><html lang=en><head><meta charset=utf-8>");
    out.push_str("<meta name=viewport content=\"width=device-width,initial-scale=1\">");
    out.push_str(
        "<meta name=color-scheme content=\"light dark\"><title>amp-push-gateway</title><link rel=icon href=\"data:,\">",
    );
    out.push_str("<style>");
    out.push_str(STYLE);
    out.push_str("</style></head><body><header><h1>amp-push-gateway</h1><p class=quiet>");
    push_text(&mut out, concat!("version ", env!("CARGO_PKG_VERSION"), " · up "));
    push_text(&mut out, &duration_text(now.since(started)));
    out.push_str(" · ");
    push_text(&mut out, &utc(now));
    out.push_str("</p></header><main>");
    match groups {
        Groups::None => out.push_str(
            "<section class=note><h2>No table</h2><p>Pushed metrics are written to the workspace at once and not kept. Set \
             <code>STATE_TABLE</code> to keep groups, as Pushgateway does.</p></section>",
        ),
        Groups::Failed(error) => {
            out.push_str("<section class=\"note bad\" role=alert><h2>The table cannot be read</h2><p>");
            push_text(&mut out, &error.to_string());
            out.push_str("</p></section>");
        }
        Groups::Listed(listing) => {
            let decoded = listing.bodies.iter().filter_map(|body| Group::decode(body).ok());
            let shown: Vec<_> = decoded.filter(|group| group.is_exposed(now)).collect();
            groups::push_groups(&mut out, shown, listing, facts);
        }
    }
    match typed {
        Ok(None) => {}
        Ok(Some(typed)) => typed::push_typed(&mut out, typed, now),
        Err(error) => push_trouble(&mut out, "Typed series", error),
    }
    match last {
        Ok(last) if matches!(groups, Groups::Listed(_)) => last_tick::push_last_tick(&mut out, last.as_ref(), now),
        Ok(_) => {}
        Err(error) => push_trouble(&mut out, "Last tick", error),
    }
    out
}

fn push_trouble(out: &mut String, heading: &str, error: &TypedError) {
    out.push_str("<section class=\"note bad\" role=alert><h2>");
    out.push_str(heading);
    out.push_str("</h2><p>");
    push_text(out, &error.to_string());
    out.push_str("</p></section>");
}

/// Appends the end of the page, after the sections.
pub(super) fn push_end(out: &mut String) {
    out.push_str("</main><footer class=quiet><a href=metrics>metrics</a> <a href=api/v1/metrics>groups as JSON</a> ");
    out.push_str("<a href=api/v1/status>status</a></footer>");
    out.push_str(
        "<dialog id=sure><form method=dialog><h2>Delete this group?</h2><p id=which></p><p class=quiet>Its series end at \
         the next tick. A sender that pushes again makes a new group.</p><p class=buttons><button value=no autofocus>Keep \
         it</button> <button value=yes class=danger>Delete</button></p><p id=problem class=problem role=alert></p></form>\
         </dialog><script>",
    );
    out.push_str(SCRIPT);
    out.push_str("</script></body></html>\n");
}

/// Returns the section of the typed series alone.
#[cfg(test)]
pub(super) fn typed_section(typed: &TypedSeries, now: Timestamp) -> String {
    let mut out = String::new();
    typed::push_typed(&mut out, typed, now);
    out
}

#[cfg(test)]
mod tests;
