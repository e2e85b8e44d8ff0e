//! `pushgw state delete`: shows what a selector finds, asks, and deletes it.

use super::place::Place;
use super::{Kinds, note_hint, selection, table};
use crate::exit::CommandError;
use crate::view::{self, Styled};
use amp_push_gateway::wire::read::Selection;
use serde_json::json;
use std::io::{self, BufRead as _};
use std::process::ExitCode;

/// Delete the typed series and groups that a selector finds. It shows them first, and asks.
///
/// The next tick ends each series with a stale marker. If a tick runs at the same time, it loses nothing. If an event
/// of a deleted typed series comes later, or waits for the next tick, the series begins again at zero. A group is
/// deleted as by DELETE.
///
/// Needs dynamodb:GetItem, dynamodb:Query and dynamodb:PutItem on the table. Exit code 0 also if nothing is found, 1
/// if you answer no.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Delete what this selector finds.
    #[arg(value_parser = selection)]
    selector: Selection,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    kinds: Kinds,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object.
    #[arg(long, requires = "yes")]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let opened = arguments.place.open()?;
    let mut kept = opened.list(Some(&arguments.selector)).await?;
    arguments.kinds.keep(&mut kept);
    let (series, groups) = (kept.series.len(), kept.groups.len());
    let is_empty = series == 0 && groups == 0;
    if !arguments.json {
        if is_empty {
            view::line("nothing is deleted: the selector takes no typed series and no group");
            note_hint(kept.hint.as_ref());
            return Ok(ExitCode::SUCCESS);
        }
        view::line(&table::kept_text(&kept, series > 0, groups > 0));
        if !arguments.yes && !is_sure(&table::sizes(series, groups)) {
            view::note("nothing is deleted; --yes deletes without asking");
            return Ok(ExitCode::FAILURE);
        }
    }
    let deleted = opened.delete(&kept).await?;
    if arguments.json {
        let mut shown = table::kept_json(&kept);
        shown["deleted"] = json!({"typed": deleted.series, "groups": deleted.groups});
        view::line(&shown.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let sizes = table::sizes(deleted.series, deleted.groups);
    view::line(&format!("{} {sizes}; the next tick ends their series", Styled(view::GOOD, "deleted:")));
    Ok(ExitCode::SUCCESS)
}

/// Asks on standard error, and reads a line of standard input. No line is no.
fn is_sure(sizes: &str) -> bool {
    view::note(&format!("{} delete {sizes}? [y/N]", Styled(view::WARNING, "sure?")));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
