//! `pushgw state`: shows and deletes the typed series and groups that a table or a file keeps.

mod delete;
mod place;
mod table;

use super::exit::CommandError;
use super::view;
use amp_push_gateway::gateway::Hint;
use amp_push_gateway::wire::read::Selection;
use place::Place;
use serde_json::json;
use std::process::ExitCode;

/// Show and delete the typed series and groups in a table, or in the file of `serve`.
///
/// A selector is written as in Prometheus: http_requests_total{method="GET",path=~"/api/.*"}, with = != =~ !~. It
/// finds typed series by their names and labels. It finds groups by their grouping labels, such as {job="backup"}. A
/// group has no name, so a selector with a name finds no groups.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    List(ListArguments),
    Delete(delete::Arguments),
}

/// Show typed series with type, value, last update and expiry, and groups with their push times and expiry.
///
/// Values are those of the last tick. They do not include events that no tick has counted yet. To show when typed
/// series expire, set SERIES_TTL in the environment of this program as for the gateway.
///
/// Needs dynamodb:GetItem and dynamodb:Query on the table. Exit code 0 also if nothing is found.
#[derive(clap::Args, Debug)]
struct ListArguments {
    /// Show what this selector finds. Default: everything.
    #[arg(value_parser = selection)]
    selector: Option<Selection>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    kinds: Kinds,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct Kinds {
    /// Show or delete only typed series, or only groups.
    #[arg(long, value_name = "KIND")]
    only: Option<Kind>,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Typed,
    Groups,
}

fn selection(text: &str) -> Result<Selection, amp_push_gateway::wire::read::SelectorError> {
    Selection::parse(text)
}

impl Kinds {
    /// Removes what the arguments do not ask for.
    fn keep(&self, kept: &mut amp_push_gateway::gateway::Kept) {
        match self.only {
            Some(Kind::Typed) => kept.groups.clear(),
            Some(Kind::Groups) => kept.series.clear(),
            None => {}
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    match arguments.verb {
        Verb::List(arguments) => list(&arguments).await,
        Verb::Delete(arguments) => delete::run(&arguments).await,
    }
}

async fn list(arguments: &ListArguments) -> Result<ExitCode, CommandError> {
    let opened = arguments.place.open()?;
    let mut kept = opened.list(arguments.selector.as_ref()).await?;
    arguments.kinds.keep(&mut kept);
    if arguments.json {
        view::line(&json!(table::kept_json(&kept)).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let only = arguments.kinds.only;
    view::line(&table::kept_text(&kept, only != Some(Kind::Groups), only != Some(Kind::Typed)));
    note_hint(kept.hint.as_ref());
    if kept.unreadable > 0 {
        let groups = view::count(kept.unreadable as u64, "group");
        view::note(&format!("{groups} cannot be read; a PUT or a DELETE of the group replaces it"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what the name in a selector that finds nothing may mean.
fn note_hint(hint: Option<&Hint>) {
    match hint {
        None => {}
        Some(Hint::Family(name)) => view::note(&format!("a typed series has the name of its family: {name}")),
        Some(Hint::InGroup(labels)) => {
            let group = view::series_name(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            view::note(&format!(
                "the group {} has this metric; groups are selected by their labels",
                view::Foreign(group)
            ));
        }
    }
}
