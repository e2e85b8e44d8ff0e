//! Parses the body of a push into an [`Exposition`]: metric families and their series. [`render_text`] and
//! [`render_protobuf`] write them.
//!
//! Each format has a parser, and all fill the same [`Builder`](builder::Builder). The parsers check only the format. The
//! use case checks ages, adds the labels of the path, and translates names. The invariants of an [`Exposition`]:
//!
//! * Each family has at least one series, and one type.
//! * No label name is in a series twice, and none is `__name__`. A name or a value can be empty, except the name of the
//!   series.
//! * No series is there twice at the same time. Equal values become one, and different ones are an error.
//!
//! The parsers read a body as Prometheus' parser does at a scrape (`model/textparse`), except for the rows of this table.
//! `tests/exposition` compares both.
//!
//! | a body with | Prometheus | here |
//! |---|---|---|
//! | CR LF at the end of lines, a byte-order mark | an error | taken |
//! | blanks before a name | a part of the name | skipped |
//! | a NUL byte at the beginning of a line or in a comment | the end of the body, silently | an error; a comment goes on |
//! | text: `# TYPE` with a type in capital letters, a blank after it, or `gaugehistogram` | an error | taken, as Pushgateway does |
//! | text: no blank between the name and the type | taken | an error |
//! | text: no blank between the name and the help | leaves out a byte | taken |
//! | bytes that are not UTF-8 in a comment or in a name | taken | an error |
//! | a label twice | the last one counts | an error |
//! | no name but `__name__` in braces | an error | taken |
//! | an empty name | taken | an error |
//! | a second, different type of a family | taken | an error |
//! | a series twice at one time with different values | the storage decides | an error |
//! | a bucket without a number in `le` | taken | an error |
//! | a hexadecimal number in `le` or `quantile` | normalised | an error in a bucket, else unchanged |
//! | more than [`MAX_LABELS`](crate::limits::MAX_LABELS) labels | taken | an error |
//! | OpenMetrics: seconds beyond 64 bits of milliseconds | another time | an error |
//! | OpenMetrics: `_created` after another family's TYPE | left out | a series |
//! | protobuf: damage in what a series does not need, such as an exemplar | an error | taken |
//! | protobuf: a group, a field number of more than 29 bits, a packed field that ends inside of a number | taken | an error |
//! | `le` and `quantile` of a series without a type, after another family's TYPE | normalised | unchanged |
//!
//! Texts are spans into the body. A second buffer has texts that differ from the body, such as values with escapes.

mod builder;
mod error;
mod families;
mod number;
mod protobuf;
mod reader;
mod render;
mod resolve;
mod scanner;
#[cfg(test)]
mod tests;

use self::builder::{check_size, index};
use self::reader::{Format, Reader};
use self::resolve::resolve;

pub use error::{ParseError, Place, Problem};
pub use families::{Exposition, Family, Labels, SampleValue, Series};
pub use protobuf::parse_protobuf;
pub use render::{Kind, Metric, MetricValue, Rendered, number_text, render_protobuf, render_text};

/// Parses the text format 0.0.4.
pub fn parse_text(body: &[u8]) -> Result<Exposition<'_>, ParseError> {
    parse(body, Format::Text)
}

/// Parses OpenMetrics 1.0.
pub fn parse_openmetrics(body: &[u8]) -> Result<Exposition<'_>, ParseError> {
    parse(body, Format::OpenMetrics)
}

fn parse(body: &[u8], format: Format) -> Result<Exposition<'_>, ParseError> {
    check_size(body, Place::Line(1))?;
    let text = std::str::from_utf8(body).map_err(|error| {
        let lines = memchr::memchr_iter(b'\n', &body[..error.valid_up_to()]).count();
        ParseError { place: Place::Line(index(lines + 1)), series: None, problem: Problem::NotUtf8 }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text, format);
    reader.read()?;
    resolve(&mut reader.builder, format)?;
    reader.builder.finish()
}
