//! The HTTP door: gives a request to a use case, and makes an answer of its result. It knows neither Lambda nor
//! connections.
//!
//! * [`Request`], [`Response`]: the input and the output of the door.
//! * [`Door`]: checks a request, in a fixed order.
//! * [`Doorkeeper`]: who may use the door.
//! * `route`: paths and methods. Pure, as are `auth`, `accept`, `media_type`, `origin`, `body` and `answer`.
//! * `page`, `pushgateway`, `exposed`, `groups`, `remote_write`, `otlp`, `remote_read`, `events`, `status`: one file for each kind of route.

mod accept;
mod answer;
mod auth;
mod body;
mod door;
mod doorkeeper;
mod events;
mod exposed;
mod groups;
mod media_type;
mod message;
mod origin;
mod otlp;
mod page;
mod percent;
mod pushgateway;
mod remote_read;
mod remote_write;
mod route;
mod status;
mod time_text;

pub use body::{BodyError, Encoding, unpack};
pub use door::{Answered, Call, Door};
pub use doorkeeper::{Denied, Doorkeeper};
pub use message::{PathError, Request, Response};
#[cfg(feature = "cli")]
pub use page::{
    Beside, MAX_CHART_SAMPLES, MAX_CHARTS, MAX_LETTERS, ShownLetter, ShownLetters, ShownSeries, ShownWorkspace,
};
pub use percent::{check_path, decode_path};
