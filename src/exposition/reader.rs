//! Parses series and metadata, line by line, in both text formats. [`Format`] says how they differ.

use super::builder::Builder;
use super::error::{Excerpt, ParseError, Place, Problem};
use super::families::{NO_BOUND, Span};
use super::number::{parse_float, parse_milliseconds, parse_seconds};
use super::scanner::{Quoted, Scanner};
use crate::model::{METRIC_NAME_LABEL, MetricType, Timestamp};
use std::ops::Range;

/// The text format is read as Prometheus reads it. Blanks may be between all parts. After `#` everything that is not
/// metadata is a comment. OpenMetrics has one space where a blank must be, and no other blanks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Text,
    OpenMetrics,
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    format: Format,
    scanner: Scanner<'a>,
    pub(super) builder: Builder<'a>,
    /// The part of the text that an error names: the series or the family.
    subject: Range<usize>,
    /// The line in which it begins, because a quoted text may continue in the next lines.
    line: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, format: Format) -> Self {
        let (scanner, builder) = (Scanner::new(text), Builder::new(text, Place::Line));
        Self { text, format, scanner, builder, subject: 0..0, line: 1 }
    }

    pub(super) fn read(&mut self) -> Result<(), ParseError> {
        let read = match self.format {
            Format::Text => self.read_text(),
            Format::OpenMetrics => self.read_openmetrics(),
        };
        read.map_err(|problem| {
            let subject = &self.text[self.subject.clone()];
            let shown = (!subject.is_empty()).then(|| Excerpt::new(subject));
            self.builder.error(self.line, shown, problem)
        })
    }

    fn read_text(&mut self) -> Result<(), Problem> {
        while !self.scanner.rest().is_empty() {
            self.line = self.scanner.line;
            self.scanner.blanks();
            match self.scanner.peek() {
                Some(b'#') => self.comment()?,
                _ if self.scanner.end_of_line() => {}
                _ => self.series()?,
            }
        }
        Ok(())
    }

    fn read_openmetrics(&mut self) -> Result<(), Problem> {
        loop {
            self.line = self.scanner.line;
            match self.scanner.peek() {
                None => {
                    self.subject = 0..0;
                    return Err(Problem::NoEof);
                }
                Some(b'#') if self.scanner.eat_text("# EOF") => {
                    self.subject = 0..0;
                    let is_end = self.scanner.end_of_line() && self.scanner.rest().is_empty();
                    self.line = self.scanner.line;
                    return if is_end { Ok(()) } else { Err(Problem::DataAfterEof) };
                }
                Some(b'#') => self.metadata_or_error()?,
                _ => self.series()?,
            }
        }
    }

    /// Reads a comment of the text format, or metadata.
    fn comment(&mut self) -> Result<(), Problem> {
        self.scanner.at += 1;
        let is_apart = matches!(self.scanner.peek(), Some(b' ' | b'\t'));
        self.scanner.blanks();
        let keyword = ["HELP", "TYPE"].into_iter().find(|keyword| {
            let rest = self.scanner.rest().strip_prefix(keyword.as_bytes());
            is_apart && matches!(rest, Some([b' ' | b'\t', ..]))
        });
        if let Some(keyword) = keyword {
            self.scanner.at += keyword.len();
            self.scanner.blanks();
            return self.metadata(keyword);
        }
        self.scanner.rest_of_line();
        self.scanner.end_of_line();
        Ok(())
    }

    fn metadata_or_error(&mut self) -> Result<(), Problem> {
        self.subject = 0..0;
        for keyword in ["# HELP ", "# TYPE ", "# UNIT "] {
            if self.scanner.eat_text(keyword) {
                return self.metadata(keyword[2..].trim_end());
            }
        }
        Err(self.scanner.unexpected("HELP, TYPE, UNIT or EOF behind # and a space"))
    }

    /// Reads the name of a family and what `keyword` says about it.
    fn metadata(&mut self, keyword: &str) -> Result<(), Problem> {
        let start = self.scanner.at;
        self.subject = start..start;
        let name = if self.scanner.eat(b'"') {
            let quoted = self.scanner.quoted(true)?;
            self.unescaped(quoted)
        } else {
            self.scanner.metric_name().ok_or_else(|| self.scanner.unexpected("the name of a metric"))?
        };
        self.subject.end = self.scanner.at;
        match self.format {
            Format::Text => self.scanner.blanks(),
            Format::OpenMetrics => self.space("a space")?,
        }
        let family = self.builder.family(name);
        let rest = self.scanner.rest_of_line();
        match keyword {
            "TYPE" => {
                let metric_type = self.metric_type(self.builder.text(rest))?;
                self.builder.set_type(family, metric_type)?;
            }
            "HELP" => {
                let has_escapes = memchr::memchr(b'\\', self.builder.text(rest).as_bytes()).is_some();
                let help = if has_escapes { self.unescape(rest, self.format == Format::OpenMetrics) } else { rest };
                self.builder.exposition.families[family as usize].help = Some(help);
            }
            _ => {
                let (name, unit) = (self.builder.text(name), self.builder.text(rest));
                let is_suffix = name.strip_suffix(unit).is_some_and(|before| before.ends_with('_'));
                if !is_suffix && !unit.is_empty() {
                    return Err(Problem::UnitNotSuffix { unit: Excerpt::new(unit) });
                }
                self.builder.exposition.families[family as usize].unit = (rest.len > 0).then_some(rest);
            }
        }
        self.scanner.end_of_line();
        Ok(())
    }

    /// Returns the type of this name. The text format takes any case, and a histogram of gauges, as Pushgateway does.
    fn metric_type(&self, word: &str) -> Result<MetricType, Problem> {
        let found = match self.format {
            Format::Text => {
                let word = word.trim_end_matches([' ', '\t']);
                let is = |known: &str| word.eq_ignore_ascii_case(known);
                let known = TEXT_TYPES.into_iter().find(|known| is(known.as_str()));
                known.or_else(|| is("untyped").then_some(MetricType::Unknown))
            }
            Format::OpenMetrics => OPENMETRICS_TYPES.into_iter().find(|known| word == known.as_str()),
        };
        found.ok_or_else(|| Problem::UnknownType { found: Excerpt::new(word) })
    }

    /// Reads the line of a series: name, labels, value, timestamp.
    fn series(&mut self) -> Result<(), Problem> {
        let start = self.scanner.at;
        let mut name = self.scanner.metric_name();
        self.subject = start..self.scanner.at;
        self.gap();
        if self.scanner.eat(b'{') {
            self.labels(&mut name, true)?;
            self.subject.end = self.scanner.at;
        } else if name.is_none() {
            return Err(self.scanner.unexpected("the name of a metric, a brace or #"));
        }
        let labels = self.builder.labels()?;
        let name = name.filter(|name| name.len > 0).ok_or(Problem::NoName)?;
        let name = self.builder.interned_name(name);
        let value = self.value()?;
        let timestamp = self.timestamp()?;
        self.builder.series(name, labels, NO_BOUND, (timestamp, value), self.line)
    }

    /// Reads labels up to the closing brace. The name of the metric may be among the labels of a series.
    fn labels(&mut self, name: &mut Option<Span>, is_series: bool) -> Result<(), Problem> {
        let mut has_name_label = false;
        loop {
            self.gap();
            let label = match self.scanner.peek() {
                Some(b'}') => {
                    self.scanner.at += 1;
                    return Ok(());
                }
                Some(b'"') => {
                    self.scanner.at += 1;
                    let quoted = self.scanner.quoted(is_series)?;
                    let text = self.unescaped(quoted);
                    self.gap();
                    if is_series && matches!(self.scanner.peek(), Some(b',' | b'}')) {
                        if name.is_some() {
                            return Err(Problem::TwoNames { second: Excerpt::new(self.builder.text(text)) });
                        }
                        *name = Some(text);
                        self.scanner.eat(b',');
                        continue;
                    }
                    text
                }
                _ => self.scanner.label_name().ok_or_else(|| self.scanner.unexpected("the name of a label"))?,
            };
            self.gap();
            if !self.scanner.eat(b'=') {
                return Err(self.scanner.unexpected("= behind the name of a label"));
            }
            self.gap();
            if !self.scanner.eat(b'"') {
                return Err(self.scanner.unexpected("the value of a label in quotes"));
            }
            let quoted = self.scanner.quoted(self.format == Format::Text)?;
            let value = self.unescaped(quoted);
            if is_series && self.builder.exposition.texts.bytes(label) == METRIC_NAME_LABEL.as_bytes() {
                if has_name_label {
                    return Err(Problem::DuplicateLabel { name: Excerpt::new(METRIC_NAME_LABEL) });
                }
                has_name_label = true;
                *name = Some(value);
            } else {
                self.builder.label(label, value);
            }
            self.gap();
            if !self.scanner.eat(b',') && self.format == Format::OpenMetrics && self.scanner.peek() != Some(b'}') {
                return Err(self.scanner.unexpected("a comma or a closing brace behind a label"));
            }
        }
    }

    fn value(&mut self) -> Result<f64, Problem> {
        match self.format {
            Format::Text => self.scanner.blanks(),
            Format::OpenMetrics => self.space("a space and a value")?,
        }
        let word = self.scanner.word();
        let text = self.builder.text(word);
        match parse_float(text) {
            Some(value) => Ok(value),
            None if text.is_empty() => Err(self.scanner.unexpected("a value")),
            None => Err(Problem::InvalidValue { found: Excerpt::new(text) }),
        }
    }

    /// Reads the rest of the line: a timestamp, an exemplar, or nothing.
    fn timestamp(&mut self) -> Result<Option<Timestamp>, Problem> {
        self.gap();
        if self.scanner.end_of_line() {
            return Ok(None);
        }
        let timestamp = match self.format {
            Format::Text => Some(self.time(parse_milliseconds)?),
            Format::OpenMetrics if self.scanner.rest().starts_with(EXEMPLAR) => None,
            Format::OpenMetrics => {
                self.space("a space or the end of the line")?;
                Some(self.time(parse_seconds)?)
            }
        };
        self.gap();
        if self.format == Format::OpenMetrics && self.scanner.rest().starts_with(EXEMPLAR) {
            self.exemplar()?;
        }
        if !self.scanner.end_of_line() {
            return Err(self.scanner.unexpected("the end of the line"));
        }
        Ok(timestamp)
    }

    fn time(&mut self, parse: fn(&str) -> Option<Timestamp>) -> Result<Timestamp, Problem> {
        let word = self.scanner.word();
        let text = self.builder.text(word);
        parse(text).ok_or_else(|| Problem::InvalidTimestamp { found: Excerpt::new(text) })
    }

    /// Reads an exemplar and forgets it.
    fn exemplar(&mut self) -> Result<(), Problem> {
        self.scanner.at += EXEMPLAR.len();
        let kept = self.builder.exposition.labels.len();
        self.labels(&mut None, false)?;
        self.builder.exposition.labels.truncate(kept);
        self.value()?;
        if !matches!(self.scanner.rest(), [] | [b'\n' | b'\r', ..]) {
            self.space("a space or the end of the line")?;
            self.time(parse_seconds)?;
        }
        Ok(())
    }

    /// Steps over the blanks that the text format may have between any two parts.
    fn gap(&mut self) {
        if self.format == Format::Text {
            self.scanner.blanks();
        }
    }

    /// Steps over the one space of OpenMetrics.
    fn space(&mut self, expected: &'static str) -> Result<(), Problem> {
        if self.scanner.eat(b' ') { Ok(()) } else { Err(self.scanner.unexpected(expected)) }
    }

    fn unescaped(&mut self, Quoted { span, has_escapes }: Quoted) -> Span {
        if has_escapes { self.unescape(span, true) } else { span }
    }

    /// Resolves `\\` and `\n`, and in quotes `\"`. Any other backslash stays, as in Prometheus.
    fn unescape(&mut self, span: Span, is_quoted: bool) -> Span {
        let Range { start, end } = span.range();
        let mut rest = &self.text[start..end];
        let mut text = String::with_capacity(rest.len());
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let (escape, len) = match rest.as_bytes().get(at + 1) {
                Some(b'\\') => ('\\', 2),
                Some(b'n') => ('\n', 2),
                Some(b'"') if is_quoted => ('"', 2),
                _ => ('\\', 1),
            };
            text.push(escape);
            rest = &rest[at + len..];
        }
        text.push_str(rest);
        self.builder.store(&text)
    }
}

/// The beginning of an exemplar.
const EXEMPLAR: &[u8] = b" # {";

const TEXT_TYPES: [MetricType; 5] =
    [MetricType::Counter, MetricType::Gauge, MetricType::Histogram, MetricType::Summary, MetricType::GaugeHistogram];

const OPENMETRICS_TYPES: [MetricType; 8] = [
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::Summary,
    MetricType::Unknown,
    MetricType::Info,
    MetricType::StateSet,
    MetricType::GaugeHistogram,
];
