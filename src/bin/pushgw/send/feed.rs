//! Reads the messages of all files on a separate thread, because a pipe may block.

use crate::exit::CommandError;
use crate::input_file::{FileMessage, InputFile};
use tokio::sync::mpsc;

/// The bytes of messages that are passed on together.
const BUNDLE_BYTES: usize = 64 << 10;
/// The memory that a message takes besides its text.
const MESSAGE_BYTES: usize = 200;

#[derive(Debug)]
pub(super) struct Feed {
    bundles: mpsc::Receiver<Result<Vec<FileMessage>, CommandError>>,
    /// Only the end of another program may end it.
    pub(super) is_stream: bool,
}

impl Feed {
    /// If the feed is dropped, reading ends.
    pub(super) fn of(inputs: Vec<InputFile>) -> Self {
        let is_stream = inputs.iter().any(InputFile::is_stream);
        let (sender, bundles) = mpsc::channel(1);
        std::thread::spawn(move || {
            for input in inputs {
                match read(&input, &sender) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        // Nobody listens any more.
                        let _is_heard = sender.blocking_send(Err(error)).is_ok();
                        return;
                    }
                }
            }
        });
        Self { bundles, is_stream }
    }

    /// Returns the next messages, or none at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<FileMessage>, CommandError>> {
        self.bundles.recv().await
    }
}

/// Returns false if nobody listens any more. An error does not hold back the messages before it.
fn read(
    input: &InputFile,
    sender: &mpsc::Sender<Result<Vec<FileMessage>, CommandError>>,
) -> Result<bool, CommandError> {
    let mut messages = input.messages()?;
    loop {
        let (mut bundle, mut bytes) = (Vec::new(), 0);
        let end = loop {
            match messages.next() {
                Ok(Some(message)) => {
                    bytes += message.text.as_ref().map_or(0, String::len) + MESSAGE_BYTES;
                    bundle.push(message);
                }
                Ok(None) => break Some(Ok(true)),
                Err(error) => break Some(Err(input.unreadable(&error))),
            }
            if bytes >= BUNDLE_BYTES {
                break None;
            }
        };
        if sender.blocking_send(Ok(bundle)).is_err() {
            return Ok(false);
        }
        if let Some(end) = end {
            return end;
        }
    }
}
