use super::iot::ACTION_FAILED;
use super::*;
use amp_push_gateway::aws::sqs::Attribute;
use serde_json::json;

const SENT: Timestamp = Timestamp(1_700_000_000_000);
const EVENT: &str = r#"{"metrics": {"ph": 6.7}}"#;

type Attributes<'a> = &'a [(&'a str, &'a str)];

fn received(body: &str, attributes: Attributes<'_>) -> ReceivedMessage {
    let attribute = |text: &str| Attribute { string_value: Some(text.to_owned()), ..Attribute::default() };
    ReceivedMessage {
        message_id: "m-1".to_owned(),
        body: body.to_owned(),
        attributes: [("SentTimestamp".to_owned(), SENT.to_string())].into(),
        message_attributes: attributes.iter().map(|(name, text)| ((*name).to_owned(), attribute(text))).collect(),
        ..ReceivedMessage::default()
    }
}

fn read(body: &str, attributes: Attributes<'_>) -> DeadLetter {
    DeadLetter::read(&received(body, attributes))
}

fn whole(text: &str) -> Message {
    Message::Whole(text.to_owned())
}

/// The invocation record of the documentation, for a single event that was rejected.
fn record() -> serde_json::Value {
    json!({
        "version": "1.0",
        "timestamp": "2023-11-14T22:13:10.568Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-4880-8880-a18cdf61200e",
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:amp-push-gateway:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3
        },
        "requestPayload": {"metrics": {"ph": "abc"}},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "invalid_value", "errorMessage": "metrics.ph: \"abc\" is not a number"}
    })
}

/// An error action's message as the documentation has it; `temperature=14.3` was published.
fn error_action() -> serde_json::Value {
    json!({
        "ruleName": "water",
        "topic": "sensors/1",
        "cloudwatchTraceId": "7e146a2c-95b5-6caf-98b9-50e3969734c7",
        "clientId": "iotconsole-1511213971966-0",
        "base64OriginalPayload": "dGVtcGVyYXR1cmU9MTQuMw==",
        "failures": [
            {"failedAction": "SqsAction", "failedResource": "water-metrics", "errorMessage": "denied"},
            {"failedAction": "LambdaAction", "failedResource": "f", "errorMessage": "throttled"}
        ]
    })
}

#[test]
fn each_shape_is_known_by_what_it_looks_like() {
    let ours =
        [("reason", "too_old"), ("detail", "d"), ("source_message_id", "s"), ("sent_timestamp", "1699999990000")];
    let base64 = STANDARD.encode(error_action().to_string());
    let function_queue = [("RequestID", "r"), ("ErrorCode", "200"), ("ErrorMessage", "Task timed out")];
    let gateway_is_request = json!({"requestContext": {"http": {"method": "POST"}}, "body": "x"}).to_string();
    let table: [(&str, Attributes<'_>, Origin, &str); 14] = [
        (EVENT, &ours, Origin::Gateway, "too_old"),
        (EVENT, &[("reason", "invalid_json")], Origin::Gateway, "invalid_json"),
        (EVENT, &[("reason", "new word"), ("detail", "d"), ("source_message_id", "s")], Origin::Gateway, "new_word"),
        // A record that was sent to the function itself and rejected is our dead letter.
        (&record().to_string(), &[("reason", "invalid_event")], Origin::Gateway, "invalid_event"),
        (EVENT, &[], Origin::Queue, "max_receives"),
        // SQS keeps the attributes of the producer when it moves a message.
        (EVENT, &[("reason", "alarm"), ("detail", "of the producer")], Origin::Queue, "max_receives"),
        (EVENT, &[("sent_timestamp", "1699999990000")], Origin::Queue, "max_receives"),
        ("not JSON", &[], Origin::Queue, "max_receives"),
        ("eyJub3QiOiAi", &[], Origin::Queue, "max_receives"),
        (&gateway_is_request, &[], Origin::Queue, "max_receives"),
        (&record().to_string(), &[], Origin::Lambda, "invalid_value"),
        (EVENT, &function_queue, Origin::Lambda, "delivery_failed"),
        (&error_action().to_string(), &[], Origin::Iot, ACTION_FAILED),
        (&base64, &[], Origin::Iot, ACTION_FAILED),
    ];
    for (body, attributes, origin, reason) in table {
        let dead_letter = read(body, attributes);
        assert_eq!((dead_letter.origin, dead_letter.reason.as_str()), (origin, reason), "{body} {attributes:?}");
    }
}

#[test]
fn our_dead_letter_keeps_body_detail_and_the_first_sending() {
    let attributes = [("reason", "out_of_order"), ("sent_timestamp", "1699999990000"), ("maybe_stored", "true")];
    let dead_letter = read(EVENT, &attributes);
    assert_eq!((dead_letter.message, dead_letter.maybe_stored), (whole(EVENT), true));
    assert_eq!((dead_letter.sent, dead_letter.detail.as_str()), (Some(Timestamp(1_699_999_990_000)), ""));
    let dead_letter = read(EVENT, &[("reason", "too_old"), ("detail", "d"), ("maybe_stored", "no")]);
    assert_eq!((dead_letter.sent, dead_letter.detail.as_str(), dead_letter.maybe_stored), (Some(SENT), "d", false));
}

#[test]
fn a_moved_message_keeps_body_group_and_time_and_says_where_to_look() {
    let mut moved = received(EVENT, &[]);
    let from = "arn:aws:sqs:us-east-1:123456789012:water";
    for (name, text) in [("DeadLetterQueueSourceArn", from), ("MessageGroupId", "g")] {
        moved.attributes.insert(name.to_owned(), text.to_owned());
    }
    let dead_letter = DeadLetter::read(&moved);
    assert_eq!(
        (dead_letter.message, dead_letter.sent, dead_letter.group.as_deref()),
        (whole(EVENT), Some(SENT), Some("g"))
    );
    assert!(dead_letter.detail.contains(":water") && dead_letter.detail.contains("m-1"), "{}", dead_letter.detail);
    let redriven_before = read(EVENT, &[("sent_timestamp", "1699999990000")]);
    assert_eq!(redriven_before.sent, Some(Timestamp(1_699_999_990_000)));
    for ugly in ["", "abc", "-5", "1e3", "99999999999999999999"] {
        assert_eq!(read(EVENT, &[("sent_timestamp", ugly)]).sent, Some(SENT), "{ugly}");
    }
}

#[test]
fn a_record_of_lambda_gives_its_event_reason_and_time() {
    let dead_letter = read(&record().to_string(), &[]);
    assert_eq!(dead_letter.message, whole(r#"{"metrics":{"ph":"abc"}}"#));
    assert_eq!(dead_letter.sent, Some(Timestamp(1_699_999_990_568)));
    for part in ["metrics.ph", "RetriesExhausted", "3 tries"] {
        assert!(dead_letter.detail.contains(part), "{}", dead_letter.detail);
    }
}

#[test]
fn the_event_in_a_record_keeps_its_literals() {
    let text =
        r#"{"requestContext":{"condition":"RetriesExhausted"},"requestPayload": [{"metrics": {"a": 1.0, "b":-0}}]}"#;
    assert_eq!(read(text, &[]).message, whole(r#"[{"metrics": {"a": 1.0, "b":-0}}]"#));
}

#[test]
fn ugly_records_of_lambda_are_understood_as_far_as_they_go() {
    let with = |name: &str, value: serde_json::Value| {
        let mut record = record();
        record[name] = value;
        read(&record.to_string(), &[])
    };
    let reason = |value| with("responsePayload", value).reason;
    assert_eq!(reason(json!({"errorType": "delivery_failed", "errorMessage": "503"})), "delivery_failed");
    assert_eq!(reason(json!({"errorType": "Sandbox.Timedout", "errorMessage": "x"})), "Sandbox.Timedout");
    assert_eq!(reason(json!({"errorType": "a b\nc"})), "a_b_c");
    for without in [json!(null), json!({"errorMessage": "Task timed out"}), json!({"errorType": 7}), json!("x")] {
        assert_eq!(reason(without.clone()), DELIVERY_FAILED, "{without}");
    }
    assert!(with("responsePayload", json!(null)).detail.contains("RetriesExhausted"));
    assert!(matches!(with("requestPayload", json!(null)).message, Message::Missing(_)));
    for ugly in [json!("yesterday"), json!(null)] {
        assert_eq!(with("timestamp", ugly).sent, Some(SENT));
    }
    let succeeded = with("requestContext", json!({"condition": "Success"}));
    assert!(matches!(succeeded.message, Message::Missing(_)));
    let maybe_stored = |reason: &str| with("responsePayload", json!({"errorType": reason})).maybe_stored;
    assert_eq!(["out_of_order", "duplicate_timestamp", "too_old"].map(maybe_stored), [true, true, false]);
    assert_eq!(with("requestContext", json!({"requestId": "r"})).origin, Origin::Queue, "no condition, no record");
}

#[test]
fn an_error_action_gives_what_the_device_published_for_a_file_only() {
    let dead_letter = read(&error_action().to_string(), &[]);
    let Message::ForAFile(text) = dead_letter.message else { panic!("{dead_letter:?}") };
    assert_eq!(text, "temperature=14.3");
    for part in ["water", "sensors/1", "SqsAction", "water-metrics", "denied", "1 more"] {
        assert!(dead_letter.detail.contains(part), "{}", dead_letter.detail);
    }
}

#[test]
fn bytes_that_a_device_published_stay_in_their_record() {
    for payload in ["/w==", "%%%"] {
        let mut record = error_action();
        record["base64OriginalPayload"] = json!(payload);
        record["failures"] = json!([]);
        let dead_letter = read(&record.to_string(), &[]);
        let Message::ForAFile(text) = dead_letter.message else { panic!("{dead_letter:?}") };
        assert_eq!(text, record.to_string());
    }
}

#[test]
fn a_reason_is_one_short_word() {
    assert_eq!(reason_word(" "), None);
    assert_eq!(reason_word(&"x".repeat(500)).map(|word| word.len()), Some(MAX_REASON_CHARS));
}
