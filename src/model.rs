//! The types that every stage uses. They keep these invariants:
//!
//! * A [`LabelSet`] is sorted by name, has each name once and no empty value.
//! * A [`MetricName`] or [`LabelName`] is not empty and at most [`crate::limits::MAX_NAME_BYTES`] long.
//! * A [`Value`] remembers if it was written as an integer. Only [`Value::StaleMarker`] is sent as a stale marker.

mod bound;
mod excerpt;
mod family;
mod labels;
mod metric_type;
mod names;
mod native_histogram;
mod noncharacters;
mod outcome;
mod sample;
mod typed_metric;

pub use bound::write_bound;
pub use excerpt::excerpt;
pub use family::{FamilySeries, FamilyValue, MetricFamily};
pub use labels::{BOUND_LABEL, Label, LabelSet, LabelSetError, METRIC_NAME_LABEL};
pub use metric_type::MetricType;
pub use names::{LabelName, MetricName, NameError};
pub use native_histogram::{Counts, HistogramError, NativeHistogram, ResetHint, Span};
pub use noncharacters::escape_noncharacters;
pub use outcome::{DEFECT, ItemId, Outcome, Reason, Rejection};
pub use sample::{CANONICAL_NAN, STALE_MARKER, Timestamp, Value};
pub use typed_metric::{ClassicCounts, KeyCount, Layout, NativeCounts, Observation, TypedMetric, Update};
