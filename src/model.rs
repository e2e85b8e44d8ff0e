//! The nouns that every stage shares. Validity lives in the types: a [`LabelSet`] is sorted and unique, a
//! [`MetricName`] is one that AMP accepts, a [`Value`] still knows how it was written.

mod labels;
mod names;
mod outcome;
mod sample;

pub use labels::{Label, LabelSet, LabelSetError, METRIC_NAME_LABEL};
pub use names::{LabelName, MAX_NAME_BYTES, MetricName, NameError};
pub use outcome::{ItemId, Outcome, Reason, Rejection};
pub use sample::{CANONICAL_NAN, Timestamp, Value};
