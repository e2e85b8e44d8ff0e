//! `pushgw check`: what would be sent, or why not. Nothing is sent.

mod shown;

use super::connect::{self, Overrides};
use super::fault::{Fault, Verdict};
use super::split::{self, Part};
use super::view;
use amp_push_gateway::config;
use amp_push_gateway::event::{EventTimes, ParsedEvent, Rules, read_message};
use amp_push_gateway::local::wall_clock;
use amp_push_gateway::model::{Reason, Rejection};
use shown::Shown;
use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Show for each event the series, typed values and time that would be sent, or why it is refused. Nothing is sent.
///
/// A file holds one message as a trigger would hand it over (an event, an array of events, Records of SQS or SNS, or one
/// of these wrapped or in base64), or JSON lines: one message a line. Settings that decide what is accepted come from
/// the environment as for the Lambda function: MAX_SAMPLE_AGE (default 1h), MAX_SAMPLE_LEAD (10s), EXTERNAL_LABELS.
/// What only the receiver knows, such as samples out of order, is not checked.
///
/// Exit code 1 where any event is refused, 2 where a file cannot be read.
#[derive(clap::Args, Debug)]
#[expect(clippy::doc_markdown, reason = "this is the help text, which knows no markup")]
pub(crate) struct Arguments {
    /// The files; - is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Do not judge how old or how far ahead timestamps are.
    #[arg(long)]
    any_age: bool,
    /// Print one JSON object for each event.
    #[arg(long)]
    json: bool,
}

/// What was found so far.
#[derive(Default)]
struct Totals {
    good: u64,
    refused: u64,
    samples: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict, Fault> {
    let clock = EventTimes { now: wall_clock(), sent: None };
    let rules = rules(arguments.any_age)?;
    let mut out = view::out();
    let mut totals = Totals::default();
    let mut unreadable = None;
    for path in &arguments.files {
        match connect::read(path) {
            Ok(bytes) => {
                let checked = check(path, &bytes, &clock, &rules, arguments.json, &mut totals, &mut out);
                if is_unheard(checked)? {
                    return Ok(totals.verdict());
                }
            }
            Err(fault) => {
                view::error(&fault.to_string());
                unreadable = Some(fault);
            }
        }
    }
    if !arguments.json {
        is_unheard(writeln!(out, "{totals}"))?;
    }
    is_unheard(out.flush())?;
    match unreadable {
        Some(_) => Err(Fault::Usage("not all files could be read".to_owned())),
        None => Ok(totals.verdict()),
    }
}

/// The rules that the settings make. Where to write is of no interest, and need not be set.
fn rules(any_age: bool) -> Result<Rules, Fault> {
    let vars = Overrides::default()
        .set(config::ENV_REMOTE_WRITE_URL, "http://localhost/")
        .set(config::ENV_REMOTE_WRITE_AUTH, "none")
        .without(&[config::ENV_DEAD_LETTER_QUEUE_URL, config::ENV_LATE_SAMPLES, config::ENV_RUST_LOG]);
    let mut rules = vars.settings()?.rules().clone();
    if any_age {
        (rules.max_sample_age_ms, rules.max_sample_lead_ms) = (i64::MAX, i64::MAX);
    }
    Ok(rules)
}

fn check(
    path: &Path,
    bytes: &[u8],
    clock: &EventTimes,
    rules: &Rules,
    json: bool,
    totals: &mut Totals,
    out: &mut impl Write,
) -> io::Result<()> {
    if !json {
        writeln!(out, "{}", view::Styled(view::HEADING, path.display()))?;
    }
    let mut written = Ok(());
    for Part { line, bytes } in split::parts(bytes) {
        let mut index = 0;
        let mut show = |found: ParsedEvent<'_>| {
            totals.count(&found);
            let shown = Shown { path, line, index, clock, found: &found };
            if written.is_ok() {
                written = if json { writeln!(out, "{}", shown.json()) } else { writeln!(out, "{shown}") };
            }
            index += 1;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                read_message(text, clock, rules, &mut show);
            }
            Err(error) => {
                let detail = format!("byte {} is not UTF-8", error.valid_up_to());
                let refusal = Rejection::new(Reason::InvalidJson, detail);
                show(ParsedEvent { text: Cow::Borrowed(""), sent: None, event: Err(refusal) });
            }
        }
    }
    written
}

/// Whether the reader of the output went away, which ends the work and is no fault.
fn is_unheard(written: io::Result<()>) -> Result<bool, Fault> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(Fault::Failed(format!("standard output: {error}"))),
    }
}

// === impl Totals ===

impl Totals {
    fn count(&mut self, found: &ParsedEvent<'_>) {
        match &found.event {
            Ok(event) => {
                self.good += 1;
                self.samples += event.metrics.len() as u64;
            }
            Err(_) => self.refused += 1,
        }
    }

    fn verdict(&self) -> Verdict {
        if self.refused == 0 { Verdict::Good } else { Verdict::Bad }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sent =
            format!("{} would be sent ({})", view::count(self.good, "event"), view::count(self.samples, "sample"));
        match self.verdict() {
            Verdict::Good => write!(f, "{} {sent}, none refused", view::Styled(view::GOOD, "ok:")),
            Verdict::Bad => write!(f, "{} {sent}, {} refused", view::Styled(view::BAD, "refused:"), self.refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::model::Timestamp;

    const CLOCK: EventTimes = EventTimes { now: Timestamp(1_676_398_017_000), sent: None };

    fn checked(text: &[u8], json: bool) -> (Totals, String) {
        let (mut totals, mut out) = (Totals::default(), Vec::new());
        check(Path::new("e.json"), text, &CLOCK, &Rules::default(), json, &mut totals, &mut out).unwrap();
        (totals, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_good_event_is_shown_with_series_types_and_time() {
        let event = br#"{"dimensions":{"customerId":"c1"},"timestamp":1676398017000,"metrics":{"t":"14.3","n":12}}"#;
        let (totals, shown) = checked(event, false);
        assert_eq!((totals.good, totals.refused, totals.samples), (1, 0, 2));
        for part in ["2023-02-14T18:06:57.000Z", "t{customerId=\"c1\"}", "14.3", "float", "12", "integer"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn a_refused_event_is_shown_with_its_line_reason_and_place() {
        let (totals, shown) = checked(b"{\"metrics\":{\"a\":1}}\n{\"metrics\":{\"ph\":\"abc\"}}\n", false);
        assert_eq!((totals.good, totals.refused), (1, 1));
        assert!(shown.contains("line 2") && shown.contains("invalid_value") && shown.contains("metrics.ph"), "{shown}");
    }

    #[test]
    fn json_is_one_object_for_each_event() {
        let (_, shown) = checked(b"[{\"metrics\":{\"a\":9007199254740993}},{}]", true);
        let lines: Vec<serde_json::Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["samples"][0]["value"], "9007199254740993");
        assert_eq!(lines[0]["samples"][0]["sent_as"], "9007199254740992");
        assert_eq!((lines[1]["index"].as_u64(), lines[1]["reason"].as_str()), (Some(1), Some("invalid_event")));
    }

    #[test]
    fn what_is_not_utf_8_is_refused_and_not_guessed() {
        let (totals, shown) = checked(b"{\"metrics\":{\"\xff\":1}}", false);
        assert!(totals.refused == 1 && shown.contains("invalid_json"), "{shown}");
    }
}
