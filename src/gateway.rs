//! The use cases, one file for each. Only this module uses both the pure stages and the modules with I/O.
//!
//! * [`ingest`]: takes a batch of messages, and returns an outcome for each event and an action for each message.
//! * [`read`]: answers a remote-read request with the samples of the receiver.
//! * `push`: writes or keeps the metric families of a group, which Pushgateway's clients send.
//! * `groups`: changes, lists and wipes the pushed groups in the table.
//! * `kept` (feature `cli`): lists and deletes the typed series and groups that a selector finds.
//! * `relay`: sends a remote-write request of a sender to the receiver.
//! * `otlp`: writes an OTLP request of an SDK or a collector.
//! * `journal`: appends the typed events of a batch to the journal in the table.
//! * `typed`: reads the typed series that the last ticks committed, for a scrape and the page.
//! * `tick`: adds the journal to the state, and sends everything that is exposed to the receiver.
//!
//! Read a use case from top to bottom. Stages return values. Outcomes of events and actions for messages are in a
//! [`Ledger`], and the [`Summary`] counts them.

mod batch;
#[cfg(test)]
mod chaos;
mod dead_letters;
mod event_texts;
mod fifo;
mod groups;
pub mod ingest;
mod journal;
#[cfg(feature = "cli")]
mod kept;
mod label_rules;
mod ledger;
mod message_action;
mod metadata;
mod otlp;
mod push;
pub mod read;
mod relay;
mod report;
mod state;
mod summary;
#[cfg(test)]
mod tests;
mod tick;
mod typed;
mod watch;
mod writer;

pub use batch::{Batch, Message, Trigger};
pub use groups::{Groups, GroupsError, Listing};
pub use ingest::{Gateway, Ingested, from_settings, signed_transport};
#[cfg(feature = "cli")]
pub use kept::{Deleted, Hint, Kept, KeptError, KeptGroup, KeptSample, KeptSeries, KeptState};
pub use ledger::{Ledger, RejectedEvent};
pub use message_action::MessageAction;
pub use otlp::{Otlp, OtlpDone, OtlpEncoding, OtlpError, OtlpResult};
pub use push::{Push, PushError, PushResult, Pushed};
pub use read::{ReadCall, ReadDone, ReadError, RemoteReader, reader_from_settings};
pub use relay::{Counts, Relay, RelayError, RelayResult, Relayed};
pub use report::{ListedEvent, Report};
pub use state::State;
pub use summary::{Stages, Summary};
pub use tick::{ShardSummary, TickCall, TickError, TickSummary};
pub use typed::{TooManySamples, TypedError, TypedSeries};
