//! `pushgw check`: shows what the gateway would send, or why it would reject an event. Nothing is sent.

mod event_view;

use super::environment::Overrides;
use super::exit::CommandError;
use super::input_file::{FileMessage, InputFile};
use super::view;
use amp_push_gateway::event::{Event, EventTimes, ParsedEvent, Rules, read_message};
use amp_push_gateway::lambda::read_messages;
use amp_push_gateway::local::wall_clock;
use event_view::EventView;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Show the series, typed values and time of each event, or why the gateway would reject it. Nothing is sent.
///
/// A file has one message, or JSON lines: one message a line. A message is an event, an array of events, Records of
/// SQS or SNS, or one of these wrapped or in base64. A file of JSON lines may have any number of lines of at most 8
/// MiB. Another file may have at most 256 MiB.
///
/// The rules come from the environment as for the Lambda function: MAX_SAMPLE_AGE (default 1h), MAX_SAMPLE_LEAD
/// (10s), EXTERNAL_LABELS. Only the receiver can check some rules, such as samples out of order. `check` accepts
/// typed metrics, as a gateway with a table does.
///
/// Exit code 1 if any event is rejected, 2 if a file cannot be read.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The files; - is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Accept timestamps of any age.
    #[arg(long)]
    any_age: bool,
    /// Print one JSON object for each event.
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Totals {
    good: u64,
    rejected: u64,
    samples: u64,
    typed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let times = EventTimes { now: wall_clock(), sent: None };
    let mut rules = Overrides::default().rules()?;
    if arguments.any_age {
        (rules.max_sample_age_ms, rules.max_sample_lead_ms) = (i64::MAX, i64::MAX);
    }
    let mut out = view::out();
    let mut totals = Totals::default();
    let mut all_readable = true;
    for file in arguments.files.iter().map(|path| InputFile::at(path)) {
        match check(&file, &times, &rules, arguments.json, &mut totals, &mut out) {
            Ok(written) => {
                if is_unheard(written)? {
                    return Ok(totals.status());
                }
            }
            Err(error) => {
                view::error(&error.to_string());
                all_readable = false;
            }
        }
    }
    if !arguments.json {
        is_unheard(writeln!(out, "{}", view::shown(&totals.to_string())))?;
    }
    is_unheard(out.flush())?;
    if all_readable { Ok(totals.status()) } else { Err(CommandError::usage("not all files could be read")) }
}

/// Fails if the file cannot be read. Returns whether the output could be written.
fn check(
    file: &InputFile,
    times: &EventTimes,
    rules: &Rules,
    json: bool,
    totals: &mut Totals,
    out: &mut impl Write,
) -> Result<io::Result<()>, CommandError> {
    let mut messages = file.messages()?;
    let mut written = Ok(());
    if !json {
        written =
            writeln!(out, "{}", view::shown(&view::Styled(view::HEADING, view::Foreign(file.name())).to_string()));
    }
    while written.is_ok()
        && let Some(FileMessage { place, text }) = messages.next().map_err(|error| file.unreadable(&error))?
    {
        let mut index = 0;
        let mut show = |parsed: ParsedEvent<'_>| {
            totals.count(&parsed);
            let shown = EventView { place: &place, index, times, parsed: &parsed };
            if written.is_ok() {
                let text = if json { shown.json().to_string() } else { shown.to_string() };
                written = writeln!(out, "{}", view::shown(&text));
            }
            index += 1;
        };
        match text {
            // As the function would read it: the file may hold the records of a queue.
            Ok(text) => {
                for message in read_messages(text.as_bytes(), "").1 {
                    match message.body {
                        Ok(body) => _ = read_message(&body, times, rules, &mut show),
                        Err(rejection) => show(ParsedEvent::rejected(rejection)),
                    }
                }
            }
            Err(rejection) => show(ParsedEvent::rejected(rejection)),
        }
    }
    Ok(written)
}

/// Returns true if the reader of the output went away, which ends the work and is no error.
fn is_unheard(written: io::Result<()>) -> Result<bool, CommandError> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(CommandError::failed(format!("standard output: {error}"))),
    }
}

impl Totals {
    fn count(&mut self, parsed: &ParsedEvent<'_>) {
        match &parsed.event {
            Ok(Event::Plain(event)) => {
                self.good += 1;
                self.samples += event.metrics.len() as u64;
            }
            Ok(Event::Typed(_)) => {
                self.good += 1;
                self.typed += 1;
            }
            Err(_) => self.rejected += 1,
        }
    }

    fn status(&self) -> ExitCode {
        if self.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = vec![view::count(self.samples, "sample")];
        if self.typed > 0 {
            parts.push(view::count(self.typed, "typed metric"));
        }
        let sent = format!("{} would be sent ({})", view::count(self.good, "event"), parts.join(", "));
        if self.rejected == 0 {
            return write!(f, "{} {sent}, none rejected", view::Styled(view::GOOD, "ok:"));
        }
        write!(f, "{} {sent}, {} rejected", view::Styled(view::BAD, "rejected:"), self.rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::model::Timestamp;

    const TIMES: EventTimes = EventTimes { now: Timestamp(1_676_398_017_000), sent: None };

    fn checked(text: &[u8], json: bool) -> (Totals, String) {
        let (mut totals, mut out) = (Totals::default(), Vec::new());
        let file = InputFile::text("e.json", text);
        check(&file, &TIMES, &Rules::default(), json, &mut totals, &mut out).unwrap().unwrap();
        (totals, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_good_event_is_shown_with_series_types_and_time() {
        let event = br#"{"dimensions":{"customerId":"c1"},"timestamp":1676398017000,"metrics":{"t":"14.3","n":12}}"#;
        let (totals, shown) = checked(event, false);
        assert_eq!((totals.good, totals.rejected, totals.samples), (1, 0, 2));
        for part in ["2023-02-14T18:06:57.000Z", "t{customerId=\"c1\"}", "14.3", "float", "12", "integer"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn a_rejected_event_is_shown_with_its_line_reason_and_path() {
        let (totals, shown) = checked(b"{\"metrics\":{\"a\":1}}\n{\"metrics\":{\"ph\":\"abc\"}}\n", false);
        assert_eq!((totals.good, totals.rejected), (1, 1));
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
    fn a_typed_metric_is_shown_with_its_update() {
        let events = br#"{"type":"counter","name":"c_total","value":2,"labels":{"a":"b"},"id":7}
{"type":"histogram","name":"h","value":[0.5,2],"counts":[1,3],"buckets":[1],"help":"Time."}
{"type":"histogram","name":"n","value":0.5}
{"type":"summary","name":"s","value":0.5}
{"type":"gauge","name":"g","value":1.5}"#;
        let (totals, shown) = checked(events, false);
        assert_eq!((totals.good, totals.typed, totals.samples), (5, 5, 0));
        for part in [
            "c_total{a=\"b\"}  +2",
            "counter, id 7",
            "h  0.5, 2 (3 times)",
            "histogram with the buckets 1",
            "native histogram",
            "summary with the quantiles 0.5, 0.9, 0.99",
            "g  = 1.5",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let (_, shown) = checked(events, true);
        let lines: Vec<serde_json::Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["typed"]["value"], "2");
        assert_eq!(lines[1]["typed"]["observations"][1], serde_json::json!({"value": "2", "count": 3}));
        assert_eq!(lines[1]["typed"]["buckets"], serde_json::json!(["1"]));
        assert_eq!(lines[2]["typed"]["buckets"], serde_json::Value::Null);
    }

    #[test]
    fn rejects_bytes_that_are_not_utf_8() {
        let (totals, shown) = checked(b"{\"metrics\":{\"\xff\":1}}", false);
        assert!(totals.rejected == 1 && shown.contains("invalid_json"), "{shown}");
    }
}
