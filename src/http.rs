//! The HTTP door: a request to a use case and back. It knows nothing of Lambda and of connections.
//!
//! * [`Request`], [`Response`]: what a front hands over and takes back.

mod message;

pub use message::{PathError, Request, Response};
