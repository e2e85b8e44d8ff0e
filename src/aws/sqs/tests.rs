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
    let lacks = "the answer of the queue does not have the result of this entry";
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
fn reads_the_region_of_a_queue_from_its_host() {
    let table = [
        ("sqs.eu-west-1.amazonaws.com", Some("eu-west-1"), true),
        ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1"), true),
        ("eu-west-1.queue.amazonaws.com", Some("eu-west-1"), true),
        ("queue.amazonaws.com", Some("us-east-1"), true),
        ("sqs-fips.us-east-1.amazonaws.com", Some("us-east-1"), false),
        ("sqs.eu-west-1.api.aws", Some("eu-west-1"), false),
        ("vpce-0a1b.sqs.eu-west-1.vpce.amazonaws.com", Some("eu-west-1"), false),
        ("127.0.0.1", None, false),
        ("localhost", None, false),
        ("sqs.eu-west-1.localhost.localstack.cloud", None, false),
        ("sqs.eu-west-1.amazonaws.com.example.com", None, false),
        ("sqs.amazonaws.com", None, false),
        ("", None, false),
    ];
    for (host, region, is_usual) in table {
        assert_eq!((region_of(host), has_usual_host(host)), (region, is_usual), "{host}");
    }
}

#[test]
fn a_try_that_hangs_leaves_time_for_another() {
    let url = Url::parse("http://127.0.0.1:1/1/q").unwrap();
    let now = Instant::now();
    let seconds = |queue: Queue, deadline: Option<u64>| {
        let deadline = deadline.map(|seconds| now + Duration::from_secs(seconds));
        queue.longest_try(deadline).map(|longest| longest.as_secs_f64().round())
    };
    assert_eq!(seconds(Queue::new(&url), Some(6)), Some(3.0));
    assert_eq!(seconds(Queue::new(&url), Some(900)), Some(30.0));
    assert_eq!(seconds(Queue::at(&url, 4, Duration::from_secs(20)), None), Some(10.0));
    assert_eq!(seconds(Queue::at(&url, 1, Duration::from_secs(20)), None), None);
}
