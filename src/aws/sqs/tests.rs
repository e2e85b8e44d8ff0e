use super::*;

fn message(bytes: usize) -> OutgoingMessage {
    OutgoingMessage { body: "x".repeat(bytes), ..OutgoingMessage::default() }
}

#[test]
fn a_batch_has_ten_messages_and_a_mebibyte_at_most() {
    let half = MAX_MESSAGE_BYTES / 2;
    let table = [
        (vec![5; 25], vec![10, 10, 5]),
        (vec![5; 3], vec![3]),
        (vec![half; 3], vec![2, 1]),
        (vec![half, half + 1, half], vec![1, 1, 1]),
        (vec![MAX_MESSAGE_BYTES, 1], vec![1, 1]),
    ];
    for (sizes, expected) in table {
        let mut rest = sizes.iter().copied().map(message).peekable();
        let mut lengths = Vec::new();
        while let Some(first) = rest.next() {
            lengths.push(batch(first, &mut rest).len());
        }
        assert_eq!(lengths, expected, "{sizes:?}");
    }
}

/// Which of `count` entries are done, else their errors, from what an answer names.
fn named(count: usize, done: &[&str], failed: &[(&str, &str)]) -> Vec<String> {
    let entry = |(id, code): &(&str, &str)| {
        BatchResultErrorEntry::builder().id(*id).code(*code).message("text").sender_fault(true).build().unwrap()
    };
    let failed: Vec<_> = failed.iter().map(entry).collect();
    let results = in_order(count, done.iter().copied(), &failed);
    results.into_iter().map(|result| result.map_or_else(|error| error.to_string(), |()| "done".to_owned())).collect()
}

#[test]
fn returns_a_result_for_each_entry_in_their_order() {
    let lacks = "the answer of the queue lacks the result of this entry";
    let table = [
        (named(3, &["2", "0"], &[("1", "A")]), vec!["done", "A: text", "done"]),
        (named(2, &[], &[("1", "B"), ("0", "A")]), vec!["A: text", "B: text"]),
        (named(2, &["1"], &[]), vec![lacks, "done"]),
        (named(1, &["1", "x", "-1"], &[("7", "A")]), vec![lacks]),
        (named(0, &[], &[]), vec![]),
    ];
    for (results, expected) in table {
        assert_eq!(results, expected);
    }
}

#[tokio::test]
async fn sends_no_message_that_is_too_long_or_too_late() {
    let queue = Queue::new(&Url::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/q").unwrap());
    let now = Instant::now();
    let results = queue.send([message(MAX_MESSAGE_BYTES + 1), message(1)], Some(now)).await;
    assert!(matches!(results.as_slice(), [Err(SqsError::TooLong), Err(SqsError::NotBegun)]), "{results:?}");
    assert!(queue.client.get().is_none(), "the client is built with the first call");
}

#[test]
fn reads_the_region_of_a_queue_from_its_url() {
    let table = [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", Some("eu-west-1")),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", Some("cn-north-1")),
        ("http://127.0.0.1:5000/123456789012/q", None),
    ];
    for (url, region) in table {
        assert_eq!(region_of(&Url::parse(url).unwrap()), region, "{url}");
    }
}
