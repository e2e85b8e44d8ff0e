//! The HTTP door: a request to a use case and back. It knows nothing of Lambda and of connections.
//!
//! * [`Request`], [`Response`]: what a front hands over and takes back.

mod message;
mod percent;

pub use message::{PathError, Request, Response};
pub use percent::{check_path, decode_path};
