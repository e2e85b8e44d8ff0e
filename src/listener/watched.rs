//! A connection as hyper reads and writes it, with its [`Lengths`], sentences for hyper's own answers, and two limits of time.
//!
//! * A head that has begun must end within [`STALL_TIMEOUT`]. A connection between two requests has no limit: a client keeps it for
//!   its next request, and a Lambda environment may be frozen meanwhile.
//! * An answer of which the client takes no byte for [`STALL_TIMEOUT`] ends the connection.
//!
//! Both look at the connection first. So bytes that came while the process was frozen count.

use super::lengths::Lengths;
use super::own_answer;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Watched<S> {
    stream: S,
    lengths: Arc<Mutex<Lengths>>,
    /// The end of the time for the head of this number.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    /// The end of the time for the next bytes of an answer.
    write: Option<Pin<Box<Sleep>>>,
    /// The rest of what is written instead of an answer of hyper's own.
    instead: Option<Vec<u8>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, lengths: Arc<Mutex<Lengths>>) -> Self {
        Self { stream, lengths, head: None, write: None, instead: None }
    }

    /// Returns an error once the head that has begun takes too long.
    fn check_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let number = {
            let lengths = lock(&self.lengths);
            lengths.is_in_head().then(|| lengths.heads())
        };
        let Some(number) = number else {
            self.head = None;
            return Poll::Pending;
        };
        let new = || (number, Box::pin(sleep(STALL_TIMEOUT)));
        let head = self.head.take().filter(|(known, _)| *known == number).unwrap_or_else(new);
        let (_, end) = self.head.insert(head);
        end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Returns the result of a write, or an error once the client has taken nothing for too long.
    fn check_write(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let end = self.write.get_or_insert_with(|| Box::pin(sleep(STALL_TIMEOUT)));
        end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

pub(super) fn lock(lengths: &Mutex<Lengths>) -> MutexGuard<'_, Lengths> {
    lengths.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                lock(&self.lengths).read(&buffer.filled()[before..]);
                Poll::Ready(read)
            }
            Poll::Pending => self.check_head(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Writes all of `instead`, and keeps what could not be written yet.
    fn poll_instead(&mut self, cx: &mut Context<'_>, mut instead: Vec<u8>) -> Poll<io::Result<()>> {
        while !instead.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &instead) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => drop(instead.drain(..written)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.instead = Some(instead);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = own_answer::instead_of(bytes);
        }
        let written = match self.instead.take() {
            Some(instead) => self.poll_instead(cx, instead).map_ok(|()| bytes.len()),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        };
        self.check_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer of hyper's own is one part.
        if let [answer] = parts {
            return self.poll_write(cx, answer);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.check_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
