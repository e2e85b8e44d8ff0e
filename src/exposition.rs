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

#[expect(dead_code, reason = "the parsers follow")]
mod builder;
mod error;
mod families;

pub use error::{ParseError, Place, Problem};
pub use families::{Exposition, Family, Labels, SampleValue, Series};
