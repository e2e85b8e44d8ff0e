//! The body of a push to [`Exposition`]: metric families and their series.
//!
//! Each format has a parser, and all fill the same [`Builder`](builder::Builder). Nothing is judged here but the format: ages,
//! the labels of the path and the translation of names are work of the use case. The invariants of an [`Exposition`]:
//!
//! * Each family has at least one series, and one type.
//! * No label name stands twice in a series, and none is `__name__`. A name or a value can be empty, except the series' own name.
//! * No series stands twice at one time. Equal values were made one, and different ones are an error.
//!
//! Texts are spans into the body. A second buffer holds what stands otherwise in the body, such as a value with escapes.

mod builder;
mod error;
mod families;
mod number;
mod reader;
mod resolve;
mod scanner;
#[cfg(test)]
mod tests;

use self::builder::{check_size, index};
use self::reader::{Format, Reader};
use self::resolve::resolve;

pub use error::{ParseError, Place, Problem};
pub use families::{Exposition, Family, Labels, SampleValue, Series};

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
