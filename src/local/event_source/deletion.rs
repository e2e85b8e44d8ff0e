//! Deletes the messages that are done, and tries again after errors that may pass.

use super::queue::Queue;
use crate::aws::sqs::SqsError;
use crate::remote_write::Backoff;

/// Deletes messages by their receipts. Returns the indices of those that could not be deleted, and why.
pub async fn delete<Q: Queue>(queue: &Q, receipts: &[String]) -> Vec<(usize, SqsError)> {
    let mut left: Vec<usize> = (0..receipts.len()).collect();
    let mut given_up = Vec::new();
    let (backoff, mut tries) = (Backoff::default(), 0);
    while !left.is_empty() {
        tries += 1;
        let wait = backoff.wait(tries, fastrand::f64());
        let mut again = Vec::new();
        let entries: Vec<_> = left.iter().map(|&index| receipts[index].clone()).collect();
        for (index, result) in left.into_iter().zip(queue.delete(&entries).await) {
            match result {
                Ok(()) => {}
                Err(error) if error.may_work_later() && wait.is_some() => again.push(index),
                Err(error) => given_up.push((index, error)),
            }
        }
        left = again;
        if let Some(wait) = wait.filter(|_| !left.is_empty()) {
            tokio::time::sleep(wait).await;
        }
    }
    given_up.sort_unstable_by_key(|(index, _)| *index);
    given_up
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::sqs::ReceivedMessage;
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::time::Duration;

    /// Fails a receipt as often as a test sets, and notes how many receipts each call has.
    #[derive(Default)]
    struct Stubborn {
        failures: Mutex<HashMap<String, (u32, bool)>>,
        calls: Mutex<Vec<usize>>,
    }

    impl Queue for Stubborn {
        async fn receive(&self, _most: usize, _wait: Duration) -> Result<Vec<ReceivedMessage>, SqsError> {
            Ok(Vec::new())
        }

        async fn delete(&self, receipts: &[String]) -> Vec<Result<(), SqsError>> {
            self.calls.lock().unwrap().push(receipts.len());
            let mut failures = self.failures.lock().unwrap();
            let mut answer = |receipt: &String| match failures.get_mut(receipt) {
                Some((times, may_work_later)) if *times > 0 => {
                    *times -= 1;
                    Err(if *may_work_later { SqsError::Timeout } else { SqsError::TooLong })
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
    async fn tries_again_only_what_failed() {
        let queue = Stubborn::default();
        queue.failures.lock().unwrap().extend([("3".to_owned(), (1, true)), ("24".to_owned(), (2, true))]);
        assert!(delete(&queue, &receipts(25)).await.is_empty());
        assert_eq!(*queue.calls.lock().unwrap(), [25, 2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_once_what_never_works_and_the_rest_after_some_tries() {
        let queue = Stubborn::default();
        queue.failures.lock().unwrap().extend([("0".to_owned(), (100, true)), ("1".to_owned(), (100, false))]);
        let given_up: Vec<_> = delete(&queue, &receipts(3)).await.into_iter().map(|(index, _)| index).collect();
        assert_eq!(given_up, [0, 1]);
        assert_eq!(*queue.calls.lock().unwrap(), [3, 1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn makes_no_call_if_nothing_is_done() {
        let queue = Stubborn::default();
        assert!(delete(&queue, &[]).await.is_empty());
        assert!(queue.calls.lock().unwrap().is_empty());
    }
}
