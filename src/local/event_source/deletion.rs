//! Deleting the messages that are done: ten at a time, again where the queue may change its mind.

use super::queue::{MAX_ENTRIES, Queue};
use crate::local::sqs::Failed;
use crate::remote_write::Backoff;

/// Deletes messages by their receipts; out come those that could not be, by their places, and why.
pub(super) async fn delete<Q: Queue>(queue: &Q, receipts: &[String]) -> Vec<(usize, Failed)> {
    let mut left: Vec<usize> = (0..receipts.len()).collect();
    let mut given_up = Vec::new();
    let (backoff, mut tries) = (Backoff::default(), 0);
    while !left.is_empty() {
        tries += 1;
        let wait = backoff.wait(tries, fastrand::f64());
        let mut again = Vec::new();
        for places in left.chunks(MAX_ENTRIES) {
            let entries: Vec<_> = places.iter().map(|&place| receipts[place].clone()).collect();
            for (&place, result) in places.iter().zip(queue.delete(&entries).await) {
                match result {
                    Ok(()) => {}
                    Err(failed) if failed.may_pass && wait.is_some() => again.push(place),
                    Err(failed) => given_up.push((place, failed)),
                }
            }
        }
        left = again;
        if let Some(wait) = wait.filter(|_| !left.is_empty()) {
            tokio::time::sleep(wait).await;
        }
    }
    given_up.sort_unstable_by_key(|(place, _)| *place);
    given_up
}

#[cfg(test)]
mod tests {
    use super::super::record::Received;
    use super::*;
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::time::Duration;

    /// Fails a receipt as often as it is told; the calls as they came.
    #[derive(Default)]
    struct Stubborn {
        failures: Mutex<HashMap<String, (u32, bool)>>,
        calls: Mutex<Vec<usize>>,
    }

    impl Queue for Stubborn {
        async fn receive(&self, _most: usize, _wait: Duration) -> Result<Vec<Received>, Failed> {
            Ok(Vec::new())
        }

        async fn delete(&self, receipts: &[String]) -> Vec<Result<(), Failed>> {
            self.calls.lock().unwrap().push(receipts.len());
            let mut failures = self.failures.lock().unwrap();
            let mut answer = |receipt: &String| match failures.get_mut(receipt) {
                Some((times, may_pass)) if *times > 0 => {
                    *times -= 1;
                    Err(Failed { words: "no".to_owned(), may_pass: *may_pass })
                }
                _ => Ok(()),
            };
            receipts.iter().map(&mut answer).collect()
        }
    }

    fn receipts(count: usize) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_at_a_time_and_only_what_failed_again() {
        let queue = Stubborn::default();
        queue.failures.lock().unwrap().extend([("3".to_owned(), (1, true)), ("24".to_owned(), (2, true))]);
        assert_eq!(delete(&queue, &receipts(25)).await, []);
        assert_eq!(*queue.calls.lock().unwrap(), [10, 10, 5, 2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_deleted_is_told_and_bounded() {
        let queue = Stubborn::default();
        queue.failures.lock().unwrap().extend([("0".to_owned(), (100, true)), ("1".to_owned(), (100, false))]);
        let places: Vec<_> = delete(&queue, &receipts(3)).await.into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [0, 1]);
        assert_eq!(*queue.calls.lock().unwrap(), [3, 1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn where_nothing_is_done_nothing_is_asked() {
        let queue = Stubborn::default();
        assert_eq!(delete(&queue, &[]).await, []);
        assert!(queue.calls.lock().unwrap().is_empty());
    }
}
