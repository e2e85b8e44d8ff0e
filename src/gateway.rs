//! Use cases, one file a verb: the only room that sees both the pure stages and the edges.
//!
//! * [`ingest`]: a batch of messages to one outcome for each event and one action for each message.
//! * [`read`]: the queries of a read request to one response with the receiver's samples.
//! * `push`: metric families of a group, as Pushgateway's clients send them.
//! * `groups`: pushed groups in the table: changes, list, wipe.
//! * `kept` (feature `cli`): typed series and groups that a selector takes, for people, and their deletion.
//! * `relay`: a remote-write request of a sender.
//! * `otlp`: an OTLP request of an SDK or a collector.
//! * `journal`: the typed events of a batch to the journal in the table.
//! * `typed`: the typed series that the last ticks committed, for a scrape and the page.
//! * `tick`: the journal into the state, and everything that is exposed to the receiver.
//!
//! A use case reads top to bottom. Stages return values; what becomes of events and messages is written into a [`Ledger`], and the
//! [`Summary`] counts it.

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
pub use relay::{Counts, Relay, RelayError, RelayResult, Relayed, Version};
pub use report::{ListedEvent, Report};
pub use state::State;
pub use summary::{Stages, Summary};
pub use tick::{ShardSummary, TickCall, TickError, TickSummary};
pub use typed::{TooManySamples, TypedError, TypedSeries};
