//! Groups of pushed metrics, as in Pushgateway: <https://github.com/prometheus/pushgateway#about-the-job-and-instance-labels>.
//!
//! * [`GroupingKey`]: the labels in the path of a push.

mod grouping_key;

pub use grouping_key::{GroupingKey, KeyError};
