//! Groups of pushed metrics, as in Pushgateway: <https://github.com/prometheus/pushgateway#about-the-job-and-instance-labels>.
//!
//! * [`GroupingKey`]: the labels in the path of a push.
//! * [`Group`]: the families of a group, its push times, its expiry, and the series that end.
//! * [`exposed`]: the families that all groups expose at a time.
//! * [`unpack`] and [`Group::decode`]: the bytes of its item.

mod codec;
mod exposed;
mod group;
mod grouping_key;

pub use codec::{GroupTooLarge, unpack};
pub use exposed::{Exposed, exposed};
pub use group::{FAILURE_TIME, Group, OwnSeries, PUSH_TIME, Precedence, PushMode, PushedFamily, RemovedSeries};
pub use grouping_key::{GroupingKey, KeyError};

#[cfg(test)]
mod tests;
